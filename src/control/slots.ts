/**
 * Who counts where: gives each target and each service its place in shared memory (metrics/layout.ts).
 *
 * Invariants:
 * - A place belongs to one identity (service, pool, URL) at a time. A target that returns soon gets its old place back, so
 *   what is still in flight at it goes on being counted rightly.
 * - A place of something that was removed is given to another only after COOLING_MS, when all its gauges are zero in the
 *   lane of every worker, and emptied. A request keeps the table that it was decided by, so workers may count on a place
 *   for long after its target left the present table; a connection that is still open would later be subtracted.
 * - Places that were never used go first, so that reuse is rare. Those given for a change that was then refused were never
 *   seen by a worker and are free at once.
 */
import type { Clock } from '../clock.ts'
import { TurnoutError } from '../errors.ts'
import { CELL, FIELDS, GAUGES, laneOffset, SERVICE_SLOTS, type SharedMemory, SLOTS } from '../metrics/layout.ts'
import type { PoolStatus, ServiceStatus, TargetStatus } from '../table/types.ts'
import { targetKey } from './observe.ts'
import type { Content } from './reconcile.ts'
import { mapEntries } from './record.ts'

/** A place rests this long after its target or service was removed. */
export const COOLING_MS = 60_000

/** Gives slots to what is in the status, and takes them from what is not. */
export interface Slots {
  /** The status with a slot everywhere; unchanged parts keep their identity. Throws `conflict` when there are no more. */
  assign(status: Content['status']): Content['status']
  /** Says that this is the present status: whatever else has a slot gives it up. */
  settle(status: Content['status']): void
}

/** Slots over the shared memory of this process, all free. */
export function createSlots(memory: SharedMemory, clock: Clock): Slots {
  const targets = createPlaces(SLOTS, clock, (slot) => isIdle(memory, slot) && emptied(memory, slot))
  const services = createPlaces(SERVICE_SLOTS, clock, (slot) => {
    Atomics.store(memory.cells, CELL.picker + slot, 0)
    return true
  })
  return {
    assign: (status) =>
      mapEntries<ServiceStatus, ServiceStatus>(status, (service, name) => {
        const slot = services.take(name)
        if (slot < 0) throw new TurnoutError('conflict', `No more than ${SERVICE_SLOTS} services can be served.`)
        const pools = mapEntries<PoolStatus, PoolStatus>(service.pools, (pool, poolName) => {
          const withSlots = mapEntries<TargetStatus, TargetStatus>(pool.targets, (target, url) =>
            withSlot(target, targets.take(targetKey(name, poolName, url))),
          )
          return withSlots === pool.targets ? pool : { ...pool, targets: withSlots }
        })
        return pools === service.pools && slot === service.slot ? service : { ...service, pools, slot }
      }),
    settle(status) {
      services.keepOnly(new Set(Object.keys(status)))
      targets.keepOnly(new Set(targetKeys(status)))
    },
  }
}

/** The status as it is stored: where the counters of this process stand means nothing to the next one. */
export function withoutSlots(status: Content['status']): Record<string, ServiceStatus> {
  return mapEntries<ServiceStatus, ServiceStatus>(status, (service) => ({
    ...service,
    slot: -1,
    pools: mapEntries<PoolStatus, PoolStatus>(service.pools, (pool) => ({
      ...pool,
      targets: mapEntries<TargetStatus, TargetStatus>(pool.targets, (target) => ({ ...target, slot: -1 })),
    })),
  }))
}

function withSlot(target: TargetStatus, slot: number): TargetStatus {
  if (slot < 0) throw new TurnoutError('conflict', `No more than ${SLOTS} targets can be counted at the same time.`)
  return target.slot === slot ? target : { ...target, slot }
}

function* targetKeys(status: Content['status']): Generator<string> {
  for (const [service, { pools }] of Object.entries(status)) {
    for (const [pool, { targets }] of Object.entries(pools)) {
      for (const url of Object.keys(targets)) yield targetKey(service, pool, url)
    }
  }
}

interface Places {
  /** The place of this identity, a new one if need be; -1 when there is none. */
  take(key: string): number
  keepOnly(keys: ReadonlySet<string>): void
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
    keepOnly(keys) {
      const sinceMs = clock.monotonicMs()
      for (const [key, place] of taken) {
        if (keys.has(key)) {
          place.served = true
          continue
        }
        taken.delete(key)
        if (place.served) resting.set(key, { slot: place.slot, sinceMs })
        else returned.push(place.slot)
      }
    },
  }
}

function isIdle(memory: SharedMemory, slot: number): boolean {
  for (let worker = 0; worker < memory.workers; worker++) {
    const offset = laneOffset(worker, slot)
    for (let gauge = 0; gauge < GAUGES; gauge++) if (memory.targets[offset + gauge] !== 0) return false
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
