/**
 * The verdict on a rollout: fail, hold, pass or insufficient.
 *
 * Evaluated at every look, on a timer that no outcome wakes; the first that holds counts:
 *
 *   fail          an origin test has reached its target, or a guard has struck: latched
 *   hold          the live pool itself is ill: nothing advances and no clock of a step runs; the origin tests go on
 *   pass          each metric has passed in this step: the canary is not worse by its margin
 *   insufficient  anything else: never advances, never rolls back
 *
 * Every metric has one origin test for the whole rollout, with a share of α, and a margin test anew for each step, at β: no correction
 * is needed there, since if any metric is truly worse its own test must err. What counts is pooled of all instances; one that judges by itself
 * has a part of α of its own (outpost.ts), and what it finds is a failure too. When the weight changes, open strata are dropped.
 *
 * Guards are plain rules beside α, and say so: `harm` is the user's own cap of failed answers; all targets out says by itself what
 * is wrong; the share of failures counts only where nothing runs beside the canary that it could be compared with; a value that is given
 * from outside has bounds.
 *
 * A metric whose counts are given from outside holds each step up until it has passed in it, unless it is optional: where nobody gives
 * anything, or cannot, the release would go on unjudged by what its people care for most.
 */
import { Clump, type ClumpState } from './clump.ts'
import { ControlHealth } from './control-health.ts'
import { type History, type MarginState, MarginTest } from './margin-test.ts'
import { wouldNotice } from './notice.ts'
import { type OriginState, OriginTest, type Stratum } from './origin-test.ts'
import { QUANTILES } from './slow-edge.ts'
import { Strata } from './strata.ts'
import { AnswerWindow } from './window.ts'

/** What it can be, in the order in which they are looked for. */
export const OUTCOMES = ['fail', 'hold', 'pass', 'insufficient'] as const
export type Outcome = (typeof OUTCOMES)[number]
/** A metric by its name, or the guard that struck. */
export type Cause = string

export interface VerdictOptions {
  /** Share of equal releases that may be rolled back, all metrics together. */
  readonly alpha: number
  /** Chance, for each step and metric, of passing a canary that is worse by the margin. */
  readonly beta: number
  /** Points of failed answers that are accepted. */
  readonly margin: number
  /** Odds ratio that is no fault. */
  readonly tolerance: number
  /** Failed answers of the canary that may reach clients; Infinity for no cap. */
  readonly harmMax: number
  /** Where there is no control: the share of failed answers over a time. */
  readonly rate: { readonly above: number; readonly overMs: number }
  /** Metrics whose counts are given from outside. */
  readonly given: readonly GivenOptions[]
}

/** A metric whose counts are given from outside. */
export interface GivenOptions {
  readonly name: string
  /** Points of bad ones that are accepted. */
  readonly margin: number
  /** It can fail, but no step waits for it. */
  readonly isOptional: boolean
}

/** What was there before the rollout, of the live pool. */
export interface Before {
  /** By metric, in the order of `metricsOf`. */
  readonly histories: readonly History[]
  readonly clumps: readonly ClumpState[]
}

/** What has come since the last look. */
export interface Look {
  readonly nowMs: number
  /** By metric, in the order of `metricsOf`; the last may be left out, of which nothing has come. */
  readonly came: readonly Stratum[]
  /** The instance that has counted it; absent: this one. Its strata are of its own answers alone, which it has parted evenly. */
  readonly from?: string
  /** Failed answers of the canary that have reached clients so far. */
  readonly harm: number
  /** All targets of the canary are unhealthy or ejected. */
  readonly allOut: boolean
  /** Values that are given from outside and must stay in bounds: the name of one that did not, and of one that a step still waits for. */
  readonly bounds?: { readonly broken: string | null; readonly missing: string | null }
  /** Why an instance judges by itself that the canary has failed; null or absent where none does. */
  readonly alone?: string | null
}

export interface Finding {
  readonly outcome: Outcome
  /** What has failed, holds or is missing. */
  readonly cause: Cause
  /** In words, where only somebody else knows it. */
  readonly why?: string
}

