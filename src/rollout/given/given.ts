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
import type { Logger } from 'pino'
import { didYouMean, nearest } from '../../config/nearest.ts'
import { own } from '../../config/record.ts'
import { TurnoutError } from '../../errors.ts'
import type { ClumpState } from '../clump.ts'
import type { Kept } from '../kept.ts'
import type { Stratum } from '../origin-test.ts'
import type { Look } from '../verdict.ts'
import type { Ask } from './ask.ts'
import { Bounded } from './bounded.ts'
import { Counted } from './counted.ts'
import { Poll } from './poll.ts'
import { type Post, type PostAnswer, Posted } from './posted.ts'
import type { Prometheus } from './prometheus.ts'
import type { Side } from './tally.ts'
import type { GivenTold } from './told.ts'

export interface GivenDeps {
  readonly prometheus: Pick<Prometheus, 'query'>
  readonly log: Pick<Logger, 'error' | 'warn'>
}

type Metric = Posted | Counted | Bounded

/** An answer may take so long at most. */
const ANSWER_MS_MAX = 10_000

export class Given {
  /** The pool with the new version, and those that it is compared with. */
  readonly #to: string
  readonly #live: readonly string[]
  readonly #deps: GivenDeps
  readonly #id: string
  readonly #metrics: readonly Metric[]
  readonly #polls = new Map<Metric, Poll>()

  /** What is asked ends with `signal`. */
  constructor(
    { service, rollout, wish, postKeys = {} }: Kept,
    live: readonly string[],
    deps: GivenDeps,
    signal: AbortSignal,
  ) {
    this.#to = rollout.to
    this.#live = live
    this.#deps = deps
    this.#id = rollout.id
    const { given = [] } = wish
    const sides = [[rollout.to, 'canary'] as const, ...live.map((pool) => [pool, 'control'] as const)]
    this.#metrics = given.map((plan) => {
      if (plan.kind === 'posted') return new Posted(plan, own(postKeys, plan.name))
      return plan.kind === 'counted' ? new Counted(plan, service, sides) : new Bounded(plan, service, rollout.to)
    })
    for (const metric of this.#metrics) {
      if (metric instanceof Posted) continue
      const { prometheus, everyMs } = metric.plan
      const withinMs = Math.min(everyMs, ANSWER_MS_MAX)
      const ask: Ask = (query, atS) => deps.prometheus.query(prometheus, query, atS, withinMs, signal)
      this.#polls.set(
        metric,
        new Poll(everyMs, () =>
          metric.look(ask).catch((error) => {
            // The rollout is over: nobody waits for this any more.
            if (!signal.aborted) throw error
          }),
        ),
      )
    }
  }

  /** A step begins, in which the new version has this share. Prometheus knows of it only after some time. */
  beginStep(share: number, nowMs: number): void {
    const isCompared = share > 0 && share < 1
    for (const metric of this.#metrics) {
      if (metric instanceof Posted) metric.beginStep(isCompared, nowMs)
      else if (metric instanceof Counted) metric.beginStep(isCompared)
      else metric.beginStep(share)
      this.#polls.get(metric)?.restart(nowMs, share === 0)
    }
  }

  /** Asks for whatever it is time to ask for. */
  look(nowMs: number): void {
    const { log } = this.#deps
    for (const [{ plan }, poll] of this.#polls) {
      if (!poll.isDue(nowMs)) continue
      const about = { rollout: this.#id, metric: plan.name }
      poll.look(nowMs).then(
        (isNews) => {
          if (isNews) log.warn(about, `nothing comes of ${plan.name}: ${poll.lastError}`)
        },
        (error: unknown) => log.error({ ...about, err: error }, `${plan.name} was not looked at`),
      )
    }
  }

  /** Counts since the last call, in the order of the plans. */
  take(): Stratum[] {
    return this.#metrics.flatMap((metric) => (metric instanceof Bounded ? [] : [metric.take()]))
  }

  /** Keys by which posts are known again after a restart, by metric; undefined for none. */
  get postKeys(): Kept['postKeys'] {
    const keys = this.#metrics.flatMap((metric) => {
      const kept = metric instanceof Posted ? metric.keptKeys : ''
      return kept === '' ? [] : [[metric.plan.name, kept] as const]
    })
    return keys.length === 0 ? undefined : Object.fromEntries(keys)
  }

  /** How far what comes goes bad together by itself, in the order of the plans. */
  clumps(): ClumpState[] {
    return this.#metrics.flatMap((metric) => (metric instanceof Bounded ? [] : [metric.clump]))
  }

  /** Values that are out of bounds, or not known. While the live pool itself is ill, none is. */
  bounds(isHeld: boolean): Look['bounds'] {
    const bounded = this.#metrics.filter((metric) => metric instanceof Bounded)
    for (const metric of bounded) metric.judge(isHeld)
    return {
      broken: bounded.find(({ isBroken }) => isBroken)?.plan.name ?? null,
      missing: bounded.find(({ isWell, plan }) => !isWell && !plan.isOptional)?.plan.name ?? null,
    }
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
    return this.#metrics.map((metric) => {
      const lastError = metric instanceof Posted ? metric.lastError : (this.#polls.get(metric)?.lastError ?? null)
      const { name } = metric.plan
      if (!(metric instanceof Bounded)) return { name, lastError, bound: null }
      const { value, isWell, isBroken, words } = metric
      return { name, lastError, bound: { value, isWell, isBroken, words } }
    })
  }

  #postedBy(name: string): Posted {
    const found = this.#metrics.find(({ plan }) => plan.name === name)
    if (found instanceof Posted) return found
    if (found !== undefined) throw refused('/name', `${name} is not posted: Prometheus is asked for it`)
    const names = this.#metrics.flatMap(({ plan }) => (plan.kind === 'posted' ? [plan.name] : []))
    const known = names.length === 0 ? ': it has none that is posted' : ` (known here: ${names.join(', ')})`
    const meant = didYouMean(nearest(name, names))
    throw refused('/name', `this rollout has no metric ${JSON.stringify(name)}${meant || known}`)
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
