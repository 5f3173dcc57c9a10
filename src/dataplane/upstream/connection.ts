/**
 * One HTTP/1.1 connection to a target: leased to one exchange at a time, or idle among the connections of its target, or gone.
 * Once somebody logs in on it, it is bound: idle for one client only (ties.ts).
 *
 * It writes the request (framing is rebuilt here from parsed values), hands what comes back to its reader, and knows when it
 * may carry another request. Invariants: without a user any event but 'connect' destroys it; it carries the next request
 * only when the answer before was complete, nothing came behind it, and its request had left as a whole.
 */
import type { Socket } from 'node:net'
import { FIELD, WORKER_FIELD } from '../../metrics/layout.ts'
import type { TargetTable } from '../../table/types.ts'
import type { BodyReader } from '../http1/body.ts'
import { moveBody, writeBody } from '../socket/body-writer.ts'
import { descriptorOf } from '../socket/handle.ts'
import { Outgoing } from '../socket/outgoing.ts'
import { ReadMemory } from '../socket/read-memory.ts'
import { openSocket, outlived } from '../socket/socket.ts'
import { requestText } from './request-text.ts'
import { type ReadConnection, ResponseReader } from './response-reader.ts'
import { Reuse } from './reuse.ts'
import type { UpstreamSetting } from './setting.ts'
import type { Ties } from './ties.ts'
import type { RawUser, RequestToSend, Upstream, UpstreamUser } from './upstream.ts'

/** Where the connection is kept. */
export interface ConnectionOwner {
  readonly plane: UpstreamSetting
  readonly target: TargetTable
  /** Whether its last answer was one of HTTP/1.1; false before the first. */
  isHttp11: boolean
  /** Keeps a connection for the next request, or closes it when enough are kept. */
  giveBack(connection: UpstreamConnection): void
  /** Notes that a connection is gone, whether idle or not. Called once per connection. */
  forget(connection: UpstreamConnection): void
}

export class UpstreamConnection implements Upstream, ReadConnection {
  readonly connections: ConnectionOwner
  readonly socket: Socket
  readonly out: Outgoing
  readonly #reads: ReadMemory
  readonly reader: ResponseReader
  user: UpstreamUser | null
  idleSinceMs = 0
  readonly reuse: Reuse
  isBound = false
  /** The client that it is kept for, once it is bound and was given back. */
  ties: Ties | null = null
  /** A request was sent and its answer is not over. */
  #asked = false
  #chunked = false
  #bodyDone = true
  #bodyBytes = 0
  rawUser: RawUser | null = null
  /** The target takes no more bytes; what it said before that is still read. */
  #writeFailed = false
  #gone = false
  readonly #giveBack = (): void => {
    if (!this.#gone) this.connections.giveBack(this)
  }
  readonly #giveBackNext = (): void => void setImmediate(this.#giveBack)

