/**
 * An upgraded connection: bytes both ways, unread, until both sides have ended.
 *
 * It exists only after the target answered 101 to an upgrade that we forwarded; from then on it stands in the place of the
 * exchange on both connections, and tells it once, at the end, what went through. A side that ends is ended on the other
 * side (half-close passes through); an error on one side closes both. Each direction holds at most one read: it stops
 * reading while the other side does not take it.
 *
 * No tunnel outlives a silence: without a byte it ends after an hour, or after a minute once one side has ended. A byte is one
 * that came, or one that came before and is taken only now; who takes nothing of what is left for it is cut off after
 * `timeouts.send`, also when both sides have ended and there is no client any more whose deadline the sweep would see.
 */
import { systemClock } from '../../clock.ts'
import type { Client } from '../downstream/client.ts'
import type { UpstreamConnection, UpstreamUser } from '../upstream/connection.ts'
import type { Outcome } from './outcome.ts'

/** A tunnel that carries nothing in either direction for this long is closed. */
const IDLE_MS = 3_600_000
/** The same once one side has ended: it may be all gone, which a FIN does not tell. */
const HALF_IDLE_MS = 60_000

export class Tunnel implements UpstreamUser {
  readonly #client: Client
  readonly #upstream: UpstreamConnection
  readonly #account: Outcome
  readonly #ended: () => void
  #targetEnded = false
  #over = false

  /** Bytes go to `account`; `ended` is called once. */
  constructor(client: Client, upstream: UpstreamConnection, account: Outcome, ended: () => void) {
    this.#client = client
    this.#upstream = upstream
    this.#account = account
    this.#ended = ended
    upstream.user = this
    upstream.isTunnel = true
    this.#touch()
  }

  onClientBytes(buffer: Buffer, length: number): void {
    this.#account.inBytes += length
    this.#touch()
    const { out } = this.#upstream
    out.bytes(Buffer.from(buffer.subarray(0, length)))
    if (out.isFull) this.#client.pause()
  }

  onUpstreamBytes(buffer: Buffer, length: number): void {
    this.toClient(buffer, 0, length)
  }

  /** Passes on `buffer[at, length)` from the target. */
  toClient(buffer: Buffer, at: number, length: number): void {
    this.#account.outBytes += length - at
    this.#touch()
    const { out } = this.#client
    out.bytes(Buffer.from(buffer.subarray(at, length)))
    if (!out.isFull) return
    this.#upstream.socket.pause()
    this.#client.watchProgress()
  }

  onUpstreamConnected(): void {}

  onClientDrain(): void {
    this.#touch()
    this.#upstream.socket.resume()
  }

  onUpstreamDrain(): void {
    this.#client.resume()
  }

  onClientEnd(): void {
    this.#touch()
    this.#upstream.out.end()
    if (this.#targetEnded) this.#end()
  }

  onUpstreamEnd(): void {
    this.#targetEnded = true
    this.#touch()
    this.#client.out.end()
    if (this.#client.ended) this.#end()
  }

  onUpstreamClosed(): void {
    this.#client.destroy()
  }

  onClientGone(): void {
    this.#upstream.destroy()
    this.#end()
  }

  onDeadline(): void {
    const { out } = this.#upstream
    const client = this.#client
    // Nothing new has come, but the target still takes what came before.
    if (!client.out.isFull && out.unsentBytes > 0 && out.hasMoved) {
      out.mark()
      client.deadlineMs = client.plane.nowMs + client.plane.timeouts.sendMs
    } else client.awaitProgress()
  }

  /** Both sides have ended: what is written still leaves before the connection to the target goes, while it takes any of it. */
  #end(): void {
    if (this.#over) return
    this.#over = true
    const upstream = this.#upstream
    upstream.out.mark()
    const stop = systemClock.every(this.#client.plane.timeouts.sendMs, () => {
      if (!upstream.out.hasMoved) upstream.destroy()
      upstream.out.mark()
    })
    upstream.out.end(() => {
      stop()
      upstream.destroy()
    })
    this.#ended()
  }

  #touch(): void {
    // What it sends is no sign that it takes anything.
    if (this.#client.out.isFull) return
    const idleMs = this.#targetEnded || this.#client.ended ? HALF_IDLE_MS : IDLE_MS
    this.#client.deadlineMs = this.#client.plane.nowMs + idleMs
  }
}
