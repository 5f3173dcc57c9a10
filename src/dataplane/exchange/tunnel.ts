/**
 * An upgraded connection: bytes both ways, unread, until both sides have ended.
 *
 * It exists only after the target answered 101 to an upgrade that we forwarded; from then on it stands in the place of the
 * exchange on both connections, and tells it once, at the end, what went through. A side that ends is ended on the other
 * side (half-close passes through); an error on one side closes both, but for a target that only takes nothing any more. Each direction holds at most one read: it stops
 * reading while the other side does not take it. What such a target has said before its end still reaches its client.
 *
 * One that is to be closed (departures.ts) is told at the next place where nothing breaks: between two frames and two messages of a WebSocket.
 *
 *   open ──its turn──► asked ──such a place──► said ──both have ended──► over
 *     └──no such place is known──┐ └──no such place in time──┐ └──they have not, in time──┐
 *                                └───────────────────────────┴────────────────────────────┴──► ending ──► over
 *
 * What the target sends behind that is dropped, since nothing may follow a Close; what the client still sends goes on, its own Close at last,
 * by which the target knows. So whatever the client has sent reaches the target.
 *
 * A tunnel without a byte for an hour ends; so does one without a byte that is taken for a minute once one side has ended. A side that takes
 * nothing of what waits for it is cut off after `timeouts.send`. When both sides have ended the exchange is over, and what the target
 * still has to take leaves by itself (tunnel-end.ts).
 */
import type { Departure, Member } from '../departures/departure.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { Plane } from '../plane.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { RawUser, Upstream } from '../upstream/upstream.ts'
import { CLOSE_BYTES, Frames } from '../websocket/frames.ts'
import type { Attempts } from './attempts.ts'
import type { Downstream, RequestUser } from './downstream.ts'
import type { Outcome } from './outcome.ts'
import type { ExchangeRequest } from './request.ts'
import type { Predecessor } from './rest.ts'
import { endUpstream } from './tunnel-end.ts'
import { TunnelTrial } from './tunnel-trial.ts'
import { Uptakes } from './uptakes.ts'

/** A tunnel that carries nothing in either direction for this long is closed. */
const IDLE_MS = 3_600_000
/** The same once one side has ended: it may be all gone, which a FIN does not tell. */
const HALF_IDLE_MS = 60_000
/** What both sides have to end by themselves, once the client was told; and then to take what is left. */
const SAID_MS = 5_000
const ENDING_MS = 2_000

type Stage = 'open' | 'asked' | 'said' | 'ending'

export class Tunnel implements RawUser, RequestUser, Member {
  readonly requestSink: Outgoing | null = null
  readonly downstream: Downstream
  #stage: Stage = 'open'
  /** When the present stage is over. */
  #limitMs = Infinity
  /** When it has been silent for too long. */
  #silentMs = Infinity
  readonly #uptakes: Uptakes
  /** Of a WebSocket that may be let go, or is judged. */
  #frames: Frames | null = null
  #farewell: Buffer | null = null
  #departure: Departure | null = null
  readonly #exchange: Predecessor
  readonly #plane: Plane
  readonly #upstream: Upstream
  readonly #outcome: Outcome
  #targetEnded = false
  /** The target takes nothing any more. */
  #isDeaf = false
  /** Of a WebSocket that is judged, until it has lasted. */
  #trial: TunnelTrial | null = null
  #over = false

  /** Bytes are counted by `outcome`. */
  constructor(exchange: Predecessor, plane: Plane, downstream: Downstream, upstream: Upstream, outcome: Outcome) {
    this.#exchange = exchange
    this.#plane = plane
    this.downstream = downstream
    this.#upstream = upstream
    this.#outcome = outcome
    this.#uptakes = new Uptakes(plane, downstream, upstream)
    upstream.handOver(this)
    downstream.user = this
    this.#touch()
  }

