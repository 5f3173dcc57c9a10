/** What only exists while a worker does is gone with it, and the rest stays. */
import { expect, test } from 'vitest'
import { createSlots } from '../../src/control/slots.ts'
import { clearGauges } from '../../src/metrics/gauges.ts'
import { allocateSharedMemory, FIELD, laneOffset } from '../../src/metrics/layout.ts'
import { standingClock } from '../control/stand-in.ts'

test('gauges at every slot that was given are cleared, of the one worker, and counters are not', () => {
  const memory = allocateSharedMemory(2)
  const slots = createSlots(memory, standingClock().clock)
  const urls = Array.from({ length: 30 }, (_, i) => `http://10.0.0.${i}:80`)
  const intents = Object.fromEntries(urls.map((url) => [url, {}]))
  const places = slots.take('shop', { blue: { targets: intents } } as never, (url) => [{ address: url }] as never)
  const given = urls.map((url) => places.targets['blue'][url].addresses[0].slot)
  for (const worker of [0, 1]) {
    for (const slot of given) {
      memory.targets[laneOffset(worker, slot) + FIELD.inFlight] = 3
      memory.targets[laneOffset(worker, slot) + FIELD.attemptsGood] = 7
    }
  }
  clearGauges(memory, 1)
  const read = (worker: number, field: number) => given.map((slot) => memory.targets[laneOffset(worker, slot) + field])
  expect(read(1, FIELD.inFlight)).toEqual(urls.map(() => 0))
  expect(read(0, FIELD.inFlight)).toEqual(urls.map(() => 3))
  expect(read(1, FIELD.attemptsGood)).toEqual(urls.map(() => 7))
})
