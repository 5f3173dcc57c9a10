/**
 * How long a tunnel may live: in silence, with a side that does not read, with one or both sides that have ended. A plane in this thread, real sockets, and a clock that the
 * test moves on, since nobody waits for minutes.
 */
import net from 'node:net'
import tls from 'node:tls'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { Client } from '../../src/dataplane/downstream/client.ts'
import { Tunnel } from '../../src/dataplane/exchange/tunnel.ts'
import { sweep } from '../../src/dataplane/sweep.ts'
import type { UpstreamConnection } from '../../src/dataplane/upstream/connection.ts'
import { TargetConnections } from '../../src/dataplane/upstream/target-connections.ts'
import type { ServiceStatus } from '../../src/table/status.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { program } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startTcp } from '../helpers/upstream.ts'
import { makePlane } from './make-plane.ts'

const UPGRADE = 'GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const openssl = program('openssl')
/** A little less than the minute that a half-closed tunnel may be silent, and what makes it more. */
const ALMOST_MS = 59_000
const REST_MS = 2_000
/** The silence that any tunnel may keep. */
const IDLE_MS = 3_600_000

afterEach(() => vi.restoreAllMocks())

/** A clock that the test moves on: `pass` to let time go by, `periods` to call what is to be called every so often. */
function movableClock() {
  const realMs = systemClock.monotonicMs
  const periods = new Set<() => void>()
  let aheadMs = 0
  vi.spyOn(systemClock, 'monotonicMs').mockImplementation(() => realMs() + aheadMs)
  vi.spyOn(systemClock, 'every').mockImplementation((_intervalMs, run) => {
    periods.add(run)
    return () => void periods.delete(run)
  })
  const pass = (ms: number): void => {
    aheadMs += ms
  }
  return { periods, pass }
}

/** A target over TLS, which is trusted until the test is over. */
async function startTls(onOpen: (socket: net.Socket) => void): Promise<{ url: string }> {
  const { cert, key } = makeCertificate(openssl!, temporaryFolder())
  const before = tls.getCACertificates('default')
  tls.setDefaultCACertificates([...before, cert])
  const server = tls.createServer({ cert, key, allowHalfOpen: true }, (socket) => onOpen(socket.on('error', () => {})))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    tls.setDefaultCACertificates(before)
    server.close()
  })
  return { url: `https://127.0.0.1:${(server.address() as net.AddressInfo).port}` }
}

/** An open tunnel: both its ends, which do not read until told, and what it holds in the proxy. */
async function openTunnel(
  start: (onOpen: (socket: net.Socket) => void) => Promise<{ url: string }> = startTcp,
  trial?: ServiceStatus['trial'],
) {
  const clock = movableClock()
  let target: net.Socket | null = null
  const server = await start((socket) => {
    target = socket
    socket.once('data', () => {
      socket.write(SWITCH)
      socket.pause()
    })
  })
  const plane = makePlane({ targets: [server.url], trial })
  const judged = vi.spyOn(plane.trials, 'count').mockImplementation(() => {})
  const opened = vi.spyOn(TargetConnections.prototype, 'open')
  const listener = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    new Client(plane, socket, false)
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const { port } = listener.address() as net.AddressInfo
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  onTestFinished(() => {
    client.destroy()
    for (const held of plane.clients) held.destroy()
    listener.close()
  })
  client.on('error', () => {}).write(UPGRADE)
  await new Promise((resolve) => client.once('data', resolve))
  client.pause()
  const inside = [...plane.clients][0] as Client
  const upstream = opened.mock.results[0].value as UpstreamConnection
  const pass = (ms: number) => {
    clock.pass(ms)
    plane.time.tick()
    sweep(plane.exchanges, plane.time.nowMs)
    sweep(plane.clients, plane.time.nowMs)
  }
  const outcomes = () => judged.mock.calls.map(([, , , outcome]) => outcome)
  return { plane, client, target: target!, inside, upstream, pass, outcomes, periods: clock.periods }
}

/** Sends pieces of this text, each once the one before has arrived inside, until some of it waits there. */
async function clog(
  from: net.Socket,
  into: { readonly unsentBytes: number; readonly isFull: boolean },
  text: string | Buffer = 'x',
): Promise<void> {
  const piece = Buffer.alloc(16_384, text)
  while (into.unsentBytes === 0) await new Promise((resolve) => from.write(piece, () => setImmediate(resolve)))
  expect(into.isFull).toBe(false)
}

