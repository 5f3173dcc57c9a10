/**
 * A rollout as a value: what it is, what happens to it, and what is to be done about it. What becomes of it says state.ts.
 *
 * All of it is plain data and can be written as JSON, so that it outlives the process.
 */
import type { Plan } from '../config/strategy.ts'
import type { Outcome } from './verdict.ts'

/** Where it can stand. CONTRACT names these. */
export const STATES = [
  'preflight',
  'warming',
  'smoke',
  'shifting',
  'paused',
  'holding',
  'baking',
  'rollingBack',
  'done',
  'rolledBack',
] as const
export type State = (typeof STATES)[number]

/** States that a pause or a hold goes back to. */
export type Active = 'preflight' | 'warming' | 'smoke' | 'shifting' | 'baking'

/** Work that somebody else does, and tells the end of. */
export type Work =
  | 'preflight'
  | 'warming'
  | 'smoke'
  | 'beforeStep'
  /** The targets of a batch get no more requests; then they are replaced. */
  | 'draining'
  | 'replacing'
  | 'afterTraffic'
  | 'afterBake'
  /** The targets that were replaced get the old version again. */
  | 'restoring'
  | 'onRollback'

/** What is asked again is the schedule alone: the work has passed, or has failed, before a pause. */
export type Task = Work | 'schedule'

/**
 * Within a state: work is under way; has passed, or failed, while nothing may go on; the split is on its way to every worker;
 * traffic is watched.
 */
export type Phase = 'working' | 'worked' | 'broken' | 'moving' | 'watching'

/** What is done where nothing decides by itself. */
export interface Policy {
  readonly bakeMs: number
  readonly onFailure: 'rollback' | 'pause'
  readonly onInsufficient: 'wait' | 'pause' | 'rollback'
  /** Time of a step after which `onInsufficient` counts; Infinity for never. */
  readonly insufficientAfterMs: number
  /** There is a schedule, which is asked again after a pause. */
  readonly isScheduled?: boolean
  /** There is a capacity, which is asked again too. */
  readonly isMeasured?: boolean
}

export interface Rollout {
  readonly id: string
  /** The pool with the new version. */
  readonly to: string
  readonly plan: Plan
  readonly policy: Policy
  /** Weights of the pools when it began: where every way back leads. */
  readonly before: Readonly<Record<string, number>>
  readonly state: State
  readonly phase: Phase
  readonly work: Work
  /** Work that was begun so far: with the id, the key of an event for whoever is called. */
  readonly works: number
  /** What has become of the work, while nothing but the schedule is asked again; absent where an older Turnout has begun it. */
  readonly asks?: 'worked' | 'broken' | null
  /** Who has let it go on to its next step whatever schedule and capacity say. */
  readonly hurriedBy?: string | null
  /** Index of the step; -1 before the first. */
  readonly at: number
  /** Per cent of the traffic that the new version is given. */
  readonly weight: number
  /** Batches of a rolling one that were begun: what a way back has to restore. */
  readonly begun: number
  /** Time in ms that has counted in this step, or in the bake. */
  readonly clockMs: number
  /** `clockMs` from which on `insufficientAfterMs` counts; absent: 0. */
  readonly patientFromMs?: number
  /** Steady time of the last look, in ms. */
  readonly lookedAtMs: number
  readonly resumesTo: Active
  /** The pause is one of the plan: whoever ends it has promoted the step. */
  readonly waitsForPromotion: boolean
  /** Its verdict was fail, and nobody has gone on since; absent: no. */
  readonly hasFailed?: boolean
  /** How often a person has gone on in spite of its verdict; absent: never. */
  readonly goneOn?: number
  readonly reason: string | null
  /** Who has begun it. */
  readonly by: string
}

