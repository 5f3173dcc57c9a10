/**
 * The body of a message, read strictly: a counted length, chunks, or everything until the connection closes.
 *
 * `decode` copies payload from a read buffer into a write buffer, so nothing keeps the shared read buffer, and framing is
 * always rebuilt by the sender. It may be called with any cut of the bytes and comes to the same result.
 *
 *   size ──► extension ──► sizeLf ──► data ──► dataCr ──► dataLf ─┐      (chunked, RFC 9112 7.1)
 *    ▲            (size 0) └──────► trailers ──► done             │
 *    └────────────────────────────────────────────────────────────┘
 *
 * Refused: signs, spaces or prefixes in a size, more than 13 hexadecimal digits (2^53 is beyond what we count exactly), bare
 * CR or LF anywhere (errata 7633), extensions that are not `;name[=token|"quoted"]`, floods of extensions or trailers, and some
 * trailer fields (trailers.ts). Trailers are kept apart, never merged.
 */
import { Fields, type Names } from './fields.ts'
import { CR, HEX, LF, TOKEN, VALUE } from './syntax.ts'
import { keptTrailers } from './trailers.ts'

export type Framing = 'none' | 'length' | 'chunked' | 'close'

const SIZE_DIGITS_MAX = 13
/** Bytes of chunk extensions in one body. */
const EXTENSION_BYTES_MAX = 16_384
/** Bytes of the trailer section. */
const TRAILER_BYTES_MAX = 16_384
const TRAILER_FIELDS_MAX = 64

/** States of the chunk reader. */
const SIZE = 0
const EXTENSION_NAME = 1
const EXTENSION_VALUE = 2
const EXTENSION_QUOTED = 3
const EXTENSION_ESCAPE = 4
const EXTENSION_END = 5
const SIZE_LF = 6
const DATA = 7
const DATA_CR = 8
const DATA_LF = 9
const TRAILERS = 10

export class BodyReader {
  framing: Framing = 'none'
  done = true
  malformed = false
  /** Offset in the source behind what the last `decode` took. */
  consumed = 0
  /** Payload bytes so far. */
  bytes = 0
  /** Trailer lines that are passed on, with their CRLFs, to be sent behind the last chunk; empty when there are none. */
  trailers = ''
  #remaining = 0
  #state = SIZE
  #size = 0
  #digits = 0
  #extensionBytes = 0
  #partial = ''
  #dropped: Names | null = null
  readonly #inAnswer: boolean

  /** A reader of bodies of requests, or of answers. */
  constructor(side: 'request' | 'answer') {
    this.#inAnswer = side === 'answer'
  }

  /**
   * Starts a body. `length` counts for framing `length` only. `dropped` is what Connection names in the head: trailers of these
   * names are not passed on either (RFC 9110 7.6.1).
   */
  start(framing: Framing, length: number, dropped: Names | null = null): void {
    this.framing = framing
    this.#dropped = dropped
    this.#remaining = length
    this.done = framing === 'none' || (framing === 'length' && length === 0)
    this.malformed = false
    this.bytes = 0
    this.trailers = ''
    this.#state = SIZE
    this.#size = 0
    this.#digits = 0
    this.#extensionBytes = 0
    this.#partial = ''
  }

