/**
 * The body of a request on its way from the client to the target of its exchange, and what else the client does meanwhile: it reads on,
 * ends its side, or goes away.
 */
import type { ErrorCode } from '../../errors.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Downstream, RequestUser } from './downstream.ts'
import type { Phase } from './lapse.ts'
import type { ExchangeRequest } from './request.ts'
import type { Unserved } from './wait.ts'

/** The exchange, as the body of its request sees it. */
export interface UploadOwner {
  readonly phase: Phase
  /** Where the request goes; there is one whenever any of its body is taken. */
  readonly upstream: Upstream | null
  /** Some of the body was taken, and more is to come. */
  expectBody(): void
  /** The target has all that it gets, or goes on with its answer: it has its time for that from now on. */
  expectAnswer(): void
  fail(code: ErrorCode): void
  unserved(why: Unserved): void
  /** The client is gone. */
  abandon(): void
}

export class Upload implements RequestUser {
  readonly #downstream: Downstream
  readonly #request: ExchangeRequest
  readonly #exchange: UploadOwner

  constructor(downstream: Downstream, request: ExchangeRequest, exchange: UploadOwner) {
    this.#downstream = downstream
    this.#request = request
    this.#exchange = exchange
  }

  onRequestBody(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    const upstream = this.#exchange.upstream!
    this.#request.note(buffer, at, end, trailers)
    upstream.body(buffer, at, end, trailers)
    this.#moved(upstream)
  }

  get requestSink(): Outgoing | null {
    return this.#request.keeps ? null : (this.#exchange.upstream?.sink ?? null)
  }

  onRequestMoved(bytes: number, done: boolean): void {
    const upstream = this.#exchange.upstream!
    this.#request.noteMoved(bytes, done)
    upstream.moved(done)
    this.#moved(upstream)
  }

  #moved(upstream: Upstream): void {
    const exchange = this.#exchange
    if (this.#request.bodyDone) return exchange.expectAnswer()
    exchange.expectBody()
    if (!upstream.isFull) return
    this.#downstream.pause()
    upstream.mark()
  }

  onRequestFault(code: 'bad_body' | 'body_too_large'): void {
    this.#exchange.fail(code)
  }

  onEnded(): void {
    this.#exchange.fail('bad_body')
  }

  /** The client has ended its side after all of its request. Who does so while it waits has left, for the most part. */
  onHalfClosed(): void {
    if (this.#exchange.phase === 'queued') this.#exchange.unserved('left')
  }

  onClientDrain(): void {
    const { phase, upstream } = this.#exchange
    if (phase === 'none' || upstream === null) return
    upstream.resume()
    if (phase === 'relaying') this.#exchange.expectAnswer()
  }

  onGone(): void {
    this.#exchange.abandon()
  }
}