export type RolloutEvent =
  | { readonly type: 'passed'; readonly works: number }
  | { readonly type: 'failed'; readonly works: number; readonly reason: string }
  /** Every worker routes by the split that was asked for. */
  | { readonly type: 'moved'; readonly weight: number }
  /** The verdict at a look, with its sentence where it is needed; `answers` of the new version since the step began; `goneOn` as it was then. */
  | {
      readonly type: 'look'
      readonly outcome: Outcome
      readonly reason: string
      readonly answers: number
      readonly goneOn?: number
    }
  | { readonly type: 'pause' | 'resume' | 'abort'; readonly by: string }
  /** With force whatever schedule and capacity say. */
  | { readonly type: 'promote'; readonly by: string; readonly force?: boolean }

export type Effect =
  | { readonly type: 'run'; readonly work: Task; readonly works: number }
  | { readonly type: 'move'; readonly weight: number }
  /** To the split before. */
  | { readonly type: 'back' }
  | { readonly type: 'notify'; readonly about: 'paused' | 'done' | 'rolledBack' }

export interface Next {
  readonly rollout: Rollout
  readonly effects: readonly Effect[]
  /** Why a person's verb was not followed. */
  readonly refused?: string
}

/** The pools beside the new one that had traffic when it began: what it is compared with, and goes back to. */
export function livePoolsOf({ before, to }: Pick<Rollout, 'before' | 'to'>): string[] {
  return Object.keys(before).filter((pool) => pool !== to && before[pool] > 0)
}

/** The most that one look counts: ten times what is between two. A process that stood still, or could keep nothing, has watched nothing meanwhile. */
export const LOOK_COUNTS_MS_MAX = 1_000

/** Time in ms that was watched up to a look. */
export function watchedMs({ lookedAtMs }: Rollout, nowMs: number): number {
  return Math.min(LOOK_COUNTS_MS_MAX, Math.max(0, nowMs - lookedAtMs))
}

/** The state itself, or the one that a pause or a hold goes back to. */
export function activeOf({ state, resumesTo }: Rollout): Active {
  return state === 'paused' || state === 'holding' ? resumesTo : (state as Active)
}

/** How long it goes on without a verdict before `onInsufficient` counts. */
export function patienceMs({ policy, clockMs, patientFromMs = 0 }: Rollout): number {
  return policy.insufficientAfterMs - (clockMs - patientFromMs)
}

/** It has ended, one way or the other. */
export function isOver({ state }: Pick<Rollout, 'state'>): boolean {
  return state === 'done' || state === 'rolledBack'
}

/** Whether people are told of what it has become: another state or weight, one that has failed, or somebody who has let it go on. */
export function isTold(was: Rollout, is: Rollout, event: RolloutEvent): boolean {
  const { state, weight, hurriedBy = null } = is
  if (('by' in event && isElsewhere(was, is)) || hasJustFailed(was, is, event)) return true
  return state !== was.state || weight !== was.weight || (hurriedBy !== null && hurriedBy !== was.hurriedBy)
}

/**
 * Whether its verdict or its work has failed just now: where it was paused before, that alone says so. What had failed before its schedule was
 * asked again is no news once that lets it go on.
 */
export function hasJustFailed(was: Rollout, { hasFailed = false, phase }: Rollout, { type }: RolloutEvent): boolean {
  return (hasFailed && was.hasFailed !== true) || (type === 'failed' && phase === 'broken' && was.phase !== 'broken')
}

/** Whether it is at another place within its state. */
export function isElsewhere(was: Rollout, { phase, works, at }: Rollout): boolean {
  return phase !== was.phase || works !== was.works || at !== was.at
}

/** It goes back, or has. */
export function isBack({ state }: Pick<Rollout, 'state'>): boolean {
  return state === 'rollingBack' || state === 'rolledBack'
}

/** Its last shift is on its way, forward or back, or has come: what is answered from then on is judged no more. */
export function isLast(rollout: Pick<Rollout, 'state' | 'phase' | 'work'>): boolean {
  return isBack(rollout) || isOver(rollout) || (rollout.work === 'afterBake' && rollout.phase === 'moving')
}

/** Whether what it says that it waits for is its schedule, or its capacity: what a person may go over. */
export const mayBeForced = (waitsFor: string): boolean => /^(schedule|capacity): /.test(waitsFor)

/** A state, as people say it: `rolled back`. */
export const stateInWords = (state: string): string => state.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
