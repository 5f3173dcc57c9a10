/**
 * What a rollout is judged by, as this worker counts it (metrics/layout.ts `TRIAL`): the first attempt of each request that was
 * given to the new version, or to what it is compared with, by chance, and in the present step.
 *
 * Rules, pins and failover choose for a reason, so what they choose is not compared. An answer that comes after its step has ended is
 * dropped: slow failures would count against the next one. A visitor whose requests fail again and again counts once in
 * each step: it stays with its version, so its own trouble would look like that of the version.
 */
import { CELL, EDGES, type SharedMemory, SIDE, TRIAL, trialOffset } from '../metrics/layout.ts'
import { hashString } from '../table/bucket.ts'
import type { Decision, Trial } from '../table/types.ts'

/** Visitors that are known by worker and service to have failed in this step; whoever comes after these counts each time. */
const VISITORS_MAX = 10_000

/** Visitors of a service who have failed in a step, by hash. */
interface Failed {
  step: number
  readonly visitors: Set<number>
}

/** The side that a decision counts for; below 0 for none. */
export function sideOf({ reason, aimed }: Decision, { pool }: Trial): number {
  if (reason !== 'bucket' && reason !== 'picker') return -1
  return aimed?.name === pool ? SIDE.canary : SIDE.control
}

export class Trials {
  readonly #memory: SharedMemory
  readonly #index: number
  readonly #failed = new Map<number, Failed>()

  /** For worker `index`. */
  constructor(memory: SharedMemory, index: number) {
    this.#memory = memory
    this.#index = index
  }

  /** Counts the end of a first attempt. */
  count(slot: number, side: number, step: number, outcome: 'good' | 'failed', { visitor }: Decision): void {
    if (!this.#isPresent(slot, step)) return
    const at = trialOffset(this.#index, slot, side)
    this.#memory.trials[at + TRIAL.answers]++
    if (outcome === 'failed' && (visitor === null || this.#isFirst(slot, step, visitor))) {
      this.#memory.trials[at + TRIAL.bad]++
    }
  }

  /** Counts the time to the head of a good answer. */
  time(slot: number, side: number, step: number, ttfbMs: number): void {
    if (!this.#isPresent(slot, step)) return
    const { trials, edges } = this.#memory
    const at = trialOffset(this.#index, slot, side)
    for (let edge = 0; edge < EDGES; edge++) {
      trials[at + TRIAL.timed + edge]++
      const edgeMs = edges[slot * EDGES + edge]
      if (edgeMs > 0 && ttfbMs >= edgeMs) trials[at + TRIAL.slow + edge]++
    }
  }

  #isPresent(slot: number, step: number): boolean {
    return Atomics.load(this.#memory.cells, CELL.step + slot) === step
  }

  #isFirst(slot: number, step: number, visitor: string): boolean {
    const failed = this.#failed.get(slot) ?? { step, visitors: new Set() }
    this.#failed.set(slot, failed)
    if (failed.step !== step) {
      failed.step = step
      failed.visitors.clear()
    }
    const hash = hashString(visitor)
    if (failed.visitors.has(hash)) return false
    if (failed.visitors.size < VISITORS_MAX) failed.visitors.add(hash)
    return true
  }
}
