/**
 * Patterns as people write them: what they may say, read into a tree. It is the part of regular expressions that can be decided by
 * looking at each octet once: no look-around, no references back, and groups only hold together. What is not known is refused
 * rather than taken for a letter, so that no pattern says something else here than elsewhere: the syntax is a part of RE2's, and of
 * JavaScript's with the flags u and s.
 *
 *   a · . · [a-z] · [^/] · \d \w \s \D \W \S (ASCII) · \t \n \r \f \v \x41 · \. · ( ) · (?: ) · | · * + ? {2} {2,} {2,5} · ^ · $ · (?i) at the start
 */

/** Code points, both ends included, ascending and apart. */
export type Ranges = readonly (readonly [first: number, last: number])[]

export type Tree =
  | { readonly is: 'set'; readonly ranges: Ranges }
  | { readonly is: 'sequence' | 'choice'; readonly parts: readonly Tree[] }
  | { readonly is: 'repeat'; readonly part: Tree; readonly min: number; readonly max: number }
  | { readonly is: 'start' | 'end' }

/** Why a text is no pattern; thrown here and caught by whoever compiles. */
export class PatternFault extends Error {
  /** Steps that it took to find that out, where they are many. */
  readonly work: number

  constructor(message: string, work = 0) {
    super(message)
    this.work = work
  }
}

