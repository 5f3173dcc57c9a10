/**
 * What a client asked for, kept for the life of its exchange: the facts that the answer depends on, and what is sent on, in
 * parts that no wire has shaped yet.
 *
 * The worker's one request head is read over and over, so everything that must outlive the moment is copied here, once. The
 * head text itself is kept too: a request that is tried again is parsed and decided again from it.
 */

import { isIdempotent } from '../../table/methods.ts'
import type { Decision, ServiceTable } from '../../table/types.ts'
import { KIND } from '../http1/field-kinds.ts'
import { hopsLeft, UNLIMITED } from '../http1/max-forwards.ts'
import { flat } from '../http1/syntax.ts'
import type { Plane } from '../plane.ts'
import type { RequestToSend } from '../upstream/upstream.ts'
import type { Downstream } from './downstream.ts'
import { cookieLine, MIRROR_LINE, poolLines, requestIdOf, requestLines } from './field-lines.ts'
import type { KeptBytes } from './kept-bytes.ts'

/** What of a body is kept, so that its request can be sent a second time. */
const KEPT_BYTES_MAX = 8_192

/** What of a body has come with its head. */
export interface BodyAtHand {
  /** Payload as latin1: all of a small body, or nothing. */
  readonly whole: string
  readonly done: boolean
  readonly trailers: string
}

/** What is known with a decision (attempts.ts). */
export interface Chosen {
  readonly decision: Decision | null
  readonly isFirst: boolean
  /** What the target fails, others answer. */
  readonly isRescued: boolean
  readonly service: ServiceTable
}

export class ExchangeRequest implements RequestToSend {
  headText = ''
  method = ''
  host = ''
  path = ''
  target = ''
  authority = ''
  isHead = false
  expectContinue = false
  upgrade = ''
  chunked = false
  contentLength = -1
  requestId = ''
  /** Servers behind this one that it may still reach: see max-forwards.ts. */
  maxForwards = UNLIMITED
  lines = ''
  poolLines = ''
  cookieLine = ''
  answerLines = ''
  /** What of the body goes with the head, as latin1: all of a small one that was at hand, or what a repeat sends again. */
  whole = ''
  bodyDone = true
  trailers = ''
  /** Payload bytes of the body that were taken so far. */
  bodyBytes = 0
  #isWhole = true
  #repeatable = false
  #keeps = false
  /** Another Turnout has made it (mirror.ts): its target is told so, too, and no copy is made of it. */
  isCopy = false
  #debugs = false
  #isRescuable = false
  /** Bytes that are kept for a rescue alone. */
  #keptBytes = 0
  readonly #kept: KeptBytes

  constructor(kept: KeptBytes) {
    this.#kept = kept
  }

  /** Takes over what is in `plane.requestHead`. */
  read(plane: Plane, headText: string, { whole, done, trailers }: BodyAtHand): void {
    const head = plane.requestHead
    this.headText = headText
    this.method = head.method
    this.host = head.host
    this.path = head.path
    this.target = head.target
    this.isHead = head.method === 'HEAD'
    this.expectContinue = head.expectContinue
    this.upgrade = head.upgrade
    this.chunked = head.chunked
    this.contentLength = head.contentLength
    this.requestId = requestIdOf(plane, head)
    this.maxForwards = hopsLeft(head.method, head.fields)
    this.cookieLine = ''
    this.answerLines = ''
    this.whole = whole
    this.bodyDone = done
    this.trailers = trailers
    this.bodyBytes = whole.length
    this.#isWhole = done
    this.#keeps = !done && !head.chunked && head.contentLength <= KEPT_BYTES_MAX && isIdempotent(head.method)
    this.#repeatable = isIdempotent(head.method) && (done || this.#keeps)
    this.#isRescuable = false
  }

  /** It may be sent a second time, in full. */
  get repeatable(): boolean {
    return this.#repeatable
  }

  /** All of it is one text, which leaves at once. */
  get isWhole(): boolean {
    return this.#isWhole
  }

  /** It brings a body. */
  get hasBody(): boolean {
    return !this.bodyDone || this.whole !== ''
  }

  /** It only asks for something, and brings nothing. */
  get isFetch(): boolean {
    return this.bodyDone && this.bodyBytes === 0 && (this.isHead || this.method === 'GET')
  }

  /** It may be sent to another pool, in full, when a new version has failed it. */
  get isRescuable(): boolean {
    return this.#isRescuable
  }

