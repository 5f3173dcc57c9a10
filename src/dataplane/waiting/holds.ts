/**
 * The requests of a worker that are held, a queue for each hold, and how they go on once it is over.
 *
 * - A queue lasts as long as its hold in the table. With a release, with another hold in its place, or without the service its waiters are
 *   decided anew, the first come first: they go on, or wait again in their place. When a hold ends by its own time they are refused, each by
 *   its own deadline (exchange/held.ts).
 * - Whoever comes while others leave that were held goes behind them: so the order is kept in a worker. Over workers it is to within a tick.
 *   Once all of these are gone nobody waits any more who comes: else clients that ask again at once would be among the last for ever.
 *   Those of several holds of a service that are over leave as one queue: in one order, and at the pace of the first of them.
 * - They do not leave all at once, which would be a herd. Their worker sets the pace (release-pace.ts), and so do their targets: at first `OPEN_MIN`
 *   of each worker may be without an answer. One more may be for each that has an answer and found room at once, so that these double with every
 *   answer; and one more with each tick, since what waits for long is no sign. The ticks add nothing while somebody waits for room at a pool:
 *   then the limits of `capacity` make the pace.
 * - How many wait, and the bytes they take, is bounded for the service over all workers, exactly as permits are (permits.ts).
 * - With nothing held there is no timer, and no cost but a comparison with 0 for a request.
 */
import { HELD, HOLD, heldOffset, holdOffset, type SharedMemory } from '../../metrics/layout.ts'
import { sumHeld } from '../../metrics/load.ts'
import { concerns, type Hold } from '../../table/hold.ts'
import type { RequestView, ServiceTable, Table } from '../../table/types.ts'
import { Queue, type Waiter } from './queue.ts'
import { ReleasePace, TICK_MS } from './release-pace.ts'

/** Those of a hold that go over to another one in one tick at most. */
const MOVES_MAX = 256
/** Those that may be let go and have no answer yet, at first. */
const OPEN_MIN = 64
/** And at most: this part of the connections that a worker may have to one target. */
const OPEN_SHARE = 0.5

/** Why a request is not held, and goes nowhere. */
export type Unheld = 'full' | 'bytes' | 'time' | 'left' | 'ended'

/** How a request comes to be held: by a hold, once more by another one, or only since others leave before it. */
export type Way = 'new' | 'back' | 'behind'

/** A request that is held; what is of the queue is the queue's. */
export interface HeldWaiter extends Waiter {
  /** What it takes in memory. */
  bytes: number
  /** Among those that are let go, and without an answer yet: one of the queue's. */
  leaves: HoldQueue | null
}

/** What the holds need of their worker. */
export interface HoldsSetting {
  readonly tables: { current(): Table }
  readonly time: { tick(): void; steadyMs(): number; busyMs(): number }
  /** Somebody waits for room at a pool. */
  readonly queues: { readonly isEmpty: boolean }
  readonly connectionsMax: number
  readonly every: (intervalMs: number, run: () => void) => () => void
}

export class HoldQueue extends Queue {
  readonly service: string
  readonly slot: number
  readonly hold: Hold
  /** Since it is over, by release or another one. */
  pace: ReleasePace | null = null
  /** Those that were let go and have no answer, and how many may be. */
  leaving = 0
  open: number

  constructor({ name, slot }: ServiceTable, hold: Hold, open: number) {
    super()
    this.service = name
    this.slot = slot
    this.hold = hold
    this.open = open
  }

  /** Somebody waits who came before it was over. */
  get hasHeld(): boolean {
    return this.first !== null && (this.pace === null || this.first.sinceMs <= this.pace.beganMs)
  }
}