  /** Tells the client that it is open; both sides are read from now on. */
  begin(head: ResponseHead, request: ExchangeRequest, attempts: Attempts): void {
    const { decision, placement } = attempts
    this.downstream.switchProtocols(head, request.requestId)
    const { headText, path } = request
    this.#departure = this.#plane.departures.open(this, decision!, { address: placement.address, headText, path })
    const isWebSocket = head.upgrade.toLowerCase() === 'websocket'
    if (this.#departure !== null && isWebSocket) this.#frames = new Frames()
    this.#trial = TunnelTrial.begin(attempts, isWebSocket, this.#plane)
    if (this.#trial !== null) this.#frames ??= new Frames()
    request.condense()
    this.downstream.resume()
    this.#setDeadline()
    if (this.downstream.ended) this.onEnded()
  }

  /** Ends what of it is judged; one that we let go has not failed. */
  #settle(isByTarget: boolean): void {
    const trial = this.#trial
    if (trial === null) return
    this.#trial = null
    // Nobody lets it go, so nobody has to know any more where its frames end.
    if (this.#departure === null) this.#frames = null
    if (isByTarget && this.#stage === 'open' && !this.downstream.ended) trial.targetEnds()
    else trial.isGood()
  }

  get isWalked(): boolean {
    return this.#frames !== null && !this.#frames.isLost
  }

  /** Tells the client at the next place where nothing breaks; where none is known, both sides are ended now. */
  leave(farewell: Buffer): void {
    if (this.#stage !== 'open') return
    if (!this.isWalked) return this.#break()
    // Nothing can be said behind its end, which tells the client as well.
    if (this.#targetEnded) return this.#enter('said', SAID_MS)
    this.#farewell = farewell
    this.#enter('asked', this.#departure!.place.drain.timeoutMs)
    this.#goOn()
  }

  #enter(stage: Stage, ms: number): void {
    this.downstream.mark()
    // What it takes is seen from this mark on.
    this.#uptakes.client.stop()
    this.#stage = stage
    this.#limitMs = this.#plane.time.nowMs + ms
    this.#touch()
  }

  /** Says what is to be said, where that can be. */
  #goOn(): void {
    if (this.#frames!.isBetween) this.#say(this.#farewell!)
    // The target is closing it already.
    else if (this.#frames!.isClosed) this.#limitMs = Math.min(this.#limitMs, this.#plane.time.nowMs + SAID_MS)
  }

  #say(farewell: Buffer): void {
    this.#give(farewell, 0, farewell.length)
    this.#enter('said', SAID_MS)
    this.#upstream.resume()
  }

  /** Ends both sides, of which one knows nothing of it. */
  #break(): void {
    this.#outcome.cut('drain_ended')
    this.#cut()
  }

  /** Ends both sides wherever they are. */
  #cut(): void {
    this.#enter('ending', ENDING_MS)
    this.downstream.endTunnel()
    this.#upstream.end()
  }

  onRequestBody(buffer: Buffer, at: number, end: number): void {
    if (this.#stage === 'ending' || this.#isDeaf) return
    this.#outcome.inBytes += end - at
    this.#trial?.walk(buffer, at, end)
    this.#upstream.raw(buffer, at, end)
    if (this.#upstream.isFull) {
      this.downstream.pause()
      this.#uptakes.target.watch()
    }
    this.#touch()
  }

  onRequestMoved(): void {}

  onRequestFault(): void {}

  /** What the target still says is for nobody. */
  get #isTold(): boolean {
    return this.#stage === 'said' || this.#stage === 'ending'
  }

  onRaw(buffer: Buffer, at: number, end: number): void {
    if (this.#isTold) return
    const isAsked = this.#stage === 'asked'
    const until = this.#frames === null ? end : this.#frames.walk(buffer, at, end, isAsked)
    this.#give(buffer, at, until)
    if (this.#trial !== null && this.#frames!.isClosed) this.#settle(true)
    if (isAsked) this.#goOn()
    if (!this.downstream.isFull || this.#isTold) return
    this.#upstream.pause()
    this.#uptakes.client.watch()
    this.#setDeadline()
  }

  #give(buffer: Buffer, at: number, end: number): void {
    this.#touch()
    if (end === at) return
    this.#outcome.outBytes += end - at
    this.downstream.body(buffer, at, end, null)
  }

  onClientDrain(): void {
    this.#touch()
    this.#upstream.resume()
  }

  onDrain(): void {
    this.downstream.resume()
  }

  onEnded(): void {
    this.#touch()
    this.#upstream.end()
    if (this.#targetEnded) this.#end()
  }

  onEnd(): void {
    this.#settle(true)
    this.#targetEnded = true
    this.#touch()
    this.downstream.endTunnel()
    if (this.#stage === 'asked') this.#enter('said', SAID_MS)
    if (this.downstream.ended) this.#end()
  }

  onWriteFailed(): void {
    if (this.#over) return this.#upstream.destroy()
    this.#settle(true)
    this.#isDeaf = true
    this.downstream.resume()
  }

  onClosed(): void {
    if (this.#over) return
    this.#settle(true)
    if (this.#targetEnded) this.onWriteFailed()
    else this.downstream.destroy()
  }

  onGone(): void {
    this.#upstream.destroy()
    this.#end()
  }

  onDeadline(): void {
    const { nowMs } = this.#plane.time
    if (nowMs >= this.#limitMs) return this.#lapse()
    if (this.#trial !== null && nowMs >= this.#trial.untilMs) this.#settle(false)
    // Nothing new has come, but what came before may still be taken.
    if (this.#uptakes.isLate() || (nowMs >= this.#silentMs && !this.#uptakes.isOwed())) this.downstream.destroy()
    else this.#setDeadline()
  }

  /** A stage has had its time; a client that takes any of what waits for it gets more. */
  #lapse(): void {
    const [client, isAsked] = [this.downstream, this.#stage === 'asked']
    // A message that does not end is broken off, which a Close may do; a frame is not, so that is cut.
    if (isAsked && this.#frames!.isBetweenFrames) return this.#say(this.#farewell!.subarray(-CLOSE_BYTES))
    if (!isAsked && client.unsentBytes > 0 && client.hasMoved) {
      client.mark()
      this.#limitMs = this.#plane.time.nowMs + SAID_MS
      return this.#setDeadline()
    }
    if (this.#stage === 'ending') return client.destroy()
    if (isAsked || client.unsentBytes > 0) this.#plane.departures.count(this.#departure!.place.slot, 'cut')
    return isAsked ? this.#break() : this.#cut()
  }

  /** Both sides have ended. */
  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#settle(false)
    if (this.#departure !== null) this.#plane.departures.closed(this.#departure)
    if (this.#isDeaf) this.#upstream.destroy()
    else endUpstream(this.#upstream, this.#plane.timeouts.sendMs)
    this.#exchange.heirEnded(false)
  }

  #touch(): void {
    const isHalf = this.#targetEnded || this.downstream.ended
    this.#silentMs = this.#plane.time.nowMs + (isHalf ? HALF_IDLE_MS : IDLE_MS)
    this.#setDeadline()
  }

  #setDeadline(): void {
    const { nowMs } = this.#plane.time
    const silentMs = this.#silentMs > nowMs ? this.#silentMs : Infinity
    const goodMs = this.#trial?.untilMs ?? Infinity
    this.#exchange.deadlineMs = Math.min(silentMs, this.#uptakes.untilMs, this.#limitMs, goodMs)
  }
}
