/**
 * Slow start: what is new gets a small part of its share at first, and all of it after the time that its service gives it. Pure.
 *
 * An address of a target begins when it is first offered traffic: ready, not ill, in a pool with weight (control/warming.ts), and
 * after an ejection when that ends. Its part then rises in a straight line, from a tenth, to all of it. Two things follow from that one time:
 * - Within the pool its weight is so much smaller, beside the others (policy.ts). Where all are new, all are equal, and nothing happens.
 * - A pool is as warm as its warmest target. So one in which all are new has a ramp of its own: it does not take all that is
 *   aimed at it, and who had its share before goes on with the rest (ramp.ts).
 */
import type { AddressObserved } from './status.ts'
import type { TargetTable } from './types.ts'

/** The part that is given at once: enough to be seen, and to be judged by. */
export const FIRST_PART = 0.1

/** The part of its share that something takes which will be warm at this time; both steady or both wall time, in ms. */
export function partAt(warmUntilMs: number, slowStartMs: number, nowMs: number): number {
  if (nowMs >= warmUntilMs) return 1
  return Math.max(FIRST_PART, 1 - (warmUntilMs - nowMs) / slowStartMs)
}

/** When an address is warm; 0 for one that began before anybody looked. */
export function warmUntilMs({ warmFromMs = 0, ejectedUntilMs }: AddressObserved, slowStartMs: number): number {
  const beganMs = Math.max(warmFromMs, ejectedUntilMs)
  return slowStartMs === 0 || beganMs === 0 ? 0 : beganMs + slowStartMs
}

/** The same of a target, which is warm when all of its addresses are; 0 when it is by now. */
export function targetWarmUntilMs(addresses: readonly AddressObserved[], slowStartMs: number, nowMs: number): number {
  const untilMs = Math.max(0, ...addresses.map((address) => warmUntilMs(address, slowStartMs)))
  return untilMs > nowMs ? untilMs : 0
}

/** An address of a target, as far as it says how warm its pool is. */
export interface Warming extends Pick<TargetTable, 'admin' | 'health' | 'weight' | 'warmUntilMs'> {}

/** When the first address of a pool that can take requests is warm; 0 when one is, or there is none. */
export function rampUntilMs(addresses: readonly Warming[], probed: boolean): number {
  const taking = addresses.filter(
    ({ admin, health, weight }) => admin === 'ready' && health !== 'unhealthy' && weight > 0,
  )
  // Those that no probe has looked at yet can where there is nobody else (balance.ts).
  const known = probed ? taking.filter(({ health }) => health === 'healthy') : []
  let untilMs = Infinity
  for (const { warmUntilMs: warmMs } of known.length > 0 ? known : taking) untilMs = Math.min(untilMs, warmMs)
  return untilMs === Infinity ? 0 : untilMs
}
