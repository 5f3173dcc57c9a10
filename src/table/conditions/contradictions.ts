/**
 * Conditions that can never hold together, though each of them may: a rule with such is there, and matches nobody.
 *
 * Only what is proven is told. A request has one method, one path, one visitor, one address and one moment, so two demands of these may
 * exclude each other; a header, a cookie or a parameter may be sent twice, so `a=1` and `a=2` may well hold at once. What is asked for
 * and not asked for at once never holds, whatever it is. Where it would take too long to find out (patterns), it may hold.
 *
 * It works on plans, so on what requests are compared with.
 */
import { contains, knownNetwork } from '../network.ts'
import { Automaton } from '../patterns/automaton.ts'
import type { ConditionPlan } from './kind.ts'
import { wordsOf } from './kinds.ts'
import type { TimeAsks } from './moments.ts'
import type { PathAsks } from './target.ts'
import { compileText, type TextAsks } from './texts.ts'

type Conditions = readonly ConditionPlan[]

/** What is looked at for one rule: pairs of conditions and of states of patterns, texts, and steps of patterns that are made. */
const WORK_MAX = 300_000
/** Nested deeper, nothing is looked for. */
const DEPTH_MAX = 8

/** What is asked of a request: some things, not others, and one of several. */
interface Demands {
  readonly plain: readonly ConditionPlan[]
  readonly nots: readonly Conditions[]
  readonly anys: readonly (readonly Conditions[])[]
}

function demandsOf(conditions: Conditions): Demands {
  const plain: ConditionPlan[] = []
  const nots: Conditions[] = []
  const anys: (readonly Conditions[])[] = []
  const open = [...conditions]
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    if (next.kind === 'all') open.unshift(...(next.asks as Conditions))
    else if (next.kind === 'not') nots.push(next.asks as Conditions)
    else if (next.kind === 'any') anys.push(next.asks as readonly Conditions[])
    else plain.push(next)
  }
  return { plain, nots, anys }
}

/** How much may still be looked at, for all rules of a service together. */
export interface Budget {
  left: number
}

/** Why conditions never hold together, as a sentence; null when they may. */
export function neverTogether(conditions: Conditions, budget: Budget): string | null {
  return new Search(budget).never(conditions, 0)
}

/** Places of the branches of `any` among the conditions that never hold by themselves, with the reason. */
export function vainBranches(
  conditions: Conditions,
  budget: Budget,
): readonly { readonly index: number; readonly why: string }[] {
  const any = conditions.find(({ kind }) => kind === 'any')
  return ((any?.asks ?? []) as readonly Conditions[]).flatMap((branch, index) => {
    const why = neverTogether(branch, budget)
    return why === null ? [] : [{ index, why }]
  })
}

type TestFor = (texts: readonly string[], asks: TextAsks) => (text: string) => boolean

class Search {
  #work = 0
  readonly #budget: Budget
  readonly #patterns = new Map<string, Automaton>()

  constructor(budget: Budget) {
    this.#budget = budget
  }

