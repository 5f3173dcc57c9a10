/** Seeded chance for simulations: the same seed gives the same streams on every machine. */
export class Chance {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = (seed * 0x9e3779b1) | 0
    this.#c = 0x6a09e667
    for (let i = 0; i < 16; i++) this.next()
  }

  /** In [0, 1): sfc32 (Doty-Humphrey, PractRand). */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (this.#c << 21) | (this.#c >>> 11)
    this.#c = (this.#c + sum) | 0
    return (sum >>> 0) / 4_294_967_296
  }

  below(n: number): number {
    return Math.floor(this.next() * n)
  }

  /** How many of `n` come true, each with chance `p`. */
  binomial(n: number, p: number): number {
    if (n <= 0 || p <= 0) return 0
    if (p >= 1) return n
    if (n * Math.min(p, 1 - p) > REJECTION_FROM) return p > 0.5 ? n - this.#many(n, 1 - p) : this.#many(n, p)
    let hits = 0
    // From hit to hit, so that rare ones cost little.
    const scale = Math.log1p(-p)
    for (let at = Math.floor(Math.log(1 - this.next()) / scale); at < n; hits++) {
      at += 1 + Math.floor(Math.log(1 - this.next()) / scale)
    }
    return hits
  }

  /** The same where many come true, at a cost that does not grow: Hörmann's transformed rejection (BTRS, 1993). */
  #many(n: number, p: number): number {
    const odds = p / (1 - p)
    const deviation = Math.sqrt(n * p * (1 - p))
    const b = 1.15 + 2.53 * deviation
    const a = -0.0873 + 0.0248 * b + 0.01 * p
    const likely = Math.floor((n + 1) * p)
    for (;;) {
      const u = this.next() - 0.5
      const v = this.next()
      const side = 0.5 - Math.abs(u)
      const k = Math.floor(((2 * a) / side + b) * u + n * p + 0.5)
      if (side >= 0.07 && v <= 0.92 - 4.2 / b) return k
      if (!(k >= 0 && k <= n)) continue
      // The logarithm of how likely k is, beside the likeliest.
      const log =
        (likely + 0.5) * Math.log((likely + 1) / (odds * (n - likely + 1))) +
        (n + 1) * Math.log((n - likely + 1) / (n - k + 1)) +
        (k + 0.5) * Math.log((odds * (n - k + 1)) / (k + 1)) +
        (stirlingRest(likely) + stirlingRest(n - likely) - stirlingRest(k) - stirlingRest(n - k))
      if (Math.log((v * (2.83 + 5.1 / b) * deviation) / (a / (side * side) + b)) <= log) return k
    }
  }

  /** Events in a stretch of time that has `mean` of them. */
  poisson(mean: number): number {
    if (mean > 30) {
      const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next())
      return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal))
    }
    let count = 0
    for (let product = this.next(), limit = Math.exp(-mean); product > limit; product *= this.next()) count++
    return count
  }
}

/** Expected hits from which on rejection is cheaper than going from hit to hit. */
const REJECTION_FROM = 15

/** What Stirling's formula for ln k! leaves out, of k + 1. */
function stirlingRest(k: number): number {
  if (k > 9) {
    const square = (k + 1) ** 2
    return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)
  }
  let log = 0
  for (let factor = 2; factor <= k; factor++) log += Math.log(factor)
  return log - (0.5 * Math.log(2 * Math.PI) + (k + 0.5) * Math.log(k + 1) - (k + 1))
}
