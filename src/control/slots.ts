/**
 * Who counts where: gives each target and each service its place in shared memory (metrics/layout.ts).
 *
 * Invariants:
 * - A place belongs to one identity (service, pool, URL) at a time. A target that returns soon gets its old place back, so
 *   what is still in flight at it goes on being counted rightly.
 * - A place of something that was removed is given to another only after COOLING_MS, when nothing is at it any more in the
 *   lane of every worker, and emptied. A request keeps the table that it was decided by, so workers may count on a place
 *   for long after its target left the present table; a connection that is still open would later be subtracted.
 * - Places that were never used go first, so that reuse is rare. Those given for a change that was then refused were never
 *   seen by a worker and are free at once.
 * - Taking and settling cost what the one service has, however many others there are.
 */
import type { Clock } from '../clock.ts'
import { TurnoutError } from '../errors.ts'
import { CELL, FIELDS, HOLDING_GAUGES, laneOffset, SERVICE_SLOTS, type SharedMemory, SLOTS } from '../metrics/layout.ts'
import type { ServiceIntent, ServicePlaces } from '../table/status.ts'
import { targetKey } from './observe.ts'

/** A place rests this long after its target or service was removed. */
export const COOLING_MS = 60_000

type Pools = ServiceIntent['pools']

/** Gives slots to services and their targets. */
export interface Slots {
  /** The places of a service with these pools; what has one keeps it. Throws `conflict` when there are no more. */
  take(service: string, pools: Pools): ServicePlaces
  /** Says what of a service is served now, null for nothing: whatever else of it has a place gives that up. */
  settle(service: string, pools: Pools | null): void
}

/** Slots over the shared memory of this process, all free. */
export function createSlots(memory: SharedMemory, clock: Clock): Slots {
  const targets = createPlaces(SLOTS, clock, (slot) => isIdle(memory, slot) && emptied(memory, slot))
  const services = createPlaces(SERVICE_SLOTS, clock, (slot) => {
    Atomics.store(memory.cells, CELL.picker + slot, 0)
    return true
  })
  /** Which targets of a service have a place. */
  const held = new Map<string, Set<string>>()

  return {
    take(service, pools) {
      const slot = services.take(service)
      if (slot < 0) throw new TurnoutError('conflict', `No more than ${SERVICE_SLOTS} services can be served.`)
      const keys = held.get(service) ?? new Set()
      held.set(service, keys)
      const places = Object.entries(pools).map(([pool, { targets: intents }]) => {
        const slots = Object.keys(intents).map((url) => {
          const key = targetKey(service, pool, url)
          const place = targets.take(key)
          if (place < 0)
            throw new TurnoutError('conflict', `No more than ${SLOTS} targets can be counted at the same time.`)
          keys.add(key)
          return [url, place]
        })
        return [pool, Object.fromEntries(slots)]
      })
      return { slot, targets: Object.fromEntries(places) }
    },
    settle(service, pools) {
      const served = new Set(pools === null ? [] : targetKeys(service, pools))
      const keys = held.get(service) ?? new Set()
      for (const key of keys) {
        if (served.has(key)) targets.serve(key)
        else {
          targets.give(key)
          keys.delete(key)
        }
      }
      if (pools !== null) services.serve(service)
      else {
        services.give(service)
        held.delete(service)
      }
    },
  }
}

function* targetKeys(service: string, pools: Pools): Generator<string> {
  for (const [pool, { targets }] of Object.entries(pools)) {
    for (const url of Object.keys(targets)) yield targetKey(service, pool, url)
  }
}

interface Places {
  /** The place of this identity, a new one if need be; -1 when there is none. */
  take(key: string): number
  /** Says that workers may count on the place of this identity. */
  serve(key: string): void
  /** Takes the place from this identity, if it has one. */
  give(key: string): void
}

function createPlaces(size: number, clock: Clock, freed: (slot: number) => boolean): Places {
  /** `served` once it was in a present status, so that workers may count on it. */
  const taken = new Map<string, { readonly slot: number; served: boolean }>()
  /** Oldest first. */
  const resting = new Map<string, { readonly slot: number; readonly sinceMs: number }>()
  const returned: number[] = []
  let unused = 0

  function rested(): number {
    const untilMs = clock.monotonicMs() - COOLING_MS
    for (const [key, { slot, sinceMs }] of resting) {
      if (sinceMs > untilMs) break
      if (!freed(slot)) continue
      resting.delete(key)
      return slot
    }
    return -1
  }

  return {
    take(key) {
      const known = taken.get(key)
      if (known !== undefined) return known.slot
      const own = resting.get(key)
      const slot = own?.slot ?? returned.pop() ?? (unused < size ? unused++ : rested())
      if (slot < 0) return slot
      resting.delete(key)
      taken.set(key, { slot, served: own !== undefined })
      return slot
    },
    serve(key) {
      const place = taken.get(key)
      if (place !== undefined) place.served = true
    },
    give(key) {
      const place = taken.get(key)
      if (place === undefined) return
      taken.delete(key)
      if (place.served) resting.set(key, { slot: place.slot, sinceMs: clock.monotonicMs() })
      else returned.push(place.slot)
    },
  }
}

function isIdle(memory: SharedMemory, slot: number): boolean {
  for (let worker = 0; worker < memory.workers; worker++) {
    const offset = laneOffset(worker, slot)
    for (let gauge = 0; gauge < HOLDING_GAUGES; gauge++) if (memory.targets[offset + gauge] !== 0) return false
  }
  return true
}

function emptied(memory: SharedMemory, slot: number): true {
  for (let worker = 0; worker < memory.workers; worker++) {
    const offset = laneOffset(worker, slot)
    memory.targets.fill(0, offset, offset + FIELDS)
  }
  return true
}
