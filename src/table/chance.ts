/**
 * The pool that chance gives to a request, for a visitor always the same: by the bucket of the visitor, or by the picker for those
 * who are nobody in particular. Only weights, admin states and what is denied count here.
 */
import { bucketOf, bucketOfHash, mix32, pickApart, pickWeight } from './bucket.ts'
import { aim, type Draft, poolNamed, takesNew } from './draft.ts'
import type { PoolTable, Ranges, ServiceTable } from './types.ts'
import { mayGiveId } from './visitor.ts'

/** Buckets that are looked at for a visitor whose own is denied, before its share is spread by weight. */
const OTHER_BUCKETS_MAX = 32

/** By the bucket of the visitor, who may be given an id for that. False when there is none. */
export function bucketed(draft: Draft): boolean {
  if (draft.visitor === null) {
    if (!mayGiveId(draft.service, draft.view)) return false
    draft.visitor = draft.givenId ?? draft.draw.visitorId()
    draft.bucket = bucketOf(draft.visitor, draft.service.salt)
    draft.fresh = true
  }
  return aim(draft, poolOfBucket(draft), 'bucket')
}

/** The pool that has the visitor's bucket; where that takes nobody new or is denied, the one of another bucket, always the same. */
function poolOfBucket(draft: Draft): PoolTable | null {
  const { service, bucket } = draft
  const pool = poolAt(service, bucket)
  if (pool === null || takesNew(draft, pool)) return pool
  let hash = mix32(bucket ^ service.salt)
  for (let tries = 0; tries < OTHER_BUCKETS_MAX; tries++) {
    const other = poolAt(service, bucketOfHash(hash))
    if (other !== null && takesNew(draft, other)) return other
    hash = mix32(hash + 1)
  }
  return spread(draft, hash / 2 ** 32) ?? pool
}

/** The pool of the range that a bucket is in. */
export function poolAt({ bucketEnds, bucketPools }: Ranges, bucket: number): PoolTable | null {
  let low = 0
  let high = bucketEnds.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (bucket < bucketEnds[middle]) high = middle
    else low = middle + 1
  }
  return low < bucketPools.length ? bucketPools[low] : null
}

/** The picker. Always aims, if only at nothing because no pool with a weight takes visitors. */
export function picked(draft: Draft): boolean {
  const { service, draw } = draft
  const tried = draft.exclude.length > 0 ? draft.exclude[0] : draft.avoid
  const before = tried === null ? (draft.waited?.aimed ?? null) : tried.pool
  if (before !== null) {
    const first = poolNamed(service, before.name)
    // While it waited, all may have been given to another pool.
    const hasShare = tried !== null || (first !== null && first.weight > 0)
    if (first !== null && hasShare && takesNew(draft, first)) return aim(draft, first, 'picker')
  }
  const mark = service.pickStep === 0 ? 0 : markOf(service, draw.next(service.slot))
  for (const pool of service.pools) {
    if (mark >= pool.weightEnd) continue
    return aim(draft, takesNew(draft, pool) ? pool : spread(draft, draw.random()), 'picker')
  }
  return aim(draft, null, 'picker')
}

function markOf({ weightSum, pickStep, trial, salt }: ServiceTable, n: number): number {
  return trial === null ? pickWeight(n, weightSum, pickStep) : pickApart(n, weightSum, pickStep, salt)
}

/** The weighted pool that takes new visitors at a place in [0, 1) of their joint weight; null when there is none. */
function spread(draft: Draft, place: number): PoolTable | null {
  let sum = 0
  for (const pool of draft.service.pools) if (takesNew(draft, pool)) sum += pool.weight
  let mark = place * sum
  let last: PoolTable | null = null
  for (const pool of draft.service.pools) {
    if (pool.weight === 0 || !takesNew(draft, pool)) continue
    last = pool
    mark -= pool.weight
    if (mark < 0) return pool
  }
  return last
}
