/**
 * Which pools are the hot standby of a service: those that all traffic was switched away from last. They are the last entries of the
 * default failover, so that a new pool that dies falls back to the old one while that is well. Pure; like the allotments it looks at what
 * a change has made of a service, not at which verb it was.
 *
 * - A switch makes one, and so does any change after which none of the pools has traffic that had it before. Shifting weights makes none:
 *   a canary that goes back to 0 is not what the rest should fall back to.
 * - A rollout makes those that had the traffic before it, from its step on that gives all to what it tries, and where it is done.
 * - `back` ends it: what people went back from is no help. After a rollout that has gone back it is what it was before, but for the pool that was tried.
 * - A pool ends it by having weight again, by going, and by holding something else: that is the next release, not the last.
 */
import type { Change } from '../change.ts'
import { mapNamed, own } from '../config/record.ts'
import type { ServiceSpec, Weights } from '../config/schema.ts'
import { type ServiceIntent, standbyBehind } from '../table/status.ts'
import { splitEnd } from './ended.ts'
import { type Content, holdsOther, splitOf } from './reconcile.ts'
import { touchedBy } from './touched.ts'

/** The content with the hot standby of each service that the change has touched; the rest keeps its identity. */
export function withFallback(before: Content, after: Content, change: Change): Content {
  if (after.intents === before.intents) return after
  const intents = mapNamed<ServiceIntent>(after.intents, touchedBy(change), (now, name) => {
    const [was, old] = [own(before.services, name), own(before.intents, name)]
    if (now === old || was === undefined || old === undefined) return now
    const next = fallbackAfter(old, was, after.services[name], change)
    const kept = withEarlier(now, was, after.services[name])
    if (next.length === 0 && kept.fallback === undefined) return kept
    const { fallback: _fallback, ...rest } = kept
    if (next.length === 0) return rest
    return next.length === kept.fallback?.length && next.every((pool, n) => pool === kept.fallback?.[n])
      ? kept
      : { ...rest, fallback: next }
  })
  return intents === after.intents ? after : { ...after, intents }
}

type Shift = Extract<Change, { kind: 'shift' }>

const NONE: readonly string[] = Object.freeze([])

function fallbackAfter(old: ServiceIntent, was: ServiceSpec, is: ServiceSpec, change: Change): readonly string[] {
  const has = weighted(splitOf(is))
  const pools = change.kind === 'shift' ? behindRollout(old, change, has) : behind(old, was, change.kind, has)
  return pools.filter((pool) => !has.includes(pool) && holdsTheSame(was, is, pool))
}

/** After a change of people; `has` are the pools with weight by now. */
function behind({ fallback = NONE }: ServiceIntent, was: ServiceSpec, kind: Change['kind'], has: readonly string[]) {
  if (kind === 'back') return NONE
  const had = weighted(splitOf(was))
  const left = had.filter((pool) => !has.includes(pool))
  return left.length > 0 && (kind === 'switch' || left.length === had.length) ? left : fallback
}

/** After a shift of a rollout: whoever had the traffic before it, however many steps it has taken, once only what it tries has some. */
function behindRollout(old: ServiceIntent, shift: Shift, has: readonly string[]): readonly string[] {
  const ends = splitEnd(old, shift)
  if (ends === 'back') return old.trial === undefined ? NONE : standbyBehind(old.trial)
  const tried = (shift.trial ?? old.trial)?.pool
  const left = weighted(shift.before).filter((pool) => !has.includes(pool))
  return left.length > 0 && (ends === 'done' || has.every((pool) => pool === tried)) ? left : (old.fallback ?? NONE)
}

/** What was the hot standby before a rollout is none after it either once it holds something else. */
function withEarlier(intent: ServiceIntent, was: ServiceSpec, is: ServiceSpec): ServiceIntent {
  const { trial } = intent
  if (trial?.earlier === undefined) return intent
  const fallback = trial.earlier.fallback.filter((pool) => holdsTheSame(was, is, pool))
  if (fallback.length === trial.earlier.fallback.length) return intent
  return { ...intent, trial: { ...trial, earlier: { ...trial.earlier, fallback } } }
}

function holdsTheSame(was: ServiceSpec, is: ServiceSpec, pool: string): boolean {
  const [old, now] = [own(was.pools, pool), own(is.pools, pool)]
  return old !== undefined && now !== undefined && !holdsOther(old, now)
}

/** The pools with weight, heaviest first. */
function weighted(weights: Weights): string[] {
  const split = Object.entries(weights).filter(([, weight]) => weight > 0)
  return split.sort(([, a], [, b]) => b - a).map(([pool]) => pool)
}
