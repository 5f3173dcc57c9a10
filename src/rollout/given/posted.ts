/**
 * A metric whose counts are posted: what of them counts, and that none counts twice. Pure.
 *
 * Counts of a time in which the step changed would compare what was decided under different weights, so they are dropped: whoever
 * says over what time he has counted is held to that; of anybody else the first post of a pool in a step is taken for such a one.
 * A post that is sent again under its key is answered as it was and changes nothing. Keys are remembered for the last `KEYS_MAX` posts of
 * a metric; a restart forgets them, but there the step begins anew, and so the repeated post is the first of it, or reaches back too far.
 */
import type { Stratum } from '../origin-test.ts'
import type { PostedPlan } from './plan.ts'
import { type Side, Tally } from './tally.ts'

/** Counts since the last post. */
export interface Post {
  readonly pool: string
  readonly good: number
  readonly bad: number
  /** Time over which was counted; null when nobody says. */
  readonly overMs: number | null
  /** The same for a post that is sent again; null for none. */
  readonly key: string | null
}

export interface PostAnswer {
  readonly counted: boolean
  /** Why it does not count. */
  readonly reason: string | null
}

/** Answers by key that are remembered. */
export const KEYS_MAX = 1_000

export class Posted {
  readonly plan: PostedPlan
  readonly #tally = new Tally()
  readonly #answers = new Map<string, { readonly content: string; readonly answer: PostAnswer }>()
  /** Pools that have posted in this step. */
  readonly #pools = new Set<string>()
  #beganAtMs = 0
  #isCompared = false

  constructor(plan: PostedPlan) {
    this.plan = plan
  }

  beginStep(isCompared: boolean, nowMs: number): void {
    this.#isCompared = isCompared
    this.#beganAtMs = nowMs
    this.#pools.clear()
    this.#tally.take()
  }

  take(): Stratum {
    return this.#tally.take()
  }

  /** Takes a post; null when its key stood for another one. */
  post(post: Post, side: Side, nowMs: number): PostAnswer | null {
    const { key, ...content } = post
    const text = JSON.stringify(content)
    const before = key === null ? undefined : this.#answers.get(key)
    if (before !== undefined) return before.content === text ? before.answer : null
    const reason = this.#whyNot(post, nowMs)
    this.#pools.add(post.pool)
    if (reason === null) this.#tally.add(side, post.good + post.bad, post.bad)
    const answer = { counted: reason === null, reason }
    if (key !== null) this.#remember(key, text, answer)
    return answer
  }

  #whyNot({ pool, overMs }: Post, nowMs: number): string | null {
    if (!this.#isCompared) return 'now nothing is compared: one side has all the traffic'
    if (overMs === null) {
      return this.#pools.has(pool) ? null : `the first of ${pool} in this step: it may be of requests before it`
    }
    const sinceMs = nowMs - this.#beganAtMs
    return overMs <= sinceMs ? null : `the step began ${sinceMs} ms ago, and this reaches back ${overMs} ms`
  }

  #remember(key: string, content: string, answer: PostAnswer): void {
    this.#answers.set(key, { content, answer })
    if (this.#answers.size <= KEYS_MAX) return
    for (const oldest of this.#answers.keys()) {
      this.#answers.delete(oldest)
      break
    }
  }
}
