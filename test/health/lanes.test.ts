import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Lanes, PROBES_MAX, SLOW_MS } from '../../src/health/lanes.ts'
import { standingClock } from './stand-in.ts'

/** Takes places, and counts those that were given. */
function start() {
  const { clock, advance, timers } = standingClock()
  const lanes = new Lanes(clock)
  const given: (() => void)[] = []
  const take = (count: number, wasSlow = false) => {
    for (let n = 0; n < count; n++) void lanes.take(wasSlow).then((give) => given.push(give))
    return setImmediate()
  }
  const pass = (byMs: number) => {
    advance(byMs)
    return setImmediate()
  }
  return { given, take, pass, timers }
}

test('who was slow to fail waits for others that were, and nobody else for them', async () => {
  const { given, take } = start()
  await take(PROBES_MAX + 50, true)
  expect(given).toHaveLength(PROBES_MAX)
  await take(PROBES_MAX + 50)
  expect(given).toHaveLength(2 * PROBES_MAX)
  given[0]()
  given[PROBES_MAX]()
  await setImmediate()
  expect(given).toHaveLength(2 * PROBES_MAX + 2)
})

test('who begins to hang leaves its place after a while, and no more are under way than both lanes have room for', async () => {
  const { given, take, pass } = start()
  await take(3 * PROBES_MAX)
  expect(given).toHaveLength(PROBES_MAX)
  await pass(SLOW_MS - 1)
  expect(given).toHaveLength(PROBES_MAX)
  await pass(1)
  expect(given).toHaveLength(2 * PROBES_MAX)
  await pass(10 * SLOW_MS)
  expect(given).toHaveLength(2 * PROBES_MAX)
})

test('every place is given back once, whichever lane it was in last', async () => {
  const { given, take, pass, timers } = start()
  await take(2)
  await pass(SLOW_MS)
  await take(2)
  await take(1, true)
  for (const give of given.splice(0)) give()
  expect(timers()).toBe(0)
  await take(PROBES_MAX + 1)
  await take(PROBES_MAX + 1, true)
  expect(given).toHaveLength(2 * PROBES_MAX)
})
