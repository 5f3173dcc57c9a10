/**
 * One request and its response, from the read head to the freed connections. Read it from top to bottom:
 *
 *   begin → decide → acquire → sendRequest → (body) → waiting → take the response → finish
 *                ▲────── tryAgain ◄── connection refused, or closed before any answer
 *
 *   none ─► connecting ─► sending ─► waiting ─► relaying ─► none          any phase ─► fail ─► none
 *                  └──────────┴─(no body)─▲          └─101─► tunnel ─► none
 *
 * A request is tried again only when that is safe (RFC 9110 9.2.2): always while nothing was written to a target, and once,
 * on a fresh connection, when it is idempotent, can be repeated in full and not one byte of an answer has come.
 * The object lives as long as its client connection; everything per request is reset in `begin`.
 */
import { ERRORS, type ErrorCode } from '../errors.ts'
import { FIELD } from '../metrics/layout.ts'
import { Account } from './account.ts'
import { Asked } from './asked.ts'
import type { Client } from './client.ts'
import { Dispatch } from './dispatch.ts'
import { errorAnswer } from './forward.ts'
import type { Plane } from './plane.ts'
import { RequestBody } from './request-body.ts'
import { Response } from './response.ts'
import { Tunnel } from './tunnel.ts'
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts'

type Phase = 'none' | 'connecting' | 'sending' | 'waiting' | 'relaying'

/** Status in the access log of a request whose client went away. */
const CLIENT_CLOSED = 499

export class Exchange implements UpstreamUser {
  readonly #client: Client
  readonly #plane: Plane
  readonly #asked = new Asked()
  readonly #body = new RequestBody()
  readonly #response = new Response()
  readonly #dispatch: Dispatch
  readonly #account: Account
  #phase: Phase = 'none'
  #repeatable = false
  #upstream: UpstreamConnection | null = null

  constructor(client: Client) {
    this.#client = client
    this.#plane = client.plane
    this.#dispatch = new Dispatch(client)
    this.#account = new Account(client.plane)
  }

