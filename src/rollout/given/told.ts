/**
 * What is told of metrics that are given from outside, by the API and in sentences. Plain data.
 */
import type { Verdict } from '../verdict.ts'

/** What the verdict's own tests do not know of a metric. */
export interface GivenTold {
  readonly name: string
  /** Why nothing came of it when it was last asked for; null when something did. */
  readonly lastError: string | null
  /** How a single value stands; null for counts. */
  readonly bound: Bound | null
}

interface Bound {
  /** What it was when it was last known. */
  readonly value: number | null
  /** Known, and in bounds. */
  readonly isWell: boolean
  readonly isBroken: boolean
  /** Where it stands to its bound, in words: `812, above 500`. */
  readonly words: string
}

interface Counts {
  readonly all: number
  readonly bad: number
}

/** As the API tells it. A single value has no counts. */
export interface ToldMetric {
  readonly name: string
  readonly canary: Counts | null
  readonly control: Counts | null
  readonly value: number | null
  /** From 0 to 1, where the new version has failed. */
  readonly evidence: number
  /** In this step. */
  readonly passed: boolean
  readonly lastError: string | null
}

/** The metrics with what the tests say of them. */
export function toldMetrics(given: readonly GivenTold[], verdict: Verdict): ToldMetric[] {
  return given.map(({ name, lastError, bound }) => {
    if (bound !== null) {
      const { isWell, isBroken } = bound
      // JSON has no word for what is infinite.
      const value = Number.isFinite(bound.value) ? bound.value : null
      return { name, canary: null, control: null, value, evidence: isBroken ? 1 : 0, passed: isWell, lastError }
    }
    const metric = verdict.metrics.find((one) => one.name === name)
    if (metric === undefined) throw new Error(`the verdict has no metric ${name}`)
    const { canary, canaryBad, control, controlBad } = metric.totals
    return {
      name,
      canary: { all: canary, bad: canaryBad },
      control: { all: control, bad: controlBad },
      value: null,
      evidence: metric.origin.evidence,
      passed: metric.test.passes,
      lastError,
    }
  })
}
