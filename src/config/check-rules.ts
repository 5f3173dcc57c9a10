/**
 * What the schema cannot say of targeting rules: that their names differ, that their pools are there, and that each may have an effect.
 */
import { neverTogether, vainBranches } from '../table/conditions/contradictions.ts'
import type { CheckContext } from '../table/conditions/kind.ts'
import { checkWhen, planWhen } from '../table/conditions/kinds.ts'
import type { Report } from './check-service.ts'
import { didYouMean, nearest } from './nearest.ts'
import { child } from './pointer.ts'
import type { RuleSpec } from './schema.ts'

/** Pairs that are looked at for all rules of a service together. */
const SEARCH_MAX = 1_000_000
const NOTHING = 'this asks for nothing'

/** Adds a fault unless `name` is one of the pools. */
export function checkPool(
  report: Report,
  at: string,
  name: string,
  pools: readonly string[] | null,
  about?: 'key',
): void {
  if (pools === null || pools.includes(name) || !report.sound(at)) return
  const meant = nearest(name, pools)
  const instead = meant === null ? ` (pools here: ${pools.join(', ')})` : didYouMean(meant)
  report.add(at, `unknown pool ${JSON.stringify(name)}${instead}`, { about, ...(meant === null ? {} : { meant }) })
}

/** Adds every fault of a list of rules; unknown pools only when `pools` are given. `sources` are those of the visitor. */
export function checkRules(
  report: Report,
  at: string,
  rules: readonly RuleSpec[],
  pools: readonly string[] | null,
  sources: readonly string[],
): void {
  const firsts = new Map<string, number>()
  const context = contextOf(sources)
  const search = { left: SEARCH_MAX }
  for (const [index, rule] of rules.entries()) {
    const ruleAt = child(at, index)
    if (!report.present(ruleAt)) continue
    checkOutcome(report, ruleAt, rule, pools)
    checkRuleWhen(report, child(ruleAt, 'when'), rule, context, search)
    const nameAt = child(ruleAt, 'name')
    if (!report.sound(nameAt)) continue
    const first = firsts.get(rule.name)
    if (first === undefined) firsts.set(rule.name, index)
    else report.add(nameAt, `rule ${first + 1} has the name ${JSON.stringify(rule.name)} already`)
  }
}

const contextOf = (sources: readonly string[]): CheckContext => ({
  sources,
  patterns: { count: 0, work: 0 },
  zones: new Set<string>(),
})

/** Adds every fault of conditions that stand by themselves; `sources` are those of the visitor. */
export function checkConditions(
  report: Report,
  at: string,
  conditions: Pick<RuleSpec, 'when' | 'name'>,
  sources: readonly string[],
): void {
  checkRuleWhen(report, at, conditions, contextOf(sources), { left: SEARCH_MAX })
}

function checkRuleWhen(
  report: Report,
  at: string,
  { when, name }: Pick<RuleSpec, 'when' | 'name'>,
  context: CheckContext,
  search: { left: number },
): void {
  if (!report.present(at)) return
  const before = report.findings.length
  checkWhen(report, at, when, context)
  if (!report.refusesVain || !report.sound(at) || report.findings.length > before) return
  const conditions = planWhen(when, name)
  const why = conditions.length === 0 ? NOTHING : neverTogether(conditions, search)
  if (why !== null) report.add(at, why)
  else for (const vain of vainBranches(conditions, search)) report.add(child(child(at, 'any'), vain.index), vain.why)
}

function checkOutcome(report: Report, at: string, rule: RuleSpec, pools: readonly string[] | null): void {
  const { to, deny, pin } = rule
  if (to !== undefined && deny !== undefined) report.add(child(at, 'deny'), 'a rule has either to or deny, not both')
  if (to === undefined && deny === undefined && !report.misspelt(at, ['to', 'deny'])) {
    report.add(child(at, 'to'), 'missing key "to" (or "deny"): a rule names the pool that it is about', {
      about: 'key',
    })
  }
  if (to !== undefined) checkPool(report, child(at, 'to'), to, pools)
  if (deny !== undefined) checkPool(report, child(at, 'deny'), deny, pools)
  if (pin === true && to === undefined) report.add(child(at, 'pin'), 'only a rule with "to" can pin')
}
