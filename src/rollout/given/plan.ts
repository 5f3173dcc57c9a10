/**
 * What is wished of metrics that are given from outside, with every unit resolved. Pure. It is kept with the rollout, as JSON.
 */
import { kindOf } from '../../config/check-rollout.ts'
import { durationMs } from '../../config/duration.ts'
import type { MetricSpec } from '../../config/schema-verdict.ts'

interface Named {
  readonly name: string
  /** It can send the release back, but no step waits for it. */
  readonly isOptional: boolean
}

/** Counts that are posted. */
export interface PostedPlan extends Named {
  readonly kind: 'posted'
  /** Points of bad ones that are accepted. */
  readonly margin: number
}

interface Polled {
  readonly prometheus: string
  readonly everyMs: number
}

/** Counts that Prometheus has. */
export interface CountedPlan extends Named, Polled {
  readonly kind: 'counted'
  readonly margin: number
  readonly bad: string
  readonly all: string
}

/** One value that Prometheus has, which must stay in bounds. */
export interface BoundedPlan extends Named, Polled {
  readonly kind: 'bounded'
  readonly query: string
  /** Of these one is null. */
  readonly above: number | null
  readonly below: number | null
  /** Values in a row that must be out of bounds. */
  readonly row: number
}

export type GivenPlan = PostedPlan | CountedPlan | BoundedPlan

const EVERY = '15s'

/** The plan of a metric that the checks have passed; `margin` is for one that says none. */
export function planOfMetric(spec: MetricSpec, margin: number): GivenPlan {
  const named = { name: spec.name, isOptional: spec.optional ?? false }
  const polled = { prometheus: spec.prometheus ?? '', everyMs: durationMs(spec.every ?? EVERY) }
  switch (kindOf(spec)) {
    case 'posted':
      return { kind: 'posted', ...named, margin: spec.margin ?? margin }
    case 'counted':
      return {
        kind: 'counted',
        ...named,
        ...polled,
        margin: spec.margin ?? margin,
        bad: spec.bad ?? '',
        all: spec.all ?? '',
      }
    case 'bounded': {
      const { query = '', above = null, below = null } = spec
      return { kind: 'bounded', ...named, ...polled, query, above, below, row: spec.for ?? 1 }
    }
  }
}
