/**
 * A rollout in words, for people: one line of where it stands, and more lines of why and what it has cost.
 */

import { inDigits } from '../config/digits.ts'
import { inWords } from '../config/duration.ts'
import { type State, stateInWords } from '../rollout/rollout.ts'
import { percent, timeOf } from './columns.ts'

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

interface GateView {
  readonly gate: string
  readonly at: string | null
  readonly state: string
  readonly reason: string | null
  readonly startedAtMs: number
  readonly endedAtMs: number | null
}

/** What the API tells of a rollout, as far as it is shown. */
export interface RolloutView {
  readonly id: string
  readonly runsElsewhere: boolean
  readonly service: string
  readonly from: string
  readonly to: string
  readonly strategy: string
  readonly state: State
  readonly step: number
  readonly steps: readonly { readonly weight: number }[]
  readonly weight: number
  /** Of an abort: whether somebody can answer now. */
  readonly answered?: boolean
  /** Of an abort: instances that do not route by it yet. */
  readonly waitingFor?: readonly string[]
  readonly startedAtMs: number
  readonly endedAtMs: number | null
  readonly by: string
  readonly reason: string | null
  readonly verdict: {
    readonly outcome: string
    readonly sentence: string
    readonly evidence: number
    readonly metrics: readonly MetricView[]
    /** Absent in what an older Turnout tells. */
    readonly instances?: readonly InstanceView[]
  } | null
  readonly harm: { readonly failed: number; readonly budget: number | null }
  readonly standbyUntilMs: number | null
  readonly retire: { readonly tries: number; readonly reason: string; readonly againAtMs: number | null } | null
  readonly gates: readonly GateView[]
  readonly next: { readonly weight: number; readonly inMs: number; readonly waitsFor: string } | null
}

/** An instance whose answers are in the verdict. */
export interface InstanceView {
  readonly name: string
  readonly canary: { readonly requests: number }
  readonly control: { readonly requests: number }
  readonly silentMs: number
}

/** What status and explain tell of a rollout that runs. */
export interface RunningView {
  readonly id: string
  readonly to: string
  readonly state: State
  readonly step: number
  readonly steps: number
  readonly weight: number
  readonly inMs: number | null
  readonly waitsFor: string | null
}

const BAR = 20

/** One line: where it stands. */
export function lineOf(rollout: RolloutView): string {
  const { service, from, to, state, step, steps, weight, next, reason } = rollout
  const filled = Math.round((weight / 100) * BAR)
  const bar = '█'.repeat(filled) + '░'.repeat(BAR - filled)
  const at = step < 0 ? '' : `, step ${step + 1} of ${steps.length}`
  const then = next === null ? '' : `; ${waitInWords(next)}`
  return `${service} ${wayOf(from, to)} ${bar} ${percent(weight / 100)}  ${stateInWords(state)}${at}${then}${reason === null ? '' : `: ${reason}`}`
}

/** From where to where; a rolling release replaces the targets of one pool, and goes from nowhere. */
export const wayOf = (from: string, to: string): string => (from === to ? to : `${from} → ${to}`)

/** How many instances a verdict is pooled from, each with what it has counted; nothing where there is one only. */
export function pooledInWords(instances: readonly InstanceView[] = []): string[] {
  if (instances.length < 2) return []
  const silent = instances.filter(({ silentMs }) => silentMs > 0).length
  const each = instances.map(({ name, canary, control, silentMs }) => {
    const since = silentMs > 0 ? `, not heard for ${inWords(silentMs)}` : ''
    return `${name} ${inDigits(canary.requests)} + ${inDigits(control.requests)}${since}`
  })
  const heard = silent === 0 ? '' : `, ${silent} of them not heard now`
  return [`pooled over ${instances.length} instances${heard} (answers of both): ${each.join('; ')}`]
}

/** All lines: where it stands, what the verdict says, what it has cost. */
export function linesOf(rollout: RolloutView): string[] {
  const { verdict, harm, to, from } = rollout
  const budget = harm.budget === null ? '' : ` of ${harm.budget} that it may`
  return [
    lineOf(rollout),
    ...(rollout.runsElsewhere ? ['  run by another Turnout process on the same store; as it was kept last'] : []),
    ...(verdict === null ? [] : [`  ${verdict.outcome}: ${verdict.sentence}`]),
    ...pooledInWords(verdict?.instances).map((line) => `  ${line}`),
    `  ${harm.failed} failed ${harm.failed === 1 ? 'answer' : 'answers'} of ${to} reached clients${budget}`,
    ...(verdict?.metrics ?? []).map((metric) => `  ${metricLine(metric, to, from)}`),
    ...(rollout.standbyUntilMs === null ? [] : [`  ${from} is kept until ${timeOf(rollout.standbyUntilMs)}`]),
    ...(rollout.retire === null ? [] : [`  ${retireInWords(from, rollout.retire)}`]),
    ...rollout.gates.map((gate) => `  ${gateLine(gate)}`),
  ]
}

function retireInWords(from: string, { tries, reason, againAtMs }: NonNullable<RolloutView['retire']>): string {
  const then = againAtMs === null ? `given up after ${tries} tries` : `tried again at ${timeOf(againAtMs)}`
  return `${from} was not retired: ${reason}; ${then}`
}

/** One that runs, in one line: which it is, where it stands, what it waits for. */
export function runningInWords({ id, to, state, step, steps, weight, inMs, waitsFor }: RunningView): string {
  const at = step < 0 ? '' : `, step ${step + 1} of ${steps}`
  return `${id} to ${to}: ${stateInWords(state)}${at}, at ${weight} %${waitsFor === null ? '' : `; ${waitInWords({ waitsFor, inMs: inMs ?? 0 })}`}`
}

/** Work by its name in the API, as people say it. */
const WORKS: Readonly<Record<string, string>> = {
  preflight: 'the checks before it',
  warming: 'its warm-up',
  smoke: 'its smoke tests',
  beforeStep: 'the hooks before the step',
  draining: 'the targets of the batch to have nothing under way',
  replacing: 'the targets of the batch to be replaced',
  afterTraffic: 'the hooks after the shift',
  afterBake: 'the hooks after the bake',
}

/** What it waits for, and at the least how long. */
export function waitInWords({ waitsFor, inMs }: { readonly waitsFor: string; readonly inMs: number }): string {
  const left = inWords(Math.ceil(inMs / 1_000) * 1_000)
  // Its time stands still until what it has come to is stored.
  if (waitsFor.startsWith('store'))
    return `waits for the ${waitsFor.replace(/\.$/, '')}${inMs > 0 ? `; then ${left} more` : ''}`
  return `waits for ${WORKS[waitsFor] ?? waitsFor}${inMs > 0 ? `, ${left}` : ''}`
}

/** What is known of a metric that is given from outside. */
export function metricLine(metric: MetricView, to: string, from: string): string {
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

/** What a check before it, a hook, a test or a warm-up has come to. */
export function gateLine({ gate, at, state, reason, startedAtMs, endedAtMs }: GateView): string {
  const took = endedAtMs === null || endedAtMs === startedAtMs ? '' : ` in ${endedAtMs - startedAtMs} ms`
  return `${state.padEnd(7)}  ${gate}${at === null ? '' : ` ${at}`}${took}${reason === null ? '' : `: ${reason}`}`
}