  constructor(connections: ConnectionOwner, user: UpstreamUser) {
    const { plane, target } = connections
    const { buffers } = plane
    this.connections = connections
    this.user = user
    this.reuse = new Reuse(plane.timeouts.upstreamKeepAliveMs)
    const shares = buffers.shared !== null && !target.tls
    this.#reads = new ReadMemory(buffers, shares)
    this.reader = new ResponseReader(this, plane.responseHead, plane.limits.headBytesMax, buffers)
    this.socket = openSocket(target, buffers.shared, (buffer, length) => {
      plane.time.tick()
      this.#onBytes(buffer, length)
      return this.#reads.next()
    })
    this.socket.once(target.tls ? 'secureConnect' : 'connect', () => this.#opened())
    const drained = () => (this.rawUser ?? this.user)?.onDrain()
    const failed = () => {
      this.#writeFailed = this.user !== null
      if (this.#writeFailed) this.rawUser?.onWriteFailed()
      else this.#close()
    }
    this.out = new Outgoing(this.socket, shares, drained, failed)
    this.socket.on('end', () => this.#onEnd())
    this.socket.on('error', () => {
      if (outlived(this.socket)) failed()
      else this.#close()
    })
    this.socket.on('close', () => this.#close())
  }

  #opened(): void {
    const { plane, target } = this.connections
    plane.time.tick()
    plane.counters.count(target.slot, FIELD.connectsOpened)
    if (this.user === null) this.connections.giveBack(this)
    // Whoever speaks before being asked, or has ended already, is not asked: the next event tells which of the two it is.
    else if (!this.hasMore()) this.user.onConnected()
  }

  #onBytes(buffer: Buffer, length: number): void {
    const { user } = this
    if (user === null) this.destroy()
    else if (this.rawUser !== null) this.rawUser.onRaw(buffer, 0, length)
    // A byte before the request was begun answers nobody.
    else if (!this.#asked) user.onFault()
    else this.reader.take(buffer, length)
  }

  #onEnd(): void {
    const { user } = this
    if (user === null) this.destroy()
    else if (this.rawUser !== null) this.rawUser.onEnd()
    // After a failed write, what looks like a FIN is what a reset has left of the connection.
    else if (this.#writeFailed || !this.#asked || !this.reader.endOfStream()) this.#close()
  }

  send(request: RequestToSend): void {
    this.#asked = true
    this.#chunked = request.chunked
    this.#bodyDone = request.bodyDone
    this.#bodyBytes = request.whole.length
    this.reader.start(request.isHead, request.upgrade)
    this.out.text(requestText(request))
  }

  body(buffer: Buffer, at: number, end: number, trailers: string | null): void {
    const { buffers } = this.connections.plane
    if (trailers !== null) this.#bodyDone = true
    this.#bodyBytes += end - at
    writeBody(buffers, this.out, '', buffer, at, end, this.#chunked, trailers)
  }

  moved(done: boolean): void {
    if (done) this.#bodyDone = true
    this.#bodyBytes = Infinity
  }

  get sink(): Outgoing | null {
    return this.#chunked ? null : this.out
  }

  get begun(): boolean {
    return this.reader.begun
  }

  get requestSent(): boolean {
    return this.#bodyDone && this.out.unsentBytes === 0
  }

  get isHeld(): boolean {
    return this.out.isHeld
  }

  end(done?: () => void): void {
    this.out.end(done)
  }

  handOver(user: RawUser): void {
    this.rawUser = user
  }

  raw(buffer: Buffer, at: number, end: number): void {
    this.out.bytes(Buffer.from(buffer.subarray(at, end)))
  }

  get isFull(): boolean {
    return this.out.isFull
  }

  get unsentBytes(): number {
    return this.out.unsentBytes
  }

  mark(): void {
    this.out.mark()
  }

  get hasMoved(): boolean {
    return this.out.hasMoved
  }

  get undelivered(): number {
    return this.out.undelivered
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** It may be idle for as long as its client may. */
  bind(): void {
    if (this.isBound || this.#gone) return
    const { timeouts, counters } = this.connections.plane
    this.isBound = true
    this.reuse.keepFor(timeouts.keepAliveMs)
    counters.countLane(WORKER_FIELD.boundConnections)
  }

  get isGone(): boolean {
    return this.#gone
  }

  heard(minor: number): void {
    this.connections.isHttp11 = minor === 1
  }

  get isHttp11(): boolean {
    return this.connections.isHttp11
  }

  expectLong(): void {
    const sink = this.user?.answer.sink ?? null
    if (sink !== null) this.#reads.expectLong(sink)
  }

  moveBody(reader: BodyReader): number {
    const sink = this.user?.answer.sink ?? null
    if (sink === null) return 0
    const { buffers, counters } = this.connections.plane
    const moved = moveBody(buffers, reader, this.socket, sink)
    if (moved > 0) counters.countLane(WORKER_FIELD.splicedBytes, moved)
    return moved
  }

  /** Whether it is known that nothing more has come. */
  isQuiet(): boolean {
    return this.#canBeAsked && this.connections.plane.buffers.splicer!.isQuiet(descriptorOf(this.socket))
  }

  /** Whether it is known that something has come that was not read yet: bytes, an end or a reset. */
  hasMore(): boolean {
    return this.#canBeAsked && !this.isQuiet()
  }

  get #canBeAsked(): boolean {
    return this.connections.plane.buffers.splicer !== null && descriptorOf(this.socket) >= 0
  }

  /** Whether it may carry another request, now that it was idle. Asks the kernel only where that is worth a call of it. */
  isFit(): boolean {
    return !this.reuse.takeDoubt() || !this.hasMore()
  }

  release(): void {
    const reader = this.reader
    const { tls } = this.connections.target
    const isReusable = reader.reusable && !this.#gone && !this.#writeFailed && !this.socket.destroyed
    this.reuse.note(reader.mayHaveBody, this.#bodyBytes, this.connections.plane.time.nowMs)
    this.user = null
    this.#asked = false
    reader.forget()
    this.#reads.expectAny()
    if (!isReusable) return this.destroy()
    if (!tls && (!this.reuse.isSuspect || this.#canBeAsked)) return this.connections.giveBack(this)
    // What came in one flight of records is told piece by piece: wait for the rest of it before the next request. And what
    // cannot be asked before its next use is left alone until all that has come by now was read.
    setImmediate(this.reuse.isSuspect ? this.#giveBackNext : this.#giveBack)
  }

  /** Whoever had it hears nothing more of it. */
  destroy(): void {
    this.user = null
    this.rawUser = null
    this.#leave()
    this.socket.destroy()
  }

  /** Error or close from below; one often follows the other. */
  #close(): void {
    this.connections.plane.time.tick()
    const user = this.rawUser ?? this.user
    this.destroy()
    user?.onClosed()
  }

  #leave(): void {
    if (this.#gone) return
    this.#gone = true
    this.reader.forget()
    this.#reads.release()
    this.connections.forget(this)
    this.ties?.forget(this)
    if (this.isBound) this.connections.plane.counters.countLane(WORKER_FIELD.boundConnections, -1)
  }
}
