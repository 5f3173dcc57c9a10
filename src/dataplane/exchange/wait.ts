/**
 * The wait of a request for room at its pool: its place in the queue (queues.ts), how long it may take, and what it took.
 *
 * One object serves an exchange for all of its life, from the first request on that had to wait. A request that waits again, since others
 * were faster or its connection was refused, keeps its place and the end of its patience: all of its waits together take at most as
 * long as one may.
 */
import { FIELD } from '../../metrics/layout.ts'
import type { PoolTable, ServiceTable } from '../../table/types.ts'
import type { Plane } from '../plane.ts'
import type { Queue, Waiter } from '../queue.ts'
import type { Attempts } from './attempts.ts'
import type { Downstream } from './downstream.ts'

/** Why a request gets no room: as many wait as may, its time is over, or its client has ended its side. */
export type Unserved = 'full' | 'time' | 'left'

const SHED = {
  full: { reason: 'queue_full', field: FIELD.shedQueueFull },
  time: { reason: 'queue_time', field: FIELD.shedQueueTime },
  left: { reason: 'queue_left', field: FIELD.shedQueueLeft },
} as const

/** The exchange whose request waits. */
export interface WaitOwner {
  /** Its turn has come: to be decided anew. */
  hasTurn(): void
}

export class Wait implements Waiter {
  next: Waiter | null = null
  previous: Waiter | null = null
  queue: Queue | null = null
  sinceMs = 0
  readonly #plane: Plane
  readonly #downstream: Pick<Downstream, 'ended'>
  readonly #owner: WaitOwner
  #startMs = 0
  #deadlineMs = 0
  /** The time of all waits of the request that are over. */
  #waitedMs = 0
  /** What it waits for; null before it waits, and when its wait is counted. */
  #pool: PoolTable | null = null

  constructor(plane: Plane, downstream: Pick<Downstream, 'ended'>, owner: WaitOwner) {
    this.#plane = plane
    this.#downstream = downstream
    this.#owner = owner
  }

  /** Enters the queue of the pool that has no room; false when the request is not to wait, which is counted. */
  begin(attempts: Attempts): boolean {
    const { nowMs } = this.#plane.time
    const isBack = this.#pool !== null
    const service = attempts.placement.service!
    this.#pool = attempts.placement.waitsFor!
    if (!isBack) this.#deadlineMs = nowMs + service.capacity!.queueMs
    this.#startMs = nowMs
    const refused = this.#refusal(service, isBack)
    if (refused === null) attempts.stepAside()
    else this.giveUp(refused)
    return refused === null
  }

  #refusal(service: ServiceTable, isBack: boolean): Unserved | null {
    if (this.#startMs >= this.#deadlineMs) return 'time'
    if (this.#downstream.ended) return 'left'
    return this.#plane.queues.enter(this, service, this.#pool!, isBack) ? null : 'full'
  }

  /** How long it may still wait. */
  get leftMs(): number {
    return this.#deadlineMs - this.#startMs
  }

  getsTurn(): void {
    this.#note()
    this.#owner.hasTurn()
  }

  /** Leaves without room, which is counted at the pool. */
  giveUp(why: Unserved): void {
    this.#leave()
    const { reason, field } = SHED[why]
    this.#plane.counters.countShed(reason)
    this.#plane.counters.count(this.#pool!.targets[0].slot, field)
    this.#pool = null
  }

  /** The request is over; the time that it has waited. */
  end(): number {
    this.#leave()
    const waitedMs = this.#waitedMs
    this.#waitedMs = 0
    this.#pool = null
    return waitedMs
  }

  #leave(): void {
    if (this.queue === null) return
    this.#plane.queues.leave(this)
    this.#note()
  }

  #note(): void {
    this.#waitedMs += this.#plane.time.nowMs - this.#startMs
  }
}
