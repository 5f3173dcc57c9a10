/**
 * The body of a request on its way to the target. A small one that came with its head is kept whole, so that it leaves in
 * one write and can be repeated; any other is passed on as it comes, and while the connection to the target is still being
 * opened at most one read of it waits here (then the client does).
 */
import type { Socket } from 'node:net'
import { BodyReader } from './body.ts'
import type { Plane } from './plane.ts'
import { relayBody } from './relay.ts'
import type { RequestHead } from './request-head.ts'

/** Bodies up to this size that came with their head are kept. */
const WHOLE_BYTES_MAX = 8_192

export class RequestBody {
  readonly reader = new BodyReader()
  /** The body as latin1, when it was small and at hand. */
  whole = ''
  #held: Buffer | null = null

  start(head: RequestHead): void {
    this.whole = ''
    this.#held = null
    this.reader.start(head.chunked ? 'chunked' : head.contentLength > 0 ? 'length' : 'none', head.contentLength)
  }

  /** All of it was read from the client. */
  get done(): boolean {
    return this.reader.done
  }

  /** Keeps a small body that is all in `buffer[at, end)`; returns the offset behind what it took. */
  takeWhole(buffer: Buffer, at: number, end: number): number {
    const size = this.reader.remaining
    if (this.reader.framing !== 'length' || size > WHOLE_BYTES_MAX || end - at < size) return at
    this.whole = buffer.latin1Slice(at, at + size)
    this.reader.takeWhole()
    return at + size
  }

  /** Keeps bytes until the target can take them. */
  hold(buffer: Buffer, at: number, end: number): void {
    const copy = Buffer.from(buffer.subarray(at, end))
    this.#held = this.#held === null ? copy : Buffer.concat([this.#held, copy])
  }

  /** What was kept, which then is no longer. */
  takeHeld(): Buffer | null {
    const held = this.#held
    this.#held = null
    return held
  }

  /** Passes bytes on. False when they are malformed; `reader.consumed` says how far they belonged to the body. */
  send(plane: Plane, socket: Socket, buffer: Buffer, at: number, end: number): boolean {
    const reader = this.reader
    return relayBody(plane, reader, reader.framing === 'chunked', '', buffer, at, end, socket) >= 0
  }
}
