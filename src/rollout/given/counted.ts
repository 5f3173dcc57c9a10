/**
 * A metric whose counts Prometheus has: two sets of counters for each pool, what went bad and all there was. Pure but for whom it asks.
 *
 * All counters are asked for at one moment of Prometheus' own clock, so a scrape in between does not come to one of them only. What they
 * have grown by between two looks of one step is an interval; it counts for both sides, or, where it makes no sense, for none. The first
 * look of a step only says from where on to count. When each target was scraped is not known: see steady.ts.
 */
import type { ClumpState } from '../clump.ts'
import type { Stratum } from '../origin-test.ts'
import { type Ask, type Sample, Unanswered } from './ask.ts'
import { filled } from './fill.ts'
import { Increments } from './increments.ts'
import type { CountedPlan } from './plan.ts'
import { Steady } from './steady.ts'
import { type Side, Tally } from './tally.ts'

/** Beyond this numbers are not exact. */
const COUNT_MAX = Number.MAX_SAFE_INTEGER
/** Targets that are remembered of a pool. */
const TARGETS_MAX = 10_000

interface PoolCounters {
  readonly pool: string
  readonly side: Side
  readonly queries: { readonly all: string; readonly bad: string }
  readonly all: Increments
  readonly bad: Increments
  /** Whom Prometheus had counters from in this step. */
  readonly targets: Set<string>
}

interface Answer {
  readonly all: readonly Sample[]
  readonly bad: readonly Sample[]
}

interface Interval {
  readonly all: number
  readonly bad: number
  /** Why it makes no sense. */
  readonly fault: string | null
}

export class Counted {
  readonly plan: CountedPlan
  readonly #pools: readonly PoolCounters[]
  readonly #tally = new Tally()
  readonly #steady = new Steady()
  #step = 0
  #isCompared = false

  /** Of a service; `pools` by the side that they are on. */
  constructor(plan: CountedPlan, service: string, pools: readonly (readonly [pool: string, side: Side])[]) {
    this.plan = plan
    this.#pools = pools.map(([pool, side]) => ({
      pool,
      side,
      queries: { all: filled(plan.all, service, pool), bad: filled(plan.bad, service, pool) },
      all: new Increments(),
      bad: new Increments(),
      targets: new Set<string>(),
    }))
  }

  beginStep(isCompared: boolean): void {
    this.#step++
    for (const { targets } of this.#pools) targets.clear()
    this.#isCompared = isCompared
    this.#tally.take()
  }

  take(): Stratum {
    return this.#tally.take()
  }

  /** How far what comes goes bad together by itself. */
  get clump(): ClumpState {
    return this.#steady.clump
  }

  /** Asks for the counters and takes what they have grown by. Rejects with `Unanswered`. */
  async look(ask: Ask): Promise<void> {
    const step = this.#step
    const nowS = (await ask('time()', null))[0]?.value
    if (nowS === undefined) throw new Unanswered('it does not say what time it is')
    const answers = await Promise.all(
      this.#pools.map(async ({ queries }) => ({
        all: await ask(queries.all, nowS),
        bad: await ask(queries.bad, nowS),
      })),
    )
    // What was asked for before the step began is of both.
    if (step !== this.#step) return
    const intervals = this.#pools.map((counters, at) => intervalOf(counters, answers[at], step))
    const faults = intervals.flatMap(({ fault }) => fault ?? [])
    if (faults.length > 0) throw new Unanswered(faults.join('; '))
    const sum = (of: 'all' | 'bad') =>
      intervals.reduce((total, interval, at) => total + (this.#pools[at].side === 'control' ? interval[of] : 0), 0)
    const isSteady = this.#steady.take(sum('all'), sum('bad')) === null
    if (isSteady && this.#isCompared) {
      for (const [at, { side }] of this.#pools.entries()) this.#tally.add(side, intervals[at].all, intervals[at].bad)
    }
    const missing = this.#pools.filter((_, at) => answers[at].all.length === 0).map(({ pool }) => pool)
    if (missing.length > 0) throw new Unanswered(`Prometheus has no counters of ${missing.join(' and ')}`)
    if (this.#steady.reason !== null) throw new Unanswered(this.#steady.reason)
  }
}

function intervalOf(counters: PoolCounters, answer: Answer, step: number): Interval {
  const { pool, targets } = counters
  const wasSeen = (target: string): boolean => targets.has(target)
  const all = counters.all.take(answer.all, step, wasSeen)
  const bad = counters.bad.take(answer.bad, step, wasSeen)
  if (targets.size > TARGETS_MAX) targets.clear()
  for (const { target } of answer.all) targets.add(target)
  return { all: all.count, bad: bad.count, fault: faultOf() }

  function faultOf(): string | null {
    if (all.fell || bad.fell) return `a counter of ${pool} has begun anew: this interval is not counted`
    if (all.count > COUNT_MAX) return `the counters of ${pool} are too large`
    if (bad.count <= all.count) return null
    return `${bad.count} bad ones of ${all.count} in all of ${pool}: this interval is not counted`
  }
}
