/** A target with the tunnels and streams that are open there, and whether it takes new ones (departures.ts). Pure. */
import type { ServiceTable } from '../../table/types.ts'
import type { OpenPlace } from './departure.ts'

/** A place where nothing is open yet. */
export function openPlace(slot: number, service: ServiceTable, pool: string, url: string): OpenPlace {
  return {
    slot,
    service: service.name,
    pool,
    url,
    members: new Set(),
    drain: service.plan.drain,
    seen: service,
    lookMs: Infinity,
    isOpen: true,
    isTargetOpen: true,
    shares: '',
  }
}

/** Whether whoever is new may come to a place. Notes whether its target alone would let them, and when that is to be asked again. */
export function takesPeople(place: OpenPlace, service: ServiceTable | null, nowMs: number): boolean {
  const pool = service?.pools.find(({ name }) => name === place.pool)
  const isPlanned = service?.plan.pools.some(({ name, targets }) => name === place.pool && targets.includes(place.url))
  place.isTargetOpen = false
  if (pool === undefined || isPlanned !== true) return false
  const targets = pool.targets.filter(({ url }) => url === place.url)
  // A name that has no address any more is as it was: what is under way there is finished.
  place.isTargetOpen = targets.length === 0 || targets.some(({ admin, weight }) => admin === 'ready' && weight > 0)
  for (const { drainUntilMs } of [pool, ...targets]) {
    if (drainUntilMs > nowMs) place.lookMs = Math.min(place.lookMs, drainUntilMs)
  }
  return place.isTargetOpen && pool.admin === 'ready' && pool.weight > 0
}
