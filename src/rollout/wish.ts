/**
 * What is wished of a rollout: the settings of its service with what was sent over them, key by key, and every unit resolved. Pure.
 *
 * Defaults: a canary, a bake of five minutes, back when it fails, and no end of patience where there is little traffic.
 */
import { durationMs } from '../config/duration.ts'
import { hooksOf } from '../config/hooks.ts'
import type { RolloutSpec } from '../config/schema-rollout.ts'
import { type StatusRanges, statusRanges } from '../config/statuses.ts'
import { type Batch, type Plan, planOf } from '../config/strategy.ts'
import { TurnoutError } from '../errors.ts'
import { type GivenPlan, planOfMetric } from './given/plan.ts'
import { overSettings } from './over-settings.ts'
import type { Policy } from './rollout.ts'
import type { VerdictOptions } from './verdict.ts'

export interface Wish {
  readonly strategy: string
  readonly plan: Plan
  readonly policy: Policy
  readonly verdict: VerdictOptions
  /** Metrics that are given from outside; a rollout that an older Turnout has begun has none. */
  readonly given?: readonly GivenPlan[]
  /** Statuses that are failures; absent: those that always are. */
  readonly failing?: StatusRanges
  /** A WebSocket that its target ends sooner has failed; absent: the default. */
  readonly earlyCloseMs?: number
  readonly spec: RolloutSpec
  /** How long what it has replaced is kept; absent: not at all. */
  readonly standbyMs?: number
  /** The version that the pool has once a rolling release is done; absent: the one that it has. */
  readonly version?: string
}

const BAKE_MS = 300_000
/** A limit that is none, and can be written as JSON. */
export const NEVER = Number.MAX_SAFE_INTEGER

/** `targets` are those of the pool with the new version, `without` metrics that are left out. Throws `invalid` with what is wrong. */
export function wishOf(
  defaults: RolloutSpec | undefined,
  sent: RolloutSpec,
  targets: readonly string[],
  without: readonly string[] = [],
): Wish {
  const written = overSettings(defaults, sent, without)
  // From here on hooks of steps are hooks like others, which say of which step they are.
  const hooks = hooksOf(written).map(({ hook }) => hook)
  const spec: RolloutSpec = { ...written, ...(hooks.length > 0 && { hooks }) }
  const strategy = spec.strategy ?? 'canary'
  const planned = planOf({
    strategy,
    ...(spec.steps && { steps: spec.steps.map(stepOf) }),
    ...(spec.step && {
      step: { ...timeOf(spec.step.for), ...(spec.step.requests !== undefined && { requests: spec.step.requests }) },
    }),
    ...(spec.advance && { advance: spec.advance }),
    ...(spec.keep !== undefined && { keep: spec.keep }),
    targets,
    ...(spec.rolling?.batchSize !== undefined && { batch: batchOf(spec.rolling.batchSize) }),
  })
  if ('message' in planned) throw refused(spec.steps === undefined ? '/strategy' : '/steps', planned.message)
  if (planned.batches !== null && !spec.hooks?.some(({ at }) => at === 'UpdateTarget')) {
    throw refused('/hooks', 'a rolling release needs a hook UpdateTarget, which brings the new version to a target')
  }
  const most = spec.rolling?.maxUnavailable ?? Infinity
  const largest = Math.max(0, ...(planned.batches ?? []).map(({ length }) => length))
  if (largest > most) {
    const message = `${largest} targets are replaced at the same time, and at most ${most} may be out`
    throw refused('/rolling/maxUnavailable', message)
  }
  if (spec.standby === undefined && spec.hooks?.some(({ at }) => at === 'Retire')) {
    throw refused('/standby', 'a hook Retire is called when the standby is over: say how long that is')
  }
  const given = (spec.verdict?.metrics ?? []).map((metric) => planOfMetric(metric, marginOf(spec)))
  const compared = given.find(({ kind }) => kind !== 'bounded')
  if (planned.batches !== null && compared !== undefined) {
    const { name } = compared
    const why = 'counts are told apart by pool, and a rolling release has one'
    const out = `leave it out: deploy --without ${name}, in the API "without": ["${name}"]`
    throw refused('/verdict/metrics', `${name} cannot be compared: ${why}; ${out}`)
  }
  return {
    strategy,
    plan: planned,
    policy: policyOf(spec),
    verdict: verdictOf(spec, given),
    given,
    spec,
    ...(spec.standby !== undefined && { standbyMs: durationMs(spec.standby) }),
    ...(spec.verdict?.failing !== undefined && { failing: statusRanges(spec.verdict.failing) }),
    ...(spec.verdict?.earlyClose !== undefined && { earlyCloseMs: durationMs(spec.verdict.earlyClose) }),
  }
}

const refused = (pointer: string, message: string): TurnoutError =>
  new TurnoutError('invalid', message, [{ pointer, message }])

function batchOf(size: number | string): Batch {
  return typeof size === 'number' ? { targets: size } : { share: Number.parseInt(size, 10) / 100 }
}

type StepSpec = NonNullable<RolloutSpec['steps']>[number]

function stepOf(step: StepSpec) {
  if (typeof step === 'number') return step
  const { weight, requests, until } = step
  return { weight, ...timeOf(step.for), ...(requests !== undefined && { requests }), ...(until && { until }) }
}

const timeOf = (duration: string | undefined) => (duration === undefined ? {} : { forMs: durationMs(duration) })

function policyOf(spec: RolloutSpec): Policy {
  return {
    bakeMs: spec.bake === undefined ? BAKE_MS : durationMs(spec.bake),
    onFailure: spec.onFailure ?? 'rollback',
    onInsufficient: spec.onInsufficient ?? 'wait',
    insufficientAfterMs: spec.insufficientAfter === undefined ? NEVER : durationMs(spec.insufficientAfter),
    isScheduled: Object.keys(spec.schedule ?? {}).length > 0,
    isMeasured: spec.capacity !== undefined,
  }
}

const marginOf = ({ verdict }: RolloutSpec): number => verdict?.margin ?? 0.02

function verdictOf(spec: RolloutSpec, given: readonly GivenPlan[]): VerdictOptions {
  const { verdict } = spec
  return {
    alpha: verdict?.alpha ?? 0.001,
    beta: verdict?.beta ?? 0.05,
    margin: marginOf(spec),
    tolerance: verdict?.tolerance ?? 1,
    harmMax: verdict?.harm ?? NEVER,
    rate: { above: verdict?.rate.above ?? 0.05, overMs: durationMs(verdict?.rate.over ?? '5m') },
    given: given.flatMap((plan) => {
      if (plan.kind === 'bounded') return []
      const { name, margin, isOptional } = plan
      return [{ name, margin, isOptional }]
    }),
  }
}
