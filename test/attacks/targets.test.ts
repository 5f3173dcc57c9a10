/** Targets that answer too much, too slowly or not at all: each costs the requests that went to it, and nobody else's. */
import { expect, test } from 'vitest'
import { until } from '../helpers/raw.ts'
import { attack } from './arena.ts'

const AT_EVIL = 'service="evil"'

test('interim answers without an end are 502 after the 32nd', async () => {
  const { tally, count } = await attack('endless1xx', async (during) => {
    await until('all were answered', async () => (await during('turnout_upstream_failures_total', AT_EVIL)) >= 20)
  })
  expect(tally['502']).toBeGreaterThanOrEqual(20)
  expect(tally['103']).toBeLessThanOrEqual(32 * tally['connected'])
  expect(await count('turnout_upstream_connections', AT_EVIL)).toBe(0)
})

test('a target that never answers is 504 in time', async () => {
  const { tally, count } = await attack('neverAnswers', async (during) => {
    await until('all were answered', async () => (await during('turnout_upstream_timeouts_total', AT_EVIL)) >= 100)
  })
  expect(tally['504']).toBeGreaterThanOrEqual(100)
  expect(await count('turnout_upstream_connections', AT_EVIL)).toBe(0)
})

test('a head that comes a byte at a time is 504 in time; a body that does is passed on as it comes', async () => {
  const { tally, count } = await attack('byteASecond', async (during) => {
    await until('the slow heads were given up', async () => {
      return (await during('turnout_upstream_timeouts_total', AT_EVIL)) >= 50
    })
    expect(await during('turnout_in_flight', AT_EVIL)).toBe(50)
  })
  expect(tally['504']).toBeGreaterThanOrEqual(50)
  expect(tally['200']).toBeGreaterThanOrEqual(50)
  expect(await count('turnout_upstream_connections', AT_EVIL)).toBe(0)
})

test('a target that accepts and closes is 502, and repeats stay within their budget', async () => {
  const { tally, count } = await attack('acceptsAndCloses', async (during) => {
    await until('many were answered', async () => (await during('turnout_upstream_failures_total', AT_EVIL)) >= 100)
  })
  expect(tally['502']).toBeGreaterThanOrEqual(100)
  const failed = await count('turnout_upstream_failures_total', AT_EVIL)
  // A fifth of the requests, and three a second.
  expect(await count('turnout_retries_total', AT_EVIL)).toBeLessThan(failed / 2)
})
