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
    let hits = 0
    // From hit to hit, so that rare ones cost little.
    const scale = Math.log1p(-p)
    for (let at = Math.floor(Math.log(1 - this.next()) / scale); at < n; hits++) {
      at += 1 + Math.floor(Math.log(1 - this.next()) / scale)
    }
    return hits
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
