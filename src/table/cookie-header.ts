/**
 * The Cookie header as rules and visitor sources read it: pairs of name and value between semicolons. SP and HTAB around them are
 * dropped (U+00A0 is an octet like any other), and so are quotes around a value; a piece without `=` is no pair. Cost is linear
 * in the length of the header, and no string is made but the value that was asked for.
 */
import type { TextTest } from './types.ts'

const TAB = 9
const SPACE = 32
const SEMICOLON = 59
const EQUALS = 61

const isBlank = (code: number) => code === SPACE || code === TAB

/** The value of the first cookie of this name, without surrounding quotes. */
export function cookieValue(header: string, name: string): string | undefined {
  // Names have neither blanks nor semicolons in them, so no pair begins within a place where the name was found.
  for (let at = header.indexOf(name); at !== -1; at = header.indexOf(name, at + name.length + 1)) {
    if (!beginsPair(header, at)) continue
    const value = valueBehind(header, at + name.length)
    if (value !== undefined) return value
  }
  return undefined
}

/** Whether a cookie of this name has a value that passes. */
export function someCookie(header: string, name: string, test: TextTest): boolean {
  for (let at = header.indexOf(name); at !== -1; at = header.indexOf(name, at + name.length + 1)) {
    if (!beginsPair(header, at)) continue
    const value = valueBehind(header, at + name.length)
    if (value !== undefined && test.holds(value)) return true
  }
  return false
}

/** The value of the pair whose name ends here; undefined where that is no pair. */
function valueBehind(header: string, nameEnd: number): string | undefined {
  const equals = skipBlanks(header, nameEnd)
  if (header.charCodeAt(equals) !== EQUALS) return undefined
  const semicolon = header.indexOf(';', equals)
  return cookieText(header, equals + 1, semicolon === -1 ? header.length : semicolon)
}

/** Values of two cookies, the name of one of which begins with that of the other; undefined while they were not found. */
export interface TwoCookies {
  short: string | undefined
  long: string | undefined
}

/** Looks for the first cookie of each of two names in one pass; the long one begins with the short one. */
export function findTwo(header: string, short: string, long: string, found: TwoCookies): void {
  for (let at = header.indexOf(short); at !== -1; at = header.indexOf(short, at + short.length)) {
    if (!beginsPair(header, at)) continue
    const isLong = header.startsWith(long, at)
    const value = valueBehind(header, at + (isLong ? long.length : short.length))
    if (value === undefined) continue
    if (isLong) found.long ??= value
    else found.short ??= value
  }
}

/** How many cookies have names that begin so. */
export function countBeginning(header: string, beginning: string): number {
  let count = 0
  for (let at = header.indexOf(beginning); at !== -1; at = header.indexOf(beginning, at + beginning.length)) {
    if (beginsPair(header, at)) count++
  }
  return count
}

function beginsPair(header: string, at: number): boolean {
  let before = at - 1
  while (before >= 0 && isBlank(header.charCodeAt(before))) before--
  return before < 0 || header.charCodeAt(before) === SEMICOLON
}

function skipBlanks(header: string, from: number): number {
  let at = from
  while (isBlank(header.charCodeAt(at))) at++
  return at
}

function cookieText(header: string, from: number, end: number): string {
  const start = skipBlanks(header, from)
  let stop = end
  while (stop > start && isBlank(header.charCodeAt(stop - 1))) stop--
  const value = header.slice(start, stop)
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
}

/** A walk over all pairs of a header; one object serves for many walks. */
export class CookieWalk {
  #header = ''
  #next = 0
  #equals = 0
  #end = 0
  /** Where the name of the present pair begins and ends. */
  nameStart = 0
  nameEnd = 0

  begin(header: string): void {
    this.#header = header
    this.#next = 0
    this.#equals = -1
  }

  /** Goes to the next pair; false when there is none, and then the header is let go of. */
  next(): boolean {
    const header = this.#header
    while (this.#next < header.length) {
      const start = skipBlanks(header, this.#next)
      const semicolon = header.indexOf(';', start)
      this.#end = semicolon === -1 ? header.length : semicolon
      this.#next = this.#end + 1
      // Of a later pair, it may be: then it is not looked for again until that pair has come.
      if (this.#equals < start) this.#equals = header.indexOf('=', start)
      if (this.#equals === -1) break
      if (this.#equals > this.#end) continue
      this.nameStart = start
      this.nameEnd = this.#equals
      while (this.nameEnd > start && isBlank(header.charCodeAt(this.nameEnd - 1))) this.nameEnd--
      return true
    }
    this.#header = ''
    return false
  }

  /** The value of the present pair, without surrounding quotes. */
  value(): string {
    return cookieText(this.#header, this.#equals + 1, this.#end)
  }
}
