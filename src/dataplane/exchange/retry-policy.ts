/**
 * Whether a request is tried again when a target has failed it, or has not got what is asked for. A yes ends the attempt there: it is
 * judged, and noted with the earlier ones (retries.ts).
 *
 * While connections are refused, or close before the text of the request has left, nothing was sent, so any request is tried again.
 * Once something was written, at most one repeat is allowed, on a fresh connection, when it is idempotent, can be sent again in full and
 * not one byte of an answer has come (RFC 9110 9.2.2). A step of a login that was begun on the connection means nothing on another one,
 * and is not repeated.
 *
 * A kept connection that closes within a moment after a request was sent on it was being closed as idle: a race, and nobody's fault.
 * That request is repeated outside the budget. Any other close without an answer is a failure of the target: the repeat goes to
 * another one, and is taken out of the retry budget of the service.
 *
 * What a new version has failed is rescued: the next attempt goes to another pool (decide.ts), once, unseen by the client. It stays the
 * failure of the new version, for counters and the verdict, and is taken out of the budget like any repeat.
 *
 * What a version has not got is asked of another that is about, where the service names its path (`skew`): a page of one version asks
 * for its own files, which the next has under other names. The client is given the last 404; or where one breaks, the first once more.
 */
import type { ErrorCode } from '../../errors.ts'
import { FIELD } from '../../metrics/layout.ts'
import { isSkewed } from '../../table/skew.ts'
import type { Plane } from '../plane.ts'
import { attemptOutcome } from './attempt-outcome.ts'
import type { Attempts } from './attempts.ts'
import type { ExchangeRequest } from './request.ts'
import { NOT_FOUND } from './retries.ts'

/** Time after which a connection that closes did not do so as idle: the request was in the hands of the target. */
const RACE_MS = 1_000

export class RetryPolicy {
  readonly #plane: Plane
  readonly #request: ExchangeRequest
  readonly #attempts: Attempts

  constructor(plane: Plane, request: ExchangeRequest, attempts: Attempts) {
    this.#plane = plane
    this.#request = request
    this.#attempts = attempts
  }

  /** A connection could not be opened: whether another target may be tried. */
  mayReconnect(): boolean {
    const attempts = this.#attempts
    attempts.judge(0, 'upstream_connect_failed')
    attempts.placement.giveBack()
    return attempts.retries.refused(attempts.target!)
  }

  /** A connection has closed before any answer: whether the request may be repeated. With `isHeld` what was sent last on it has not left. */
  mayRepeat(isHeld: boolean): boolean {
    const { retries, service, target, isRescued, isFresh, isLoginStep, startedMs, placement } = this.#attempts
    const isUnsent = isHeld && this.#request.isWhole
    if (!(this.#request.repeatable || isUnsent) || retries.repeats > 0 || isLoginStep) return false
    if (isFresh || this.#plane.time.nowMs - startedMs > RACE_MS) {
      // It is rescued, which is better than another try of the same version.
      if (isRescued && retries.rescues === 0) return false
      if (!this.#takeFromBudget()) return false
      this.#attempts.judge(0, 'upstream_closed')
      retries.failed(target!)
    } else {
      this.#attempts.judge(0, null)
      retries.raced(target!, service.sticky?.target === true || service.balance === 'hash')
    }
    placement.giveBack()
    return true
  }

  /** The target has answered so, or broken the exchange: whether another pool may be asked in its place. */
  mayGoElsewhere(status: number, broke: ErrorCode | null): boolean {
    const { retries, target } = this.#attempts
    if (retries.isBeside(target) && attemptOutcome(status, broke) === 'failed') {
      // Spent, whatever is left of the budget: its client would have had a 404.
      this.#takeFromBudget(true)
      this.#attempts.judge(status, broke)
      retries.lost(target!)
      return true
    }
    if (this.#request.isRescuable && this.#mayRescue(status, broke)) return true
    return status === NOT_FOUND && this.#request.isFetch && this.#mayAskOthers()
  }

  #mayRescue(status: number, broke: ErrorCode | null): boolean {
    const { retries, service, target, isRescued, isLoginStep } = this.#attempts
    if (!isRescued || retries.rescues > 0 || isLoginStep) return false
    if (broke === null && !service.rescue!.statuses.includes(status)) return false
    if (!this.#takeFromBudget()) return false
    this.#attempts.judge(status, broke)
    retries.rescued(target!)
    return true
  }

  #mayAskOthers(): boolean {
    const { retries, service, target, isPreview, isLoginStep } = this.#attempts
    if (isPreview || !isSkewed(service.skew, this.#request.path) || isLoginStep) return false
    if (retries.missing.includes(target!.pool.name)) return false
    if (retries.missing.length === 0 && !this.#takeFromBudget(true)) return false
    this.#attempts.judge(NOT_FOUND, null)
    retries.missed(target!)
    return true
  }

  #takeFromBudget(isSkew = false): boolean {
    const { targets, time } = this.#plane
    const attempts = this.#attempts
    const skewOf = isSkew ? attempts.placement.clientCell : null
    if (attempts.retries.take(targets.retryBudgetOf(attempts.service.slot), time.nowMs, skewOf)) return true
    attempts.count(FIELD.retriesOverBudget)
    return false
  }
}