/** The tests of a metric, as they are kept. */
export interface TestStates {
  readonly origin: OriginState
  readonly margin: MarginState
  /** Absent where an older Turnout has kept them. */
  readonly totals?: Readonly<Totals>
}

/** Answers since the rollout began. */
interface Totals {
  canary: number
  canaryBad: number
  control: number
  controlBad: number
}

interface Metric {
  readonly name: string
  readonly alpha: number
  readonly margin: number
  readonly origin: OriginTest
  /** By who has counted it. */
  readonly strata: Map<string, Strata>
  clump: Clump
  readonly totals: Totals
  test: MarginTest
}

/** Shares of α, and the margin of what is slow. */
export const FAILURES_ALPHA = 0.7
const SLOW_ALPHA = 0.2
const GIVEN_ALPHA = 0.1
export const SLOW_MARGIN = 0.05
/** The quantile whose metric is also tested for passing. */
const SLOW_PASSED = 0.95
/** All targets of the canary may be out for so long. */
const OUT_MS = 5_000
/** The guard without control wants so many bad answers, and a share so many times the reference. */
const RATE_BAD_MIN = 10
const RATE_TIMES = 5

export const FAILURES = 'failures'

/** Names of the metrics of a verdict, in the order in which their counts are given. */
export function metricsOf({ given }: Pick<VerdictOptions, 'given'>): string[] {
  return [FAILURES, ...QUANTILES.map((quantile) => `slow p${quantile * 100}`), ...given.map(({ name }) => name)]
}

export class Verdict {
  readonly metrics: readonly Metric[]
  /** Part of the traffic that the canary is given. At 0 and 1 there is nothing to compare. */
  share = 0
  readonly #options: VerdictOptions
  readonly #control: ControlHealth
  readonly #unwatched: AnswerWindow
  #outSinceMs = Infinity
  #failed: Finding | null = null

  constructor(options: VerdictOptions, before: Before, states?: readonly TestStates[]) {
    this.#options = options
    this.#control = new ControlHealth(before.histories[0] ?? { bad: 0, all: 0 })
    this.#unwatched = new AnswerWindow(options.rate.overMs, 30)
    this.metrics = metricsOf(options).map((name, at) => {
      const alpha = options.alpha * alphaShare(at, options.given.length)
      const margin = marginOf(options, at)
      return {
        name,
        alpha,
        margin,
        origin: new OriginTest({ alpha, tolerance: options.tolerance }, states?.[at]?.origin),
        strata: new Map(),
        clump: new Clump(before.clumps[at]),
        totals: { canary: 0, canaryBad: 0, control: 0, controlBad: 0, ...states?.[at]?.totals },
        test: new MarginTest(
          { beta: options.beta, margin },
          states?.[at]?.margin ?? before.histories[at] ?? { bad: 0, all: 0 },
        ),
      }
    })
  }

  /** How far its tests have come, by metric. */
  get states(): TestStates[] {
    return this.metrics.map(({ origin, test, totals }) => ({
      origin: origin.state,
      margin: test.state,
      totals: { ...totals },
    }))
  }

