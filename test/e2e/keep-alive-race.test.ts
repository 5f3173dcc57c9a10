/**
 * The stale keep-alive race: a target closes an idle connection just as the next request is sent on it. Nobody did anything
 * wrong, so no client may see it, unless its request must not be repeated (RFC 9110 9.2.2).
 */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { bulk } from '../helpers/bulk.ts'
import { type Outcome, openLine, type Shot, startLoad } from '../helpers/load.ts'
import { until } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { type RawUpstream, startRaw } from '../helpers/upstream.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const HEAD_OK = OK.slice(0, -2)
const ROUNDS = bulk(24, 45)
const LINES = 16
const proxyTo = shareProxy()
const failed = (outcomes: readonly Outcome[]): Outcome[] => outcomes.filter(({ status }) => status !== 200)
const headsIn = (text: string): number => text.split('\r\n\r\n').length - 1

/** Answers every request, then `idle` decides what becomes of the connection. */
function startClosing(idle: (socket: net.Socket) => void): Promise<RawUpstream> {
  return startRaw((socket, text) => {
    if (!text.endsWith('\r\n\r\n')) return
    socket.write(OK)
    idle(socket)
  })
}

/** So many rounds in which all lines send a GET at about the same moment, with pauses that fit the target's. */
async function rounds(port: number, pauseMs: () => number): Promise<readonly Outcome[]> {
  const load = startLoad(port, {
    connections: LINES,
    pauseMs,
    next: (_, n) => (n < ROUNDS ? { method: n % 3 === 2 ? 'DELETE' : 'GET' } : null),
  })
  await until('all rounds are over', () => load.outcomes.length === LINES * ROUNDS)
  return load.stop()
}

test.each<[how: string, close: (socket: net.Socket) => void]>([
  ['ends', (socket) => socket.end()],
  ['resets', (socket) => socket.resetAndDestroy()],
])('a target that %s idle connections at random moments is never seen by a GET', async (_, close) => {
  const target = await startClosing((socket) => setTimeout(close, Math.random() * 6, socket))
  const proxy = await proxyTo(target)
  const outcomes = await rounds(proxy.port, () => Math.random() * 6)
  expect(failed(outcomes)).toEqual([])
  expect(target.connections()).toBeGreaterThan(LINES)
})

test.each<[how: string, close: (socket: net.Socket) => void]>([
  ['ends', (socket) => socket.end()],
  ['resets', (socket) => socket.resetAndDestroy()],
])('a target that %s each reused connection as the request comes is never seen by a GET', async (_, close) => {
  const target = await startRaw((socket, text) => {
    if (headsIn(text) === 1) socket.write(OK)
    else close(socket)
  })
  const proxy = await proxyTo(target)
  const repeated = () => metric(proxy, 'turnout_retries_total', 'reason="stale"')
  const before = await repeated()
  const outcomes = await rounds(proxy.port, () => 0)
  expect(failed(outcomes)).toEqual([])
  expect((await repeated()) - before).toBeGreaterThan(ROUNDS)
})

test('a GET is repeated once, not for ever', async () => {
  let first = true
  const target = await startRaw((socket) => {
    if (first) socket.write(OK)
    else socket.destroy()
    first = false
  })
  const proxy = await proxyTo(target)
  const line = await openLine(proxy.port)
  expect(await line?.ask({ method: 'GET' })).toMatchObject({ status: 200 })
  expect(await line?.ask({ method: 'GET' })).toMatchObject({ status: 502 })
  expect(target.connections()).toBe(2)
  line?.close()
})

/** What becomes of a request on a used connection that closes as it comes, and how often its line reached the target. */
async function askOnClosing(shot: Shot): Promise<{ status: number; sent: number }> {
  const target = await startRaw((socket, text, index) => {
    if (headsIn(text) === 1 && index === 0) socket.write(OK)
    else if (index === 0) socket.destroy()
    else socket.write(shot.method === 'HEAD' ? HEAD_OK : OK)
  })
  const proxy = await proxyTo(target)
  const line = await openLine(proxy.port)
  expect(await line?.ask({ method: 'GET', path: '/before' })).toMatchObject({ status: 200 })
  const answer = (await line?.ask(shot)) as Outcome
  line?.close()
  const sent = target.received().join('').split(`${shot.method} / HTTP/1.1\r\n`).length - 1
  return { status: answer.status, sent }
}

test.each(['POST', 'PATCH', 'BREW', 'post', 'CONNECTED', 'get'])(
  'a %s is never repeated once it was sent',
  async (method) => {
    expect(await askOnClosing({ method, body: 'order=1' })).toEqual({ status: 502, sent: 1 })
  },
)

test.each(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])('a %s is repeated', async (method) => {
  const body = method === 'PUT' ? { body: 'order=1' } : {}
  expect(await askOnClosing({ method, ...body })).toEqual({ status: 200, sent: 2 })
})

