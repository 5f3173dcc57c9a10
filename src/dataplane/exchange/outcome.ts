/**
 * The account of one exchange: when it began and was answered, what went wrong, and the counters and log line at its end.
 *
 * The request is counted at the target that it ended at, or, when there is none, by the code of the error; its attempts at other
 * targets were counted when it left them (attempts.ts). One that became a tunnel is counted as that alone.
 */
import { ERRORS, type ErrorCode } from '../../errors.ts'
import { FIELD } from '../../metrics/layout.ts'
import type { Plane } from '../plane.ts'
import { type AttemptOutcome, attemptOutcome, refusesWebSocket } from './attempt-outcome.ts'
import type { Attempts } from './attempts.ts'
import type { ExchangeRequest } from './request.ts'

/** The connection is a tunnel from this answer on. */
const SWITCHED = 101
/** Stands for a status in the access log where the client went away before there was one. */
export const CLIENT_CLOSED = 499

export class Outcome {
  inBytes = 0
  outBytes = 0
  /** Time that the request has waited for room, which is not the target's doing. */
  waitedMs = 0
  /** And time that it was held. */
  heldMs = 0
  #startMs = 0
  /** From the request to the head of its answer, and from the last attempt to it; below 0 before it has come. */
  #ttfbMs = -1
  #attemptTtfbMs = -1
  #logged = false
  #error: ErrorCode | null = null
  readonly #plane: Plane

  constructor(plane: Plane) {
    this.#plane = plane
  }

  open(): void {
    this.inBytes = 0
    this.outBytes = 0
    this.waitedMs = 0
    this.heldMs = 0
    this.#startMs = this.#plane.time.nowMs
    this.#ttfbMs = -1
    this.#attemptTtfbMs = -1
    this.#logged = this.#plane.log.wanted()
    this.#error = null
  }

  /** The head of the answer has come. */
  answered(attempts: Attempts, status: number): void {
    this.#ttfbMs = this.#plane.time.nowMs - this.#startMs
    this.#attemptTtfbMs = this.#plane.time.nowMs - attempts.startedMs
    attempts.judged.timed(attempts.service, status, this.#plane.time.nowMs)
    // A request that was sent again, and that another target answers well, costs nothing.
    if (attempts.retries.isHelped(status)) attempts.retries.giveBack()
    else attempts.retries.giveBackUnsent()
    this.#plane.latencies.answered(attempts.service, attempts.target!, status, this.#attemptTtfbMs)
    if (status !== SWITCHED) return
    attempts.judge(status, null)
    // Tunnels are not limited.
    attempts.placement.giveBack()
    this.#plane.counters.countTunnel(attempts.target!.slot)
  }

  /** From the request to the head of its answer, without what it has waited; below 0 before it has come. */
  get headMs(): number {
    return this.#ttfbMs < 0 ? -1 : this.#ttfbMs - this.waitedMs - this.heldMs
  }

  /** Something went wrong. By its code it is counted only when it is not the doing of a target. */
  failed(code: ErrorCode, attempts: Attempts): void {
    this.#error = code
    if (attempts.target === null || ERRORS[code].source !== 'upstream') this.#plane.counters.countRejected(code)
  }

  /** The client has ended it, or it was broken off; that is logged, unless something went wrong before. */
  cut(code: 'client_closed' | 'client_stalled' | 'drain_ended'): void {
    this.#error ??= this.#plane.isBreakingOff ? 'drain_ended' : code
  }

  /** Counts and logs the end. `status` is what the client got; without an answer `CLIENT_CLOSED`, which is logged only. */
  close(request: ExchangeRequest, attempts: Attempts, status: number, answerBytes: number): void {
    const plane = this.#plane
    if (plane.draining) this.#noteCut(attempts, status)
    this.inBytes += request.bodyBytes
    this.outBytes += answerBytes
    const durationMs = plane.time.nowMs - this.#startMs
    const { inBytes: bytesIn, outBytes: bytesOut } = this
    let attempt: AttemptOutcome | null = null
    if (attempts.target !== null) {
      const { slot } = attempts.target
      if (this.waitedMs > 0) plane.counters.countQueued(slot, this.waitedMs)
      const answered = this.#ttfbMs >= 0
      if (request.upgrade !== '' && answered) this.#judgeHandshake(request.upgrade, attempts, status)
      attempt = attempts.judge(answered ? status : 0, this.#error)
      if (!attempts.isPreview)
        attempts.judged.noteHarm(attempts.service, attempts.target, answered ? status : 0, this.#error)
      // The client never saw that another attempt had failed.
      if (attempt === 'good' && attempts.retries.isHelped(status)) attempts.count(FIELD.rescued)
      if (status === SWITCHED) plane.counters.countTunnelClosed(slot, durationMs - this.#ttfbMs, bytesIn, bytesOut)
      else {
        const isRefused = request.upgrade !== '' && attempt === 'failed' && this.#error !== 'upstream_connect_failed'
        if (isRefused) plane.departures.count(slot, 'refused')
        const told = answered || status !== CLIENT_CLOSED ? status : 0
        const ownMs = durationMs - this.waitedMs - this.heldMs
        plane.counters.countFinished(slot, told, ownMs, this.#attemptTtfbMs, bytesIn, bytesOut)
      }
    }
    if (this.#logged) {
      const { waitedMs, heldMs } = this
      const ttfbMs = this.#ttfbMs
      // Without a spread, which costs as much as a third of the line.
      const outcome = { status, bytesIn, bytesOut, durationMs, ttfbMs, waitedMs, heldMs, attempt, error: this.#error }
      plane.log.write(plane.time.wallMs(), request, attempts, outcome)
    }
    attempts.end()
  }

  /** Counts it if it ends only since its worker does. What was answered in full, and has some of its request left, has lost nothing. */
  #noteCut({ decision }: Attempts, status: number): void {
    const { cuts, isBreakingOff } = this.#plane
    if (isBreakingOff && status === SWITCHED) this.#error ??= 'drain_ended'
    const service = decision?.service?.name ?? ''
    if (this.#error === 'drain_ended') cuts.add(service, status === SWITCHED ? 'tunnels' : 'requests')
    else if (isBreakingOff && (this.#error === 'held' || this.#error === 'overloaded')) cuts.add(service, 'refused')
  }

  /** What fails as any answer does is judged as such. */
  #judgeHandshake(upgrade: string, { judged, decision }: Attempts, status: number): void {
    if (attemptOutcome(status, this.#error, decision!.service!.trial?.failing) === 'failed') return
    if (refusesWebSocket(upgrade, status)) judged.settle(decision!, 'failed')
  }
}
