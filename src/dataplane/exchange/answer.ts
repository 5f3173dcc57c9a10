/**
 * The answer of an exchange on its way from the target to the client: which it is, and how much of it was given. Its exchange
 * decides what becomes of a head before anything is written; a head is written with the first piece of its body.
 */
import { ERRORS, type ErrorCode } from '../../errors.ts'
import { isDrawn } from '../../table/mirror.ts'
import type { Decision, ServiceTable } from '../../table/types.ts'
import type { Framing } from '../http1/body.ts'
import { MALFORMED } from '../http1/max-forwards.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { Plane } from '../plane.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { AnswerUser, Upstream } from '../upstream/upstream.ts'
import type { Attempts } from './attempts.ts'
import type { Downstream } from './downstream.ts'
import { EventStream } from './event-stream.ts'
import { cookieLine } from './field-lines.ts'
import type { Phase } from './lapse.ts'
import { Mirror } from './mirror.ts'
import type { Outcome } from './outcome.ts'
import type { ExchangeRequest } from './request.ts'

/** The exchange, as its answer sees it. */
export interface AnswerOwner {
  readonly phase: Phase
  /** Where the answer comes from, but for the end that we give a stream. */
  readonly upstream: Upstream | null
  /** A final head has come: to be relayed, or not. */
  answerCame(head: ResponseHead, framing: Framing): void
  /** All was given to the client. */
  answerComplete(): void
  /** The body of the request is to come now. */
  expectBody(): void
  /** The target has its time, from now on, to begin its answer or to go on with it. */
  expectAnswer(): void
  /** The client, whose progress is watched from now on, has its time to take some of what waits for it. */
  expectTaken(): void
}

const NOTHING = Buffer.alloc(0)

export class Answer implements AnswerUser {
  /** Status of the final answer, or 0 before its head came. */
  status = 0
  /** Its head was given to the client. */
  isBegun = false
  /** Payload bytes that were given. */
  bytes = 0
  /** The target answered before the request was sent in full, and stays on the line for what is left of it. */
  drainsRequest = false
  /** A copy of the request, which is told what the client is given. */
  #mirror: Mirror | null = null
  /** It is a stream of events, which may be ended between two of them. */
  #stream: EventStream | null = null
  readonly #plane: Plane
  readonly #downstream: Downstream
  readonly #request: ExchangeRequest
  readonly #attempts: Attempts
  readonly #exchange: AnswerOwner
  /** The target has said 100 (Continue). */
  #continued = false

  constructor(
    plane: Plane,
    downstream: Downstream,
    request: ExchangeRequest,
    attempts: Attempts,
    exchange: AnswerOwner,
  ) {
    this.#plane = plane
    this.#downstream = downstream
    this.#request = request
    this.#attempts = attempts
    this.#exchange = exchange
  }

  reset(): void {
    this.status = 0
    this.isBegun = false
    this.bytes = 0
    this.drainsRequest = false
    this.#continued = false
    this.#mirror = null
  }

  /** Sends a copy of the request, which was just decided, to whom its service mirrors it. */
  copy(plane: Plane, decision: Decision): void {
    const { mirror } = decision.service!
    if (mirror !== null && isDrawn(mirror, plane.tables.draw))
      this.#mirror = Mirror.begin(plane, this.#request, decision)
  }

  /** It is over: its head came after so long (below 0: not at all), and the client was given all of it or not. */
  compare(headMs: number, isWhole: boolean): void {
    this.#mirror?.liveEnded(this.status, this.bytes, headMs, isWhole)
    this.#mirror = null
    this.#stream?.close()
    this.#stream = null
  }

