/** The copies of requests (mirror.ts) that one worker has under way: how many there may be, and what is told of them. */
import { WORKER_FIELD } from '../../metrics/layout.ts'
import type { Counters } from '../counters.ts'
import type { Difference } from '../messages.ts'

/** Of each service a difference is told at most so often: they are examples, and counted beside that. */
const TELL_MS = 10_000

export class Mirrors {
  readonly #max: number
  readonly #counters: Pick<Counters, 'countLane'>
  readonly #send: (difference: Difference) => void
  readonly #toldAtMs = new Map<number, number>()
  #underWay = 0

  /** At most `max` at once. */
  constructor(max: number, counters: Pick<Counters, 'countLane'>, send: (difference: Difference) => void) {
    this.#max = max
    this.#counters = counters
    this.#send = send
  }

  /** Whether one more may be made; it is to be given back. */
  take(): boolean {
    if (this.#underWay >= this.#max) return false
    this.#underWay++
    return true
  }

  give(): void {
    this.#underWay--
  }

  /** Counts a request that is not copied though it was drawn. */
  skip(): void {
    this.#counters.countLane(WORKER_FIELD.notMirrored)
  }

  /** Whether a difference of a service is to be told now. */
  isDue(serviceSlot: number, nowMs: number): boolean {
    const toldAtMs = this.#toldAtMs.get(serviceSlot)
    if (toldAtMs !== undefined && nowMs - toldAtMs < TELL_MS) return false
    this.#toldAtMs.set(serviceSlot, nowMs)
    return true
  }

  tell(difference: Difference): void {
    this.#send(difference)
  }
}
