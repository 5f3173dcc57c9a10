/**
 * Keeps the allotment of buckets (table/allotment.ts) of every service in step with its split and the admin states of its pools. Pure.
 * It looks at what a change has made of a service, not at which change it was, so that none can be forgotten.
 */

import { mapNamed, own } from '../config/record.ts'
import type { ServiceSpec } from '../config/schema.ts'
import { type Claim, reallot } from '../table/allotment.ts'
import type { ServiceIntent } from '../table/status.ts'
import type { Allotment } from '../table/types.ts'
import { type Content, splitOf } from './reconcile.ts'

/**
 * The content, of which only the named services were changed (null: any), with the allotments that follow from those before; what did not change keeps its identity. A new service needs none yet,
 * since its shares lie end to end, and one that returns has what was remembered for it.
 */
export function withAllotments(before: Content, after: Content, names: readonly string[] | null): Content {
  if (after.intents === before.intents) return after
  const intents = mapNamed<ServiceIntent>(after.intents, names, (now, name) => {
    const [oldSpec, old] = [own(before.services, name), own(before.intents, name)]
    if (now === old) return now
    if (oldSpec === undefined || old === undefined) return now
    const allotment = allotmentOf(after.services[name], now, allotmentOf(oldSpec, old, old.allotment))
    return allotment === now.allotment ? now : { ...now, allotment }
  })
  return intents === after.intents ? after : { ...after, intents }
}

function allotmentOf(spec: ServiceSpec, intent: ServiceIntent, present: Allotment | undefined): Allotment {
  const claims = Object.entries(splitOf(spec)).map(
    ([pool, weight]): Claim => ({ pool, weight, takesNew: own(intent.pools, pool)?.admin === 'ready' }),
  )
  return reallot(present, claims, intent.release)
}
