/** What comes after the loss of a worker thread: when the next one is started, by which table it begins, what it waits for. */
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { HANDSHAKE_MS } from '../../src/dataplane/downstream/listener.ts'
import { WORKER_FIELD } from '../../src/metrics/layout.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { program } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startNamed, startRaw } from '../helpers/upstream.ts'
import { followWorkers } from '../helpers/worker-inspector.ts'
import { counted, startWorkers } from './stand-in.ts'

const openssl = program('openssl')

const PORT = `process.getBuiltinModule('node:worker_threads').parentPort`
/** From now on the worker dies of whatever the main thread tells it. */
const DIE_WHEN_TOLD = `${PORT}.removeAllListeners('message').on('message', () => process.exit(7))`
/** From now on the worker serves, but hears nothing of the main thread. */
const DEAF = `${PORT}.removeAllListeners('message').on('message', () => {})`
test('a worker that dies of the table it is to prepare does not hold up the commit, and its successor has that table', async () => {
  const threads = followWorkers()
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const started = await startWorkers({ count: 2 })
  await started.route(blue.url)
  threads.run(0, DIE_WHEN_TOLD)
  threads.run(1, DIE_WHEN_TOLD)
  await started.route(green.url)
  expect(counted(started)).toEqual({ crash: 2 })
  await until('both are replaced', () => started.replaced.length === 2 && started.workers.ready)
  for (let i = 0; i < 10; i++) expect(await started.served()).toBe('green')
})

test('a worker that serves but does not prepare a table is replaced before the commit is over', async () => {
  const threads = followWorkers()
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const started = await startWorkers()
  await started.route(blue.url)
  threads.run(0, DEAF)
  await started.route(green.url)
  expect(started.losses).toMatchObject([{ reason: 'table', message: 'has not prepared a table in time' }])
  await until('it is replaced', () => started.workers.ready)
  expect(await started.served()).toBe('green')
})

test('a change while a worker starts is not held up by it, and the worker listens with the newest table', async () => {
  const threads = followWorkers()
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const started = await startWorkers()
  await started.route(blue.url)
  threads.run(0, 'process.exit(1)')
  await until('it is lost', () => started.losses.length === 1)
  for (let i = 0; i < 5; i++) await started.route(i % 2 ? blue.url : green.url)
  expect(started.workers.ready).toBe(false)
  await until('it is replaced', () => started.workers.ready)
  expect(await started.served()).toBe('green')
  expect(started.losses).toHaveLength(1)
})

test('a worker that fails at each start is started later each time, and serves the next table that it can build', async () => {
  // Time stands still, so no life makes up for a loss.
  const started = await startWorkers({ clock: { ...systemClock, monotonicMs: () => 0 } })
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  await started.route(blue.url)
  expect(await started.served()).toBe('blue')
  await started.spoil()
  await until('it has failed five times', () => started.losses.length === 5)
  expect(started.losses.map(({ pauseMs }) => pauseMs)).toEqual([0, 100, 200, 400, 800])
  expect(started.workers.ready).toBe(false)
  // While there is nobody to acknowledge, a change is not held up.
  await started.route(green.url)
  await until('it serves', () => started.workers.ready)
  expect(await started.served()).toBe('green')
  expect(counted(started)).toEqual({ crash: 5 })
})

test('of a worker that is gone, while its successor waits for its time, no sockets are handed to anybody', async () => {
  const threads = followWorkers()
  // Time stands still, so no life makes up for a loss.
  const started = await startWorkers({ clock: { ...systemClock, monotonicMs: () => 0 } })
  const { workers } = started
  for (let times = 1; times <= 3; times++) {
    await until('it serves', () => threads.seen(0) === times && workers.ready)
    expect(workers.descriptors).toEqual([[expect.any(Number)]])
    threads.run(0, 'process.exit(1)')
    await until('it is lost', () => started.losses.length === times)
    expect(workers.descriptors).toEqual([[]])
  }
  expect(started.losses.at(-1)).toMatchObject({ pauseMs: 200 })
})

test('a worker that has lived for a while before it is lost is replaced at once, however often', async () => {
  const threads = followWorkers()
  let nowMs = 0
  const started = await startWorkers({ clock: { ...systemClock, monotonicMs: () => nowMs } })
  for (let times = 1; times <= 4; times++) {
    nowMs += 60_000
    threads.run(0, 'process.exit(1)')
    await until('it is replaced', () => threads.seen(0) === times + 1 && started.workers.ready)
  }
  expect(started.losses.map(({ pauseMs }) => pauseMs)).toEqual([0, 0, 0, 0])
})

