/**
 * What has come since the last look, from the counters that the workers share: two sides by metric, and the live pool's times for the
 * edges of what is slow.
 */
import { BINS, EDGES, FIELD, type SharedMemory, SIDE, sumField, TRIAL, trialOffset } from '../metrics/layout.ts'
import type { Stratum } from './origin-test.ts'
import { QUANTILES, SlowEdge } from './slow-edge.ts'

/** Sums of the answers of a service since it was tried, by metric. */
function sums({ trials, workers }: SharedMemory, slot: number): Stratum[] {
  const all: [answers: number, bad: number] = [TRIAL.answers, TRIAL.bad]
  const fields = [all, ...QUANTILES.map((_, edge) => [TRIAL.timed + edge, TRIAL.slow + edge] as const)]
  return fields.map(([answers, bad]) => {
    const sum = (side: number, field: number) => {
      let total = 0
      for (let worker = 0; worker < workers; worker++) total += trials[trialOffset(worker, slot, side) + field]
      return total
    }
    return {
      canary: sum(SIDE.canary, answers),
      canaryBad: sum(SIDE.canary, bad),
      control: sum(SIDE.control, answers),
      controlBad: sum(SIDE.control, bad),
    }
  })
}

export class Feed {
  readonly #memory: SharedMemory
  readonly #slot: number
  readonly #edge = new SlowEdge()
  #last: Stratum[]
  #bins = new Float64Array(BINS)

  /** Of the service with this slot. */
  constructor(memory: SharedMemory, slot: number) {
    this.#memory = memory
    this.#slot = slot
    this.#last = sums(memory, slot)
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

  /** Follows the live pool: `slots` are those of its targets. From now on this is slow. */
  follow(slots: readonly number[]): void {
    const { edges } = this.#memory
    const now = new Float64Array(BINS)
    for (const slot of slots) {
      for (let bin = 0; bin < BINS; bin++) now[bin] += sumField(this.#memory, slot, FIELD.ttfb + bin)
    }
    // A target that has gone takes its answers along.
    const came = now.map((count, bin) => Math.max(0, count - this.#bins[bin]))
    this.#bins = now
    this.#edge.add(came)
    for (let edge = 0; edge < EDGES; edge++) edges[this.#slot * EDGES + edge] = this.#edge.edgeMs(QUANTILES[edge])
  }
}

/** Attempts at targets so far, and the failed ones. */
export function historyOf(
  memory: SharedMemory,
  slots: readonly number[],
): { readonly bad: number; readonly all: number } {
  let [bad, good] = [0, 0]
  for (const slot of slots) {
    bad += sumField(memory, slot, FIELD.attemptsFailed)
    good += sumField(memory, slot, FIELD.attemptsGood)
  }
  return { bad, all: bad + good }
}
