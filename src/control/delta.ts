/**
 * What the workers are sent of a change: of each service that changed, its status, and of its plan what differs from the one
 * that they have. A switch of a service with thousands of routes or rules is then as small as any other, and the tables
 * keep what they have built of the rest (table/build.ts). Pure.
 */
import type { Snapshot } from '../change.ts'
import { planService } from '../config/plan.ts'
import { equalJson, own } from '../config/record.ts'
import type { ServicePlan } from '../table/plan.ts'
import type { ServiceChange, TableDelta } from '../table/types.ts'

/** The delta from one snapshot, which the workers have, to the next; `names` are the services that may differ. */
export function deltaBetween(present: Snapshot, next: Snapshot, names: readonly string[]): TableDelta {
  const changes = names.map((name): [string, ServiceChange | null] => {
    const [before, spec] = [own(present.services, name), own(next.services, name)]
    const status = own(next.status, name)
    if (spec === undefined || status === undefined) return [name, null]
    if (before === spec) return [name, { plan: {}, status }]
    return [name, { plan: differing(before && planService(name, before), planService(name, spec)), status }]
  })
  return { epoch: next.epoch, revision: next.revision, services: Object.fromEntries(changes) }
}

function differing(before: ServicePlan | undefined, plan: ServicePlan): Partial<ServicePlan> {
  if (before === undefined) return plan
  const was: Readonly<Record<string, unknown>> = { ...before }
  return Object.fromEntries(Object.entries(plan).filter(([key, value]) => !equalJson(was[key], value)))
}
