/**
 * The wait of a request whose service is held (holds.ts): its place, until when, and what it took.
 *
 * It waits until the hold ends by itself, and is refused then. Once the hold is over otherwise there is no such end any more: whoever
 * leaves has waited enough, and leaves in its turn.
 */
import type { ServiceTable } from '../../table/types.ts'
import type { Plane } from '../plane.ts'
import { READ_BYTES } from '../socket/buffers.ts'
import type { HeldWaiter, HoldQueue, Unheld } from '../waiting/holds.ts'
import type { Queue } from '../waiting/queue.ts'
import type { Downstream } from './downstream.ts'

/** One that is about to leave is looked at again after this time. */
const LEAVES_MS = 1_000

const SHED = {
  full: 'hold_full',
  bytes: 'hold_bytes',
  time: 'hold_time',
  left: 'hold_left',
  ended: 'hold_ended',
} as const

/** What of a request is in memory while it waits. */
export interface HeldRequest {
  readonly headText: string
  readonly whole: string
  readonly bodyDone: boolean
  readonly contentLength: number
}

/** The exchange whose request is held: it is to be decided anew, or refused. */
export interface HeldOwner {
  hasTurn(turn: 'held'): void
  unserved(why: 'ended'): void
}

export class Held implements HeldWaiter {
  next: HeldWaiter['next'] = null
  previous: HeldWaiter['previous'] = null
  queue: Queue | null = null
  sinceMs = 0
  bytes = 0
  leaves: HoldQueue | null = null
  readonly #plane: Plane
  readonly #downstream: Pick<Downstream, 'ended'>
  readonly #owner: HeldOwner
  #startMs = 0
  #heldMs = 0
  /** Slot of the service; below 0 before it was held, and when the wait is counted. */
  #slot = -1
  #isRefused = false

  constructor(plane: Plane, downstream: Pick<Downstream, 'ended'>, owner: HeldOwner) {
    this.#plane = plane
    this.#downstream = downstream
    this.#owner = owner
  }

  /** Waits, by the hold of its service or only behind those who were held before; false when it may not, which is counted. */
  begin(service: ServiceTable, request: HeldRequest, isBehind: boolean): boolean {
    const way = this.#slot >= 0 ? 'back' : isBehind ? 'behind' : 'new'
    this.#slot = service.slot
    this.#startMs = this.#plane.time.nowMs
    this.bytes = bytesOf(request)
    const refused: Unheld | null = this.#downstream.ended ? 'left' : this.#plane.holds.enter(this, service, way)
    if (refused === null) return true
    this.giveUp(refused)
    return false
  }

  /** It was held, and went on. */
  get isPast(): boolean {
    return this.#slot >= 0 && this.queue === null
  }

  /** How long it may still wait. */
  get leftMs(): number {
    const { hold, pace } = this.queue as HoldQueue
    return pace !== null ? LEAVES_MS : hold.untilMs - this.#plane.time.steadyMs()
  }

  getsTurn(): void {
    this.#note()
    const [slot, heldMs] = [this.#slot, this.#heldMs]
    this.#isRefused = false
    this.#owner.hasTurn('held')
    // Else it waits again, by another hold.
    if (this.queue === null && !this.#isRefused) this.#plane.holds.count(slot, heldMs)
  }

  isEnded(): void {
    this.#owner.unserved('ended')
  }

  /** Leaves before the end of the hold, which is counted. */
  giveUp(why: Unheld): void {
    this.#leave()
    this.#plane.counters.countShed(SHED[why])
    this.#plane.holds.count(this.#slot, why)
    this.#isRefused = true
    this.#slot = -1
  }

  /** It has an answer, or its end; with `isEasy` it was given room at once. */
  answered(isEasy: boolean): void {
    if (this.leaves !== null) this.#plane.holds.answered(this, isEasy)
  }

  /** The request is over; the time that it was held. */
  end(): number {
    this.#leave()
    this.answered(false)
    const heldMs = this.#heldMs
    this.#heldMs = 0
    this.#slot = -1
    return heldMs
  }

  #leave(): void {
    if (this.queue === null) return
    this.#plane.holds.leave(this)
    this.#note()
  }

  #note(): void {
    this.#heldMs += this.#plane.time.nowMs - this.#startMs
  }
}

/** What came of the body with the head is at most one read; the rest is with the client. */
function bytesOf({ headText, whole, bodyDone, contentLength }: HeldRequest): number {
  const early = bodyDone ? 0 : contentLength < 0 ? READ_BYTES : Math.min(contentLength, READ_BYTES)
  return headText.length + whole.length + early
}
