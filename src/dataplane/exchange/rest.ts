/**
 * The rest of a request whose answer is complete already: it still goes to a target that stays on the line for it, and what
 * little comes after that has left is read and dropped, since the answer has promised the client that its connection stays.
 * More than a little ends the connection unannounced: the head of the answer has gone out before anybody could know, and to read an upload
 * for nobody would cost both sides more than a new connection.
 * It stands in the place of the exchange on both sides, and tells it once when it is over.
 */
import type { Plane } from '../plane.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { RawUser, Upstream } from '../upstream/upstream.ts'
import type { Downstream, RequestUser } from './downstream.ts'
import type { ExchangeRequest } from './request.ts'

/** What is dropped at most; then the connection of the client goes, too. */
const DROPPED_BYTES_MAX = 1_048_576

/** The exchange that a rest or a tunnel stands in for. */
export interface Predecessor {
  deadlineMs: number
  /** It is over. Called once; `isWhole` says whether the answer was. */
  heirEnded(isWhole: boolean): void
}

export class Rest implements RawUser, RequestUser {
  readonly #exchange: Predecessor
  readonly #plane: Plane
  readonly #downstream: Downstream
  readonly #request: ExchangeRequest
  #upstream: Upstream | null
  #droppedBytes = 0

  constructor(
    exchange: Predecessor,
    plane: Plane,
    downstream: Downstream,
    upstream: Upstream,
    request: ExchangeRequest,
  ) {
    this.#exchange = exchange
    this.#plane = plane
    this.#downstream = downstream
    this.#upstream = upstream
    this.#request = request
    upstream.handOver(this)
    downstream.user = this
    this.#sent()
  }

  onRequestBody(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    this.#request.note(buffer, at, end, trailers)
    if (this.#upstream === null) return this.#drop(end - at)
    this.#upstream.body(buffer, at, end, trailers)
    this.#sent()
  }

  get requestSink(): Outgoing | null {
    return this.#upstream?.sink ?? null
  }

  onRequestMoved(bytes: number, done: boolean): void {
    this.#request.noteMoved(bytes, done)
    this.#upstream?.moved(done)
    this.#sent()
  }

  /** A piece has gone; or all, and then it is waited until the kernel has got it. */
  #sent(): void {
    const upstream = this.#upstream
    this.#exchange.deadlineMs = this.#plane.time.nowMs + this.#plane.timeouts.bodyMs
    if (this.#request.bodyDone) upstream?.end(() => this.#upstream === upstream && this.#targetGone())
    else if (upstream?.isFull === true) this.#downstream.pause()
  }

  /** All was sent, or the target is not interested any more. */
  #targetGone(): void {
    this.#letGo()
    const { bodyDone, contentLength, bodyBytes } = this.#request
    if (bodyDone || contentLength - bodyBytes > DROPPED_BYTES_MAX) return this.#end()
    this.#downstream.resume()
  }

  #drop(bytes: number): void {
    this.#droppedBytes += bytes
    this.#exchange.deadlineMs = this.#plane.time.nowMs + this.#plane.timeouts.bodyMs
    if (this.#request.bodyDone || this.#droppedBytes > DROPPED_BYTES_MAX) this.#end()
  }

  onRequestFault(): void {
    this.#end()
  }

  onEnded(): void {
    this.#end()
  }

  onClientDrain(): void {}

  onGone(): void {
    this.#end()
  }

  onRaw(): void {
    this.#targetGone()
  }

  onDrain(): void {
    this.#downstream.resume()
  }

  onEnd(): void {
    this.#targetGone()
  }

  onWriteFailed(): void {
    this.#targetGone()
  }

  onClosed(): void {
    this.#targetGone()
  }

  onDeadline(): void {
    this.#end()
  }

  #letGo(): void {
    this.#upstream?.destroy()
    this.#upstream = null
  }

  #end(): void {
    this.#letGo()
    this.#exchange.heirEnded(true)
  }
}
