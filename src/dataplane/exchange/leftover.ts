/**
 * An answer that nobody wants, since another pool is asked in its place: read to its end and dropped, so that the connection may carry
 * the next request. One that is long, or takes its time, costs its connection instead. Until then it has the permit of its request: its
 * target is not done with it.
 */
import type { Plane } from '../plane.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { UnderWay } from '../sweep.ts'
import type { AnswerUser, Upstream, UpstreamUser } from '../upstream/upstream.ts'
import { givePermit } from './placement.ts'

const BYTES_MAX = 65_536
const MS_MAX = 5_000

class Leftover implements UpstreamUser, AnswerUser, UnderWay {
  readonly deadlineMs: number
  readonly sink: Outgoing | null = null
  readonly #plane: Plane
  readonly #upstream: Upstream
  readonly #permit: number
  #bytes = 0

  /** Takes the connection over, when the head of the answer was read, and the permit, or none. */
  constructor(plane: Plane, upstream: Upstream, permit: number) {
    this.#plane = plane
    this.#upstream = upstream
    this.#permit = permit
    this.deadlineMs = plane.time.nowMs + MS_MAX
    plane.exchanges.add(this)
    upstream.user = this
  }

  get answer(): AnswerUser {
    return this
  }

  onBody(_: Buffer, at: number, end: number, trailers: string | null): void {
    this.#bytes += end - at
    if (trailers !== null) {
      releaseUntied(this.#upstream)
      this.#end()
    } else if (this.#bytes > BYTES_MAX) this.#cut()
  }

  onFault(): void {
    this.#cut()
  }

  onClosed(): void {
    this.#end()
  }

  onDeadline(): void {
    this.#cut()
  }

  noteSlow(): boolean {
    return false
  }

  #cut(): void {
    this.#upstream.destroy()
    this.#end()
  }

  #end(): void {
    this.#plane.exchanges.delete(this)
    givePermit(this.#plane, this.#permit)
  }

  onConnected(): void {}

  onDrain(): void {}

  onInterim(): void {}

  onHead(): void {}

  onMoved(): void {}
}

/** Gives a connection back behind an answer that is no client's. One that a login was begun on there would be kept for a client that never comes. */
export function releaseUntied(upstream: Upstream): void {
  if (upstream.isBound && upstream.ties === null) upstream.destroy()
  else upstream.release()
}

/**
 * Leaves a target whose request is asked of another now: what it still says is read, where it `hasAnswered` and has all of the request,
 * or its connection is closed.
 */
export function leave(plane: Plane, upstream: Upstream | null, hasAnswered: boolean, permit: number): void {
  if (hasAnswered && upstream?.requestSent) {
    new Leftover(plane, upstream, permit)
    return
  }
  upstream?.destroy()
  givePermit(plane, permit)
}
