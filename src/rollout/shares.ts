/** The weights of the pools at a moment of a rollout. Pure. */
import { weightShare } from '../config/share.ts'
import { isRolling } from './rolling.ts'
import { isBack, type Rollout } from './rollout.ts'

/** Weights of a service may be at most so large. */
const WEIGHT_MAX = 1_000_000

/**
 * `percent` of the traffic to the pool `to`, and the rest to the others as they shared it before. In the smallest whole numbers; where
 * these would be too large, rounded, but a pool that had a share keeps one.
 */
export function sharesAt(
  before: Readonly<Record<string, number>>,
  to: string,
  percent: number,
): Record<string, number> {
  const others = Object.entries(before).filter(([pool]) => pool !== to)
  const sum = others.reduce((total, [, weight]) => total + weight, 0)
  // Nobody else had a share: there is nothing to go on from, or to go back to.
  if (sum === 0) return { ...before }
  const exact: [string, number][] = [
    ...others.map(([pool, weight]): [string, number] => [pool, weight * (100 - percent)]),
    [to, sum * percent],
  ]
  const divisor = exact.reduce((common, [, weight]) => gcd(common, weight), 0)
  const most = Math.max(...exact.map(([, weight]) => weight / divisor))
  const scale = most > WEIGHT_MAX ? (divisor * most) / WEIGHT_MAX : divisor
  return Object.fromEntries(
    exact.map(([pool, weight]) => [pool, weight === 0 ? 0 : Math.max(1, Math.round(weight / scale))]),
  )
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** Per cent of the traffic that the new version has before the rollout and after its way back: none, where it had no share before. */
export const percentBefore = (rollout: Pick<Rollout, 'before' | 'plan' | 'to'>): number =>
  isRolling(rollout) ? 0 : Math.round(weightShare(rollout.before, rollout.to, 100))

/** Per cent of the traffic for people: that of the state, or where the rollout gives none yet or has gone back, what the split before it gives. */
export const percentTold = (rollout: Rollout): number =>
  isBack(rollout) || rollout.at < 0 ? percentBefore(rollout) : rollout.weight
