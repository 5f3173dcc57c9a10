/** Who is asked when a new version (`isRescued`) has failed a request: others first, and targets that have another version. */
import type { PoolTable, TargetTable } from './types.ts'

/** Whether a new version of this pool has failed the request. */
export function isRescued({ name }: PoolTable, failed: readonly TargetTable[]): boolean {
  for (const { isRescued, pool } of failed) if (isRescued && pool.name === name) return true
  return false
}

/** What a failure of a target rules out: of a pool whose targets get a new version one by one, all that have it, else that target. */
export function ruledOut(target: TargetTable): readonly TargetTable[] {
  const { isRescued, pool } = target
  const others = isRescued && pool.targets.some((other) => !other.isRescued)
  return others ? pool.targets.filter((other) => other.isRescued) : [target]
}
