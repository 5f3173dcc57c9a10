/**
 * Maintenance of a service: whoever comes is answered by a page, but for those whom `allow` lets through. Pure.
 *
 * - It is switched on and off by a person and never ends by itself. What the page is, and who passes it, the config says.
 * - It is looked at before a hold, so nobody waits to be told. A request that was let in before goes on, to its last attempt.
 * - Preview hosts are not closed: they show a pool to those who work at it, who are the ones that may be seen meanwhile. Probes go on.
 * - `allow` is a condition as rules have them (conditions/kinds.ts), and nothing else is known of it here.
 */
import type { Condition } from './conditions/kind.ts'
import { compileCondition } from './conditions/kinds.ts'
import type { Earlier } from './earlier.ts'
import type { MaintenancePlan } from './plan.ts'
import type { RequestView, ServiceTable } from './types.ts'
import { keepsAnything, visitorKey } from './visitor.ts'

/** That somebody has switched it on, and when; steady ms. */
export interface MaintenanceIntent {
  readonly sinceMs: number
}

/** What a service that says nothing of it gives. */
export const MAINTENANCE_DEFAULT: MaintenancePlan = Object.freeze({
  status: 503,
  retryAfterS: 120,
  contentType: 'text/html; charset=utf-8',
  body: null,
  file: null,
  allow: [],
})

/** The maintenance of a service while it is on. */
export interface Maintenance {
  readonly plan: MaintenancePlan
  /** All of them hold for whoever passes; none: nobody does. */
  readonly allow: readonly Condition[]
}

/** null while it is off. */
export function maintenanceOf(plan: MaintenancePlan | null, intent: MaintenanceIntent | undefined): Maintenance | null {
  if (intent === undefined) return null
  const page = plan ?? MAINTENANCE_DEFAULT
  return { plan: page, allow: page.allow.map(compileCondition) }
}

/** Whether a request is answered by the page now. */
export function isClosedTo(
  view: RequestView,
  service: ServiceTable,
  { allow }: Maintenance,
  { isLetIn = false }: Earlier,
): boolean {
  if (isLetIn) return false
  if (allow.length === 0) return true
  const own = service.sticky === null ? null : view.ownCookie(service)
  const visitor = visitorKey(view, service.visitor, keepsAnything(service.sticky) ? own : null)
  return !allow.every((condition) => condition.holds(view, visitor))
}
