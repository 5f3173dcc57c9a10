/**
 * Since when each address of a target has been offered traffic (table/warmth.ts), for services with a slow start. Pure.
 *
 * - It begins when the address can take requests and its pool has weight: added, found healthy, set ready, or given weight, whatever
 *   came last. One that no probe has looked at yet takes them only where its pool has nobody who is known to be well (balance.ts). What an address was given by rules does not count: a few requests warm nothing.
 * - It lasts while the address is ready and not ill, also without weight. So the hot standby, which had all of the traffic until a
 *   moment ago, is warm when people go back to it, and gets everything at once.
 * - Out of service or ill, it ends: what comes back may well be another process.
 * What was not looked at yet, since the service had no slow start, begins like all the others of it at that moment: then nothing is
 * slower than the rest.
 */
import { durationMs } from '../config/duration.ts'
import { own, withEntry } from '../config/record.ts'
import type { ServiceSpec } from '../config/schema.ts'
import { targetWeight } from '../config/target-weight.ts'
import { letsInNew } from '../table/proven.ts'
import {
  type AddressObserved,
  observedOf,
  type ServiceIntent,
  type ServiceObserved,
  seenOf,
  type TargetObserved,
  UNSEEN,
} from '../table/status.ts'
import type { AddressesOf } from './observe.ts'
import { type Content, splitOf } from './reconcile.ts'

/** What was seen, with these beginnings for the services that are named; the same record when none is new. */
export function withBeginnings(
  { observed, services, intents }: Pick<Content, 'observed' | 'services' | 'intents'>,
  names: Iterable<string>,
  addressesOf: AddressesOf,
  nowMs: number,
): Content['observed'] {
  let next = observed
  for (const name of names) {
    const [spec, intent] = [own(services, name), own(intents, name)]
    if (spec === undefined || intent === undefined || durationMs(spec.slowStart ?? '0s') === 0) continue
    for (const [pool, { targets }] of Object.entries(spec.pools)) {
      const hasKnown = spec.health !== undefined && hasHealthy(own(next, name), spec, intent, pool, addressesOf)
      for (const url of targets) {
        const before = observedOf(own(next, name), pool, url)
        const seen = beginningsOf(before, spec, intent, { pool, url, hasKnown }, addressesOf, nowMs)
        if (seen === before) continue
        const pools = own(next, name) ?? {}
        next = withEntry(next, name, withEntry(pools, pool, withEntry(own(pools, pool) ?? {}, url, seen)))
      }
    }
  }
  return next
}

/** Whether a probe has found a target healthy that takes requests of whoever is new. */
const hasHealthy = (
  observed: ServiceObserved | undefined,
  spec: ServiceSpec,
  intent: ServiceIntent,
  pool: string,
  addressesOf: AddressesOf,
): boolean =>
  Object.entries(intent.pools[pool].targets).some(
    ([url, { admin }]) =>
      letsInNew(spec.pools[pool], url, admin) &&
      seenOf(addressesOf(url), observedOf(observed, pool, url)).health === 'healthy',
  )

function beginningsOf(
  before: TargetObserved,
  spec: ServiceSpec,
  intent: ServiceIntent,
  { pool, url, hasKnown }: { readonly pool: string; readonly url: string; readonly hasKnown: boolean },
  addressesOf: AddressesOf,
  nowMs: number,
): TargetObserved {
  const { admin, targets } = intent.pools[pool]
  const isReady = admin === 'ready' && targets[url].admin === 'ready'
  const isWeighted = (own(splitOf(spec), pool) ?? 0) > 0 && targetWeight(spec.pools[pool], url) > 0
  let next = before
  for (const { address } of addressesOf(url)) {
    const seen = own(before, address) ?? UNSEEN
    const isOffered = seen.health === 'healthy' || (seen.health === 'unknown' && !hasKnown)
    if (!isReady || !isOffered) next = withBeginning(next, address, seen, undefined)
    else if (isWeighted) next = withBeginning(next, address, seen, seen.warmFromMs ?? nowMs)
  }
  return next
}

function withBeginning(
  target: TargetObserved,
  address: string,
  { warmFromMs: before, ...seen }: AddressObserved,
  warmFromMs: number | undefined,
): TargetObserved {
  if (before === warmFromMs) return target
  return withEntry(target, address, warmFromMs === undefined ? seen : { ...seen, warmFromMs })
}
