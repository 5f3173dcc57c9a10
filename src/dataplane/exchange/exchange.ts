/**
 * One request and its response, from the read head to the freed connections. Read it from top to bottom:
 *
 *   begin → decide → acquire → sendRequest → (body) → waiting → take the response → finish
 *                ▲────── tryAgain ◄── connection refused, or closed before any answer
 *
 *   none ─► connecting ─► sending ─► waiting ─► relaying ─► none          any phase ─► fail ─► none
 *                  └──────────┴─(no body)─▲      │ └─answered before all was sent─► rest ─► none
 *                                                └─101─► tunnel ─► none
 *
 * A request is tried again only when that is safe (RFC 9110 9.2.2): always while nothing was written to a target, and once,
 * on a fresh connection, when it is idempotent, can be repeated in full and not one byte of an answer has come.
 * The object lives as long as its client connection; everything per request is reset in `begin`.
 */
import { ERRORS, type ErrorCode } from '../../errors.ts'
import { FIELD } from '../../metrics/layout.ts'
import type { Client } from '../downstream/client.ts'
import { MALFORMED } from '../http1/max-forwards.ts'
import type { Plane } from '../plane.ts'
import type { UpstreamConnection, UpstreamUser } from '../upstream/connection.ts'
import { Attempts } from './attempts.ts'
import { errorAnswer, optionsAnswer } from './head-writer.ts'
import { CLIENT_CLOSED, Outcome } from './outcome.ts'
import { ExchangeRequest } from './request.ts'
import { RequestBody } from './request-body.ts'
import { Response } from './response.ts'
import { Tunnel } from './tunnel.ts'

type Phase = 'none' | 'connecting' | 'sending' | 'waiting' | 'relaying' | 'rest'

export class Exchange implements UpstreamUser {
  readonly #client: Client
  readonly #plane: Plane
  readonly #asked = new ExchangeRequest()
  readonly #body = new RequestBody()
  readonly #response = new Response()
  readonly #dispatch: Attempts
  readonly #account: Outcome
  #phase: Phase = 'none'
  #repeatable = false
  #upstream: UpstreamConnection | null = null

  constructor(client: Client) {
    this.#client = client
    this.#plane = client.plane
    this.#dispatch = new Attempts(client)
    this.#account = new Outcome(client.plane)
  }

