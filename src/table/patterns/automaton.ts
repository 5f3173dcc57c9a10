/**
 * A pattern that is asked by looking at each octet of a text once, whatever the text: time is linear, and there is nothing to go back
 * over. All ways through the pattern are gone at once; each set of steps that can be reached is a state, and all states
 * are made when the pattern is compiled (a DFA), so that a request costs one look into a table for an octet and allocates nothing.
 *
 * Why not a library: re2js, the one well-kept port of RE2 without native code, took 50 to 150 ns an octet where this takes about 5, allocates as it
 * goes, and loads 260 KB in every worker (measured 2026-11-28). Its syntax is a superset of ours, so it may still take this place.
 *
 * Invariants: state 0 matches nothing any more, state 1 everything; both end the look. A table has at most `ENTRIES_MAX` entries, and
 * making it takes at most `WORK_MAX` steps: what needs more is refused when it is written, not met by a request.
 */
import { type Step, stepsOf } from './steps.ts'
import { PatternFault, readPattern } from './syntax.ts'

const ENTRIES_MAX = 65_536
/** A tenth of a millisecond for a thousand of these. */
export const WORK_MAX = 2_000_000
const OCTETS = 256

interface State {
  /** Steps that wait for an octet, ascending. */
  readonly waiting: readonly number[]
  /** Whether a text that ends here matches. */
  readonly endsWell: boolean
  /** Whether every text that begins so matches. */
  readonly isDone: boolean
}

export class Automaton {
  /** By octet: which of the octets that are never told apart. */
  readonly #classes: Uint8Array
  readonly #count: number
  /** By state (a multiple of the number of classes) and class: the next state. */
  readonly #next: Uint16Array
  /** By state divided by the number of classes. */
  readonly #endsWell: Uint8Array
  readonly #start: number
  /** Steps that it took to make it. */
  readonly work: number

  /** Throws a `PatternFault` when the text is no pattern, or one that takes too much. */
  constructor(pattern: string) {
    const { steps, entry } = stepsOf(readPattern(pattern))
    const { classes, octets } = classesOf(steps)
    const { next, endsWell, start, work } = new Builder(steps, entry, octets).build()
    this.#classes = classes
    this.#count = octets.length
    this.#next = next
    this.#endsWell = endsWell
    this.#start = start
    this.work = work
  }

  /** Whether a text of octets, a character each, has something in it that matches. */
  holds(text: string): boolean {
    const next = this.#next
    const classes = this.#classes
    const done = this.#count
    let state = this.#start
    for (let at = 0; at < text.length && state > done; at++) state = next[state + classes[text.charCodeAt(at)]]
    return state === done || this.#endsWell[state / done] === 1
  }

  /** Whether it matches any text that is made of these octets. */
  canHold(isOctet: (octet: number) => boolean): boolean {
    return this.#reaches(this.#start, isOctet)
  }

  /** Whether it matches any text that begins so. */
  canBegin(prefix: string): boolean {
    let state = this.#start
    for (let at = 0; at < prefix.length; at++) state = this.#next[state + this.#classes[prefix.charCodeAt(at)]]
    return this.#reaches(state, () => true)
  }

