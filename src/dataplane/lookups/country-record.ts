/**
 * What a record of a database of countries (MaxMind DB 2.0) says of its country, read where it stands: the record is not decoded.
 *
 * So a look-up makes no object, and has a bound that no damage of the file lifts: at most `VALUES_MAX` values are looked at, and no text
 * is made but the code. A decoder believes lengths and pointers, so a few bytes that are wrong may cost it seconds and all memory, and
 * its caller is a worker with requests to answer.
 *
 * A value begins with its type (three bits) and size (five, and up to three octets more); a pointer stands for a value elsewhere, and
 * keys are often pointers, too.
 */

/** Values of one record that are looked at; those with cities in eight languages have some 200. */
const VALUES_MAX = 2_000

const TYPE = { extended: 0, pointer: 1, text: 2, map: 7, array: 11, boolean: 14 } as const
/** Where pointers of each size begin to count. */
const POINTER_BASES = [0, 2_048, 526_336, 0]
/** What is added to the size that stands in so many octets more. */
const SIZE_BASES = [0, 29, 285, 65_821]
const CODE_LENGTH = 2

export class CountryRecords {
  readonly #bytes: Uint8Array
  /** Where what pointers count from begins. */
  readonly #start: number
  #left = 0
  /** The value that was read last: its type, its size, and where its content begins; of a pointer where that leads to. */
  #type = 0
  #size = 0
  #at = 0

  /** `start`: of the data section. */
  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes
    this.#start = start
  }

  /** The code that stands in the record at an offset, as it is: `country.iso_code`, else `country_code`. null: none that could be found. */
  codeAt(offset: number): string | null {
    this.#left = VALUES_MAX
    const country = this.#valueOf(offset, 'country')
    if (country >= 0) {
      this.#follow(country)
      if (this.#type === TYPE.map) return this.#codeOf(country, 'iso_code')
    }
    return this.#codeOf(offset, 'country_code')
  }

  #codeOf(map: number, key: string): string | null {
    const at = this.#valueOf(map, key)
    if (at < 0) return null
    this.#follow(at)
    if (this.#type !== TYPE.text || this.#size !== CODE_LENGTH) return null
    return String.fromCharCode(this.#octet(this.#at), this.#octet(this.#at + 1))
  }

  /** Where the value of a key of the map at an offset begins; below 0 when there is no such map or key. */
  #valueOf(map: number, key: string): number {
    this.#follow(map)
    if (this.#type !== TYPE.map) return -1
    let next = this.#at
    for (let pairs = this.#size; pairs > 0; pairs--) {
      const value = this.#skip(next)
      this.#follow(next)
      if (value < 0 || this.#left < 0) return -1
      if (this.#isText(key)) return value
      next = this.#skip(value)
      if (next < 0) return -1
    }
    return -1
  }

  #isText(text: string): boolean {
    if (this.#type !== TYPE.text || this.#size !== text.length) return false
    for (let at = 0; at < text.length; at++) if (this.#octet(this.#at + at) !== text.charCodeAt(at)) return false
    return true
  }

  /** The offset behind the value at one, with all that is in it; below 0 when that was not found. */
  #skip(offset: number): number {
    let next = offset
    for (let values = 1; values > 0; values--) {
      next = this.#read(next)
      if (this.#left < 0) return -1
      if (this.#type === TYPE.map) values += 2 * this.#size
      else if (this.#type === TYPE.array) values += this.#size
    }
    return next
  }

  /** Reads the value at an offset, or the one that a pointer there leads to. */
  #follow(offset: number): void {
    this.#read(offset)
    while (this.#type === TYPE.pointer && this.#left >= 0) this.#read(this.#at)
    if (this.#left < 0) this.#type = TYPE.extended
  }

  /** Reads the beginning of a value; returns the offset behind it, of a map or an array behind its beginning. */
  #read(offset: number): number {
    // Behind the end everything is 0.
    this.#left = offset < this.#bytes.length ? this.#left - 1 : -1
    const first = this.#octet(offset)
    let at = offset + 1
    this.#type = first >> 5
    const low = first & 31
    if (this.#type === TYPE.pointer) {
      const more = (low >> 3) + 1
      const packed = this.#number(at, more) + (more === 4 ? 0 : (low & 7) * 2 ** (8 * more))
      this.#at = this.#start + POINTER_BASES[more - 1] + packed
      return at + more
    }
    if (this.#type === TYPE.extended) this.#type = 7 + this.#octet(at++)
    const more = Math.max(0, low - 28)
    this.#size = more === 0 ? low : SIZE_BASES[more] + this.#number(at, more)
    this.#at = at + more
    const isWithin = this.#type === TYPE.map || this.#type === TYPE.array || this.#type === TYPE.boolean
    return isWithin ? this.#at : this.#at + this.#size
  }

  #number(at: number, octets: number): number {
    let value = 0
    for (let end = at + octets; at < end; at++) value = value * 256 + this.#octet(at)
    return value
  }

  #octet(at: number): number {
    return this.#bytes[at] ?? 0
  }
}
