/**
 * What becomes of a rollout: `step(rollout, event, nowMs)` gives its next value and what is to be done. Pure.
 *
 *   preflight ─► warming ─► smoke ─► shifting(0) ─► shifting(1) … ─► baking ─► done
 *
 *   shifting, baking ◄── the live pool is ill ──► holding       any of these ◄── a person, a policy ──► paused
 *   any state before done ── abort, verdict, work that failed ──► rollingBack ─► rolledBack
 *
 * A rolling release drains the targets of a batch before its step moves, and replaces them after; its way back restores all that were begun.
 *
 * Within a state: `working` until its work (gates, warm-up, smoke tests, hooks) has passed; `moving` until every worker routes by the
 * new split; `watching` traffic. The clock of a step and of the bake runs only while watching in its own state, and stands while nobody looks.
 *
 * Invariants, asserted at every step: the weight is 0, that of the present step or the one before, or 100 at the very end; a way back leads
 * to `before`; a rollback latches, and only its own end follows; what is over stays as it is. The end of work that is not
 * the present one changes nothing, so whatever is told twice, or late, does no harm.
 */

import { type Plan, type Step, weightAt } from '../config/strategy.ts'
import {
  type Active,
  activeOf,
  type Effect,
  isOver,
  type Next,
  patienceMs,
  type Rollout,
  type RolloutEvent,
  type State,
  type Work,
  watchedMs,
} from './rollout.ts'
import { asks, asksAgain, hurried, mayHurry } from './schedule-asked.ts'
import { assertSound } from './sound.ts'
import type { Outcome } from './verdict.ts'

type Handler = (rollout: Rollout, event: RolloutEvent, nowMs: number) => Next
type Row = Readonly<Record<RolloutEvent['type'], Handler>>

const WORK = { passed: workPassed, failed: workFailed }
const VERBS = { pause: refuse, resume: refuse, promote: refuse, abort: refuse }
const NOTHING: Row = { passed: ignore, failed: ignore, moved: ignore, look: ignore, ...VERBS, abort: ignore }

/** The one table: what each event does in each state. */
const TABLE: Readonly<Record<State, Row>> = {
  preflight: { ...NOTHING, ...WORK, look: judge, pause, promote, abort },
  warming: { ...NOTHING, ...WORK, look: judge, pause, abort },
  smoke: { ...NOTHING, ...WORK, look: judge, pause, abort },
  shifting: { ...NOTHING, ...WORK, moved, look: watch, pause, promote, abort },
  baking: { ...NOTHING, ...WORK, moved, look: watch, pause, promote, abort },
  holding: { ...NOTHING, passed: noteWork, failed: workFailed, moved, look: watch, pause, promote, abort },
  paused: { ...NOTHING, passed: noteWork, failed: workFailed, moved, look: judge, resume, promote, abort },
  rollingBack: { ...NOTHING, passed: rolledBack, failed: rolledBack, moved },
  done: NOTHING,
  rolledBack: NOTHING,
}

/** A rollout that begins. */
export function begin(given: Pick<Rollout, 'id' | 'to' | 'plan' | 'policy' | 'before' | 'by'>, nowMs: number): Next {
  const rollout: Rollout = {
    ...given,
    state: 'preflight',
    phase: 'working',
    work: 'preflight',
    works: 1,
    at: -1,
    weight: 0,
    begun: 0,
    clockMs: 0,
    lookedAtMs: nowMs,
    resumesTo: 'preflight',
    waitsForPromotion: false,
    reason: null,
  }
  return { rollout, effects: effectsOf(rollout) }
}

/** What becomes of a rollout by an event, and what is to be done about it, in order. */
export function step(rollout: Rollout, event: RolloutEvent, nowMs: number): Next {
  const next = TABLE[rollout.state][event.type](rollout, event, nowMs)
  assertSound(rollout, next.rollout)
  return next
}

/** What is under way, to be done again after a restart: doing it twice is no harm. */
export function effectsOf(rollout: Rollout): readonly Effect[] {
  const { state, phase, work, works, weight } = rollout
  if (isOver(rollout)) return []
  if (phase === 'working') return [{ type: 'run', work: rollout.asks ? 'schedule' : work, works }]
  if (phase !== 'moving') return []
  return [state === 'rollingBack' ? { type: 'back' } : { type: 'move', weight }]
}

const stay = (rollout: Rollout): Next => ({ rollout, effects: [] })

function ignore(rollout: Rollout): Next {
  return stay(rollout)
}

function refuse(rollout: Rollout, { type }: RolloutEvent): Next {
  return { rollout, effects: [], refused: `a rollout that is ${rollout.state} takes no ${type}` }
}

function to(rollout: Rollout, changes: Partial<Rollout>): Next {
  const next = { ...rollout, ...changes }
  return { rollout: next, effects: effectsOf(next) }
}

/** Begins work, in the same state or another. */
function run(rollout: Rollout, work: Work, changes: Partial<Rollout> = {}): Next {
  return to(rollout, { phase: 'working', work, works: rollout.works + 1, ...changes })
}

