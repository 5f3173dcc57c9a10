/**
 * Where a request goes, and why: pure, total, and the same function for traffic, retries and `explain`.
 *
 *   admission (maintenance? held?) → preview host → link → forced rule → valid pin → bucket of the visitor, or picker → health and failover → target
 *
 * Invariants:
 * - Every decision has a reason or an error. Nothing that a client sends makes it throw.
 * - Up to `aimed`, only people's choices count (rules, pins, weights, admin states); health only from there on. So a
 *   visitor comes back to its pool when that is well again, and no failure changes who belongs where. So it is with what is new (ramp.ts).
 * - Pools that do not take new visitors (`drain`, `standby`, `maint`) have no share (allotment.ts), and denied ones leave theirs to
 *   the other weighted pools, by weight and always the same way. A visitor whose cookie says that it was in a draining pool stays
 *   until the deadline: that is a pin too, as long as the drain.
 * - On a preview host its pool answers or nobody does, whatever people have chosen for everybody else.
 * - A denied pool is never used, not even by failover. Failover takes the named pools, by default the others by weight and then the hot
 *   standby; another pool without weight only when it is named. With nothing eligible anywhere the aimed pool is tried, ill as it is.
 * - A retry (`earlier`) is the same question again, and who was given an id by the first try has it still; where the picker decided, it
 *   stays with the pool of the first try rather than take another number. So retries do not bend the shares. What a new version has failed (`isRescued`)
 *   goes to whoever takes over first, and to that version again only where there is nobody. What a version has not got (`missing`)
 *   is asked of the others that are about, and of the one that was just replaced.
 *
 * - A limit (`capacity`) moves nobody to another pool: who finds no room there waits for it (`waitsFor`; within a pool see balance.ts).
 *
 * One object for the work and one for the answer are all that is allocated in the common case.
 */

import { chooseTarget, lastResort, tiedTarget } from './balance.ts'
import { bucketOfHash, hashString } from './bucket.ts'
import { bucketed, picked } from './chance.ts'
import { markCandidates } from './condition-index.ts'
import { cookieToSet } from './cookie-to-set.ts'
import { aim, type Draft, isDenied, poolNamed, takesNew } from './draft.ts'
import type { Earlier } from './earlier.ts'
import { keepsVisitors, poolAdmits } from './eligible.ts'
import { isHeld } from './hold.ts'
import { redirectOf } from './link.ts'
import { isClosedTo } from './maintenance.ts'
import { match } from './match.ts'
import { isForClient, type Preview } from './preview.ts'
import { standIn } from './ramp.ts'
import { isRescued } from './rescue.ts'
import { NONE } from './room.ts'
import { type RuleTable, ruleMatches } from './rules.ts'
import type { Decision, Draw, Load, PoolTable, Reason, RequestView, ServiceTable, Table, TargetTable } from './types.ts'
import { keepsAnything, visitorKey } from './visitor.ts'

const NOTHING: readonly never[] = Object.freeze([])
const FIRST: Earlier = Object.freeze({ exclude: NOTHING, avoid: null, missing: NOTHING })

const NO_ROUTE: Decision = Object.freeze({
  target: null,
  pool: null,
  service: null,
  error: 'no_route',
  reason: null,
  rule: null,
  visitor: null,
  fresh: false,
  bucket: -1,
  visitorHash: -1,
  aimed: null,
  panic: false,
  setCookie: null,
  redirect: null,
  waitsFor: null,
})

/**
 * Decides a request. `nowMs` is steady time (clock.ts). `tied` are the targets that the client has
 * logged in at by its connection.
 */
export function decide(
  view: RequestView,
  table: Table,
  load: Load,
  draw: Draw,
  nowMs: number,
  earlier: Earlier = FIRST,
  tied: readonly TargetTable[] = NOTHING,
): Decision {
  const route = match(table.routes, view)
  if (route === null) return NO_ROUTE
  const service = table.services.get(route.service)
  if (service === undefined) throw new Error(`the table routes to ${route.service}, which it does not have`)
  const { preview } = route
  if (preview !== null && !isForClient(preview, view)) return NO_ROUTE
  const { maintenance } = service
  if (maintenance !== null && preview === null && isClosedTo(view, service, maintenance, earlier))
    return { ...NO_ROUTE, service, error: 'maintenance' }
  // It is decided once that is over, and nothing is drawn for it before.
  if (service.hold !== null && isHeld(service.hold, view, nowMs)) return { ...NO_ROUTE, service, error: 'held' }
  const draft = begin(view, service, load, draw, nowMs, earlier, tied)
  if (preview !== null) return previewed(draft, preview)
  const redirect = service.link === null ? null : redirectOf(draft)
  if (redirect !== null) return { ...decision(draft, null), error: null, reason: 'link', redirect }
  if (!forced(draft) && !pinned(draft) && !stayed(draft) && !bucketed(draft)) picked(draft)
  return settle(draft)
}

/** What a pool is, is seen when nobody takes over for it; and whoever looks at it is no visitor of everybody's hosts. */
function previewed(draft: Draft, { pool: name }: Preview): Decision {
  const pool = poolNamed(draft.service, name)
  if (pool === null) throw new Error(`a preview host is that of pool ${name}, which is not there`)
  aim(draft, pool, 'preview')
  const target = tiedTarget(pool, draft) ?? chooseTarget(pool, draft)
  return decision(draft, target ?? (draft.waitsFor === null ? lastResort(pool, draft) : null))
}

