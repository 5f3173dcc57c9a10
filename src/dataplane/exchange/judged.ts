/**
 * What one request says of the version that a rollout tries (trials.ts): its first attempt, if that was decided by chance, and what
 * its client was given in the end. Lives as long as its exchange. Of a WebSocket it is open until that has lasted (tunnel-trial.ts).
 */
import type { ErrorCode } from '../../errors.ts'
import { SIDE } from '../../metrics/layout.ts'
import type { Decision, ServiceTable, TargetTable } from '../../table/types.ts'
import { sideOf, type Trials } from '../trials.ts'
import { attemptOutcome } from './attempt-outcome.ts'

const NONE = -1
/** The connection is a tunnel from this answer on. */
const SWITCHED = 101
/** A WebSocket that its target ends before has failed, where the rollout says nothing else. */
export const EARLY_CLOSE_MS = 5_000

export class Judged {
  readonly #trials: Trials
  /** Which side the attempt counts for, or `NONE`. */
  #side: number = NONE
  /** The step that it was decided in. */
  #step = 0
  /** From when on its answer is waited for, as far as that tells one version from another. */
  #awaitedMs = 0
  /** What its answer takes counts. */
  #isTimed = false
  /** For how many of the edges of what is slow it was counted before its answer came. */
  #edges = 0

  constructor(trials: Trials) {
    this.#trials = trials
  }

  /** The request was decided for the first time, for a service with a trial or without. */
  begin(decision: Decision): void {
    const { trial } = decision.service!
    this.#side = trial === null ? NONE : sideOf(decision, trial)
    if (this.#side === NONE) return
    this.#step = trial!.step
    this.#edges = 0
    this.#trials.isWatched = true
  }

  /** The attempt begins, on a connection that is open or not. */
  asked({ slot }: TargetTable, nowMs: number, isOpen: boolean): void {
    this.#awaitedMs = isOpen ? nowMs : Infinity
    this.#isTimed = this.#side !== NONE && !this.#trials.isCold(slot, this.#side)
  }

  /**
   * The connection is open. What that has cost says nothing of a version: of two that are alike the one with less traffic has its
   * connections closed as idle more often. The first answer on one takes longer, too, and that has as long as the opening took.
   */
  connected(startedMs: number, nowMs: number): void {
    this.#awaitedMs = nowMs + (nowMs - startedMs)
  }

  /** The request is no more, or another attempt follows. */
  forget(): void {
    this.#side = NONE
  }

  /** The attempt is over. */
  end(decision: Decision, status: number, broke: ErrorCode | null): void {
    // Of a tunnel it is known later.
    if (this.#side === NONE || (status === SWITCHED && broke === null)) return
    const { slot, trial } = decision.service!
    const outcome = attemptOutcome(status, broke, trial!.failing)
    if (outcome !== 'void') this.#trials.count(slot, this.#side, this.#step, outcome, decision)
    this.#side = NONE
  }

  /** How long a WebSocket has to last; 0 when nobody judges that. */
  lastsMs({ trial }: ServiceTable): number {
    return this.#side === NONE ? 0 : (trial!.earlyCloseMs ?? EARLY_CLOSE_MS)
  }

  /** A tunnel has lasted, or it was refused or ended by its target. A failure has reached the client. */
  settle(decision: Decision, outcome: 'good' | 'failed'): void {
    if (this.#side === NONE) return
    const { slot } = decision.service!
    this.#trials.count(slot, this.#side, this.#step, outcome, decision)
    if (outcome === 'failed' && this.#side === SIDE.canary) this.#trials.countHarm(slot, this.#step)
    this.#side = NONE
  }

  /** The head of an answer has come. */
  timed({ slot, trial }: ServiceTable, status: number, nowMs: number): void {
    if (this.#side === NONE || !this.#isTimed || attemptOutcome(status, null, trial!.failing) !== 'good') return
    this.#trials.time(slot, this.#side, this.#step, this.#edges, nowMs - this.#awaitedMs)
  }

  /**
   * There is no answer yet: from each edge on it is a slow one. Without this, a version that hangs would be seen by its time-outs
   * only.
   */
  noteSlow({ slot }: ServiceTable, nowMs: number): void {
    if (!this.#isTimed) return
    const waitedMs = nowMs - this.#awaitedMs
    this.#edges = this.#trials.timeOpen(slot, this.#side, this.#step, this.#edges, waitedMs)
  }

  /** Its present attempt counts for a side. */
  get isJudged(): boolean {
    return this.#side !== NONE
  }

  /** The client was given this answer of the target, or saw it break. */
  noteHarm({ slot, trial }: ServiceTable, target: TargetTable, status: number, broke: ErrorCode | null): void {
    if (trial === null || !target.isTried) return
    if (attemptOutcome(status, broke, trial.failing) === 'failed') this.#trials.countHarm(slot, trial.step)
  }

  /** The client was given nothing in the place of what these targets have failed: nobody had room in time. */
  noteUnrescued({ slot, trial }: ServiceTable, failed: readonly TargetTable[]): void {
    if (trial !== null && failed.some((target) => target.isTried)) this.#trials.countHarm(slot, trial.step)
  }
}
