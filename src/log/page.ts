/**
 * A page of the access log: shared memory that a worker fills with lines, as the bytes that go to standard output.
 *
 * The main thread writes them out from where they lie, so a line is put together once and copied by nobody but the kernel.
 * A page belongs to one thread at a time: `send` hands it to the main thread, and `giveBack` there to the worker again.
 *
 * Short texts are copied character by character: a call into C++ costs as much as twenty characters.
 */

/** Room before the lines, for the cell that says whose page it is. */
const HEAD_BYTES = 8
const OURS = 0
const AWAY = 1

const QUOTE = 34
const BACKSLASH = 92
const ZERO = 48
const DOT = 46

/** Bytes that a character of a quoted text takes at most: six, as `\u001f`. Outside ASCII none takes more than four. */
export const QUOTED_BYTES_MAX = 6

export class LogPage {
  /** Bytes of lines so far. */
  length = 0
  readonly size: number
  readonly #memory: SharedArrayBuffer
  readonly #owner: Int32Array
  readonly #bytes: Buffer

  constructor(size: number) {
    this.size = size
    this.#memory = new SharedArrayBuffer(HEAD_BYTES + size)
    this.#owner = new Int32Array(this.#memory, 0, 1)
    this.#bytes = Buffer.from(this.#memory, HEAD_BYTES, size)
  }

  /** Whether the main thread has it. */
  get isAway(): boolean {
    return Atomics.load(this.#owner, 0) === AWAY
  }

  /** Hands the lines over; until the page has come back nothing may be put. */
  send(post: (memory: SharedArrayBuffer, length: number) => void): void {
    Atomics.store(this.#owner, 0, AWAY)
    post(this.#memory, this.length)
    this.length = 0
  }

  /** Puts a short text of one byte a character as it is. Whoever puts sees to it that there is room. */
  put(text: string): void {
    const bytes = this.#bytes
    let at = this.length
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i)
    this.length = at
  }

  /** The same for a long text that is in one piece. */
  putLong(text: string): void {
    this.length += this.#bytes.latin1Write(text, this.length)
  }

  /** Puts a text of any characters as it is, in UTF-8. */
  putWide(text: string): void {
    this.length += this.#bytes.write(text, this.length, 'utf8')
  }

  /** Puts a text as JSON. Most are plain, and then quotation marks are all that it takes. */
  putQuoted(text: string): void {
    const bytes = this.#bytes
    let at = this.length
    bytes[at++] = QUOTE
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code < 32 || code === QUOTE || code === BACKSLASH || code > 126) return this.putWide(JSON.stringify(text))
      bytes[at++] = code
    }
    bytes[at++] = QUOTE
    this.length = at
  }

  /** Puts a number that is no less than 0. */
  putNumber(value: number): void {
    if (value !== (value & 0x3fffffff)) return this.put(String(value))
    let end = this.length + 1
    for (let rest = value; rest > 9; rest = (rest / 10) | 0) end++
    this.#putDigits(value, end)
  }

  /** Puts a number of thousandths as whole ones, with as few decimals as it takes: 1,500 is 1.5. */
  putThousandths(thousandths: number): void {
    if (thousandths !== (thousandths & 0x3fffffff)) return this.put(String(thousandths / 1000))
    const whole = (thousandths / 1000) | 0
    this.putNumber(whole)
    let rest = thousandths - whole * 1000
    if (rest === 0) return
    let digits = 3
    for (; rest % 10 === 0; rest = (rest / 10) | 0) digits--
    this.#bytes[this.length++] = DOT
    this.#putDigits(rest, this.length + digits)
  }

  /** Puts three digits: 7 is 007. */
  putThree(value: number): void {
    this.#putDigits(value, this.length + 3)
  }

  /** Puts the digits of a number so that they fill the bytes up to `end`. */
  #putDigits(value: number, end: number): void {
    const bytes = this.#bytes
    let rest = value
    for (let at = end - 1; at >= this.length; at--) {
      const tens = (rest / 10) | 0
      bytes[at] = ZERO + rest - tens * 10
      rest = tens
    }
    this.length = end
  }
}

/** The lines in a page that was sent. */
export function linesIn(memory: SharedArrayBuffer, length: number): Uint8Array {
  return new Uint8Array(memory, HEAD_BYTES, length)
}

/** Gives a page back to its worker, which may write over the lines at once. */
export function giveBack(memory: SharedArrayBuffer): void {
  Atomics.store(new Int32Array(memory, 0, 1), 0, OURS)
}

/** A text of any characters as one of its UTF-8 bytes, in one piece: for `putLong`, where it is put again and again. */
export function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
