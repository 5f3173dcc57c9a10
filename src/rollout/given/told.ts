/** What is told of metrics that are given from outside. Plain data. */
import type { Verdict } from '../verdict.ts'

/** What the verdict's own tests do not know of a metric. */
export interface GivenTold {
  readonly name: string
  /** Why nothing came of it when it was last asked for; null when something did. */
  readonly lastError: string | null
}

interface Counts {
  readonly all: number
  readonly bad: number
}

/** As the API tells it. */
export interface ToldMetric extends GivenTold {
  readonly canary: Counts
  readonly control: Counts
  /** From 0 to 1, where the new version has failed. */
  readonly evidence: number
  /** In this step. */
  readonly passed: boolean
}

/** The metrics with what the tests say of them. */
export function toldMetrics(given: readonly GivenTold[], verdict: Verdict): ToldMetric[] {
  return given.map((told) => {
    const metric = verdict.metrics.find(({ name }) => name === told.name)
    const { canary, canaryBad, control, controlBad } = metric!.totals
    return {
      ...told,
      canary: { all: canary, bad: canaryBad },
      control: { all: control, bad: controlBad },
      evidence: metric!.origin.evidence,
      passed: metric!.test.passes,
    }
  })
}
