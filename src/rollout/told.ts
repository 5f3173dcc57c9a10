/**
 * A rollout as it is told by the API (CONTRACT, Rollouts). Plain data.
 *
 * Its weight is that of the traffic, not of the plan: while a shift is on its way to the workers it is still the one before.
 */
import { inDigits } from '../config/digits.ts'
import { weightAt } from '../config/strategy.ts'
import type { ToldGate } from './gates/gate-log.ts'
import { type GivenTold, type ToldMetric, toldMetrics } from './given/told.ts'
import type { Kept } from './kept.ts'
import type { ToldShare } from './pooled.ts'
import { isBack, isOver, type Rollout, type State } from './rollout.ts'
import { percentBefore, percentTold } from './shares.ts'
import type { Finding, Verdict } from './verdict.ts'
import { NEVER } from './wish.ts'
import { sentenceOf } from './words.ts'

export interface Side {
  readonly requests: number
  readonly failed: number
  /** Slower than 95 of 100 answers of the live pool used to be. */
  readonly slow: number
}

export interface ToldVerdict {
  readonly outcome: Finding['outcome']
  readonly metric: string
  /** From 0 to 1, where the new version has failed. */
  readonly evidence: number
  /** Share of equal releases that would ever look as bad, at most. */
  readonly p: number
  readonly canary: Side
  readonly control: Side
  /** Share of failed answers that would have been noticed by now; null for none. */
  readonly wouldNotice: number | null
  readonly sentence: string
  /** Those that are given from outside. */
  readonly metrics: readonly ToldMetric[]
  /** The instances that it is pooled from; none where there is one only. */
  readonly instances: readonly ToldShare[]
}

export interface ToldRollout {
  readonly id: string
  /** Another Turnout process on the same store runs it; it is told as it was kept last. */
  readonly runsElsewhere: boolean
  readonly service: string
  readonly from: string
  readonly to: string
  readonly strategy: string
  readonly state: State
  /** Index of the present step; -1 before the first. */
  readonly step: number
  readonly steps: readonly { readonly weight: number; readonly forMs: number; readonly requests: number }[]
  readonly weight: number
  readonly startedAtMs: number
  readonly updatedAtMs: number
  readonly endedAtMs: number | null
  readonly by: string
  readonly reason: string | null
  readonly verdict: ToldVerdict | null
  readonly harm: { readonly failed: number; readonly budget: number | null }
  readonly next: { readonly weight: number; readonly inMs: number; readonly waitsFor: string } | null
  /** Wall time until which what it has replaced is kept; null when it is not. */
  readonly standbyUntilMs: number | null
  /** Why what was kept was not retired; null where that has not failed. */
  readonly retire: { readonly tries: number; readonly reason: string; readonly againAtMs: number | null } | null
  /** Checks, hooks, warm-up and smoke tests, the oldest first. */
  readonly gates: readonly ToldGate[]
  readonly history: Kept['history']
}

/** What a look has found, with its numbers; `given` is what is told of metrics from outside. */
export function toldVerdict(
  finding: Finding,
  verdict: Verdict,
  kept: Kept,
  given: readonly GivenTold[],
  instances: readonly ToldShare[],
): ToldVerdict {
  const [failures, , slow] = verdict.metrics
  const side = (of: 'canary' | 'control'): Side => ({
    requests: failures.totals[of],
    failed: failures.totals[`${of}Bad`],
    slow: slow.totals[`${of}Bad`],
  })
  return {
    outcome: finding.outcome,
    metric: finding.cause,
    evidence: Math.max(...verdict.metrics.map(({ origin }) => origin.evidence)),
    p: verdict.p,
    canary: side('canary'),
    control: side('control'),
    wouldNotice: verdict.wouldNotice(),
    sentence: sentenceOf(finding, verdict, kept, given),
    metrics: toldMetrics(given, verdict),
    instances,
  }
}

