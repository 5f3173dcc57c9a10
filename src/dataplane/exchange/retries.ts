/**
 * What is known of the earlier attempts of a request, and so what may still be tried: which targets are out (decide.ts), how often it
 * was sent, and out of which budget. Whether it can be sent again at all is the request's to know (request.ts), when it is better
 * not to, that of retry-policy.ts.
 */
import { FIELD } from '../../metrics/layout.ts'
import type { Earlier } from '../../table/earlier.ts'
import { ruledOut } from '../../table/rescue.ts'
import type { Decision, TargetTable } from '../../table/types.ts'
import { Loan, type RetryBudget } from '../upstream/retry-budget.ts'
import { attemptOutcome } from './attempt-outcome.ts'

/** Targets that are tried while connections are refused. */
const CONNECTS_MAX = 3
export const NOT_FOUND = 404
const NONE = -1
const NOTHING: readonly never[] = Object.freeze([])

export class Retries implements Earlier {
  isLetIn = false
  exclude: readonly TargetTable[] = NOTHING
  avoid: TargetTable | null = null
  missing: readonly string[] = NOTHING
  isLost = false
  givenId: string | null = null
  waited: Decision | null = null
  connects = 0
  repeats = 0
  rescues = 0
  /** What is counted at the target when the request goes on to another: a field, or `NONE`. */
  #reason: number = NONE
  #moved = false
  readonly #loan = new Loan()

  reset(): void {
    this.connects = 0
    this.repeats = 0
    this.rescues = 0
    this.#reason = NONE
    this.#moved = false
    this.#loan.forget()
  }

  /** Attempts beside the last one. */
  get count(): number {
    return this.connects + this.repeats + this.rescues + this.missing.length
  }

  /** Why the request leaves its target, as a field to count there, and forgets it; below 0 for no reason of that target. */
  takeReason(): number {
    const reason = this.#reason
    this.#reason = NONE
    return reason
  }

  /** The target could not be connected to. True when another may be tried: nothing was sent. */
  refused(target: TargetTable): boolean {
    this.#ruleOut(target)
    this.#reason = FIELD.retriesConnect
    return ++this.connects < CONNECTS_MAX
  }

  /** The target closed a connection as idle just when the request came. `isBound` says that visitors are kept on their target. */
  raced(target: TargetTable, isBound: boolean): void {
    // There is no third try, so another target is the safer choice for the second.
    if (!isBound) this.avoid = target
    this.#repeat()
  }

  /** The target failed the request, which is sent again. */
  failed(target: TargetTable): void {
    this.#ruleOut(target)
    this.#repeat()
  }

  #repeat(): void {
    this.repeats++
    this.#reason = FIELD.retriesStale
  }

  /** A new version failed the request, which another pool may answer. */
  rescued(target: TargetTable): void {
    this.#ruleOut(target)
    this.rescues++
    this.#reason = FIELD.retriesRescue
  }

  /** The version of the target has not got what is asked for; another one may have. */
  missed({ pool }: TargetTable): void {
    this.missing = [...this.missing, pool.name]
    this.isLost = false
    this.#reason = FIELD.retriesSkew
  }

  /** Whether a target has another version than those that have not got what is asked for. */
  isBeside(target: TargetTable | null): boolean {
    return this.missing.length > 0 && target !== null && !this.missing.includes(target.pool.name)
  }

  /** The target was asked for what another version has not got, and failed: it has not got it either, as far as anybody knows. */
  lost(target: TargetTable): void {
    this.#ruleOut(target)
    this.missed(target)
    this.isLost = true
  }

  /** The target has no room. True, once, when another of its pool may have some. */
  full(target: TargetTable): boolean {
    if (this.#moved) return false
    this.#moved = true
    this.avoid = target
    return true
  }

  /** Takes what is to be sent again out of a budget; false when that is spent. For `skewOf` see retry-budget.ts. */
  take(budget: RetryBudget, nowMs: number, skewOf: number | null): boolean {
    return this.#loan.take(budget, nowMs, skewOf)
  }

  /** What was sent again was answered well. */
  giveBack(): void {
    this.#loan.giveBack()
  }

  /** Whether this is a good answer, after others that were none. */
  isHelped(status: number): boolean {
    const isFound = this.missing.length === 0 || status !== NOT_FOUND
    return this.count > 0 && isFound && attemptOutcome(status, null) === 'good'
  }

  /** The request is sent to a target; what was taken for that is spent. */
  sent(): void {
    this.#loan.sent()
  }

  /** The request is over, or has its answer: what was to be sent again and was not, costs nothing. */
  giveBackUnsent(): void {
    this.#loan.giveBackUnsent()
  }

  /** Forgets the request: an idle connection keeps no table alive, and the next request on it is somebody else's. */
  forget(): void {
    this.isLetIn = false
    this.exclude = NOTHING
    this.avoid = null
    this.missing = NOTHING
    this.isLost = false
    this.givenId = null
    this.waited = null
  }

  #ruleOut(target: TargetTable): void {
    this.exclude = [...this.exclude, ...ruledOut(target)]
  }
}
