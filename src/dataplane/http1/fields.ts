/**
 * The header section of a message: one pass over the text that validates every octet and leaves an index of the fields.
 *
 * A line counts only when its LF has come, so a verdict never depends on how the bytes were cut (RFC 9112 5, HTTP.md gate 1).
 * Refused, never repaired: bare CR or LF, obs-fold, space before the colon, empty names, control bytes. The index holds
 * offsets into the text, so unchanged runs of fields are forwarded as whole spans, and nothing is allocated per field.
 * Each field gets its *kind* (field-kinds.ts).
 * Octets are looked at in the bytes that the text was made of: an octet of a string takes four times as long to get at.
 */
import { areBound, asksForBound } from './bound-schemes.ts'
import { kindOf } from './field-kinds.ts'
import { COLON, CR, equalsIgnoreCase, HTAB, LF, octetsOf, parseLength, SP, TOKEN, VALUE } from './syntax.ts'

/**
 * Lower-case names that Connection lists. Each field is looked up here, and a walk through the list would take a time that
 * grows by the product of fields and names; the lengths spare most fields even the look-up.
 */
export class Names {
  /** A bit for each length of a name, modulo 32. */
  lengths = 0
  readonly #names = new Set<string>()

  /** Adds a name; returns itself. */
  add(name: string): this {
    this.lengths |= 1 << name.length
    this.#names.add(name)
    return this
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }
}

/** Offsets of a field in the index: name start, name end, value start, value end, line end (behind CRLF), kind. */
export const STRIDE = 6

/** From this length on, four octets at a time are faster. */
const LONG_ENOUGH = 16

export class Fields {
  text = ''
  count = 0
  /** Set when a field line is malformed. */
  malformed = false
  /** Set when there are more fields than allowed. */
  tooMany = false
  /** A bit for each kind that a field has: most kinds are in few heads, and so spare a walk through all fields. */
  #kinds = 0
  /** A bit for each length of a name, modulo 32: what a rule looks for is mostly not there, and most of it is as long as nothing that is. */
  #lengths = 0
  /** The last bytes that were read from: nearly always the one buffer of the worker. */
  #bytes: Uint8Array | null = null
  /** The same four at a time, where that can be had. */
  #words: Int32Array | null = null
  readonly index: Int32Array
  readonly #max: number

  /** `max` is the largest number of fields. */
  constructor(max: number) {
    this.#max = max
    this.index = new Int32Array(max * STRIDE)
  }

  /**
   * Reads field lines of `text` from `at` up to and with the empty line. Returns the offset behind it, 0 when the text
   * ends before, or -1 when it is refused (`malformed`, `tooMany`). `bytes` from `base` on are the octets of the text; they are
   * not looked at after the call.
   */
  read(text: string, at: number, bytes: Uint8Array = octetsOf(text), base = 0): number {
    this.text = text
    this.count = 0
    this.malformed = false
    this.tooMany = false
    this.#kinds = 0
    this.#lengths = 0
    if (bytes !== this.#bytes) this.#see(bytes)
    const end = text.length
    while (at < end) {
      if (bytes[base + at] === CR) {
        if (at + 1 === end) return 0
        if (bytes[base + at + 1] === LF) return at + 2
        return this.#refuse(at)
      }
      if (this.count === this.#max) {
        this.tooMany = true
        return -1
      }
      const next = this.#line(bytes, base, base + at, base + end)
      if (next <= 0) return next
      at = next - base
    }
    return 0
  }

  /** Reads the line at `bytes[at]`; like `read`, but for offsets in the bytes. */
  #line(bytes: Uint8Array, base: number, at: number, end: number): number {
    const nameStart = at
    while (at < end && TOKEN[bytes[at]] === 1) at++
    if (at === end) return 0
    if (at === nameStart || bytes[at] !== COLON) return this.#refuse(nameStart - base)
    const nameEnd = at++
    while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++
    const valueStart = at
    at = this.#valueStop(bytes, at, end)
    if (at + 1 >= end) return at < end && bytes[at] !== CR ? this.#refuse(nameStart - base) : 0
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return this.#refuse(nameStart - base)
    let valueEnd = at
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--
    const index = this.index
    const field = this.count++ * STRIDE
    index[field] = nameStart - base
    index[field + 1] = nameEnd - base
    index[field + 2] = valueStart - base
    index[field + 3] = valueEnd - base
    index[field + 4] = at + 2 - base
    const kind = kindOf(bytes, nameStart, nameEnd - nameStart)
    index[field + 5] = kind
    this.#kinds |= 1 << kind
    this.#lengths |= 1 << (nameEnd - nameStart)
    return at + 2
  }

