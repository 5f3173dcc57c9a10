/**
 * What a rollout has replaced is kept for a time, so that there is something to go back to. Pure, and like leaves-nobody.ts it compares
 * what was with what would be: no kind of change takes it away by the way.
 *
 * A pool is kept until its time is over, it has traffic again, or it holds something else (reconcile.ts); with force anything goes.
 */
import type { Change } from '../change.ts'
import { inWords } from '../config/duration.ts'
import { mapEntries, own } from '../config/record.ts'
import type { PoolSpec } from '../config/schema.ts'
import { ANYWAY, TurnoutError } from '../errors.ts'
import type { PoolIntent, ServiceIntent } from '../table/status.ts'
import { type Content, splitOf } from './reconcile.ts'

/** Pools that had traffic before a rollout, and have none now that it is done, are kept for a time. */
export function keptPools(
  pools: ServiceIntent['pools'],
  { standbyMs = 0, before, weights }: Extract<Change, { kind: 'shift' }>,
  nowMs: number,
): ServiceIntent['pools'] {
  if (standbyMs === 0) return pools
  return mapEntries<PoolIntent, PoolIntent>(pools, (pool, name) =>
    own(before, name) && !own(weights, name) ? { ...pool, keptUntilMs: nowMs + standbyMs } : pool,
  )
}

/** Throws `conflict` when the change would end a standby before its time. A service that is removed by its name is gone with it. */
export function assertStandbyKept(
  before: Content,
  after: Content,
  change: Change,
  changed: readonly string[],
  nowMs: number,
): void {
  if (change.kind === 'shift') return
  for (const name of changed) {
    const [was, is] = [own(before.services, name), own(after.services, name)]
    if (was === undefined || is === undefined) continue
    for (const [pool, intent] of Object.entries(before.intents[name].pools)) {
      const leftMs = (intent.keptUntilMs ?? 0) - nowMs
      if (leftMs <= 0 || own(splitOf(was), pool)) continue
      const loss = lossOf(was.pools[pool], own(is.pools, pool), intent, after.intents[name].pools[pool])
      if (loss === null) continue
      const why = `Pool ${pool} of ${name} is the standby of its last rollout for another ${inWords(leftMs)}, and ${loss}.`
      throw new TurnoutError('conflict', `${why} ${ANYWAY}`)
    }
  }
}

function lossOf(old: PoolSpec, now: PoolSpec | undefined, was: PoolIntent, is: PoolIntent): string | null {
  if (now === undefined) return 'would be removed'
  const gone = old.targets.find((url) => !now.targets.includes(url))
  if (gone !== undefined) return `would lose ${gone}`
  if (now.version !== old.version) return `would be version ${JSON.stringify(now.version)}`
  if (is.admin === 'maint' && was.admin !== 'maint') return 'would be in maintenance'
  const idle = Object.entries(is.targets).find(
    ([url, { admin }]) => admin === 'maint' && own(was.targets, url)?.admin !== 'maint',
  )
  return idle === undefined ? null : `${idle[0]} of it would be in maintenance`
}
