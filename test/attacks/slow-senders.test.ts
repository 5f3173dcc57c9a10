/** Clients that send slowly, or stop in the middle: they are answered in time, and nobody else waits. */
import { expect, test } from 'vitest'
import { until } from '../helpers/raw.ts'
import { attack } from './arena.ts'

test('heads that come a byte at a time are answered with 408, closed and counted', async () => {
  const { tally } = await attack('slowHead', async (count) => {
    await until('all were refused', async () => (await count('turnout_rejected_total', '"request_timeout"')) >= 300)
    expect(await count('turnout_upstream_connects_total', 'service="evil"')).toBe(0)
  })
  expect(tally['404']).toBeGreaterThanOrEqual(300)
  expect(tally['408']).toBeGreaterThan(0)
  expect(tally['reset'] ?? 0).toBe(0)
})

test('bodies that stop coming are answered with 408; those that come a byte at a time cost their own exchange only', async () => {
  const { tally, count } = await attack('slowBody', async (during) => {
    const refused = () => during('turnout_rejected_total', '"request_timeout"')
    await until('those that stopped were refused', async () => (await refused()) >= 150)
    expect(await during('turnout_in_flight', 'service="evil"')).toBeGreaterThanOrEqual(150)
  })
  expect(tally['408']).toBeGreaterThanOrEqual(150)
  // It is not the target that failed.
  expect(await count('turnout_upstream_failures_total')).toBe(0)
})

test('clients that fall silent in any phase, and never end their side, are all gone in time', async () => {
  const { tally } = await attack('halfOpen', async (count) => {
    await until('only the others are left', async () => (await count('turnout_client_connections')) <= 16)
    expect(await count('turnout_rejected_total', '"request_timeout"')).toBe(200)
  })
  expect(tally['408']).toBeGreaterThanOrEqual(200)
  expect(tally['204']).toBeGreaterThanOrEqual(100)
})
