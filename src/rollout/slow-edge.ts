/**
 * From how many milliseconds on an answer is slow: by the live pool's own answers of the past.
 *
 * The edge of a quantile q is the lower end of the histogram bin from which on the control has at most the share 1 − q of its
 * answers. Any edge that is chosen before a batch is a fair one, since it is the same for both versions; nothing of the canary may
 * enter it. It follows the control: what is remembered is halved each time that `REMEMBERED` answers have come.
 */
import { BINS, binEndMs } from '../metrics/bins.ts'

/** The quantiles that are judged: most answers slower, a slow tail, and a long one. */
export const QUANTILES = [0.75, 0.95, 0.99] as const
/** Metrics that are counted here: failures, and what is slow by each quantile. */
export const METRICS_COUNTED = 1 + QUANTILES.length

/** Answers after which all that were remembered count half. */
const REMEMBERED = 20_000

export class SlowEdge {
  /** Answers that are remembered, by the bin of their time to first byte. */
  readonly bins = new Float64Array(BINS)
  #total = 0
  #since = 0

  /** Adds answers of the control, by the bin of their time to first byte. */
  add(bins: ArrayLike<number>): void {
    for (let bin = 0; bin < BINS; bin++) {
      const count = bins[bin]
      if (!(count > 0)) continue
      this.bins[bin] += count
      this.#total += count
      this.#since += count
    }
    if (this.#since < REMEMBERED) return
    for (let bin = 0; bin < BINS; bin++) this.bins[bin] /= 2
    this.#total /= 2
    this.#since = 0
  }

  /** Time in ms from which on an answer is slow; Infinity while nothing is known. */
  edgeMs(quantile: number): number {
    const first = this.binOf(quantile)
    return first === Infinity ? Infinity : binEndMs(first - 1)
  }

  /** The first bin of what is slow, at least 1; Infinity while nothing is known. */
  binOf(quantile: number): number {
    if (this.#total === 0) return Infinity
    const most = this.#total * (1 - quantile)
    let above = 0
    for (let bin = BINS - 1; bin > 0; bin--) {
      above += this.bins[bin]
      // The first bin, from above, that would make them too many: the edge is where it ends.
      if (above > most) return bin + 1
    }
    return 1
  }
}
