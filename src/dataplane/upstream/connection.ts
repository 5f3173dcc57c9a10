/**
 * One connection to a target: it belongs to one exchange at a time, or is idle in its pool, or is gone. Once somebody logs in
 * on it, it is bound: idle for one client only (ties.ts).
 *
 * It only carries bytes and events to its exchange; what they mean is decided in exchange.ts. Invariant: without an exchange
 * any event but 'connect' destroys it. Reads go to the shared buffer, so nothing here keeps what it was given.
 */
import type { Socket } from 'node:net'
import { FIELD, WORKER_FIELD } from '../../metrics/layout.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { descriptorOf } from '../socket/handle.ts'
import { Outgoing } from '../socket/outgoing.ts'
import { ReadMemory } from '../socket/read-memory.ts'
import { openSocket, outlived } from '../socket/socket.ts'
import type { TargetConnections } from './target-connections.ts'
import type { Ties } from './ties.ts'

/** A connection is given up so long before the target would close it: the way there, and a clock that is checked now and then. */
const HINT_MARGIN_MS = 1_000

/** Whoever the connection belongs to: an exchange, or the tunnel that it became. */
export interface UpstreamUser {
  /** It is open and, as far as we know, silent. */
  onUpstreamConnected(): void
  /** `buffer[0, length)` is valid until this returns. */
  onUpstreamBytes(buffer: Buffer, length: number): void
  onUpstreamDrain(): void
  /** The target has sent its FIN. */
  onUpstreamEnd(): void
  /** The connection is gone, by error or close; said once, and never after `destroy`. */
  onUpstreamClosed(): void
}

export class UpstreamConnection {
  readonly pool: TargetConnections
  readonly socket: Socket
  readonly out: Outgoing
  readonly reads: ReadMemory
  user: UpstreamUser | null
  idleSinceMs = 0
  /** How long it may be idle; shortened by the target's own hint. */
  keepAliveMs: number
  /** The shortest hint so far. */
  #hintMs = Infinity
  /** Somebody has logged in on it, or was asked to. */
  isBound = false
  /** The client that it is kept for, once it is bound and was given back. */
  ties: Ties | null = null
  /** Requests that it may still carry, by what the target said. */
  usesLeft = Infinity
  /** The beginning of a response head that is not complete yet. */
  partial = ''
  /** There is a reason to look whether more has come before it carries another request. */
  isSuspect = false
  /** It has carried one request at most. What was taken for the answer may have been said before that, to nobody. */
  #isNew = true
  /** Whether it has become a tunnel, which has nothing more to read once it cannot write. */
  isTunnel = false
  /** The target takes no more bytes; what it said before that is still read. */
  #writeFailed = false
  #gone = false
  readonly #giveBack = (): void => {
    if (!this.#gone) this.pool.giveBack(this)
  }
  readonly #giveBackNext = (): void => void setImmediate(this.#giveBack)