  /**
   * Whether some text matches both this pattern and another; also true when more than so many pairs of their states would have to be
   * looked at. `work` is how many were.
   */
  meets(other: Automaton, workMax: number): { readonly meets: boolean; readonly work: number } {
    const octets = new Map<number, readonly [number, number]>()
    for (let octet = 0; octet < OCTETS; octet++) {
      const kinds = [this.#classes[octet], other.#classes[octet]] as const
      octets.set(kinds[0] * OCTETS + kinds[1], kinds)
    }
    const width = other.#next.length
    const seen = new Set([this.#start * width + other.#start])
    let work = 0
    for (const pair of seen) {
      const [state, beside] = [Math.floor(pair / width), pair % width]
      work += octets.size
      if (work > workMax || (this.#isGood(state) && other.#isGood(beside))) return { meets: true, work }
      if (state === 0 || beside === 0) continue
      for (const [kind, otherKind] of octets.values()) {
        seen.add(this.#next[state + kind] * width + other.#next[beside + otherKind])
      }
    }
    return { meets: false, work }
  }

  #reaches(from: number, isOctet: (octet: number) => boolean): boolean {
    const possible = new Set<number>()
    for (let octet = 0; octet < OCTETS; octet++) if (isOctet(octet)) possible.add(this.#classes[octet])
    const seen = new Set([from])
    for (const state of seen) {
      if (this.#isGood(state)) return true
      if (state !== 0) for (const kind of possible) seen.add(this.#next[state + kind])
    }
    return false
  }

  /** Whether a text that ends in this state matches. */
  #isGood(state: number): boolean {
    return state === this.#count || this.#endsWell[state / this.#count] === 1
  }
}

/** Why a text is no pattern that can be asked, or null. */
export function badPattern(text: string): string | null {
  try {
    new Automaton(text)
    return null
  } catch (error) {
    if (error instanceof PatternFault) return error.message
    throw error
  }
}

/** Octets that no step tells apart are one class; `octets` has one of each. */
function classesOf(steps: readonly Step[]): { classes: Uint8Array; octets: number[] } {
  const begins = new Uint8Array(OCTETS + 1)
  begins[0] = 1
  for (const step of steps) {
    if (step.is !== 'octet') continue
    begins[step.first] = 1
    begins[step.last + 1] = 1
  }
  const classes = new Uint8Array(OCTETS)
  const octets: number[] = []
  for (let octet = 0; octet < OCTETS; octet++) {
    if (begins[octet] === 1) octets.push(octet)
    classes[octet] = octets.length - 1
  }
  return { classes, octets }
}

/** Makes the table of states: each is a set of steps, and is gone on from with an octet of each class. */
class Builder {
  readonly #steps: readonly Step[]
  /** One octet of each class. */
  readonly #octets: readonly number[]
  readonly #entry: number
  readonly #states: State[] = []
  readonly #known = new Map<string, number>()
  readonly #seen: Uint32Array
  #look = 0
  #work = 0

  constructor(steps: readonly Step[], entry: number, octets: readonly number[]) {
    this.#steps = steps
    this.#entry = entry
    this.#octets = octets
    this.#seen = new Uint32Array(steps.length)
    this.#numberOf({ waiting: [], endsWell: false, isDone: false })
    this.#numberOf({ waiting: [], endsWell: true, isDone: true })
  }

  build(): { next: Uint16Array; endsWell: Uint8Array; start: number; work: number } {
    const count = this.#octets.length
    const start = this.#numberOf(this.#reach([this.#entry], true))
    const next: number[] = []
    for (let number = 0; number < this.#states.length; number++) {
      for (const octet of this.#octets)
        next.push(number < 2 ? number * count : this.#after(this.#states[number], octet) * count)
    }
    return {
      next: Uint16Array.from(next),
      endsWell: Uint8Array.from(this.#states, ({ endsWell }) => (endsWell ? 1 : 0)),
      start: start * count,
      work: this.#work,
    }
  }

  #numberOf(state: State): number {
    if (state.isDone && this.#states.length >= 2) return 1
    const key = `${state.endsWell} ${state.waiting.join(' ')}`
    const known = this.#known.get(key)
    if (known !== undefined && !state.isDone) return known
    if ((this.#states.length + 1) * this.#octets.length > ENTRIES_MAX)
      throw new PatternFault('it has too many ways to match', this.#work)
    const number = this.#states.push(state) - 1
    if (!state.isDone) this.#known.set(key, number)
    return number
  }

  #after(state: State, octet: number): number {
    // A match may begin behind any octet, too.
    const reached = [this.#entry]
    for (const at of state.waiting) {
      const step = this.#steps[at]
      if (step.is === 'octet' && step.first <= octet && octet <= step.last) reached.push(step.next)
    }
    this.#spend(state.waiting.length)
    return this.#numberOf(this.#reach(reached, false))
  }

  /** What can be reached without an octet. */
  #reach(from: readonly number[], atStart: boolean): State {
    const waiting: number[] = []
    const ends: number[] = []
    const isDone = this.#follow(from, atStart, waiting, ends)
    const endsWell = isDone || (ends.length > 0 && this.#follow(ends, atStart, [], null))
    return { waiting: waiting.sort((a, b) => a - b), endsWell, isDone }
  }

  /** Follows the steps that take no octet; true when one matches. `ends` gets those behind an end; null: the text has ended. */
  #follow(from: readonly number[], atStart: boolean, waiting: number[], ends: number[] | null): boolean {
    const look = ++this.#look
    const open = [...from]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (this.#seen[at] === look) continue
      this.#seen[at] = look
      this.#spend(1)
      const step = this.#steps[at]
      if (step.is === 'match') return true
      if (step.is === 'octet') waiting.push(at)
      else if (step.is === 'fork') open.push(step.next, step.other)
      else if (step.is === 'start') {
        if (atStart) open.push(step.next)
      } else if (ends === null) open.push(step.next)
      else ends.push(step.next)
    }
    return false
  }

  #spend(work: number): void {
    this.#work += work
    if (this.#work > WORK_MAX) throw new PatternFault('it has too many ways to match', this.#work)
  }
}
