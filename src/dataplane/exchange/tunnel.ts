/**
 * An upgraded connection: bytes both ways, unread, until both sides have ended.
 *
 * It exists only after the target answered 101 to an upgrade that we forwarded; from then on it stands in the place of the
 * exchange on both connections, and tells it once, at the end, what went through. A side that ends is ended on the other
 * side (half-close passes through); an error on one side closes both. Each direction holds at most one read: it stops
 * reading while the other side does not take it.
 *
 * A tunnel without a byte for an hour ends; so does one without a byte for a minute once one side has ended. A side that takes
 * nothing of what waits for it is cut off after `timeouts.send`. When both sides have ended the exchange is over, so a timer of
 * its own watches what the target still has to take.
 */
import { systemClock } from '../../clock.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { Plane } from '../plane.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { RawUser, Upstream } from '../upstream/upstream.ts'
import type { Downstream, RequestUser } from './downstream.ts'
import type { Outcome } from './outcome.ts'
import type { ExchangeRequest } from './request.ts'
import type { Predecessor } from './rest.ts'

/** A tunnel that carries nothing in either direction for this long is closed. */
const IDLE_MS = 3_600_000
/** The same once one side has ended: it may be all gone, which a FIN does not tell. */
const HALF_IDLE_MS = 60_000

export class Tunnel implements RawUser, RequestUser {
  readonly requestSink: Outgoing | null = null
  readonly #exchange: Predecessor
  readonly #plane: Plane
  readonly #downstream: Downstream
  readonly #upstream: Upstream
  readonly #outcome: Outcome
  #targetEnded = false
  #over = false

  /** Bytes are counted by `outcome`. */
  constructor(exchange: Predecessor, plane: Plane, downstream: Downstream, upstream: Upstream, outcome: Outcome) {
    this.#exchange = exchange
    this.#plane = plane
    this.#downstream = downstream
    this.#upstream = upstream
    this.#outcome = outcome
    upstream.handOver(this)
    downstream.user = this
    this.#touch()
  }

  /** Tells the client that it is open; both sides are read from now on. */
  begin(head: ResponseHead, request: ExchangeRequest): void {
    this.#downstream.switchProtocols(head, request.requestId)
    request.condense()
    this.#downstream.resume()
    if (this.#downstream.ended) this.onEnded()
  }

  onRequestBody(buffer: Buffer, at: number, end: number): void {
    this.#outcome.inBytes += end - at
    this.#touch()
    this.#upstream.raw(buffer, at, end)
    if (this.#upstream.isFull) this.#downstream.pause()
  }

  onRequestMoved(): void {}

  onRequestFault(): void {}

  onRaw(buffer: Buffer, at: number, end: number): void {
    this.#outcome.outBytes += end - at
    this.#touch()
    this.#downstream.body(buffer, at, end, null)
    if (!this.#downstream.isFull) return
    this.#upstream.pause()
    this.#watchClient()
  }

  onClientDrain(): void {
    this.#touch()
    this.#upstream.resume()
  }

  onDrain(): void {
    this.#downstream.resume()
  }

  onEnded(): void {
    this.#touch()
    this.#upstream.end()
    if (this.#targetEnded) this.#end()
  }

  onEnd(): void {
    this.#targetEnded = true
    this.#touch()
    this.#downstream.endTunnel()
    if (this.#downstream.ended) this.#end()
  }

  onClosed(): void {
    this.#downstream.destroy()
  }

  onGone(): void {
    this.#upstream.destroy()
    this.#end()
  }

  onDeadline(): void {
    const [client, target] = [this.#downstream, this.#upstream]
    // Nothing new has come, but the target still takes what came before.
    if (!client.isFull && target.unsentBytes > 0 && target.hasMoved) {
      target.mark()
      this.#exchange.deadlineMs = this.#plane.time.nowMs + this.#plane.timeouts.sendMs
      return
    }
    const { hasMoved } = client
    this.#watchClient()
    if (!hasMoved || client.unsentBytes === 0) client.destroy()
  }

  /** Begins to watch whether the client takes what is unsent. */
  #watchClient(): void {
    this.#downstream.mark()
    this.#exchange.deadlineMs = this.#plane.time.nowMs + this.#plane.timeouts.sendMs
  }

  /** Both sides have ended: what is written still leaves before the connection to the target goes, while it takes any of it. */
  #end(): void {
    if (this.#over) return
    this.#over = true
    const upstream = this.#upstream
    upstream.mark()
    const stop = systemClock.every(this.#plane.timeouts.sendMs, () => {
      if (!upstream.hasMoved) upstream.destroy()
      upstream.mark()
    })
    upstream.end(() => {
      stop()
      upstream.destroy()
    })
    this.#exchange.heirEnded(false)
  }

  #touch(): void {
    // What it sends is no sign that it takes anything.
    if (this.#downstream.isFull) return
    const idleMs = this.#targetEnded || this.#downstream.ended ? HALF_IDLE_MS : IDLE_MS
    this.#exchange.deadlineMs = this.#plane.time.nowMs + idleMs
  }
}
