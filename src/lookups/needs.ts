/** What the rules of services, and their pages for maintenance, look up beside the table, and where they say so. */
import { child } from '../config/pointer.ts'
import type { RuleSpec, ServiceSpec, Services } from '../config/schema.ts'
import type { Need } from '../table/conditions/kind.ts'
import { needsOfWhen } from '../table/conditions/kinds.ts'

/** Lists of rules are never changed, only replaced, and there may be thousands of rules. */
const known = new WeakMap<readonly RuleSpec[], readonly Need[]>()

/** Pointers are into the list. */
function needsOfRules(rules: readonly RuleSpec[]): readonly Need[] {
  const found =
    known.get(rules) ??
    rules.flatMap(({ when }, index) =>
      needsOfWhen(when).map((need) => ({ ...need, pointer: `${child('', index)}/when${need.pointer}` })),
    )
  known.set(rules, found)
  return found
}

/** What a service looks up; pointers are into its spec. */
export function needsOfService({ rules, maintenance }: Pick<ServiceSpec, 'rules' | 'maintenance'>): readonly Need[] {
  const found = needsOfRules(rules).map((need) => ({ ...need, pointer: `/rules${need.pointer}` }))
  if (maintenance === undefined) return found
  const { file, allow } = maintenance
  const page: Need[] = file === undefined ? [] : [{ kind: 'page', name: file, pointer: '/maintenance/file' }]
  const allowed = allow === undefined ? [] : needsOfWhen(allow)
  return [...found, ...page, ...allowed.map((need) => ({ ...need, pointer: `/maintenance/allow${need.pointer}` }))]
}

/** What services look up; pointers are below `at`. */
export function needsOfServices(services: Services, at: string): readonly Need[] {
  return Object.entries(services).flatMap(([name, spec]) =>
    needsOfService(spec).map((need) => ({ ...need, pointer: child(at, name) + need.pointer })),
  )
}
