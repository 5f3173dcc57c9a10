/**
 * Chance that repeats: 32-bit numbers from a seed and the number of a message, so that every message of a run can be made
 * again alone. xoroshiro64** (Blackman and Vigna): two words of state, no allocation, far cheaper than what it is used for.
 */

/** Spreads the bits of a 32-bit number over all of it, one to one. */
function mix(value: number): number {
  let x = value | 0
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return x ^ (x >>> 15)
}

export class Random {
  #a = 1
  #b = 0

  /** Begins again: for the same two numbers (32 bits count) all that follows is the same. */
  start(seed: number, index: number): void {
    this.#a = mix(seed + 0x9e3779b9)
    this.#b = mix(index + 0x85ebca6b) ^ this.#a
    // Nothing comes out of a state of zeros.
    if (this.#a === 0 && this.#b === 0) this.#a = 1
    this.#next()
    this.#next()
  }

  #next(): number {
    const a = this.#a
    let b = this.#b
    const product = Math.imul(a, 0x9e3779bb)
    const out = Math.imul((product << 5) | (product >>> 27), 5) >>> 0
    b ^= a
    this.#a = ((a << 26) | (a >>> 6)) ^ b ^ (b << 9)
    this.#b = (b << 13) | (b >>> 19)
    return out
  }

  /** A whole number from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor((this.#next() / 4_294_967_296) * limit)
  }

  /** A whole number between the two, both included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]
  }
}