/** Sends to a client that does not read until the proxy stops its target, and has read all that was sent. */
async function fill({ target, inside, upstream }: Awaited<ReturnType<typeof openTunnel>>): Promise<number> {
  let sent = 0
  while (!inside.out.isFull) {
    target.write(Buffer.alloc(65_536, 'x'))
    sent += 65_536
    await until('it has come', () => upstream.socket.bytesRead === SWITCH.length + sent)
  }
  return sent
}

/** Sends to a target that does not read until the proxy stops its client. */
async function stuff({ client, inside, upstream }: Awaited<ReturnType<typeof openTunnel>>): Promise<void> {
  let sent = UPGRADE.length
  while (!upstream.isFull) {
    client.write(Buffer.alloc(65_536, 'x'))
    sent += 65_536
    await until('it has come', () => inside.socket.bytesRead === sent || upstream.isFull)
  }
}

/** What a client gets from now on, until its end. */
function readAll(client: net.Socket): () => { readonly bytes: number; readonly hasEnded: boolean } {
  let bytes = 0
  let hasEnded = false
  client.on('data', (piece) => {
    bytes += piece.length
  })
  client.on('end', () => {
    hasEnded = true
  })
  client.resume()
  return () => ({ bytes, hasEnded })
}

const isGone = ({ destroyed }: net.Socket) => destroyed

test.each(['target', 'client'] as const)(
  'a tunnel whose %s has ended goes when nothing has come for a minute, and not before',
  async (first) => {
    const { inside, upstream, pass, ...ends } = await openTunnel()
    const isKnown = () => (first === 'client' ? inside.ended : upstream.socket.readableEnded)
    ends[first].end()
    await until('the end is known', isKnown)
    pass(ALMOST_MS)
    expect([inside.socket, upstream.socket].some(isGone)).toBe(false)
    pass(REST_MS)
    expect([inside.socket, upstream.socket].every(isGone)).toBe(true)
  },
)

test.each([
  ['target', 'client'],
  ['client', 'target'],
] as const)('a tunnel whose %s has ended lives on while the %s sends', async (first, second) => {
  const { inside, upstream, pass, ...ends } = await openTunnel()
  let received = ''
  ends[first]
    .on('data', (bytes) => {
      received += bytes
    })
    .resume()
  ends[first].end()
  await until('the end is known', () => (first === 'client' ? inside.ended : upstream.socket.readableEnded))
  for (let sent = 1; sent <= 5; sent++) {
    pass(ALMOST_MS)
    ends[second].write('.')
    await until('it has come through', () => received.length === sent)
  }
  ends[second].end()
  await until('both are gone', () => isGone(inside.socket) && isGone(upstream.socket))
})

test('a tunnel whose client has ended lives on while the target takes what is left, and no longer', async () => {
  const { client, inside, upstream, pass, plane } = await openTunnel()
  await clog(client, upstream.out)
  client.end()
  await until('the end is known', () => inside.ended)
  // The kernel takes megabytes at a time, so a slow target is pretended.
  const takes = vi.spyOn(upstream.out, 'hasMoved', 'get').mockReturnValue(true)
  pass(ALMOST_MS + REST_MS)
  for (let looks = 0; looks < 5; looks++) {
    expect(isGone(upstream.socket)).toBe(false)
    pass(plane.timeouts.sendMs)
  }
  takes.mockReturnValue(false)
  pass(plane.timeouts.sendMs)
  expect([inside.socket, upstream.socket].every(isGone)).toBe(true)
})

test('when both have ended, a target that does not take what is left is given up', async () => {
  const { client, target, inside, upstream, periods } = await openTunnel()
  await clog(client, upstream.out)
  client.resume().end()
  target.end()
  await until('both have ended', () => isGone(inside.socket))
  expect(isGone(upstream.socket)).toBe(false)
  for (const look of periods) look()
  await until('the connection to the target is gone', () => isGone(upstream.socket))
  await until('nobody looks any more', () => periods.size === 0)
})

