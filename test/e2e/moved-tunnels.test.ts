/**
 * WebSockets that are moved from one version to another, with the `ws` package on both sides: numbered messages both ways, in fragments and with
 * pings between them, and clients that come back. Whatever a client has sent arrives, and whatever it is given is whole and in order.
 */
import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { bulk } from '../helpers/bulk.ts'
import { http } from '../helpers/http.ts'
import { call, service, startProcess, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startRaw, startUpstream } from '../helpers/upstream.ts'

const CLIENTS = bulk(60, 200)
/** Slow enough that a machine which does other things too comes along: with 20 ms it was busy with 20,000 messages a second. */
const SEND_MS = 50
const DRAIN = { timeout: '10s', tunnels: { over: '3s', perSecond: 1000, message: 'reconnect' } }

interface Server {
  readonly url: string
  readonly name: string
  /** Numbers that came, by client. */
  readonly received: Map<string, number[]>
  /** Codes that its connections were closed with. */
  readonly codes: number[]
}

/** A target that sends numbered messages, every third in two fragments with a ping between them. */
async function startPusher(name: string): Promise<Server> {
  const server = http.createServer()
  const sockets = new WebSocketServer({ server, perMessageDeflate: false })
  const received = new Map<string, number[]>()
  const codes: number[] = []
  sockets.on('connection', (socket, request) => {
    const id = String(request.headers['x-user-id'])
    const numbers = received.get(id) ?? []
    received.set(id, numbers)
    socket.on('message', (data) => numbers.push(Number(String(data))))
    let sent = 0
    const timer = setInterval(() => {
      const text = `${name} ${sent++} ${'.'.repeat((sent * 97) % 700)}`
      if (sent % 3 !== 0) return socket.send(text)
      socket.send(text.slice(0, 5), { fin: false })
      socket.ping()
      setImmediate(() => socket.readyState === WebSocket.OPEN && socket.send(text.slice(5), { fin: true }))
    }, SEND_MS)
    socket.on('error', () => {})
    socket.on('close', (code) => {
      codes.push(code)
      clearInterval(timer)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    for (const socket of sockets.clients) socket.terminate()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, name, received, codes }
}

/** A client that comes back whenever it is closed; what it sees is kept. */
class Client {
  /** Versions that it was on, in order. */
  readonly versions: string[] = []
  readonly faults: string[] = []
  readonly closes: { readonly code: number; readonly lastText: string; readonly atMs: number }[] = []
  sent = 0
  readonly #url: string
  readonly #id: string
  readonly #comesBack: boolean
  #socket: WebSocket | null = null
  #isOver = false
  readonly #timer = setInterval(() => {
    const socket = this.#socket
    if (socket?.readyState === WebSocket.OPEN) socket.send(String(this.sent++))
  }, SEND_MS)

  constructor(url: string, id: string, comesBack = true) {
    this.#url = url
    this.#id = id
    this.#comesBack = comesBack
    this.#open()
  }

  #open(): void {
    const socket = new WebSocket(this.#url, { headers: { 'x-user-id': this.#id }, perMessageDeflate: false })
    let expected = 0
    let lastText = ''
    socket.on('message', (data) => {
      lastText = String(data)
      if (lastText === 'reconnect') return
      const [name, number, dots] = lastText.split(' ')
      if (expected === 0) this.versions.push(name)
      const isWhole = Number(number) === expected && dots.length === ((expected + 1) * 97) % 700
      if (!isWhole) this.faults.push(`${name} ${number}, not ${expected}`)
      expected++
    })
    socket.on('error', ({ message }) => this.faults.push(message))
    socket.on('close', (code) => {
      if (this.#isOver) return
      this.closes.push({ code, lastText, atMs: performance.now() })
      if (this.#comesBack) this.#open()
    })
    this.#socket = socket
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN
  }

  end(): void {
    this.#isOver = true
    clearInterval(this.#timer)
    this.#socket?.terminate()
  }
}

interface Status {
  pools: { name: string; tunnels: number; letGo: Record<string, unknown> | null }[]
}
const poolOf = async (proxy: TestProxy, name: string) =>
  (await call<Status>(proxy, 'GET', '/v1/services/shop/status')).pools.find((pool) => pool.name === name)!

const messages = async (proxy: TestProxy) => {
  const { events } = await call<{ events: { message: string }[] }>(proxy, 'GET', '/v1/events?follow=false')
  return events.map(({ message }) => message)
}

test('after a switch every client is on the other version, told before, and nothing is broken or lost', async () => {
  const [blue, green] = [await startPusher('blue'), await startPusher('green')]
  const services = {
    shop: service({ blue: [blue.url], green: [green.url] }, { visitor: ['header:x-user-id'], drain: DRAIN }),
  }
  const proxy = await startProxy({ workers: 2, services })
  const url = proxy.url.replace('http', 'ws')
  const clients = Array.from({ length: CLIENTS }, (_, i) => new Client(url, `u${i}`))
  onTestFinished(() => {
    for (const client of clients) client.end()
  })
  await until('all are on blue', () => clients.every(({ versions }) => versions[0] === 'blue'))

  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green', wait: '0s' })
  await until('all are on green', () => clients.every(({ versions }) => versions[1] === 'green'))
  const numbersOf = (id: string) =>
    [...(blue.received.get(id) ?? []), ...(green.received.get(id) ?? [])].sort((a, b) => a - b)
  // The last words on a connection may come to blue after the first ones on the next have come to green.
  await until('all that was sent before is there', () =>
    clients.every((client, i) => {
      const numbers = numbersOf(`u${i}`)
      return numbers.length >= client.sent - 2 && numbers.at(-1) === numbers.length - 1
    }),
  )
  expect(clients.flatMap(({ faults }) => faults)).toEqual([])
  for (const [i, { closes }] of clients.entries()) {
    expect(closes).toMatchObject([{ code: 1012, lastText: 'reconnect' }])
    expect(numbersOf(`u${i}`)).toEqual(numbersOf(`u${i}`).map((_, at) => at))
  }
  await until('blue has seen every end', () => blue.codes.length >= CLIENTS)
  expect(new Set(blue.codes)).toEqual(new Set([1012]))
  const all = { before: CLIENTS, closed: CLIENTS, cut: 0, moved: CLIENTS, left: 0, pace: 'steady' }
  await expect.poll(async () => (await poolOf(proxy, 'blue')).letGo).toEqual(all)
  // On a busy machine some come back only after that was told.
  const over = new RegExp(`^Of the tunnels of pool blue of shop ${CLIENTS} were closed, and \\d+ have come`, 'm')
  await expect.poll(async () => (await messages(proxy)).join('\n')).toMatch(over)
  await expect.poll(async () => (await poolOf(proxy, 'blue')).tunnels).toBe(0)
})

/** A target that says these octets in each WebSocket, and nothing else. */
const startSaying = (octets: Buffer) =>
  startRaw((socket, text) => {
    if (!text.endsWith('\r\n\r\n')) return
    const key = /sec-websocket-key: (.*)\r\n/i.exec(text)![1]
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n`
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`)
    socket.write(octets)
  })

test('a tunnel whose frame does not end in time, and one whose client takes nothing, are told as cut; one between two frames of a message is not', async () => {
  const payload = Buffer.alloc(20_000_000)
  const whole = Buffer.concat([Buffer.from([0x82, 0x7f, 0, 0, 0, 0]), Buffer.alloc(4), payload])
  whole.writeUInt32BE(payload.length, 6)
  const pools = {
    frame: [(await startSaying(Buffer.from([0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0, 0]))).url],
    message: [(await startSaying(Buffer.from([0x01, 0x02, 0x68, 0x61]))).url],
    client: [(await startSaying(whole)).url],
    green: [(await startPusher('green')).url],
  }
  const rules = ['frame', 'message', 'client'].map((to) => ({ name: to, when: { path: { prefix: `/${to}` } }, to }))
  const drain = { timeout: '500ms', tunnels: { over: '100ms' } }
  const proxy = await startProxy({ services: { shop: service(pools, { live: 'green', drain, rules }) } })
  const codes: Record<string, number> = {}
  for (const { name } of rules) {
    const socket = new WebSocket(`${proxy.url.replace('http', 'ws')}/${name}`)
    onTestFinished(() => socket.terminate())
    socket.on('error', () => {})
    socket.on('open', () => name === 'client' && socket.pause())
    socket.on('close', (code) => {
      codes[name] = code
    })
  }
  for (const { name } of rules) await until('it is open', async () => (await poolOf(proxy, name)).tunnels === 1)
  await call(proxy, 'PUT', '/v1/services/shop/rules', [])
  for (const { name } of rules) await call(proxy, 'PUT', `/v1/services/shop/pools/${name}/state`, { state: 'standby' })
  const ended = (cut: number) => ({ tunnels: 0, letGo: { closed: 1, cut, left: 0 } })
  const limit = { timeout: 25_000 }
  await expect.poll(() => poolOf(proxy, 'message'), limit).toMatchObject(ended(0))
  await expect.poll(() => poolOf(proxy, 'frame'), limit).toMatchObject(ended(1))
  await expect.poll(() => poolOf(proxy, 'client'), limit).toMatchObject(ended(1))
  expect(codes).toMatchObject({ message: 1012, frame: 1006 })
})

test('at SIGTERM tunnels are closed at their pace within the limit, between two messages; those that cannot be are cut at its end, and told after the restart', async () => {
  const [COUNT, STUCK, LIMIT_MS] = [60, 2, 4_000]
  const blue = await startPusher('blue')
  // A message that never ends, after which nothing can be said.
  const stuck = await startSaying(Buffer.from([0x01, 0x02, 0x68, 0x61, 0x80, 0x7e]))
  const services = {
    shop: service({ blue: [blue.url] }, { visitor: ['header:x-user-id'], drain: DRAIN }),
    odd: service({ blue: [stuck.url] }, { routes: [{ host: 'localhost', path: '/' }] }),
  }
  const config = { workers: 2, store: 'sqlite:./turnout.db', timeouts: { shutdown: `${LIMIT_MS}ms` }, services }
  const folder = temporaryFolder()
  const proxy = await startProcess(config, folder)
  const url = proxy.url.replace('http', 'ws')
  const clients = Array.from({ length: COUNT }, (_, i) => new Client(url, `u${i}`, false))
  const odd = Array.from({ length: STUCK }, () => new WebSocket(url.replace('127.0.0.1', 'localhost')))
  const cut = odd.map((socket) => new Promise<number>((resolve) => socket.on('close', resolve).on('error', () => {})))
  onTestFinished(() => {
    for (const client of clients) client.end()
    for (const socket of odd) socket.terminate()
  })
  await until('all are there', () => clients.every(({ versions }) => versions.length === 1))
  await until('so are the odd ones', () => odd.every(({ readyState }) => readyState === WebSocket.OPEN))
  const sinceMs = performance.now()
  proxy.child.kill('SIGTERM')
  expect(await proxy.exited()).toBe(0)
  const tookMs = performance.now() - sinceMs
  expect(tookMs).toBeLessThan(LIMIT_MS + 1_500)
  for (const { closes, faults } of clients) {
    expect(closes).toMatchObject([{ code: 1012, lastText: 'reconnect' }])
    expect(faults).toEqual([])
  }
  // One after the other: not all in a part of the time, and none at its end.
  const times = clients.map(({ closes }) => closes[0].atMs - sinceMs).sort((a, b) => a - b)
  expect(times.at(-1)).toBeLessThan(LIMIT_MS - 500)
  expect(times[COUNT / 4 - 1]).toBeGreaterThan(300)
  expect(times[(3 * COUNT) / 4] - times[COUNT / 4]).toBeGreaterThan(700)
  expect(await Promise.all(cut)).toEqual([1006, 1006])
  const again = await startProcess(config, folder)
  const { events } = await call<{ events: object[] }>(again, 'GET', '/v1/events?follow=false&type=shutdown')
  const what = `${STUCK} tunnels cut (odd): not over within 4 s (timeouts.shutdown)`
  const data = { tunnels: STUCK, requests: 0, refused: 0, byService: { odd: { tunnels: STUCK } } }
  expect(events).toMatchObject([{ message: `process ${proxy.child.pid} has ended: ${what}`, data }])
})

test('event streams end between two events, are asked for again, and no event is broken; one that is stuck in an event is cut; long downloads go on, and streams whose readers would not ask again', async () => {
  const READERS = 40
  const startStreams = (name: string) =>
    startUpstream((request, response) => {
      if (request.url === '/file') {
        response.write('begin ')
        downloads.push(() => response.end('end'))
        return
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      if (request.url === '/completion') {
        response.write('data: begin\n\n')
        downloads.push(() => response.end('data: end\n\n'))
        return
      }
      if (request.url === '/stuck') return void response.write('data: 1\n\ndata: 2')
      let sent = 0
      const timer = setInterval(() => {
        response.write(`id: ${sent}\ndata: ${name} `)
        setImmediate(() => response.write(`${'x'.repeat(sent % 50)}.\n\n`))
        sent++
      }, SEND_MS)
      response.on('close', () => clearInterval(timer))
    })
  const downloads: (() => void)[] = []
  const [blue, green] = [await startStreams('blue'), await startStreams('green')]
  const drain = { timeout: '1s', tunnels: { over: '1s', perSecond: 1000 } }
  const proxy = await startProxy({
    workers: 2,
    services: { shop: service({ blue: [blue.url], green: [green.url] }, { drain }) },
  })
  const headers = { accept: 'text/event-stream' }
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const names: Set<string>[] = []
  const faults: string[] = []
  const read = async (seen: Set<string>) => {
    while (!stop.signal.aborted) {
      const answer = await fetch(`${proxy.url}/events`, { headers, signal: stop.signal })
      let text = ''
      for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
        text += piece
        seen.add(/data: (\w+)/.exec(text)?.[1] ?? '')
      }
      const isWhole = /^(id: \d+\ndata: \w+ x*\.\n\n)*$/.test(text)
      if (!isWhole) faults.push(text.slice(-100))
    }
  }
  for (let i = 0; i < READERS; i++) {
    const seen = new Set<string>()
    names.push(seen)
    read(seen).catch((error: unknown) => stop.signal.aborted || faults.push(String(error)))
  }
  const download = fetch(`${proxy.url}/file`).then((answer) => answer.text())
  const completions = [{ method: 'POST', headers, body: '{}' }, { method: 'POST', body: '{}' }, {}].map((asked) =>
    fetch(`${proxy.url}/completion`, asked).then((answer) => answer.text()),
  )
  const stuck = await fetch(`${proxy.url}/stuck`, { headers })
  const isOpen = () => downloads.length === 1 + completions.length
  await until('all read from blue', () => names.every((seen) => seen.has('blue')) && isOpen())
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green', wait: '0s' })
  await until('all read from green', () => names.every((seen) => seen.has('green')))
  expect(faults).toEqual([])
  await expect(stuck.text()).rejects.toThrow('terminated')
  await expect.poll(() => poolOf(proxy, 'blue')).toMatchObject({ inFlight: 1 + completions.length, letGo: { left: 0 } })
  for (const end of downloads) end()
  expect(await download).toBe('begin end')
  expect(new Set(await Promise.all(completions))).toEqual(new Set(['data: begin\n\ndata: end\n\n']))
  const idle = { inFlight: 0, letGo: { cut: 1, left: 0 } }
  await expect.poll(() => poolOf(proxy, 'blue')).toMatchObject(idle)
})
