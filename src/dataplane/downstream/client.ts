/**
 * One HTTP/1.1 client connection: reads the heads of requests one after the other, gives each a turn, and closes politely.
 *
 *   idle ──first byte──► head ──complete──► turn ──answered──► idle … ──► closing ──► gone
 *                          └──refused──► closing      └──answers pile up──► full ──sent, or others had their turn──► idle
 *
 * Invariants: one turn at a time, so pipelined requests are answered in order; what came early waits in `intake`. Outside of
 * a turn, whose exchange has a deadline of its own, `deadlineMs` is always set. Closing means to send what is left, then FIN,
 * then to swallow what the client still sends for a moment: closing with unread bytes would reset the connection and take
 * the answer with it (RFC 9112 9.6).
 */
import type { Socket } from 'node:net'
import { ERRORS, type ErrorCode } from '../../errors.ts'
import { WORKER_FIELD } from '../../metrics/layout.ts'
import { DECIDED_AT_ONCE } from '../http1/request-head.ts'
import { asksHead, headStop, isEmptyLine } from '../http1/syntax.ts'
import type { Plane } from '../plane.ts'
import { Outgoing } from '../socket/outgoing.ts'
import { ReadMemory } from '../socket/read-memory.ts'
import { adoptSocket } from '../socket/socket.ts'
import type { HeldConnection } from '../sweep.ts'
import { Intake } from './intake.ts'
import { errorAnswer } from './own-answers.ts'
import { Turn, type TurnConnection } from './turn.ts'

type State = 'idle' | 'head' | 'turn' | 'full' | 'closing' | 'gone'

/** Time that a closing connection waits for the client's FIN. */
const LINGER_MS = 2_000
/** Requests of one connection that are answered on the spot before others have their turn. */
const ANSWERS_PER_TURN = 16

export class Client implements HeldConnection, TurnConnection {
  readonly socket: Socket
  readonly out: Outgoing
  readonly reads: ReadMemory
  readonly intake: Intake
  deadlineMs: number
  ended = false
  readonly #plane: Plane
  readonly #turn: Turn
  #state: State = 'idle'
  #partial = ''
  #requests = 0
  #pumping = false
  #answersInTurn = 0
  #yielding = false

