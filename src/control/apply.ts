/**
 * What comes of a change: `applyChange` is pure. It works on services that have their canonical split, returns such
 * services, and leaves untouched what a change does not concern: the very same references come back, and the very same
 * content when everything was so already, which makes every verb idempotent.
 *
 * What a release is, and what `back` returns to, follows from the specs before and after (reconcile.ts), and so does who has which
 * buckets (allotments.ts) and what is the hot standby (fallback.ts); only switch, back and restore say more about releases here. Schema,
 * cross-checks and who would be left to answer (leaves-nobody.ts) are the caller's, on the result.
 */
import type { Change } from '../change.ts'
import { WEIGHT_ALL } from '../config/canonical.ts'
import { poolNamed, serviceNamed } from '../config/named.ts'
import { didYouMean, nearest } from '../config/nearest.ts'
import { child } from '../config/pointer.ts'
import { equalJson, mapEntries, own, sameEntries, withEntry, withoutEntry } from '../config/record.ts'
import type { PoolSpec, ServiceSpec, Services, Weights } from '../config/schema.ts'
import { targetUrl } from '../config/target-url.ts'
import { TurnoutError } from '../errors.ts'
import { sameShares } from '../table/allotment.ts'
import type { PoolIntent, ServiceIntent } from '../table/status.ts'
import { withAllotments } from './allotments.ts'
import { begunAs, doneBy, hasMoved, mayMove, poolShiftAfter, previousOf, splitEnd } from './ended.ts'
import { withFallback } from './fallback.ts'
import { held, released, underHold } from './holding.ts'
import { maintained } from './maintaining.ts'
import { withMergedFile } from './merged-file.ts'
import { partOf, withPart } from './part.ts'
import { patched } from './patched.ts'
import { type Content, canonical, reconcileAll, reconcileService, splitOf, stillPossible } from './reconcile.ts'
import { Issuer } from './releases.ts'
import { withReleasesOf } from './restored.ts'
import { keptPools } from './standby-guard.ts'
import { touchedBy } from './touched.ts'

/** What `applyChange` needs to know of the rest. */
export interface ChangeTools {
  /** Length of a drain of this service in ms. */
  drainMs(spec: ServiceSpec): number
}

/** A change with what it needs from the store. */
export type Resolved = Exclude<Change, { kind: 'restore' }> | Restore

/** The content of an earlier revision. */
export interface Restore extends Pick<Content, 'services' | 'intents'> {
  readonly kind: 'restore'
  readonly from: number
}

/** The content after a change, the same object when nothing changes. Throws `not_found`, `conflict` or `invalid`. */
export function applyChange(content: Content, change: Resolved, nowMs: number, tools: ChangeTools): Content {
  const names = touchedBy(change)
  // A service that is not there is looked for among all, for the name that was meant.
  const isThere = names?.every((name) => Object.hasOwn(content.services, name)) === true
  if (names === null || !isThere) return applied(content, change, nowMs, tools)
  const part = partOf(content, names)
  return withPart(content, part, applied(part, change, nowMs, tools))
}

function applied(content: Content, change: Resolved, nowMs: number, tools: ChangeTools): Content {
  const made = changed(content, change, nowMs, tools)
  const next = withFallback(content, withAllotments(content, made, touchedBy(change)), change)
  const served = next.leftOut.filter((name) => Object.hasOwn(next.services, name))
  return served.length === 0 ? next : withoutLeftOut(next, served)
}

function changed(content: Content, change: Resolved, nowMs: number, tools: ChangeTools): Content {
  switch (change.kind) {
    case 'service.put':
      return putService(content, change.service, change.spec)
    case 'service.patch':
      return putService(content, change.service, patched(serviceNamed(content.services, change.service), change.patch))
    case 'service.delete':
      if (content.leftOut.includes(change.service)) return withoutLeftOut(content, [change.service])
      serviceNamed(content.services, change.service)
      return replaceAll(content, withoutEntry(content.services, change.service))
    case 'split':
      return split(content, change.service, change.weights)
    case 'shift':
      return shift(content, change, nowMs, tools)
    case 'rollout':
      return content
    case 'switch':
      return underHold(content, change, nowMs, (still) => switchAll(still, Object.entries(change.to)))
    case 'hold':
      return held(content, change, nowMs)
    case 'release':
      return released(content, change)
    case 'maintenance':
      return maintained(content, change, nowMs)
    case 'back':
      return back(content, change.service)
    case 'rules':
      return putService(content, change.service, {
        ...serviceNamed(content.services, change.service),
        rules: [...change.rules],
      })
    case 'pool.put':
      return putPool(content, change.service, change.pool, change.spec)
    case 'pool.delete':
      return deletePool(content, change.service, change.pool)
    case 'pool.state':
    case 'target.state':
      return setState(content, change, nowMs, tools)
    case 'restore':
      return withReleasesOf(change.intents, content, replaceAll(content, change.services, change.intents))
    case 'file':
      return withMergedFile(content, change, nowMs, (services) => replaceAll(content, services))
  }
}

