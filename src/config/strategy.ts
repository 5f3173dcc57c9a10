/**
 * What a strategy's name means, as steps: pure data, compiled once when a rollout begins.
 *
 * Names of ours: `blue-green` and `all-at-once` (all in one step; blue-green keeps the old pool ready), `canary` (5, 10, 25, 50, 100
 * per cent, or steps of one's own), `linear` (tenths), `rolling` (target by target). `5-10-25-50-100` and `20-percent-steps` are short for
 * a canary and a linear one. CodeDeploy's names mean what they say there, so with them time advances and nothing is kept back:
 * `Canary10Percent5Minutes`, `Linear10PercentEvery1Minute`, `AllAtOnce`, with or without `CodeDeployDefault.`, `Lambda` or `ECS` before
 * them; `OneAtATime` and `HalfAtATime`, which are of servers. No name of ours is one of CodeDeploy's.
 *
 * A rolling release replaces the targets of one pool, some at a time: its steps are batches of targets, and their weights say how many
 * of a hundred have the new version once the step is done.
 *
 * Invariants of a plan: weights rise from step to step; the last is 100, whatever was written; a step at 0 (by rule only) can only be the
 * first. `keep` per cent stay on the old version until the bake ends, so that there is something to compare with to the last.
 */
import { didYouMean, nearest } from './nearest.ts'

/** A step as people write it. */
export interface StepSpec {
  /** Per cent of the traffic, 0 to 100; at 0 only rules lead there. */
  readonly weight: number
  readonly forMs?: number
  readonly requests?: number
  /** Goes on only when a person says so. */
  readonly until?: 'promoted'
}

/** What is asked for. */
export interface StrategySpec {
  readonly strategy: string
  readonly steps?: readonly (number | StepSpec)[]
  /** For every step that does not say. Default: none. */
  readonly step?: { readonly forMs?: number; readonly requests?: number }
  readonly advance?: Advance
  readonly keep?: number
  /** URLs of the targets of the pool; a rolling release needs them. */
  readonly targets?: readonly string[]
  /** Targets of a batch of a rolling release, instead of what the strategy says. */
  readonly batch?: Batch
}

/** Targets that are replaced at the same time: a number, or a share of all. */
export type Batch = { readonly targets: number } | { readonly share: number }

/** When a step ends: with the verdict, or when its time is over and nothing has failed. */
export type Advance = 'verdict' | 'time'

export interface Step {
  readonly weight: number
  /** Least time; the clock stands still in a hold and in a pause. */
  readonly forMs: number
  /** Least number of answers of the new version. */
  readonly requests: number
  readonly untilPromoted: boolean
}

export interface Plan {
  readonly steps: readonly Step[]
  readonly advance: Advance
  /** Per cent that stay on the old version until the bake ends. */
  readonly keep: number
  /** URLs of the targets that are replaced in each step of a rolling one; null otherwise. */
  readonly batches: readonly (readonly string[])[] | null
}

/** Why there is no plan. */
export interface PlanFault {
  readonly message: string
}

interface Shape {
  readonly weights: readonly number[]
  readonly forMs: number
  readonly advance: Advance
  readonly keep: number
  readonly batch: Batch | null
}

const MINUTE_MS = 60_000
/** What is kept back where the verdict decides, per cent. */
const KEEP = 5
const STEPS_MAX = 100

const PREFIX = /^(CodeDeployDefault\.)?(Lambda|ECS)?/
const TIMED = { advance: 'time', keep: 0, batch: null } as const
const JUDGED = { advance: 'verdict', forMs: 0, batch: null } as const

/** Names that stand for one shape. */
const NAMED: ReadonlyMap<string, Shape> = new Map<string, Shape>([
  ['blue-green', { ...JUDGED, weights: [100], keep: 0 }],
  ['all-at-once', { ...JUDGED, weights: [100], keep: 0 }],
  ['canary', { ...JUDGED, weights: [5, 10, 25, 50, 100], keep: KEEP }],
  ['linear', { ...JUDGED, weights: evenly(10), keep: KEEP }],
  ['rolling', { ...JUDGED, weights: [100], keep: 0, batch: { targets: 1 } }],
  ['AllAtOnce', { ...TIMED, weights: [100], forMs: 0 }],
  ['OneAtATime', { ...TIMED, weights: [100], forMs: 0, batch: { targets: 1 } }],
  ['HalfAtATime', { ...TIMED, weights: [100], forMs: 0, batch: { share: 0.5 } }],
])

/** Names with numbers in them. */
const PATTERNS: readonly (readonly [RegExp, (...numbers: number[]) => Shape])[] = [
  [
    /^Canary([1-9]\d*)Percent([1-9]\d{0,5})Minutes?$/,
    (percent, minutes) => ({ ...TIMED, weights: [percent, 100], forMs: minutes * MINUTE_MS }),
  ],
  [
    /^Linear([1-9]\d*)PercentEvery([1-9]\d{0,5})Minutes?$/,
    (percent, minutes) => ({ ...TIMED, weights: evenly(percent), forMs: minutes * MINUTE_MS }),
  ],
  [/^([1-9]\d*)-percent-steps$/, (percent) => ({ ...JUDGED, weights: evenly(percent), keep: KEEP })],
  [/^\d+(?:-\d+)+$/, (...weights) => ({ ...JUDGED, weights, keep: KEEP })],
]

/** Multiples of `percent`, and 100 at the end. */
function evenly(percent: number): number[] {
  const weights: number[] = []
  for (let weight = percent; weight < 100; weight += percent) weights.push(weight)
  return [...weights, 100]
}

