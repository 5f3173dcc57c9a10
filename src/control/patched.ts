/**
 * A merge patch (RFC 7386) over a service. Pure. What names something that the patch takes away, and that nobody need think of, goes
 * with it: the weight of a pool without traffic, and that of a target within its pool.
 */
import { validateService } from '../config/check.ts'
import { withoutGoneWeights } from '../config/gone-weights.ts'
import { mergePatch } from '../config/merge-patch.ts'
import { isRecord, mapEntries, own } from '../config/record.ts'
import type { PoolSpec, ServiceSpec } from '../config/schema.ts'
import { TurnoutError } from '../errors.ts'

/** The service after a patch; the schema and the defaults are applied to what comes out. Throws `invalid`. */
export function patched(spec: ServiceSpec, patch: PlainRecord): ServiceSpec {
  const merged = mergePatch({ ...spec, pools: weightsLeft(spec.pools, patch['pools']) }, patch)
  const { split, ...rest } = merged
  const live = typeof patch['live'] === 'string' && !Object.hasOwn(patch, 'split')
  const completed = validateService(live || split === undefined ? rest : { ...rest, split: withoutGone(split, merged) })
  if ('spec' in completed) return completed.spec
  throw new TurnoutError('invalid', completed.faults[0]?.message, completed.faults)
}

/** The pools as they were, without the weights of targets that the patch takes away. */
function weightsLeft(pools: ServiceSpec['pools'], patch: unknown): ServiceSpec['pools'] {
  if (!isRecord(patch)) return pools
  return mapEntries<PoolSpec>(pools, (pool, name) => {
    const change = own(patch, name)
    const targets = isRecord(change) ? change['targets'] : undefined
    const isListed = Array.isArray(targets) && targets.every((target) => typeof target === 'string')
    return isListed ? withoutGoneWeights({ ...pool, targets }) : pool
  })
}

/** Removing a pool without traffic by a patch needs no patch of its weight. */
function withoutGone(split: unknown, { pools }: PlainRecord): unknown {
  if (!isRecord(split) || !isRecord(pools)) return split
  return Object.fromEntries(
    Object.entries(split).filter(([pool, weight]) => weight !== 0 || Object.hasOwn(pools, pool)),
  )
}

type PlainRecord = Readonly<Record<string, unknown>>