const intentOf = (content: Content, service: string): ServiceIntent => content.intents[service]

const withIntent = (content: Content, service: string, intent: ServiceIntent): Content => ({
  ...content,
  intents: withEntry(content.intents, service, intent),
})

function putService(content: Content, service: string, spec: ServiceSpec): Content {
  const old = own(content.services, service)
  const next = canonical(spec)
  if (old !== undefined && equalJson(old, next)) return content
  const releases = new Issuer(content.releases)
  const intent = reconcileService(next, releases, old && { spec: old, intent: intentOf(content, service) })
  return {
    ...content,
    releases: releases.given,
    services: withEntry(content.services, service, next),
    intents: withEntry(content.intents, service, intent),
  }
}

function replaceAll(content: Content, services: Services, remembered?: Content['intents']): Content {
  const canonicals = mapEntries(services, (spec, name) => {
    const old = own(content.services, name)
    const next = canonical(spec)
    return old !== undefined && equalJson(old, next) ? old : next
  })
  if (sameEntries(canonicals, content.services)) return content
  return reconcileAll(canonicals, content, remembered)
}

const withoutLeftOut = (content: Content, names: readonly string[]): Content => ({
  ...content,
  leftOut: content.leftOut.filter((name) => !names.includes(name)),
})

function split(content: Content, service: string, weights: Weights): Content {
  const spec = serviceNamed(content.services, service)
  const faults = Object.keys(weights)
    .filter((pool) => !Object.hasOwn(spec.pools, pool))
    .map((pool) => ({
      pointer: child('/weights', pool),
      message: `There is no pool ${pool}${didYouMean(nearest(pool, Object.keys(spec.pools)))}.`,
    }))
  if (faults.length === 0 && Object.values(weights).every((weight) => weight === 0)) {
    faults.push({ pointer: '/weights', message: 'At least one weight must be above 0.' })
  }
  if (faults.length > 0) throw new TurnoutError('invalid', faults[0].message, faults)
  return putService(content, service, { ...spec, split: weights })
}

type Shift = Extract<Change, { kind: 'shift' }>

function shift(content: Content, change: Shift, nowMs: number, tools: ChangeTools): Content {
  const { service, weights, trial, ends, before, rollout } = change
  const spec = serviceNamed(content.services, service)
  const present = intentOf(content, service)
  // A later step may come to the shares of before: where what is tried had some already.
  const isBegin = trial !== null && present.trial === undefined && sameShares(weights, before)
  if (isBegin && !sameShares(splitOf(spec), before)) {
    throw new TurnoutError('conflict', `The split of ${service} was changed just when its rollout was to begin.`)
  }
  if (!mayMove(present, change)) return content
  const pool = poolShiftAfter(present, change)
  const next = shiftPool(split(content, service, weights), { service, pool }, nowMs, tools)
  const { trial: tried, done: _done, undone, ...rest } = intentOf(next, service)
  const releases = new Issuer(next.releases)
  const ended = splitEnd(present, change)
  const moved = hasMoved(present, splitOf(spec))
  const release = ended === undefined || (ended === 'back' && !moved) ? rest.release : releases.next()
  let { previous } = rest
  if (ended === 'done') previous = { weights: before, release: rest.release }
  if (ended === 'back') previous = stillPossible(previousOf(present, moved, previous, releases), spec)
  const intent = {
    ...rest,
    pools: ended === 'done' ? keptPools(rest.pools, change, nowMs) : rest.pools,
    release,
    previous,
    // It moves nothing where nothing is tried any more.
    ...(ends === 'back' ? { undone: { rollout, atMs: nowMs } } : ends === undefined && undone && { undone }),
    ...(ends === 'done' && { done: doneBy(change, release, present.trial!, spec) }),
    ...(trial === null
      ? {}
      : { trial: { ...trial, ...begunAs(present, tried?.tried ?? readyIn(rest.pools[trial.pool]), change) } }),
  }
  if (equalJson(intent, intentOf(next, service))) return next
  return withIntent({ ...next, releases: releases.given }, service, intent)
}

const readyIn = ({ targets }: PoolIntent): string[] =>
  Object.entries(targets).flatMap(([url, { admin }]) => (admin === 'ready' ? [url] : []))