  constructor(plane: Plane, accepted: Socket, tls: boolean) {
    const { buffers, time, timeouts } = plane
    this.#plane = plane
    const peer = (accepted.remoteAddress ?? '').replace(/^::ffff:/, '')
    this.deadlineMs = time.nowMs + timeouts.headMs
    const shares = buffers.shared !== null && !tls
    this.reads = new ReadMemory(buffers, shares)
    this.socket = adoptSocket(accepted, buffers.shared, (buffer, length) => {
      this.#onBytes(buffer, length)
      return this.reads.next()
    })
    const gone = () => this.destroy()
    const drained = () => {
      if (this.#state === 'full') this.#toNext()
      else if (this.#state === 'turn') this.#turn.user.onClientDrain()
    }
    this.out = new Outgoing(this.socket, shares, drained, gone)
    this.intake = new Intake(this.socket)
    this.#turn = new Turn(plane, this, peer, tls)
    this.socket.on('end', () => this.#onEnd())
    this.socket.on('error', gone).on('close', gone)
    plane.clients.add(this)
    plane.exchanges.add(this.#turn.exchange)
  }

  #onBytes(buffer: Buffer, length: number): void {
    this.#plane.time.tick()
    if (this.#state === 'idle' || this.#state === 'head') return this.#pump(buffer, 0, length)
    if (this.#state === 'full') return this.intake.keep(buffer, 0, length)
    if (this.#state !== 'turn') return
    const at = this.#turn.take(buffer, 0, length)
    if (at < length) this.#keepEarly(buffer, at, length)
  }

  /** Bytes that nobody can take yet wait, and so does the client. */
  #keepEarly(buffer: Buffer, at: number, end: number): void {
    if (this.#state === 'turn' || this.#state === 'full') this.intake.keep(buffer, at, end)
    // The answer was complete before the rest of its request had come.
    else if (this.#state === 'idle' || this.#state === 'head') this.#pump(buffer, at, end)
  }

  /** Reads requests from `buffer[at, end)` until one has to wait for its target, or more bytes are needed. */
  #pump(buffer: Buffer, at: number, end: number): void {
    this.#pumping = true
    this.#answersInTurn = 0
    while (at < end && (this.#state === 'idle' || this.#state === 'head')) {
      at = this.#readHead(buffer, at, end)
    }
    this.#pumping = false
    if (at < end) this.#keepEarly(buffer, at, end)
  }

  #readHead(buffer: Buffer, at: number, end: number): number {
    const plane = this.#plane
    const bytesMax = plane.limits.headBytesMax
    const before = this.#partial.length
    const until = headStop(buffer, at, Math.min(end, at + bytesMax + 1 - before))
    let text = buffer.latin1Slice(at, until)
    if (before > 0) {
      // Nothing can be decided before a line ends, so a drip of single bytes is not parsed again and again.
      const undecided = before >= DECIDED_AT_ONCE && text.indexOf('\n') < 0 && before + text.length <= bytesMax
      text = this.#partial + text
      if (undecided) {
        this.#partial = text
        return end
      }
    }
    if (this.#state === 'idle' && !isEmptyLine(text)) {
      this.#state = 'head'
      this.deadlineMs = plane.time.nowMs + plane.timeouts.headMs
    }
    const head = plane.requestHead
    const headEnd = before > 0 ? head.parse(text) : head.parse(text, buffer, at)
    this.#partial = headEnd === 0 ? text : ''
    if (headEnd === 0) return until
    this.#requests++
    plane.counters.countLane(WORKER_FIELD.requests)
    if (headEnd < 0) {
      this.#refuse(head.error ?? 'bad_request', text)
      return end
    }
    this.#state = 'turn'
    this.deadlineMs = Infinity
    const isLast = this.#requests >= plane.limits.requestsPerConnectionMax
    if (isLast && head.keepAlive) plane.counters.countShed('requests_per_connection')
    const mayStay = head.keepAlive && !plane.draining && !isLast
    return this.#turn.begin(text, mayStay, buffer, at + headEnd - before, end)
  }

  /** Answers what could not be read as a request, and closes. */
  #refuse(code: ErrorCode, text: string): void {
    const plane = this.#plane
    plane.counters.countRejected(code)
    plane.log.writeRefusal(plane.time.wallMs(), this.#turn.peer, ERRORS[code].status, code)
    const unread = { requestId: plane.ids.next(), minor: 1, isHead: asksHead(text) }
    this.out.text(errorAnswer(plane, code, unread, false, false))
    this.#close()
  }

  turnEnded(isStaying: boolean): void {
    if (this.#state !== 'turn') return
    if (!isStaying || this.socket.destroyed) return this.#close()
    const hadTurn = this.#pumping && ++this.#answersInTurn >= ANSWERS_PER_TURN
    if (!this.out.isFull && !hadTurn) return this.#toNext()
    // It asks without reading, and first takes what there is; or it asks so much at once that the others come first.
    this.#state = 'full'
    this.#watchProgress()
    if (!hadTurn || this.#yielding) return
    this.#yielding = true
    setImmediate(() => {
      this.#yielding = false
      if (this.#state === 'full' && !this.out.isFull) this.#toNext()
    })
  }

  #toNext(): void {
    const { time, timeouts, draining } = this.#plane
    this.#state = 'idle'
    this.deadlineMs = time.nowMs + timeouts.keepAliveMs
    if (draining) this.retire(time.nowMs + LINGER_MS)
    if (this.#pumping) return
    const early = this.intake.take()
    if (early !== null) this.#pump(early, 0, early.length)
    this.intake.readOn()
    if (this.#state === 'idle' && this.ended) this.#close()
  }

  #onEnd(): void {
    this.#plane.time.tick()
    // The kernel tells a reset once: when that was to the splicer, the stream is left with what looks like an end. It has
    // forgotten the peer then; but so it has when both sides have ended in good order, after we did first.
    if (!this.socket.writableEnded && this.socket.remoteAddress === undefined) return this.destroy()
    this.ended = true
    if (this.#state === 'turn') this.#turn.onEnd()
    else if (this.#state === 'closing') this.#endClosing()
    else if (this.#state !== 'full') this.#close()
  }

  /** Sends what is written, then FIN, and lingers for the client's. */
  #close(): void {
    if (this.#state === 'closing' || this.#state === 'gone') return
    this.#state = 'closing'
    this.#partial = ''
    this.out.flush()
    if (this.socket.destroyed || (this.ended && this.out.unsentBytes === 0)) return this.destroy()
    this.socket.end()
    if (this.ended) this.#endClosing()
    this.#watchProgress()
    if (this.out.unsentBytes === 0) this.deadlineMs = this.#plane.time.nowMs + LINGER_MS
    this.intake.drop()
  }

  /** Both sides have said their last: the connection goes once what is unsent is gone. */
  #endClosing(): void {
    if (this.out.unsentBytes === 0) this.destroy()
    else this.socket.once('finish', () => this.destroy())
  }

  /** Closes at once. Whatever is under way is ended before, and counted. */
  destroy(): void {
    if (this.#state === 'gone') return
    // Thousands may be reset at once, with nothing else to be seen of the worker meanwhile.
    this.#plane.time.tick()
    // Of a request that has come in part nobody knows yet which service it is for.
    if (this.#state === 'head' && this.#plane.isBreakingOff) this.#plane.cuts.add('', 'requests')
    this.#state = 'gone'
    this.#plane.clients.delete(this)
    this.#plane.exchanges.delete(this.#turn.exchange)
    this.reads.release()
    this.#turn.onGone()
    this.out.flush()
    this.socket.destroy()
  }

  onDeadline(): void {
    if (this.#state === 'idle') return this.#close()
    if (this.#state === 'head') return this.#refuse('request_timeout', this.#partial)
    // Unsent bytes: who takes any of them gets more time for the rest.
    const { hasMoved } = this.out
    this.#watchProgress()
    if (!hasMoved || this.out.unsentBytes === 0) this.destroy()
  }

  /** Begins to watch whether the client takes what is unsent. */
  #watchProgress(): void {
    this.out.mark()
    this.deadlineMs = this.#plane.time.nowMs + this.#plane.timeouts.sendMs
  }

  retire(deadlineMs: number): void {
    if (this.#state === 'idle') this.deadlineMs = Math.min(this.deadlineMs, deadlineMs)
  }
}