  onInterim(head: ResponseHead): void {
    if (head.status === 100) this.#continues()
    // The target is at work, and has as much time again: as often as response-reader.ts lets interim answers pass.
    else if (this.#exchange.phase === 'waiting') this.#exchange.expectAnswer()
    this.#downstream.interim(head, this.#request.requestId)
  }

  /** From here on it is the client who is waited for. */
  #continues(): void {
    if (this.isAsked && this.#exchange.phase === 'waiting') this.#exchange.expectBody()
    this.#continued = true
  }

  /** The client has asked whether to send its body, nobody has said so yet, and nothing of it has come. */
  get isAsked(): boolean {
    const { expectContinue, bodyDone, bodyBytes } = this.#request
    return expectContinue && !bodyDone && bodyBytes === 0 && !this.#continued
  }

  onHead(head: ResponseHead, framing: Framing): void {
    this.status = head.status
    this.#exchange.answerCame(head, framing)
  }

  /** Passes the final head on, and decides with it whether the rest of a request that is not whole still goes to the target. */
  relay(head: ResponseHead, framing: Framing, upstream: Upstream, outcome: Outcome): void {
    const sent = upstream.requestSent
    const stays = head.keepAlive && framing !== 'close' && !sent
    // A client that waits for 100 (Continue) and gets this will send nothing.
    this.drainsRequest = stays && !this.isAsked
    this.#downstream.head(head, framing, this.#request, sent || this.drainsRequest)
    if (this.#downstream.endsByClose) this.drainsRequest = false
    if (framing === 'length' || framing === 'none' || !EventStream.isBegunBy(head)) return
    if (!this.#request.asksAgain(this.#plane)) return
    const stream = new EventStream(this.#plane.departures, this.#downstream, {
      end: () => this.#give(NOTHING, 0, 0, ''),
      cut: () => {
        outcome.cut('drain_ended')
        this.#downstream.destroy()
      },
    })
    if (stream.begin(this.#attempts, this.#request)) this.#stream = stream
  }

  get sink(): Outgoing | null {
    if (this.#mirror?.compares === true) return null
    return this.#downstream.sink
  }

  onBody(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    const stream = this.#stream
    const until = stream === null ? end : stream.walk(buffer, at, end)
    this.#give(buffer, at, until, stream?.isAsked && stream.isBetween ? '' : trailers)
  }

  #give(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    this.isBegun = true
    this.bytes += end - at
    this.#mirror?.liveBody(buffer, at, end)
    this.#downstream.body(buffer, at, end, trailers)
    this.#given(trailers !== null)
  }

  onMoved(bytes: number, done: boolean): void {
    this.bytes += bytes
    this.#given(done)
  }

  /** A client that does not keep up stops its source. */
  #given(isComplete: boolean): void {
    const exchange = this.#exchange
    if (isComplete) return exchange.answerComplete()
    if (!this.#downstream.isFull) return exchange.expectAnswer()
    exchange.upstream!.pause()
    this.#downstream.mark()
    exchange.expectTaken()
  }

  /** Gives an answer of our own: an error, or the page of the service in maintenance that was decided on last. */
  refuse(code: ErrorCode, json: boolean, service: ServiceTable | null): void {
    const { requestId, isHead } = this.#request
    if (code === 'maintenance') {
      const page = this.#plane.pages.take(service!, json, requestId)
      this.status = page.status
      this.bytes = isHead ? 0 : page.body.length
      return this.#downstream.page(page, requestId)
    }
    this.status = ERRORS[code].status
    this.#downstream.refuse(code, requestId, json)
  }

  /** Sends the client elsewhere, if that was decided. */
  redirects(plane: Plane, decision: Decision | null): boolean {
    if (decision === null || decision.redirect === null) return false
    const { location, setCookie } = decision.redirect
    const line = setCookie === null ? '' : cookieLine(plane, decision.service!, setCookie)
    this.status = 302
    this.#downstream.redirect({ requestId: this.#request.requestId, location, cookieLine: line })
    return true
  }

  /** Answers what may go no further (max-forwards.ts); gives the code of the error, when there is no answer to that. */
  here(): ErrorCode | null {
    const { method, maxForwards, requestId } = this.#request
    if (maxForwards > 0) return null
    if (maxForwards === MALFORMED) return 'bad_request'
    if (method !== 'OPTIONS') return 'method_not_allowed'
    this.status = 200
    this.#downstream.options(requestId)
    return null
  }
}
