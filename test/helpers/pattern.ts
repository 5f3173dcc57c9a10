/**
 * Large bodies that are checked byte by byte without being kept: both sides know the pattern, and compare as they read.
 *
 * The pattern is 4,194,301 pseudo-random bytes (a prime), over and over: a byte that is lost, doubled, changed or moved by
 * any distance that is not a multiple of that is seen at once. Chunked framing is read by a decoder of the test's own.
 */
import { createCipheriv } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

const PERIOD = 4_194_301
const PATTERN = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16)).update(Buffer.alloc(PERIOD))

/** Pieces that bodies are written in, so that they are cut in every way. */
const PIECES = [1, 262_144, 4_093, 1_048_576, 17, 65_536]

/** Bytes `[at, at + size)` of the pattern; at most to the end of its period. */
function patternAt(at: number, size: number): Buffer {
  const from = at % PERIOD
  return PATTERN.subarray(from, Math.min(from + size, PERIOD))
}

/** The first `bytes` bytes of the pattern, from `from` on. */
export function patternOf(bytes: number, from = 0): Buffer {
  const whole = Buffer.allocUnsafe(bytes)
  for (let at = 0; at < bytes; ) at += patternAt(from + at, bytes - at).copy(whole, at)
  return whole
}

function drained(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
  })
}

/** Writes `bytes` bytes of the pattern as the socket takes them, in chunks when `chunked`. Tells how many were written. */
export async function sendPattern(
  socket: Duplex,
  bytes: number,
  chunked: boolean,
  written: (bytes: number) => void = () => {},
): Promise<void> {
  for (let at = 0, turn = 0; at < bytes && !socket.destroyed; turn++) {
    const piece = patternAt(at, Math.min(PIECES[turn % PIECES.length], bytes - at))
    at += piece.length
    if (chunked) {
      socket.cork()
      socket.write(piece.length.toString(16) + '\r\n')
      socket.write(piece)
      socket.write('\r\n')
      socket.uncork()
    } else socket.write(piece)
    written(at)
    if (socket.writableNeedDrain) await drained(socket)
  }
  if (chunked && !socket.destroyed) socket.write('0\r\n\r\n')
}

/** Reads one message from a socket: its head as text, its body compared with the pattern. */
export class PatternReader {
  /** The head with its empty line, once it has come. */
  head = ''
  /** Payload bytes so far. */
  bytes = 0
  /** What was wrong first, or null. */
  fault: string | null = null
  /** The body has ended as its framing says. */
  done = false
  #partial = Buffer.alloc(0)
  #framing: 'length' | 'chunked' | 'close' = 'close'
  #remaining = 0
  #line = ''
  #inData = false
  #lastChunk = false

  /** Takes what was read. */
  take(bytes: Buffer): void {
    if (this.head === '') {
      this.#partial = Buffer.concat([this.#partial, bytes])
      const end = this.#partial.indexOf('\r\n\r\n')
      if (end < 0) return
      this.head = this.#partial.latin1Slice(0, end + 4)
      this.#frame()
      bytes = this.#partial.subarray(end + 4)
    }
    if (bytes.length > 0) this.#takeBody(bytes)
  }

  /** The other side has ended the connection. */
  end(): void {
    if (this.#framing === 'close' && this.head !== '') this.done = true
    else if (!this.done) this.fault ??= `the connection ended after ${this.bytes} bytes`
  }

  #frame(): void {
    const length = /^content-length: *(\d+)\r$/im.exec(this.head)
    if (/^transfer-encoding: *chunked\r$/im.test(this.head)) this.#framing = 'chunked'
    else if (length !== null) {
      this.#framing = 'length'
      this.#remaining = Number(length[1])
      this.done = this.#remaining === 0
    }
  }

  #takeBody(bytes: Buffer): void {
    if (this.done) this.fault ??= `${bytes.length} bytes behind the end`
    else if (this.#framing === 'chunked') this.#takeChunks(bytes)
    else if (this.#framing === 'close') this.#compare(bytes)
    else {
      this.#remaining -= bytes.length
      this.done = this.#remaining === 0
      if (this.#remaining < 0) this.fault ??= `${-this.#remaining} bytes too many`
      this.#compare(bytes)
    }
  }

  #takeChunks(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.done) {
        this.fault ??= 'bytes behind the last chunk'
        return
      }
      if (this.#inData) {
        const take = Math.min(this.#remaining, bytes.length - at)
        this.#compare(bytes.subarray(at, at + take))
        at += take
        this.#remaining -= take
        this.#inData = this.#remaining > 0
      } else {
        const end = bytes.indexOf(10, at)
        const upTo = end < 0 ? bytes.length : end + 1
        this.#line += bytes.latin1Slice(at, upTo)
        at = upTo
        if (end >= 0) this.#takeLine()
      }
    }
  }

  /** `\r\n` behind a chunk, or the header of the next one. */
  #takeLine(): void {
    const line = this.#line
    this.#line = ''
    if (line === '\r\n') {
      this.done = this.#lastChunk
      return
    }
    if (!/^[0-9a-f]+\r\n$/i.test(line)) this.fault ??= `chunk header ${JSON.stringify(line)} at ${this.bytes}`
    this.#remaining = Number.parseInt(line, 16)
    this.#inData = this.#remaining > 0
    this.#lastChunk = this.#remaining === 0
  }

  #compare(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const expected = patternAt(this.bytes, bytes.length - at)
      const end = at + expected.length
      if (expected.compare(bytes, at, end) !== 0)
        this.fault ??= `another byte at ${this.bytes} to ${this.bytes + expected.length}`
      this.bytes += expected.length
      at = end
    }
  }
}

/** Reads one message of a socket; resolves when it has ended or is wrong. */
export function readPattern(socket: Socket | Duplex): Promise<PatternReader> {
  const reader = new PatternReader()
  return new Promise((resolve) => {
    const settle = () => {
      if (!reader.done && reader.fault === null) return
      socket.off('data', take)
      resolve(reader)
    }
    const take = (bytes: Buffer) => {
      reader.take(bytes)
      settle()
    }
    socket.on('data', take)
    socket.on('end', () => {
      reader.end()
      settle()
    })
    socket.on('error', (error) => {
      reader.fault ??= String(error)
      settle()
    })
    socket.on('close', () => {
      reader.end()
      settle()
    })
  })
}
