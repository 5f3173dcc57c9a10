/**
 * The table of the kinds of conditions that `when` of a rule may have, and what is done by it: schema, checks, plan, index keys, test
 * and words of each stand in its entry (kind.ts), and nowhere else is a kind known by name. So the next kind is one entry here;
 * its examples make the tests try it in traffic, in explain and in the index (test/table/kinds.test.ts).
 *
 * Conditions are told in the order of this table.
 */
import type { Static } from 'typebox'
import type { Report } from '../../config/check-service.ts'
import { child } from '../../config/pointer.ts'
import { closed } from '../../config/schema-parts.ts'
import { Type } from '../../config/type.ts'
import { combinedKinds } from './combined.ts'
import { cookie, header, query } from './fields.ts'
import type { CheckContext, Condition, ConditionPlan, Keys, Kind, Need } from './kind.ts'
import { cidr, country, visitor } from './listed.ts'
import { share, time } from './moments.ts'
import { method, path } from './target.ts'

const SINGLE = { method, path, query, header, cookie, visitor, cidr, country, share, time } as const

type Single = typeof SINGLE
/** `when` as people write it. */
export interface WhenSpec extends Partial<{ [Name in keyof Single]: Static<Single[Name]['schema']> }> {
  all?: WhenSpec[]
  any?: WhenSpec[]
  not?: WhenSpec
}

/** Marks the schema of a `when` within a `when`, which is that of `when`: whoever goes through schemas asks `isNested`. */
const NESTED = 'when'
const NestedSchema = Type.Unsafe<WhenSpec>({
  type: 'object',
  minProperties: 1,
  $comment: NESTED,
  description: 'Conditions as in when, all of which must hold.',
})

/** Whether a schema stands for that of `when`. */
export const isNested = (schema: { readonly $comment?: unknown }): boolean => schema.$comment === NESTED

/** The kinds, by their key in `when`. */
export const KINDS = {
  ...SINGLE,
  ...combinedKinds<WhenSpec>(
    { check: checkWhen, plan: planWhen, keys: keysOf, compile: compileCondition, words: wordsOf, needs: needsOfWhen },
    NestedSchema,
  ),
} as const

const kinds: Readonly<Record<string, Kind>> = KINDS
const names = Object.keys(KINDS) as (keyof typeof KINDS)[]

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

/** The conditions of `when` of a rule, all of which must hold. */
export function planWhen(when: WhenSpec, rule: string): readonly ConditionPlan[] {
  return names.flatMap((name) => {
    const spec = when[name]
    return spec === undefined ? [] : kinds[name].plan(spec, rule).map((asks) => ({ kind: name, asks }))
  })
}

/** How an index finds a condition, or null. */
export function keysOf({ kind, asks }: ConditionPlan): Keys | null {
  return kinds[kind].keys(asks)
}

/** What requests are asked. */
export function compileCondition({ kind, asks }: ConditionPlan): Condition {
  return kinds[kind].compile(asks)
}

/** A condition for people. */
export function wordsOf({ kind, asks }: ConditionPlan): string {
  return kinds[kind].words(asks)
}

/** What a `when` looks up beside the table. */
export function needsOfWhen(when: WhenSpec): readonly Need[] {
  return names.flatMap((name) => {
    const spec = when[name]
    const found = spec === undefined ? [] : (kinds[name].needs?.(spec) ?? [])
    return found.map((need) => ({ ...need, pointer: child('', name) + need.pointer }))
  })
}
