/**
 * Slow start of a pool in which all is new: it takes a part of what chance aims at it, and stand-ins go on with the rest.
 *
 * The split says at once what it is to be, in one commit, and nobody decides by an older one; what is new is handed over as in a
 * failover, by time. So nothing has to move the weights meanwhile, no revision is written for it, and a ramp goes on after a restart
 * (when it began is stored with health). Envoy and ALB only compare the targets of a pool with each other, which does nothing when all are new.
 *
 * - Only what chance decides waits: rules, pins and preview hosts mean this very pool.
 * - A visitor goes over once, when the part has reached the place of its bucket, and never back, while the ramp lasts. Until then it is where
 *   it was before the last change of the split, if that can stand in, else with the first that can.
 * - A pool stands in when it was warm as the other began, and is large enough: its share, now or before the last change of the split, is not less than what it
 *   is handed. So a canary is not given what a live pool sheds that comes back.
 * - A smaller one goes on with what the last change took from it, and with no more: so a split that moves in steps moves no more at a step than
 *   that is. For that it need not be warm, only older: it had this until now.
 * - Nobody, for a pool whose targets are replaced one by one: it has had everything until now, and another pool has an older version.
 * - Never the new version of a rollout that is being judged, and nobody in panic: who leaves an ill pool is not sent back to it. The hot
 *   standby may, as in a failover.
 * - Without a stand-in everything goes to the pool at once: somebody has to answer.
 */
import { weightShare } from '../config/share.ts'
import { chooseTarget } from './balance.ts'
import { mix32 } from './bucket.ts'
import { poolAt } from './chance.ts'
import { type Draft, isDenied } from './draft.ts'
import type { Allotment, PoolTable, Ranges, ServiceTable, TargetTable } from './types.ts'
import { FIRST_PART, partAt } from './warmth.ts'

/** Who goes on for a pool that warms up. */
interface StandIns {
  /** In the order in which pools take over. */
  readonly pools: readonly PoolTable[]
  /** The part of what is aimed at it that it takes at least: what they cannot go on with. */
  readonly least: number
}

export interface Ramps {
  /** By pool. */
  readonly standIns: ReadonlyMap<PoolTable, StandIns>
  /** Who had which buckets before the last change of the split. */
  readonly earlier: Ranges | null
}

/** The ramps of a service with a slow start. `versions` are the pools that may take over. */
export function rampsOf(
  { weights, before }: Allotment,
  { trial, slowStartMs }: Pick<ServiceTable, 'trial' | 'slowStartMs'>,
  pools: readonly PoolTable[],
  versions: readonly PoolTable[],
): Ramps {
  const has = ({ name }: PoolTable) => weightShare(weights, name)
  const hasLost = (pool: PoolTable) => Math.max(0, weightShare(before?.weights ?? {}, pool.name) - has(pool))
  const standInsOf = (pool: PoolTable): StandIns => {
    // One that is as new began at the same time, or later.
    const isOlder = (other: PoolTable) => other.rampUntilMs < pool.rampUntilMs
    const isWarm = (other: PoolTable) => other.rampUntilMs <= pool.rampUntilMs - slowStartMs
    const isLarge = (other: PoolTable) => isWarm(other) && has(other) + hasLost(other) >= (1 - FIRST_PART) * has(pool)
    const isReplaced = trial?.targets !== undefined && trial.pool === pool.name
    const others = isReplaced ? [] : versions.filter((other) => other !== pool && other.name !== trial?.pool)
    const large = others.filter(isLarge)
    const losers = others.filter((other) => !isLarge(other) && isOlder(other) && hasLost(other) > 0)
    const lost = losers.reduce((sum, other) => sum + hasLost(other), 0)
    const standIns = [...large, ...losers]
    if (standIns.length === 0) return { pools: standIns, least: 1 }
    return { pools: standIns, least: large.length > 0 ? 0 : Math.max(0, 1 - lost / has(pool)) }
  }
  return {
    standIns: new Map(pools.map((pool) => [pool, standInsOf(pool)])),
    earlier:
      before === undefined
        ? null
        : {
            bucketEnds: before.ranges.map(({ end }) => end),
            bucketPools: before.ranges.map((range) => pools.find(({ name }) => name === range.pool) ?? null),
          },
  }
}

/** A target of a pool that goes on for the one that is aimed at and warms up; null when that takes the request itself. */
export function standIn(draft: Draft, aimed: PoolTable): TargetTable | null {
  const { nowMs, service, avoid } = draft
  if (nowMs >= aimed.rampUntilMs || service.ramps === null) return null
  const { pools, least } = service.ramps.standIns.get(aimed)!
  if (takes(draft, aimed, least)) return null
  const { earlier } = service.ramps
  const before = earlier === null || draft.bucket < 0 ? null : poolAt(earlier, draft.bucket)
  const first = before !== null && pools.includes(before) ? before : null
  for (const pool of first === null ? pools : [first, ...pools]) {
    if (isDenied(draft, pool)) continue
    const target = chooseTarget(pool, draft)
    if (target !== null && !draft.panic) {
      draft.reason = 'warming'
      return target
    }
    // Nobody waits for room at a pool that is not even theirs.
    draft.waitsFor = null
    draft.panic = false
    draft.avoid = avoid
  }
  return null
}

/** Whether a request is of the part that the pool takes already, `least` at least; a visitor always the same, and then for good. */
function takes(
  { reason, bucket, service, draw, exclude, avoid, nowMs }: Draft,
  { rampUntilMs }: PoolTable,
  least: number,
): boolean {
  if (reason !== 'bucket' && reason !== 'picker') return true
  const part = Math.max(least, partAt(rampUntilMs, service.slowStartMs, nowMs))
  if (bucket >= 0) return mix32(Math.imul(bucket + 1, ODD) ^ service.salt) < part * 2 ** 32
  // Without a visitor a retry stays with the pool of the first try, like any other.
  return exclude.length > 0 || avoid !== null || draw.random() < part
}

/** Spreads buckets that are neighbours. */
const ODD = 0x9e3779b1
