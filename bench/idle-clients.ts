/**
 * The clients of bench/idle.ts, as a process of their own: opens keep-alive connections from several loopback addresses, has
 * each send one request and take its answer, and holds them until its standard input ends.
 *
 * Arguments: port, connections, and `tunnel` where each is to be a tunnel to `/idle` instead. Prints one line of JSON (`Held`) when
 * all of them idle. When the system allows fewer descriptors, it holds as many as it gets and says so.
 */
import { connect, type Socket } from 'node:net'

/** Connections of one client address. */
const PER_ADDRESS = 1_000
/** Connections that are being opened at the same time. */
const LANES = 64
/** Anything on a connection that should be idle is noted for this long before the count is told. */
const SETTLE_MS = 500
/** Whoever has no answer by then has failed. */
const ANSWER_MS = 30_000

export interface Held {
  /** Connections that idle after one whole answer. */
  readonly held: number
  /** Why the first that failed did; null when none did. */
  readonly failure: string | null
}

const [port, count] = process.argv.slice(2, 4).map(Number)
const isTunnel = process.argv[4] === 'tunnel'
const host = `Host: 127.0.0.1:${port}\r\n`
const request = isTunnel
  ? Buffer.from(`GET /idle HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
  : Buffer.from(`GET /small HTTP/1.1\r\n${host}\r\n`)
const status = isTunnel ? 'HTTP/1.1 101' : 'HTTP/1.1 200'
const idle = new Set<Socket>()
let failure: string | null = null

/** Opens connection number `i`; resolves when its one answer is there, or when it has failed. */
function open(i: number): Promise<void> {
  return new Promise((resolve) => {
    const localAddress = `127.0.0.${2 + Math.floor(i / PER_ADDRESS)}`
    const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true })
    let answer = ''
    socket.setEncoding('latin1')
    socket.setTimeout(ANSWER_MS, () => {
      if (!idle.has(socket)) socket.destroy(new Error(`no answer to connection ${i}: ${JSON.stringify(answer)}`))
    })
    socket.on('connect', () => socket.write(request))
    socket.on('data', (text: string) => {
      answer += text
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(answer)?.[1] ?? (isTunnel ? 0 : Number.NaN))
      const headEnd = answer.indexOf('\r\n\r\n')
      if (headEnd < 0 || answer.length < headEnd + 4 + length || Number.isNaN(length)) return
      if (answer.startsWith(status)) idle.add(socket)
      else failure ??= answer.slice(0, 80)
      resolve()
    })
    socket.on('error', (error) => {
      failure ??= error.message
    })
    socket.on('close', () => {
      if (idle.delete(socket)) failure ??= 'closed while idle'
      resolve()
    })
  })
}

let next = 0
const lane = async () => {
  while (next < count && failure === null) await open(next++)
}
await Promise.all(Array.from({ length: LANES }, lane))
await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
process.stdout.write(`${JSON.stringify({ held: idle.size, failure } satisfies Held)}\n`)
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
