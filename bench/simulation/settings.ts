/** What all simulations have in common: how the verdict is set, and who it is given. */
import { Verdict, type VerdictOptions } from '../../src/rollout/verdict.ts'

/** The settings of a rollout that says nothing of its verdict. */
export const VERDICT: VerdictOptions = {
  alpha: 0.001,
  beta: 0.05,
  margin: 0.02,
  tolerance: 1,
  harmMax: Infinity,
  rate: { above: 0.05, overMs: 300_000 },
  given: [],
}

/** Of α the share that failures get. */
export const ALPHA = new Verdict(VERDICT, { histories: [], clumps: [] }).metrics[0].alpha

/** Share of the traffic that the canary gets where there is one step only. */
export const WEIGHT = 0.1

/** Targets of either pool. */
export const CONTROL_TARGETS = 10
export const CANARY_TARGETS = 2

/** The product looks every 10 ms. */
const LOOKS_MAX = 100

/** Looks a second: one for each so many requests, but not more often than the product looks. */
export function looksOf(rate: number, requests: number): number {
  return Math.min(LOOKS_MAX, Math.max(1, Math.floor(rate / requests)))
}
