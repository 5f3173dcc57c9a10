/**
 * The targets of `bench/tunnels.ts`, as a process of their own: blue and green, each with WebSockets of numbered messages (every third in two
 * fragments with a ping between them), streams of numbered events, tunnels that are silent, and tunnels that send frames as fast as they are taken.
 *
 * Messages of clients are counted over both, so that what was lost on the way from one to the other is seen. `/refuse?ms=` has every other
 * handshake answered 503 for so long; `/tally` tells what has come.
 *
 * Argument: ms between two messages of a tunnel. Prints one line of JSON: the ports.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import { paddingOf } from './tunnel-clients.ts'

/** What clients have sent, as it arrived. */
export interface Tally {
  readonly arrived: number
  /** Numbers that came twice, or behind a later one of the same tunnel. */
  readonly wrong: number
  /** Wall times in ms of all handshakes of numbered tunnels. */
  readonly handshakesMs: readonly number[]
  /** The longest time for which this process read nothing, since it was asked last. */
  readonly stallMs: number
}

/** Sockets that listen on a port: Node accepts one connection of each in a turn of its loop, and turns are long with thousands of messages a second. */
const ACCEPTS_PER_TURN = 32
const FLOW_BYTES = 65_536
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const received = new Map<string, Set<number>>()
const handshakesMs: number[] = []
const delay = monitorEventLoopDelay({ resolution: 10 })
let wrong = 0

function push(socket: WebSocket, request: IncomingMessage, name: string, everyMs: number): void {
  const id = String(request.headers['x-user-id'])
  const numbers = received.get(id) ?? new Set()
  received.set(id, numbers)
  let last = -1
  let sent = 0
  socket.on('message', (data) => {
    const number = Number(String(data))
    if (numbers.has(number) || number < last) wrong++
    numbers.add(number)
    last = number
  })
  const timer = setInterval(() => {
    const text = `${name} ${sent} ${paddingOf(sent)}`
    if (sent++ % 3 !== 0) return socket.send(text)
    socket.send(text.slice(0, 5), { fin: false })
    socket.ping()
    setImmediate(() => socket.readyState === WebSocket.OPEN && socket.send(text.slice(5), { fin: true }))
  }, everyMs)
  socket.on('error', () => {})
  socket.on('close', () => clearInterval(timer))
}

/** Whole frames of so many octets of payload, as many as make up a piece. */
function framesOf(payload: number): Buffer {
  const head = payload < 126 ? [0x82, payload] : [0x82, 126, payload >>> 8, payload & 0xff]
  const frame = Buffer.concat([Buffer.from(head), Buffer.alloc(payload, 'x')])
  return Buffer.concat(Array.from({ length: Math.ceil(FLOW_BYTES / frame.length) }, () => frame))
}

/** Writes as fast as is taken. */
function flow(socket: Duplex, piece: Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(piece)) {}
  }
  socket.on('drain', more)
  more()
}

function streamEvents(response: ServerResponse, name: string, everyMs: number): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.flushHeaders()
  let sent = 0
  const timer = setInterval(() => {
    response.write(`id: ${sent}\ndata: ${name} `)
    // An event in two pieces.
    setImmediate(() => response.write(`${paddingOf(sent++)}.\n\n`))
  }, everyMs)
  response.on('close', () => clearInterval(timer))
}

async function start(name: string, everyMs: number): Promise<number> {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  sockets.on('headers', (headers) => void headers.push(`X-Version: ${name}`))
  let refusesUntilMs = 0
  let handshakes = 0
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://target')
    if (pathname === '/events') return streamEvents(response, name, everyMs)
    if (pathname === '/refuse') refusesUntilMs = performance.now() + Number(searchParams.get('ms'))
    const arrived = [...received.values()].reduce((sum, { size }) => sum + size, 0)
    const stallMs = delay.max / 1e6
    delay.reset()
    response.end(JSON.stringify({ arrived, wrong, handshakesMs, stallMs } satisfies Tally))
  }
  const onUpgrade = (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => {})
    const { pathname, searchParams } = new URL(request.url!, 'http://target')
    if (performance.now() < refusesUntilMs && handshakes++ % 2 === 0) {
      return socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    }
    if (pathname === '/ws') {
      handshakesMs.push(Date.now())
      return sockets.handleUpgrade(request, socket, head, (it) => push(it, request, name, everyMs))
    }
    socket.write(SWITCH)
    socket.resume()
    if (pathname === '/flow') flow(socket, framesOf(Number(searchParams.get('frame'))))
    socket.on('end', () => socket.end())
  }
  let port = 0
  for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
    const server = createServer(onRequest).on('upgrade', onUpgrade)
    await new Promise<void>((resolve) =>
      server.listen({ port, host: '127.0.0.1', backlog: 4_096, reusePort: true }, resolve),
    )
    port = (server.address() as AddressInfo).port
  }
  return port
}

if (import.meta.main) {
  delay.enable()
  const everyMs = Number(process.argv[2])
  const [blue, green] = [await start('blue', everyMs), await start('green', everyMs)]
  process.stdout.write(`${JSON.stringify({ blue, green })}\n`)
}
