/**
 * A rollout in advance: what it would do, step by step, what each step waits for, and how long that takes at least. Pure.
 *
 * Counts of answers are about right for a version that is as good, or as bad, as is said: they come from the same bounds as what the
 * verdict would have noticed (notice.ts). Times at the present rate are nobody's promise.
 */
import { type Closed, closedInWords, closedToBegin } from '../config/calendar.ts'
import { inDigits } from '../config/digits.ts'
import { durationMs, inWords as words } from '../config/duration.ts'
import type { HookEvent } from '../config/schema-gates.ts'
import { type Step, weightAt } from '../config/strategy.ts'
import type { Kept } from './kept.ts'
import { answersToNotice, answersToPass } from './notice.ts'
import { isRolling } from './rolling.ts'
import { sharesAt } from './shares.ts'
import { FAILURES_ALPHA, SLOW_MARGIN } from './verdict.ts'

/** What a check before it has found now. */
export interface CheckFound {
  readonly check: string
  readonly asks: string
  readonly state: 'ok' | 'failed' | 'skipped'
  readonly sentence: string
}

export interface RunbookStep {
  readonly stage: 'preflight' | 'warming' | 'smoke' | 'shifting' | 'baking' | 'done'
  /** Per cent of the traffic that the new version has in it. */
  readonly weight: number
  readonly split: Readonly<Record<string, number>>
  /** What is done, in order. */
  readonly does: readonly string[]
  readonly waitsFor: readonly string[]
  readonly atLeastMs: number
  /** Answers of the new version that its verdict needs, about; null where nothing is compared. */
  readonly answersToPass: number | null
  /** How long that takes at the present rate. */
  readonly aboutMs: number | null
}

export interface Runbook {
  readonly dryRun: true
  readonly service: string
  readonly from: string
  readonly to: string
  readonly strategy: string
  /** No check fails now. */
  readonly passes: boolean
  readonly checks: readonly CheckFound[]
  readonly steps: readonly RunbookStep[]
  readonly back: { readonly split: Readonly<Record<string, number>>; readonly does: readonly string[] }
  /** Of the service now; null where nothing is known of it. */
  readonly requestsPerSecond: number | null
  /** Answers of a version that fails so often until it is sent back, in the first step that is compared. */
  readonly notice: readonly { readonly failing: number; readonly answers: number; readonly aboutMs: number | null }[]
  readonly atLeastMs: number
  /** Why it would not begin now, and until when; null when it would. */
  readonly waits: Closed | null
  /** What was not tried. */
  readonly notTried: string
}

/** The traffic of the service as it is. */
export interface TrafficNow {
  readonly requestsPerSecond: number
  /** Share of the answers that fail. */
  readonly failing: number
}

/** Shares of failures of which it is said how soon they are noticed. */
const FAILING = [1, 0.5, 0.2, 0.1, 0.05]
/** One answer in twenty is slow, by definition. */
const SLOW_SHARE = 0.05

/** Where a hook is, for people, by its index. */
export type HookNames = readonly string[]

/** The whole of a rollout that has not begun. `hookNames` are those of the hooks of its settings, in their order. */
export function runbookOf(
  kept: Kept,
  checks: readonly CheckFound[],
  traffic: TrafficNow | null,
  hookNames: HookNames,
  nowMs: number,
): Runbook {
  const { service, from, wish, rollout } = kept
  const { plan, before } = rollout
  const { schedule } = wish.spec
  const waits = schedule === undefined ? null : closedToBegin(schedule, nowMs)
  const hooksAt = (event: HookEvent, step?: number) =>
    (wish.spec.hooks ?? []).flatMap((hook, index) =>
      hook.at === event && (hook.step ?? step) === step ? [`calls hook ${event} at ${hookNames[index]}`] : [],
    )
  const steps = [
    ...gateSteps(kept, waits, hooksAt),
    ...plan.steps.map((step, at) => shiftStep(kept, step, at, traffic, hooksAt)),
    ...endSteps(kept, hooksAt),
  ]
  const compared = plan.steps.map((_, at) => weightAt(plan, at) / 100).find((share) => share > 0 && share < 1)
  const notice = FAILING.flatMap((failing) => {
    const control = traffic?.failing ?? 0
    if (compared === undefined || failing <= control) return []
    const answers = answersToNotice(failing, control, compared, wish.verdict.alpha * FAILURES_ALPHA)
    return [{ failing, answers, aboutMs: timeOf(answers, compared, traffic) }]
  })
  return {
    dryRun: true,
    service,
    from,
    to: rollout.to,
    strategy: wish.strategy,
    passes: checks.every(({ state }) => state !== 'failed'),
    checks,
    steps,
    back: {
      split: before,
      does: ['gives the traffic back in one commit, at any time', ...wayBack(kept), ...hooksAt('OnRollback')],
    },
    requestsPerSecond: traffic?.requestsPerSecond ?? null,
    notice,
    atLeastMs: steps.reduce((sum, { atLeastMs }) => sum + atLeastMs, 0),
    waits,
    notTried: 'no hook was called, nothing was warmed up, and no smoke test was sent',
  }
}

type HooksAt = (event: HookEvent, step?: number) => string[]

const still = { answersToPass: null, aboutMs: null } as const

