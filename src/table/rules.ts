/**
 * Targeting rules: which ones match a request, in their order. All conditions that a rule names must hold; which there are, and what
 * they mean, is in the table of kinds (conditions/kinds.ts).
 *
 * A few rules are scanned; many are indexed, and only those that may match are checked (condition-index.ts). Both find the
 * same. Compiled rules name pools and hold none, so they outlive every change of a service but that of its rules.
 */
import { type ConditionIndex, indexConditions } from './condition-index.ts'
import type { Condition } from './conditions/kind.ts'
import { compileCondition, keysOf } from './conditions/kinds.ts'
import type { RulePlan } from './plan.ts'
import type { RequestView } from './types.ts'

/** Rules of a service that are scanned; a longer list gets an index. */
export const SCANNED_MAX = 8

/** The rules of a service, compiled. */
export interface RuleSet {
  readonly list: readonly RuleTable[]
  /** Over `list`; null when it is short. */
  readonly index: ConditionIndex | null
}

/** A rule, and what is to be checked of it: all that its plan names, but for what the index has checked. */
export interface RuleTable {
  readonly plan: RulePlan
  readonly conditions: readonly Condition[]
}

/** Compiles rules. Throws (a bug) when a plan cannot be. */
export function compileRules(plans: readonly RulePlan[], scannedMax = SCANNED_MAX): RuleSet {
  // A rule without any condition matches nobody rather than everybody.
  const conditional = plans.filter(({ when }) => when.length > 0)
  if (conditional.length <= scannedMax) return { list: conditional.map((plan) => compileRule(plan, -1)), index: null }
  const index = indexConditions(conditional.map(({ when }) => when.map(keysOf)))
  return { list: conditional.map((plan, at) => compileRule(plan, index.checked[at])), index }
}

/** `checked`: place of the condition that needs no more checking, or -1. */
function compileRule(plan: RulePlan, checked: number): RuleTable {
  return { plan, conditions: plan.when.filter((_, place) => place !== checked).map(compileCondition) }
}

/** Whether every condition of a rule that is still to be checked holds for a request. */
export function ruleMatches({ conditions }: RuleTable, view: RequestView, visitor: string | null): boolean {
  for (let at = 0; at < conditions.length; at++) if (!conditions[at].holds(view, visitor)) return false
  return true
}