test('when both have ended, a target that takes what is left gets all of it', async () => {
  const { client, target, inside, upstream, periods } = await openTunnel()
  await clog(client, upstream.out)
  const sent = client.bytesWritten - UPGRADE.length
  client.resume().end()
  target.end()
  await until('both have ended', () => isGone(inside.socket))
  const takes = vi.spyOn(upstream.out, 'hasMoved', 'get').mockReturnValue(true)
  for (let looks = 0; looks < 5; looks++) for (const look of periods) look()
  takes.mockRestore()
  let received = 0
  let ended = false
  target.on('end', () => {
    ended = true
  })
  target
    .on('data', (bytes) => {
      received += bytes.length
    })
    .resume()
  await until('it has heard the end', () => ended)
  expect(received).toBe(sent)
  await until('nobody looks any more', () => periods.size === 0)
})

test('when the target has ended first, and its client after that, what is left still reaches the target', async () => {
  const { client, target, inside, upstream } = await openTunnel()
  await clog(client, upstream.out)
  const sent = client.bytesWritten - UPGRADE.length
  target.end()
  client.resume()
  await new Promise((resolve) => client.once('end', resolve))
  client.end()
  await until('both have ended', () => isGone(inside.socket))
  let received = 0
  let ended = false
  target
    .on('end', () => {
      ended = true
    })
    .on('error', () => {
      ended = true
    })
    .on('data', (bytes) => {
      received += bytes.length
    })
    .resume()
  await until('it has heard the end', () => ended)
  expect(received).toBe(sent)
})

describe('a client that is slow gets all that its target has said, and then the end,', () => {
  test.skipIf(openssl === null).each([false, true])(
    'when the target over TLS ends and its connection closes, while it says something itself: %s',
    async (talks) => {
      const { client, target, inside, upstream } = await openTunnel(startTls)
      await clog(target, inside.out)
      const sent = target.bytesWritten - SWITCH.length
      const talk = () => {
        if (talks && !client.destroyed) client.write('.', () => setImmediate(talk))
      }
      talk()
      target.resume().end()
      await until('the connection to the target is gone', () => isGone(upstream.socket))
      const got = readAll(client)
      await until('it has seen the end', () => got().hasEnded)
      expect(got().bytes).toBe(sent)
      client.destroy()
      await until('so is its own', () => isGone(inside.socket))
    },
  )

  test('when the target has closed, and refuses what its client says meanwhile', async () => {
    const tunnel = await openTunnel()
    const { client, target, inside, upstream } = tunnel
    const sent = await fill(tunnel)
    const last = Buffer.alloc(50_000, 'x')
    await new Promise<void>((resolve) => target.end(last, resolve))
    target.destroy()
    const written = vi.spyOn(upstream, 'raw')
    for (let said = 1; said <= 5; said++) {
      client.write('.')
      await until('it has come', () => inside.socket.bytesRead === UPGRADE.length + said || isGone(inside.socket))
    }
    expect(written).toHaveBeenCalled()
    const got = readAll(client)
    await until('it has seen the end', () => got().hasEnded)
    expect(got().bytes).toBe(sent + last.length)
    client.end()
    await until('both are gone', () => isGone(inside.socket) && isGone(upstream.socket))
  })

  test('when both have ended, and the target is reset while there is still something for it', async () => {
    const { client, target, inside, upstream, periods } = await openTunnel()
    await clog(client, upstream.out)
    await clog(target, inside.out)
    const sent = target.bytesWritten - SWITCH.length
    target.end()
    client.end()
    await until('both have ended', () => upstream.socket.readableEnded && inside.ended)
    expect(inside.out.unsentBytes).toBeGreaterThan(0)
    target.resetAndDestroy()
    await until('the connection to the target is gone', () => isGone(upstream.socket))
    await until('nobody looks any more', () => periods.size === 0)
    const got = readAll(client)
    await until('it has seen the end', () => got().hasEnded)
    expect(got().bytes).toBe(sent)
  })

  test('when what is open there is let go behind the end of the target', async () => {
    const begun = vi.spyOn(Tunnel.prototype, 'begin')
    const { client, target, inside, upstream, pass } = await openTunnel()
    // Empty messages of a WebSocket, so that it is known where something could be said.
    await clog(target, inside.out, Buffer.from([0x82, 0]))
    const sent = target.bytesWritten - SWITCH.length
    target.end()
    await until('the end is known', () => upstream.socket.readableEnded)
    const [it] = begun.mock.contexts as Tunnel[]
    it.leave(Buffer.from('bye'))
    const got = readAll(client)
    await until('it has seen the end', () => got().hasEnded)
    expect(got().bytes).toBe(sent)
    pass(5_100)
    pass(2_100)
    expect([inside.socket, upstream.socket].every(isGone)).toBe(true)
  })
})