function gateSteps({ wish, rollout }: Kept, waits: Closed | null, hooksAt: HooksAt): RunbookStep[] {
  const { warmup, smoke } = wish.spec
  const quiet = { weight: 0, split: rollout.before, ...still }
  const warmMs = warmup === undefined ? 0 : durationMs(warmup.for)
  const begin = [...hooksAt('BeforeInstall'), 'makes the checks', ...hooksAt('AfterInstall')]
  const tests = [
    ...(smoke ?? []).map(({ path, status }) => `asks every target for ${path}, which must answer ${status}`),
    ...hooksAt('AfterAllowTestTraffic'),
    ...hooksAt('BeforeAllowTraffic'),
  ]
  const time = waits === null ? [] : [`its schedule: ${closedInWords(waits, wish.spec.schedule ?? {})}`]
  const steps: RunbookStep[] = [
    { stage: 'preflight', ...quiet, does: begin, waitsFor: [...time, 'healthy targets, up to 60 s'], atLeastMs: 0 },
  ]
  if (warmup !== undefined) {
    const does = [`sends ${warmup.rate} requests a second to ${rollout.to} for ${warmup.for}`]
    const gates = [
      ...(warmup.success === undefined ? [] : [`${percent(warmup.success)} of the answers to be well`]),
      ...(warmup.p95 === undefined ? [] : [`95 % of them within ${warmup.p95}`]),
    ]
    steps.push({ stage: 'warming', ...quiet, does, waitsFor: gates, atLeastMs: warmMs })
  }
  if (tests.length > 0) steps.push({ stage: 'smoke', ...quiet, does: tests, waitsFor: [], atLeastMs: 0 })
  return steps
}

function shiftStep(kept: Kept, step: Step, at: number, traffic: TrafficNow | null, hooksAt: HooksAt): RunbookStep {
  const { wish, rollout } = kept
  const { plan, before, to } = rollout
  const weight = weightAt(plan, at)
  const share = weight / 100
  const isCompared = share > 0 && share < 1
  const asked = isCompared && plan.advance === 'verdict'
  const answers = asked ? toPass(kept, share, traffic) : null
  const batch = plan.batches?.[at]
  const needed = Math.max(answers ?? 0, step.requests)
  const neededMs = needed === 0 ? 0 : timeOf(needed, share, traffic)
  return {
    stage: 'shifting',
    weight,
    split: batch === undefined ? sharesAt(before, to, weight) : before,
    does: [
      ...hooksAt('BeforeStep', at),
      ...(batch === undefined
        ? [`gives ${to} ${weight} % of the traffic`]
        : [`drains ${batch.join(', ')}`, ...hooksAt('UpdateTarget').map((hook) => `${hook}, for each of them`)]),
    ],
    waitsFor: [
      ...(wish.spec.capacity === undefined ? [] : [`room for it in ${to}, by rate and time of then`]),
      ...(batch === undefined ? [] : ['each to be healthy, and ready again']),
      ...(step.forMs > 0 ? [`${words(step.forMs)} of time`] : []),
      ...(step.requests > 0 ? [`${inDigits(step.requests)} answers of the new version`] : []),
      ...(asked ? [`a verdict that it is not worse by more than ${percent(wish.verdict.margin)}`] : []),
      ...(step.untilPromoted ? ['a person who promotes it'] : []),
    ],
    atLeastMs: step.forMs,
    answersToPass: answers,
    aboutMs: neededMs === null ? null : Math.max(step.forMs, neededMs),
  }
}

function toPass({ wish }: Kept, share: number, traffic: TrafficNow | null): number {
  const { margin, beta } = wish.verdict
  const failures = answersToPass(traffic?.failing ?? 0, margin, share, beta)
  return Math.max(failures, answersToPass(SLOW_SHARE, SLOW_MARGIN, share, beta))
}

function endSteps({ wish, rollout }: Kept, hooksAt: HooksAt): RunbookStep[] {
  const { plan, policy, before, to } = rollout
  const split = (weight: number) => (isRolling(rollout) ? before : sharesAt(before, to, weight))
  const weight = weightAt(plan, plan.steps.length - 1)
  const waitsFor = policy.bakeMs > 0 ? [`${words(policy.bakeMs)} of watching`] : []
  const bake = {
    stage: 'baking',
    weight,
    split: split(weight),
    atLeastMs: policy.bakeMs,
    aboutMs: policy.bakeMs,
  } as const
  const all = isRolling(rollout)
    ? `gives ${to} its new version`
    : `gives ${to} all the traffic, and ends the pins of before`
  const kept =
    wish.spec.standby === undefined || isRolling(rollout)
      ? []
      : [`keeps what had the traffic for ${wish.spec.standby}`, ...hooksAt('Retire').map((hook) => `then ${hook}`)]
  return [
    { ...bake, does: [...hooksAt('AfterAllowTraffic'), ...hooksAt('AfterBake')], waitsFor, answersToPass: null },
    {
      stage: 'done',
      weight: 100,
      split: split(100),
      does: [all, ...kept, ...told(wish)],
      waitsFor: [],
      atLeastMs: 0,
      ...still,
    },
  ]
}

const told = ({ spec }: Kept['wish']): string[] =>
  (spec.notify ?? []).length === 0
    ? []
    : [`tells ${(spec.notify ?? []).length} address${spec.notify?.length === 1 ? '' : 'es'}`]

const wayBack = ({ rollout }: Kept): string[] =>
  isRolling(rollout) ? ['restores the targets that were replaced, by the hook UpdateTarget'] : []

/** How long so many answers take at the present rate; null where there is none. */
function timeOf(answers: number, share: number, traffic: TrafficNow | null): number | null {
  const perSecond = (traffic?.requestsPerSecond ?? 0) * share
  return perSecond > 0 ? Math.ceil((answers / perSecond) * 1_000) : null
}

const percent = (share: number): string => `${Number((share * 100).toPrecision(3))} %`
