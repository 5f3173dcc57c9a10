/** A system that has no thread to give: the process and its other workers live on, and it is tried again later each time. */
import { afterEach, expect, test, vi } from 'vitest'
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
