/**
 * The turn of one request and its answer on an HTTP/1.1 connection, as its exchange sees it. One object serves a connection
 * for all of its life, since turns come one after the other; the connection (client.ts) gives it the bytes behind each head.
 */
import type { Socket } from 'node:net'
import type { ErrorCode } from '../../errors.ts'
import { WORKER_FIELD } from '../../metrics/layout.ts'
import type { AnswerLines, Downstream, RedirectLines, RequestUser } from '../exchange/downstream.ts'
import { Exchange } from '../exchange/exchange.ts'
import type { Framing } from '../http1/body.ts'
import { ForwardedLines } from '../http1/forwarded.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { Page } from '../maintenance-pages.ts'
import type { Plane } from '../plane.ts'
import { moveBody } from '../socket/body-writer.ts'
import { handleOf } from '../socket/handle.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { ReadMemory } from '../socket/read-memory.ts'
import { cutSocket } from '../socket/socket.ts'
import { AnswerWriter } from './answer-writer.ts'
import type { Intake } from './intake.ts'
import { RequestBody } from './request-body.ts'

/** The connection that the turn is on. */
export interface TurnConnection {
  readonly socket: Socket
  readonly out: Outgoing
  readonly reads: ReadMemory
  readonly intake: Intake
  /** The client has sent its FIN. */
  readonly ended: boolean
  /** The answer is written: on to the next request, or to the end. */
  turnEnded(isStaying: boolean): void
  destroy(): void
}

export class Turn implements Downstream {
  readonly peer: string
  readonly tls: boolean
  readonly trusted: boolean
  readonly cell: number
  readonly exchange: Exchange
  user: RequestUser
  ties: Downstream['ties'] = null
  readonly #plane: Plane
  readonly #connection: TurnConnection
  readonly #forwarded: ForwardedLines
  readonly #answer: AnswerWriter
  readonly #body: RequestBody
  #isOver = true

  constructor(plane: Plane, connection: TurnConnection, peer: string, tls: boolean) {
    this.#plane = plane
    this.#connection = connection
    this.peer = peer
    this.tls = tls
    this.trusted = plane.trusted.has(peer)
    this.cell = plane.admission.cellOf(peer, this.trusted)
    this.#forwarded = new ForwardedLines(peer, tls)
    this.#answer = new AnswerWriter(plane, connection.out)
    this.#body = new RequestBody(plane.buffers, plane.limits.bodyBytesMax)
    this.exchange = new Exchange(plane, this)
    this.user = this.exchange.upload
  }

  /** Starts with the head in `plane.requestHead`; `buffer[at, end)` came behind it. Returns how far that was taken. */
  begin(text: string, mayStay: boolean, buffer: Buffer, at: number, end: number): number {
    const head = this.#plane.requestHead
    this.#isOver = false
    this.user = this.exchange.upload
    this.#answer.start(head.minor, head.method === 'HEAD', mayStay, head.expectContinue)
    const body = this.#body
    const behind = body.start(head, buffer, at, end)
    const fault = behind < 0 ? 'bad_body' : body.isTooLarge ? 'body_too_large' : null
    this.exchange.begin(text, body, fault)
    if (fault !== null) return end
    return this.#isOver ? behind : this.take(buffer, behind, end)
  }