test('what was answered by a single byte is not repeated', async () => {
  const target = await startRaw((socket, text) => {
    if (headsIn(text) === 1 && text.includes('/before')) socket.write(OK)
    else socket.write('H', () => socket.destroy())
  })
  const proxy = await proxyTo(target)
  const line = await openLine(proxy.port)
  // Once on a new connection, and once on a used one, where the race of keep-alive would be repeated without question.
  for (const path of ['/one', '/two']) {
    if (path === '/two') await line?.ask({ method: 'GET', path: '/before' })
    expect(await line?.ask({ method: 'GET', path })).toMatchObject({ status: 502 })
    expect(target.received().join('').split(`GET ${path} `)).toHaveLength(2)
  }
  line?.close()
})

/** The target ends with the proxy, so that no tunnel is left half open. */
const endToo = (socket: net.Socket) => void socket.on('end', () => socket.end())

/**
 * Sends a request in two pieces on a used connection that closes once `sees` holds of what it has brought; the second piece
 * leaves once the first has arrived. Gives the answer, and what came on the connections.
 */
async function askInTwo(first: string, second: string, sees: (text: string) => boolean, answer = OK) {
  const target = await startRaw((socket, text, index) => {
    const request = text.slice(text.indexOf('\r\n\r\n') + 4)
    if (index === 0 && request === '') socket.write(OK)
    else if (index === 0 && sees(request)) socket.destroy()
    else if (index > 0 && text.endsWith(second)) socket.write(answer)
  }, endToo)
  const proxy = await proxyTo(target)
  let text = ''
  const client = net.connect(proxy.port, '127.0.0.1')
  onTestFinished(() => void client.destroy())
  client.on('data', (bytes) => {
    text += bytes
  })
  client.write('GET /before HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('the first answer', () => text.endsWith('ok'))
  text = ''
  client.write(first)
  await until('the first piece has arrived', () => headsIn(target.received()[0]) === 2)
  client.write(second)
  await until('the second answer', () => text.includes('\r\n\r\n'))
  return { text, received: target.received() }
}

const small = (...lines: string[]) =>
  ['PUT /x HTTP/1.1', 'Host: a', 'Content-Length: 11', ...lines, '', ''].join('\r\n')
test.each<[what: string, head: string, sees: (text: string) => boolean]>([
  ['is on its way', small(), (text) => headsIn(text) === 1],
  ['has arrived', small(), (text) => text.endsWith('late-enough')],
  ['waits to be asked for', small('Expect: 100-continue'), (text) => headsIn(text) === 1],
  ['has arrived unasked', small('Expect: 100-continue'), (text) => text.endsWith('late-enough')],
])('a PUT is repeated in full when its small body %s', async (_, head, sees) => {
  const { text, received } = await askInTwo(head, 'late-enough', sees)
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
  expect(received).toHaveLength(2)
  expect(received[1]).toMatch(/^PUT \/x HTTP\/1\.1\r\n[\s\S]*\r\n\r\nlate-enough$/)
})

test('a PUT is repeated in full when its small body came in two pieces', async () => {
  const { text, received } = await askInTwo(`${small()}late`, '-enough', (seen) => seen.endsWith('late-enough'))
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
  expect(received[1]).toMatch(/\r\n\r\nlate-enough$/)
})

test.each([
  ['a longer body', small().replace(': 11', ': 9000'), 'x'.repeat(9_000)],
  ['chunks', small().replace('Content-Length: 11', 'Transfer-Encoding: chunked'), '1\r\nx\r\n0\r\n\r\n'],
])('a PUT with %s still to come is not repeated, because nobody keeps that', async (_, head, body) => {
  const { text, received } = await askInTwo(head, body, (seen) => headsIn(seen) >= 1)
  expect(text).toMatch(/^HTTP\/1\.1 502 /)
  expect(received).toHaveLength(1)
})

test('an upgrade is repeated', async () => {
  const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  const head = 'GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  const { text, received } = await askInTwo(head, '', (seen) => headsIn(seen) === 1, switched)
  expect(text).toMatch(/^HTTP\/1\.1 101 /)
  expect(received).toHaveLength(2)
})

test('a POST does not take a connection that was idle for over a second, a GET does', async () => {
  const target = await startClosing(() => {})
  const proxy = await proxyTo(target)
  const line = await openLine(proxy.port)
  const idle = () => new Promise((resolve) => setTimeout(resolve, 1_100))
  await line?.ask({ method: 'GET' })
  await idle()
  await line?.ask({ method: 'GET' })
  expect(target.connections()).toBe(1)
  await line?.ask({ method: 'POST' })
  expect(target.connections()).toBe(1)
  await idle()
  await line?.ask({ method: 'POST' })
  expect(target.connections()).toBe(2)
  line?.close()
})