/** All that is told of a rollout. */
export function toldRollout(kept: Kept): ToldRollout {
  const { service, from, wish, rollout, startedAtMs, updatedAtMs, endedAtMs, history, verdict, harm } = kept
  const { id, to, plan, state, at, by, reason } = rollout
  const budget = wish.verdict.harmMax === NEVER ? null : wish.verdict.harmMax
  return {
    id,
    runsElsewhere: false,
    service,
    from,
    to,
    strategy: wish.strategy,
    state,
    step: at,
    steps: plan.steps.map((step) => ({ weight: step.weight, forMs: step.forMs, requests: step.requests })),
    weight: givenNow(rollout),
    startedAtMs,
    updatedAtMs,
    endedAtMs,
    by,
    reason,
    // One that was kept by an older Turnout has neither metrics nor p nor instances.
    verdict: verdict && {
      ...verdict,
      metrics: verdict.metrics ?? [],
      p: verdict.p ?? 1,
      instances: verdict.instances ?? [],
    },
    harm: { failed: harm, budget },
    next: nextOf(kept),
    standbyUntilMs: kept.standby?.isOver === false && !kept.standby.retire ? kept.standby.untilMs : null,
    retire: kept.standby?.retire ?? null,
    gates: kept.gates ?? [],
    history,
  }
}

/** Per cent of the traffic that it has; while that is on its way to the workers, what it had before. */
function givenNow(rollout: Rollout): number {
  const { phase, work, plan, at } = rollout
  if (phase !== 'moving' || isBack(rollout)) return percentTold(rollout)
  if (work === 'afterBake') return weightAt(plan, at)
  return at > 0 ? weightAt(plan, at - 1) : percentBefore(rollout)
}

/** What comes next when all goes well, at the earliest when, and what it waits for. */
function nextOf({ rollout, gates = [], answers = 0 }: Kept): ToldRollout['next'] {
  const { plan, policy, state, phase, work, at, clockMs, waitsForPromotion } = rollout
  if (isOver(rollout) || state === 'rollingBack') return null
  const isStopped = state === 'paused' || state === 'holding'
  const active = isStopped ? rollout.resumesTo : state
  const inShift = active === 'shifting'
  const watched = phase === 'watching' && inShift ? plan.steps[at] : null
  const next = inShift && phase !== 'watching' ? at : at + 1
  const weight = active === 'baking' || next === plan.steps.length ? 100 : weightAt(plan, next)
  const wholeMs = phase !== 'watching' ? 0 : (watched?.forMs ?? policy.bakeMs)
  const inMs = Math.max(0, wholeMs - clockMs)
  return { weight, inMs, waitsFor: waitsFor() }

  function waitsFor(): string {
    // While what it has come to cannot be stored its clock stands still, and nobody's verb is followed (running.ts).
    const stored = gateOf(gates.filter(({ gate }) => gate === 'store' || gate === 'change'))
    if (stored !== null) return stored
    if (waitsForPromotion) return 'promotion'
    if (state === 'paused') return 'somebody to resume it'
    if (state === 'holding') return 'the live pool to be well'
    if (phase === 'moving') return gateOf(gates) ?? 'every worker'
    if (phase !== 'watching') return gateOf(gates) ?? work
    if (state === 'baking') return 'the end of the bake'
    if (inMs > 0 || watched === null) return 'its time'
    if (answers < watched.requests) return `its requests, ${inDigits(answers)} of ${inDigits(watched.requests)}`
    return 'its verdict'
  }
}

/** What the gate that waits says, or which it is. */
function gateOf(gates: readonly ToldGate[]): string | null {
  const waiting = gates.findLast(({ state, reason }) => state === 'waiting' && reason !== null)
  const { gate, at, reason } = waiting ?? gates.findLast(({ state }) => state === 'waiting') ?? {}
  if (gate === undefined) return null
  const name = at === null ? gate : `${gate} (${at})`
  return reason === null ? name : `${name}: ${reason}`
}