  /** Takes what belongs to the body of the request, and can be taken now; returns how far that is. */
  take(buffer: Buffer, at: number, end: number): number {
    const { reader } = this.#body
    const { intake, reads } = this.#connection
    while (at < end && !reader.done && !intake.isHeld && !this.#isOver) {
      at = this.#body.take(this.user, buffer, at, end)
    }
    if (this.#isOver) return at
    if (reader.done) reads.expectAny()
    else if (at === end && end === buffer.length) this.#moveBody()
    return at
  }

  /** A read was full and all of it was body: the kernel moves what more there is. */
  #moveBody(): void {
    const sink = this.user.requestSink
    if (sink === null) return
    const { reader } = this.#body
    const { socket, reads } = this.#connection
    const moved = moveBody(this.#plane.buffers, reader, socket, sink)
    if (moved === 0) return
    this.#plane.counters.countLane(WORKER_FIELD.splicedBytes, moved)
    if (reader.done) reads.expectAny()
    this.user.onRequestMoved(moved, reader.done)
  }

  /** The client has sent its FIN. */
  onEnd(): void {
    if (!this.#body.reader.done) this.user.onEnded()
    else if (this.user === this.exchange.upload) this.exchange.upload.onHalfClosed()
  }

  /** The connection is gone. Half an answer that would look whole is cut off visibly. */
  onGone(): void {
    if (!this.#isOver) {
      this.#isOver = true
      this.user.onGone()
      this.#body.forget()
      if (this.#answer.endsByClose) cutSocket(this.#connection.socket)
    }
    this.ties?.drop()
  }

  get ended(): boolean {
    return this.#connection.ended
  }

  forwardedLines(authority: string): string {
    return this.#forwarded.for(authority)
  }

  interim(head: ResponseHead, requestId: string): void {
    this.#answer.interim(head, requestId)
  }

  head(head: ResponseHead, framing: Framing, lines: AnswerLines, isOpen: boolean): void {
    this.#answer.head(head, framing, lines, isOpen)
  }

  get endsByClose(): boolean {
    return this.#answer.endsByClose
  }

  body(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    // Both sides of a tunnel may talk at once, and none waits for the other: what it keeps must be its own.
    if (this.#body.isRaw) this.#connection.out.bytes(Buffer.from(buffer.subarray(at, end)))
    else this.#answer.body(buffer, at, end, trailers)
  }

  get sink(): Outgoing | null {
    return this.#answer.isPlain ? this.#connection.out : null
  }

  refuse(code: ErrorCode, requestId: string, json: boolean): void {
    this.#answer.refuse(code, requestId, json, this.#body.reader.done)
  }

  page(page: Page, requestId: string): void {
    this.#answer.page(page, requestId, this.#body.reader.done)
  }

  redirect(lines: RedirectLines): void {
    this.#answer.redirect(lines, this.#body.reader.done)
  }

  options(requestId: string): void {
    this.#answer.options(requestId, this.#body.reader.done)
  }

  switchProtocols(head: ResponseHead, requestId: string): void {
    this.#answer.switchProtocols(head, requestId)
    this.#body.startRaw()
  }

  endTunnel(): void {
    this.#connection.out.end()
  }

  exchangeEnded(isWhole: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    const { socket, reads, intake } = this.#connection
    const isStaying = isWhole && this.#answer.keepAlive && this.#body.reader.done
    reads.expectAny()
    this.#body.forget()
    // Without length or chunks, a FIN would make half an answer whole.
    if (!isWhole && this.#answer.endsByClose) cutSocket(socket)
    intake.letGo()
    this.#connection.turnEnded(isStaying)
  }

  destroy(): void {
    this.#connection.destroy()
  }

  hasLeft(): boolean {
    const { socket, intake } = this.#connection
    // Over TLS the connection below ends, too.
    const descriptor = intake.isStopped ? (handleOf(socket)?.fd ?? -1) : -1
    return descriptor >= 0 && this.#plane.buffers.splicer?.hasEnded(descriptor) === true
  }

  pause(): void {
    this.#connection.intake.hold()
  }

  /** What came early goes first. */
  resume(): void {
    const { intake, reads } = this.#connection
    if (!intake.isHeld && intake.isEmpty) return
    intake.letGo()
    if (this.#body.isLong) {
      const sink = this.user.requestSink
      if (sink !== null) reads.expectLong(sink)
    }
    const early = this.#body.reader.done ? null : intake.take()
    if (early !== null) {
      const at = this.take(early, 0, early.length)
      if (at < early.length) intake.keep(early, at, early.length)
    }
    intake.readOn()
  }

  get isFull(): boolean {
    return this.#connection.out.isFull
  }

  get unsentBytes(): number {
    return this.#connection.out.unsentBytes
  }

  mark(): void {
    this.#connection.out.mark()
  }

  get hasMoved(): boolean {
    return this.#connection.out.hasMoved
  }
}
