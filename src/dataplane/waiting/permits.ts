/**
 * The permits by which requests go to targets that have a limit: as many as the limit, over all workers, and never one more.
 *
 * Each worker counts its own in its lane of shared memory. Whoever wants a permit counts up first, looks at the sum then, and counts down
 * again when that is beyond the limit. Of several that do so at once the last to count up sees all others (Atomics are in one order),
 * so what was granted never exceeds the limit; it may happen that the last permit is granted to nobody for the moment, and is asked for
 * again (queues.ts). A worker that has died leaves nothing behind: its lane is set to zero like its gauges, where one sum of all
 * would have to be set right.
 *
 * A limit begins with the requests that come after it: those that were under way hold no permit. Tunnels and mirrored copies hold
 * none either, since a tunnel is no request any more, and a copy only goes where there is room, without taking it.
 */
import { type SharedMemory, SLOTS } from '../../metrics/layout.ts'
import { seenBySlot, sumBySlot } from '../../metrics/load.ts'
import type { CapacityPlan } from '../../table/plan.ts'
import { heldIn } from '../../table/room.ts'
import type { TargetTable } from '../../table/types.ts'

export class Permits {
  readonly #held: Int32Array
  readonly #lane: number
  /** Those that are held of a target, over all workers, by its slot. */
  readonly count = (slot: number): number => sumBySlot(this.#held, slot)
  /** The same for whoever looks for room, and then takes a permit where it seems to be. */
  readonly seen = (slot: number): number => seenBySlot(this.#held, slot)

  /** For worker `index`. */
  constructor({ permits }: SharedMemory, index: number) {
    this.#held = permits
    this.#lane = index * SLOTS
  }

  /** Takes a permit of a target; false when it, or its pool, has as many requests as it may. */
  take({ slot, pool }: TargetTable, { requestsPerTarget, requestsPerPool }: CapacityPlan): boolean {
    const own = Atomics.add(this.#held, this.#lane + slot, 1) + 1
    const isWithin =
      (requestsPerTarget === 0 || own + this.#ofOthers(slot) <= requestsPerTarget) &&
      (requestsPerPool === 0 || heldIn(pool, this.count) <= requestsPerPool)
    if (!isWithin) this.give(slot)
    return isWithin
  }

  #ofOthers(slot: number): number {
    const own = this.#lane + slot
    let sum = 0
    for (let at = slot; at < this.#held.length; at += SLOTS) if (at !== own) sum += Atomics.load(this.#held, at)
    return sum
  }

  /** Gives a permit back. Nobody else writes this lane, and who sees it a moment later only waits so much longer. */
  give(slot: number): void {
    this.#held[this.#lane + slot]--
  }
}