  #see(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#words = bytes.byteOffset === 0 ? new Int32Array(bytes.buffer, 0, bytes.byteLength >> 2) : null
  }

  /**
   * Offset of the first octet that no value has. Most of a head is values, so four octets are looked at at once: none of them
   * may be below 32 or 127 (tabs are left to the slow way). The tricks with the high bits of each octet are those of strlen.
   */
  #valueStop(bytes: Uint8Array, at: number, end: number): number {
    const words = this.#words
    if (words !== null && end - at >= LONG_ENOUGH) {
      while ((at & 3) !== 0) if (VALUE[bytes[at++]] !== 1) return at - 1
      let word = at >> 2
      for (const stop = end >> 2; word < stop; word++) {
        const four = words[word]
        const dels = four ^ 0x7f7f7f7f
        if ((((four - 0x20202020) & ~four) | ((dels - 0x01010101) & ~dels)) & 0x80808080) break
      }
      at = word << 2
    }
    while (at < end && VALUE[bytes[at]] === 1) at++
    return at
  }

  /** A bad line is refused once it is complete, so that the verdict is the same however the bytes arrive. */
  #refuse(lineStart: number): number {
    if (this.text.indexOf('\n', lineStart) < 0) return 0
    this.malformed = true
    return -1
  }

  /** Index of the first field of this kind from `from` on, or -1. */
  next(kind: number, from = 0): number {
    if (((this.#kinds >>> kind) & 1) === 0) return -1
    for (let i = from; i < this.count; i++) if (this.index[i * STRIDE + 5] === kind) return i
    return -1
  }

  /** Whether there is a field of one of these kinds, given as a bit for each (`kindBits`). */
  hasAny(bits: number): boolean {
    return (this.#kinds & bits) !== 0
  }

  /** Kind of field `i`. */
  kind(i: number): number {
    return this.index[i * STRIDE + 5]
  }

  /** Value of field `i`, without surrounding white space. */
  value(i: number): string {
    return this.text.slice(this.index[i * STRIDE + 2], this.index[i * STRIDE + 3])
  }

  /** Name of field `i`, lower-case. */
  name(i: number): string {
    return this.text.slice(this.index[i * STRIDE], this.index[i * STRIDE + 1]).toLowerCase()
  }

  /** The line of field `i` as it came, with CRLF. */
  line(i: number): string {
    return this.text.slice(this.index[i * STRIDE], this.index[i * STRIDE + 4])
  }

  /** Value of field `i` as a Content-Length, or -1 when it is none: see `parseLength`. */
  length(i: number): number {
    return parseLength(this.text, this.index[i * STRIDE + 2], this.index[i * STRIDE + 3])
  }

  /** Whether zeros stand before the number that is the value of field `i`. */
  isPadded(i: number): boolean {
    const start = this.index[i * STRIDE + 2]
    return this.index[i * STRIDE + 3] - start > 1 && this.text.charCodeAt(start) === 48
  }

  /** Whether field `i`, which holds credentials, is by a scheme that authenticates the connection. */
  hasBoundCredentials(i: number): boolean {
    return areBound(this.text, this.index[i * STRIDE + 2], this.index[i * STRIDE + 3])
  }

  /** Whether field `i`, which holds challenges, asks for such credentials. */
  hasBoundChallenge(i: number): boolean {
    return asksForBound(this.text, this.index[i * STRIDE + 2], this.index[i * STRIDE + 3])
  }

  /** Whether the name of field `i` is `lower`. */
  #isNamed(i: number, lower: string): boolean {
    const start = this.index[i * STRIDE]
    return this.index[i * STRIDE + 1] - start === lower.length && equalsIgnoreCase(this.text, start, lower)
  }

  /** Index of the first field with this lower-case name from `from` on, or -1. */
  find(lower: string, from = 0): number {
    if (((this.#lengths >>> lower.length) & 1) === 0) return -1
    for (let i = from; i < this.count; i++) if (this.#isNamed(i, lower)) return i
    return -1
  }

  /**
   * The lines of all fields for which `copy[kind]` is 1 and whose names are not among `dropped`, as the fewest possible spans
   * of the text.
   */
  copyLines(copy: Uint8Array, dropped: Names | null): string {
    const index = this.index
    let out = ''
    let from = -1
    let to = -1
    for (let i = 0, base = 0; i < this.count; i++, base += STRIDE) {
      const keep = copy[index[base + 5]] === 1 && (dropped === null || !this.#isAmong(i, dropped))
      if (keep) {
        if (from < 0) from = index[base]
        to = index[base + 4]
      } else if (from >= 0) {
        out += this.text.slice(from, to)
        from = -1
      }
    }
    return from >= 0 ? out + this.text.slice(from, to) : out
  }

  #isAmong(i: number, names: Names): boolean {
    const length = this.index[i * STRIDE + 1] - this.index[i * STRIDE]
    return ((names.lengths >>> length) & 1) === 1 && names.has(this.name(i))
  }
}
