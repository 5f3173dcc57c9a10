/**
 * Since when each address of a target has been offered traffic (table/warmth.ts), for services with a slow start. Pure.
 *
 * - It begins when the address can take requests and its pool has weight: added, found healthy, set ready, or given weight, whatever
 *   came last. What an address was given by rules does not count: a few requests warm nothing.
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
import { type AddressObserved, observedOf, type ServiceIntent, type TargetObserved, UNSEEN } from '../table/status.ts'
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
    for (const [pool, url] of targetsOf(spec)) {
      const before = observedOf(own(next, name), pool, url)
      const seen = beginningsOf(before, spec, intent, pool, url, addressesOf, nowMs)
      if (seen === before) continue
      const pools = own(next, name) ?? {}
      next = withEntry(next, name, withEntry(pools, pool, withEntry(own(pools, pool) ?? {}, url, seen)))
    }
  }
  return next
}

const targetsOf = ({ pools }: ServiceSpec): (readonly [pool: string, url: string])[] =>
  Object.entries(pools).flatMap(([pool, { targets }]) => targets.map((url) => [pool, url] as const))

function beginningsOf(
  before: TargetObserved,
  spec: ServiceSpec,
  intent: ServiceIntent,
  pool: string,
  url: string,
  addressesOf: AddressesOf,
  nowMs: number,
): TargetObserved {
  const { admin, targets } = intent.pools[pool]
  const isReady = admin === 'ready' && targets[url].admin === 'ready'
  const isWeighted = (own(splitOf(spec), pool) ?? 0) > 0 && targetWeight(spec.pools[pool], url) > 0
  let next = before
  for (const { address } of addressesOf(url)) {
    const seen = own(before, address) ?? UNSEEN
    const isWell = spec.health === undefined || seen.health === 'healthy'
    if (!isReady || seen.health === 'unhealthy') next = withBeginning(next, address, seen, undefined)
    else if (isWeighted && isWell) next = withBeginning(next, address, seen, seen.warmFromMs ?? nowMs)
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
