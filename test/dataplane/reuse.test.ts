/**
 * Connections to a target that there is a reason to suspect: whether bytes that have come, and that nobody has read yet, keep
 * them from the next request. A plane in this thread and real sockets, so that the test can write in the very moment.
 */
import net from 'node:net'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { Client } from '../../src/dataplane/downstream/client.ts'
import { libc } from '../../src/dataplane/socket/libc.ts'
import { UpstreamConnection } from '../../src/dataplane/upstream/connection.ts'
import { TargetConnections } from '../../src/dataplane/upstream/target-connections.ts'
import { type RawAnswer, rawRequest, until } from '../helpers/raw.ts'
import { startRaw } from '../helpers/upstream.ts'
import { makePlane } from './make-plane.ts'

const POISON = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const NO_CONTENT = 'HTTP/1.1 204 No Content\r\n\r\n'
const NOT_MODIFIED = 'HTTP/1.1 304 Not Modified\r\n\r\n'
const LAST = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
/** Whether the kernel is asked; where it cannot be, the other way is taken, and tested twice. */
const ASKING = [libc !== null, false]

afterEach(() => vi.restoreAllMocks())

/** A proxy in this thread in front of a target; gives a function that sends a request through it. */
async function startPlane(target: string, splices: boolean): Promise<() => Promise<RawAnswer>> {
  const plane = makePlane({ targets: [target], splices })
  const listener = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    new Client(plane, socket, false)
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const { port } = listener.address() as net.AddressInfo
  onTestFinished(() => {
    for (const held of plane.clients) held.destroy()
    listener.close()
  })
  return () => rawRequest(port, LAST)
}

/** A target with one answer to everything, and a proxy in front of it. */
async function setUp(splices: boolean, answer: string) {
  const targets: net.Socket[] = []
  const target = await startRaw(
    (socket) => socket.write(answer),
    (socket) => targets.push(socket),
  )
  const given = vi.spyOn(TargetConnections.prototype, 'giveBack')
  const opened = vi.spyOn(TargetConnections.prototype, 'open')
  const ask = await startPlane(target.url, splices)
  /** What was opened first. */
  const first = () => opened.mock.results[0].value as UpstreamConnection
  return { target, targets, given, first, ask }
}

/** Calls back in the moment in which the first exchange has let go of its connection. */
function onRelease(callback: (connection: UpstreamConnection) => void): void {
  const release = UpstreamConnection.prototype.release
  vi.spyOn(UpstreamConnection.prototype, 'release').mockImplementationOnce(function (this: UpstreamConnection) {
    release.call(this)
    callback(this)
  })
}

test.each(
  ASKING.flatMap((asks) => [NO_CONTENT, NOT_MODIFIED].map((answer) => [answer.slice(9, 12), asks, answer] as const)),
)(
  'bytes behind a %s that nobody has read yet keep the connection from the next request (asking the kernel: %s)',
  async (_status, asks, answer) => {
    const { targets, given, first, ask } = await setUp(asks, answer)
    const taken: unknown[] = []
    onRelease((connection) => {
      targets[0].write(POISON)
      taken.push((connection.connections as TargetConnections).takeIdle(true))
    })
    const { text } = await ask()
    expect(text).not.toContain('poison')
    expect(taken).toEqual([null])
    await until('the connection is gone', () => first().socket.destroyed)
    expect(given).toHaveBeenCalledTimes(asks ? 1 : 0)
  },
)

test.each(ASKING)('a connection that a 204 leaves quiet is used again (asking the kernel: %s)', async (asks) => {
  const { target, given, ask } = await setUp(asks, NO_CONTENT)
  for (let n = 1; n <= 3; n++) {
    expect((await ask()).text).toMatch(/^HTTP\/1\.1 204 /)
    await until('it is given back', () => given.mock.calls.length === n)
  }
  expect(target.connections()).toBe(1)
})

/** The thread of a target that does something with each connection as soon as it has come, and then sets `workerData`. */
const eager = (does: string) => `
  const { parentPort, workerData } = require('node:worker_threads')
  const server = require('node:net').createServer((socket) => {
    socket.on('error', () => {}).on('data', (bytes) => parentPort.postMessage(String(bytes)))
    ${does}
    Atomics.store(workerData, 0, 1)
    Atomics.notify(workerData, 0)
  })
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))`

/** An eager target before a proxy that does not look at a new connection before the target was done with it. */
async function setUpEager(does: string) {
  const done = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(eager(does), { eval: true, workerData: done })
  onTestFinished(async () => void (await worker.terminate()))
  const port = await new Promise<number>((resolve) => worker.once('message', resolve))
  const heard: string[] = []
  worker.on('message', (text: string) => heard.push(text))
  const open = TargetConnections.prototype.open
  vi.spyOn(TargetConnections.prototype, 'open').mockImplementationOnce(function (this: TargetConnections, user) {
    const connection = open.call(this, user)
    // Node connects in the next tick, and the kernel at once: this one comes behind it.
    process.nextTick(() => expect(Atomics.wait(done, 0, 0, 5_000)).not.toBe('timed-out'))
    return connection
  })
  return { ask: await startPlane(`http://127.0.0.1:${port}`, true), heard }
}

describe.skipIf(libc === null)('a target that does not wait for a request', () => {
  test('but answers, is not asked, and nobody gets that answer', async () => {
    const { ask, heard } = await setUpEager(`socket.write(${JSON.stringify(POISON)})`)
    const { text } = await ask()
    expect(text).toMatch(/^HTTP\/1\.1 502 /)
    expect(text).toContain('X-Turnout-Error: upstream_bad_response\r\n')
    expect(heard).toEqual([])
  })

  test('but ends the connection, is one that nothing was sent to', async () => {
    const { ask, heard } = await setUpEager('socket.destroy()')
    const { text } = await ask()
    expect(text).toMatch(/^HTTP\/1\.1 502 /)
    expect(text).toContain('X-Turnout-Error: upstream_connect_failed\r\n')
    expect(heard).toEqual([])
  })

  test('has its connection looked at again after the first answer, which may be none', async () => {
    const { targets, ask } = await setUp(true, OK)
    const taken: unknown[] = []
    onRelease((connection) => {
      targets[0].write(POISON)
      taken.push((connection.connections as TargetConnections).takeIdle(true))
    })
    expect((await ask()).text).toMatch(/ok$/)
    expect(taken).toEqual([null])
  })
})
