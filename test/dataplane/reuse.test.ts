/**
 * Connections to a target that there is a reason to suspect: whether bytes that have come, and that nobody has read yet, keep
 * them from the next request. A plane in this thread and real sockets, so that the test can write in the very moment.
 */
import net from 'node:net'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { parseSpec } from '../../src/config/load.ts'
import { planLimits, planTimeouts } from '../../src/config/plan.ts'
import { Client } from '../../src/dataplane/client.ts'
import { libc } from '../../src/dataplane/libc.ts'
import { Plane } from '../../src/dataplane/plane.ts'
import { UpstreamConnection } from '../../src/dataplane/upstream-connection.ts'
import { UpstreamPool } from '../../src/dataplane/upstream-pool.ts'
import { allocateSharedMemory } from '../../src/metrics/layout.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { startRaw } from '../helpers/upstream.ts'
import { makePlan, makeStatus } from '../table/make.ts'

const POISON = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'
const NO_CONTENT = 'HTTP/1.1 204 No Content\r\n\r\n'
const NOT_MODIFIED = 'HTTP/1.1 304 Not Modified\r\n\r\n'
const LAST = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
/** Whether the kernel is asked; where it cannot be, the other way is taken, and tested twice. */
const ASKING = [libc !== null, false]

afterEach(() => vi.restoreAllMocks())

function makePlane(target: string, splices: boolean): Plane {
  const loaded = parseSpec('services: {}', { env: {}, source: 'test' })
  if ('faults' in loaded) throw new Error(JSON.stringify(loaded.faults))
  const plan = makePlan({ pools: [{ name: 'blue', version: '1', targets: [target] }], weights: { blue: 1 } })
  const start = {
    index: 0,
    isFirst: true,
    memory: allocateSharedMemory(1),
    delta: { epoch: 1, revision: 1, services: { shop: { plan, status: makeStatus(plan) } } },
    listeners: [],
    reusePort: true,
    limits: planLimits(loaded.spec.limits),
    timeouts: planTimeouts(loaded.spec.timeouts),
    trustedProxies: [],
    cookieKeys: ['a key of the test'],
    accessSample: 0,
    sharedReads: true,
    splices,
  }
  return new Plane(start, () => {})
}

/** A target that gives each connection one answer after the other, the last for ever, and a proxy in this thread. */
async function setUp(splices: boolean, ...answers: readonly string[]) {
  const targets: net.Socket[] = []
  const target = await startRaw(
    (socket, text) => {
      const heads = text.split('\r\n\r\n').length - 1
      socket.write(answers[Math.min(heads, answers.length) - 1])
    },
    (socket) => targets.push(socket),
  )
  const plane = makePlane(target.url, splices)
  const given = vi.spyOn(UpstreamPool.prototype, 'giveBack')
  const opened = vi.spyOn(UpstreamPool.prototype, 'open')
  const listener = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    new Client(plane, socket, false)
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const { port } = listener.address() as net.AddressInfo
  onTestFinished(() => {
    for (const held of plane.clients) held.destroy()
    listener.close()
  })
  /** What was opened first. */
  const first = () => opened.mock.results[0].value as UpstreamConnection
  return { target, targets, given, first, ask: () => rawRequest(port, LAST) }
}

/** Calls back in the moment in which the first exchange has let go of its connection. */
function onRelease(callback: (connection: UpstreamConnection) => void): void {
  const release = UpstreamConnection.prototype.release
  vi.spyOn(UpstreamConnection.prototype, 'release').mockImplementationOnce(function (this: UpstreamConnection, fit) {
    release.call(this, fit)
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
      taken.push(connection.pool.takeIdle(true))
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
