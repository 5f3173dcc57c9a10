/**
 * How long answers take: log-normal, half of them over 20 ms and one in a hundred over 205, as of many web services.
 *
 * Only how many are over some edges matters, so no single time is drawn: the edges that the product's own `SlowEdge` finds in the live
 * pool's histogram, and that of Flagger's duration check.
 */
import { BINS, binEndMs } from '../../src/metrics/bins.ts'
import { QUANTILES, SlowEdge } from '../../src/rollout/slow-edge.ts'

const MEDIAN_MS = 20
/** Of the logarithms. */
const DEVIATION = 1
/** Answers that the edges are found in. */
const ANSWERS = 10_000
/** Flagger's example wants p99 below this. */
const LATE_MS = 500

/** Share of answers over the edge of each quantile, and over Flagger's. Each is over those before, so the shares fall. */
export type Tails = readonly number[]

/** Times in ms, rising: from which on an answer is slow, by quantile, and late for Flagger. */
const EDGES_MS = [...slowEdgesMs(), LATE_MS]

/** Of a version that takes `slower` times as long as the live one, and hangs at a share of its answers. */
export function tailsOf(slower: number, hanging: number): Tails {
  return EDGES_MS.map((edgeMs) => hanging + (1 - hanging) * shareOver(edgeMs / slower))
}

function slowEdgesMs(): number[] {
  const edge = new SlowEdge()
  const ends = Array.from({ length: BINS }, (_, bin) => shareOver(binEndMs(bin)))
  edge.add(ends.map((over, bin) => ANSWERS * ((bin === 0 ? 1 : ends[bin - 1]) - over)))
  return QUANTILES.map((quantile) => edge.edgeMs(quantile))
}

function shareOver(ms: number): number {
  if (ms === Infinity) return 0
  const z = (Math.log(ms) - Math.log(MEDIAN_MS)) / DEVIATION
  return z >= 0 ? upperTail(z) : 1 - upperTail(-z)
}

/** Of the normal distribution, for z ≥ 0: Abramowitz and Stegun 26.2.17, to 7.5e-8. */
function upperTail(z: number): number {
  const t = 1 / (1 + 0.2316419 * z)
  const sum = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * sum
}