/** How long at most a worker is held by the system. */
const HELD_MS = 60_000
/** The file that tells the end of a hold. */
const over = (hold: string): string => hold + '-is-over'

test('a worker that hangs in the system, and cannot even be ended, is replaced beside it', async () => {
  const threads = followWorkers()
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const started = await startWorkers()
  await started.route(blue.url)
  const hold = join(temporaryFolder(), 'hold')
  writeFileSync(hold, '')
  // It ends with the folder, and after a minute in any case: a test that is killed midway removes nothing.
  const wait = `i=0; while [ -e ${hold} ] && [ $i -lt ${HELD_MS / 50} ]; do sleep 0.05; i=$((i+1)); done; touch ${over(hold)}`
  threads.run(0, `process.getBuiltinModule('node:child_process').execSync(${JSON.stringify(wait)})`)
  try {
    const committed = started.route(green.url)
    await until('it is replaced', () => started.replaced.length === 1 && started.workers.ready)
    await committed
    expect(started.losses).toMatchObject([{ index: 0 }])
    expect(existsSync(over(hold))).toBe(false)
    // The old one still has its listener, so the system gives it some of the connections.
    await until('the new one serves', async () => (await Promise.race([started.served(), soon()])) === 'green')
  } finally {
    rmSync(hold)
  }
})

const soon = (): Promise<null> => new Promise((resolve) => systemClock.after(200, () => resolve(null)))

test('a worker that still starts when the drain begins opens nothing any more, which nobody would close', async () => {
  const threads = followWorkers()
  let listens = 0
  const sockets = {
    of() {
      listens++
      return []
    },
  }
  const started = await startWorkers({ count: 2, sockets })
  const silent = await startRaw(() => {})
  await started.route(silent.url)
  // Some of them are of the worker that stays: until their time is over the other one is ready.
  for (let n = 0; n < 20; n++) {
    const socket = net.connect(started.workers.ports[0], '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => {}).write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  }
  await until('all are under way', () => silent.connections() === 20)
  threads.run(0, 'process.exit(1)')
  await until('it is lost', () => started.losses.length === 1)
  await started.workers.drain(2_000)
  expect(listens).toBe(2)
})

test('a drain does not wait for a worker that loops', async () => {
  const threads = followWorkers()
  const started = await startWorkers({ count: 2 })
  threads.run(0, 'for (;;) {}')
  // Longer than the test may take.
  await started.workers.drain(60_000)
  expect(started.losses).toEqual([])
})

test.skipIf(openssl === null)('TLS handshakes ask for patience, and give it back however they end', async () => {
  const certificate = makeCertificate(openssl!, temporaryFolder())
  const { workers, memory } = await startWorkers({ tls: certificate })
  const port = workers.ports[0]
  const patience = () => memory.lanes[WORKER_FIELD.patienceMs]
  const connections = () => memory.lanes[WORKER_FIELD.clientConnections]
  const plain = (): Promise<net.Socket> =>
    new Promise((resolve) => {
      const socket = net.connect({ port, host: '127.0.0.1' }, () => resolve(socket))
      socket.on('error', () => {})
    })
  const idle = await Promise.all([plain(), plain(), plain(), plain()])
  await until('all have asked for it', () => connections() === 4 && patience() === 4 * HANDSHAKE_MS)

  const secured = tls.connect({ port, host: '127.0.0.1', ca: certificate.cert })
  await new Promise((resolve) => secured.once('secureConnect', resolve))
  await until('one is done', () => connections() === 5 && patience() === 4 * HANDSHAKE_MS)
  idle[0].end()
  idle[1].resetAndDestroy()
  idle[2].write('GET / HTTP/1.1\r\n\r\n')
  idle[3].write('\x16\x03\x01')
  idle[3].end()
  secured.destroy()
  // The one is written just before the other.
  await until('all are over and have given it back', () => connections() === 0 && patience() === 0)
})

test.skipIf(openssl === null)(
  'a drain waits a moment for who is in a handshake, and not for who says nothing',
  async () => {
    const certificate = makeCertificate(openssl!, temporaryFolder())
    const { workers, memory } = await startWorkers({ tls: certificate })
    const silent = net.connect({ port: workers.ports[0], host: '127.0.0.1' }).on('error', () => {})
    await until('it is there', () => memory.lanes[WORKER_FIELD.clientConnections] === 1)
    const beganMs = performance.now()
    await workers.drain(60_000)
    const tookMs = performance.now() - beganMs
    silent.destroy()
    expect(tookMs).toBeGreaterThan(900)
    expect(tookMs).toBeLessThan(50_000)
  },
)
