/**
 * One client connection: reads requests one after the other, gives each to its exchange, and closes politely.
 *
 *   idle ──first byte──► head ──complete──► exchange ──answered──► idle … ──► closing ──► gone
 *                          └──refused──► closing                ├──answers pile up──► full ──sent, or others had their turn──► idle
 *                                                               └──101──► tunnel ──► gone
 *
 * Invariants: one exchange at a time, so pipelined requests are answered in order; what came early waits in `#early` while
 * reading is paused, and is at most one read long. `deadlineMs` is always set: the sweep calls `onDeadline` when it has passed.
 * Closing sends what is left, then FIN, and swallows for a moment what still comes: unread, it would reset the connection (RFC 9112 9.6).
 */
import type { Socket } from 'node:net'
import { ERRORS, type ErrorCode } from '../../errors.ts'
import { WORKER_FIELD } from '../../metrics/layout.ts'
import { Exchange } from '../exchange/exchange.ts'
import { errorAnswer } from '../exchange/head-writer.ts'
import type { Tunnel } from '../exchange/tunnel.ts'
import { DECIDED_AT_ONCE } from '../http1/request-head.ts'
import { asksHead, headStop, isEmptyLine } from '../http1/syntax.ts'
import type { Plane } from '../plane.ts'
import { Outgoing } from '../socket/outgoing.ts'
import { ReadMemory } from '../socket/read-memory.ts'
import { adoptSocket } from '../socket/socket.ts'
import type { Ties } from '../upstream/ties.ts'
import { EarlyBytes } from './early-bytes.ts'
import { ForwardedLines } from './trust.ts'

type State = 'idle' | 'head' | 'exchange' | 'full' | 'tunnel' | 'closing' | 'gone'

/** Time that a closing connection waits for the client's FIN. */
const LINGER_MS = 2_000
/** Requests of one connection that are answered on the spot before others have their turn. */
const ANSWERS_PER_TURN = 16

export class Client {
  readonly plane: Plane
  readonly socket: Socket
  readonly out: Outgoing
  readonly reads: ReadMemory
  /** Address of the peer, without IPv4-mapping prefix. */
  readonly peer: string
  readonly tls: boolean
  readonly forwarded: ForwardedLines
  /** Whether the peer is a trusted proxy. */
  readonly trusted: boolean
  /** Where `admission` counts it. */
  readonly cell: number
  deadlineMs: number
  /** The client has sent its FIN. */
  ended = false
  /** Connections to targets on which it has logged in. */
  ties: Ties | null = null
  readonly #exchange: Exchange
  #state: State = 'idle'
  #tunnel: Tunnel | null = null
  #partial = ''
  readonly #early = new EarlyBytes()
  #requests = 0
  #paused = false
  #pumping = false
  #answersInTurn = 0
  #yielding = false

