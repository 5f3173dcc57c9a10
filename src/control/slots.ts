/**
 * Who counts where: gives each address of a target and each service its slot in shared memory (metrics/layout.ts).
 *
 * Slots belong to a target (service, pool, URL), and within it to an address. A service has one slot.
 *
 * Invariants:
 * - A slot belongs to one address at a time. One that returns soon gets its old slot back, so what is still in flight at it
 *   goes on being counted rightly; so does a target with all of its slots.
 * - The slot of an address that has gone stays with the target and goes to the next new address of it, with its counters: so the
 *   sums of a target never fall. Only after COOLING_MS and with all gauges at zero in the lane of every worker: a request keeps
 *   the table that it was decided by, and a connection that is still open would later be subtracted.
 * - The slots of a target that was removed are given to others after the same time, on the same condition, and emptied.
 * - Slots that were never used go first, so that reuse is rare. Those given for a change that was then refused were never
 *   seen by a worker and are free at once.
 * - Taking and settling cost what the one service has, however many others there are.
 */
import type { Clock } from '../clock.ts'
import { targetKey } from '../config/target-key.ts'
import { TurnoutError } from '../errors.ts'
import { departureOffset } from '../metrics/departures.ts'
import {
  CELL,
  DEPARTURE_FIELDS,
  FIELDS,
  HOLDING_GAUGES,
  laneOffset,
  SERVICE_SLOTS,
  type SharedMemory,
  SLOTS,
} from '../metrics/layout.ts'
import { clearVisitors } from '../metrics/visitors.ts'
import type { AddressPlace, ServiceIntent, ServicePlaces, TargetPlace } from '../table/status.ts'
import type { AddressesOf } from './observe.ts'

/** A slot rests this long after its address, target or service was removed. */
export const COOLING_MS = 60_000

/** Gives slots to services and their targets. */
export interface Slots {
  /** The places of a service with these pools; what has one keeps it. Throws `conflict` when there are no more. */
  take(service: string, pools: ServiceIntent['pools'], addressesOf: AddressesOf): ServicePlaces
  /** Says what of a service is served now, null for nothing: whatever else of it has a slot gives that up. */
  settle(service: string, places: ServicePlaces | null): void
}

/** The one seat of a service. */
const SELF: readonly string[] = ['']

/** Slots over the shared memory of this process, all free. */
export function createSlots(memory: SharedMemory, clock: Clock): Slots {
  const targets = new Places(SLOTS, clock, {
    isIdle: (slot) => isIdle(memory, slot),
    empty: (slot) => empty(memory, slot),
    gives: (slot) => Atomics.store(memory.cells, CELL.slotsGiven, slot + 1),
  })
  const services = new Places(SERVICE_SLOTS, clock, {
    isIdle: () => true,
    gives() {},
    empty(slot) {
      Atomics.store(memory.cells, CELL.picker + slot, 0)
      Atomics.store(memory.cells, CELL.step + slot, 0)
    },
  })
  /** Which targets of a service have places. */
  const held = new Map<string, Set<string>>()

  function takeTarget(key: string, addresses: ReturnType<AddressesOf>): TargetPlace {
    const slots = targets.take(
      key,
      addresses.map(({ address }) => address),
    )
    const places = addresses.map((address): AddressPlace => {
      const slot = slots.get(address.address)
      if (slot !== undefined) return { ...address, slot }
      throw new TurnoutError('conflict', `No more than ${SLOTS} addresses of targets can be counted at the same time.`)
    })
    return { addresses: places, slots: targets.slotsOf(key) }
  }

  return {
    take(service, pools, addressesOf) {
      const slot = services.take(service, SELF).get('')
      if (slot === undefined)
        throw new TurnoutError('conflict', `No more than ${SERVICE_SLOTS} services can be served.`)
      const keys = held.get(service) ?? new Set()
      held.set(service, keys)
      const places = Object.entries(pools).map(([pool, { targets: intents }]) => {
        const taken = Object.keys(intents).map((url) => {
          const key = targetKey(service, pool, url)
          keys.add(key)
          return [url, takeTarget(key, addressesOf(url))]
        })
        return [pool, Object.fromEntries(taken)]
      })
      return { slot, targets: Object.fromEntries(places) }
    },
    settle(service, places) {
      const keys = held.get(service) ?? new Set()
      const served = new Map(places === null ? [] : addressesByKey(service, places))
      for (const key of keys) {
        targets.settle(key, served.get(key) ?? null)
        if (!served.has(key)) keys.delete(key)
      }
      services.settle(service, places === null ? null : SELF)
      if (places === null) held.delete(service)
    },
  }
}

function* addressesByKey(service: string, places: ServicePlaces): Generator<[string, string[]]> {
  for (const [pool, targets] of Object.entries(places.targets)) {
    for (const [url, { addresses }] of Object.entries(targets)) {
      yield [targetKey(service, pool, url), addresses.map(({ address }) => address)]
    }
  }
}

interface Seat {
  readonly slot: number
  /** Never served: no worker has counted on it. */
  isFresh: boolean
}

