/**
 * Whether a pool carries what a change sends to it, by what is measured now. Pure.
 *
 * Where a service has limits (`capacity`) and the share of a pool grows, by whichever change, the requests that it would have at once must fit
 * into what its healthy targets carry. Else they would wait, and the last of them be answered 503: `force` does it all the same. A way back
 * is never refused: not `back`, and not that of a rollout, whose own steps ask for room by themselves (rollout/gates/capacity.ts).
 */
import type { Change } from '../change.ts'
import { inDigits } from '../config/digits.ts'
import { own } from '../config/record.ts'
import { weightShare } from '../config/share.ts'
import { ANYWAY, TurnoutError } from '../errors.ts'
import type { ServiceTraffic } from '../metrics/window.ts'
import { workOf } from '../metrics/work.ts'
import { movesBetween } from '../table/allotment.ts'
import { carriedBy, carriedInWords, demandOf } from '../table/demand.ts'
import { stateForNew } from '../table/proven.ts'
import { observedOf, seenOf } from '../table/status.ts'
import type { AddressesOf } from './observe.ts'
import { type Content, splitOf } from './reconcile.ts'

/** What is known beside the content. */
export interface Known {
  readonly nowMs: number
  readonly addressesOf: AddressesOf
  /** What happened at a service lately; null when nobody knows. */
  readonly traffic: (service: string) => ServiceTraffic | null
}

/** Throws `over_capacity` when a pool would get more than it carries. */
export function assertCarried(
  before: Content,
  after: Content,
  change: Change,
  changed: readonly string[],
  known: Known,
): void {
  if (change.kind === 'shift' || change.kind === 'back') return
  for (const name of changed) {
    const [was, is] = [own(before.services, name), own(after.services, name)]
    if (was === undefined || is?.capacity === undefined) continue
    for (const pool of movesBetween(splitOf(was), splitOf(is)).takers) {
      const why = excessOf(after, name, pool, known)
      if (why !== null) throw new TurnoutError('over_capacity', why)
    }
  }
}

/** Why a pool does not carry its share, in words; null when it does, or nothing is known. */
function excessOf(after: Content, name: string, pool: string, { nowMs, addressesOf, traffic }: Known): string | null {
  const { capacity, health, pools } = after.services[name]
  const intent = own(after.intents[name].pools, pool)
  const lately = traffic(name)
  if (capacity === undefined || intent === undefined || lately === null || lately.windowMs <= 0) return null
  const targets = Object.entries(intent.targets).map(([url, { admin }]) => ({
    admin: stateForNew(pools[pool], url, admin),
    ...seenOf(addressesOf(url), observedOf(own(after.observed, name), pool, url)),
  }))
  const { requestsPerTarget = 0, requestsPerPool = 0 } = capacity
  const limits = { requestsPerTarget, requestsPerPool }
  const carried = carriedBy(targets, limits, health !== undefined, nowMs)
  const [all, its] = [workOf([...lately.pools.values()].flat()), workOf(lately.pools.get(pool) ?? [])]
  const share = weightShare(splitOf(after.services[name]), pool)
  const asked = all.requests + all.unserved
  const { perSecond, eachMs, atOnce } = demandOf(asked * share, all, its, lately.windowMs)
  if (atOnce <= carried.carries) return null
  const rate = `measured ${number(perSecond / share)} a second`
  const part = share === 1 ? '' : ` × ${number(share * 100)} %`
  return (
    `${pool} of ${name} would get about ${number(atOnce)} requests at once (${rate}${part} × ${number(eachMs / 1_000)} s) ` +
    `and ${carriedInWords(carried)}. ${ANYWAY}`
  )
}

const number = (value: number): string => inDigits(Number(value.toPrecision(3)))