/** The plan that is asked for, or what is wrong with it. */
export function planOf(spec: StrategySpec): Plan | PlanFault {
  const shape = shapeOf(spec.strategy)
  if (shape === null) return { message: unknownName(spec.strategy) }
  if (shape.batch !== null) return rollingPlan(spec, shape, spec.batch ?? shape.batch)
  // A name with a time in it means what it says, whatever the time of other steps is.
  const forMs = shape.forMs > 0 ? shape.forMs : (spec.step?.forMs ?? 0)
  const requests = spec.step?.requests ?? 0
  const steps = (spec.steps ?? shape.weights).map((written): Step => {
    const step = typeof written === 'number' ? { weight: written } : written
    return {
      weight: step.weight,
      forMs: step.forMs ?? forMs,
      requests: step.requests ?? requests,
      untilPromoted: step.until === 'promoted',
    }
  })
  const message = faultOf(steps)
  if (message !== null) return { message }
  const last = steps[steps.length - 1]
  if (last.weight < 100) steps.push({ weight: 100, forMs, requests, untilPromoted: false })
  return {
    steps: steps.map(withoutWaitAtTheEnd(shape)),
    advance: spec.advance ?? shape.advance,
    keep: spec.keep ?? shape.keep,
    batches: null,
  }
}

const unknownName = (strategy: string): string =>
  `no strategy is called "${strategy}"${didYouMean(nearest(strategy, [...NAMED.keys()]))}: blue-green, canary, linear, all-at-once, rolling, or a name of CodeDeploy`

/** What is wrong with the name, whatever else a rollout is asked for with; null when nothing is. */
export function nameFault(strategy: string): string | null {
  const shape = shapeOf(strategy)
  if (shape === null) return unknownName(strategy)
  return shape.batch === null ? faultOf(shape.weights.map(waiting)) : null
}

/** Why no rollout can have steps of these weights, per cent; null when one can. What a step waits for may be said later. */
export const weightsFault = (weights: readonly number[]): string | null => faultOf(weights.map(waiting))

const waiting = (weight: number): Step => ({ weight, forMs: 0, requests: 1, untilPromoted: false })

/** Whether a strategy replaces targets, by its name. */
export const isRollingName = (strategy: string): boolean => (shapeOf(strategy)?.batch ?? null) !== null

function rollingPlan(
  { steps, step, targets = [], advance, keep }: StrategySpec,
  shape: Shape,
  batch: Batch,
): Plan | PlanFault {
  if (steps !== undefined) return { message: 'a rolling release has no steps of weight' }
  if (keep !== undefined && keep > 0) return { message: 'a rolling release keeps nothing back' }
  const { length } = targets
  const size = 'targets' in batch ? batch.targets : Math.max(1, Math.floor(length * batch.share))
  if (size >= length) {
    return {
      message: `${size} of ${length} targets at a time would leave nobody to answer: a rolling release needs more targets`,
    }
  }
  const count = Math.ceil(length / size)
  if (count > STEPS_MAX) return { message: `a rollout has at most ${STEPS_MAX} steps: take more targets at a time` }
  const batches = Array.from({ length: count }, (_, at) => targets.slice(at * size, (at + 1) * size))
  return {
    steps: batches.map((_, at) => ({
      weight: Math.round((Math.min((at + 1) * size, length) / length) * 100),
      forMs: step?.forMs ?? shape.forMs,
      requests: step?.requests ?? 0,
      untilPromoted: false,
    })),
    advance: advance ?? shape.advance,
    keep: 0,
    batches,
  }
}

/** With CodeDeploy's names nothing is waited for once all traffic is there. */
const withoutWaitAtTheEnd =
  ({ advance }: Shape) =>
  (step: Step): Step =>
    advance === 'time' && step.weight === 100 ? { ...step, forMs: 0, requests: 0 } : step

function shapeOf(strategy: string): Shape | null {
  const [prefix = '', , platform] = PREFIX.exec(strategy) ?? []
  const shape = shapeNamed(strategy.slice(prefix.length))
  if (shape === null || prefix === '') return shape
  const isTheirs = shape.advance === 'time' && (platform === undefined || shape.batch === null)
  return isTheirs ? shape : null
}

function shapeNamed(name: string): Shape | null {
  const named = NAMED.get(name)
  if (named !== undefined) return named
  for (const [pattern, shape] of PATTERNS) {
    if (pattern.test(name)) return shape(...(name.match(/\d+/g) ?? []).map(Number))
  }
  return null
}

function faultOf(steps: readonly Step[]): string | null {
  if (steps.length === 0) return 'a rollout needs at least one step'
  if (steps.length > STEPS_MAX) return `a rollout has at most ${STEPS_MAX} steps`
  for (const [at, { weight, forMs, requests, untilPromoted }] of steps.entries()) {
    if (!Number.isInteger(weight) || weight < 0 || weight > 100)
      return `the weight ${weight} is no whole number of per cent`
    if (weight === 0 && at > 0) return 'only the first step can be at 0'
    if (weight === 0 && forMs === 0 && requests === 0 && !untilPromoted) {
      return 'a step at 0 needs something to wait for: for, requests or until'
    }
    if (at > 0 && weight <= steps[at - 1].weight)
      return `the weights have to rise, and ${weight} comes after ${steps[at - 1].weight}`
  }
  return null
}

/** Per cent of the traffic at a step of the plan; what is kept back is on the old version until the bake has ended. */
export function weightAt({ steps, keep }: Plan, at: number): number {
  return Math.min(steps[at].weight, 100 - keep)
}
