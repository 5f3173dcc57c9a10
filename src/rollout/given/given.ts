/**
 * All metrics of a rollout that are given from outside: what has come of them since the last look, and what is told of them.
 *
 *   a post ──────────────────► Posted ──┐
 *   Prometheus, now and then ► Counted ─┴─► strata by metric, for the tests of the verdict
 *                            ► Bounded ───► a value out of bounds, for its guard
 *
 * Metrics that are counted stand in the order of the plans, which is that of the verdict. Whatever comes, comes to the verdict with the
 * next look, so no outcome wakes one.
 */
import { didYouMean, nearest } from '../../config/nearest.ts'
import { TurnoutError } from '../../errors.ts'
import type { Kept } from '../kept.ts'
import type { Stratum } from '../origin-test.ts'
import { type Post, type PostAnswer, Posted } from './posted.ts'
import type { Side } from './tally.ts'
import type { GivenTold } from './told.ts'

export class Given {
  /** The pool with the new version, and those that it is compared with. */
  readonly #to: string
  readonly #live: readonly string[]
  readonly #metrics: readonly Posted[]

  constructor({ rollout, wish }: Kept, live: readonly string[]) {
    this.#to = rollout.to
    this.#live = live
    const { given = [] } = wish
    this.#metrics = given.flatMap((plan) => (plan.kind === 'posted' ? [new Posted(plan)] : []))
  }

  /** A step begins, in which the new version has this share. */
  beginStep(share: number, nowMs: number): void {
    for (const metric of this.#metrics) metric.beginStep(share > 0 && share < 1, nowMs)
  }

  /** Counts since the last call, in the order of the plans. */
  take(): Stratum[] {
    return this.#metrics.map((metric) => metric.take())
  }

  /** Takes what was posted of a metric. Throws `invalid` and `conflict`. */
  post(name: string, post: Post, nowMs: number): PostAnswer {
    const metric = this.#postedBy(name)
    const answer = metric.post(post, this.#sideOf(post.pool), nowMs)
    if (answer === null) throw new TurnoutError('conflict', `The key ${post.key} stood for another post before.`)
    return answer
  }

  /** What there is to tell, in the order of the plans. */
  told(): GivenTold[] {
    return this.#metrics.map(({ plan }) => ({ name: plan.name, lastError: null }))
  }

  #postedBy(name: string): Posted {
    const names = this.#metrics.map(({ plan }) => plan.name)
    const metric = this.#metrics.find(({ plan }) => plan.name === name)
    if (metric === undefined) {
      const known = names.length === 0 ? ': it has none' : ` (known here: ${names.join(', ')})`
      throw refused(
        '/name',
        `this rollout has no metric ${JSON.stringify(name)}${didYouMean(nearest(name, names)) || known}`,
      )
    }
    return metric
  }

  #sideOf(pool: string): Side {
    if (pool === this.#to) return 'canary'
    if (this.#live.includes(pool)) return 'control'
    throw refused(
      '/pool',
      `this rollout compares ${[this.#to, ...this.#live].join(' with ')}, not ${JSON.stringify(pool)}`,
    )
  }
}

const refused = (pointer: string, message: string): TurnoutError =>
  new TurnoutError('invalid', undefined, [{ pointer, message }])
