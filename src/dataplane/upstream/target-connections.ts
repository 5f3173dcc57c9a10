/**
 * The connections of one worker to one target: idle ones to be used again, and a limit on all.
 *
 * Last in, first out, so that few connections stay warm and the others age out. An idle connection that receives a byte, a
 * FIN or an error is destroyed at once: it would be attributed to somebody else's request (RFC 9112 9.2). Where that is to be
 * feared, what has come and was not read yet is looked for before it is used again. It is also given up a second before the
 * target said it would close it. A closing target cannot be told from a silent one until bytes were sent to it, so a request
 * that may not be repeated takes only a connection that was used a moment ago, or that has waited for clearly less long than others
 * did whom the target has not closed. Opening one instead is safe too, but slow where it matters: a busy target that runs on Node
 * accepts one connection per turn of its loop, and in the midst of large uploads such a turn takes tens of milliseconds.
 *
 * Connections that somebody has logged in on wait apart, each for its one client (ties.ts); when the target has no room left,
 * the one that has waited longest is closed, since a client can log in anew and nobody can take its place.
 */
import { FIELD } from '../../metrics/layout.ts'
import type { TargetTable } from '../../table/types.ts'
import { type ConnectionOwner, UpstreamConnection } from './connection.ts'
import type { UpstreamSetting } from './setting.ts'
import type { Tied } from './ties.ts'
import type { Leases, UpstreamUser } from './upstream.ts'

/** Idle time within which any connection is trusted with a request that may not be repeated. */
const TRUSTED_MS = 1_000
/** So much less than others a connection must have waited to be trusted longer. */
const TRUST_MARGIN_MS = 1_000
/** A cap below this is so low that nobody is refused for others who may come. */
const SHARED_FROM = 64

export class TargetConnections implements Leases, ConnectionOwner {
  readonly plane: UpstreamSetting
  /** As the last table that has led here has it: the same place in each. */
  target: TargetTable
  /** Open or opening connections, idle ones included. */
  size = 0
  /** Whether the last answer was one of HTTP/1.1, be it on a connection that is gone. */
  isHttp11 = false
  readonly #idle: UpstreamConnection[] = []
  readonly #bound: UpstreamConnection[] = []
  /** Idle time within which a connection is trusted with a request that may not be repeated, by what was seen of others. */
  #trustedMs = TRUSTED_MS
  #isRetired = false

  constructor(plane: UpstreamSetting, target: TargetTable) {
    this.plane = plane
    this.target = target
  }

  /** Whether only the last quarter of the connections is left for who asks now. */
  get isCrowded(): boolean {
    const { upstreamConnectionsMax: max } = this.plane.limits
    return max >= SHARED_FROM && this.size - this.#idle.length - this.#bound.length >= max * 0.75
  }

  /** An idle connection that is fit for the request, or null. */
  takeIdle(repeatable: boolean): UpstreamConnection | null {
    const { nowMs } = this.plane.time
    let at = this.#idle.length
    while (--at >= 0) {
      const connection = this.#idle[at]
      const idleMs = nowMs - connection.idleSinceMs
      const isOld = idleMs > connection.reuse.keepAliveMs
      if (!repeatable && !isOld) {
        // The last one in is the youngest: if it is too old for this request, all are.
        if (idleMs > this.#trustedMs) return null
        if (nowMs < connection.reuse.settlesMs) continue
        if (idleMs > TRUSTED_MS) connection.reuse.isSuspect = true
      }
      if (at === this.#idle.length - 1) this.#idle.pop()
      else this.#idle.splice(at, 1)
      if (!isOld && connection.isFit()) return connection
      connection.destroy()
    }
    return null
  }

  /** A connection that is kept for the client that asks, if it is still fit. However long it was idle: there is no other. */
  takeBound(tied: Tied): UpstreamConnection | null {
    const at = this.#bound.indexOf(tied as UpstreamConnection)
    if (at < 0) return null
    const [connection] = this.#bound.splice(at, 1)
    const idleMs = this.plane.time.nowMs - connection.idleSinceMs
    if (idleMs <= connection.reuse.keepAliveMs && connection.isFit() && !connection.hasMore()) return connection
    connection.destroy()
    return null
  }

  /** Opens a connection for its first user, in the place of an idle one if need be; null when the target has no room. */
  open(user: UpstreamUser): UpstreamConnection | null {
    if (this.size >= this.plane.limits.upstreamConnectionsMax) {
      const oldest = this.#idle[0] ?? this.#bound[0]
      if (oldest === undefined) return null
      oldest.destroy()
    }
    this.size++
    this.plane.counters.count(this.target.slot, FIELD.connections)
    return new UpstreamConnection(this, user)
  }

  /** Keeps a connection for the next request; when enough are kept, in the place of the one that has waited longest. */
  giveBack(connection: UpstreamConnection): void {
    const { limits, draining, time } = this.plane
    const { isBound } = connection
    if (this.#isRetired || draining || (!isBound && limits.upstreamIdleMax === 0)) return connection.destroy()
    if (!isBound && this.#idle.length >= limits.upstreamIdleMax) this.#idle[0].destroy()
    connection.idleSinceMs = time.nowMs
    if (isBound) this.#bound.push(connection)
    else this.#idle.push(connection)
  }

  /** Notes that a connection is gone, whether idle or not. Called once per connection. */
  forget(connection: UpstreamConnection): void {
    this.size--
    this.plane.counters.count(this.target.slot, FIELD.connections, -1)
    const list = connection.isBound ? this.#bound : this.#idle
    const at = list.indexOf(connection)
    if (at < 0) return
    list.splice(at, 1)
    // Whoever closed it: others may be closed as early.
    const safeMs = this.plane.time.nowMs - connection.idleSinceMs - TRUST_MARGIN_MS
    if (!connection.isBound) this.#trustedMs = Math.max(TRUSTED_MS, Math.min(this.#trustedMs, safeMs))
  }

  /** Nobody asks for any of them any more: closes those that are idle now, and the others once they are given back. */
  retire(): void {
    this.#isRetired = true
    for (const connection of [...this.#idle, ...this.#bound]) connection.destroy()
  }

  /** Closes connections that have been idle for too long. */
  sweep(nowMs: number): void {
    for (const list of [this.#idle, this.#bound]) {
      for (let i = list.length - 1; i >= 0; i--) {
        const connection = list[i]
        const idleMs = nowMs - connection.idleSinceMs
        if (idleMs > connection.reuse.keepAliveMs) connection.destroy()
        else if (!connection.isBound) this.#trustedMs = Math.max(this.#trustedMs, idleMs - TRUST_MARGIN_MS)
      }
    }
  }
}
