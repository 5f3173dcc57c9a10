/** Which idle connection to a target a request is given: by how long it has waited, and what became of others meanwhile. */
import type net from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import type { UpstreamConnection } from '../../../src/dataplane/upstream/connection.ts'
import { TargetConnections } from '../../../src/dataplane/upstream/target-connections.ts'
import type { UpstreamUser } from '../../../src/dataplane/upstream/upstream.ts'
import { until } from '../../helpers/raw.ts'
import { startTcp } from '../../helpers/upstream.ts'
import { makePlane } from '../make-plane.ts'
import { GET } from './get.ts'

afterEach(() => vi.restoreAllMocks())

async function setUp({ idleMax = 128 } = {}) {
  const sockets: net.Socket[] = []
  const server = await startTcp((socket) => {
    sockets.push(socket)
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'))
    socket.on('error', () => {})
  })
  let passedMs = 0
  const monotonicMs = systemClock.monotonicMs.bind(systemClock)
  vi.spyOn(systemClock, 'monotonicMs').mockImplementation(() => monotonicMs() + passedMs)
  const plane = makePlane({ targets: [server.url] })
  Object.assign(plane.limits, { upstreamIdleMax: idleMax })
  const [target] = plane.tables.current().services.get('shop')!.pools[0].targets
  const connections = new TargetConnections(plane, target)

  /** Opens a connection and has a request answered on it. */
  const use = async (): Promise<UpstreamConnection> => {
    let isAnswered = false
    const nothing = () => {}
    const answer = { sink: null, onInterim: nothing, onHead: nothing, onMoved: nothing }
    const user: UpstreamUser = {
      onConnected: () => connection.send(GET),
      onFault: nothing,
      onDrain: nothing,
      onClosed: nothing,
      answer: {
        ...answer,
        onBody: () => {
          isAnswered = true
        },
      },
    }
    const connection = connections.open(user)!
    await until('it is answered', () => isAnswered)
    return connection
  }
  /** Lets time pass, with a sweep at its end. */
  const pass = (ms: number) => {
    passedMs += ms
    plane.time.tick()
    connections.sweep(plane.time.nowMs)
  }
  return { connections, sockets, use, pass }
}

test('a request that may not be repeated gets no connection that has waited for long, others do', async () => {
  const { connections, use, pass } = await setUp()
  const only = await use()
  only.release()
  pass(1_900)
  expect(connections.takeIdle(false)).toBeNull()
  expect(connections.takeIdle(true)).toBe(only)
})

test('it gets one that has waited for a second less than others that the target has left open', async () => {
  const { connections, use, pass } = await setUp()
  const old = await use()
  const young = await use()
  old.release()
  pass(10_000)
  young.release()
  pass(5_000)
  expect(connections.takeIdle(false)).toBe(young)
  expect(connections.takeIdle(false)).toBeNull()
})

test('a target that has begun to close earlier is trusted less', async () => {
  const { connections, sockets, use, pass } = await setUp()
  const [first, second, third] = [await use(), await use(), await use()]
  for (const [n, connection, ms] of [
    [0, first, 20_000],
    [1, second, 3_000],
  ] as const) {
    connection.release()
    pass(ms)
    sockets[n].end()
    await until('its end has come', () => connection.isGone)
  }
  third.release()
  pass(5_000)
  expect(connections.takeIdle(false)).toBeNull()
})

test('when enough are kept, the one that has waited longest makes room', async () => {
  const { connections, use, pass } = await setUp({ idleMax: 1 })
  const [old, young] = [await use(), await use()]
  old.release()
  pass(5_000)
  young.release()
  expect(old.isGone).toBe(true)
  expect(connections.takeIdle(false)).toBe(young)
})

test('where none are to be kept, none are', async () => {
  const { connections, use } = await setUp({ idleMax: 0 })
  const only = await use()
  only.release()
  expect(only.isGone).toBe(true)
  expect(connections.size).toBe(0)
})