test.each(['client', 'target'] as const)('when the %s is reset nobody looks after the tunnel any more', async (end) => {
  const { inside, upstream, periods, ...ends } = await openTunnel()
  ends[end].resetAndDestroy()
  await until('both are gone', () => isGone(inside.socket) && isGone(upstream.socket))
  expect(periods.size).toBe(0)
})

test('a client that reads nothing is cut off, however much its target has to say', async () => {
  const tunnel = await openTunnel()
  const { inside, upstream, pass, plane } = tunnel
  await fill(tunnel)
  pass(plane.timeouts.sendMs)
  expect([inside.socket, upstream.socket].every(isGone)).toBe(true)
})

test('a target that takes nothing is cut off, whatever it says itself', async () => {
  const tunnel = await openTunnel()
  const { inside, upstream, target, pass, plane } = tunnel
  await stuff(tunnel)
  // What was under way as it became full may still be taken, and is seen by the first look.
  for (let looks = 0; looks < 2; looks++) {
    const { bytesRead } = upstream.socket
    if (!isGone(upstream.socket)) target.write('.')
    await until('it has said something', () => upstream.socket.bytesRead > bytesRead || isGone(upstream.socket))
    pass(plane.timeouts.sendMs)
  }
  expect([inside.socket, upstream.socket].every(isGone)).toBe(true)
})

test('neither side is late by the time of the other', async () => {
  const tunnel = await openTunnel()
  const { inside, upstream, pass, plane } = tunnel
  const { sendMs } = plane.timeouts
  await stuff(tunnel)
  pass(sendMs - REST_MS)
  await fill(tunnel)
  // The kernel takes megabytes at a time, so a slow target is pretended.
  vi.spyOn(upstream.out, 'hasMoved', 'get').mockReturnValue(true)
  pass(2 * REST_MS)
  expect([inside.socket, upstream.socket].some(isGone)).toBe(false)
  // An acknowledgement that was under way is seen by the first look.
  for (let looks = 0; looks < 2; looks++) pass(sendMs)
  expect([inside.socket, upstream.socket].every(isGone)).toBe(true)
})

test('a tunnel whose client was late and has read all by now may be as silent as any other', async () => {
  const tunnel = await openTunnel()
  const { client, inside, upstream, pass } = tunnel
  const sent = await fill(tunnel)
  let received = 0
  client
    .on('data', (bytes) => {
      received += bytes.length
    })
    .resume()
  await until('all has come', () => received === sent && !inside.out.isFull)
  pass(IDLE_MS - REST_MS)
  expect([inside.socket, upstream.socket].some(isGone)).toBe(false)
  pass(2 * REST_MS)
  expect([inside.socket, upstream.socket].every(isGone)).toBe(true)
})

