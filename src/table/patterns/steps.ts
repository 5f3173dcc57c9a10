/**
 * A pattern as steps that take octets: what the tree of syntax.ts says, with each character as the octets of its UTF-8. Where several
 * steps may come next, all of them are meant at once (automaton.ts).
 */
import { octetsOfText } from '../octets.ts'
import { PatternFault, type Ranges, type Tree } from './syntax.ts'

export type Step =
  | { readonly is: 'octet'; readonly first: number; readonly last: number; readonly next: number }
  | { readonly is: 'fork'; next: number; readonly other: number }
  | { readonly is: 'start' | 'end'; readonly next: number }
  | { readonly is: 'match' }

/** Parts of patterns that are gone into; more would cost whoever compiles. */
const PARTS_MAX = 20_000
/** Last code points of one, two and three octets. */
const LENGTH_ENDS = [0x7f, 0x7ff, 0xffff]

/** The steps of a pattern, and which is the first. Throws a `PatternFault` when they are too many. */
export function stepsOf(tree: Tree): { readonly steps: readonly Step[]; readonly entry: number } {
  const steps: Step[] = [{ is: 'match' }]
  let parts = 0

  const add = (step: Step): number => {
    if (steps.length >= PARTS_MAX) throw new PatternFault('it repeats too much', PARTS_MAX)
    return steps.push(step) - 1
  }

  /** The step that a part begins with, when `next` comes behind it. */
  function stepOf(part: Tree, next: number): number {
    if (++parts > PARTS_MAX) throw new PatternFault('it repeats too much', PARTS_MAX)
    switch (part.is) {
      case 'set':
        return setOf(part.ranges, next)
      case 'sequence':
        return part.parts.reduceRight((behind, each) => stepOf(each, behind), next)
      case 'choice':
        return part.parts
          .map((each) => stepOf(each, next))
          .reduce((other, each) => add({ is: 'fork', next: each, other }))
      case 'repeat':
        return repeatOf(part, next)
      default:
        return add({ is: part.is, next })
    }
  }

  function repeatOf({ part, min, max }: Tree & { is: 'repeat' }, next: number): number {
    let behind = next
    if (max === Infinity) {
      const fork: Step = { is: 'fork', next: -1, other: next }
      behind = add(fork)
      fork.next = stepOf(part, behind)
    }
    for (let count = min; count < max && max !== Infinity; count++) {
      behind = add({ is: 'fork', next: stepOf(part, behind), other: next })
    }
    for (let count = 0; count < min; count++) behind = stepOf(part, behind)
    return behind
  }

  function setOf(ranges: Ranges, next: number): number {
    // Characters that end alike share the steps of their last octets.
    const known = new Map<string, number>()
    let entry = -1
    for (const octets of ranges.flatMap(([first, last]) => octetRanges(first, last))) {
      let behind = next
      for (const [first, last] of octets.toReversed()) {
        const key = `${first} ${last} ${behind}`
        const step = known.get(key) ?? add({ is: 'octet', first, last, next: behind })
        known.set(key, step)
        behind = step
      }
      entry = entry === -1 ? behind : add({ is: 'fork', next: behind, other: entry })
    }
    // A set of no character leads nowhere.
    return entry === -1 ? add({ is: 'octet', first: 1, last: 0, next }) : entry
  }

  return { entry: stepOf(tree, 0), steps }
}

type Octets = readonly (readonly [first: number, last: number])[]

/** Code points from `first` to `last` as runs of octets: a range for each octet, and any of one goes with any of the next. */
function octetRanges(first: number, last: number): Octets[] {
  const cut = (end: number): Octets[] => [...octetRanges(first, end), ...octetRanges(end + 1, last)]
  for (const end of LENGTH_ENDS) if (first <= end && end < last) return cut(end)
  const [from, to] = [octetsOf(first), octetsOf(last)]
  // Where a leading octet differs, all that follows must run from its first to its last value.
  for (let behind = 1; behind < from.length; behind++) {
    const rest = 64 ** behind
    if (Math.floor(first / rest) === Math.floor(last / rest)) continue
    if (first % rest !== 0) return cut((Math.floor(first / rest) + 1) * rest - 1)
    if (last % rest !== rest - 1) return cut(Math.floor(last / rest) * rest - 1)
  }
  return [from.map((octet, at) => [octet, to[at]])]
}

const octetsOf = (code: number): number[] =>
  Array.from(octetsOfText(String.fromCodePoint(code)), (octet) => octet.charCodeAt(0))
