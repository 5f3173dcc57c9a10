/**
 * One request and its response, from the read head to the freed connections; it knows no wire (downstream.ts, upstream.ts).
 * Read it from top to bottom:
 *
 *   begin → goOn (→ queued → hasTurn → goOn) → acquire → sendRequest → (body) → waiting → onHead → onBody* → complete → finish
 *                                              ▲────── tryAgain ◄── connection refused, or closed before any answer; goesElsewhere ◄── failed by a new version, or not found
 *
 *   none ─►◄─ connecting ─► sending ─► waiting ─► relaying ─► none          any phase ─► fail ─► none
 *    └► queued ◄┘  └──────────┴─(no body)─▲      └─101, or complete before all was sent─► inherited ─► none
 *
 * One that asks before it sends its body (100-continue) is waiting first, and sending then.
 * Where a request is sent: attempts.ts; when again: retry-policy.ts. Where both sides carry bytes as they are, `sink` and `requestSink` let payload
 * pass unseen. Deadlines of phases are the exchange's own. It lives as long as its client connection, and is reset in `begin`.
 */
import { ERRORS, type ErrorCode } from '../../errors.ts'
import { FIELD } from '../../metrics/layout.ts'
import type { Framing } from '../http1/body.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { Plane } from '../plane.ts'
import type { UnderWay } from '../sweep.ts'
import type { Upstream, UpstreamUser } from '../upstream/upstream.ts'
import { Answer, type AnswerOwner } from './answer.ts'
import { Attempts } from './attempts.ts'
import type { Downstream } from './downstream.ts'
import { lapseOf, type Phase } from './lapse.ts'
import { leave } from './leftover.ts'
import { CLIENT_CLOSED, Outcome } from './outcome.ts'
import type { Occasion } from './placement.ts'
import { type BodyAtHand, ExchangeRequest } from './request.ts'
import { type Predecessor, Rest } from './rest.ts'
import { RetryPolicy } from './retry-policy.ts'
import { Tunnel } from './tunnel.ts'
import { Upload, type UploadOwner } from './upload.ts'
import { type Unserved, Wait, type WaitOwner } from './wait.ts'

export class Exchange implements UpstreamUser, AnswerOwner, Predecessor, UnderWay, UploadOwner, WaitOwner {
  deadlineMs = Infinity
  phase: Phase = 'none'
  upstream: Upstream | null = null
  readonly answer: Answer
  readonly upload: Upload
  readonly #plane: Plane
  readonly #downstream: Downstream
  readonly #request: ExchangeRequest
  readonly #attempts: Attempts
  readonly #retries: RetryPolicy
  readonly #outcome: Outcome
  /** It is watched what is taken of what waits. */
  #isMarked = false
  #wait: Wait | null = null
  /** What stands in for this exchange now: a tunnel, or the rest of its request. */
  #heir: { onDeadline(): void } | null = null

