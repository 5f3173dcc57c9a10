/**
 * A list of many visitor keys that all threads look up in one shared memory: made once from the bytes of a file, by the main thread,
 * and never changed. A key is found in a time that does not depend on the length of the list, by an exact comparison: no key is
 * taken for another.
 *
 * A line is a key, as UTF-8; blanks around it do not count, nor do empty lines and those that begin with `#`.
 *
 * Layout, in 32-bit words: the two words of the secret, the number of keys, the number of slots (a power of two, at least twice
 * that of the keys); two words for each slot (hash of its key, and 1 + where that begins, or 0 for an empty slot); then the keys
 * as octets, each behind its length in two octets. A key that finds its slot taken goes to the next one. Who may choose keys that go
 * on the list, or that are looked up, must not make all of them meet: so the hash is by a secret of each list (half-sip-hash.ts).
 */
import { type HashSecret, halfSipHash } from './half-sip-hash.ts'
import { KEY_LENGTH_MAX } from './visitor.ts'

/** Keys of one list. */
export const VISITORS_MAX = 1_000_000
/** Bytes that are gone over in one step. */
const STEP_BYTES = 65_536

const HEAD_WORDS = 4
const [LINE_END, RETURN, BLANK, TAB, HASH, DELETE] = [10, 13, 32, 9, 35, 127]
const BOM = [0xef, 0xbb, 0xbf]

/** The list cannot be taken; the message goes on from the name of the file, and never tells what is in it. */
export class ListFault extends Error {}

/** The lines of a list, one after the other: from `start` to `end` in the bytes. */
class Lines {
  start = 0
  end = 0
  line = 0
  readonly #bytes: Uint8Array
  #next: number

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#next = BOM.every((octet, at) => bytes[at] === octet) ? BOM.length : 0
  }

  /** Goes to the next line with a key; false when there is none. */
  next(): boolean {
    const bytes = this.#bytes
    while (this.#next < bytes.length) {
      this.line++
      let [start, end] = [this.#next, bytes.indexOf(LINE_END, this.#next)]
      if (end === -1) end = bytes.length
      this.#next = end + 1
      if (bytes[start] === HASH) continue
      while (start < end && isBlank(bytes[start])) start++
      while (end > start && isBlank(bytes[end - 1])) end--
      if (start === end) continue
      this.start = start
      this.end = end
      return true
    }
    return false
  }
}

const isBlank = (octet: number): boolean => octet === BLANK || octet === TAB || octet === RETURN

/**
 * Makes a list of the bytes of a file, a step at a time, so that a thread with other work can see to that between. Throws a
 * `ListFault`.
 */
export function* packVisitors(bytes: Uint8Array, secret: HashSecret): Generator<void, SharedArrayBuffer> {
  const lines = new Lines(bytes)
  let [count, octets, pausedAt] = [0, 0, 0]
  while (lines.next()) {
    const { start, end, line } = lines
    if (++count > VISITORS_MAX) throw new ListFault(`has more than ${VISITORS_MAX} visitors`)
    if (end - start > KEY_LENGTH_MAX) throw new ListFault(`line ${line} has more than ${KEY_LENGTH_MAX} bytes`)
    for (let at = start; at < end; at++)
      if ((bytes[at] < BLANK && bytes[at] !== TAB) || bytes[at] === DELETE)
        throw new ListFault(`line ${line} has a control character, which no visitor key in a line of text has`)
    octets += end - start + 2
    if (end - pausedAt < STEP_BYTES) continue
    pausedAt = end
    yield
  }
  let slots = 2
  while (slots < 2 * count) slots *= 2
  const memory = new SharedArrayBuffer((HEAD_WORDS + 2 * slots) * 4 + octets)
  new Uint32Array(memory, 0, HEAD_WORDS).set([...secret, 0, slots])
  yield* fill(new VisitorList(memory), memory, bytes)
  return memory
}

function* fill(list: VisitorList, memory: SharedArrayBuffer, bytes: Uint8Array): Generator<void> {
  const lines = new Lines(bytes)
  let pausedAt = 0
  while (lines.next()) {
    const key = bytes.subarray(lines.start, lines.end)
    scratch.set(key)
    list.insert(key.length)
    if (lines.end - pausedAt < STEP_BYTES) continue
    pausedAt = lines.end
    yield
  }
  new Uint32Array(memory, 0, HEAD_WORDS)[2] = list.count
}

/** The key that is looked up or put in, as octets. */
const scratch = new Uint8Array(KEY_LENGTH_MAX)

/** A list as one thread looks it up. */
export class VisitorList {
  readonly #secret: HashSecret
  readonly #slots: Uint32Array
  readonly #mask: number
  readonly #octets: Uint8Array
  /** Octets that are in use. */
  #end = 0
  /** Number of different keys. */
  count: number

  constructor(memory: SharedArrayBuffer) {
    const [first, second, count, slots] = new Uint32Array(memory, 0, HEAD_WORDS)
    this.#secret = [first, second]
    this.count = count
    this.#mask = slots - 1
    this.#slots = new Uint32Array(memory, HEAD_WORDS * 4, 2 * slots)
    this.#octets = new Uint8Array(memory, (HEAD_WORDS + 2 * slots) * 4)
  }

  /** Whether a visitor key, as octets, is on the list. */
  has(key: string): boolean {
    const { length } = key
    if (length > KEY_LENGTH_MAX) return false
    for (let at = 0; at < length; at++) {
      const octet = key.charCodeAt(at)
      if (octet > 255) return false
      scratch[at] = octet
    }
    return this.#slots[2 * this.#find(halfSipHash(scratch, length, this.#secret), length) + 1] !== 0
  }

  /** Puts the first octets of `scratch` on the list, while it is made. */
  insert(length: number): void {
    const hash = halfSipHash(scratch, length, this.#secret)
    const slot = this.#find(hash, length)
    if (this.#slots[2 * slot + 1] !== 0) return
    this.#slots[2 * slot] = hash
    this.#slots[2 * slot + 1] = this.#end + 1
    this.#octets[this.#end] = length & 255
    this.#octets[this.#end + 1] = length >>> 8
    this.#octets.set(scratch.subarray(0, length), this.#end + 2)
    this.#end += length + 2
    this.count++
  }

  /** The slot of what stands in `scratch`, or the empty one where it would be: there always is one. */
  #find(hash: number, length: number): number {
    let slot = hash & this.#mask
    for (;;) {
      const begin = this.#slots[2 * slot + 1]
      if (begin === 0 || (this.#slots[2 * slot] === hash && this.#isAt(begin - 1, length))) return slot
      slot = (slot + 1) & this.#mask
    }
  }

  #isAt(begin: number, length: number): boolean {
    const octets = this.#octets
    if ((octets[begin] | (octets[begin + 1] << 8)) !== length) return false
    for (let at = 0; at < length; at++) if (octets[begin + 2 + at] !== scratch[at]) return false
    return true
  }
}
