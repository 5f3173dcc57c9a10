/** Requests without an end: refused at a limit, with an answer, and no target hears of the half that came. */
import { expect, test } from 'vitest'
import { until } from '../helpers/raw.ts'
import { attack, type Count } from './arena.ts'
import type { AttackName } from './attacks.ts'

test.each<[what: string, name: AttackName, status: number, code: string]>([
  ['a field without an end', 'endlessHead', 431, 'head_too_large'],
  ['ten thousand fields', 'hugeHeaderCounts', 431, 'head_too_large'],
  ['a chunk extension without an end', 'endlessExtensions', 400, 'bad_body'],
])('%s is refused, closed and counted', async (_, name, status, code) => {
  const refused = (count: Count) => count('turnout_rejected_total', `code="${code}"`)
  const { tally, count } = await attack(name, async (during) => {
    await until('many were refused', async () => (await refused(during)) >= 40)
  })
  expect(tally[status]).toBeGreaterThanOrEqual(40)
  expect(await refused(count)).toBeGreaterThanOrEqual(tally[status])
  expect(tally['reset'] ?? 0).toBe(0)
  expect(await count('turnout_requests_total', 'code_class="2xx",service="evil"')).toBe(0)
  expect(await count('turnout_upstream_failures_total')).toBe(0)
})
