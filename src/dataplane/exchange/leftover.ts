/**
 * An answer that nobody wants, since another pool is asked in its place: read to its end and dropped, so that the connection may carry
 * the next request. One that is long, or takes its time, costs its connection instead.
 */
import type { Plane } from '../plane.ts'
import type { Outgoing } from '../socket/outgoing.ts'
import type { UnderWay } from '../sweep.ts'
import type { AnswerUser, Upstream, UpstreamUser } from '../upstream/upstream.ts'

const BYTES_MAX = 65_536
const MS_MAX = 5_000

export class Leftover implements UpstreamUser, AnswerUser, UnderWay {
  readonly deadlineMs: number
  readonly sink: Outgoing | null = null
  readonly #plane: Plane
  readonly #upstream: Upstream
  #bytes = 0

  /** Takes the connection over, when the head of the answer was read. */
  constructor(plane: Plane, upstream: Upstream) {
    this.#plane = plane
    this.#upstream = upstream
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
      this.#end()
      this.#upstream.release()
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
    this.#end()
    this.#upstream.destroy()
  }

  #end(): void {
    this.#plane.exchanges.delete(this)
  }

  onConnected(): void {}

  onDrain(): void {}

  onInterim(): void {}

  onHead(): void {}

  onMoved(): void {}
}
