import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import WebSocket from 'ws'
import { type Fleet, startFleet } from '../../src/demo/fleet.ts'

let fleet: Fleet
let blue: string
let green: string
beforeAll(async () => {
  fleet = await startFleet({ ports: [0, 0, 0] })
  blue = fleet.targets.blue[0]
  green = fleet.targets.green[0]
})
afterAll(() => fleet.stop())

const getJson = async (url: string, init?: RequestInit) =>
  (await fetch(url, init)).json() as Promise<Record<string, unknown>>

describe('the demo fleet', () => {
  it('has two blue targets of version 1.0 and a green one of 1.1', async () => {
    expect(fleet.targets.blue).toHaveLength(2)
    expect(fleet.targets.green).toHaveLength(1)
    expect(await (await fetch(blue)).text()).toMatch(
      /^blue 1\.0 · target 127\.0\.0\.1:\d+ · change it: .*switch demo green\n$/,
    )
    expect(await (await fetch(green)).text()).toMatch(/^green 1\.1 .*switch demo blue/)
  })

  it('shows browsers a page', async () => {
    const response = await fetch(green, { headers: { accept: 'text/html,*/*' } })
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(await response.text()).toContain('<h1>green 1.1</h1>')
  })

  it('tells its health, version and build', async () => {
    expect(await getJson(`${green}/health`)).toMatchObject({
      status: 'ok',
      version: '1.1',
      build: 'demo-1.1',
      db: { ok: true },
    })
  })

  it('is slow when asked, fails when asked, and knows what it does not have', async () => {
    const startedMs = performance.now()
    expect(await getJson(`${blue}/slow?ms=60`)).toMatchObject({ delayMs: 60 })
    expect(performance.now() - startedMs).toBeGreaterThan(55)
    expect((await fetch(`${blue}/fail`)).status).toBe(500)
    expect((await fetch(`${blue}/constructor`)).status).toBe(404)
  })

  it('counts and hashes an upload', async () => {
    const body = randomBytes(3_000_000)
    const sha256 = createHash('sha256').update(body).digest('hex')
    expect(await getJson(`${blue}/upload`, { method: 'POST', body })).toMatchObject({ bytes: 3_000_000, sha256 })
    expect((await fetch(`${blue}/upload`)).status).toBe(405)
  })

  it('echoes the request headers that arrived', async () => {
    const { headers, method } = await getJson(`${blue}/headers`, { headers: { 'x-some': 'thing' } })
    expect({ headers, method }).toMatchObject({ method: 'GET', headers: { 'x-some': 'thing' } })
  })

  it('streams events that name the version', async () => {
    const ended = new AbortController()
    const response = await fetch(`${green}/events`, { signal: ended.signal })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while (!text.includes('id: 2')) text += (await reader.read()).value
    expect(text).toMatch(/^id: 1\ndata: \{"pool":"green","version":"1.1".*\}\n\nid: 2/)
    ended.abort()
  })

  it('takes a free port when the wanted one is taken', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    const second = await startFleet({ ports: [port, 0, 0] })
    expect(second.targets.blue[0]).not.toContain(`:${port}`)
    expect((await fetch(second.targets.blue[0])).status).toBe(200)
    await second.stop()
    other.close()
  })

  it('refuses connections for a while after a crash, then comes back on the same port', async () => {
    const own = await startFleet({ ports: [0, 0, 0] })
    onTestFinished(() => own.stop())
    const [url] = own.targets.blue
    expect((await fetch(`${url}/crash`, { method: 'POST', headers: { via: '1.1 turnout' } })).status).toBe(404)
    expect((await fetch(`${url}/crash?forMs=300`, { method: 'POST' })).status).toBe(202)
    await vi.waitFor(() => expect(fetch(url)).rejects.toThrow())
    await vi.waitFor(async () => expect((await fetch(url)).status).toBe(200))
  })
})