  /** A step begins. */
  beginStep(share: number): void {
    this.share = share
    this.#unwatched.clear()
    for (const metric of this.metrics) {
      metric.strata.clear()
      metric.test = new MarginTest({ beta: this.#options.beta, margin: metric.margin }, metric.test.history)
    }
  }

  /** How far answers of the control go bad together by themselves, as far as it is known by now; by metric. */
  noteClumps(states: readonly ClumpState[]): void {
    for (const [at, state] of states.entries()) this.metrics[at].clump = new Clump(state)
  }

  /** The live pool was ill when somebody else has looked last. */
  noteIll(nowMs: number): void {
    this.#control.noteIll(nowMs)
  }

  /** A failure of the canary is in no closed stratum yet: the answers that close it may decide. */
  get isPending(): boolean {
    return [...this.metrics[0].strata.values()].some(({ isPending }) => isPending)
  }

  /** Takes what has come, and says what it means. */
  look(look: Look): Finding {
    const { nowMs, came } = look
    this.#control.add(nowMs, came[0].control, came[0].controlBad)
    const isIll = this.#control.isIll(nowMs)
    if (!this.isCompared) this.#unwatched.add(nowMs, came[0].canary, came[0].canaryBad)
    for (let at = 0; at < came.length; at++) this.#take(this.metrics[at], came[at], isIll, look.from ?? '')
    this.#failed ??= this.#failure(look, isIll)
    if (this.#failed !== null) return this.#failed
    if (isIll) return { outcome: 'hold', cause: FAILURES }
    const missing = this.metrics.find((metric) => this.#isJudgedToPass(metric) && !metric.test.passes)
    const cause = missing?.name ?? look.bounds?.missing ?? null
    if (cause === null && this.isCompared) return { outcome: 'pass', cause: FAILURES }
    return { outcome: 'insufficient', cause: cause ?? FAILURES }
  }

  /** Both versions have a share. */
  get isCompared(): boolean {
    return this.share > 0 && this.share < 1
  }

  /** Of the three quantiles of slow answers one is enough. */
  #isJudgedToPass({ name }: Metric): boolean {
    if (name === FAILURES || name === `slow p${SLOW_PASSED * 100}`) return true
    return this.#options.given.some((given) => given.name === name && !given.isOptional)
  }

  #take(metric: Metric, came: Stratum, isIll: boolean, from: string): void {
    const { totals } = metric
    totals.canary += came.canary
    totals.canaryBad += came.canaryBad
    totals.control += came.control
    totals.controlBad += came.controlBad
    if (!this.isCompared) return
    const strata = metric.strata.get(from) ?? new Strata()
    metric.strata.set(from, strata)
    strata.add(came)
    const stratum = strata.close(this.share)
    if (stratum === null) return
    metric.origin.take(stratum, metric.clump.size)
    if (!isIll) metric.test.take(stratum)
  }

  #failure({ nowMs, harm, allOut, bounds, alone = null }: Look, isIll: boolean): Finding | null {
    const worse = this.metrics.find(({ origin }) => origin.failed)
    if (worse !== undefined) return { outcome: 'fail', cause: worse.name }
    if (alone !== null) return { outcome: 'fail', cause: 'alone', why: alone }
    if (!allOut) this.#outSinceMs = Infinity
    else if (this.#outSinceMs === Infinity) this.#outSinceMs = nowMs
    if (harm > this.#options.harmMax) return { outcome: 'fail', cause: 'harm' }
    if (isIll) return null
    if (nowMs - this.#outSinceMs >= OUT_MS) return { outcome: 'fail', cause: 'targets out' }
    if (bounds !== undefined && bounds.broken !== null) return { outcome: 'fail', cause: bounds.broken }
    return this.isCompared || !this.#failsAlone(nowMs) ? null : { outcome: 'fail', cause: 'rate' }
  }

  #failsAlone(nowMs: number): boolean {
    const { answers, bad } = this.#unwatched.sums(nowMs)
    const share = bad / answers
    return bad >= RATE_BAD_MIN && share > this.#options.rate.above && share > RATE_TIMES * this.#control.reference
  }

  /** Of all metrics together, each of which has its part of alpha. */
  get p(): number {
    const { alpha } = this.#options
    return Math.min(1, ...this.metrics.map((metric) => (metric.origin.p * alpha) / metric.alpha))
  }

  /** Share of bad answers by a metric that would have been noticed by now; null when there were too few for any. */
  wouldNotice({ name, totals, alpha }: Metric = this.metrics[0]): number | null {
    const before = name === FAILURES ? this.#control.reference : 0
    const control = totals.control === 0 ? before : totals.controlBad / totals.control
    return wouldNotice(totals.canary, control, this.share, alpha)
  }
}

function alphaShare(at: number, given: number): number {
  if (at === 0) return FAILURES_ALPHA
  return at <= QUANTILES.length ? SLOW_ALPHA / QUANTILES.length : GIVEN_ALPHA / given
}

function marginOf({ margin, given }: VerdictOptions, at: number): number {
  if (at === 0) return margin
  return at <= QUANTILES.length ? SLOW_MARGIN : given[at - QUANTILES.length - 1].margin
}