  constructor(pool: TargetConnections, user: UpstreamUser) {
    this.pool = pool
    this.user = user
    this.keepAliveMs = pool.plane.timeouts.upstreamKeepAliveMs
    const { host, port, tls } = pool.target
    const plane = pool.plane
    const shares = plane.readBuffer !== null && !tls
    this.reads = new ReadMemory(plane, shares)
    this.socket = openSocket(host, port, tls, plane.readBuffer, (buffer, length) => {
      plane.tick()
      if (this.user === null) this.destroy()
      else this.user.onUpstreamBytes(buffer, length)
      return this.reads.next()
    })
    this.socket.once(tls ? 'secureConnect' : 'connect', () => this.#opened())
    const drained = () => this.user?.onUpstreamDrain()
    const failed = () => {
      if (this.user === null || this.isTunnel) this.#close()
      else this.#writeFailed = true
    }
    this.out = new Outgoing(this.socket, shares, drained, failed)
    this.socket.on('end', () => {
      if (this.user === null) this.destroy()
      // After a failed write, what looks like a FIN is what a reset has left of the connection.
      else if (this.#writeFailed) this.#close()
      else this.user.onUpstreamEnd()
    })
    this.socket.on('error', () => {
      this.#writeFailed = this.user !== null && !this.isTunnel && outlived(this.socket)
      if (!this.#writeFailed) this.#close()
    })
    this.socket.on('close', () => this.#close())
  }

  #opened(): void {
    const { plane, target } = this.pool
    plane.tick()
    plane.count(target.slot, FIELD.connectsOpened)
    if (this.user === null) this.pool.giveBack(this)
    // Whoever speaks before being asked, or has ended already, is not asked: the next event tells which of the two it is.
    else if (!this.hasMore()) this.user.onUpstreamConnected()
  }

  /**
   * Follows the hints of a final response head. False when the target takes no other request.
   *
   * Some targets count `max` down to what is left, some always tell the whole: the smallest reading is safe with both.
   */
  applyKeepAliveHints({ keepAliveTimeoutS, keepAliveMax }: ResponseHead): boolean {
    this.#hintMs = Math.min(this.#hintMs, keepAliveTimeoutS * 1_000 - HINT_MARGIN_MS)
    this.keepAliveMs = Math.min(this.keepAliveMs, this.#hintMs)
    this.usesLeft = Math.min(this.usesLeft, keepAliveMax) - 1
    return this.keepAliveMs > 0 && this.usesLeft > 0
  }

  /** Keeps it from everybody but its client, for good. It may be idle for as long as that client may. */
  bind(): void {
    if (this.isBound || this.#gone) return
    const { plane } = this.pool
    this.isBound = true
    this.keepAliveMs = Math.min(plane.timeouts.keepAliveMs, this.#hintMs)
    plane.countLane(WORKER_FIELD.boundConnections)
  }

  get isGone(): boolean {
    return this.#gone
  }

  /** Whether it is known that nothing more has come. */
  isQuiet(): boolean {
    return this.#canBeAsked && this.pool.plane.splicer!.isQuiet(descriptorOf(this.socket))
  }

  /** Whether it is known that something has come that was not read yet: bytes, an end or a reset. */
  hasMore(): boolean {
    return this.#canBeAsked && !this.isQuiet()
  }

  get #canBeAsked(): boolean {
    return this.pool.plane.splicer !== null && descriptorOf(this.socket) >= 0
  }

  /** Whether it may carry another request, now that it was idle. Asks the kernel only where that is worth a call of it. */
  isFit(): boolean {
    if (!this.isSuspect && !this.#isNew) return true
    this.isSuspect = false
    this.#isNew = false
    return !this.hasMore()
  }

  /** Ends its use by an exchange: keeps it for the next when `reusable`, else closes it. */
  release(reusable: boolean): void {
    this.user = null
    this.partial = ''
    this.reads.expectAny()
    if (!reusable || this.#gone || this.#writeFailed || this.socket.destroyed) return this.destroy()
    const { tls } = this.pool.target
    if (!tls && (!this.isSuspect || this.#canBeAsked)) return this.pool.giveBack(this)
    // What came in one flight of records is told piece by piece: wait for the rest of it before the next request. And what
    // cannot be asked before its next use is left alone until all that has come by now was read.
    setImmediate(this.isSuspect ? this.#giveBackNext : this.#giveBack)
  }

  /** Closes it at once, without telling its exchange. */
  destroy(): void {
    this.user = null
    this.#leave()
    this.socket.destroy()
  }

  /** Error or close from below. */
  #close(): void {
    this.pool.plane.tick()
    const user = this.user
    this.user = null
    this.#leave()
    this.socket.destroy()
    user?.onUpstreamClosed()
  }

  #leave(): void {
    if (this.#gone) return
    this.#gone = true
    this.reads.release()
    this.pool.forget(this)
    this.ties?.forget(this)
    if (this.isBound) this.pool.plane.countLane(WORKER_FIELD.boundConnections, -1)
  }
}