  /** Starts the same body anew; it must not be counted. */
  restart(): void {
    this.start(this.framing, 0, this.#dropped)
  }

  /** Lets go of the strings of a body that is over. */
  forget(): void {
    this.#dropped = null
    this.trailers = ''
    this.#partial = ''
  }

  /**
   * Takes bytes of `source[at, end)` and copies payload to `sink` from `to` on; returns the offset behind the payload.
   * `sink` must have room for `end - at` bytes. Stops at the end of the body (`done`) or at the first fault (`malformed`).
   */
  decode(source: Buffer, at: number, end: number, sink: Buffer, to: number): number {
    if (this.framing === 'chunked') return this.#decodeChunks(source, at, end, sink, to)
    const size = this.pass(at, end)
    if (size > 0) source.copy(sink, to, at, at + size)
    return to + size
  }

  /** Takes bytes of `[at, end)` that are payload as they stand, so of any framing but chunks; returns how many. */
  pass(at: number, end: number): number {
    let size = end - at
    if (this.framing === 'length') {
      if (size >= this.#remaining) {
        size = this.#remaining
        this.done = true
      }
      this.#remaining -= size
    }
    this.bytes += size
    this.consumed = at + size
    return size
  }

  /** Payload bytes still missing of a counted body. */
  get remaining(): number {
    return this.#remaining
  }

  /** Notes payload of a counted body that was taken without `decode`; at most what is missing. */
  note(bytes: number): void {
    this.bytes += bytes
    this.#remaining -= bytes
    this.done = this.#remaining === 0
  }

  #decodeChunks(source: Buffer, at: number, end: number, sink: Buffer, to: number): number {
    while (at < end && !this.done && !this.malformed) {
      if (this.#state === DATA) {
        const take = Math.min(end - at, this.#remaining)
        source.copy(sink, to, at, at + take)
        to += take
        at += take
        this.bytes += take
        this.#remaining -= take
        if (this.#remaining === 0) this.#state = DATA_CR
      } else if (this.#state === TRAILERS) {
        at = this.#readTrailers(source, at, end)
      } else {
        this.#octet(source[at++])
      }
    }
    this.consumed = at
    return to
  }

  #octet(code: number): void {
    switch (this.#state) {
      case SIZE:
        return this.#sizeOctet(code)
      case SIZE_LF:
        if (code !== LF) break
        this.#remaining = this.#size
        this.#state = this.#size === 0 ? TRAILERS : DATA
        this.#size = 0
        this.#digits = 0
        return
      case DATA_CR:
        if (code !== CR) break
        this.#state = DATA_LF
        return
      case DATA_LF:
        if (code !== LF) break
        this.#state = SIZE
        return
      default:
        return this.#extensionOctet(code)
    }
    this.malformed = true
  }

  #sizeOctet(code: number): void {
    const digit = HEX[code] - 1
    if (digit >= 0) {
      if (++this.#digits > SIZE_DIGITS_MAX) this.malformed = true
      this.#size = this.#size * 16 + digit
    } else if (this.#digits === 0) this.malformed = true
    else if (code === CR) this.#state = SIZE_LF
    else if (code === 59) this.#startExtension()
    else this.malformed = true
  }

  #startExtension(): void {
    this.#state = EXTENSION_NAME
    this.#digits = 0
  }

  /** RFC 9112 7.1.1. `#digits` counts the characters of the present name or value: neither may be empty. */
  #extensionOctet(code: number): void {
    if (++this.#extensionBytes > EXTENSION_BYTES_MAX) {
      this.malformed = true
      return
    }
    switch (this.#state) {
      case EXTENSION_QUOTED:
        if (code === 34) this.#state = EXTENSION_END
        else if (code === 92) this.#state = EXTENSION_ESCAPE
        else if (VALUE[code] !== 1) this.malformed = true
        return
      case EXTENSION_ESCAPE:
        if (VALUE[code] !== 1) this.malformed = true
        this.#state = EXTENSION_QUOTED
        return
      case EXTENSION_NAME:
      case EXTENSION_VALUE:
        if (TOKEN[code] === 1) {
          this.#digits++
          return
        }
        if (this.#state === EXTENSION_VALUE && this.#digits === 0 && code === 34) {
          this.#state = EXTENSION_QUOTED
          return
        }
        if (this.#digits === 0) this.malformed = true
        else if (this.#state === EXTENSION_NAME && code === 61) {
          this.#state = EXTENSION_VALUE
          this.#digits = 0
        } else this.#endExtension(code)
        return
      default:
        this.#endExtension(code)
    }
  }

  #endExtension(code: number): void {
    if (code === CR) this.#state = SIZE_LF
    else if (code === 59) this.#startExtension()
    else this.malformed = true
  }

  /** Collects the trailer section up to its empty line. */
  #readTrailers(source: Buffer, at: number, end: number): number {
    const before = this.#partial.length
    const text = this.#partial + source.latin1Slice(at, end)
    if (text.length >= 2 && text.charCodeAt(0) === CR && text.charCodeAt(1) === LF) {
      this.done = true
      return at + 2 - before
    }
    // Parse only when a line has ended in what is new, so that a drip of single bytes costs linear time.
    if (text.indexOf('\n', before) >= 0 || text.length > TRAILER_BYTES_MAX) {
      const fields = new Fields(TRAILER_FIELDS_MAX)
      const behind = fields.read(text, 0)
      if (behind < 0 || behind > TRAILER_BYTES_MAX || (behind === 0 && text.length > TRAILER_BYTES_MAX)) {
        this.malformed = true
        return end
      }
      if (behind > 0) {
        this.#finishTrailers(fields)
        return at + behind - before
      }
    }
    this.#partial = text
    return end
  }

  #finishTrailers(fields: Fields): void {
    const lines = keptTrailers(fields, this.#dropped, this.#inAnswer)
    this.malformed = lines === null
    this.done = lines !== null
    this.trailers = lines ?? ''
    this.#partial = ''
  }
}

/** Longest chunk header that `writeChunkHeader` writes: 8 hexadecimal digits and CRLF. */
export const CHUNK_HEADER_MAX = 10

/** Writes the header of a chunk of `size` bytes so that it ends right before `sink[before]`; returns where it starts. */
export function writeChunkHeader(sink: Buffer, before: number, size: number): number {
  sink[--before] = LF
  sink[--before] = CR
  do {
    const digit = size & 15
    sink[--before] = digit < 10 ? 48 + digit : 87 + digit
    size >>>= 4
  } while (size > 0)
  return before
}
