/**
 * What a pool would have to carry, and what it carries: by requests that are under way at once. Pure.
 *
 * Requests under way at once are the rate times the time that each takes (Little's law), both over the same window. The time is that of the
 * pool itself once it has answered enough, else that of all.
 */
import { inDigits } from '../config/digits.ts'
import type { CapacityPlan } from './plan.ts'
import { isWell, type Targets } from './proven.ts'

/** Requests that were answered within a window, and the time that they took together, without what they had waited for room. */
export interface Work {
  readonly requests: number
  readonly busyMs: number
  /** Those for which there was no room: they would have been answered, too. */
  readonly unserved: number
}

export interface Demand {
  readonly perSecond: number
  /** The time of each. */
  readonly eachMs: number
  readonly atOnce: number
  /** The time is the pool's own. */
  readonly isOwn: boolean
}

/** Answers of a pool within the window from which on its own time counts. */
const ANSWERS_MIN = 20

/** What so many requests in a window of this length are for a pool. */
export function demandOf(requests: number, all: Work, own: Work, windowMs: number): Demand {
  const isOwn = own.requests >= ANSWERS_MIN
  const { busyMs, requests: answered } = isOwn ? own : all
  const eachMs = busyMs / Math.max(1, answered)
  return { perSecond: (requests * 1_000) / windowMs, eachMs, atOnce: (requests * eachMs) / windowMs, isOwn }
}

/** The limits of a pool; 0 is no limit. */
export type PoolLimits = Pick<CapacityPlan, 'requestsPerTarget' | 'requestsPerPool'>

/** Targets of a pool that take requests now, and the requests that they carry at once; each address of a target is one. */
export function carriedBy(
  targets: Targets,
  { requestsPerTarget, requestsPerPool }: PoolLimits,
  probed: boolean,
  nowMs: number,
): { fit: number; carries: number } {
  const fit = targets.filter((target) => isWell(target, probed, nowMs))
  const addresses = fit.reduce((sum, target) => sum + target.addresses.length, 0)
  const byTargets = requestsPerTarget === 0 ? Infinity : addresses * requestsPerTarget
  return { fit: fit.length, carries: Math.min(byTargets, requestsPerPool === 0 ? Infinity : requestsPerPool) }
}

/** The same in words: `its 2 healthy targets carry 400`. */
export function carriedInWords({ fit, carries }: { readonly fit: number; readonly carries: number }): string {
  return `its ${fit} healthy ${fit === 1 ? 'target carries' : 'targets carry'} ${inDigits(carries)}`
}
