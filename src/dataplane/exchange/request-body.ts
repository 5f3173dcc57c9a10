/**
 * The body of a request on its way to the target. A small one that came with its head is kept whole, so that it leaves in
 * one write and can be repeated; a small one that comes later is kept as it goes, if its request may be repeated. Any other is
 * passed on as it comes, and while the connection to the target is still being opened at most one read of it waits here (then
 * the client does).
 */
import type { Socket } from 'node:net'
import { BodyReader } from '../http1/body.ts'
import type { RequestHead } from '../http1/request-head.ts'
import { type Plane, READ_BYTES } from '../plane.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import { keptBytes } from '../socket/socket.ts'
import { lastChunk, moveBody, relayBody } from './relay.ts'

/** Bodies up to this size are kept when they came with their head, or when the request may be repeated. */
const WHOLE_BYTES_MAX = 8_192

export class RequestBody {
  readonly reader = new BodyReader('request')
  /** What of it is sent together with the head, as latin1: all of a small one that was at hand, or what a repeat sends again. */
  whole = ''
  #keeps = false
  #held: Buffer | null = null

  start(head: RequestHead): void {
    this.whole = ''
    this.#keeps = false
    this.#held = null
    const framing = head.chunked ? 'chunked' : head.contentLength > 0 ? 'length' : 'none'
    this.reader.start(framing, head.contentLength, head.dropped)
  }

  /** Lets go of what was kept, whether it was sent or not. */
  forget(): void {
    this.whole = ''
    this.#held = null
    this.reader.forget()
  }

  /** It pays to read it into memory of its own. */
  get isLong(): boolean {
    return this.reader.framing === 'length' && this.reader.remaining > READ_BYTES
  }

  /** All of it was read from the client. */
  get done(): boolean {
    return this.reader.done
  }

  /** All of it was also handed to the kernel. */
  isSent(out: Outgoing): boolean {
    return this.reader.done && out.unsentBytes === 0
  }

  /** It is longer than allowed, or says that it will be. */
  isTooLarge(plane: Plane): boolean {
    const bytesMax = plane.limits.bodyBytesMax
    return bytesMax > 0 && this.reader.bytes + this.reader.remaining > bytesMax
  }

  /**
   * Keeps a small body that is all in `buffer[at, end)`; returns the offset behind what it took. -1 when what is at hand is
   * malformed: then not even the head was sent.
   */
  takeWhole(plane: Plane, buffer: Buffer, at: number, end: number): number {
    if (this.reader.framing === 'chunked' && at < end) return this.#takeChunks(plane, buffer, at, end)
    const size = this.reader.remaining
    if (this.reader.framing !== 'length' || size > WHOLE_BYTES_MAX || end - at < size) return at
    this.whole = buffer.latin1Slice(at, at + size)
    this.reader.note(size)
    return at + size
  }

  #takeChunks(plane: Plane, buffer: Buffer, at: number, end: number): number {
    const { reader } = this
    const size = reader.decode(buffer, at, end, plane.scratch, 0)
    if (reader.malformed) return -1
    if (!reader.done || size > WHOLE_BYTES_MAX) {
      // It is passed on as it comes, and read once more for that.
      reader.restart()
      return at
    }
    const payload = size === 0 ? '' : size.toString(16) + '\r\n' + plane.scratch.latin1Slice(0, size) + '\r\n'
    this.whole = payload + lastChunk(reader)
    return reader.consumed
  }

  /** Whether it can be sent again: it is at hand, or so small that from now on all that is sent of it is kept. */
  keep(): boolean {
    if (this.reader.done) return true
    this.#keeps = this.reader.framing === 'length' && this.reader.remaining <= WHOLE_BYTES_MAX
    return this.#keeps
  }

  /** Keeps bytes until the target can take them. */
  hold(buffer: Buffer, at: number, end: number): void {
    this.#held = keptBytes(this.#held, buffer, at, end)
  }

  /** What was kept, which then is no longer. */
  takeHeld(): Buffer | null {
    const held = this.#held
    this.#held = null
    return held
  }

  /** Passes bytes on. False when they are malformed; `reader.consumed` says how far they belonged to the body. */
  send(plane: Plane, client: Socket, out: Outgoing, buffer: Buffer, at: number, end: number): boolean {
    const { reader } = this
    if (relayBody(plane, reader, reader.framing === 'chunked', '', buffer, at, end, out) < 0) return false
    if (this.#keeps) this.whole += buffer.latin1Slice(at, reader.consumed)
    else if (end === buffer.length) moveBody(plane, reader, client, out)
    return true
  }
}
