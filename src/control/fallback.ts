/**
 * Which pools are the hot standby of a service: those that all traffic was switched away from last. They are the last entries of the
 * default failover, so that a new pool that dies falls back to the old one while that is well. Pure; like the allotments it looks at what
 * a change has made of a service, not at which verb it was.
 *
 * - A switch makes one, and so does a rollout that is done, and any change after which none of the pools has traffic that had it before. Shifting weights makes none:
 *   a canary that goes back to 0 is not what the rest should fall back to.
 * - `back` ends it: what people went back from is no help. After a rollout that has gone back it is what it was before, but for the pool that was tried.
 * - A pool ends it by having weight again, by going, and by holding something else: that is the next release, not the last.
 */
import type { Change } from '../change.ts'
import { mapNamed, own } from '../config/record.ts'
import type { ServiceSpec } from '../config/schema.ts'
import type { ServiceIntent } from '../table/status.ts'
import { splitEnd, standbyOf } from './ended.ts'
import { type Content, holdsOther, splitOf } from './reconcile.ts'
import { touchedBy } from './touched.ts'

/** The content with the hot standby of each service that the change has touched; the rest keeps its identity. */
export function withFallback(before: Content, after: Content, change: Change): Content {
  if (after.intents === before.intents) return after
  const intents = mapNamed<ServiceIntent>(after.intents, touchedBy(change), (now, name) => {
    const [was, old] = [own(before.services, name), own(before.intents, name)]
    if (now === old || was === undefined || old === undefined) return now
    const present = old.fallback ?? NONE
    const ends = change.kind === 'shift' ? splitEnd(old, change) : undefined
    const next = fallbackAfter(ends === 'back' ? standbyOf(old) : present, was, after.services[name], change.kind, ends)
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

const NONE: readonly string[] = Object.freeze([])

function fallbackAfter(
  present: readonly string[],
  was: ServiceSpec,
  is: ServiceSpec,
  kind: Change['kind'],
  ends: 'done' | 'back' | undefined,
): readonly string[] {
  const [had, has] = [weighted(was), weighted(is)]
  if (kind === 'back') return NONE
  const left = had.filter((pool) => !has.includes(pool))
  const switched =
    left.length > 0 && ends !== 'back' && (kind === 'switch' || ends === 'done' || left.length === had.length)
  const pools = switched ? left : present
  return pools.filter((pool) => !has.includes(pool) && holdsTheSame(was, is, pool))
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
function weighted(spec: ServiceSpec): string[] {
  const split = Object.entries(splitOf(spec)).filter(([, weight]) => weight > 0)
  return split.sort(([, a], [, b]) => b - a).map(([pool]) => pool)
}