  /**
   * A new version may fail the request, which is in `plane.requestHead`: keeps for another pool what of the body comes, at most
   * so many bytes. One that is not idempotent needs a key by which its targets tell that they have seen it before.
   */
  #keepForRescue({ view }: Plane, bytesMax: number): void {
    this.#isRescuable = this.#repeatable
    if (this.#repeatable || !(isIdempotent(this.method) || view.header('idempotency-key') !== undefined)) return
    if (!this.bodyDone) {
      if (this.chunked || this.contentLength > bytesMax || !this.#kept.take(this.contentLength)) return
      this.#keptBytes = this.contentLength
      this.#keeps = true
    }
    this.#isRescuable = true
  }

  /** Whether pieces of the body are kept for that, so that they must not pass unseen. */
  get keeps(): boolean {
    return this.#keeps
  }

  /** Notes a piece of the body that is sent on. */
  note(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    this.bodyBytes += end - at
    if (this.#keeps) this.whole += buffer.latin1Slice(at, end)
    if (trailers === null) return
    this.bodyDone = true
    this.trailers = trailers
  }

  /** Notes payload that passed unseen. */
  noteMoved(bytes: number, done: boolean): void {
    this.bodyBytes += bytes
    if (done) this.bodyDone = true
  }

  /** Its target is known: what that is sent and, with the first, what is kept for another. For the request in `plane.requestHead`. */
  chosen(plane: Plane, downstream: Downstream, { decision, isFirst, isRescued, service }: Chosen): void {
    if (!isFirst) return this.#writeChosenLines(plane, decision!)
    this.#writeLines(plane, downstream, decision!)
    if (isRescued) this.#keepForRescue(plane, service.rescue!.bodyBytesMax)
  }

  #writeLines(plane: Plane, downstream: Downstream, decision: Decision): void {
    const head = plane.requestHead
    this.lines = requestLines(plane, head, downstream, this)
    // From a trusted address one may ask for the debug headers, and say that this is a copy; from anybody else both are dropped unread.
    const tells = downstream.trusted && head.fields.next(KIND.turnout) >= 0
    this.#debugs = tells && plane.view.header('x-turnout-debug') !== undefined
    this.isCopy = tells && plane.view.header('x-turnout-mirror') !== undefined
    if (this.isCopy) this.lines += MIRROR_LINE
    this.#writeChosenLines(plane, decision)
  }

  /** Writes the lines for either side that depend on the decision, for the request in `plane.requestHead`. */
  #writeChosenLines(plane: Plane, decision: Decision): void {
    const { authority } = plane.requestHead
    this.authority = authority === '' ? decision.target!.authority : authority
    const service = decision.service!
    this.poolLines = poolLines(service, decision.pool!)
    this.cookieLine = decision.setCookie === null ? '' : cookieLine(plane, service, decision.setCookie)
    this.answerLines = service.debugHeaders || this.#debugs ? this.poolLines : ''
  }

  /** Whether the client takes JSON: looked up only for answers of our own. */
  acceptsJson(plane: Plane): boolean {
    plane.requestHead.parse(this.headText)
    return plane.view.header('accept')?.includes('json') === true
  }

  /**
   * Whether whoever asked takes the end of a stream of events for a pause, and asks again: an EventSource does, and says by GET and Accept
   * what it is. Whoever reads events in another way, as the answer to a POST mostly, takes it for the end of all. Looked up only for streams.
   */
  asksAgain(plane: Plane): boolean {
    if (this.method !== 'GET') return false
    plane.requestHead.parse(this.headText)
    return plane.view.header('accept')?.toLowerCase().includes('text/event-stream') === true
  }

  /** Lets go of the strings, so that an idle connection keeps none of them alive: a slice of the head keeps all of it. */
  forget(): void {
    this.method = ''
    this.path = ''
    this.requestId = ''
    this.#forgetHead()
  }

  /** Keeps only what the log line needs: a tunnel lives for long, and its head is not looked at again. */
  condense(): void {
    this.method = flat(this.method)
    this.path = flat(this.path)
    this.requestId = flat(this.requestId)
    this.#forgetHead()
  }

  #forgetHead(): void {
    if (this.#keptBytes > 0) this.#kept.give(this.#keptBytes)
    this.#keptBytes = 0
    this.headText = ''
    this.target = ''
    this.authority = ''
    this.upgrade = ''
    this.lines = ''
    this.poolLines = ''
    this.cookieLine = ''
    this.answerLines = ''
    this.whole = ''
    this.trailers = ''
  }
}
