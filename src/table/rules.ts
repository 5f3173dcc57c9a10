/**
 * Targeting rules: which ones match a request, in their order. All conditions that a rule names must hold.
 *
 * Header and cookie values are compared exactly, `*` means that the field must only be there. Of a header that comes more than once
 * any line will do, and all of them joined (RFC 9110 5.3), since proxies on the way may join them. A visitor list is asked with
 * the visitor key that the service's sources find; a network with the client address after trusted proxies.
 *
 * A few rules are scanned; many are indexed, and only those that may match are checked (condition-index.ts). Both find the
 * same. Compiled rules name pools and hold none, so they outlive every change of a service but that of its rules.
 */
import { type ConditionIndex, indexConditions } from './condition-index.ts'
import { inNetworks, knownNetwork } from './network.ts'
import type { RulePlan } from './plan.ts'
import type { Network, RequestView } from './types.ts'

/** Rules of a service that are scanned; a longer list gets an index. */
export const SCANNED_MAX = 8

/** The rules of a service, compiled. */
export interface RuleSet {
  readonly list: readonly RuleTable[]
  /** Over `list`; null when it is short. */
  readonly index: ConditionIndex | null
}

/** A rule, and what is to be checked of it; the index has checked what is null here though the plan names it. */
export interface RuleTable {
  readonly plan: RulePlan
  readonly visitors: ReadonlySet<string> | null
  readonly networks: readonly Network[] | null
}

/** Compiles rules. Throws (a bug) when a network does not parse. */
export function compileRules(plans: readonly RulePlan[], scannedMax = SCANNED_MAX): RuleSet {
  const conditional = plans.filter(hasCondition)
  const index = conditional.length > scannedMax ? indexConditions(conditional) : null
  return { list: conditional.map((plan, at) => compileRule(plan, index?.filed[at])), index }
}

/** A rule without any condition (an empty list of testers, say) matches nobody rather than everybody. */
function hasCondition(rule: RulePlan): boolean {
  return rule.header.length > 0 || rule.cookie.length > 0 || rule.visitor.length > 0 || rule.cidr.length > 0
}

function compileRule(plan: RulePlan, filed: ConditionIndex['filed'][number] | undefined): RuleTable {
  return {
    plan,
    visitors: plan.visitor.length === 0 || filed === 'visitor' ? null : new Set(plan.visitor),
    networks: plan.cidr.length === 0 || filed === 'cidr' ? null : plan.cidr.map(knownNetwork),
  }
}

/** Whether every condition of a rule that is still to be checked holds for a request. */
export function ruleMatches(rule: RuleTable, view: RequestView, visitor: string | null): boolean {
  const { header, cookie } = rule.plan
  for (let at = 0; at < header.length; at++) if (!view.headerHas(header[at][0], header[at][1])) return false
  for (let at = 0; at < cookie.length; at++) if (!holds(view.cookie(cookie[at][0]), cookie[at][1])) return false
  if (rule.visitors !== null && (visitor === null || !rule.visitors.has(visitor))) return false
  return rule.networks === null || inNetworks(rule.networks, view.address)
}

function holds(given: string | undefined, wanted: string): boolean {
  return given !== undefined && (wanted === '*' || wanted === given)
}
