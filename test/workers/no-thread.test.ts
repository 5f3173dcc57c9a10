/** A system that has no thread to give: the process and its other workers live on, and it is tried again later each time. */
import { afterEach, expect, test, vi } from 'vitest'
import { type Clock, systemClock } from '../../src/clock.ts'
import { startFailure } from '../../src/serve/start-failure.ts'
import { START_MS } from '../../src/workers/worker-slot.ts'
import { until } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'
import { followWorkers } from '../helpers/worker-inspector.ts'
import { counted, startWorkers } from './stand-in.ts'

const system = vi.hoisted(() => ({ refusals: 0, why: 'EAGAIN' }))

vi.mock('node:worker_threads', async (original) => {
  const real = await original<typeof import('node:worker_threads')>()
  class Worker extends real.Worker {
    constructor(...given: ConstructorParameters<typeof real.Worker>) {
      if (system.refusals > 0) {
        system.refusals--
        throw Object.assign(new Error(`Worker initialization failure: ${system.why}`), {
          code: 'ERR_WORKER_INIT_FAILED',
        })
      }
      super(...given)
    }
  }
  return { ...real, default: { ...real, Worker }, Worker }
})

afterEach(() => {
  system.refusals = 0
  system.why = 'EAGAIN'
})

test('a lost worker for which there is no thread is tried again, later each time, while the other serves', async () => {
  const threads = followWorkers()
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const started = await startWorkers({ count: 2 })
  await started.route(blue.url)
  system.refusals = 4
  threads.run(0, 'process.exit(1)')
  await until('it was refused', () => started.losses.length >= 3)
  expect(await started.served()).toBe('blue')
  await started.route(green.url)
  expect(await started.served()).toBe('green')
  await until('it is replaced', () => started.workers.ready)
  expect(started.losses.map(({ pauseMs }) => pauseMs)).toEqual([0, 100, 200, 400, 800])
  expect(started.losses[1].message).toContain('got no thread of the system (Worker initialization failure: EAGAIN)')
  expect(counted(started)).toEqual({ crash: 1, start: 4 })
})

test('a start goes on as soon as the system has threads again', async () => {
  system.refusals = 2
  const blue = await startNamed('blue')
  const started = await startWorkers({ count: 2 })
  await started.route(blue.url)
  expect(await started.served()).toBe('blue')
  expect(counted(started)).toEqual({ start: 2 })
})

test('where open files are too few a start fails and says so, since nobody would give any back; a lost worker is tried again', async () => {
  Object.assign(system, { refusals: 1, why: 'EMFILE' })
  await expect(startWorkers({ count: 1 })).rejects.toMatchObject({ code: 'EMFILE' })
  const threads = followWorkers()
  const started = await startWorkers({ count: 1 })
  system.refusals = 2
  threads.run(0, 'process.exit(1)')
  await until('it was refused twice', () => started.losses.length >= 3)
  await until('it is replaced', () => started.workers.ready)
  expect(started.losses[1].message).toBe(
    'found too few open files left (Worker initialization failure: EMFILE): raise ulimit -n or LimitNOFILE',
  )
})

/** A clock by which the time of a start is over so soon. */
const impatient = (afterMs: number): Clock => ({
  ...systemClock,
  after: (delayMs, run) => systemClock.after(delayMs === START_MS ? afterMs : delayMs, run),
})

test('a start that takes too long ends with a sentence: how many workers were ready, after how long, and what to do', async () => {
  const failed = (clock: Clock) => startWorkers({ count: 2, clock }).then(() => 'it has started', startFailure)
  // No thread begins within a millisecond.
  expect(await failed(impatient(1))).toBe(
    'The start was given up: after 15 s 0 of 2 workers were ready. The machine may be too busy, or short of memory; fewer `workers` need less of both.',
  )
  system.refusals = Infinity
  expect(await failed(impatient(500))).toMatch(
    /^The start was given up: after 15 s 0 of 2 workers were ready\. Worker 0 got no thread of the system \(.*\): ulimit -u, TasksMax or pids\.max allows no more, or memory is short\.$/,
  )
})