  constructor(plane: Plane, accepted: Socket, tls: boolean) {
    this.plane = plane
    this.tls = tls
    this.peer = (accepted.remoteAddress ?? '').replace(/^::ffff:/, '')
    this.forwarded = new ForwardedLines(this.peer, tls)
    this.trusted = plane.trusted.has(this.peer)
    this.cell = plane.admission.cellOf(this.peer, this.trusted)
    this.deadlineMs = plane.nowMs + plane.timeouts.headMs
    this.#exchange = new Exchange(this)
    const shares = plane.readBuffer !== null && !tls
    this.reads = new ReadMemory(plane, shares)
    this.socket = adoptSocket(accepted, plane.readBuffer, (buffer, length) => {
      this.#onBytes(buffer, length)
      return this.reads.next()
    })
    const gone = () => this.destroy()
    const drained = () => {
      if (this.#state === 'full') this.#toNext()
      else (this.#tunnel ?? this.#exchange).onClientDrain()
    }
    this.out = new Outgoing(this.socket, shares, drained, gone)
    this.socket.on('end', () => this.#onEnd())
    this.socket.on('error', gone).on('close', gone)
    plane.clients.add(this)
  }

  #onBytes(buffer: Buffer, length: number): void {
    this.plane.tick()
    if (this.#state === 'idle' || this.#state === 'head') return this.#pump(buffer, 0, length)
    if (this.#state === 'full') return this.keepEarly(buffer, 0, length)
    if (this.#state === 'tunnel') return this.#tunnel!.onClientBytes(buffer, length)
    if (this.#state !== 'exchange') return
    const at = this.#exchange.onClientBytes(buffer, 0, length)
    if (at < length && this.#state === 'exchange') this.keepEarly(buffer, at, length)
  }

  /** Bytes behind the present request wait, and so does the client. */
  keepEarly(buffer: Buffer, at: number, end: number): void {
    if (this.#state !== 'exchange' && this.#state !== 'full') return
    this.#early.keep(buffer, at, end)
    this.pause()
  }

  /** Reads requests from `buffer[at, end)` until one has to wait for its target, or more bytes are needed. */
  #pump(buffer: Buffer, at: number, end: number): void {
    this.#pumping = true
    this.#answersInTurn = 0
    while (at < end && (this.#state === 'idle' || this.#state === 'head')) {
      at = this.#readHead(buffer, at, end)
    }
    this.#pumping = false
    if (at < end) this.keepEarly(buffer, at, end)
  }

  #readHead(buffer: Buffer, at: number, end: number): number {
    const plane = this.plane
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
      this.deadlineMs = plane.nowMs + plane.timeouts.headMs
    }
    const head = plane.requestHead
    const headEnd = before > 0 ? head.parse(text) : head.parse(text, buffer, at)
    this.#partial = headEnd === 0 ? text : ''
    if (headEnd === 0) return until
    this.#requests++
    plane.countLane(WORKER_FIELD.requests)
    if (headEnd < 0) {
      this.#refuse(head.error ?? 'bad_request', text)
      return end
    }
    this.#state = 'exchange'
    const bodyAt = at + headEnd - before
    const isLast = this.#requests >= plane.limits.requestsPerConnectionMax
    if (isLast && head.keepAlive) plane.countShed('requests_per_connection')
    const mayStay = head.keepAlive && !plane.draining && !isLast
    return this.#exchange.begin(text, mayStay, buffer, bodyAt, end)
  }

  /** Answers what could not be read as a request, and closes. */
  #refuse(code: ErrorCode, text: string): void {
    this.plane.countRejected(code)
    this.plane.log.writeRefusal(this.plane.wallMs(), this.peer, ERRORS[code].status, code)
    const unread = { requestId: this.plane.randomId(), minor: 1, isHead: asksHead(text) }
    this.out.text(errorAnswer(this.plane, code, unread, false, false))
    this.close()
  }

  /** The exchange is over and its answer written: on to the next request, or to the end. */
  exchangeEnded(keepAlive: boolean): void {
    if (this.#state !== 'exchange' && this.#state !== 'tunnel') return
    if (!keepAlive || this.socket.destroyed) return this.close()
    const hadTurn = this.#pumping && ++this.#answersInTurn >= ANSWERS_PER_TURN
    if (!this.out.isFull && !hadTurn) return this.#toNext()
    // It asks without reading, and first takes what there is; or it asks so much at once that the others come first.
    this.#state = 'full'
    this.watchProgress()
    if (!hadTurn || this.#yielding) return
    this.#yielding = true
    setImmediate(() => {
      this.#yielding = false
      if (this.#state === 'full' && !this.out.isFull) this.#toNext()
    })
  }

  #toNext(): void {
    this.#state = 'idle'
    this.deadlineMs = this.plane.nowMs + this.plane.timeouts.keepAliveMs
    if (this.plane.draining) this.retire(this.plane.nowMs + LINGER_MS)
    if (this.#pumping) return
    const early = this.#early.take()
    if (early !== null) this.#pump(early, 0, early.length)
    if (this.#early.isEmpty) this.#early.drop()
    this.resume()
    if (this.#state === 'idle' && this.ended) this.close()
  }

  /** The exchange has become a tunnel; bytes that came early go first. */
  becomeTunnel(tunnel: Tunnel): void {
    if (this.#state !== 'exchange') return
    this.#state = 'tunnel'
    this.#tunnel = tunnel
    const early = this.#early.take()
    this.#early.drop()
    this.resume()
    if (early !== null) tunnel.onClientBytes(early, early.length)
  }

  #onEnd(): void {
    this.plane.tick()
    // The kernel tells a reset once: when that was to the splicer, the stream is left with what looks like an end.
    if (this.socket.remoteAddress === undefined) return this.destroy()
    this.ended = true
    if (this.#state === 'exchange') this.#exchange.onClientEnd()
    else if (this.#state === 'tunnel') this.#tunnel!.onClientEnd()
    else if (this.#state === 'closing') this.#endClosing()
    else if (this.#state !== 'full') this.close()
  }

  /** Notes that a piece of an answer was written: a client that does not keep up stops its source. */
  relayed(source: Socket, idleMs: number): void {
    if (this.out.isFull) {
      source.pause()
      this.watchProgress()
    } else this.deadlineMs = this.plane.nowMs + idleMs
  }

  /** Stops reading; the kernel then stops the client. */
  pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.socket.pause()
  }

  resume(): void {
    if (!this.#paused || !this.#early.isEmpty) return
    this.#paused = false
    this.socket.resume()
  }

  /** Sends what is written, then FIN, and lingers for the client's. */
  close(): void {
    if (this.#state === 'closing' || this.#state === 'gone') return
    this.#state = 'closing'
    this.#partial = ''
    this.#early.drop()
    this.out.flush()
    if (this.socket.destroyed || (this.ended && this.out.unsentBytes === 0)) return this.destroy()
    this.socket.end()
    if (this.ended) this.#endClosing()
    this.watchProgress()
    if (this.out.unsentBytes === 0) this.deadlineMs = this.plane.nowMs + LINGER_MS
    this.resume()
  }

  /** Both sides have said their last: the connection goes once what is unsent is gone. */
  #endClosing(): void {
    if (this.out.unsentBytes === 0) this.destroy()
    else this.socket.once('finish', () => this.destroy())
  }

  /** Closes at once. Whatever is under way is ended before, and counted: half an answer may have to be cut off visibly. */
  destroy(): void {
    if (this.#state === 'gone') return
    // Thousands may be reset at once, with nothing else to be seen of the worker meanwhile.
    this.plane.tick()
    const state = this.#state
    this.#state = 'gone'
    this.plane.clients.delete(this)
    this.reads.release()
    if (state === 'exchange') this.#exchange.onClientGone()
    else if (state === 'tunnel') this.#tunnel!.onClientGone()
    this.ties?.drop()
    this.out.flush()
    this.socket.destroy()
  }

  /** Called by the sweep once `deadlineMs` has passed. */
  onDeadline(): void {
    if (this.#state === 'idle') return this.close()
    if (this.#state === 'head') return this.#refuse('request_timeout', this.#partial)
    if (this.#state === 'exchange') return this.#exchange.onDeadline()
    if (this.#state === 'tunnel') return this.#tunnel!.onDeadline()
    this.awaitProgress()
  }

  /** Begins to watch whether the client takes what is unsent. */
  watchProgress(): void {
    this.out.mark()
    this.deadlineMs = this.plane.nowMs + this.plane.timeouts.sendMs
  }

  /** Gives a client that has taken bytes since the last look more time for the rest, and any other up. */
  awaitProgress(): void {
    const { hasMoved } = this.out
    this.watchProgress()
    if (!hasMoved || this.out.unsentBytes === 0) this.destroy()
  }

  /** Ends an idle connection of a draining worker: the next request, if one comes in time, is answered with a close. */
  retire(deadlineMs: number): void {
    if (this.#state === 'idle') this.deadlineMs = Math.min(this.deadlineMs, deadlineMs)
  }
}
