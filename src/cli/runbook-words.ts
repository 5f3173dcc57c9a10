/**
 * A dry run of a rollout in words, for people: its checks, its steps, the way back, and how soon a bad version is noticed.
 */
import { inDigits } from '../config/digits.ts'
import { inWords } from '../config/duration.ts'
import { percent } from './columns.ts'
import { wayOf } from './rollout-words.ts'

/** What the API tells of a dry run. */
export interface RunbookView {
  readonly service: string
  readonly from: string
  readonly to: string
  readonly strategy: string
  readonly passes: boolean
  readonly checks: readonly { readonly check: string; readonly state: string; readonly sentence: string }[]
  readonly steps: readonly {
    readonly stage: string
    readonly weight: number
    readonly split: Readonly<Record<string, number>>
    readonly does: readonly string[]
    readonly waitsFor: readonly string[]
    readonly atLeastMs: number
    readonly answersToPass: number | null
    readonly aboutMs: number | null
  }[]
  readonly back: { readonly split: Readonly<Record<string, number>>; readonly does: readonly string[] }
  readonly requestsPerSecond: number | null
  readonly notice: readonly { readonly failing: number; readonly answers: number; readonly aboutMs: number | null }[]
  readonly atLeastMs: number
  readonly notTried: string
}

/** The whole runbook, line by line. */
export function runbookLines(runbook: RunbookView): string[] {
  const { service, from, to, strategy, checks, steps, back, notice, requestsPerSecond, atLeastMs } = runbook
  return [
    `${service} ${wayOf(from, to)}, ${strategy}: nothing has changed, ${runbook.notTried}`,
    'checks, made now:',
    ...checks.map(({ check, state, sentence }) => `  ${state.padEnd(7)}  ${check}: ${sentence}`),
    'steps:',
    ...steps.flatMap((step, at) => stepLines(step, at + 1)),
    `way back, from any of them: ${splitOf(back.split)}`,
    ...back.does.map((text) => `  ${text}`),
    requestsPerSecond === null ? 'traffic: not known yet' : `traffic: ${requestsPerSecond} requests a second now`,
    ...notice.map(
      ({ failing, answers, aboutMs }) =>
        `  a version that fails ${percent(failing)} is sent back after about ${inDigits(answers)} answers of it${soon(aboutMs)}`,
    ),
    `the whole takes at least ${inWords(atLeastMs)}`,
  ]
}

function stepLines(step: RunbookView['steps'][number], n: number): string[] {
  const { stage, weight, split, does, waitsFor, answersToPass, aboutMs } = step
  const about =
    answersToPass === null
      ? []
      : [`    about ${inDigits(answersToPass)} answers, if it is as good as the live one${soon(aboutMs)}`]
  return [
    `  ${n}. ${stage}, ${weight} % (${splitOf(split)})`,
    ...does.map((text) => `    ${text}`),
    ...waitsFor.map((text) => `    waits for ${text}`),
    ...about,
  ]
}

const splitOf = (split: Readonly<Record<string, number>>): string =>
  Object.entries(split)
    .map(([pool, weight]) => `${pool}=${weight}`)
    .join(' ')

const soon = (ms: number | null): string => (ms === null ? '' : `, ${inWords(ms)} at the present rate`)