  /** Starts the exchange for the head in `plane.requestHead`; takes body bytes of `buffer[at, end)` and says how far. */
  begin(headText: string, mayStay: boolean, buffer: Buffer, at: number, end: number): number {
    this.#reset(headText, mayStay)
    if (this.#isTooLarge(this.#plane.requestHead.contentLength)) return this.#failAt('body_too_large', end)
    const behind = this.#body.takeWhole(buffer, at, end)
    this.#repeatable = this.#asked.isIdempotent && this.#body.done && this.#asked.upgrade === ''
    const dispatch = this.#dispatch
    if (!dispatch.choose()) return this.#failAt(dispatch.decision?.error ?? 'internal', behind)
    this.#asked.writeLines(this.#plane, this.#client, dispatch.decision!, this.#body.done)
    this.#acquire(false)
    if (this.#body.done || behind >= end) return behind
    return this.onClientBytes(buffer, behind, end)
  }

  #reset(headText: string, mayStay: boolean): void {
    const plane = this.#plane
    this.#asked.read(plane, headText, mayStay)
    this.#body.start(plane.requestHead)
    this.#response.reset()
    this.#dispatch.reset()
    this.#account.open()
  }

  #isTooLarge(bytes: number): boolean {
    const bytesMax = this.#plane.limits.bodyBytesMax
    return bytesMax > 0 && bytes > bytesMax
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
    if (this.#upstream === null) this.#fail('overloaded')
  }

  onUpstreamConnected(): void {
    if (this.#phase === 'connecting') this.#sendRequest()
  }

  #sendRequest(): void {
    this.#upstream!.socket.write(this.#asked.headFor(this.#dispatch.decision!) + this.#body.whole, 'latin1')
    if (this.#body.done) return this.#requestSent()
    this.#phase = 'sending'
    this.#client.deadlineMs = this.#plane.nowMs + this.#plane.timeouts.bodyMs
    const held = this.#body.takeHeld()
    if (held !== null) {
      const at = this.onClientBytes(held, 0, held.length)
      if (at < held.length) this.#client.keepEarly(held, at, held.length)
    }
    this.#client.resume()
  }

  #requestSent(): void {
    if (this.#phase === 'relaying') return
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
    const socket = this.#upstream!.socket
    const { reader } = this.#body
    if (!this.#body.send(this.#plane, socket, buffer, at, end)) return this.#failAt('bad_body', end)
    if (this.#isTooLarge(reader.bytes)) return this.#failAt('body_too_large', end)
    if (reader.done) this.#requestSent()
    else {
      if (this.#phase === 'sending') this.#client.deadlineMs = this.#plane.nowMs + this.#plane.timeouts.bodyMs
      if (socket.writableNeedDrain) this.#client.pause()
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
    const response = this.#response
    const wasAnswered = response.answered
    const sent = this.#body.done && upstream.socket.writableLength === 0
    const progress = response.take(this.#client, upstream, this.#asked, buffer, length, sent)
    if (!wasAnswered && response.status !== 0) this.#account.answered()
    if (progress === 'complete') return this.#complete(response.isReusable(length))
    if (progress === 'malformed') return this.#broken('upstream_bad_response')
    if (progress === 'tunnel') return this.#startTunnel(buffer, length)
    if (!response.answered) return
    this.#phase = 'relaying'
    const clogged = this.#client.isClogged
    if (clogged) {
      upstream.socket.pause()
      this.#client.watchProgress()
    }
    const limitMs = clogged ? this.#plane.timeouts.sendMs : this.#dispatch.service.timeouts.idleMs
    this.#client.deadlineMs = this.#plane.nowMs + limitMs
  }

  #complete(reusable: boolean): void {
    const upstream = this.#upstream!
    this.#upstream = null
    upstream.release(reusable && this.#body.done)
    this.#finish(this.#response.keepAlive && this.#body.done)
  }

  onUpstreamEnd(): void {
    if (this.#response.endOfStream(this.#client)) this.#complete(false)
    else {
      this.#upstream?.destroy()
      this.onUpstreamClosed()
    }
  }

  /** The connection to the target is gone, by error or FIN, and nothing was said about it yet. */
  onUpstreamClosed(): void {
    this.#upstream = null
    if (this.#phase === 'none') return
    if (this.#phase === 'connecting') return this.#connectFailed()
    if (this.#response.begun) return this.#broken('upstream_closed')
    if (this.#repeatable && this.#dispatch.mayRepeat()) this.#tryAgain('upstream_closed')
    else this.#fail('upstream_closed')
  }

  #connectFailed(): void {
    if (this.#dispatch.mayReconnect()) this.#tryAgain('upstream_connect_failed')
    else this.#fail('upstream_connect_failed')
  }

  /** Decides again without the targets that failed, and opens a fresh connection. `code` is the answer if that is no use. */
  #tryAgain(code: ErrorCode): void {
    this.#plane.requestHead.parse(this.#asked.headText)
    if (!this.#dispatch.choose()) return this.#fail(code)
    this.#asked.writeAnswerLines(this.#plane, this.#dispatch.decision!)
    this.#acquire(true)
  }

  /** Hands both connections to a tunnel; the exchange ends with it. */
  #startTunnel(buffer: Buffer, length: number): void {
    const upstream = this.#upstream!
    this.#upstream = null
    this.#phase = 'none'
    this.#dispatch.count(FIELD.tunnels)
    this.#dispatch.count(FIELD.tunnelsOpened)
    this.#account.answered()
    const at = this.#response.writeSwitch(this.#client, this.#asked)
    const tunnel = new Tunnel(this.#client, upstream, (inBytes, outBytes) => {
      this.#account.inBytes = inBytes
      this.#account.outBytes = outBytes
      this.#dispatch.count(FIELD.tunnels, -1)
      this.#finish(false)
    })
    if (at < length) tunnel.toClient(buffer, at, length)
    this.#client.becomeTunnel(tunnel)
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
      return this.#connectFailed()
    }
    const clogged = this.#client.socket.writableLength > 0
    if (this.#phase === 'relaying' && clogged) {
      if (!this.#client.madeProgress()) return this.#client.destroy()
      this.#client.deadlineMs = this.#plane.nowMs + this.#plane.timeouts.sendMs
      return
    }
    if (this.#phase === 'sending' && this.#upstream?.socket.writableNeedDrain !== true)
      return this.#fail('request_timeout')
    this.#dispatch.count(FIELD.timeouts)
    this.#broken('upstream_timeout')
  }

  /** The answer broke: a 5xx of ours while none was begun, else the client sees that it is cut. */
  #broken(code: ErrorCode): void {
    if (!this.#response.answered) return this.#fail(code)
    this.#upstream?.destroy()
    this.#upstream = null
    this.#account.failed(code, this.#dispatch)
    this.#finish(false)
    // Without a length or chunks, a FIN would make half an answer look whole.
    if (this.#response.endsByClose) this.#client.socket.resetAndDestroy()
  }

  #failAt(code: ErrorCode, consumed: number): number {
    this.#fail(code)
    return consumed
  }

  /** Answers with an error of ours and ends the exchange. */
  #fail(code: ErrorCode): void {
    this.#upstream?.destroy()
    this.#upstream = null
    this.#account.failed(code, this.#dispatch)
    const response = this.#response
    if (response.answered) return this.#finish(false)
    const keepAlive = this.#asked.mayStay && this.#body.done && ERRORS[code].status !== 400
    response.status = ERRORS[code].status
    this.#client.socket.write(errorAnswer(this.#plane, code, this.#asked, keepAlive), 'latin1')
    this.#finish(keepAlive)
  }

  /** Counts, logs, and hands the connection back to its client. */
  #finish(keepAlive: boolean): void {
    this.#account.inBytes += this.#body.reader.bytes
    this.#account.outBytes += this.#response.bytes
    this.#account.close(this.#asked, this.#dispatch, this.#response.status)
    this.#phase = 'none'
    this.#asked.forget()
    this.#client.exchangeEnded(keepAlive)
  }
}
