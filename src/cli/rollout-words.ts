/**
 * A rollout in words, for people: one line of where it stands, and more lines of why and what it has cost.
 */
import { percent } from './columns.ts'

interface Counts {
  readonly all: number
  readonly bad: number
}

/** A metric that is given from outside. */
interface MetricView {
  readonly name: string
  readonly canary: Counts | null
  readonly control: Counts | null
  readonly value: number | null
  readonly evidence: number
  readonly passed: boolean
  readonly lastError: string | null
}

/** What the API tells of a rollout, as far as it is shown. */
export interface RolloutView {
  readonly id: string
  readonly service: string
  readonly from: string
  readonly to: string
  readonly strategy: string
  readonly state: string
  readonly step: number
  readonly steps: readonly { readonly weight: number }[]
  readonly weight: number
  readonly startedAtMs: number
  readonly endedAtMs: number | null
  readonly by: string
  readonly reason: string | null
  readonly verdict: {
    readonly outcome: string
    readonly sentence: string
    readonly metrics: readonly MetricView[]
  } | null
  readonly harm: { readonly failed: number; readonly budget: number | null }
  readonly next: { readonly weight: number; readonly inMs: number; readonly waitsFor: string } | null
}

/** What status and explain tell of a rollout that runs. */
export interface RunningView {
  readonly id: string
  readonly to: string
  readonly state: string
  readonly step: number
  readonly steps: number
  readonly weight: number
  readonly inMs: number | null
  readonly waitsFor: string | null
}

const BAR = 20

export const isOver = ({ state }: RolloutView): boolean => state === 'done' || state === 'rolledBack'

/** One line: where it stands. */
export function lineOf(rollout: RolloutView): string {
  const { service, from, to, state, step, steps, weight, next, reason } = rollout
  const filled = Math.round((weight / 100) * BAR)
  const bar = '█'.repeat(filled) + '░'.repeat(BAR - filled)
  const at = step < 0 ? '' : `, step ${step + 1} of ${steps.length}`
  const then =
    next === null ? '' : `; waits for ${next.waitsFor}${next.inMs > 0 ? `, ${Math.ceil(next.inMs / 1_000)} s` : ''}`
  // Where the targets of one pool are replaced, it goes from nowhere.
  const way = from === to ? to : `${from} → ${to}`
  return `${service} ${way} ${bar} ${percent(weight / 100)}  ${wordOf(state)}${at}${then}${reason === null ? '' : `: ${reason}`}`
}

/** All lines: where it stands, what the verdict says, what it has cost. */
export function linesOf(rollout: RolloutView): string[] {
  const { verdict, harm, to, from } = rollout
  const budget = harm.budget === null ? '' : ` of ${harm.budget} that it may`
  return [
    lineOf(rollout),
    ...(verdict === null ? [] : [`  ${verdict.outcome}: ${verdict.sentence}`]),
    `  ${harm.failed} answers of ${to} failed${budget}`,
    ...(verdict?.metrics ?? []).map((metric) => `  ${metricLine(metric, to, from)}`),
  ]
}

/** One that runs, in one line: which it is, where it stands, what it waits for. */
export function runningInWords({ id, to, state, step, steps, weight, inMs, waitsFor }: RunningView): string {
  const at = step < 0 ? '' : `, step ${step + 1} of ${steps}`
  return `${id} to ${to}: ${wordOf(state)}${at}, at ${weight} %${waitsFor === null ? '' : `; waits for ${waitsFor}${within(inMs)}`}`
}

const within = (inMs: number | null): string => (inMs === null || inMs <= 0 ? '' : `, ${Math.ceil(inMs / 1_000)} s`)

const wordOf = (state: string): string => state.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

function metricLine(metric: MetricView, to: string, from: string): string {
  const { name, canary, control, value, evidence, passed, lastError } = metric
  const error = lastError === null ? '' : `; ${lastError}`
  if (canary === null || control === null) {
    const stand = evidence === 1 ? 'out of bounds' : passed ? 'in bounds' : 'not known to be in bounds'
    return `${name}: ${value ?? 'no value'}, ${stand}${error}`
  }
  const counts = `${to} ${canary.bad} bad of ${canary.all}, ${from} ${control.bad} of ${control.all}`
  const stand = evidence === 1 ? 'worse' : passed ? 'passed' : `evidence against it ${percent(evidence)}`
  return `${name}: ${counts}; ${stand}${error}`
}
