/** Which requests are copied to another pool, and to which of its targets. Pure. */
import { chooseTarget } from './balance.ts'
import { isSafe } from './methods.ts'
import type { MirrorPlan } from './plan.ts'
import { NONE } from './room.ts'
import type { Decision, Draw, Load, PoolTable, RequestView, TargetTable } from './types.ts'

/** What is copied, and to whom. */
export interface MirrorTable extends Pick<MirrorPlan, 'share' | 'compares' | 'writes'> {
  readonly pool: PoolTable
}

/** What of a request tells whether it is copied. */
export interface Mirrored {
  readonly method: string
  readonly hasBody: boolean
}

const NOTHING: readonly never[] = Object.freeze([])

/** Whether chance asks for a copy of a request. Mostly it does not, and then nothing else of the request is looked at for that. */
export const isDrawn = ({ share }: MirrorTable, draw: Draw): boolean => share >= 100 || draw.random() * 100 < share

/**
 * The target that gets a copy of a request that was drawn, or null: when it is not safe (unless writes are copied too), at that pool
 * already, or the pool has nobody who could take it.
 */
export function mirrorTarget(
  { service, pool: live, visitor }: Decision,
  request: Mirrored,
  view: RequestView,
  load: Load,
  draw: Draw,
  nowMs: number,
): TargetTable | null {
  const mirror = service?.mirror ?? null
  if (mirror === null || live === null || live.name === mirror.pool.name) return null
  if (!mirror.writes && (request.hasBody || !isSafe(request.method))) return null
  // A copy is a stranger to whoever gets it: no cookie and no login leads it.
  const rest = {
    exclude: NOTHING,
    avoid: null,
    tied: NOTHING,
    kept: null,
    fresh: false,
    panic: false,
    crowded: NONE,
    waitsFor: null,
  }
  return chooseTarget(mirror.pool, { view, service: service!, load, draw, nowMs, visitor, ...rest })
}
