/**
 * What is new since the last look: who looks at the counters of all services from time to time goes only to those of which something was
 * counted, or whose status is another. Of a fleet most are idle most of the time, and going through the objects of thousands
 * of targets costs many times what it takes to add up a few figures of each.
 *
 * - A status is replaced and never changed (control/state.ts), so the same object means the same slots; and where the record of all statuses
 *   is the same one, none of them is looked at.
 * - The fields only grow, so their sum is the same only where none has moved.
 * - Each looker has news of its own: what one has seen is still new to the others.
 */
import type { ServiceStatus } from '../table/status.ts'
import { laneOffset, type SharedMemory, SLOTS } from './layout.ts'
import { slotsOf } from './load.ts'

type Statuses = Readonly<Record<string, ServiceStatus>>

export class News {
  readonly #memory: SharedMemory
  readonly #fields: readonly number[]
  #statuses: Statuses = {}
  /** Whose the slots are, or were last; beyond the last one none was ever given. */
  readonly #owners: (string | undefined)[] = []
  /** By slot, the sum of the fields at the last look. */
  readonly #sums = new Float64Array(SLOTS)

  /** `fields` of targets (`FIELD`, no gauges) are what is looked at. */
  constructor(memory: SharedMemory, fields: readonly number[]) {
    this.#memory = memory
    this.#fields = fields
  }

  /** The services with news since the last look; at the first all are new. One that is gone is named once, too. */
  look(statuses: Statuses): Set<string> {
    const names = this.#changed(statuses)
    for (let slot = 0; slot < this.#owners.length; slot++) {
      const owner = this.#owners[slot]
      const sum = this.#sumOf(slot)
      if (sum === this.#sums[slot]) continue
      this.#sums[slot] = sum
      if (owner !== undefined && Object.hasOwn(statuses, owner)) names.add(owner)
    }
    return names
  }

  /** The services whose status is another, or that are no more. */
  #changed(statuses: Statuses): Set<string> {
    const names = new Set<string>()
    const before = this.#statuses
    if (statuses === before) return names
    this.#statuses = statuses
    for (const name in statuses) {
      if (Object.hasOwn(before, name) && before[name] === statuses[name]) continue
      names.add(name)
      for (const pool of Object.values(statuses[name].pools)) {
        for (const slot of slotsOf(pool)) this.#owners[slot] = name
      }
    }
    for (const name in before) if (!Object.hasOwn(statuses, name)) names.add(name)
    return names
  }

  #sumOf(slot: number): number {
    const { targets, workers } = this.#memory
    let sum = 0
    for (let worker = 0; worker < workers; worker++) {
      const at = laneOffset(worker, slot)
      for (let n = 0; n < this.#fields.length; n++) sum += targets[at + this.#fields[n]]
    }
    return sum
  }
}
