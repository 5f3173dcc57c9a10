/**
 * Conditions made of others: `all`, `any`, `not`. What is under each entry is like `when` itself, all of which must hold, and may be
 * combined again.
 */
import type { Report } from '../../config/check-service.ts'
import { child } from '../../config/pointer.ts'
import { Type } from '../../config/type.ts'
import type { CheckContext, Condition, ConditionPlan, Keys, Kind, Need } from './kind.ts'

/** What the table does with a `when`, wherever it stands. */
export interface Nested<When> {
  check(report: Report, at: string, when: When, context: CheckContext): void
  plan(when: When, rule: string): readonly ConditionPlan[]
  keys(condition: ConditionPlan): Keys | null
  compile(condition: ConditionPlan): Condition
  words(condition: ConditionPlan): string
  needs(when: When): readonly Need[]
}

type Conjunction = readonly ConditionPlan[]

const ENTRIES_MAX = 100

/** The kinds `all`, `any` and `not` over a table of kinds; `schema` is that of a `when`. */
export function combinedKinds<When>(nested: Nested<When>, schema: ReturnType<typeof Type.Unsafe<When>>) {
  const list = (description: string) => Type.Array(schema, { minItems: 1, maxItems: ENTRIES_MAX, description })

  const { checkOne, checkList, needsOfList } = entriesOf(nested)
  const bestKeys = (conditions: Conjunction): Keys | null => bestOf(conditions.map(nested.keys))
  const compileAll = (conditions: Conjunction): Condition => allOf(conditions.map(nested.compile))
  const wordsOfAll = (conditions: Conjunction): string => conditions.map(nested.words).join(' and ')

  const all = {
    schema: list('All of these hold.'),
    check: checkList,
    plan: (whens, rule) => [whens.flatMap((when) => nested.plan(when, rule))],
    keys: partly(bestKeys),
    compile: compileAll,
    words: wordsOfAll,
    needs: needsOfList,
    examples: [
      {
        spec: [{ header: { 'x-a': '1' } }, { header: { 'x-a': '2' } }] as When[],
        held: { headers: { 'x-a': ['1', '2'] } },
        failed: { headers: { 'x-a': '2' } },
      },
    ],
  } satisfies Kind<When[], Conjunction>

  const any = {
    schema: list('At least one of these holds.'),
    check: checkList,
    plan: (whens, rule) => [whens.map((when) => nested.plan(when, rule))],
    keys: partly((branches) => {
      const found = branches.map(bestKeys)
      return found.includes(null) ? null : { filings: found.flatMap((keys) => keys?.filings ?? []), whole: false }
    }),
    compile: (branches) => anyOf(branches.map(compileAll)),
    words: (branches) => `(${branches.map(wordsOfAll).join(' or ')})`,
    needs: needsOfList,
    examples: [
      {
        spec: [{ header: { 'x-b': '1' } }, { cidr: ['10.9.0.0/16'] }] as When[],
        held: { ip: '10.9.0.1' },
        failed: { ip: '10.8.0.1' },
      },
    ],
  } satisfies Kind<When[], readonly Conjunction[]>

  const not = {
    schema: { ...schema, description: 'Not all of these hold.' } as typeof schema,
    check: checkOne,
    plan: (when, rule) => [nested.plan(when, rule)],
    keys: () => null,
    compile(conditions) {
      const inner = compileAll(conditions)
      return { holds: (view, visitor) => !inner.holds(view, visitor) }
    },
    words: (conditions) => `not (${wordsOfAll(conditions)})`,
    needs: nested.needs,
    examples: [
      {
        spec: { header: { 'x-c': '1' } } as When,
        held: { headers: { 'x-c': '2' } },
        failed: { headers: { 'x-c': ['2', '1'] } },
      },
    ],
  } satisfies Kind<When, Conjunction>

  return { all, any, not }
}

/** What is asked of the entries before they are plans. */
function entriesOf<When>(nested: Nested<When>) {
  function checkOne(report: Report, at: string, when: When, context: CheckContext): void {
    if (!report.present(at)) return
    nested.check(report, at, when, context)
    if (report.sound(at) && isNothing(when)) report.add(at, 'this asks for nothing')
  }
  return {
    checkOne,
    checkList(report: Report, at: string, whens: readonly When[], context: CheckContext): void {
      for (const [index, when] of whens.entries()) checkOne(report, child(at, index), when, context)
    },
    needsOfList: (whens: readonly When[]): Need[] =>
      whens.flatMap((when, index) =>
        nested.needs(when).map((need) => ({ ...need, pointer: child('', index) + need.pointer })),
      ),
  }
}

/** A map of no fields, and nothing else. */
const isNothing = (when: unknown): boolean =>
  Object.values(when as object).every((spec) => isMap(spec) && Object.keys(spec).length === 0)

const isMap = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value)

/** What is found by one of several conditions has still to be asked for the others. */
const partly =
  <Asks>(keysOf: (asks: Asks) => Keys | null) =>
  (asks: Asks): Keys | null => {
    const keys = keysOf(asks)
    return keys === null ? null : { ...keys, whole: false }
  }

function allOf(conditions: readonly Condition[]): Condition {
  if (conditions.length === 1) return conditions[0]
  return {
    holds(view, visitor) {
      for (let at = 0; at < conditions.length; at++) if (!conditions[at].holds(view, visitor)) return false
      return true
    },
  }
}

function anyOf(conditions: readonly Condition[]): Condition {
  return {
    holds(view, visitor) {
      for (let at = 0; at < conditions.length; at++) if (conditions[at].holds(view, visitor)) return true
      return false
    },
  }
}

/** How the best found of several conditions is: one by a value before one by presence. */
function bestOf(all: readonly (Keys | null)[]): Keys | null {
  const found = all.filter((keys) => keys !== null)
  return found.find(({ filings }) => filings.every(({ values }) => values !== null)) ?? found[0] ?? null
}
