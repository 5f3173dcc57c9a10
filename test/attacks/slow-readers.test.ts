/** Clients that ask for much and take it slowly or never: what they asked for waits with its source, not in the proxy. */
import { expect, test } from 'vitest'
import { until } from '../helpers/raw.ts'
import { attack } from './arena.ts'

const AT_EVIL = 'service="evil"'

test('clients that read slowly keep their connection and hold nothing up', async () => {
  const { tally, count, rounds } = await attack('slowReader', async (during) => {
    await until('all are served', async () => (await during('turnout_in_flight', AT_EVIL)) === 40)
  })
  // Each of them was served until it left.
  expect(tally).toEqual({ connected: rounds * 40 })
  expect(await count('turnout_aborted_total', AT_EVIL)).toBe(rounds * 40)
  expect(await count('turnout_upstream_failures_total')).toBe(0)
})

test('clients that ask a hundred times and never read are cut off, and most of it is never asked for', async () => {
  const { count, rounds } = await attack('neverReads', async (during) => {
    await until('all were cut off', async () => (await during('turnout_aborted_total', AT_EVIL)) >= 40)
  })
  // One answer is more than the kernel takes for a client that does not read, so no second one was asked for.
  expect(await count('turnout_upstream_connects_total', AT_EVIL)).toBe(rounds * 40)
  expect(await count('turnout_upstream_failures_total')).toBe(0)
})
