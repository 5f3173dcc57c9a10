/**
 * How many requests to one service may be sent a second time: a fifth of those of the last ten seconds, and at least three a
 * second.
 *
 * What it is against: targets that break under their load get every request twice, and are broken for good. It is asked only
 * for requests that a target has had in its hands. Not for refused connections: nothing was sent, and `CONNECTS_MAX` limits
 * them. Not for the race of a closing keep-alive connection (retry-policy.ts): such a repeat costs a connection that has answered
 * before, so there are never more of them than good answers, and a restart that closes hundreds at once is nobody's overload.
 *
 * A repeat that another target answers is given back. Its work was done once, by a target that was to have a share of it
 * anyway, so a dead target beside well ones costs no budget (kept counted, they cost 83 and 267 GETs of 8 clients in the half
 * second until it is ejected). Repeats that fail too are what a storm is made of; those, and all that are under way, count.
 *
 * What is asked of another version (skew) has a budget of its own, as large: who asks for what is nowhere, and anybody can, must not
 * spend that of those whom a new version fails. Nor that of the other pages that are open: once half of it is spent, the rest is for
 * addresses that have spent less than an eighth. What is found is given back, so only asking in vain counts.
 *
 * Envoy, Finagle and Linkerd have the same 20 %; Envoy takes it of the requests under way and at least 3 of these, the other
 * two of the last 10 s and 10/s on top. By service and worker: the repeats of one target fall on the others of its pool, or on
 * those of the pool that takes over, and workers share nothing that a request would wait for. The window slides by weighing the one before by what is left of it.
 */

import { ADDRESS_CELLS } from '../../metrics/layout.ts'

const WINDOW_MS = 10_000
const SHARE = 0.2
const REPEATS_MIN = (3 * WINDOW_MS) / 1_000
/** From this part on that is spent of what is asked of other versions, the rest is for those who have spent less than that part of it. */
const CROWDED = 1 / 2
const CLIENT_SHARE = 1 / 8
/** The cell of who stands for many (admission.ts). */
const MANY = ADDRESS_CELLS

/** What was taken in this window, and in the one before. */
interface Spent {
  now: number
  before: number
}

/**
 * The budget of one service in one worker; times are monotonic milliseconds. `skewOf` is the cell of the client's address where
 * another version is asked, and null for any other repeat.
 */
export class RetryBudget {
  #startMs = Number.NEGATIVE_INFINITY
  #requests = 0
  #requestsBefore = 0
  readonly #repeats: Spent = { now: 0, before: 0 }
  readonly #skews: Spent = { now: 0, before: 0 }
  /** The same by the cell of the address. As many at most as were taken. */
  readonly #skewsBy = new Map<number, Spent>()

  /** Counts a request at its first try. */
  note(nowMs: number): void {
    if (nowMs - this.#startMs >= WINDOW_MS) this.#turn(nowMs)
    this.#requests++
  }

  /** Takes a repeat out of the budget; false when it is spent. */
  take(nowMs: number, skewOf: number | null = null): boolean {
    if (nowMs - this.#startMs >= WINDOW_MS) this.#turn(nowMs)
    const left = 1 - (nowMs - this.#startMs) / WINDOW_MS
    const requests = this.#requests + this.#requestsBefore * left
    const all = Math.max(requests * SHARE, REPEATS_MIN)
    const spent = skewOf === null ? this.#repeats : this.#skews
    const part = (spent.now + spent.before * left) / all
    if (part >= 1) return false
    if (skewOf !== null && !this.#takeOf(skewOf, part >= CROWDED ? all * CLIENT_SHARE : all, left)) return false
    spent.now++
    return true
  }

  /** Counts it for an address; false when that has taken `most`. */
  #takeOf(cell: number, most: number, left: number): boolean {
    if (cell === MANY) return true
    const spent = this.#skewsBy.get(cell) ?? { now: 0, before: 0 }
    if (spent.now + spent.before * left >= most) return false
    spent.now++
    this.#skewsBy.set(cell, spent)
    return true
  }

  /** Gives a repeat back that was taken at `takenMs`. */
  giveBack(takenMs: number, skewOf: number | null = null): void {
    if (skewOf === null) return this.#giveBackTo(this.#repeats, takenMs)
    this.#giveBackTo(this.#skews, takenMs)
    const own = this.#skewsBy.get(skewOf)
    if (own === undefined) return
    this.#giveBackTo(own, takenMs)
    if (own.now + own.before === 0) this.#skewsBy.delete(skewOf)
  }

  #giveBackTo(spent: Spent, takenMs: number): void {
    if (takenMs >= this.#startMs) spent.now--
    else if (takenMs >= this.#startMs - WINDOW_MS) spent.before--
  }

  #turn(nowMs: number): void {
    const isNext = nowMs - this.#startMs < 2 * WINDOW_MS
    this.#requestsBefore = isNext ? this.#requests : 0
    this.#startMs = isNext ? this.#startMs + WINDOW_MS : nowMs
    this.#requests = 0
    for (const spent of [this.#repeats, this.#skews, ...this.#skewsBy.values()]) {
      spent.before = isNext ? spent.now : 0
      spent.now = 0
    }
    for (const [cell, { before }] of this.#skewsBy) if (before === 0) this.#skewsBy.delete(cell)
  }
}

/** What one request has taken out of a budget. It is kept while the request waits to be sent again, and spent once it is. */
export class Loan {
  #budget: RetryBudget | null = null
  #takenMs = 0
  #skewOf: number | null = null
  #isSent = false

  /** Takes a repeat; false when the budget is spent. */
  take(budget: RetryBudget, nowMs: number, skewOf: number | null): boolean {
    this.giveBackUnsent()
    if (!budget.take(nowMs, skewOf)) return false
    this.#budget = budget
    this.#takenMs = nowMs
    this.#skewOf = skewOf
    this.#isSent = false
    return true
  }

  /** What it was taken for is sent to a target. */
  sent(): void {
    this.#isSent = true
  }

  /** Gives it back, if nothing was sent for it. */
  giveBackUnsent(): void {
    if (!this.#isSent) this.giveBack()
  }

  /** Gives it back, if there is one. */
  giveBack(): void {
    this.#budget?.giveBack(this.#takenMs, this.#skewOf)
    this.#budget = null
  }

  /** It stays spent. */
  forget(): void {
    this.#budget = null
  }
}
