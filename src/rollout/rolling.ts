/**
 * What is special of a rolling release: not the shares of pools move, but targets of one pool are replaced, batch by batch. Pure.
 *
 * The targets of a batch leave in the commit that opens their step, so that no answer of theirs by the old version counts for the new one;
 * they come back, one by one, when they were replaced and are healthy.
 */
import type { PoolShift } from '../change.ts'
import type { Kept } from './kept.ts'
import type { Rollout } from './rollout.ts'

export const isRolling = ({ plan }: Pick<Rollout, 'plan'>): boolean => plan.batches !== null

/** The targets that have the new version, or are about to. */
export function targetsBegun({ plan, begun }: Pick<Rollout, 'plan' | 'begun'>): string[] {
  return (plan.batches ?? []).slice(0, begun).flat()
}

/** The targets that have had their update, where targets are replaced; null: all of the pool. */
export function targetsSettled({ plan, begun, work, phase }: Rollout): readonly string[] | null {
  if (plan.batches === null) return null
  const isOut = (work === 'draining' || work === 'replacing') && phase !== 'watching'
  return plan.batches.slice(0, isOut ? begun - 1 : begun).flat()
}

/** Those of all targets of the pool that may be taken out because of the new version; none when all have it in a pool that is replaced. */
export function targetsTried(rollout: Pick<Rollout, 'plan' | 'begun'>, all: readonly string[]): readonly string[] {
  if (!isRolling(rollout)) return all
  const begun = targetsBegun(rollout)
  return begun.length < all.length ? begun : []
}

/** The targets of the present step. */
export function batchOf({ plan, at }: Pick<Rollout, 'plan' | 'at'>): readonly string[] {
  return plan.batches?.[at] ?? []
}

/** What the move to a step does to the pool itself; at the end it has its new version. */
export function poolShiftOf({ rollout, wish }: Kept): PoolShift | undefined {
  if (!isRolling(rollout)) return undefined
  const { to: name, work } = rollout
  if (work === 'afterBake') return { name, ...(wish.version !== undefined && { version: wish.version }) }
  return { name, states: statesOf(batchOf(rollout), 'maint') }
}

/** What the way back does to the pool at once: nothing new for targets with the new version, while others are there to answer. */
export function poolBackOf({ rollout }: Kept): PoolShift | undefined {
  if (!isRolling(rollout)) return undefined
  const out = targetsTried(rollout, rollout.plan.batches?.flat() ?? [])
  return out.length === 0 ? undefined : { name: rollout.to, states: statesOf(out, 'maint') }
}

const statesOf = (targets: readonly string[], state: 'maint') =>
  Object.fromEntries(targets.map((target) => [target, state] as const))