describe('a broken version of the demo', () => {
  it('fails a share of its requests when it is told so directly, and looks well to probes; until it is mended', async () => {
    const own = await startFleet({ ports: [0, 0, 0] })
    onTestFinished(() => own.stop())
    const [url] = own.targets.green
    const statuses = async (path: string) =>
      Promise.all(Array.from({ length: 60 }, async () => (await fetch(url + path)).status))
    const order = (path: string, headers = {}) => fetch(url + path, { method: 'POST', headers })
    expect((await order('/break?share=1', { via: '1.1 turnout' })).status).toBe(404)
    expect(new Set(await statuses('/'))).toEqual(new Set([200]))
    expect(await (await order('/break?share=0.5')).text()).toMatch(
      /^127\.0\.0\.1:\d+ answers 50 % of its requests with 500/,
    )
    expect(new Set(await statuses('/'))).toEqual(new Set([200, 500]))
    expect(new Set(await statuses('/health'))).toEqual(new Set([200]))
    await order('/mend')
    expect(new Set(await statuses('/'))).toEqual(new Set([200]))
  })
})

describe('the WebSocket echo', () => {
  async function open(url = blue): Promise<WebSocket> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { perMessageDeflate: false })
    onTestFinished(() => socket.terminate())
    await once(socket, 'open')
    return socket
  }
  async function echoed(socket: WebSocket, data: string | Buffer): Promise<{ data: Buffer; binary: boolean }> {
    const answer = once(socket, 'message')
    socket.send(data)
    const [received, binary] = await answer
    return { data: received as Buffer, binary: binary as boolean }
  }

  it('echoes text and binary of every length class', async () => {
    const socket = await open()
    expect((await echoed(socket, 'grüße')).data.toString()).toBe('grüße')
    for (const size of [0, 125, 126, 65_535, 65_536, 1_000_000]) {
      const data = randomBytes(size)
      const answer = await echoed(socket, data)
      expect(answer.binary).toBe(true)
      expect(answer.data.equals(data)).toBe(true)
    }
  })

  it('puts fragments together, with a ping in between', async () => {
    const socket = await open()
    const pong = once(socket, 'pong')
    const message = once(socket, 'message')
    socket.send('one ', { fin: false })
    socket.ping('still there?')
    socket.send('two', { fin: true })
    expect(String((await pong)[0])).toBe('still there?')
    expect(String((await message)[0])).toBe('one two')
  })

  it('answers a close with the same code', async () => {
    const socket = await open()
    socket.close(4001, 'bye')
    expect((await once(socket, 'close'))[0]).toBe(4001)
  })

  it('keeps the order of many messages', async () => {
    const socket = await open()
    const received: string[] = []
    socket.on('message', (data) => received.push(String(data)))
    for (let index = 0; index < 5000; index++) socket.send(String(index))
    await vi.waitFor(() => expect(received).toHaveLength(5000))
    expect(received).toEqual(Array.from({ length: 5000 }, (_, index) => String(index)))
  })

  const handshake =
    'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

  async function raw(frames: Buffer): Promise<Buffer> {
    const { port } = new URL(blue)
    const socket: Socket = connect(Number(port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.write(handshake)
    let received = Buffer.alloc(0)
    // Byte by byte, as a slow network would.
    for (const byte of frames) socket.write(Buffer.of(byte))
    for await (const chunk of socket) received = Buffer.concat([received, chunk as Buffer])
    return received.subarray(received.indexOf('\r\n\r\n') + 4)
  }

  it('accepts by the rule of RFC 6455 1.3 and ends a connection that breaks the rules with the right code', async () => {
    const masked = (first: number, ...payload: number[]) =>
      Buffer.of(first, 0x80 | payload.length, 0, 0, 0, 0, ...payload)
    expect(await raw(Buffer.of(0x81, 0x01, 0x61))).toEqual(Buffer.of(0x88, 2, 1002 >> 8, 1002 & 255))
    expect(await raw(masked(0xc1, 0x61))).toEqual(Buffer.of(0x88, 2, 1002 >> 8, 1002 & 255))
    expect(await raw(masked(0x80, 0x61))).toEqual(Buffer.of(0x88, 2, 1002 >> 8, 1002 & 255))
    expect(await raw(masked(0x81, 0xff))).toEqual(Buffer.of(0x88, 2, 1007 >> 8, 1007 & 255))
    expect(await raw(masked(0x88, 0x03))).toEqual(Buffer.of(0x88, 2, 1002 >> 8, 1002 & 255))
  })

  it('answers 400 to an upgrade that is no WebSocket', async () => {
    const { port } = new URL(blue)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write('GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n')
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 400 /)
    socket.destroy()
  })
})
