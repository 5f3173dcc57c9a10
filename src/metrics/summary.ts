/**
 * Reading the counters of targets: sums over worker lanes, growth between two moments, quantiles.
 *
 * A tally is all fields of one target (or of several, summed) as one vector in the order of `FIELD`, so that adding and
 * subtracting are the same for every field. Workers go on counting while we read: each number is whole, but two numbers
 * of a tally may be a request apart. Nothing here is ever written to shared memory.
 *
 * Quantiles come from the log-linear histogram with linear interpolation inside a bin. A bin spans at most a quarter
 * of its power of two, so a quantile is off by at most 25 %, usually by far less; above 131 s it is only known to be above.
 */
import { isSrvUrl } from '../config/srv-url.ts'
import { withoutLastDot } from '../table/host.ts'
import { BINS, binEndMs } from './bins.ts'
import { FIELD, FIELDS, GAUGES, laneOffset, type SharedMemory } from './layout.ts'

/** All fields of a target or of several, by the indices of `FIELD`. */
export type Tally = Float64Array

/** Where the two histograms of a tally begin. */
export type HistogramField = typeof FIELD.duration | typeof FIELD.ttfb

/** The tally of all that nothing was ever counted of: most of a fleet, at times. Nobody may write to it. */
export const UNCOUNTED: Tally = new Float64Array(FIELDS)

/** The present tally of a target: the sum over its slots, in the lanes of all workers; `UNCOUNTED` itself where that is nothing. */
export function readTally(memory: SharedMemory, slots: readonly number[]): Tally {
  if (!isCounted(memory, slots)) return UNCOUNTED
  const tally = new Float64Array(FIELDS)
  for (let worker = 0; worker < memory.workers; worker++) {
    for (const slot of slots) {
      const offset = laneOffset(worker, slot)
      for (let field = 0; field < FIELDS; field++) tally[field] += memory.targets[offset + field]
    }
  }
  return tally
}

/** Whether anything was ever counted of a target: whatever fills a histogram stands in another field, too. */
export function isCounted(memory: SharedMemory, slots: readonly number[]): boolean {
  for (let worker = 0; worker < memory.workers; worker++) {
    for (const slot of slots) {
      const offset = laneOffset(worker, slot)
      for (let field = 0; field < FIELD.duration; field++) if (memory.targets[offset + field] !== 0) return true
    }
  }
  return false
}

/** The sum of several tallies; `UNCOUNTED` for none. */
export function sumTallies(tallies: Iterable<Tally>): Tally {
  let sum: Tally | null = null
  for (const tally of tallies) {
    if (tally === UNCOUNTED) continue
    sum ??= new Float64Array(FIELDS)
    for (let field = 0; field < FIELDS; field++) sum[field] += tally[field]
  }
  return sum ?? UNCOUNTED
}

/**
 * What was counted between two tallies of the same target: gauges are those of `now`, counters their difference.
 * Counters that shrank mean that the target was removed and came back with other slots; then everything in `now` is new.
 */
export function growth(now: Tally, then: Tally | undefined): Tally {
  if (then === undefined || now[FIELD.attemptsStarted] < then[FIELD.attemptsStarted]) return now
  const grown = new Float64Array(FIELDS)
  for (let field = 0; field < FIELDS; field++) {
    grown[field] = field < GAUGES ? now[field] : Math.max(0, now[field] - then[field])
  }
  return grown
}

/** The number of observations in a histogram of a tally. */
export function histogramCount(tally: Tally, histogram: HistogramField): number {
  if (tally === UNCOUNTED) return 0
  let count = 0
  for (let bin = 0; bin < BINS; bin++) count += tally[histogram + bin]
  return count
}

/** The quantile (0 to 1) of a histogram in ms; null when nothing was observed. */
export function quantileMs(tally: Tally, histogram: HistogramField, quantile: number): number | null {
  const count = histogramCount(tally, histogram)
  if (count === 0) return null
  const rank = quantile * count
  let below = 0
  let bin = 0
  while (bin < BINS - 1 && below + tally[histogram + bin] < rank) below += tally[histogram + bin++]
  const startMs = bin === 0 ? 0 : binEndMs(bin - 1)
  if (bin === BINS - 1) return startMs
  const inside = tally[histogram + bin]
  const share = inside === 0 ? 0 : (rank - below) / inside
  return startMs + (binEndMs(bin) - startMs) * share
}

/** `host:port` of a target URL (of SRV records their name), without the dot of a complete name: the name of a target in paths and labels. */
export function authorityOf(url: string): string {
  const parsed = URL.parse(url)
  if (parsed === null) return url.slice(url.indexOf('//') + 2)
  if (isSrvUrl(url)) return withoutLastDot(parsed.hostname)
  return `${withoutLastDot(parsed.hostname)}:${parsed.port || (parsed.protocol === 'https:' ? '443' : '80')}`
}
