/**
 * A set of small whole numbers that gives them back in order: how what was found in several lists is taken once each, the
 * lowest first, without sorting and without allocating. A bit for each number; only the words between the lowest and the
 * highest mark are ever looked at.
 */

/** The numbers of a list, ascending. */
export type Positions = readonly number[]

export class BitSet {
  readonly #words: Uint32Array
  /** First and last word that may have a bit; `first` is beyond `last` when the set is empty. */
  #first: number
  #last = -1

  /** A set that can hold 0 to `size - 1`. */
  constructor(size: number) {
    this.#words = new Uint32Array((size + 31) >>> 5)
    this.#first = this.#words.length
  }

  add(positions: Positions): void {
    for (const position of positions) {
      const word = position >>> 5
      this.#words[word] |= 1 << (position & 31)
      if (word < this.#first) this.#first = word
      if (word > this.#last) this.#last = word
    }
  }

  /** Takes the lowest number out of the set; -1 when it is empty. */
  take(): number {
    for (; this.#first <= this.#last; this.#first++) {
      const bits = this.#words[this.#first]
      if (bits === 0) continue
      this.#words[this.#first] = bits & (bits - 1)
      return this.#first * 32 + 31 - Math.clz32(bits & -bits)
    }
    this.#first = this.#words.length
    this.#last = -1
    return -1
  }

  clear(): void {
    for (; this.#first <= this.#last; this.#first++) this.#words[this.#first] = 0
    this.#first = this.#words.length
    this.#last = -1
  }
}
