/**
 * What our cookie should say after a decision: the visitor id, and what was last given.
 *
 * Invariants:
 * - Nothing is set when the client's cookie says so already and has time left: no Set-Cookie on each answer.
 * - The record never decides a bucket, so it cannot ratchet; it only keeps visitors through a drain and at their target.
 *   Exceptions (a rule without pin, a denied pool, failover) leave it as it is.
 * - A live pin is only replaced by another pin. A pin of a release that is gone is replaced like any record.
 * - A cookie that another service under the same host wrote gives the visitor id only, and is left to that service: where the id
 *   is the key here too, this one sets its own (request-view.ts has the names).
 * - What the client has is renewed at half of its life, whatever the decision was.
 */
import { endOfLifeS, isDue } from './cookie-record.ts'
import { isNoted } from './eligible.ts'
import type { Draw, OwnCookie, PoolTable, Reason, RequestView, ServiceTable, TargetTable } from './types.ts'

/** A decision whose target is known, as far as the cookie depends on it. */
export interface Outcome {
  readonly view: RequestView
  readonly service: ServiceTable
  readonly draw: Draw
  /** The client's cookie, of whichever service. */
  readonly own: OwnCookie | null
  /** The same when it is of this service and its live release. */
  readonly kept: OwnCookie | null
  readonly visitor: string | null
  /** True when the visitor was given its id by this decision. */
  readonly fresh: boolean
  /** True when a rule that matched pins. */
  readonly pin: boolean
  readonly denied: readonly PoolTable[]
  readonly reason: Reason
  readonly aimed: PoolTable | null
  /** Targets that had no room for it. */
  readonly crowded: ReadonlySet<TargetTable>
}

/** The cookie to set, or null. */
export function cookieToSet(outcome: Outcome, target: TargetTable): OwnCookie | null {
  const { service, own, view } = outcome
  const { sticky } = service
  if (sticky === null) return null
  const noted = noteOf(outcome, target)
  if (noted !== null) return { ...noted, endS: endOfLifeS(sticky, view.wallMs()) }
  if (own === null || own.service !== service.name || !isDue(own, sticky, view.wallMs())) return null
  return { ...own, endS: endOfLifeS(sticky, view.wallMs()) }
}

/** What is to be noted, without its end; null when there is nothing new. */
type Note = Omit<OwnCookie, 'endS'>

function noteOf(outcome: Outcome, target: TargetTable): Note | null {
  const { service, own, kept, aimed, reason } = outcome
  if (outcome.pin && aimed !== null && aimed.admin === 'ready') {
    return changed(outcome, own === null ? null : own.visitor, aimed, target, true)
  }
  if (outcome.fresh) {
    const pool = aimed !== null && aimed.admin === 'ready' ? aimed : target.pool
    return changed(outcome, outcome.visitor, pool, target, false)
  }
  if (own === null) return null
  if (own.service !== service.name && own.visitor !== outcome.visitor) return null
  if (reason === 'pin') return changed(outcome, own.visitor, target.pool, target, own.pinned)
  if (reason !== 'bucket' || outcome.denied.length > 0 || kept?.pinned) return null
  return changed(outcome, own.visitor, target.pool, target, false)
}

/** The note with this content, or null when the client has exactly that. A null visitor is given an id. */
function changed(
  outcome: Outcome,
  visitor: string | null,
  pool: PoolTable,
  target: TargetTable,
  pinned: boolean,
): Note | null {
  const { service, kept } = outcome
  const known = kept !== null && kept.pool === pool.name ? kept : null
  const tag = targetTag(outcome, known, pool, target)
  if (known !== null && known.target === tag && known.pinned === pinned) return null
  return {
    visitor: visitor ?? outcome.draw.visitorId(),
    service: service.name,
    pool: pool.name,
    release: pool.release,
    target: tag,
    pinned,
  }
}

/** The tag to note: of the given target, or the one noted before when this time another one, or another pool, had to help out. */
function targetTag(
  { service, crowded }: Outcome,
  known: OwnCookie | null,
  pool: PoolTable,
  target: TargetTable,
): string {
  if (!service.sticky?.target) return ''
  if (known !== null) for (const full of crowded) if (isNoted(known, full)) return known.target
  if (target.pool === pool) return target.tag
  return known === null ? '' : known.target
}
