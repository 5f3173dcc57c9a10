/** Whole rollouts under synthetic traffic: the same state machine and verdict as the product runs, on a clock of their own. */
import type { Rollout } from '../../src/rollout/rollout.ts'
import { isOver } from '../../src/rollout/rollout.ts'
import { begin, step } from '../../src/rollout/state.ts'
import { type Plan, planOf, type StrategySpec } from '../../src/rollout/strategy.ts'
import { metricsOf, Verdict, type VerdictOptions } from '../../src/rollout/verdict.ts'
import { Chance } from './chance.ts'

export interface Scene {
  readonly strategy: StrategySpec
  /** Requests a second in all. */
  readonly rate: number
  /** Share of bad answers of either, at a second of the run. */
  readonly control: (second: number) => number
  readonly canary: (second: number) => number
  /** Seconds after which a run is given up. */
  readonly secondsMax: number
  readonly bakeMs: number
}

export interface Ended {
  readonly end: 'done' | 'rolledBack' | 'undecided'
  readonly seconds: number
  /** Failed answers of the canary. */
  readonly harmed: number
  readonly reason: string | null
}

export const VERDICT: VerdictOptions = {
  alpha: 0.001,
  beta: 0.05,
  margin: 0.02,
  tolerance: 1,
  harmMax: Infinity,
  rate: { above: 0.05, overMs: 300_000 },
  given: [],
}

/** Looks a second; few, so that thousands of rollouts pass in a minute. Each has at least a stratum where there is traffic for one. */
const LOOKS = 4
const QUIET = { canary: 0, canaryBad: 0, control: 0, controlBad: 0 }
/** Share of answers from the edge of each quantile on. */
const SLOW = [0.25, 0.05, 0.01]

export function simulate(scene: Scene, chance: Chance): Ended {
  const plan = planOf(scene.strategy) as Plan
  const policy = {
    bakeMs: scene.bakeMs,
    onFailure: 'rollback',
    onInsufficient: 'wait',
    insufficientAfterMs: Infinity,
  } as const
  let { rollout } = begin({ id: 'r', to: 'green', plan, policy, before: { blue: 100 }, by: 'simulation' }, 0)
  const reference = scene.control(0)
  const history = { bad: 6_000 * reference, all: 6_000 }
  const slow = SLOW.map((share) => ({ bad: 6_000 * share, all: 6_000 }))
  const verdict = new Verdict(VERDICT, {
    histories: [history, ...slow],
    clumps: metricsOf(VERDICT).map(() => ({ x2: 0, dof: 0 })),
  })
  let answers = 0
  let harmed = 0
  for (let look = 0; look < scene.secondsMax * LOOKS; look++) {
    const nowMs = (look * 1_000) / LOOKS
    rollout = withoutWaiting(rollout, nowMs, (weight) => {
      verdict.beginStep(weight / 100)
      answers = 0
    })
    if (isOver(rollout)) return { end: rollout.state as 'done', seconds: nowMs / 1_000, harmed, reason: rollout.reason }
    const second = nowMs / 1_000
    const all = chance.poisson(scene.rate / LOOKS)
    const canary = chance.binomial(all, rollout.weight / 100)
    const control = all - canary
    const canaryBad = chance.binomial(canary, scene.canary(second))
    const controlBad = chance.binomial(control, scene.control(second))
    answers += canary
    harmed += canaryBad
    const came = [
      { canary, canaryBad, control, controlBad },
      ...slowOf(chance, canary - canaryBad, control - controlBad),
    ]
    const { outcome, cause } = verdict.look({ nowMs, came, harm: harmed, allOut: false })
    rollout = step(rollout, { type: 'look', outcome, reason: cause, answers }, nowMs).rollout
  }
  return { end: 'undecided', seconds: scene.secondsMax, harmed, reason: null }
}

/** Slow answers among the good ones, of two equal versions: who passes a far edge has passed the near ones. */
function slowOf(chance: Chance, canary: number, control: number) {
  let [canarySlow, controlSlow] = [canary, control]
  let before = 1
  return SLOW.map((share) => {
    canarySlow = chance.binomial(canarySlow, share / before)
    controlSlow = chance.binomial(controlSlow, share / before)
    before = share
    return canary + control === 0 ? QUIET : { canary, canaryBad: canarySlow, control, controlBad: controlSlow }
  })
}

/** All work passes at once, and a shift is there at once. */
function withoutWaiting(rollout: Rollout, nowMs: number, shifted: (weight: number) => void): Rollout {
  let next = rollout
  while (!isOver(next) && (next.phase === 'working' || next.phase === 'moving')) {
    const event =
      next.phase === 'working'
        ? ({ type: 'passed', works: next.works } as const)
        : ({ type: 'moved', weight: next.weight } as const)
    const wasMoving = next.phase === 'moving'
    next = step(next, event, nowMs).rollout
    if (wasMoving) shifted(next.weight)
  }
  return next
}

/** How many of the runs ended how. */
export function simulateMany(scene: Scene, runs: number, seed: number): Ended[] {
  const chance = new Chance(seed)
  return Array.from({ length: runs }, () => simulate(scene, chance))
}