function begin(
  view: RequestView,
  service: ServiceTable,
  load: Load,
  draw: Draw,
  nowMs: number,
  { exclude, avoid, missing, isLost = false, givenId = null, waited = null }: Earlier,
  tied: readonly TargetTable[],
): Draft {
  const sticky = service.sticky
  const own = sticky === null ? null : view.ownCookie(service)
  const given = own !== null && own.service === service.name ? poolNamed(service, own.pool) : null
  const kept = given !== null && own?.release === given.release ? own : null
  const visitor = visitorKey(view, service.visitor, keepsAnything(sticky) ? own : null)
  // Signed, so that it fits where an object keeps its small numbers.
  const visitorHash = visitor === null ? -1 : hashString(visitor, service.salt) | 0
  return {
    view,
    service,
    load,
    draw,
    nowMs,
    exclude,
    avoid,
    missing,
    isLost,
    givenId,
    waited,
    tied,
    own,
    kept,
    visitor,
    fresh: false,
    bucket: visitor === null ? -1 : bucketOfHash(visitorHash >>> 0),
    visitorHash,
    aimed: null,
    reason: 'picker',
    rule: null,
    pin: false,
    denied: NOTHING,
    panic: false,
    crowded: NONE,
    waitsFor: null,
  }
}

/** Forced rules: the first that matches and may be followed wins; those that deny are gathered on the way. */
function forced(draft: Draft): boolean {
  const { list, index } = draft.service.rules
  if (index === null) {
    for (const rule of list) if (follows(draft, rule)) return true
    return false
  }
  const marks = markCandidates(index, draft.view, draft.visitor)
  for (let at = marks.take(); at !== -1; at = marks.take()) if (follows(draft, list[at])) return true
  return false
}

function follows(draft: Draft, rule: RuleTable): boolean {
  if (!ruleMatches(rule, draft.view, draft.visitor)) return false
  const { name, to, deny, pin } = rule.plan
  if (deny !== null) {
    const denied = poolNamed(draft.service, deny)
    if (denied !== null && !isDenied(draft, denied)) draft.denied = [...draft.denied, denied]
  }
  const pool = to === null ? null : poolNamed(draft.service, to)
  if (pool === null || isDenied(draft, pool)) return false
  draft.rule = name
  draft.pin = pin
  return aim(draft, pool, 'rule')
}

/** A pin by choice, while its release lives; or a record of having been in a pool that drains, until the deadline. */
function pinned(draft: Draft): boolean {
  const kept = draft.kept
  if (kept === null) return false
  const pool = poolNamed(draft.service, kept.pool)
  if (pool === null || isDenied(draft, pool)) return false
  const honoured = kept.pinned ? poolAdmits(pool, kept, draft.nowMs) : keepsVisitors(pool, draft.nowMs)
  return honoured && aim(draft, pool, 'pin')
}

/** Whoever is known by nothing but the connection stays with the pool that it has logged in at, while that has a share. */
function stayed(draft: Draft): boolean {
  if (draft.tied.length === 0 || draft.visitor !== null) return false
  for (const pool of draft.service.pools) {
    if (pool.weight === 0 || !takesNew(draft, pool) || tiedTarget(pool, draft) === null) continue
    return aim(draft, pool, 'picker')
  }
  return false
}

/** Health, failover and target: from the aimed pool to the decision. */
function settle(draft: Draft): Decision {
  const { aimed, missing, service } = draft
  if (missing.length > 0) return decision(draft, otherVersion(draft))
  const usable = aimed !== null && !isDenied(draft, aimed) ? aimed : null
  const isRescue = draft.exclude.length > 0 && aimed !== null && isRescued(aimed, draft.exclude)
  let target =
    usable === null || isRescue
      ? null
      : (tiedTarget(usable, draft) ?? standIn(draft, usable) ?? chooseTarget(usable, draft))
  if (target === null && draft.waitsFor === null) {
    target = firstOf(service.failover, [aimed?.name], 'failover', draft)
    if (target === null && draft.waitsFor === null && usable !== null)
      target = (isRescue ? chooseTarget(usable, draft) : null) ?? lastResort(usable, draft)
  }
  return decision(draft, target)
}

function decision(draft: Draft, target: TargetTable | null): Decision {
  return {
    target,
    pool: target === null ? null : target.pool,
    service: draft.service,
    error: target === null ? (draft.waitsFor === null ? 'no_healthy_target' : 'overloaded') : null,
    reason: draft.reason,
    rule: draft.rule,
    visitor: draft.visitor,
    fresh: draft.fresh,
    bucket: draft.bucket,
    visitorHash: draft.visitorHash,
    aimed: draft.aimed,
    panic: draft.panic,
    setCookie: target === null || draft.reason === 'preview' ? null : cookieToSet(draft, target),
    redirect: null,
    waitsFor: target === null ? draft.waitsFor : null,
  }
}

/** A target of another version than those that have not got what is asked for; or of the first of them, which has said so, where one broke. */
function otherVersion(draft: Draft): TargetTable | null {
  const { missing, service } = draft
  const other = firstOf(service.versions, missing, 'skew', draft)
  const first = poolNamed(service, missing[0])
  return other === null && draft.isLost && first !== null ? firstOf([first], NOTHING, 'skew', draft) : other
}

/** A target of the first of these pools that has one, but for those that are skipped, by name. */
function firstOf(
  pools: readonly PoolTable[],
  skipped: readonly (string | undefined)[],
  reason: Reason,
  draft: Draft,
): TargetTable | null {
  for (const pool of pools) {
    if (skipped.includes(pool.name) || isDenied(draft, pool)) continue
    const target = chooseTarget(pool, draft)
    if (target === null && draft.waitsFor === null) continue
    draft.reason = reason
    return target
  }
  return null
}
