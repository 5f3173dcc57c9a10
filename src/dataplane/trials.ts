/**
 * What a rollout is judged by, as this worker counts it (metrics/layout.ts `TRIAL`): the first attempt of each request that was
 * given to the new version, or to what it is compared with, by chance, and in the present step.
 *
 * Rules, pins and failover choose for a reason, so what they choose is not compared. An answer that comes after its step has ended is
 * dropped: slow failures would count against the next one. A visitor whose requests fail again and again counts once in
 * each step: it stays with its version, so its own trouble would look like that of the version.
 */
import { closeBatch, hurry } from '../metrics/batches.ts'
import {
  CELL,
  EDGES,
  FIELD,
  laneOffset,
  type SharedMemory,
  SIDE,
  sumField,
  TRIAL,
  trialOffset,
} from '../metrics/layout.ts'
import type { Decision, Trial } from '../table/types.ts'
import { noteFailed } from './failed-visitors.ts'
import type { Time } from './time.ts'

/** An edge that was never set is 0, and one of a pool that has not answered yet is infinite. */
const isKnown = (edgeMs: number): boolean => edgeMs > 0 && edgeMs < Infinity

/** The first requests that each new target of the canary is given are not timed: it has not warmed up yet. */
const COLD_REQUESTS = 20

/** The side that a decision counts for; below 0 for none. Where targets of one pool have two versions, its other targets are the control. */
export function sideOf({ reason, pool, target }: Decision, trial: Trial): number {
  if (reason !== 'bucket' && reason !== 'picker') return -1
  if (target!.isTried) return SIDE.canary
  return trial.targets === undefined || pool!.name === trial.pool ? SIDE.control : -1
}

export class Trials {
  readonly #memory: SharedMemory
  readonly #index: number
  readonly #time: Pick<Time, 'steadyMs'>
  /** Some exchange may be judged, and is to be looked at while it waits. */
  isWatched = false

  /** For worker `index`. */
  constructor(memory: SharedMemory, index: number, time: Pick<Time, 'steadyMs'>) {
    this.#time = time
    this.#memory = memory
    this.#index = index
  }

  /** Counts the end of a first attempt, in a batch that ends by the clock. */
  count(slot: number, side: number, step: number, outcome: 'good' | 'failed', { visitor }: Decision): void {
    if (!this.#isPresent(slot, step)) return
    closeBatch(this.#memory, slot, this.#time.steadyMs())
    const at = trialOffset(this.#index, slot, side)
    this.#memory.trials[at + TRIAL.answers]++
    if (outcome === 'failed' && (visitor === null || noteFailed(this.#memory, slot, step, visitor))) {
      this.#memory.trials[at + TRIAL.bad]++
      if (side === SIDE.canary) hurry(this.#memory, slot)
    }
  }

  /** A client was given a failure by the version that is tried, in whichever step of the present rollout it was sent there. */
  countHarm(slot: number, step: number): void {
    if (step < this.#memory.cells[CELL.stepFirst + slot]) return
    this.#memory.trials[trialOffset(this.#index, slot, SIDE.canary) + TRIAL.harm]++
    hurry(this.#memory, slot)
  }

  /** Counts the time to the head of a good answer, which was counted for the first `from` edges before. */
  time(slot: number, side: number, step: number, from: number, ttfbMs: number): void {
    if (!this.#isPresent(slot, step)) return
    const { trials, edges } = this.#memory
    const at = trialOffset(this.#index, slot, side)
    for (let edge = from; edge < EDGES; edge++) {
      const edgeMs = edges[slot * EDGES + edge]
      if (!isKnown(edgeMs)) continue
      trials[at + TRIAL.timed + edge]++
      if (ttfbMs >= edgeMs) trials[at + TRIAL.slow + edge]++
    }
  }

  /** Counts an answer that has not come after so long for every edge that it is beyond. Gives the number of edges counted so far. */
  timeOpen(slot: number, side: number, step: number, from: number, waitedMs: number): number {
    const { trials, edges } = this.#memory
    let edge = from
    // The edges rise, so those that are passed come first.
    while (edge < EDGES && isKnown(edges[slot * EDGES + edge]) && waitedMs >= edges[slot * EDGES + edge]) edge++
    if (edge === from || !this.#isPresent(slot, step)) return edge
    const at = trialOffset(this.#index, slot, side)
    for (let passed = from; passed < edge; passed++) {
      trials[at + TRIAL.timed + passed]++
      trials[at + TRIAL.slow + passed]++
    }
    return edge
  }

  /**
   * Whether a request that a target is about to be given is among those that are not timed. By what it was given, not by what it has
   * answered: one that hangs from the first request on would stay cold.
   */
  isCold(target: number, side: number): boolean {
    if (side !== SIDE.canary) return false
    const { targets, newFrom } = this.#memory
    const warmFrom = newFrom[target] + COLD_REQUESTS
    if (targets[laneOffset(this.#index, target) + FIELD.attemptsStarted] >= warmFrom) return false
    return sumField(this.#memory, target, FIELD.attemptsStarted) < warmFrom
  }

  #isPresent(slot: number, step: number): boolean {
    // Whoever knows the step has its table, which came after this was written.
    return this.#memory.cells[CELL.step + slot] === step
  }
}
