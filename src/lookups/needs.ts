/** What the rules of services look up beside the table, and where they say so. */
import { child } from '../config/pointer.ts'
import type { RuleSpec, Services } from '../config/schema.ts'
import type { Need } from '../table/conditions/kind.ts'
import { needsOfWhen } from '../table/conditions/kinds.ts'

/** Lists of rules are never changed, only replaced, and there may be thousands of rules. */
const known = new WeakMap<readonly RuleSpec[], readonly Need[]>()

/** What rules look up; pointers are into the list. */
export function needsOfRules(rules: readonly RuleSpec[]): readonly Need[] {
  const found =
    known.get(rules) ??
    rules.flatMap(({ when }, index) =>
      needsOfWhen(when).map((need) => ({ ...need, pointer: `${child('', index)}/when${need.pointer}` })),
    )
  known.set(rules, found)
  return found
}

/** What services look up; pointers are below `at`. */
export function needsOfServices(services: Services, at: string): readonly Need[] {
  return Object.entries(services).flatMap(([name, { rules }]) =>
    needsOfRules(rules).map((need) => ({ ...need, pointer: `${child(at, name)}/rules${need.pointer}` })),
  )
}
