/**
 * What becomes of releases when an earlier revision is restored. Pure. Where the traffic moves by that, or pools hold what they
 * held then, the release of then comes back too, with the numbers of its pools: its pins lead to what they were given for. Where that
 * gives a pool another number than it had just now, those of the release that `back` would return to do not: it is a new one then.
 */

import { mapEntries, own } from '../config/record.ts'
import { sameShares } from '../table/allotment.ts'
import type { PoolIntent, ServiceIntent } from '../table/status.ts'
import { type Content, numbered, splitOf } from './reconcile.ts'
import { Issuer } from './releases.ts'

/** The content after a restore, with the releases of then; `then` are the intents of the restored revision. */
export function withReleasesOf(then: Content['intents'], before: Content, after: Content): Content {
  const releases = new Issuer(after.releases)
  const intents = mapEntries<ServiceIntent, ServiceIntent>(after.intents, (now, service) => {
    const [was, old] = [own(before.intents, service), own(then, service)]
    if (was === undefined || old === undefined || now === was) return now
    const moved = !sameShares(splitOf(before.services[service]), splitOf(after.services[service]))
    const returns = (moved || now.release !== was.release) && old.release !== was.release
    if (!returns) return now
    const pools = bornAs(old.pools, now.pools)
    const { previous } = now
    const isOther =
      previous !== null && Object.entries(pools).some(([name, pool]) => !isNumbered(was.pools, name, pool))
    return {
      ...now,
      release: old.release,
      pools,
      ...(isOther && { previous: { ...previous, release: releases.next() } }),
    }
  })
  return intents === after.intents ? after : { ...after, intents, releases: releases.given }
}

function isNumbered(pools: ServiceIntent['pools'], name: string, { born, bornBy }: PoolIntent): boolean {
  const pool = own(pools, name)
  return pool !== undefined && pool.born === born && pool.bornBy === bornBy
}

function bornAs(then: ServiceIntent['pools'], now: ServiceIntent['pools']): ServiceIntent['pools'] {
  return mapEntries<PoolIntent, PoolIntent>(now, (pool, name) => {
    const old = own(then, name)
    return old === undefined ? pool : numbered(pool, old)
  })
}
