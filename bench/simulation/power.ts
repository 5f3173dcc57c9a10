/**
 * How soon the origin test sees a version that is worse, and how often it takes an equal one for worse: one metric, looked at after
 * every ten requests.
 */
import { OriginTest } from '../../src/rollout/origin-test.ts'
import { Strata } from '../../src/rollout/strata.ts'
import { Chance } from './chance.ts'

/** Who gets the canary: exactly one of each ten, at a random place; or each request by its hash. */
export type Assignment = 'picker' | 'hash'

export interface PowerPlan {
  readonly runs: number
  readonly seed: number
  /** Share of the traffic, in (0, 1). */
  readonly weight: number
  readonly alpha: number
  readonly assignment: Assignment
  /** Share of bad answers of either, at a moment of the run: 0 at its begin, 1 at its end. */
  readonly control: (moment: number) => number
  readonly canary: (moment: number) => number
  /** Answers of the canary after which a run ends undecided. */
  readonly answersMax: number
}

export interface PowerResult {
  /** Of the runs that failed, sorted: answers of the canary, and how many of them were bad. */
  readonly answers: readonly number[]
  readonly bad: readonly number[]
  readonly undecided: number
}

/** Requests between two looks. */
const LOOK = 10

export function power(plan: PowerPlan): PowerResult {
  const answers: number[] = []
  const bad: number[] = []
  const chance = new Chance(plan.seed)
  for (let run = 0; run < plan.runs; run++) {
    const ended = runOnce(plan, chance)
    if (ended === null) continue
    answers.push(ended.answers)
    bad.push(ended.bad)
  }
  const sorted = (values: number[]) => values.sort((a, b) => a - b)
  return { answers: sorted(answers), bad: sorted(bad), undecided: plan.runs - answers.length }
}

function runOnce(plan: PowerPlan, chance: Chance): { readonly answers: number; readonly bad: number } | null {
  const origin = new OriginTest({ alpha: plan.alpha, tolerance: 1 })
  const strata = new Strata()
  let answers = 0
  let bad = 0
  while (answers < plan.answersMax) {
    const moment = answers / plan.answersMax
    const canary = plan.assignment === 'picker' ? LOOK * plan.weight : chance.binomial(LOOK, plan.weight)
    const canaryBad = chance.binomial(canary, plan.canary(moment))
    const control = LOOK - canary
    strata.add({ canary, canaryBad, control, controlBad: chance.binomial(control, plan.control(moment)) })
    answers += canary
    bad += canaryBad
    const stratum = strata.close(plan.weight)
    if (stratum === null) continue
    origin.take(stratum)
    if (origin.failed) return { answers, bad }
  }
  return null
}
