/** A system that has no thread to give: the process and its other workers live on, and it is tried again later each time. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { type Clock, systemClock } from '../../src/clock.ts'
import { descriptorOfServer } from '../../src/dataplane/socket/handle.ts'
import { libc } from '../../src/dataplane/socket/libc.ts'
import { TurnoutError } from '../../src/errors.ts'
import { startFailure } from '../../src/serve/start-failure.ts'
import { GivenSockets } from '../../src/workers/given-sockets.ts'
import { START_MS } from '../../src/workers/worker-slot.ts'
import { until } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'
import { followWorkers } from '../helpers/worker-inspector.ts'
import { counted, startWorkers } from './stand-in.ts'

const system = vi.hoisted(() => ({ refusedAfter: 0, refusals: 0, why: 'EAGAIN' }))

vi.mock('node:worker_threads', async (original) => {
  const real = await original<typeof import('node:worker_threads')>()
  class Worker extends real.Worker {
    constructor(...given: ConstructorParameters<typeof real.Worker>) {
      if (system.refusals > 0 && --system.refusedAfter < 0) {
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
  system.refusedAfter = 0
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

/** Sockets that listen on one port and from which nobody accepts, as another process hands them on. */
async function listening(count: number): Promise<number[]> {
  const descriptors: number[] = []
  let port = 0
  for (let i = 0; i < count; i++) {
    const server = createServer().listen({ host: '127.0.0.1', port, reusePort: true })
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
    descriptors.push(libc!.duplicate(descriptorOfServer(server)))
    server.close()
  }
  return descriptors
}

test.skipIf(libc === null).for([
  ['are handed on', null],
  ['stay here', libc?.duplicate ?? null],
] as const)(
  'a worker that gets a thread only later has its part of the sockets that %s, so nobody waits without an end',
  async ([, duplicate]) => {
    const descriptors = await listening(2)
    Object.assign(system, { refusedAfter: 1, refusals: 1 })
    const blue = await startNamed('blue')
    const started = await startWorkers({ count: 2, sockets: new GivenSockets([descriptors], 2, duplicate) })
    await started.route(blue.url)
    expect(counted(started)).toEqual({ start: 1 })
    expect(await Promise.all(Array.from({ length: 100 }, () => started.served()))).toEqual(Array(100).fill('blue'))
    expect(started.workers.descriptors[0]).toHaveLength(2)
    if (duplicate !== null) for (const descriptor of descriptors) libc!.close(descriptor)
  },
)

test('a lost worker that gets no descriptors of the sockets that stay here is tried again, while the process lives', async () => {
  const threads = followWorkers()
  const blue = await startNamed('blue')
  let refusals = 0
  const none = new TurnoutError('invalid', 'Descriptor 9 cannot be duplicated: is there one left?')
  const sockets = {
    of() {
      if (refusals-- > 0) throw none
      return []
    },
  }
  const started = await startWorkers({ count: 1, sockets })
  await started.route(blue.url)
  refusals = 2
  threads.run(0, 'process.exit(1)')
  await until('it was refused twice', () => started.losses.length >= 3)
  await until('it is replaced', () => started.workers.ready)
  expect(started.losses[1]).toMatchObject({ reason: 'start', message: `cannot open its listeners: ${none.message}` })
  expect(await started.served()).toBe('blue')
  refusals = 1
  await expect(startWorkers({ count: 1, sockets })).rejects.toBe(none)
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