  never(conditions: Conditions, depth: number): string | null {
    const { plain, nots, anys } = demandsOf(conditions)
    if (depth > DEPTH_MAX || !this.#spend(0)) return null
    for (let at = 0; at < plain.length && this.#spend(0); at++) {
      for (let beside = at + 1; beside < plain.length && this.#spend(1); beside++) {
        const [one, other] = [plain[at], plain[beside]]
        if (this.#exclude(one, other)) return `${wordsOf(one)} and ${wordsOf(other)} never hold at once`
      }
    }
    for (const not of nots) {
      if (not.every((each) => this.#follows(each, plain, depth))) {
        return `not (${not.map(wordsOf).join(' and ')}) never holds beside the rest`
      }
    }
    const rest = [...plain, ...nots.map((asks) => ({ kind: 'not', asks }))]
    for (const branches of anys) {
      if (branches.every((branch) => this.never([...rest, ...branch], depth + 1) !== null)) {
        return 'no entry of any can hold beside the rest'
      }
    }
    return null
  }

  /** Whether a condition holds wherever these do. */
  #follows(condition: ConditionPlan, from: Conditions, depth: number): boolean {
    const { kind, asks } = condition
    const all = (conditions: Conditions) => conditions.every((each) => this.#follows(each, from, depth))
    if (kind === 'all') return all(asks as Conditions)
    if (kind === 'any') return (asks as readonly Conditions[]).some(all)
    if (kind === 'not') return this.never([...from, ...(asks as Conditions)], depth + 1) !== null
    return (
      isAlways(condition) ||
      from.some((each) => this.#spend(1) && each.kind === kind && implies(each, condition, this.#testFor))
    )
  }

  /** Whether there is work left to do. */
  #spend(work: number): boolean {
    this.#work += work
    this.#budget.left -= work
    return this.#work <= WORK_MAX && this.#budget.left >= 0
  }

  /** Whether no request is both. */
  #exclude(one: ConditionPlan, other: ConditionPlan): boolean {
    if (one.kind !== other.kind || !this.#spend(1)) return false
    switch (one.kind) {
      case 'method':
      case 'country':
        return isDisjoint(one.asks as readonly string[], other.asks as readonly string[])
      case 'visitor':
        return Array.isArray(one.asks) && Array.isArray(other.asks) && isDisjoint(one.asks, other.asks)
      case 'cidr': {
        const [ours, theirs] = [networksOf(one), networksOf(other)]
        const meets = (a: (typeof ours)[number]) =>
          theirs.some((b) => contains(a.bits < b.bits ? a : b, (a.bits < b.bits ? b : a).words))
        return !ours.some(meets)
      }
      case 'time': {
        const [ours, theirs] = [spanOf(one), spanOf(other)]
        return ours !== null && theirs !== null && (ours.endMs <= theirs.fromMs || theirs.endMs <= ours.fromMs)
      }
      case 'path':
        return this.#isNoPath(one.asks as PathAsks, other.asks as PathAsks)
      default:
        return false
    }
  }

  #isNoPath(one: PathAsks, other: PathAsks): boolean {
    const [a, b] = [one.asks, other.asks]
    for (const [texts, test, isSeen] of [
      [textsOf(a), b, isComparable(one, other)],
      [textsOf(b), a, isComparable(other, one)],
    ] as const) {
      if (texts !== null) return isSeen && !texts.some(this.#testFor(texts, test))
    }
    if (a.is === 'prefix' && b.is === 'prefix') return !a.text.startsWith(b.text) && !b.text.startsWith(a.text)
    if (one.isEscaped !== other.isEscaped) return false
    if (a.is === 'prefix' && b.is === 'pattern') return !this.#patternOf(b.text).canBegin(a.text)
    if (a.is === 'pattern' && b.is === 'prefix') return !this.#patternOf(a.text).canBegin(b.text)
    if (a.is !== 'pattern' || b.is !== 'pattern') return false
    const [first, second] = [this.#patternOf(a.text), this.#patternOf(b.text)]
    const { meets, work } = first.meets(second, Math.min(WORK_MAX - this.#work, this.#budget.left))
    return this.#spend(work) && !meets
  }

  /** What is asked of each of these texts. That takes as much as they are many, and what it takes to make a pattern. */
  readonly #testFor: TestFor = (texts, asks) => {
    this.#spend(texts.length)
    const test = asks.is === 'pattern' ? this.#patternOf(asks.text) : compileText(asks)
    return (text) => test.holds(text)
  }

  #patternOf(text: string): Automaton {
    const known = this.#patterns.get(text)
    if (known !== undefined) return known
    const made = new Automaton(text)
    this.#spend(made.work)
    this.#patterns.set(text, made)
    return made
  }
}

/** A pattern without escapes looks at the path as it came, where the case of their digits is open. */
const isComparable = (known: PathAsks, test: PathAsks): boolean =>
  !known.isEscaped || test.isEscaped || test.asks.is !== 'pattern'

/** All texts that pass; null where they cannot be listed. */
function textsOf(asks: TextAsks): readonly string[] | null {
  if (asks.is === 'exact') return [asks.text]
  return asks.is === 'oneOf' ? asks.texts : null
}

const isDisjoint = (a: readonly unknown[], b: readonly unknown[]): boolean => new Set(a).isDisjointFrom(new Set(b))

const networksOf = ({ asks }: ConditionPlan) => (asks as readonly string[]).map(knownNetwork)

/** The one span of time that is asked for; null where there are many. */
function spanOf({ asks }: ConditionPlan): { readonly fromMs: number; readonly endMs: number } | null {
  const time = asks as TimeAsks
  return 'daily' in time ? null : { fromMs: time.fromMs ?? -Infinity, endMs: time.untilMs ?? Infinity }
}

/** Whether a condition holds for every request. */
function isAlways(condition: ConditionPlan): boolean {
  const { kind, asks } = condition
  if (kind === 'path') {
    const { asks: text } = asks as PathAsks
    return text.is === 'prefix' && text.text === '/'
  }
  return kind === 'cidr' && networksOf(condition).some(({ bits }) => bits === 0)
}

/** Whether the second of two conditions of one kind holds wherever the first does. */
function implies(one: ConditionPlan, other: ConditionPlan, testFor: TestFor): boolean {
  if (JSON.stringify(one.asks) === JSON.stringify(other.asks)) return true
  switch (one.kind) {
    case 'method':
    case 'country':
      return isWithin(one.asks as readonly string[], other.asks as readonly string[])
    case 'visitor':
      return Array.isArray(one.asks) && Array.isArray(other.asks) && isWithin(one.asks, other.asks)
    case 'cidr': {
      const [ours, theirs] = [networksOf(one), networksOf(other)]
      return ours.every((a) => theirs.some((b) => b.bits <= a.bits && contains(b, a.words)))
    }
    case 'time': {
      const [ours, theirs] = [spanOf(one), spanOf(other)]
      return ours !== null && theirs !== null && theirs.fromMs <= ours.fromMs && ours.endMs <= theirs.endMs
    }
    case 'share': {
      const [ours, theirs] = [one.asks, other.asks] as { readonly percent: number; readonly rule: string }[]
      return ours.rule === theirs.rule && ours.percent <= theirs.percent
    }
    case 'path': {
      const [ours, theirs] = [one.asks as PathAsks, other.asks as PathAsks]
      return isComparable(ours, theirs) && isNarrower(ours.asks, theirs.asks, testFor)
    }
    case 'header':
    case 'cookie':
    case 'query': {
      const [ours, theirs] = [one.asks, other.asks] as { readonly name: string; readonly asks: TextAsks }[]
      return ours.name === theirs.name && isNarrower(ours.asks, theirs.asks, testFor)
    }
    default:
      return false
  }
}

const isWithin = (a: readonly unknown[], b: readonly unknown[]): boolean => new Set(a).isSubsetOf(new Set(b))

/** Whether every text that passes the first passes the second. */
function isNarrower(one: TextAsks, other: TextAsks, testFor: TestFor): boolean {
  if (other.is === 'present') return true
  const texts = textsOf(one)
  if (texts !== null) return texts.every(testFor(texts, other))
  return one.is === 'prefix' && other.is === 'prefix' && one.text.startsWith(other.text)
}