/** Whether the end of work that is told is that of the work under way. */
function isPresent({ phase, works }: Rollout, event: RolloutEvent): boolean {
  return phase === 'working' && (event.type === 'passed' || event.type === 'failed') && event.works === works
}

function workPassed(rollout: Rollout, event: RolloutEvent): Next {
  if (!isPresent(rollout, event)) return stay(rollout)
  return proceed(rollout.asks ? { ...rollout, phase: rollout.asks, asks: null } : { ...rollout, phase: 'worked' })
}

/** What has passed is followed, and what had failed is tried anew. */
function proceed(rollout: Rollout): Next {
  return rollout.phase === 'worked' ? afterWork(rollout) : run(rollout, rollout.work)
}

function afterWork(rollout: Rollout): Next {
  switch (rollout.work) {
    case 'preflight':
      return run(rollout, 'warming', { state: 'warming' })
    case 'warming':
      return run(rollout, 'smoke', { state: 'smoke' })
    case 'smoke':
      return run(rollout, 'beforeStep', { state: 'shifting', at: 0, clockMs: 0 })
    case 'beforeStep':
      if (rollout.plan.batches !== null) return run(rollout, 'draining', { begun: rollout.at + 1 })
      return to(rollout, { phase: 'moving', weight: weightAt(rollout.plan, rollout.at) })
    case 'draining':
      return to(rollout, { phase: 'moving', weight: weightAt(rollout.plan, rollout.at) })
    case 'replacing':
    case 'afterTraffic':
      return to(rollout, { phase: 'watching', clockMs: 0 })
    case 'afterBake':
      return to(rollout, { phase: 'moving', weight: 100 })
    case 'restoring':
    case 'onRollback':
      throw new Error('a rollout that is rolled back goes nowhere else')
  }
}

/** Work that passes in a pause, or in a hold, is followed when that ends. */
function noteWork(rollout: Rollout, event: RolloutEvent): Next {
  return stay(isPresent(rollout, event) ? { ...rollout, phase: rollout.asks ?? 'worked', asks: null } : rollout)
}

function workFailed(rollout: Rollout, event: RolloutEvent): Next {
  if (event.type !== 'failed' || !isPresent(rollout, event)) return stay(rollout)
  return fail({ ...rollout, phase: 'broken', asks: null }, event.reason)
}

function moved(rollout: Rollout, event: RolloutEvent): Next {
  // One that was overtaken by a way back tells of a weight that is not wanted any more.
  if (rollout.phase !== 'moving' || event.type !== 'moved' || event.weight !== rollout.weight) return stay(rollout)
  if (rollout.state === 'rollingBack') return run(rollout, rollout.begun > 0 ? 'restoring' : 'onRollback')
  if (rollout.work === 'draining') return run(rollout, 'replacing')
  if (rollout.work !== 'afterBake') return stay({ ...rollout, phase: 'watching' })
  return { rollout: { ...rollout, state: 'done', phase: 'watching' }, effects: [{ type: 'notify', about: 'done' }] }
}

/** Whatever becomes of targets that are restored, and of the hook that tells of it, the rollback goes on. */
function rolledBack(rollout: Rollout, event: RolloutEvent): Next {
  if (!isPresent(rollout, event)) return stay(rollout)
  if (rollout.work === 'restoring') {
    const reason = event.type === 'failed' ? `${rollout.reason}; and then ${event.reason}` : rollout.reason
    return run(rollout, 'onRollback', { reason })
  }
  const ended: Rollout = { ...rollout, state: 'rolledBack', phase: 'watching' }
  return { rollout: ended, effects: [{ type: 'notify', about: 'rolledBack' }] }
}

/** A verdict where nothing can advance. */
function judge(rollout: Rollout, event: RolloutEvent, nowMs: number): Next {
  const looked = { ...rollout, lookedAtMs: nowMs }
  if (event.type !== 'look' || event.outcome !== 'fail') return stay(looked)
  // Whoever has been told once that it has failed, and does nothing, is not told again.
  return rollout.state === 'paused' && rollout.hasFailed ? stay(looked) : failed(looked, event.reason)
}

/** A verdict on traffic that is shifted, or baked. */
function watch(rollout: Rollout, event: RolloutEvent, nowMs: number): Next {
  if (event.type !== 'look') return stay(rollout)
  const looked = { ...rollout, lookedAtMs: nowMs }
  // A verdict from before somebody went on in spite of it says no more.
  if (event.outcome === 'fail') return isOld(rollout, event) ? stay(looked) : failed(looked, event.reason)
  if (rollout.state === 'holding') return event.outcome === 'hold' ? stay(looked) : goOn(looked)
  if (event.outcome === 'hold') {
    return stay({ ...looked, state: 'holding', resumesTo: rollout.state as Active, reason: event.reason })
  }
  if (rollout.phase !== 'watching') return stay(looked)
  const counted = { ...looked, clockMs: rollout.clockMs + watchedMs(rollout, nowMs) }
  if (rollout.state === 'baking')
    return counted.clockMs >= rollout.policy.bakeMs ? run(counted, 'afterBake', { hurriedBy: null }) : stay(counted)
  return advance(counted, event)
}

