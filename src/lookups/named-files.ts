/** Which files of visitors the rules of services name, and where. */
import { child } from '../config/pointer.ts'
import type { RuleSpec, Services } from '../config/schema.ts'
import type { NamedFile } from '../table/conditions/kind.ts'
import { filesOfWhen } from '../table/conditions/kinds.ts'

/** Lists of rules are never changed, only replaced, and there may be thousands of rules. */
const known = new WeakMap<readonly RuleSpec[], readonly NamedFile[]>()

/** The files that rules name; pointers are into the list. */
export function filesOfRules(rules: readonly RuleSpec[]): readonly NamedFile[] {
  const found =
    known.get(rules) ??
    rules.flatMap(({ when }, index) =>
      filesOfWhen(when).map(({ pointer, file }) => ({ pointer: `${child('', index)}/when${pointer}`, file })),
    )
  known.set(rules, found)
  return found
}

/** The files that services name; pointers are below `at`. */
export function filesOfServices(services: Services, at: string): readonly NamedFile[] {
  return Object.entries(services).flatMap(([name, { rules }]) =>
    filesOfRules(rules).map(({ pointer, file }) => ({ pointer: `${child(at, name)}/rules${pointer}`, file })),
  )
}
