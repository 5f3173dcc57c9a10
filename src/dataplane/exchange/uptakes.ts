/**
 * Whether the sides of a tunnel take what waits for them. Each is watched from when its source is stopped for it, or from a silence on, for as
 * long as anything waits, and has a time of its own: what the other does is no sign of it.
 */
import type { Plane } from '../plane.ts'

/** A side, as it is watched. */
export interface Taker {
  readonly unsentBytes: number
  /** From now on it is to be seen whether it takes anything. */
  mark(): void
  /** Whether it has taken bytes since the mark. */
  readonly hasMoved: boolean
}

class Uptake {
  /** By when it is to have taken some of what waits; Infinity while it is not watched. */
  untilMs = Infinity
  readonly #plane: Plane
  readonly #taker: Taker

  constructor(plane: Plane, taker: Taker) {
    this.#plane = plane
    this.#taker = taker
  }

  /** It has `timeouts.send`, from now on, to take something. */
  watch(): void {
    this.#taker.mark()
    this.untilMs = this.#plane.time.nowMs + this.#plane.timeouts.sendMs
  }

  stop(): void {
    this.untilMs = Infinity
  }

  /** Whether it has taken nothing in its time. Whoever has taken some has as much time for the rest. */
  isLate(): boolean {
    if (this.#plane.time.nowMs < this.untilMs) return false
    if (this.#taker.unsentBytes === 0) this.stop()
    else if (this.#taker.hasMoved) this.watch()
    else return true
    return false
  }

  /** Whether anything waits for it; it is watched then. */
  isOwed(): boolean {
    if (this.untilMs === Infinity && this.#taker.unsentBytes > 0) this.watch()
    return this.untilMs < Infinity
  }
}

export class Uptakes {
  readonly client: Uptake
  readonly target: Uptake

  constructor(plane: Plane, client: Taker, target: Taker) {
    this.client = new Uptake(plane, client)
    this.target = new Uptake(plane, target)
  }

  /** When one is to be looked at; Infinity while none is watched. */
  get untilMs(): number {
    return Math.min(this.client.untilMs, this.target.untilMs)
  }

  /** Whether one has taken nothing in its time. */
  isLate(): boolean {
    return this.client.isLate() || this.target.isLate()
  }

  /** Whether anything waits for one; it is watched then. */
  isOwed(): boolean {
    return this.client.isOwed() || this.target.isOwed()
  }
}
