/**
 * What one instance has counted of a rollout, as it says it to the others: sums since its step began, with the last readings of them, and
 * failures that clients were brought since the rollout began. Pure.
 *
 * Whoever pools them takes the difference to what was taken before, so a text that is lost, late or read twice does no harm. Readings
 * are made where a stretch of time ends, whatever has come in it: whoever ended one because of a failure would make no fair bet
 * (VERDICT.md 4). Of each there are as many as a look that was missed may want, and not more.
 */
import type { Batch } from './feed.ts'
import type { Stratum } from './origin-test.ts'
import { METRICS_COUNTED } from './slow-edge.ts'

/** A stretch of time that one reading is of. */
export const STRETCH_MS = 5
/** Readings that are said at most. */
const READINGS_MAX = 32

/** When the stretch that a moment is in is over, in steady ms. */
export const stretchEndMs = (atMs: number): number => (Math.floor(atMs / STRETCH_MS) + 1) * STRETCH_MS

const SIDES = ['canary', 'canaryBad', 'control', 'controlBad'] as const
/** Numbers of a reading: its own, the harm, and the sums of each metric. */
const FIELDS = 2 + METRICS_COUNTED * SIDES.length

/** Its number, which only grows, the harm, then the sums by metric, as `Stratum` has them. */
export type Reading = readonly number[]

/** What an instance says of one rollout. */
export interface Said {
  readonly rollout: string
  readonly step: number
  /** The oldest first; at least one. */
  readonly readings: readonly Reading[]
  /** Answers of the new version since the step began, where it has no weight in it; absent: none, or an older Turnout says it. */
  readonly byRules?: number
  /** It judges by itself that the new version has failed: why, and how often a person had gone on before. */
  readonly failed?: { readonly why: string; readonly goneOn: number }
  /** It ends, and counts no more. */
  readonly ends?: true
}

/** Harm and sums, where nothing has been counted. */
export const nothingRead = (): number[] => Array.from({ length: FIELDS }, () => 0)

/** What has come between two readings of one step, by metric; null where the later one has less, which no instance says. */
export function cameBetween(before: Reading, after: Reading): Stratum[] | null {
  if (after.some((value, at) => at > 1 && value < before[at])) return null
  return Array.from({ length: METRICS_COUNTED }, (_, metric) => {
    const of = (side: number) => {
      const at = 2 + metric * SIDES.length + side
      return after[at] - before[at]
    }
    return { canary: of(0), canaryBad: of(1), control: of(2), controlBad: of(3) }
  })
}

/** Whether this may be a reading: whole numbers that nobody has to be afraid of. */
export const isReading = (value: unknown): value is Reading =>
  Array.isArray(value) && value.length === FIELDS && value.every((field) => Number.isSafeInteger(field) && field >= 0)

export class Ledger {
  readonly rollout: string
  step: number
  failed: Said['failed']
  /** Answers of the new version in this step, where it has no weight. */
  byRules = 0
  /** What has been counted, closed or not. */
  #now = nothingRead()
  #readings: Reading[] = []
  /** When the open stretch ends; Infinity where nothing has come in one. */
  #endMs = Infinity

  constructor(rollout: string, step: number) {
    this.rollout = rollout
    this.step = step
    this.#close()
  }

  /** Counts begin anew, but for the harm. */
  beginStep(step: number): void {
    if (step === this.step) return
    this.step = step
    const [number, harm] = this.#now
    this.#now = nothingRead()
    this.#now[0] = number
    this.#now[1] = harm
    this.byRules = 0
    this.#readings = []
    this.#close()
  }

  /** Adds what has come. */
  add({ atMs, came, harm }: Batch): void {
    if (atMs >= this.#endMs) this.#close()
    this.#now[1] += harm
    for (const [metric, stratum] of came.slice(0, METRICS_COUNTED).entries()) {
      for (const [at, side] of SIDES.entries()) this.#now[2 + metric * SIDES.length + at] += stratum[side]
    }
    if (this.#endMs === Infinity) this.#endMs = stretchEndMs(atMs)
  }

  /** Adds failures that no batch is told of. */
  addHarm(harm: number): void {
    if (harm === 0) return
    this.#now[1] += harm
    if (this.#endMs === Infinity) this.#endMs = 0
  }

  /** Adds answers of the new version that it has given without a weight. They are in no stratum, so no stretch of time is told of them. */
  addByRules(answers: number): void {
    this.byRules += answers
  }

  /** All that was counted until now, as one reading. */
  get total(): Reading {
    return [...this.#now]
  }

  /** What is said at this moment, with the last `readingsMax` readings; a stretch that is not over yet is left for the next time. */
  said(steadyMs: number, readingsMax = READINGS_MAX): Said {
    if (steadyMs >= this.#endMs) this.#close()
    const { rollout, step, failed, byRules } = this
    const more = { ...(byRules > 0 && { byRules }), ...(failed && { failed }) }
    return { rollout, step, readings: this.#readings.slice(-readingsMax), ...more }
  }

  #close(): void {
    this.#endMs = Infinity
    this.#now[0]++
    this.#readings = [...this.#readings.slice(1 - READINGS_MAX), [...this.#now]]
  }
}
