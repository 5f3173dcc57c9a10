/** What a worker shows of itself to the watchdog of the main thread, in shared memory. */
import { expect, test } from 'vitest'
import { Plane } from '../../src/dataplane/plane.ts'
import { clearGauges } from '../../src/metrics/gauges.ts'
import { allocateSharedMemory, WORKER_FIELD, WORKER_FIELDS } from '../../src/metrics/layout.ts'
import { until } from '../helpers/raw.ts'
import { workerStart } from './make-plane.ts'

/** The plane of the second of two workers, without a thread, and what it shows. */
function makePlane() {
  const memory = allocateSharedMemory(2)
  const plane = new Plane(
    { ...workerStart(memory, {}), index: 1 },
    () => {},
    () => {},
  )
  const shown = (field: number) => memory.lanes[WORKER_FIELDS + field]
  return { plane, memory, aliveMs: () => shown(WORKER_FIELD.aliveMs), patienceMs: () => shown(WORKER_FIELD.patienceMs) }
}

test('whatever looks at the time shows that the worker moves, so one with too much to do is not taken for dead', async () => {
  const { plane, aliveMs } = makePlane()
  plane.time.tick()
  const before = aliveMs()
  await until('it shows life', () => {
    plane.time.tick()
    return aliveMs() > before
  })
})

test('a table is built with patience, which is given back', () => {
  const { plane, patienceMs } = makePlane()
  const seen: number[] = []
  const services = Object.defineProperty({}, 'shop', {
    enumerable: true,
    get() {
      seen.push(patienceMs())
      return null
    },
  })
  plane.prepare({ epoch: 2, revision: 2, services })
  expect(seen.length).toBeGreaterThan(0)
  for (const ms of seen) expect(ms).toBe(2_000)
  expect(patienceMs()).toBe(0)
})

test('what a worker had asked for ends with it, like its other gauges', () => {
  const { plane, memory, patienceMs } = makePlane()
  plane.time.askPatience(500)
  expect(patienceMs()).toBe(500)
  clearGauges(memory, 1)
  expect(patienceMs()).toBe(0)
})
