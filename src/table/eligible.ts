/**
 * Which targets may take a request, by the three axes of their status.
 *
 *   admin state   says who is let in: `ready` everyone, `drain` only visitors that were here before, until the deadline,
 *                 `standby` and `maint` nobody. The pool's state and the target's both count. A ready target of weight 0
 *                 lets in whoever its cookie notes, and nobody else, as a drain without an end.
 *   health        `unhealthy` targets take nothing; `unknown` ones of a probed service only when no healthy one can.
 *   ejection      lasts until its time.
 *
 * The axes stay apart: a passing probe never ends a drain, and panic (balance.ts) ignores health and ejection, never admin.
 */
import type { AdminState, OwnCookie, PoolTable, TargetTable } from './types.ts'

/** Whether a pool lets a request in. `kept` is the visitor's cookie when it is of this service and its live release. */
export function poolAdmits(pool: PoolTable, kept: OwnCookie | null, nowMs: number): boolean {
  return pool.admin === 'ready' || (kept !== null && kept.pool === pool.name && keepsVisitors(pool, nowMs))
}

/** Whether a pool or target drains and its deadline has not passed. */
export function keepsVisitors(place: PoolTable | TargetTable, nowMs: number): boolean {
  return place.admin === 'drain' && nowMs < place.drainUntilMs
}

/** Which drains keep somebody for a while: pools, whoever a cookie notes for them; targets, only where cookies note those too. */
export const keepers = (sticky: { readonly target: boolean } | false | null) => ({
  pool: sticky !== null && sticky !== false,
  target: sticky !== null && sticky !== false && sticky.target,
})

/** Whether a pool or target lets nobody in any more, by its admin state alone; `keeps` says whether a drain of it keeps somebody. */
export function isClosed(
  { admin, drainUntilMs }: { readonly admin: AdminState; readonly drainUntilMs: number },
  keeps: boolean,
  nowMs: number,
): boolean {
  return admin === 'drain' ? !keeps || nowMs >= drainUntilMs : admin !== 'ready'
}

/** Between the tag of a target and that of its address; tags are in base 36. */
export const TAG_MARK = 'X'

/** Whether a cookie notes the target, at this or another of its addresses. */
export function isNoted({ target: noted }: OwnCookie, { targetTag }: TargetTable): boolean {
  return noted.startsWith(targetTag) && (noted.length === targetTag.length || noted[targetTag.length] === TAG_MARK)
}

/** Whether the admin states of a target and its pool let a request in. */
export function targetAdmits(target: TargetTable, kept: OwnCookie | null, nowMs: number): boolean {
  const pool = target.pool
  if (!poolAdmits(pool, kept, nowMs)) return false
  if (target.admin === 'ready' && target.weight > 0) return true
  if (kept === null || kept.pool !== pool.name || !isNoted(kept, target)) return false
  return target.admin === 'ready' || keepsVisitors(target, nowMs)
}

/** Whether probes or passive ejection say that a target fails. */
export function failing(target: TargetTable, nowMs: number): boolean {
  return target.health === 'unhealthy' || target.ejectedUntilMs > nowMs
}

/** Whether a target may take a request now. Whether an `unknown` one should depends on the others: see balance.ts. */
export function eligible(target: TargetTable, kept: OwnCookie | null, nowMs: number): boolean {
  return targetAdmits(target, kept, nowMs) && !failing(target, nowMs)
}
