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
import { decide } from '../table/decide.ts'
import type { Decision, TargetTable } from '../table/types.ts'
import { BodyReader } from './body.ts'
import type { Client } from './client.ts'
import { errorAnswer, framingLine, poolLines, requestIdOf, requestLines } from './forward.ts'
import type { Plane } from './plane.ts'
import { relayBody } from './relay.ts'
import { type Asked, Response } from './response.ts'
import { TUNNEL_IDLE_MS, Tunnel } from './tunnel.ts'
import type { UpstreamConnection } from './upstream-connection.ts'

type Phase = 'none' | 'connecting' | 'sending' | 'waiting' | 'relaying' | 'tunnel'

/** Methods that may be repeated: RFC 9110 9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])
/** Bodies up to this size that came with their head are kept, so the request can be repeated. */
const WHOLE_BYTES_MAX = 8_192
/** Targets that are tried while connections are refused. */
const CONNECTS_MAX = 3
/** Status in the access log of a request whose client went away. */
const CLIENT_CLOSED = 499

export class Exchange implements Asked {
  readonly #client: Client
  readonly #plane: Plane
  readonly #body = new BodyReader()
  readonly #response = new Response()
  #phase: Phase = 'none'
  #headText = ''
  #requestLine = ''
  #lines = ''
  #bodyLine = ''
  #wholeBody = ''
  #held: Buffer | null = null
  #repeatable = false
  #decision: Decision | null = null
  #target: TargetTable | null = null
  #excluded: TargetTable[] | undefined
  #connects = 0
  #repeats = 0
  #upstream: UpstreamConnection | null = null
  #fresh = false
  #tunnel: Tunnel | null = null
  #epoch = 0
  #startMs = 0
  #ttfbMs = -1
  #logged = false
  #error: ErrorCode | null = null
  #method = ''
  #host = ''
  #path = ''
  #accept = ''
  #address = ''
  isHead = false
  minor = 1
  expectContinue = false
  upgrade = ''
  requestId = ''
  mayStay = false
  extraLines = ''

  constructor(client: Client) {
    this.#client = client
    this.#plane = client.plane
  }

  get service(): Decision['service'] {
    return this.#decision === null ? null : this.#decision.service
  }

