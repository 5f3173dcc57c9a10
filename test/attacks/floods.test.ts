/** More than there is room for: the caps refuse it and say which of them did; who is within them does not notice. */
import { expect, test } from 'vitest'
import { until } from '../helpers/raw.ts'
import { attack, type Count } from './arena.ts'

const shed = (count: Count, reason: string) => count('turnout_shed_total', `reason="${reason}"`)

test('connections above the cap are closed at once and counted, and there are never more than the cap', async () => {
  const { tally, count } = await attack('connectionFlood', async (during) => {
    await until('some were refused', async () => (await shed(during, 'connections')) > 400)
    expect(await during('turnout_client_connections')).toBe(400)
  })
  expect(tally['closed'] + (tally['reset'] ?? 0)).toBeGreaterThan(400)
  expect(await shed(count, 'connections_per_address')).toBe(0)
})

// Elsewhere the system has one loopback address only.
test.skipIf(process.platform !== 'linux')(
  'one address that takes all it may is refused more, while others come and go',
  async () => {
    const { count } = await attack('addressFlood', async (during) => {
      await until('some were refused', async () => (await shed(during, 'connections_per_address')) > 400)
      expect(await during('turnout_client_connections')).toBeLessThanOrEqual(216)
    })
    expect(await shed(count, 'connections')).toBe(0)
  },
)

test.each(['connectionLists', 'listsInAnswers'] as const)(
  'heads of many fields and many names in Connection cost what others of their size do: %s',
  async (name) => {
    const { tally, count } = await attack(name, async (during) => {
      await until('many were relayed', async () => {
        return (await during('turnout_requests_total', 'code_class="2xx",service="evil"')) >= 500
      })
    })
    expect(tally['204']).toBeGreaterThanOrEqual(500)
    expect(await count('turnout_upstream_failures_total')).toBe(0)
  },
)

test('ten thousand pipelined requests wait for their turn, and are answered in order', async () => {
  const { tally, count } = await attack('pipeliningFlood', async (during) => {
    await until('many were refused', async () => (await during('turnout_rejected_total', '"no_route"')) >= 10_000)
  })
  expect(tally['404']).toBeGreaterThanOrEqual(10_000)
  expect(tally['204']).toBeGreaterThan(0)
  expect(await count('turnout_upstream_failures_total')).toBe(0)
})
