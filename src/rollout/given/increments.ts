/**
 * What counters have grown by between two looks at them, counter by counter. Pure.
 *
 * Counters are cumulative and told apart by their labels, so those of each instance of an app come by themselves:
 * - One that has fallen began anew with its process: of that interval nothing is taken. It may also be a sum that has lost a member. When the
 *   member comes back the sum grows by all of its past, so of what has grown by as much as was lost nothing is taken either, once.
 * - One that is seen for the first time has grown from 0 if its target was looked at before in this step: who counts failures by
 *   kind has no counter of a kind before its first failure. Of a target that is new, or was away, the past is not known.
 * - One that was away and is there again has grown since it was last seen.
 */
import type { Sample } from './ask.ts'

export interface Increment {
  readonly count: number
  /** Some counter has fallen, or come back. */
  readonly fell: boolean
}

interface Known {
  readonly value: number
  readonly step: number
  /** What it has lost by falling. */
  readonly lost: number
}

/** Counters of which the last value is remembered; of more, those that were seen last. */
const REMEMBERED_MAX = 10_000

export class Increments {
  /** Whoever was seen last is last. */
  readonly #known = new Map<string, Known>()

  /** Takes the counters as they are now, in this step; `wasSeen` knows the targets that were looked at before in it. */
  take(samples: readonly Sample[], step: number, wasSeen: (target: string) => boolean): Increment {
    let count = 0
    let fell = false
    for (const { labels, target, value: counter } of samples) {
      if (!Number.isFinite(counter)) continue
      // What is no whole one yet is taken when it is.
      const value = Math.floor(counter)
      const before = this.#known.get(labels)
      let lost = before?.lost ?? 0
      if (before === undefined) count += wasSeen(target) ? value : 0
      else if (value < before.value) {
        fell = true
        lost += before.value - value
      } else if (lost > 0 && value - before.value >= lost) {
        fell = true
        lost = 0
      } else if (before.step === step) count += value - before.value
      this.#known.delete(labels)
      this.#known.set(labels, { value, step, lost })
    }
    for (const labels of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED_MAX) break
      this.#known.delete(labels)
    }
    return { count, fell }
  }
}