  /** Starts the exchange for the head in `plane.requestHead`; takes body bytes of `buffer[at, end)` and says how far. */
  begin(headText: string, mayStay: boolean, buffer: Buffer, at: number, end: number): number {
    const head = this.#plane.requestHead
    this.#reset(headText, mayStay)
    const bytesMax = this.#plane.limits.bodyBytesMax
    if (bytesMax > 0 && head.contentLength > bytesMax) return this.#failAt('body_too_large', end)
    const behind = this.#takeWholeBody(buffer, at, end)
    this.#repeatable = IDEMPOTENT.has(head.method) && this.#body.done && head.upgrade === ''
    if (!this.#decide()) return this.#failAt(this.#decision?.error ?? 'internal', behind)
    this.#writeLines()
    this.#acquire(false)
    if (this.#body.done || behind >= end) return behind
    return this.onClientBytes(buffer, behind, end)
  }

  #reset(headText: string, mayStay: boolean): void {
    const plane = this.#plane
    const head = plane.requestHead
    this.#headText = headText
    this.mayStay = mayStay
    this.#wholeBody = ''
    this.#held = null
    this.#target = null
    this.#excluded = undefined
    this.#connects = 0
    this.#repeats = 0
    this.#fresh = false
    this.#tunnel = null
    this.#startMs = plane.nowMs
    this.#ttfbMs = -1
    this.#logged = plane.log.wanted()
    this.#error = null
    this.#method = head.method
    this.#host = head.host
    this.#path = head.path
    this.isHead = head.method === 'HEAD'
    this.minor = head.minor
    this.expectContinue = head.expectContinue
    this.upgrade = head.upgrade
    this.requestId = requestIdOf(plane, head)
    this.extraLines = ''
    this.#body.start(head.chunked ? 'chunked' : head.contentLength > 0 ? 'length' : 'none', head.contentLength)
    this.#bodyLine = framingLine(head.chunked, head.contentLength)
    this.#response.reset()
  }

  /** A small body that came with its head is kept as a string: one write, and it can be repeated. */
  #takeWholeBody(buffer: Buffer, at: number, end: number): number {
    const size = this.#body.remaining
    if (this.#body.framing !== 'length' || size > WHOLE_BYTES_MAX || end - at < size) return at
    this.#wholeBody = buffer.latin1Slice(at, at + size)
    this.#body.takeWhole()
    return at + size
  }

  /** Asks the table for a target. False when there is none; then the decision says why. */
  #decide(): boolean {
    const plane = this.#plane
    const view = plane.view
    view.address = this.#client.trusted
      ? plane.trusted.clientOf(plane.requestHead.fields, this.#client.peer)
      : this.#client.peer
    this.#address = view.address
    const accept = view.header('accept')
    this.#accept = accept ?? ''
    const table = plane.currentTable()
    const decision = decide(view, table, plane.load, plane.draw, plane.wallMs(), this.#excluded)
    this.#decision = decision
    this.#epoch = table.epoch
    if (decision.target === null) return false
    this.#target = decision.target
    plane.count(decision.target.slot, FIELD.inFlight)
    return true
  }

  #writeLines(): void {
    const client = this.#client
    const head = this.#plane.requestHead
    const authority = head.authority
    const forwarded = client.trusted ? null : client.forwardedLines(authority)
    this.#lines = requestLines(this.#plane, head, forwarded, client.peer, client.tls, this.requestId)
    this.#requestLine =
      head.method +
      ' ' +
      head.target +
      ' HTTP/1.1\r\nHost: ' +
      (authority === '' ? this.#target!.authority : authority) +
      '\r\n'
    if (head.upgrade !== '') this.#bodyLine = 'Connection: Upgrade\r\nUpgrade: ' + head.upgrade + '\r\n'
    if (head.expectContinue && !this.#body.done) this.#bodyLine += 'Expect: 100-continue\r\n'
    this.#writeExtraLines()
  }

  #writeExtraLines(): void {
    const decision = this.#decision!
    const service = decision.service!
    let lines = ''
    if (decision.setCookie !== null && service.sticky !== null) {
      const { cookie, attributes } = service.sticky
      lines = 'Set-Cookie: ' + cookie + '=' + this.#plane.signer.sign(cookie, decision.setCookie) + attributes + '\r\n'
    }
    if (service.debugHeaders) lines += poolLines(service, decision.pool!)
    this.extraLines = lines
  }

  /** Takes an idle connection to the target, or opens one. */
  #acquire(fresh: boolean): void {
    const pool = this.#plane.poolOf(this.#target!)
    const idle = fresh ? null : pool.takeIdle(this.#repeatable)
    if (idle !== null) {
      idle.exchange = this
      this.#upstream = idle
      this.#fresh = false
      return this.#sendRequest()
    }
    this.#fresh = true
    this.#phase = 'connecting'
    this.#client.deadlineMs = this.#plane.nowMs + this.#decision!.service!.timeouts.connectMs
    if (!this.#body.done) this.#client.pause()
    this.#upstream = pool.open(this)
    if (this.#upstream === null) this.#fail('overloaded')
  }

  onUpstreamConnected(): void {
    if (this.#phase === 'connecting') this.#sendRequest()
  }

  #sendRequest(): void {
    const decision = this.#decision!
    const socket = this.#upstream!.socket
    const head =
      this.#requestLine +
      this.#lines +
      poolLines(decision.service!, decision.pool!) +
      this.#bodyLine +
      '\r\n' +
      this.#wholeBody
    socket.write(head, 'latin1')
    if (this.#body.done) return this.#requestSent()
    this.#phase = 'sending'
    this.#client.deadlineMs = this.#plane.nowMs + this.#plane.timeouts.bodyMs
    const held = this.#held
    if (held !== null) {
      this.#held = null
      const at = this.onClientBytes(held, 0, held.length)
      if (at < held.length) this.#client.keepEarly(held, at, held.length)
    }
    this.#client.resume()
  }

  #requestSent(): void {
    if (this.#phase === 'relaying') return
    this.#phase = 'waiting'
    this.#client.deadlineMs = this.#plane.nowMs + this.#decision!.service!.timeouts.responseMs
  }

  /** Bytes from the client: takes what belongs to the body and says how far. */
  onClientBytes(buffer: Buffer, at: number, end: number): number {
    if (this.#body.done || this.#phase === 'none') return at
    if (this.#phase === 'connecting') return this.#hold(buffer, at, end)
    const upstream = this.#upstream!
    const body = this.#body
    const size = relayBody(this.#plane, body, body.framing === 'chunked', '', buffer, at, end, upstream.socket)
    if (size < 0) return this.#failAt('bad_body', end)
    const bytesMax = this.#plane.limits.bodyBytesMax
    if (bytesMax > 0 && body.bytes > bytesMax) return this.#failAt('body_too_large', end)
    if (body.done) this.#requestSent()
    else {
      if (this.#phase === 'sending') this.#client.deadlineMs = this.#plane.nowMs + this.#plane.timeouts.bodyMs
      if (upstream.socket.writableNeedDrain) this.#client.pause()
    }
    return body.consumed
  }

  /** The connection is still being opened: at most one read waits, then the client does. */
  #hold(buffer: Buffer, at: number, end: number): number {
    const copy = Buffer.from(buffer.subarray(at, end))
    this.#held = this.#held === null ? copy : Buffer.concat([this.#held, copy])
    this.#client.pause()
    return end
  }

  onUpstreamDrain(): void {
    if (this.#tunnel !== null) this.#tunnel.onTargetDrain()
    else if (this.#phase !== 'connecting') this.#client.resume()
  }

  onClientDrain(): void {
    if (this.#tunnel !== null) return this.#tunnel.onClientDrain()
    if (this.#phase === 'none' || this.#upstream === null) return
    this.#upstream.socket.resume()
    if (this.#phase === 'relaying')
      this.#client.deadlineMs = this.#plane.nowMs + this.#decision!.service!.timeouts.idleMs
  }

  /** Bytes from the target. */
  onUpstreamBytes(buffer: Buffer, length: number): void {
    if (this.#tunnel !== null) return this.#tunnel.toClient(buffer, 0, length)
    const upstream = this.#upstream!
    // A byte before the request was begun answers nobody.
    if (this.#phase === 'connecting') return this.#fail('upstream_bad_response')
    const response = this.#response
    const wasAnswered = response.answered
    const sent = this.#body.done && upstream.socket.writableLength === 0
    const progress = response.take(this.#client, upstream, this, buffer, length, sent)
    if (!wasAnswered && response.status !== 0) this.#ttfbMs = this.#plane.nowMs - this.#startMs
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
    const limitMs = clogged ? this.#plane.timeouts.sendMs : this.#decision!.service!.timeouts.idleMs
    this.#client.deadlineMs = this.#plane.nowMs + limitMs
  }

  #complete(reusable: boolean): void {
    const upstream = this.#upstream!
    this.#upstream = null
    upstream.release(reusable && this.#body.done)
    this.#finish(this.#response.keepAlive && this.#body.done)
  }

  onUpstreamEnd(): void {
    if (this.#tunnel !== null) {
      if (this.#tunnel.onTargetEnd()) this.#endTunnel()
    } else if (this.#response.endOfStream(this.#client)) this.#complete(false)
    else {
      this.#upstream?.destroy()
      this.onUpstreamClosed()
    }
  }

  /** The connection to the target is gone, by error or FIN, and nothing was said about it yet. */
  onUpstreamClosed(): void {
    this.#upstream = null
    if (this.#phase === 'none') return
    if (this.#tunnel !== null) return this.#client.destroy()
    if (this.#phase === 'connecting') return this.#connectFailed()
    if (this.#response.begun) return this.#broken('upstream_closed')
    if (!this.#repeatable || this.#repeats > 0) return this.#fail('upstream_closed')
    this.#repeats++
    this.#plane.count(this.#target!.slot, FIELD.retriesStale)
    if (this.#fresh) this.#exclude()
    this.#tryAgain('upstream_closed')
  }

  #connectFailed(): void {
    this.#plane.count(this.#target!.slot, FIELD.connectErrors)
    this.#exclude()
    if (++this.#connects >= CONNECTS_MAX) return this.#fail('upstream_connect_failed')
    this.#plane.count(this.#target!.slot, FIELD.retriesConnect)
    this.#tryAgain('upstream_connect_failed')
  }

  #exclude(): void {
    if (this.#excluded === undefined) this.#excluded = []
    this.#excluded.push(this.#target!)
  }

  /** Decides again without the targets that failed, and opens a fresh connection. `code` is the answer if that is no use. */
  #tryAgain(code: ErrorCode): void {
    const failed = this.#target!
    const before = this.#decision
    this.#plane.requestHead.parse(this.#headText)
    if (!this.#decide()) {
      this.#decision = before
      return this.#fail(code)
    }
    this.#plane.count(failed.slot, FIELD.inFlight, -1)
    this.#writeExtraLines()
    this.#acquire(true)
  }

  #startTunnel(buffer: Buffer, length: number): void {
    const upstream = this.#upstream!
    this.#tunnel = new Tunnel(this.#client, upstream)
    this.#phase = 'tunnel'
    this.#plane.count(this.#target!.slot, FIELD.tunnels)
    this.#plane.count(this.#target!.slot, FIELD.tunnelsOpened)
    this.#ttfbMs = this.#plane.nowMs - this.#startMs
    const at = this.#response.writeSwitch(this.#client, this)
    this.#client.deadlineMs = this.#plane.nowMs + TUNNEL_IDLE_MS
    if (at < length) this.#tunnel.toClient(buffer, at, length)
    this.#client.becomeTunnel()
  }

  onTunnelBytes(buffer: Buffer, length: number): void {
    this.#tunnel?.toTarget(buffer, length)
  }

  #endTunnel(): void {
    const upstream = this.#upstream
    this.#upstream = null
    // Both sides have sent their FIN: what is written leaves before the connection goes.
    upstream?.socket.end(() => upstream.destroy())
    this.#finish(false)
  }

  onClientEnd(): void {
    if (this.#tunnel !== null) {
      if (this.#tunnel.onClientEnd()) this.#endTunnel()
    } else if (!this.#body.done) this.#fail('bad_body')
  }

  /** The client's connection is gone. */
  onClientGone(): void {
    if (this.#phase === 'none') return
    this.#upstream?.destroy()
    this.#upstream = null
    if (this.#tunnel === null) {
      if (this.#target !== null) this.#plane.count(this.#target.slot, FIELD.aborted)
      this.#response.status = this.#response.status || CLIENT_CLOSED
    }
    this.#finish(false)
  }

  /** Called when the deadline of the present phase has passed. */
  onDeadline(): void {
    const slot = this.#target!.slot
    if (this.#phase === 'connecting') {
      this.#upstream?.destroy()
      this.#upstream = null
      this.#plane.count(slot, FIELD.timeouts)
      return this.#connectFailed()
    }
    if (this.#phase === 'tunnel') return this.#client.destroy()
    const clogged = this.#client.socket.writableLength > 0
    if (this.#phase === 'relaying' && clogged) {
      if (!this.#client.madeProgress()) return this.#client.destroy()
      this.#client.deadlineMs = this.#plane.nowMs + this.#plane.timeouts.sendMs
      return
    }
    if (this.#phase === 'sending' && this.#upstream?.socket.writableNeedDrain !== true)
      return this.#fail('request_timeout')
    this.#plane.count(slot, FIELD.timeouts)
    this.#broken('upstream_timeout')
  }

  /** The answer broke: a 5xx of ours while none was begun, else the client sees that it is cut. */
  #broken(code: ErrorCode): void {
    if (!this.#response.answered) return this.#fail(code)
    this.#upstream?.destroy()
    this.#upstream = null
    this.#error = code
    this.#plane.count(this.#target!.slot, FIELD.failures)
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
    this.#error = code
    const plane = this.#plane
    const response = this.#response
    if (this.#target === null) plane.countRejected(code)
    else if (ERRORS[code].source === 'upstream') plane.count(this.#target.slot, FIELD.failures)
    if (response.answered) return this.#finish(false)
    const keepAlive = this.mayStay && this.#body.done && ERRORS[code].status !== 400
    response.status = ERRORS[code].status
    this.#client.socket.write(
      errorAnswer(plane, code, this.requestId, keepAlive, this.minor, this.#accept, this.isHead),
      'latin1',
    )
    this.#finish(keepAlive)
  }

  /** Logs a request that could not be read. */
  logRefusal(code: ErrorCode): void {
    if (!this.#plane.log.wanted()) return
    const nothing = { service: null, pool: null, version: null, target: null, reason: null, ttfbMs: null }
    const { status } = ERRORS[code]
    const entry = { requestId: '', client: this.#client.peer, method: '', host: '', path: '', status, ...nothing }
    const zero = { epoch: this.#plane.table.epoch, bytesIn: 0, bytesOut: 0, durationMs: 0, retries: 0 }
    this.#plane.log.write(this.#plane.wallMs(), { ...entry, ...zero, error: code })
  }

  /** Counts, logs, and hands the connection back to its client. */
  #finish(keepAlive: boolean): void {
    const plane = this.#plane
    const response = this.#response
    const durationMs = plane.nowMs - this.#startMs
    const target = this.#target
    if (target !== null) {
      if (this.#tunnel !== null) plane.count(target.slot, FIELD.tunnels, -1)
      plane.countFinished(target.slot, response.status, durationMs, this.#ttfbMs, this.#inBytes(), this.#outBytes())
    }
    if (this.#logged) this.#log(durationMs)
    this.#phase = 'none'
    this.#tunnel = null
    this.#headText = ''
    this.#lines = ''
    this.#wholeBody = ''
    this.#client.exchangeEnded(keepAlive)
  }

  #inBytes(): number {
    return this.#body.bytes + (this.#tunnel?.inBytes ?? 0)
  }

  #outBytes(): number {
    return this.#response.bytes + (this.#tunnel?.outBytes ?? 0)
  }

  #log(durationMs: number): void {
    const decision = this.#decision
    this.#plane.log.write(this.#plane.wallMs(), {
      requestId: this.requestId,
      client: this.#address,
      method: this.#method,
      host: this.#host,
      path: this.#path,
      status: this.#response.status,
      service: decision?.service?.name ?? null,
      pool: decision?.pool?.name ?? null,
      version: decision?.pool?.version ?? null,
      target: this.#target?.authority ?? null,
      reason: decision?.reason ?? null,
      epoch: this.#epoch,
      bytesIn: this.#inBytes(),
      bytesOut: this.#outBytes(),
      durationMs: Math.round(durationMs * 1000) / 1000,
      ttfbMs: this.#ttfbMs < 0 ? null : Math.round(this.#ttfbMs * 1000) / 1000,
      retries: this.#repeats + this.#connects,
      error: this.#error,
    })
  }
}
