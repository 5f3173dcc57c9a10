/**
 * The requests of a worker that wait for room at a pool, in a queue for each pool, and when each has its turn.
 *
 * - A queue has its turn when a permit is given back in this worker: at once, in a microtask, since a turn uses the worker's one
 *   request head. And while anything waits, every `TICK_MS`, for what other workers have given back and for tables that were committed; with
 *   nothing waiting there is no timer, and no cost but a comparison for a request of a service with limits.
 * - Nobody who comes goes before those who wait for the same pool, in whichever worker. Over all workers the order is kept to within
 *   `SLACK_MS`: whose first waiter is the younger lets the other worker go first, and takes the room itself when that has not after some
 *   ticks, since it may be busy, or gone. So room does not lie idle at every change of hands, and no worker starves.
 * - Whoever has its turn is decided anew, by the table of that moment. When its service has changed all of its waiters are.
 * - How many wait is bounded for the service over all workers, exactly as permits are (permits.ts). How long each waits is its own to know.
 * - The place of a pool in shared memory is that of its first target. When that is another one the queue is as new: its service has changed.
 */
import { type SharedMemory, SLOTS } from '../../metrics/layout.ts'
import { sumBySlot } from '../../metrics/load.ts'
import { poolHasRoom } from '../../table/room.ts'
import type { Load, PoolTable, ServiceTable, Table } from '../../table/types.ts'
import { Queue, type Waiter } from './queue.ts'

const TICK_MS = 2
/** So much longer must the first waiter of another worker have waited to go first. */
const SLACK_MS = 10
/** Ticks for which room that another worker should take is left to it. */
const DEFERRALS_MAX = 5
/** Turns that are given in one go, when all waiters of a service are decided anew; others have theirs between. */
const TURNS_MAX = 64

/** What the queues need of their worker. */
export interface QueuesSetting {
  readonly tables: { current(): Table }
  readonly time: { tick(): void; steadyMs(): number }
  readonly load: Load
  readonly every: (intervalMs: number, run: () => void) => () => void
}

class PoolQueue extends Queue {
  readonly service: ServiceTable
  readonly pool: PoolTable
  /** Of the first target. */
  readonly slot: number
  deferrals = 0

  constructor(service: ServiceTable, pool: PoolTable) {
    super()
    this.service = service
    this.pool = pool
    this.slot = slotOf(pool)
  }
}

/** A pool that somebody may wait for has a target. */
const slotOf = ({ targets }: PoolTable): number => targets[0].slot