function advance(rollout: Rollout, look: Extract<RolloutEvent, { type: 'look' }>): Next {
  const { outcome, answers, reason: missing } = look
  const { plan, policy, clockMs, weight } = rollout
  const present = plan.steps[rollout.at]
  if (answers >= present.requests && mayAdvance(plan, present, outcome, weight)) {
    // Its time alone is missing, and that comes: it wants no verdict.
    if (clockMs < present.forMs) return stay(rollout)
    return present.untilPromoted ? halt(rollout, 'the step waits to be promoted', true) : toNextStep(rollout)
  }
  if (outcome !== 'insufficient' || patienceMs(rollout) > 0) return stay(rollout)
  const reason = missing === '' ? 'too little traffic for a verdict in time' : `no verdict in time: ${missing}`
  if (policy.onInsufficient === 'rollback') return back(rollout, reason)
  // Whoever resumes it is patient for as long again.
  return policy.onInsufficient === 'pause' ? halt({ ...rollout, patientFromMs: clockMs }, reason, false) : stay(rollout)
}

/** Where nothing runs beside the new version, or where time decides, nothing has to be shown. */
function mayAdvance(plan: Plan, { weight }: Step, outcome: Outcome, given: number): boolean {
  return outcome === 'pass' || plan.advance === 'time' || weight === 0 || given === 100
}

function toNextStep(rollout: Rollout): Next {
  const at = rollout.at + 1
  const changes = { clockMs: 0, patientFromMs: 0, waitsForPromotion: false, reason: null, hurriedBy: null }
  if (at < rollout.plan.steps.length) return run(rollout, 'beforeStep', { ...changes, state: 'shifting', at })
  return run(rollout, 'afterTraffic', { ...changes, state: 'baking' })
}

function halt(rollout: Rollout, reason: string, waitsForPromotion: boolean): Next {
  const paused: Rollout = { ...rollout, state: 'paused', resumesTo: activeOf(rollout), reason, waitsForPromotion }
  return { rollout: paused, effects: [{ type: 'notify', about: 'paused' }] }
}

function pause(rollout: Rollout, event: RolloutEvent): Next {
  // It waits for a person like any other pause, so it is told like any other.
  return halt(rollout, 'by' in event ? `paused by ${event.by}` : 'paused', false)
}

function resume(rollout: Rollout, _event: RolloutEvent, nowMs: number): Next {
  const looked = { ...rollout, lookedAtMs: nowMs }
  return rollout.waitsForPromotion ? toNextStep(looked) : goOn(looked)
}

/** Goes on where it was stopped. What had failed is tried anew; what would give the new version more asks its schedule and capacity first. */
function goOn(before: Rollout): Next {
  const rollout = inSpite(before)
  const on: Rollout = { ...rollout, state: rollout.resumesTo, reason: null }
  if (on.phase !== 'worked' && on.phase !== 'broken') return stay(on)
  if (asksAgain(on)) return to(on, { phase: 'working', works: on.works + 1, asks: on.phase })
  return proceed(on)
}

/** On to the next step, whatever the present one still misses; with force, whatever schedule and capacity say. */
function promote(rollout: Rollout, event: RolloutEvent, nowMs: number): Next {
  const active = activeOf(rollout)
  const by = event.type === 'promote' && event.force === true && asks(rollout) ? event.by : null
  if (by !== null && mayHurry(rollout)) {
    const on: Rollout = { ...rollout, ...hurried(rollout, by), lookedAtMs: nowMs }
    if (active === rollout.state) return stay(on)
    const next = goOn(on)
    return { ...next, rollout: { ...next.rollout, reason: on.reason } }
  }
  if ((active !== 'shifting' && active !== 'baking') || rollout.phase !== 'watching') return refuse(rollout, event)
  const on: Rollout = { ...inSpite(rollout), state: active, lookedAtMs: nowMs, reason: null }
  const next = active === 'baking' ? run(on, 'afterBake', { hurriedBy: null }) : toNextStep(on)
  return by === null ? next : { ...next, rollout: { ...next.rollout, ...hurried(rollout, by) } }
}

function abort(rollout: Rollout, event: RolloutEvent): Next {
  return back(rollout, 'by' in event ? `aborted by ${event.by}` : 'aborted')
}

function fail(rollout: Rollout, reason: string): Next {
  return rollout.policy.onFailure === 'pause' ? halt(rollout, reason, false) : back(rollout, reason)
}

/** The verdict begins anew for a person who goes on in spite of it (judging.ts). */
function inSpite(rollout: Rollout): Rollout {
  return rollout.hasFailed ? { ...rollout, hasFailed: false, goneOn: (rollout.goneOn ?? 0) + 1 } : rollout
}

const isOld = ({ goneOn = 0 }: Rollout, event: { readonly goneOn?: number }): boolean =>
  (event.goneOn ?? goneOn) < goneOn

/** By its verdict. */
function failed(rollout: Rollout, reason: string): Next {
  return fail({ ...rollout, hasFailed: true }, reason)
}

function back(rollout: Rollout, reason: string): Next {
  return to(rollout, { state: 'rollingBack', phase: 'moving', weight: 0, reason, waitsForPromotion: false, asks: null })
}
