/**
 * The body of a request as it comes from an HTTP/1.1 client: decoded, checked against the limit, and told to the exchange in
 * pieces. A small one that came with its head is taken whole, so that the exchange can send both in one write and can repeat them.
 */
import type { BodyAtHand } from '../exchange/request.ts'
import { BodyReader } from '../http1/body.ts'
import type { RequestHead } from '../http1/request-head.ts'
import { type Buffers, READ_BYTES, SCRATCH_HEAD } from '../socket/buffers.ts'

/** Bodies up to this size are taken whole when they came with their head. */
const WHOLE_BYTES_MAX = 8_192

/** Whom the pieces are told to. */
export interface BodyTaker {
  onRequestBody(buffer: Buffer, at: number, end: number, trailers: string | null): void
  onRequestFault(code: 'bad_body' | 'body_too_large'): void
}

export class RequestBody implements BodyAtHand {
  readonly reader = new BodyReader('request')
  /** A small body that was at hand, as latin1. */
  whole = ''
  readonly #buffers: Buffers
  readonly #bytesMax: number

  /** `bytesMax` 0 is no limit. */
  constructor(buffers: Buffers, bytesMax: number) {
    this.#buffers = buffers
    this.#bytesMax = bytesMax
  }

  /**
   * Begins with the body of the request in `head`, of which `buffer[at, end)` has come. Returns the offset behind what was taken
   * whole; -1 when what is at hand is malformed.
   */
  start(head: RequestHead, buffer: Buffer, at: number, end: number): number {
    const { reader } = this
    this.whole = ''
    const framing = head.chunked ? 'chunked' : head.contentLength > 0 ? 'length' : 'none'
    reader.start(framing, head.contentLength, head.dropped)
    if (framing === 'chunked' && at < end) return this.#takeChunks(buffer, at, end)
    const size = reader.remaining
    if (framing !== 'length' || size > WHOLE_BYTES_MAX || end - at < size) return at
    this.whole = buffer.latin1Slice(at, at + size)
    reader.note(size)
    return at + size
  }

  #takeChunks(buffer: Buffer, at: number, end: number): number {
    const { reader } = this
    const { scratch } = this.#buffers
    const until = Math.min(end, at + READ_BYTES)
    const size = reader.decode(buffer, at, until, scratch, 0)
    if (reader.malformed) return -1
    if (!reader.done || size > WHOLE_BYTES_MAX) {
      // It is passed on as it comes, and read once more for that.
      reader.restart()
      return at
    }
    this.whole = scratch.latin1Slice(0, size)
    return reader.consumed
  }

  get done(): boolean {
    return this.reader.done
  }

  get trailers(): string {
    return this.reader.trailers
  }

  /** From here on every byte is body, until the client ends its side: it speaks another protocol now. */
  startRaw(): void {
    this.reader.start('close', 0)
  }

  get isRaw(): boolean {
    return this.reader.framing === 'close'
  }

  /** It is longer than allowed, or says that it will be. */
  get isTooLarge(): boolean {
    return this.#bytesMax > 0 && !this.isRaw && this.reader.bytes + this.reader.remaining > this.#bytesMax
  }

  /** It pays to read it into memory of its own. */
  get isLong(): boolean {
    return this.reader.framing === 'length' && this.reader.remaining > READ_BYTES
  }

  /** Takes a piece of `buffer[at, end)`, at most a read long, and tells it; returns the offset behind what was taken. */
  take(taker: BodyTaker, buffer: Buffer, at: number, end: number): number {
    const { reader } = this
    let payload = buffer
    let from = at
    let until: number
    if (reader.framing === 'chunked') {
      payload = this.#buffers.scratch
      from = SCRATCH_HEAD
      until = reader.decode(buffer, at, Math.min(end, at + READ_BYTES), payload, from)
    } else until = at + reader.pass(at, Math.min(end, at + READ_BYTES))
    const { consumed } = reader
    if (reader.malformed) taker.onRequestFault('bad_body')
    else if (this.isTooLarge) taker.onRequestFault('body_too_large')
    else taker.onRequestBody(payload, from, until, reader.done ? reader.trailers : null)
    return reader.malformed ? end : consumed
  }

  /** Lets go of the strings of a body that is over. */
  forget(): void {
    this.whole = ''
    this.reader.forget()
  }
}
