/**
 * The wait of a request, for room at its pool or for the end of a hold (held.ts): its place in the queue (queues.ts), how long it may
 * take, and what it took.
 *
 * One object serves an exchange for all of its life, from the first request on that had to wait. A request that waits for room again, since
 * others were faster or its connection was refused, keeps its place and the end of its patience: all of its waits for room together take at
 * most as long as one may. One that was held keeps its place too, and is taken in however many wait for room: it was bounded already. The
 * time that it was held is no part of its patience for room.
 */
import type { ErrorCode } from '../../errors.ts'
import { FIELD } from '../../metrics/layout.ts'
import type { PoolTable, ServiceTable } from '../../table/types.ts'
import type { Plane } from '../plane.ts'
import type { Queue, Waiter } from '../waiting/queue.ts'
import type { Attempts } from './attempts.ts'
import type { Downstream } from './downstream.ts'
import { Held, type HeldRequest } from './held.ts'
import type { Outcome } from './outcome.ts'
import type { Occasion } from './placement.ts'

/** Why a request waits no longer: its time is over, its client has ended its side, or Turnout ends. */
export type Unserved = 'time' | 'left' | 'ended'

const SHED = {
  full: { reason: 'queue_full', field: FIELD.shedQueueFull },
  time: { reason: 'queue_time', field: FIELD.shedQueueTime },
  left: { reason: 'queue_left', field: FIELD.shedQueueLeft },
  ended: { reason: 'queue_time', field: FIELD.shedQueueTime },
} as const

/** So often it is looked whether a client that is not read from has left. */
const LOOK_MS = 500

/** The exchange whose request waits. */
export interface WaitOwner {
  /** To be decided anew: its turn has come, or it is not held any more. */
  hasTurn(occasion: Occasion): void
  /** It waits no longer, and is refused. */
  unserved(why: Unserved): void
}

export class Wait implements Waiter {
  next: Waiter | null = null
  previous: Waiter | null = null
  queue: Queue | null = null
  sinceMs = 0
  readonly #plane: Plane
  readonly #downstream: Pick<Downstream, 'ended' | 'hasLeft'>
  readonly #request: HeldRequest
  readonly #owner: WaitOwner
  /** Once one was held. */
  #held: Held | null = null
  #isHeld = false
  #startMs = 0
  #deadlineMs = 0
  /** The time of all waits of the request for room that are over. */
  #waitedMs = 0
  /** What it waits for; null before it waits, and when its wait is counted. */
  #pool: PoolTable | null = null

  constructor(plane: Plane, downstream: Pick<Downstream, 'ended' | 'hasLeft'>, request: HeldRequest, owner: WaitOwner) {
    this.#plane = plane
    this.#downstream = downstream
    this.#request = request
    this.#owner = owner
  }

  /** Enters the queue of what it waits for; false when the request is not to wait, which is counted. */
  begin(attempts: Attempts): boolean {
    const service = attempts.placement.service!
    const isFromHold = this.#isHeld
    this.#isHeld = attempts.placement.waitsFor === null
    const waits = this.#isHeld
      ? this.#hold(service, attempts.placement.isBehind)
      : this.#queueUp(service, attempts.placement.waitsFor!, isFromHold)
    if (waits) attempts.stepAside()
    return waits
  }

  #hold(service: ServiceTable, isBehind: boolean): boolean {
    this.#held ??= new Held(this.#plane, this.#downstream, this.#owner)
    return this.#held.begin(service, this.#request, isBehind)
  }

  /** `isFromHold`: its last wait was for the end of a hold. */
  #queueUp(service: ServiceTable, pool: PoolTable, isFromHold: boolean): boolean {
    const { nowMs } = this.#plane.time
    const isBack = this.#pool !== null
    const wasHeld = this.#held?.isPast === true
    this.#pool = pool
    if (!isBack || isFromHold) this.#deadlineMs = nowMs + service.capacity!.queueMs - this.#waitedMs
    if (!isBack && wasHeld) this.sinceMs = this.#held!.sinceMs
    this.#startMs = nowMs
    const refused = this.#refusal(service, isBack || wasHeld)
    if (refused !== null) this.#shed(refused)
    return refused === null
  }

  #refusal(service: ServiceTable, isBack: boolean): keyof typeof SHED | null {
    if (this.#startMs >= this.#deadlineMs) return 'time'
    if (this.#downstream.ended) return 'left'
    return this.#plane.queues.enter(this, service, this.#pool!, isBack) ? null : 'full'
  }

  /** How long it may still wait. */
  get #leftMs(): number {
    return this.#isHeld ? this.#held!.leftMs : this.#deadlineMs - this.#plane.time.nowMs
  }

  /** After how long it is to be looked at again. */
  get lookMs(): number {
    return Math.min(LOOK_MS, this.#leftMs)
  }

  /** Why it waits no longer; null while it does. */
  get useless(): Unserved | null {
    if (this.#leftMs < 1) return 'time'
    return this.#downstream.hasLeft() ? 'left' : null
  }

  getsTurn(): void {
    this.#note()
    this.#owner.hasTurn('room')
  }

  isEnded(): void {
    this.#owner.unserved('ended')
  }

  /** Leaves without what it waits for, which is counted; gives the code of its answer. What was to be rescued has failed for its client, too. */
  giveUp(why: Unserved, attempts: Attempts): ErrorCode {
    if (why === 'time') attempts.noteUnrescued()
    if (this.#isHeld) this.#held!.giveUp(why)
    else this.#shed(why)
    return this.#isHeld ? 'held' : 'overloaded'
  }

  #shed(why: keyof typeof SHED): void {
    this.#leave()
    const { reason, field } = SHED[why]
    this.#plane.counters.countShed(reason)
    this.#plane.counters.count(this.#pool!.targets[0].slot, field)
    this.#pool = null
  }

  /** Whatever it waited for: it has an answer. */
  answered(): void {
    this.#held?.answered(this.#waitedMs === 0)
  }

  /** The request is over; tells the times that it has waited. */
  end(outcome: Pick<Outcome, 'waitedMs' | 'heldMs'>): void {
    this.#leave()
    outcome.waitedMs = this.#waitedMs
    outcome.heldMs = this.#held?.end() ?? 0
    this.#waitedMs = 0
    this.#pool = null
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
