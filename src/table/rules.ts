/**
 * Targeting rules: whether one matches a request. All conditions that a rule names must hold.
 *
 * Header and cookie values are compared exactly, `*` means that the field must only be there. A visitor list is asked with
 * the visitor key that the service's sources find; a network with the client address after trusted proxies.
 */
import { inNetworks } from './network.ts'
import type { RequestView, RuleTable } from './types.ts'

/** Whether every condition of a rule holds for a request. */
export function ruleMatches(rule: RuleTable, view: RequestView, visitor: string | null): boolean {
  for (const [name, value] of rule.plan.header) if (!holds(view.header(name), value)) return false
  for (const [name, value] of rule.plan.cookie) if (!holds(view.cookie(name), value)) return false
  if (rule.visitors !== null && (visitor === null || !rule.visitors.has(visitor))) return false
  return rule.networks === null || inNetworks(rule.networks, view.address)
}

function holds(given: string | undefined, wanted: string): boolean {
  return given !== undefined && (wanted === '*' || wanted === given)
}