function shiftPool(
  content: Content,
  { service, pool }: Pick<Shift, 'service' | 'pool'>,
  nowMs: number,
  tools: ChangeTools,
): Content {
  if (pool === undefined) return content
  const spec = serviceNamed(content.services, service)
  const { name, version = poolNamed(spec, service, pool.name).version, states = {} } = pool
  const held = { ...spec.pools[name], version }
  const { targets } = intentOf(content, service).pools[name]
  // Whoever has insisted may have removed one meanwhile; there is nothing to set then, and the rollout must not stick by it.
  const present = Object.entries(states).filter(([target]) => Object.hasOwn(targets, target))
  return present.reduce(
    (next, [target, state]) =>
      setState(next, { kind: 'target.state', service, pool: name, target, state }, nowMs, tools),
    putService(content, service, { ...spec, pools: withEntry(spec.pools, name, held) }),
  )
}

function switchAll(content: Content, to: readonly (readonly [service: string, pool: string])[]): Content {
  if (to.length === 0) {
    const message = 'At least one service is needed.'
    throw new TurnoutError('invalid', message, [{ pointer: '/to', message }])
  }
  return to.reduce((switched, [service, pool]) => switchOne(switched, service, pool), content)
}

function switchOne(content: Content, service: string, pool: string): Content {
  const spec = serviceNamed(content.services, service)
  poolNamed(spec, service, pool)
  const next = putService(content, service, { ...spec, split: { [pool]: WEIGHT_ALL } })
  // Also where the weights were so already: who switches wants every pin to end.
  const releases = new Issuer(next.releases)
  const { undone: _undone, ...present } = intentOf(next, service)
  const intent = { ...present, release: releases.next() }
  return withIntent({ ...next, releases: releases.given }, service, intent)
}

function back(content: Content, service: string): Content {
  const spec = serviceNamed(content.services, service)
  const { previous, release } = intentOf(content, service)
  if (previous === null)
    throw new TurnoutError(
      'conflict',
      `Service ${service} has no split to go back to: none was changed yet, what was changed last was taken back, or a pool of it is gone.`,
    )
  const next = putService(content, service, { ...spec, split: previous.weights })
  const present = { weights: splitOf(spec), release }
  return withIntent(next, service, { ...intentOf(next, service), release: previous.release, previous: present })
}

function putPool(content: Content, service: string, pool: string, poolSpec: PoolSpec): Content {
  const spec = serviceNamed(content.services, service)
  return putService(content, service, { ...spec, pools: withEntry(spec.pools, pool, poolSpec) })
}

function deletePool(content: Content, service: string, pool: string): Content {
  const spec = serviceNamed(content.services, service)
  poolNamed(spec, service, pool)
  const refuse = (why: string) => new TurnoutError('conflict', `Pool ${pool} of ${service} cannot be removed: ${why}.`)
  if (Object.keys(spec.pools).length === 1) throw refuse('it is the last one')
  if (splitOf(spec)[pool] > 0) throw refuse('it has traffic; shift its weight to 0 first')
  const rule = spec.rules.find(({ to, deny }) => to === pool || deny === pool)
  if (rule !== undefined) throw refuse(`rule ${rule.name} names it`)
  if (spec.mirror?.pool === pool) throw refuse('requests are mirrored to it')
  if (spec.failover?.includes(pool)) throw refuse('the failover list names it')
  return putService(content, service, { ...spec, pools: withoutEntry(spec.pools, pool) })
}

type StateChange = Extract<Change, { kind: 'pool.state' | 'target.state' }>

function setState(content: Content, change: StateChange, nowMs: number, tools: ChangeTools): Content {
  const { service, pool, state } = change
  const spec = serviceNamed(content.services, service)
  const targets = poolNamed(spec, service, pool).targets
  const poolIntent = intentOf(content, service).pools[pool]
  const drainUntilMs = state === 'drain' ? nowMs + tools.drainMs(spec) : 0
  let next: PoolIntent
  if (change.kind === 'pool.state') {
    if (poolIntent.admin === state) return content
    next = { ...poolIntent, admin: state, drainUntilMs }
  } else {
    const url = targetUrl(targets, change)
    const target = poolIntent.targets[url]
    if (target.admin === state) return content
    next = { ...poolIntent, targets: withEntry(poolIntent.targets, url, { ...target, admin: state, drainUntilMs }) }
  }
  const intent = intentOf(content, service)
  return withIntent(content, service, { ...intent, pools: withEntry(intent.pools, pool, next) })
}
