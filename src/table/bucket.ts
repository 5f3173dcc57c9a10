/**
 * Hashes, buckets and the picker: how a visitor, or a request without one, is given its place in a split.
 *
 * Invariants:
 * - `bucketOf` is the same for the same visitor and salt in every worker and after every restart.
 * - Sequential ids spread evenly: the hash is MurmurHash3 (x86, 32 bit) with its finaliser, over UTF-16 code units.
 *   Unfinalised hashes (plain FNV-1a) put 31 of `user-1 … user-100` into the first 5 %.
 * - A range of buckets is half-open: `bucket < end`. Which pool has which is in allotment.ts.
 * - The picker visits every residue once a period, so every run of `sum / divisor` requests gives each pool exactly its
 *   share; the step is near the golden ratio of the period, so the shares are well mixed within it too.
 * All arithmetic is on integers below 2^53, hence exact.
 */

/** Number of buckets: shares of visitors are exact to a hundredth of a percent. */
export const BUCKETS = 10_000

/** Largest sum of weights for which `pickWeight` is exact. */
export const WEIGHT_SUM_MAX = 2 ** 34

const GOLDEN = (Math.sqrt(5) - 1) / 2
/** Products of two numbers below this are exact. */
const FACTOR_MAX = 94_906_265

/** Spreads every bit of a 32-bit number over all others; unsigned. A bijection. */
export function mix32(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function scramble(block: number): number {
  const k = Math.imul(block, 0xcc9e2d51)
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593)
}

/** MurmurHash3 x86 32 of the UTF-16 (little-endian) of a text; unsigned 32 bit. */
export function hashString(text: string, seed = 0): number {
  let h = seed | 0
  const even = text.length & ~1
  for (let i = 0; i < even; i += 2) {
    h ^= scramble(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16))
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
  }
  if (even !== text.length) h ^= scramble(text.charCodeAt(even))
  return mix32(h ^ (text.length * 2))
}

/** Salt of the buckets by the name of a release. The service is in it, so that the same people are not first in every service. */
export function saltOf(service: string, release: string): number {
  return hashString(release, hashString(service))
}

/** The bucket of a visitor, 0 to 9999. */
export function bucketOf(visitor: string, salt: number): number {
  return bucketOfHash(hashString(visitor, salt))
}

/** The bucket of an unsigned 32-bit hash. */
export function bucketOfHash(hash: number): number {
  return Math.floor((hash * BUCKETS) / 2 ** 32)
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b)
}

/**
 * The step of the picker for these weights, in units of weight: their greatest common divisor times a number coprime to
 * the period and close to its golden ratio. 0 when at most one weight is above 0.
 */
export function pickStepOf(weights: readonly number[]): number {
  const unit = weights.reduce(divisor, 0)
  if (unit === 0) return 0
  const period = weights.reduce((sum, weight) => sum + weight / unit, 0)
  if (period === 1) return 0
  const ideal = Math.round(period * GOLDEN)
  for (let distance = 0; ; distance++) {
    for (const step of [ideal + distance, ideal - distance]) {
      if (step > 0 && step < period && divisor(period, step) === 1) return step * unit
    }
  }
}

function timesModulo(a: number, b: number, modulus: number): number {
  if (modulus < FACTOR_MAX) return (a * b) % modulus
  const high = Math.floor(b / 65_536)
  return (((a * high) % modulus) * 65_536 + a * (b % 65_536)) % modulus
}

/** The mark of the n-th request, 0 to `weightSum - 1`: it goes to the first pool with `mark < weightEnd`. */
export function pickWeight(n: number, weightSum: number, step: number): number {
  const turn = n % weightSum
  return timesModulo(turn < 0 ? turn + weightSum : turn, step, weightSum)
}

/**
 * The same while versions are compared: the sequence begins somewhere else in every period. Else whoever asks for ten things in turn would
 * always send the same one of them to a pool with a tenth, and what goes wrong with that thing would look like that pool's fault.
 */
export function pickApart(n: number, weightSum: number, step: number, salt: number): number {
  const offset = Math.floor((mix32(Math.floor(n / weightSum) ^ salt) * weightSum) / 2 ** 32)
  return (pickWeight(n, weightSum, step) + offset) % weightSum
}