export class Queues {
  readonly #setting: QueuesSetting
  readonly #waiting: Int32Array
  readonly #since: Float64Array
  readonly #lane: number
  /** Also queues that are empty by now; they go when nothing waits. One that went and came again in a look would be looked at without end. */
  readonly #bySlot = new Map<number, PoolQueue>()
  /** Queues of services that have changed, whose waiters are to be decided anew. */
  readonly #outdated = new Set<PoolQueue>()
  #size = 0
  #isDue = false
  #endTicks: (() => void) | null = null
  readonly #onFreed = () => {
    this.#isDue = false
    this.#look(false)
  }
  readonly #onTick = () => {
    this.#setting.time.tick()
    this.#look(true)
    if (this.#size > 0) return
    this.#bySlot.clear()
    this.#endTicks?.()
    this.#endTicks = null
  }

  /** For worker `index`. */
  constructor({ waiting, waitingSince }: SharedMemory, index: number, setting: QueuesSetting) {
    this.#setting = setting
    this.#waiting = waiting
    this.#since = waitingSince
    this.#lane = index * SLOTS
  }

  /** Nobody waits in this worker. */
  get isEmpty(): boolean {
    return this.#size === 0
  }

  /** Whether somebody waits for this pool of a service, in any worker: then whoever comes waits behind. */
  isWaitedFor({ name }: ServiceTable, pool: PoolTable): boolean {
    for (let at = slotOf(pool); at < this.#since.length; at += SLOTS) if (this.#since[at] > 0) return true
    // A walk through nothing costs, too, and this is asked with every request.
    if (this.#outdated.size === 0) return false
    for (const { service } of this.#outdated) if (service.name === name) return true
    return false
  }

  /** Puts somebody into the queue of a pool; false when as many wait as may. One that had its turn is taken back in any case. */
  enter(waiter: Waiter, service: ServiceTable, pool: PoolTable, isBack: boolean): boolean {
    const slot = slotOf(pool)
    Atomics.add(this.#waiting, this.#lane + slot, 1)
    if (!isBack && this.#depthOf(service) > service.capacity!.queueMax) {
      Atomics.sub(this.#waiting, this.#lane + slot, 1)
      return false
    }
    let queue = this.#bySlot.get(slot)
    if (queue === undefined || queue.service !== service) {
      if (queue !== undefined) this.#outdate(queue)
      queue = new PoolQueue(service, pool)
      this.#bySlot.set(slot, queue)
    }
    if (!isBack) waiter.sinceMs = this.#setting.time.steadyMs()
    queue.add(waiter)
    this.#publish(queue)
    this.#size++
    this.#endTicks ??= this.#setting.every(TICK_MS, this.#onTick)
    // Room may have come free since it was looked for. Who had its turn and found none waits for the next tick.
    if (!isBack) this.#see()
    return true
  }

  /** Takes somebody out who does not wait any longer. */
  leave(waiter: Waiter): void {
    const queue = waiter.queue as PoolQueue | null
    if (queue === null) return
    queue.remove(waiter)
    Atomics.sub(this.#waiting, this.#lane + queue.slot, 1)
    this.#size--
    if (this.#outdated.has(queue)) {
      if (queue.first === null) this.#outdated.delete(queue)
      return
    }
    this.#publish(queue)
  }

  /** A permit was given back. */
  freed(): void {
    if (this.#size > 0) this.#see()
  }

  /** Refuses all who wait, since the worker is about to end. */
  end(): void {
    for (const queue of [...this.#bySlot.values(), ...this.#outdated]) queue.end()
  }

  #see(): void {
    if (this.#isDue) return
    this.#isDue = true
    queueMicrotask(this.#onFreed)
  }

  /** Tells the other workers since when the first waiter waits. */
  #publish({ slot, first }: PoolQueue): void {
    this.#since[this.#lane + slot] = first === null ? 0 : first.sinceMs
  }

  #depthOf({ pools }: ServiceTable): number {
    let depth = 0
    for (const pool of pools) if (pool.targets.length > 0) depth += sumBySlot(this.#waiting, slotOf(pool))
    return depth
  }

  #look(isTick: boolean): void {
    const { services } = this.#setting.tables.current()
    for (const queue of this.#bySlot.values()) {
      if (services.get(queue.service.name) !== queue.service) this.#outdate(queue)
    }
    let turns = 0
    for (const queue of this.#outdated) {
      while (queue.first !== null && turns++ < TURNS_MAX) this.#giveTurn(queue.first)
    }
    if (this.#outdated.size > 0) {
      setImmediate(this.#onFreed)
      return
    }
    for (const queue of this.#bySlot.values()) {
      while (queue.first !== null && this.#mayGo(queue, isTick)) {
        const waiter = queue.first
        this.#giveTurn(waiter)
        if (waiter.queue !== null) break
      }
    }
  }

  #outdate(queue: PoolQueue): void {
    this.#bySlot.delete(queue.slot)
    this.#since[this.#lane + queue.slot] = 0
    if (queue.first !== null) this.#outdated.add(queue)
  }

  #giveTurn(waiter: Waiter): void {
    this.leave(waiter)
    waiter.getsTurn()
  }

  #mayGo(queue: PoolQueue, isTick: boolean): boolean {
    if (!poolHasRoom(queue.pool, queue.service.capacity!, this.#setting.load)) return false
    const isLater = this.#isAfterOthers(queue)
    if (isLater && isTick) queue.deferrals++
    if (isLater && queue.deferrals < DEFERRALS_MAX) return false
    queue.deferrals = 0
    return true
  }

  #isAfterOthers({ slot, first }: PoolQueue): boolean {
    const beforeMs = first!.sinceMs - SLACK_MS
    for (let at = slot; at < this.#since.length; at += SLOTS) {
      const sinceMs = this.#since[at]
      if (sinceMs > 0 && sinceMs < beforeMs) return true
    }
    return false
  }
}
