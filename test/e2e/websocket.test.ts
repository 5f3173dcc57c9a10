/** WebSockets with the `ws` package on both sides: 100,000 messages come back as they went, and so do pings and close codes. */

import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { bulk } from '../helpers/bulk.ts'
import { http } from '../helpers/http.ts'
import { patternOf } from '../helpers/pattern.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { rawRequest } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'

const CONNECTIONS = 8
/** Messages that are under way on a connection at the same time. */
const WINDOW = 64

/** Sizes from 0 to 70,000: mostly small, all the borders of the WebSocket framing among them. */
const BORDERS = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]
const sizeOf = (i: number) =>
  i % 1_000 < BORDERS.length ? BORDERS[i % 1_000] : i % 250 === 99 ? (i * 7_919) % 70_001 : (i * 31) % 300
const BYTES = patternOf(200_000)
const TEXT = patternOf(150_000).toString('base64')

/** Message i: text and binary by turns. */
function messageOf(i: number): string | Buffer {
  const size = sizeOf(i)
  const from = (i * 101) % 100_000
  return i % 2 === 0 ? TEXT.slice(from, from + size) : BYTES.subarray(from, from + size)
}

function isMessage(i: number, data: RawData, isBinary: boolean): boolean {
  const expected = messageOf(i)
  if (typeof expected === 'string') return !isBinary && String(data) === expected
  return isBinary && (data as Buffer).equals(expected)
}

/** A target that sends every message back, and closes with the code and reason that a message `close …` asks for. */
async function startEcho(): Promise<{ url: string; closes: [number, string][]; pings: string[] }> {
  const server = http.createServer()
  const sockets = new WebSocketServer({ server, perMessageDeflate: false })
  const closes: [number, string][] = []
  const pings: string[] = []
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => {
      const text = isBinary ? '' : String(data)
      if (text.startsWith('close ')) socket.close(Number(text.slice(6, 10)), text.slice(11))
      else if (text === 'ping me') socket.ping('from the target')
      else socket.send(data, { binary: isBinary })
    })
    socket.on('ping', (data) => pings.push(String(data)))
    socket.on('pong', (data) => socket.send(`pong: ${data}`))
    socket.on('close', (code, reason) => closes.push([code, String(reason)]))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    for (const socket of sockets.clients) socket.terminate()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, closes, pings }
}

async function open(proxy: TestProxy, protocols: string[] = []): Promise<WebSocket> {
  const socket = new WebSocket(proxy.url.replace('http', 'ws') + '/echo', protocols, { perMessageDeflate: false })
  onTestFinished(() => socket.terminate())
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return socket
}

/** Sends messages `[from, from + count)`, a window of them at a time, and resolves with the first that came back wrong. */
function echoAll(socket: WebSocket, from: number, count: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const wrong: number[] = []
    let sent = 0
    let received = 0
    const send = () => {
      while (sent < count && sent - received < WINDOW) socket.send(messageOf(from + sent++))
    }
    socket.on('message', (data, isBinary) => {
      const i = from + received++
      if (!isMessage(i, data, isBinary) && wrong.length < 20) wrong.push(i)
      if (received === count) resolve(wrong)
      else send()
    })
    socket.on('close', (code) => reject(new Error(`closed with ${code} after ${received} messages`)))
    send()
  })
}

const nextMessage = (socket: WebSocket) =>
  new Promise<string>((resolve) => socket.once('message', (data) => resolve(String(data))))

describe.each([
  { sharedReads: true, messages: bulk(8_000, 100_000) },
  { sharedReads: false, messages: bulk(8_000, 100_000) },
])('with sharedReads $sharedReads', ({ sharedReads, messages }) => {
  const proxyTo = shareProxy({}, { sharedReads })
  const start = async () => {
    const echo = await startEcho()
    const proxy = await proxyTo(echo)
    return { ...echo, proxy }
  }

  test(`${messages} messages come back as they went, in order`, async () => {
    const { proxy } = await start()
    const each = messages / CONNECTIONS
    const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(proxy)))
    const wrong = await Promise.all(sockets.map((socket, i) => echoAll(socket, i * each, each)))
    expect(wrong.flat()).toEqual([])
    const { pools } = await call<{ pools: object }>(proxy, 'GET', '/v1/services/shop/status')
    expect(JSON.stringify(pools)).toContain(`"tunnels":${CONNECTIONS}`)
  }, 120_000)

  test('pings and pongs pass in both directions', async () => {
    const { proxy, pings } = await start()
    const socket = await open(proxy)
    const pong = new Promise<string>((resolve) => socket.once('pong', (data) => resolve(String(data))))
    socket.ping('from the client')
    expect(await pong).toBe('from the client')
    expect(pings).toEqual(['from the client'])
    const seen = new Promise<string>((resolve) => socket.once('ping', (data) => resolve(String(data))))
    socket.send('ping me')
    expect(await seen).toBe('from the target')
    expect(await nextMessage(socket)).toBe('pong: from the target')
  })

  test('the close code and reason of the target reach the client, and the other way round', async () => {
    const { proxy, closes } = await start()
    const asking = await open(proxy)
    const closed = new Promise<[number, string]>((resolve) =>
      asking.once('close', (code, reason) => resolve([code, String(reason)])),
    )
    asking.send('close 4321 enough for today')
    expect(await closed).toEqual([4321, 'enough for today'])
    const leaving = await open(proxy)
    leaving.close(4003, 'bye')
    await expect.poll(() => closes).toContainEqual([4003, 'bye'])
  })

  test('a client that is cut off closes the connection to the target', async () => {
    const { proxy, closes } = await start()
    const socket = await open(proxy)
    socket.send('hello')
    expect(await nextMessage(socket)).toBe('hello')
    socket.terminate()
    await expect.poll(() => closes).toEqual([[1006, '']])
    const tunnels = async () => JSON.stringify(await call(proxy, 'GET', '/v1/services/shop/status'))
    await expect.poll(tunnels).toContain('"tunnels":0')
  })

  test('a message that is sent together with the handshake is not lost', async () => {
    const { proxy } = await start()
    // Masked with zeroes, a text frame "early" behind the request head in the same write.
    const frame = Buffer.concat([Buffer.from([0x81, 0x85, 0, 0, 0, 0]), Buffer.from('early')]).toString('latin1')
    const head =
      'GET /echo HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
    const { text } = await rawRequest(proxy.port, head + frame, { until: (so) => so.endsWith('early') })
    expect(text).toMatch(/^HTTP\/1\.1 101 /)
    expect(text).toContain('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
    expect(text.endsWith('\x81\x05early')).toBe(true)
  })
})

test('an upgrade that the target refuses is answered by its own answer, and the connection goes on', async () => {
  const server = http.createServer((_request, response) =>
    response.writeHead(426, { 'x-why': 'no' }).end('no upgrade here'),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const proxy = await startProxy({ services: { chat: service({ blue: [url] }) } })
  const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  const plain = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  const { text } = await rawRequest(proxy.port, upgrade + plain)
  expect(text.match(/HTTP\/1\.1 426 /g)?.length).toBe(2)
})