describe('one that is told to leave', () => {
  const TEXT = [0x81, 3, ...Buffer.from('bye')]
  const CLOSE = [0x88, 2, 0x03, 0xf4]
  /** A first fragment of a message; and a frame of five octets that has two of them. */
  const FRAGMENT = [0x01, 2, ...Buffer.from('ab')]
  const PART = [0x82, 5, 1, 2]
  /** What the client answers, masked by 0. */
  const ANSWER = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4]
  const FAREWELL = Buffer.from([...TEXT, ...CLOSE])
  const DRAIN_MS = 30_000
  const SAID_MS = 5_000
  const ENDING_MS = 2_000

  /** A tunnel of a WebSocket to whose client the target has sent this, and that is told to leave then. */
  async function leaving(sent: readonly number[]) {
    const begun = vi.spyOn(Tunnel.prototype, 'begin')
    const tunnel = await openTunnel()
    const { client, target } = tunnel
    const received: number[] = []
    let hasEnded = false
    client.on('data', (bytes: Buffer) => void received.push(...bytes)).resume()
    client.on('end', () => {
      hasEnded = true
    })
    if (sent.length > 0) target.write(Buffer.from(sent))
    await until('it has come', () => received.length === sent.length)
    const [it] = begun.mock.contexts as Tunnel[]
    it.leave(FAREWELL)
    const gets = (bytes: readonly number[]) =>
      until('it has this', () => Buffer.from(received).equals(Buffer.from([...sent, ...bytes])))
    return { ...tunnel, received, gets, hasEnded: () => hasEnded }
  }

  test('is told at once between two messages, and what the target says behind that goes nowhere', async () => {
    const { target, client, gets, received, upstream } = await leaving([0x81, 1, 0x61])
    await gets([...TEXT, ...CLOSE])
    const { bytesRead } = upstream.socket
    target.write(Buffer.from(FRAGMENT))
    await until('it has been read', () => upstream.socket.bytesRead === bytesRead + FRAGMENT.length)
    const answered = new Promise<Buffer>((resolve) => target.once('data', resolve))
    target.resume()
    client.write(Buffer.from(ANSWER))
    expect([...(await answered)]).toEqual(ANSWER)
    expect(received.length).toBe(3 + FAREWELL.length)
  })

  test('has some seconds to end by itself, then both sides are ended, and at last closed', async () => {
    const { inside, upstream, gets, pass, hasEnded } = await leaving([])
    await gets([...TEXT, ...CLOSE])
    pass(SAID_MS - 1_000)
    expect(upstream.socket.writableEnded).toBe(false)
    pass(1_100)
    await until('the client sees the end', hasEnded)
    expect(upstream.socket.writableEnded).toBe(true)
    expect([inside.socket, upstream.socket].some(isGone)).toBe(false)
    pass(ENDING_MS + 100)
    expect([inside.socket, upstream.socket].every(isGone)).toBe(true)
  })

  test('waits for the end of a message as long as a drain may take, then gets a Close without a text', async () => {
    const { gets, received, pass } = await leaving(FRAGMENT)
    pass(DRAIN_MS - 1_000)
    expect(received.length).toBe(FRAGMENT.length)
    pass(1_100)
    await gets(CLOSE)
  })

  test('is told nothing more once its target has ended within a message, and has some seconds to end', async () => {
    const { target, inside, upstream, gets, pass, hasEnded } = await leaving(FRAGMENT)
    target.end()
    await until('the client sees the end', hasEnded)
    pass(SAID_MS + 100)
    expect([inside.socket, upstream.socket].some(isGone)).toBe(false)
    pass(ENDING_MS + 100)
    expect([inside.socket, upstream.socket].every(isGone)).toBe(true)
    await gets([])
  })

  test('within a frame gets nothing that could be taken for payload: both sides are ended', async () => {
    const { gets, pass, hasEnded, upstream } = await leaving(PART)
    pass(DRAIN_MS + 100)
    await until('the client sees the end', hasEnded)
    await gets([])
    expect(upstream.socket.writableEnded).toBe(true)
  })

  test('is not kept by what its client goes on sending', async () => {
    const { client, inside, upstream, gets, pass } = await leaving([])
    await gets([...TEXT, ...CLOSE])
    for (let sent = 1; sent <= 7; sent++) {
      const { bytesRead } = inside.socket
      client.write('.')
      await until('it has come', () => isGone(inside.socket) || inside.socket.bytesRead > bytesRead)
      pass(1_100)
    }
    expect([inside.socket, upstream.socket].every(isGone)).toBe(true)
  })
})

test.each([
  ['before', 4_900, [], ['failed']],
  ['after', 5_100, ['good'], ['good']],
] as const)(
  'a silent WebSocket of a version that is tried, which its target ends %s it had to last',
  async (_when, ms, lasted, ended) => {
    const { target, upstream, pass, outcomes } = await openTunnel(startTcp, { pool: 'blue', step: 1 })
    pass(ms)
    expect(outcomes()).toEqual(lasted)
    target.end()
    await until('the end is known', () => upstream.socket.readableEnded)
    expect(outcomes()).toEqual(ended)
  },
)

test('a WebSocket that had lasted before it was looked at again has not failed', async () => {
  const { plane, target, upstream, pass, outcomes } = await openTunnel(startTcp, { pool: 'blue', step: 1 })
  vi.spyOn(plane.exchanges, Symbol.iterator).mockReturnValue([][Symbol.iterator]())
  pass(5_100)
  expect(outcomes()).toEqual([])
  target.end()
  await until('the end is known', () => upstream.socket.readableEnded)
  expect(outcomes()).toEqual(['good'])
})