  constructor(plane: Plane, downstream: Downstream) {
    this.#plane = plane
    this.#downstream = downstream
    this.#outcome = new Outcome(plane)
    this.#request = new ExchangeRequest(plane.kept)
    this.#attempts = new Attempts(plane, downstream, this.#request)
    this.#retries = new RetryPolicy(plane, this.#request, this.#attempts)
    this.answer = new Answer(plane, downstream, this.#request, this.#attempts, this)
    this.upload = new Upload(downstream, this.#request, this)
  }

  /** Starts with the head in `plane.requestHead` and what of its body is at hand. `fault` says why it cannot be served. */
  begin(headText: string, body: BodyAtHand, fault: ErrorCode | null): void {
    const request = this.#request
    request.read(this.#plane, headText, body)
    this.answer.reset()
    this.#attempts.reset()
    this.#outcome.open()
    const refused = fault ?? this.answer.here()
    if (refused !== null) return this.fail(refused)
    if (request.maxForwards <= 0) return this.#finish(true)
    this.#goOn(this.#attempts.choose('new'))
  }

  hasTurn(occasion: Occasion): void {
    this.#goOn(this.#attempts.chooseAgain(occasion))
  }

  /** Sends the request on, when there is a target; or it waits for its turn. */
  #goOn(hasTarget: boolean): void {
    const attempts = this.#attempts
    if (!hasTarget) {
      if (this.#waits()) return
      if (this.answer.redirects(this.#plane, attempts.placement.decision)) return this.#finish(true)
      return this.fail(attempts.placement.refusal)
    }
    if (attempts.isFirst) this.answer.copy(this.#plane, attempts.decision!)
    this.#acquire(attempts.retries.count > 0)
  }

  /** Has the request wait, if room is missing or it is held. Its client is not read from meanwhile. */
  #waits(): boolean {
    if (!this.#attempts.placement.waits) return false
    this.#wait ??= new Wait(this.#plane, this.#downstream, this.#request, this)
    if (!this.#wait.begin(this.#attempts)) return false
    this.#enter('queued', this.#wait.lookMs)
    if (!this.#request.bodyDone) this.#downstream.pause()
    return true
  }

  /** Ends the wait of the request for nothing. */
  unserved(why: Unserved): void {
    this.fail(this.#wait!.giveUp(why, this.#attempts))
  }

  #acquire(fresh: boolean): void {
    const idle = this.#attempts.takeIdle(fresh)
    if (idle !== null) {
      idle.user = this
      this.upstream = idle
      return this.#sendRequest()
    }
    this.#enter('connecting', this.#attempts.service.timeouts.connectMs)
    if (!this.#request.bodyDone) this.#downstream.pause()
    this.upstream = this.#attempts.open(this)
    if (this.upstream === null) this.#tryAgain('overloaded', this.#attempts.mayMove())
  }

  onConnected(): void {
    if (this.phase !== 'connecting') return
    this.#attempts.connected()
    this.#sendRequest()
  }

  #sendRequest(): void {
    this.upstream!.send(this.#request)
    // A client that asks before it sends its body may well wait for the target.
    if (this.#request.bodyDone || this.answer.isAsked) this.expectAnswer()
    else this.expectBody()
    if (!this.#request.bodyDone) this.#downstream.resume()
  }

  expectBody(): void {
    // An answer that has begun may well wait for the rest of the request.
    if (this.phase === 'relaying') this.expectAnswer()
    else this.#enter('sending', this.#plane.timeouts.bodyMs)
  }

  #enter(phase: Phase, ms: number): void {
    this.phase = phase
    this.deadlineMs = this.#plane.time.nowMs + ms
  }

  /** In two halves: who takes nothing can only be told from a mark on, which costs a call of the kernel. Few answers take so long. */
  expectAnswer(isMarked = false): void {
    const { idleMs, responseMs } = this.#attempts.service.timeouts
    this.#isMarked = isMarked
    if (this.phase === 'relaying') this.#enter('relaying', idleMs / 2)
    else this.#enter('waiting', responseMs / 2)
  }

  expectTaken(): void {
    this.#isMarked = true
    this.#enter(this.phase, this.#plane.timeouts.sendMs)
  }

  onDrain(): void {
    if (this.phase !== 'none' && this.phase !== 'connecting') this.#downstream.resume()
  }

  /** The one place between an answer that has come and an answer that is given. */
  answerCame(head: ResponseHead, framing: Framing): void {
    if (this.#goesElsewhere(head.status, null)) return
    this.#outcome.answered(this.#attempts, head.status)
    this.#wait?.answered()
    if (head.status === 101) return this.#startTunnel(head)
    this.phase = 'relaying'
    this.answer.relay(head, framing, this.upstream!, this.#outcome)
  }

  answerComplete(): void {
    const upstream = this.upstream!
    this.upstream = null
    if (this.answer.drainsRequest && !upstream.requestSent) {
      // The rest of the request still goes to the target, which stays for it.
      this.phase = 'inherited'
      this.#heir = new Rest(this, this.#plane, this.#downstream, upstream, this.#request)
      return
    }
    upstream.release()
    this.#finish(true)
  }

  onFault(): void {
    this.fail('upstream_bad_response')
  }

  onClosed(): void {
    const upstream = this.upstream
    this.upstream = null
    if (this.phase === 'none') return
    if (this.phase === 'connecting') return this.#tryAgain('upstream_connect_failed', this.#retries.mayReconnect())
    const isUnanswered = upstream?.begun === false
    if (isUnanswered && this.#retries.mayRepeat(upstream.isHeld)) this.#tryAgain('upstream_closed', true)
    else this.fail('upstream_closed')
  }

  /** The target has failed the request, or not got what is asked for: whether another pool is asked, once it has room where this is a failure. */
  #goesElsewhere(status: number, broke: ErrorCode | null): boolean {
    if (!this.#retries.mayGoElsewhere(status, broke)) return false
    const waits = !this.#attempts.chooseAgain('room')
    if (waits && (this.#attempts.retries.rescues === 0 || !this.#waits())) return false
    leave(this.#plane, this.upstream, status !== 0, this.#attempts.placement.takeFormer(waits))
    this.upstream = null
    this.answer.status = 0
    if (!waits) this.#acquire(false)
    return true
  }

  /** Decides again without the targets that failed, and opens a fresh connection. `code` is the answer when that is no use. */
  #tryAgain(code: ErrorCode, allowed: boolean): void {
    if (!allowed) return this.fail(code)
    if (this.#attempts.chooseAgain('room')) this.#acquire(true)
    else if (!this.#waits()) this.fail(code)
  }

  #startTunnel(head: ResponseHead): void {
    const upstream = this.upstream!
    this.upstream = null
    this.phase = 'inherited'
    const tunnel = new Tunnel(this, this.#plane, this.#downstream, upstream, this.#outcome)
    this.#heir = tunnel
    tunnel.begin(head, this.#request, this.#attempts)
  }

  heirEnded(isWhole: boolean): void {
    this.#heir = null
    this.#finish(isWhole)
  }

  abandon(): void {
    if (this.phase === 'none') return
    if (this.phase === 'queued') this.#wait!.giveUp('left', this.#attempts)
    this.#letGo()
    this.#outcome.cut('client_closed')
    this.#attempts.count(FIELD.aborted)
    this.answer.status ||= CLIENT_CLOSED
    this.#finish(false)
  }

  onDeadline(): void {
    if (this.#heir !== null) return this.#heir.onDeadline()
    const wait = this.#wait
    switch (lapseOf(this.phase, this.#downstream, this.upstream, this.answer.isAsked, this.#isMarked)) {
      case 'room':
        return wait!.useless === null ? this.#enter('queued', wait!.lookMs) : this.unserved(wait!.useless)
      case 'half':
        return this.expectAnswer(true)
      case 'nobody':
        return this.phase === 'sending' ? this.expectBody() : this.expectTaken()
      case 'client':
        this.#outcome.cut('client_stalled')
        return this.#downstream.destroy()
      case 'request':
        return this.fail('request_timeout')
      case 'connect':
        this.#letGo()
        this.#attempts.count(FIELD.timeouts)
        return this.#tryAgain('upstream_connect_failed', this.#retries.mayReconnect())
      case 'target':
        this.#attempts.count(FIELD.timeouts)
        return this.fail('upstream_timeout')
    }
  }

  noteSlow(): boolean {
    return (this.phase === 'waiting' || this.phase === 'connecting') && this.#attempts.noteSlow()
  }

  #letGo(): void {
    this.upstream?.destroy()
    this.upstream = null
  }

  /** Ends the exchange, if nobody rescues it: with an error of ours while no answer was begun, else the client sees that it is cut. */
  fail(code: ErrorCode): void {
    if (this.answer.status === 0 && ERRORS[code].source === 'upstream' && this.#goesElsewhere(0, code)) return
    this.#letGo()
    this.#outcome.failed(code, this.#attempts)
    if (this.answer.isBegun) return this.#finish(false)
    this.answer.refuse(code, this.#request.acceptsJson(this.#plane), this.#attempts.placement.service)
    this.#finish(true)
  }

  /** Counts, logs, and hands the connection back to its client. */
  #finish(isWhole: boolean): void {
    this.#wait?.end(this.#outcome)
    this.#outcome.close(this.#request, this.#attempts, this.answer.status, this.answer.bytes)
    this.answer.compare(this.#outcome.headMs, isWhole)
    this.phase = 'none'
    this.deadlineMs = Infinity
    this.#request.forget()
    this.#downstream.exchangeEnded(isWhole)
  }
}