/** The slots of one owner, by seat: of those that are taken, and of those that have gone, oldest first. */
interface Owner {
  readonly taken: Map<string, Seat>
  readonly resting: Map<string, { readonly slot: number; readonly sinceMs: number }>
}

interface SlotMemory {
  isIdle(slot: number): boolean
  empty(slot: number): void
  /** Is told of each slot before it is given for the first time, in their order. */
  gives(slot: number): void
}

/** A number of slots, and who has them. */
class Places {
  readonly #size: number
  readonly #clock: Clock
  readonly #memory: SlotMemory
  readonly #owners = new Map<string, Owner>()
  /** Owners that were removed, oldest first. */
  readonly #gone = new Map<string, { readonly owner: Owner; readonly sinceMs: number }>()
  readonly #returned: number[] = []
  #unused = 0

  constructor(size: number, clock: Clock, memory: SlotMemory) {
    this.#size = size
    this.#clock = clock
    this.#memory = memory
  }

  /** The slots of these seats of an owner, new ones if need be; those for which there is none are missing. */
  take(key: string, seats: readonly string[]): ReadonlyMap<string, number> {
    const owner = this.#ownerOf(key)
    const slots = new Map<string, number>()
    for (const seat of seats) {
      const slot = owner.taken.get(seat)?.slot ?? this.#seat(owner, seat)
      if (slot !== null) slots.set(seat, slot)
    }
    return slots
  }

  /** All slots of an owner. */
  slotsOf(key: string): number[] {
    const owner = this.#owners.get(key)
    if (owner === undefined) return []
    return [...owner.taken.values(), ...owner.resting.values()].map(({ slot }) => slot)
  }

  /** Says which seats of an owner workers may count on from now on; null when the owner is gone. */
  settle(key: string, seats: readonly string[] | null): void {
    const owner = this.#owners.get(key)
    if (owner === undefined) return
    const served = new Set(seats)
    const sinceMs = this.#clock.monotonicMs()
    for (const [seat, { slot, isFresh }] of owner.taken) {
      if (served.has(seat)) owner.taken.set(seat, { slot, isFresh: false })
      else {
        owner.taken.delete(seat)
        if (isFresh) this.#returned.push(slot)
        else owner.resting.set(seat, { slot, sinceMs })
      }
    }
    if (seats !== null) return
    this.#owners.delete(key)
    if (owner.resting.size > 0) this.#gone.set(key, { owner, sinceMs })
  }

  #ownerOf(key: string): Owner {
    const owner = this.#owners.get(key) ?? this.#gone.get(key)?.owner ?? { taken: new Map(), resting: new Map() }
    this.#gone.delete(key)
    this.#owners.set(key, owner)
    return owner
  }

  #seat(owner: Owner, seat: string): number | null {
    const known = owner.resting.get(seat)?.slot ?? this.#restedOf(owner)
    const slot = known ?? this.#fresh()
    if (slot === null) return null
    for (const [name, resting] of owner.resting) if (resting.slot === slot) owner.resting.delete(name)
    owner.taken.set(seat, { slot, isFresh: known === null })
    return slot
  }

  #restedOf({ resting }: Owner): number | null {
    for (const { slot, sinceMs } of resting.values()) {
      if (!this.#isOver(sinceMs)) break
      if (this.#memory.isIdle(slot)) return slot
    }
    return null
  }

  #fresh(): number | null {
    if (this.#returned.length === 0 && this.#unused < this.#size) {
      this.#memory.gives(this.#unused)
      return this.#unused++
    }
    if (this.#returned.length === 0) this.#reclaim()
    return this.#returned.pop() ?? null
  }

  /** Takes the slots of the first owner that has been gone for long enough. */
  #reclaim(): void {
    for (const [key, { owner, sinceMs }] of this.#gone) {
      if (!this.#isOver(sinceMs)) return
      const slots = [...owner.resting.values()].map(({ slot }) => slot)
      if (!slots.every((slot) => this.#memory.isIdle(slot))) continue
      this.#gone.delete(key)
      for (const slot of slots) this.#memory.empty(slot)
      this.#returned.push(...slots)
      return
    }
  }

  #isOver(sinceMs: number): boolean {
    return this.#clock.monotonicMs() - sinceMs >= COOLING_MS
  }
}

function isIdle(memory: SharedMemory, slot: number): boolean {
  for (let worker = 0; worker < memory.workers; worker++) {
    const offset = laneOffset(worker, slot)
    for (let gauge = 0; gauge < HOLDING_GAUGES; gauge++) if (memory.targets[offset + gauge] !== 0) return false
  }
  return true
}

function empty(memory: SharedMemory, slot: number): void {
  for (let worker = 0; worker < memory.workers; worker++) {
    const offset = laneOffset(worker, slot)
    memory.targets.fill(0, offset, offset + FIELDS)
    const departures = departureOffset(worker, slot)
    memory.departures.fill(0, departures, departures + DEPARTURE_FIELDS)
  }
  memory.newFrom[slot] = 0
  clearVisitors(memory, slot)
}