  /** Starts the exchange for the head in `plane.requestHead`; takes body bytes of `buffer[at, end)` and says how far. */
  begin(headText: string, mayStay: boolean, buffer: Buffer, at: number, end: number): number {
    this.#asked.read(this.#plane, headText, mayStay)
    this.#body.start(this.#plane.requestHead)
    this.#response.reset()
    this.#dispatch.reset()
    this.#account.open()
    const behind = this.#body.takeWhole(this.#plane, buffer, at, end)
    if (behind < 0) return this.#failAt('bad_body', end)
    if (this.#body.isTooLarge(this.#plane)) return this.#failAt('body_too_large', end)
    if (this.#asked.maxForwards <= 0) return this.#answerHere(behind)
    this.#repeatable = this.#asked.isIdempotent && this.#body.keep()
    const dispatch = this.#dispatch
    if (!dispatch.choose()) return this.#failAt(dispatch.decision?.error ?? 'internal', behind)
    this.#asked.writeLines(this.#plane, this.#client, dispatch.decision!, this.#body.done)
    this.#acquire(false)
    if (this.#body.done || behind >= end) return behind
    return this.onClientBytes(buffer, behind, end)
  }

  /** Takes an idle connection to the target, or opens one. */
  #acquire(fresh: boolean): void {
    const idle = this.#dispatch.takeIdle(this.#repeatable, fresh)
    if (idle !== null) {
      idle.user = this
      this.#upstream = idle
      return this.#sendRequest()
    }
    this.#phase = 'connecting'
    this.#client.deadlineMs = this.#plane.nowMs + this.#dispatch.service.timeouts.connectMs
    if (!this.#body.done) this.#client.pause()
    this.#upstream = this.#dispatch.open(this)
    if (this.#upstream === null) this.#tryAgain('overloaded', this.#dispatch.mayMove())
  }

  onUpstreamConnected(): void {
    if (this.#phase === 'connecting') this.#sendRequest()
  }

  #sendRequest(): void {
    this.#upstream!.out.text(this.#asked.headFor(this.#dispatch.decision!) + this.#body.whole)
    if (this.#body.done) return this.#requestSent()
    this.#phase = 'sending'
    if (this.#body.isLong) this.#client.reads.expectLong(this.#upstream!.out)
    this.#client.deadlineMs = this.#plane.nowMs + this.#plane.timeouts.bodyMs
    const held = this.#body.takeHeld()
    if (held !== null) {
      const at = this.onClientBytes(held, 0, held.length)
      if (at < held.length) this.#client.keepEarly(held, at, held.length)
    }
    this.#client.resume()
  }

  #requestSent(): void {
    this.#client.reads.expectAny()
    if (this.#phase === 'relaying') return
    if (this.#phase === 'rest') return this.#awaitRest()
    this.#phase = 'waiting'
    this.#client.deadlineMs = this.#plane.nowMs + this.#dispatch.service.timeouts.responseMs
  }

  /** Bytes from the client: takes what belongs to the body and says how far. */
  onClientBytes(buffer: Buffer, at: number, end: number): number {
    if (this.#body.done || this.#phase === 'none') return at
    if (this.#phase === 'connecting') {
      this.#body.hold(buffer, at, end)
      this.#client.pause()
      return end
    }
    const { out } = this.#upstream!
    const { reader } = this.#body
    if (!this.#body.send(this.#plane, this.#client.socket, out, buffer, at, end)) return this.#failAt('bad_body', end)
    if (this.#body.isTooLarge(this.#plane)) return this.#failAt('body_too_large', end)
    if (reader.done) this.#requestSent()
    else {
      const { bodyMs } = this.#plane.timeouts
      // An answer that has begun may well wait for the rest of the request.
      const limitMs = this.#phase === 'relaying' ? this.#dispatch.service.timeouts.idleMs : bodyMs
      this.#client.deadlineMs = this.#plane.nowMs + limitMs
      if (out.isFull) this.#client.pause()
    }
    return reader.consumed
  }

  onUpstreamDrain(): void {
    if (this.#phase !== 'connecting') this.#client.resume()
  }

  onClientDrain(): void {
    if (this.#phase === 'none' || this.#upstream === null) return
    this.#upstream.socket.resume()
    if (this.#phase === 'relaying') this.#client.deadlineMs = this.#plane.nowMs + this.#dispatch.service.timeouts.idleMs
  }

  /** Bytes from the target. */
  onUpstreamBytes(buffer: Buffer, length: number): void {
    const upstream = this.#upstream!
    // A byte before the request was begun answers nobody.
    if (this.#phase === 'connecting') return this.#fail('upstream_bad_response')
    if (this.#phase === 'rest') return this.#endRest()
    const response = this.#response
    const wasAnswered = response.answered
    const sent = this.#body.isSent(upstream.out)
    const progress = response.take(this.#client, upstream, this.#asked, buffer, length, sent)
    if (!wasAnswered && response.status !== 0) this.#account.answered(this.#dispatch, response.status)
    if (progress === 'complete') return this.#complete(response.isReusable(upstream, buffer, length))
    if (progress === 'malformed') return this.#fail('upstream_bad_response')
    if (progress === 'tunnel') return this.#startTunnel(buffer, length)
    if (!response.answered) return
    this.#phase = 'relaying'
    this.#client.relayed(upstream.socket, this.#dispatch.service.timeouts.idleMs)
  }

  #complete(reusable: boolean): void {
    const upstream = this.#upstream!
    if (this.#response.drainsRequest && !this.#body.isSent(upstream.out)) return this.#awaitRest()
    this.#upstream = null
    upstream.release(reusable && this.#body.done)
    this.#finish(this.#response.keepAlive && this.#body.done)
  }

  /** The answer is complete and the request is not: what is left of it still goes to a target that stays for it. */
  #awaitRest(): void {
    const upstream = this.#upstream!
    this.#phase = 'rest'
    this.#client.deadlineMs = this.#plane.nowMs + this.#plane.timeouts.bodyMs
    if (this.#body.done) upstream.out.end(() => this.#upstream === upstream && this.#endRest())
  }

  /** All was sent, or the target is not interested any more. */
  #endRest(): void {
    this.#upstream?.destroy()
    this.#upstream = null
    this.#finish(this.#response.keepAlive && this.#body.done)
  }

  onUpstreamEnd(): void {
    if (this.#response.endOfStream(this.#client)) return this.#complete(false)
    this.#upstream?.destroy()
    this.onUpstreamClosed()
  }

  /** The connection to the target is gone, by error or FIN, and nothing was said about it yet. */
  onUpstreamClosed(): void {
    this.#upstream = null
    if (this.#phase === 'none') return
    if (this.#phase === 'connecting') return this.#tryAgain('upstream_connect_failed', this.#dispatch.mayReconnect())
    if (this.#phase === 'rest') return this.#endRest()
    if (this.#response.begun) return this.#fail('upstream_closed')
    this.#tryAgain('upstream_closed', this.#repeatable && this.#dispatch.mayRepeat())
  }

  /** Decides again without the targets that failed, and opens a fresh connection. `code` is the answer when that is no use. */
  #tryAgain(code: ErrorCode, allowed: boolean): void {
    if (!allowed) return this.#fail(code)
    this.#plane.requestHead.parse(this.#asked.headText)
    if (!this.#dispatch.choose()) return this.#fail(code)
    this.#asked.writeChosenLines(this.#plane, this.#dispatch.decision!)
    this.#acquire(true)
  }

  /** Hands both connections to a tunnel; the exchange ends with it. */
  #startTunnel(buffer: Buffer, length: number): void {
    const upstream = this.#upstream!
    this.#upstream = null
    this.#phase = 'none'
    this.#account.answered(this.#dispatch, 101)
    const at = this.#response.writeSwitch(this.#client, this.#asked)
    this.#asked.condense()
    const tunnel = new Tunnel(this.#client, upstream, this.#account, () => this.#finish(false))
    if (at < length) tunnel.toClient(buffer, at, length)
    this.#client.becomeTunnel(tunnel)
    if (this.#client.ended) tunnel.onClientEnd()
  }

  onClientEnd(): void {
    if (!this.#body.done) this.#fail('bad_body')
  }

  /** The client's connection is gone. */
  onClientGone(): void {
    if (this.#phase === 'none') return
    this.#upstream?.destroy()
    this.#upstream = null
    this.#dispatch.count(FIELD.aborted)
    this.#response.status ||= CLIENT_CLOSED
    this.#finish(false)
  }

  /** Called when the deadline of the present phase has passed. */
  onDeadline(): void {
    if (this.#phase === 'connecting') {
      this.#upstream?.destroy()
      this.#upstream = null
      this.#dispatch.count(FIELD.timeouts)
      return this.#tryAgain('upstream_connect_failed', this.#dispatch.mayReconnect())
    }
    if (this.#phase === 'rest') return this.#endRest()
    if (this.#phase === 'relaying' && this.#client.out.unsentBytes > 0) return this.#client.awaitProgress()
    if (this.#phase === 'sending' && this.#upstream?.out.isFull !== true) return this.#fail('request_timeout')
    this.#dispatch.count(FIELD.timeouts)
    this.#fail('upstream_timeout')
  }

  /** Answers what may go no further (max-forwards.ts). */
  #answerHere(consumed: number): number {
    const asked = this.#asked
    if (asked.maxForwards === MALFORMED) return this.#failAt('bad_request', consumed)
    if (asked.method !== 'OPTIONS') return this.#failAt('method_not_allowed', consumed)
    const keepAlive = asked.mayStay && this.#body.done
    this.#say(200, optionsAnswer(this.#plane, asked, keepAlive), keepAlive)
    return consumed
  }

  #failAt(code: ErrorCode, consumed: number): number {
    this.#fail(code)
    return consumed
  }

  /** Ends the exchange: with an error of ours while no answer was begun, else the client sees that it is cut. */
  #fail(code: ErrorCode): void {
    this.#upstream?.destroy()
    this.#upstream = null
    this.#account.failed(code, this.#dispatch)
    const response = this.#response
    if (response.answered) return this.#finish(false)
    const { status } = ERRORS[code]
    const keepAlive = this.#asked.mayStay && this.#body.done && status !== 400 && status !== 413
    const json = this.#asked.acceptsJson(this.#plane)
    this.#say(status, errorAnswer(this.#plane, code, this.#asked, json, keepAlive), keepAlive)
  }

  /** Sends a whole answer of our own and ends the exchange. */
  #say(status: number, text: string, keepAlive: boolean): void {
    this.#response.status = status
    this.#client.out.text(text)
    this.#finish(keepAlive)
  }

  /** Counts, logs, and hands the connection back to its client. */
  #finish(keepAlive: boolean): void {
    this.#account.close(this.#asked, this.#dispatch, this.#body.reader.bytes, this.#response)
    this.#response.end(this.#client.socket)
    this.#phase = 'none'
    this.#client.reads.expectAny()
    this.#asked.forget()
    this.#body.forget()
    this.#client.exchangeEnded(keepAlive)
  }
}
