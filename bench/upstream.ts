/**
 * The targets behind every measured proxy: two pools, `blue` and `green`, in one cheap process of its own.
 *
 * It must cost far less than the proxies, or it would be what is measured; so the one request that is sent a million times
 * (`GET /small` without a body) is recognised by a few bytes and answered from a ready buffer. That short way relies on
 * what every measured proxy does: it sends one request, and the next only after the answer. Everything else takes the slow
 * way, which reads heads and bodies properly, since the correctness checks depend on it.
 *
 *   /small    100 bytes: the name of the pool and padding     /1mb      1 MB, the same bytes every time
 *   /echo     the body as it came                             /upload   how many bytes came
 *   /inspect  the request head as JSON, with the pool         /health   200
 *   /counts   {connections, requests} of this pool so far
 *
 * Run as a process it prints `{"blue":PORT,"green":PORT}` and serves until its standard input ends.
 */
import { createServer, type Server, type Socket } from 'node:net'

export type PoolName = 'blue' | 'green'
export const SMALL_BYTES = 100
export const LARGE_BYTES = 1024 * 1024

/** The exact body of `GET /small` of a pool. */
export function smallBody(pool: PoolName): string {
  return pool.padEnd(SMALL_BYTES, '.')
}

/** The exact body of `GET /1mb`: not compressible to nothing, and wrong in any place if shifted. */
export const LARGE_BODY = Buffer.alloc(LARGE_BYTES)
for (let i = 0; i < LARGE_BYTES; i++) LARGE_BODY[i] = (i * 31 + (i >>> 8) * 17) & 0xff

interface Request {
  readonly method: string
  readonly path: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly length: number
  readonly chunked: boolean
}

interface Pool {
  readonly name: PoolName
  readonly small: Buffer
  connections: number
  requests: number
}

const NOTHING = Buffer.alloc(0)
const LARGE_ANSWER = Buffer.concat([head(200, 'application/octet-stream', LARGE_BYTES), LARGE_BODY])