const REPEATS_MAX = 1_000
const LAST = 0x10ffff
const SURROGATES = [0xd800, 0xdfff] as const
const PUNCTUATION = /^[!-/:-@[-`{-~]$/
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 }

const DIGITS: Ranges = [[0x30, 0x39]]
const WORD: Ranges = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]
const BLANKS: Ranges = [
  [9, 10],
  [12, 13],
  [32, 32],
]

/** Merges and sorts. */
function united(ranges: Ranges): Ranges {
  const merged: [number, number][] = []
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = merged.at(-1)
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else merged.push([first, last])
  }
  return merged
}

/** All other characters. */
function others(ranges: Ranges): Ranges {
  const rest: [number, number][] = []
  let from = 0
  for (const [first, last] of united([...ranges, SURROGATES])) {
    if (first > from) rest.push([from, first - 1])
    from = last + 1
  }
  if (from <= LAST) rest.push([from, LAST])
  return rest
}

const SETS: Readonly<Record<string, Ranges>> = {
  d: DIGITS,
  w: WORD,
  s: BLANKS,
  D: others(DIGITS),
  W: others(WORD),
  S: others(BLANKS),
}

/** With the other case of ASCII letters. */
function inAnyCase(ranges: Ranges): Ranges {
  const swapped: [number, number][] = []
  for (const [from, to, shift] of [
    [0x41, 0x5a, 32],
    [0x61, 0x7a, -32],
  ]) {
    for (const [first, last] of ranges) {
      if (first <= to && last >= from) swapped.push([Math.max(first, from) + shift, Math.min(last, to) + shift])
    }
  }
  return united([...ranges, ...swapped])
}

/** Reads a pattern. Throws a `PatternFault` with what is wrong. */
export function readPattern(text: string): Tree {
  return new Reader(text).read()
}

class Reader {
  readonly #characters: readonly string[]
  readonly #anyCase: boolean
  #at = 0

  constructor(text: string) {
    this.#anyCase = text.startsWith('(?i)')
    this.#characters = Array.from(this.#anyCase ? text.slice(4) : text)
  }

  read(): Tree {
    const tree = this.#choice()
    if (this.#at < this.#characters.length) throw new PatternFault('")" closes nothing')
    return tree
  }

  /** Whether the next character is this one, which is taken then. */
  #takes(character: string): boolean {
    if (this.#characters[this.#at] !== character) return false
    this.#at++
    return true
  }

  #choice(): Tree {
    const parts = [this.#sequence()]
    while (this.#takes('|')) parts.push(this.#sequence())
    return parts.length === 1 ? parts[0] : { is: 'choice', parts }
  }

  #sequence(): Tree {
    const parts: Tree[] = []
    for (let next = this.#characters[this.#at]; next !== undefined && next !== '|' && next !== ')'; ) {
      parts.push(this.#repeated(this.#atom()))
      next = this.#characters[this.#at]
    }
    return parts.length === 1 ? parts[0] : { is: 'sequence', parts }
  }

  #repeated(part: Tree): Tree {
    const counts = this.#counts()
    if (counts === null) return part
    // As few as possible: which of several ways a text matches makes no difference here.
    this.#takes('?')
    const [min, max] = counts
    if (min > max) throw new PatternFault(`{${min},${max}} is from more to fewer`)
    if (min > REPEATS_MAX || (max > REPEATS_MAX && max !== Infinity))
      throw new PatternFault(`at most ${REPEATS_MAX} repeats`)
    return { is: 'repeat', part, min, max }
  }

  #counts(): readonly [min: number, max: number] | null {
    if (this.#takes('*')) return [0, Infinity]
    if (this.#takes('+')) return [1, Infinity]
    if (this.#takes('?')) return [0, 1]
    if (this.#characters[this.#at] !== '{') return null
    const found = /^\{([0-9]{1,5})(?:(,)([0-9]{1,5})?)?\}/.exec(
      this.#characters.slice(this.#at, this.#at + 13).join(''),
    )
    if (found === null)
      throw new PatternFault('"{" stands for a number of repeats, such as {2,5}: write \\{ for itself')
    this.#at += found[0].length
    const min = Number(found[1])
    if (found[2] === undefined) return [min, min]
    return [min, found[3] === undefined ? Infinity : Number(found[3])]
  }

  #atom(): Tree {
    const character = this.#characters[this.#at++]
    switch (character) {
      case '^':
        return { is: 'start' }
      case '$':
        return { is: 'end' }
      case '.':
        return { is: 'set', ranges: others([]) }
      case '(':
        return this.#group()
      case '[':
        return this.#class()
      case '\\': {
        const escaped = this.#escaped()
        return this.#set(typeof escaped === 'number' ? [[escaped, escaped]] : escaped)
      }
      case '*':
      case '+':
      case '?':
      case '{':
        throw new PatternFault(`"${character}" has nothing to repeat`)
      case ']':
      case '}':
        throw new PatternFault(`"${character}" closes nothing: write \\${character} for itself`)
      default: {
        const code = codeOf(character)
        return this.#set([[code, code]])
      }
    }
  }

  #set(ranges: Ranges): Tree {
    return { is: 'set', ranges: this.#anyCase ? inAnyCase(ranges) : ranges }
  }

  #group(): Tree {
    if (this.#takes('?') && !this.#takes(':')) {
      throw new PatternFault('"(?" is only known as (?: and, at the start, as (?i)')
    }
    const tree = this.#choice()
    if (!this.#takes(')')) throw new PatternFault('"(" is not closed')
    return tree
  }

  /** A character or a set, of which the backslash was taken. */
  #escaped(): number | Ranges {
    const character = this.#characters[this.#at++] ?? ''
    if (Object.hasOwn(SETS, character)) return SETS[character]
    if (Object.hasOwn(CONTROLS, character)) return CONTROLS[character]
    if (PUNCTUATION.test(character)) return codeOf(character)
    const digits = this.#characters.slice(this.#at, this.#at + 2).join('')
    if (character === 'x' && /^[0-9A-Fa-f]{2}$/.test(digits)) {
      this.#at += 2
      return Number.parseInt(digits, 16)
    }
    throw new PatternFault(`"\\${character}" is not known in a pattern that is read once`)
  }

  #class(): Tree {
    const negated = this.#takes('^')
    const ranges: (readonly [number, number])[] = []
    while (!this.#takes(']')) {
      const first = this.#member()
      if (typeof first !== 'number') {
        ranges.push(...first)
        continue
      }
      const isRange = this.#characters[this.#at] === '-' && this.#characters[this.#at + 1] !== ']'
      if (isRange) this.#at++
      const last = isRange ? this.#member() : first
      if (typeof last !== 'number') throw new PatternFault('a range of characters ends at one character')
      if (last < first) throw new PatternFault('a range of characters is upside down')
      ranges.push([first, last])
    }
    if (ranges.length === 0) throw new PatternFault('"[]" has no character in it')
    const cased = this.#anyCase ? inAnyCase(ranges) : united(ranges)
    return { is: 'set', ranges: negated ? others(cased) : cased }
  }

  #member(): number | Ranges {
    const character = this.#characters[this.#at++]
    if (character === undefined) throw new PatternFault('"[" is not closed')
    if (character === '[' && this.#characters[this.#at] === ':') throw new PatternFault('"[:" is not known')
    return character === '\\' ? this.#escaped() : codeOf(character)
  }
}

function codeOf(character: string): number {
  const code = character.codePointAt(0)!
  if (code >= SURROGATES[0] && code <= SURROGATES[1]) throw new PatternFault('half a character')
  return code
}
