/**
 * What has come since the last look, from the counters that the workers share: two sides by metric.
 *
 * What is slow is said here too, by the live pool's own times (past.ts), for the workers to count by.
 */
import { EDGES, type SharedMemory, SIDE, TRIAL, trialOffset } from '../metrics/layout.ts'
import type { Stratum } from './origin-test.ts'
import { QUANTILES } from './slow-edge.ts'

function sumOf({ trials, workers }: SharedMemory, slot: number, side: number, field: number): number {
  let total = 0
  for (let worker = 0; worker < workers; worker++) total += trials[trialOffset(worker, slot, side) + field]
  return total
}

const FIELDS = [[TRIAL.answers, TRIAL.bad], ...QUANTILES.map((_, edge) => [TRIAL.timed + edge, TRIAL.slow + edge])]

/** Sums of the answers of a service since it was tried, by metric. */
function sums(memory: SharedMemory, slot: number): Stratum[] {
  return FIELDS.map(([answers, bad]) => ({
    canary: sumOf(memory, slot, SIDE.canary, answers),
    canaryBad: sumOf(memory, slot, SIDE.canary, bad),
    control: sumOf(memory, slot, SIDE.control, answers),
    controlBad: sumOf(memory, slot, SIDE.control, bad),
  }))
}

export class Feed {
  readonly #memory: SharedMemory
  readonly #slot: number
  #last: Stratum[]
  #harm: number

  /** Of the service with this slot. */
  constructor(memory: SharedMemory, slot: number) {
    this.#memory = memory
    this.#slot = slot
    this.#last = sums(memory, slot)
    this.#harm = sumOf(memory, slot, SIDE.canary, TRIAL.harm)
  }

  /** What has come since the last call. */
  take(): Stratum[] {
    const now = sums(this.#memory, this.#slot)
    const before = this.#last
    this.#last = now
    return now.map((sum, at) => ({
      canary: sum.canary - before[at].canary,
      canaryBad: sum.canaryBad - before[at].canaryBad,
      control: sum.control - before[at].control,
      controlBad: sum.controlBad - before[at].controlBad,
    }))
  }

  /** Failures that the new version has brought to clients since the last call. */
  takeHarm(): number {
    const now = sumOf(this.#memory, this.#slot, SIDE.canary, TRIAL.harm)
    const came = now - this.#harm
    this.#harm = now
    return came
  }

  /** From now on this is slow, by quantile. */
  setEdges(edgesMs: readonly number[]): void {
    for (let edge = 0; edge < EDGES; edge++) this.#memory.edges[this.#slot * EDGES + edge] = edgesMs[edge]
  }
}