function head(status: number, type: string, length: number): Buffer {
  const reason = status === 200 ? 'OK' : 'Not Found'
  return Buffer.from(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`,
    'latin1',
  )
}

function answer(socket: Socket, status: number, type: string, body: Buffer): void {
  socket.write(Buffer.concat([head(status, type, body.length), body]))
}

function parseHead(text: string): Request {
  const lines = text.split('\r\n')
  const [method, path] = lines[0].split(' ')
  const headers = lines.slice(1).map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
  })
  const value = (name: string) => headers.find((field) => field[0] === name)?.[1]
  return {
    method,
    path,
    headers,
    length: Number(value('content-length') ?? 0),
    chunked: /chunked/i.test(value('transfer-encoding') ?? ''),
  }
}

/** Decodes a whole chunked body; null while it is not there yet. */
function dechunk(bytes: Buffer): { body: Buffer; end: number } | null {
  const parts: Buffer[] = []
  let at = 0
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at, 'latin1')
    if (lineEnd < 0) return null
    const size = Number.parseInt(bytes.latin1Slice(at, lineEnd), 16)
    const start = lineEnd + 2
    if (size === 0) {
      const end = bytes.latin1Slice(start, start + 2) === '\r\n' ? start + 2 : bytes.indexOf('\r\n\r\n', start) + 4
      return end <= start + 1 || bytes.length < end ? null : { body: Buffer.concat(parts), end }
    }
    if (bytes.length < start + size + 2) return null
    parts.push(bytes.subarray(start, start + size))
    at = start + size + 2
  }
}

function respond(socket: Socket, pool: Pool, request: Request, body: Buffer, bodyBytes: number): void {
  const path = request.path.split('?')[0]
  if (path === '/small' || path === '/health' || path === '/') socket.write(pool.small)
  else if (path === '/1mb') socket.write(LARGE_ANSWER)
  else if (path === '/echo') answer(socket, 200, 'application/octet-stream', body)
  else if (path === '/upload') answer(socket, 200, 'text/plain', Buffer.from(String(bodyBytes)))
  else if (path === '/counts') {
    const { connections, requests } = pool
    answer(socket, 200, 'application/json', Buffer.from(JSON.stringify({ connections, requests })))
  } else if (path === '/inspect') {
    const { method, headers } = request
    answer(
      socket,
      200,
      'application/json',
      Buffer.from(JSON.stringify({ pool: pool.name, method, path: request.path, headers })),
    )
  } else answer(socket, 404, 'text/plain', Buffer.from('no such path'))
}

/** One connection: what came and is not answered yet, and the body that is counted but not kept. */
class Connection {
  private pending: Buffer = NOTHING
  private counted: Request | null = null
  private left = 0
  private readonly socket: Socket
  private readonly pool: Pool

  constructor(socket: Socket, pool: Pool) {
    this.socket = socket
    this.pool = pool
    socket.on('data', (chunk: Buffer) => this.read(chunk))
    socket.on('error', () => socket.destroy())
  }

  private read(chunk: Buffer): void {
    if (this.counted !== null) {
      this.count(chunk)
      return
    }
    if (this.pending.length === 0 && isSmallGet(chunk)) {
      this.pool.requests++
      this.socket.write(this.pool.small)
      return
    }
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk])
    while (this.pending.length > 0 && this.next());
  }

  /** Takes one request from what came; false when more is needed first. */
  private next(): boolean {
    const headEnd = this.pending.indexOf('\r\n\r\n', 0, 'latin1')
    if (headEnd < 0) return false
    const request = parseHead(this.pending.latin1Slice(0, headEnd))
    const rest = this.pending.subarray(headEnd + 4)
    if (request.path.startsWith('/upload') && !request.chunked && rest.length < request.length) {
      this.pending = NOTHING
      this.counted = request
      this.left = request.length
      this.count(rest)
      return false
    }
    const whole = request.chunked ? dechunk(rest) : wholeBody(rest, request.length)
    if (whole === null) return false
    this.pending = rest.subarray(whole.end)
    this.pool.requests++
    respond(this.socket, this.pool, request, whole.body, whole.body.length)
    return true
  }

  private count(chunk: Buffer): void {
    this.left -= chunk.length
    if (this.left > 0) return
    const request = this.counted!
    this.counted = null
    this.pool.requests++
    respond(this.socket, this.pool, request, NOTHING, request.length)
    if (this.left < 0) this.read(chunk.subarray(chunk.length + this.left))
  }
}

function wholeBody(bytes: Buffer, length: number): { body: Buffer; end: number } | null {
  return bytes.length < length ? null : { body: bytes.subarray(0, length), end: length }
}

/** Whether the bytes are one whole `GET /small HTTP/1.1` request (see above for what this relies on). */
function isSmallGet(bytes: Buffer): boolean {
  const end = bytes.length
  return (
    bytes[0] === 0x47 && // G
    bytes[5] === 0x73 && // s: only /small has it here and a space after five more
    bytes[10] === 0x20 && // the space after it
    bytes[end - 4] === 0x0d &&
    bytes[end - 3] === 0x0a &&
    bytes[end - 2] === 0x0d &&
    bytes[end - 1] === 0x0a
  )
}

function startPool(name: PoolName): Promise<{ server: Server; port: number }> {
  const small = Buffer.concat([head(200, 'text/plain', SMALL_BYTES), Buffer.from(smallBody(name))])
  const pool: Pool = { name, small, connections: 0, requests: 0 }
  const server = createServer({ noDelay: true }, (socket) => {
    pool.connections++
    new Connection(socket, pool)
  })
  return new Promise((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0, backlog: 1024 }, () => {
      const address = server.address()
      resolve({ server, port: typeof address === 'object' && address !== null ? address.port : 0 })
    })
  })
}

if (import.meta.main) {
  const blue = await startPool('blue')
  const green = await startPool('green')
  process.stdout.write(`${JSON.stringify({ blue: blue.port, green: green.port })}\n`)
  process.stdin.resume()
  process.stdin.on('end', () => process.exit(0))
}
