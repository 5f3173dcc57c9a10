/**
 * How many tunnels follow a change of the weights, where a service wants that. Whoever is known has a bucket, so `decide` says where it belongs;
 * of those who are nobody in particular as many go as their pool has more than its share, drawn at random, and each is then sent like
 * anybody who comes. So some of them come back to the same pool; to have the share exactly, many more would have to be disturbed. Pure.
 */
import { weightShare } from '../../config/share.ts'
import type { ServiceTable } from '../../table/types.ts'
import type { OpenPlace } from './departure.ts'

/** What of its weights a service gives to new visitors: whoever is open follows only when this is another. */
export function sharesOf({ pools }: ServiceTable): string {
  return JSON.stringify(pools.map(({ name, admin, weight }) => [name, admin === 'ready' ? weight : 0]))
}

/** The part of those in a pool who are nobody in particular that is to go, 0 to 1; `places` are all that this worker has. */
export function surplusOf(service: ServiceTable, pool: string, places: Iterable<OpenPlace>): number {
  let [all, here] = [0, 0]
  for (const place of places) {
    if (place.service !== service.name) continue
    let keyless = 0
    for (const { isKeyless, isTold } of place.members) if (isKeyless && !isTold) keyless++
    all += keyless
    if (place.pool === pool) here += keyless
  }
  const weights = Object.fromEntries(
    service.pools.filter(({ admin }) => admin === 'ready').map(({ name, weight }) => [name, weight]),
  )
  const share = weightShare(weights, pool)
  return here === 0 ? 0 : Math.max(0, here - share * all) / here
}