export class Holds {
  /** Requests that are held in this worker. */
  size = 0
  readonly #setting: HoldsSetting
  readonly #fields: Float64Array
  readonly #cells: Int32Array
  readonly #index: number
  readonly #openMax: number
  /** By service. */
  readonly #present = new Map<string, HoldQueue>()
  readonly #leaving = new Set<HoldQueue>()
  #endTicks: (() => void) | null = null
  readonly #onTick = () => {
    this.#setting.time.tick()
    this.#look()
    if (this.size > 0) return
    this.#present.clear()
    this.#endTicks?.()
    this.#endTicks = null
  }

  /** For worker `index`. */
  constructor({ holds, held }: SharedMemory, index: number, setting: HoldsSetting) {
    this.#setting = setting
    this.#fields = holds
    this.#cells = held
    this.#index = index
    this.#openMax = Math.max(1, Math.floor(setting.connectionsMax * OPEN_SHARE))
  }

  /** Whether some who were held before are still about to leave, so that whoever asks now goes behind them. */
  isBehind(service: ServiceTable, view: RequestView): boolean {
    const queue = this.#leavingOf(service)
    return queue?.hasHeld === true && concerns(queue.hold, view)
  }

  /** The last queue of a service that is over; its end may not have been seen yet. */
  #leavingOf({ name, hold }: ServiceTable): HoldQueue | null {
    const present = this.#present.get(name)
    if (present !== undefined && present.first !== null && present.hold.id !== hold?.id) return present
    let last: HoldQueue | null = null
    for (const queue of this.#leaving) if (queue.service === name) last = queue
    return last
  }

  /**
   * Holds a request of this service; gives why not, else null. One that was held already is taken back in any case, in its place. Of a
   * service that is not held any more, or of a kind that is not, behind those that leave.
   */
  enter(waiter: HeldWaiter, service: ServiceTable, way: Way): Unheld | null {
    const queue = way === 'behind' ? this.#leavingOf(service) : this.#queueFor(service)
    if (queue === null) return 'time'
    this.#add(queue.slot, 1, waiter.bytes)
    const full = way === 'back' ? null : this.#tooMuch(queue)
    if (full !== null) {
      this.#add(queue.slot, -1, -waiter.bytes)
      return full
    }
    if (way !== 'back') waiter.sinceMs = this.#setting.time.steadyMs()
    // Who waits again has no answer to come: it must not keep the others from leaving.
    this.answered(waiter, false)
    queue.add(waiter)
    this.#publish(queue)
    this.size++
    this.#endTicks ??= this.#setting.every(TICK_MS, this.#onTick)
    return null
  }

  /** What of a service is beyond its limit, over all workers, if anything is. */
  #tooMuch({ slot, hold }: HoldQueue): 'full' | 'bytes' | null {
    if (sumHeld(this.#cells, slot, HELD.requests) > hold.queueMax) return 'full'
    return sumHeld(this.#cells, slot, HELD.bytes) > hold.bytesMax ? 'bytes' : null
  }

  #queueFor(service: ServiceTable): HoldQueue | null {
    const { name, hold } = service
    const present = this.#present.get(name)
    if (hold !== null && this.#setting.time.steadyMs() < hold.untilMs) {
      if (present?.hold.id === hold.id && present.slot === service.slot) return present
      if (present !== undefined) this.#release(present)
      const queue = new HoldQueue(service, hold, Math.min(OPEN_MIN, this.#openMax))
      this.#present.set(name, queue)
      return queue
    }
    return this.#leavingOf(service)
  }

  /** Takes a request out that is not held any longer. */
  leave(waiter: HeldWaiter): void {
    const queue = waiter.queue as HoldQueue | null
    if (queue === null) return
    queue.remove(waiter)
    this.#add(queue.slot, -1, -waiter.bytes)
    this.size--
    if (queue.first === null) this.#leaving.delete(queue)
    this.#publish(queue)
  }

  /** One that was let go has an answer, its end, or waits again; with `isEasy` it was given room at once. */
  answered(waiter: HeldWaiter, isEasy: boolean): void {
    const queue = waiter.leaves
    if (queue === null) return
    waiter.leaves = null
    queue.leaving--
    if (isEasy) this.#widen(queue)
  }

  /** Counts what became of a request of the service with this slot: it goes on after so long, or why it does not. */
  count(slot: number, why: Unheld | number): void {
    const at = holdOffset(this.#index, slot)
    if (typeof why === 'string') this.#fields[at + HOLD[why]]++
    else {
      this.#fields[at + HOLD.released]++
      this.#fields[at + HOLD.heldMs] += why
    }
  }

  /** One more write of the service with this slot is at a target, or one less. */
  countWrite(slot: number, by: 1 | -1): void {
    Atomics.add(this.#cells, heldOffset(this.#index, slot) + HELD.writes, by)
  }

  /** Refuses all who wait, since the worker is about to end. */
  end(): void {
    for (const queue of [...this.#present.values(), ...this.#leaving]) queue.end()
  }

  #widen(queue: HoldQueue): void {
    queue.open = Math.min(queue.open + 1, this.#openMax)
  }

  #add(slot: number, requests: number, bytes: number): void {
    const at = heldOffset(this.#index, slot)
    Atomics.add(this.#cells, at + HELD.requests, requests)
    Atomics.add(this.#cells, at + HELD.bytes, bytes)
  }

  /** Tells since when the first one of a service waits. */
  #publish({ service, slot }: HoldQueue): void {
    let sinceMs = this.#present.get(service)?.first?.sinceMs ?? Infinity
    for (const queue of this.#leaving) {
      if (queue.service === service) sinceMs = Math.min(sinceMs, queue.first?.sinceMs ?? Infinity)
    }
    this.#fields[holdOffset(this.#index, slot) + HOLD.sinceMs] = sinceMs === Infinity ? 0 : sinceMs
  }

  #release(queue: HoldQueue): void {
    this.#present.delete(queue.service)
    const { time } = this.#setting
    queue.pace = new ReleasePace(time.steadyMs(), time.busyMs())
    if (queue.first !== null) this.#leaving.add(queue)
  }

  #look(): void {
    const { services } = this.#setting.tables.current()
    for (const queue of this.#present.values()) {
      if (services.get(queue.service)?.hold?.id !== queue.hold.id) this.#release(queue)
    }
    for (const queue of this.#leaving) if (this.#isFirst(queue)) this.#letGo(queue)
  }

  /** Whether it is the first of its service that is over. */
  #isFirst(queue: HoldQueue): boolean {
    for (const other of this.#leaving) if (other.service === queue.service) return other === queue
    return false
  }

  /** Who has waited longest of those of a service that are about to leave. */
  #longest(service: string): HeldWaiter | null {
    let longest: HeldWaiter | null = null
    for (const { service: its, first } of this.#leaving) {
      if (its === service && first !== null && (longest === null || first.sinceMs < longest.sinceMs))
        longest = first as HeldWaiter
    }
    return longest
  }

  #letGo(queue: HoldQueue): void {
    if (this.#setting.queues.isEmpty) this.#widen(queue)
    const { time } = this.#setting
    const most = queue.pace!.turnsAt(time.steadyMs(), time.busyMs())
    let [turns, moves] = [0, 0]
    while (turns < most && moves < MOVES_MAX && queue.leaving < queue.open) {
      const waiter = this.#longest(queue.service)
      if (waiter === null) return
      this.leave(waiter)
      waiter.leaves = queue
      queue.leaving++
      waiter.getsTurn()
      turns++
      if (waiter.queue === null) continue
      // It waits again, by another hold, which is next to no work.
      turns--
      moves++
    }
  }
}
