/**
 * The table of the kinds of conditions that `when` of a rule may have, and what is done by it: schema, checks, plan, index keys, test
 * and words of each stand in its entry (kind.ts), and nowhere else is a kind known by name. So the next kind is one entry here;
 * its example makes the tests try it in traffic, in explain and in the index (test/table/kinds.test.ts).
 *
 * Conditions are told in the order of this table.
 */
import type { Static } from 'typebox'
import type { Report } from '../../config/check-service.ts'
import { child } from '../../config/pointer.ts'
import { closed } from '../../config/schema-parts.ts'
import { Type } from '../../config/type.ts'
import { cookie, header } from './fields.ts'
import type { CheckContext, Condition, ConditionPlan, Keys, Kind } from './kind.ts'
import { cidr, visitor } from './listed.ts'

/** The kinds, by their key in `when`. */
export const KINDS = { header, cookie, visitor, cidr } as const

type Kinds = typeof KINDS
const kinds: Readonly<Record<string, Kind>> = KINDS
const names = Object.keys(KINDS) as (keyof Kinds)[]

/** `when` as people write it. */
export type WhenSpec = { [Name in keyof Kinds]?: Static<Kinds[Name]['schema']> }

/** The schema of `when`. */
export const WhenSchema = Type.Unsafe<WhenSpec>(
  closed(Object.fromEntries(names.map((name) => [name, Type.Optional(KINDS[name].schema)])), {
    minProperties: 1,
    description: 'All of the given conditions must hold.',
  }),
)

/** Adds every fault of `when`, whatever of it passed the schema. */
export function checkWhen(report: Report, at: string, when: WhenSpec, context: CheckContext): void {
  for (const name of names) {
    const spec = when[name]
    if (spec !== undefined && report.present(child(at, name))) kinds[name].check(report, child(at, name), spec, context)
  }
}

/** The conditions of `when`, all of which must hold. */
export const planWhen = (when: WhenSpec): readonly ConditionPlan[] =>
  names.flatMap((name) => {
    const spec = when[name]
    return spec === undefined ? [] : kinds[name].plan(spec).map((asks) => ({ kind: name, asks }))
  })

/** How an index finds a condition, or null. */
export const keysOf = ({ kind, asks }: ConditionPlan): Keys | null => kinds[kind].keys(asks)

/** What requests are asked. */
export const compileCondition = ({ kind, asks }: ConditionPlan): Condition => kinds[kind].compile(asks)

/** A condition for people. */
export const wordsOf = ({ kind, asks }: ConditionPlan): string => kinds[kind].words(asks)
