/**
 * A stream as it comes, bit by bit: how many requests went to which version, and what became of them.
 *
 * What is told to the verdict follows the counters of the product (dataplane/trials.ts): bad answers, then the slow ones among the
 * good, by quantile; and of a sticky stream, each user's first failure in a step only.
 */
import { Clump, SLICE_MS, type SliceCounts } from '../../src/rollout/clump.ts'
import type { Stratum } from '../../src/rollout/origin-test.ts'
import { QUANTILES } from '../../src/rollout/slow-edge.ts'
import type { Before } from '../../src/rollout/verdict.ts'
import type { Chance } from './chance.ts'
import { CANARY_TARGETS, CONTROL_TARGETS } from './settings.ts'
import type { Stream } from './streams.ts'
import { type Tails, tailsOf } from './times.ts'
import { Visitors } from './visitors.ts'

/** What has come in a stretch of time. */
export interface Came {
  /** By metric, as the verdict wants it. */
  readonly judged: readonly Stratum[]
  readonly canary: number
  readonly canaryBad: number
  /** Answers of the canary that Flagger's duration check would find late. */
  readonly canaryLate: number
}

/** Failed answers: of the canary, those of its segment apart, and of the live version. */
interface Failures {
  readonly canary: number
  readonly segment: number
  readonly control: number
}

/** What is known of the live pool when a rollout begins: its last ten minutes, slice by slice. */
const SLICES_BEFORE = 60
const SLICE_S = SLICE_MS / 1_000
/** The product does not time so many first answers of a new target. */
const COLD_ANSWERS = 20
const METRICS = 1 + QUANTILES.length

export class Source {
  readonly stream: Stream
  readonly #chance: Chance
  readonly #controlTails: Tails = tailsOf(1, 0)
  readonly #canaryTails: Tails
  readonly #coldTails: Tails
  readonly #control: Rows
  readonly #canary: Rows
  /** Users who have met a failure of the canary; and those of either version whose failure was counted in this step. */
  readonly #harmed: Visitors
  readonly #counted: { readonly canary: Visitors; readonly segment: Visitors; readonly control: Visitors }
  /** Answers until the targets of the canary are warm, and until they are timed. */
  #cold: number
  #untimed = COLD_ANSWERS * CANARY_TARGETS

  constructor(stream: Stream, chance: Chance) {
    this.stream = stream
    this.#chance = chance
    this.#canaryTails = tailsOf(stream.slower ?? 1, stream.hanging ?? 0)
    this.#coldTails = tailsOf(stream.cold?.slower ?? 1, 0)
    this.#control = new Rows(chance, stream.row ?? 1, CONTROL_TARGETS)
    this.#canary = new Rows(chance, stream.row ?? 1, CANARY_TARGETS)
    const visitors = () => new Visitors(chance)
    this.#harmed = visitors()
    this.#counted = { canary: visitors(), segment: visitors(), control: visitors() }
    this.#cold = (stream.cold?.answers ?? 0) * CANARY_TARGETS
  }

  /** Users of the canary who have met a failed answer so far. */
  get usersHarmed(): number {
    return this.#harmed.harmed
  }

  /** What is known of the live pool before the first answer of the canary. */
  before(): Before {
    const histories = Array.from({ length: METRICS }, () => ({ bad: 0, all: 0 }))
    const clumps = histories.map(() => new Clump())
    for (let slice = 0; slice < SLICES_BEFORE; slice++) {
      for (const [metric, targets] of this.slice(0, 0).entries()) {
        clumps[metric].take(targets)
        for (const { all, bad } of targets) {
          histories[metric].all += all
          histories[metric].bad += bad
        }
      }
    }
    return { histories, clumps: clumps.map(({ state }) => state) }
  }

  /** A new step begins: whoever failed in the one before may count again. */
  beginStep(): void {
    for (const visitors of Object.values(this.#counted)) visitors.forget()
  }

  /** What comes in `seconds` from `second` on, where the canary has the share `weight` of the traffic. */
  take(second: number, seconds: number, weight: number): Came {
    const { stream } = this
    const chance = this.#chance
    const all = chance.poisson(stream.rate * seconds)
    const canary = chance.binomial(all, weight)
    const control = all - canary
    const cold = Math.min(canary, this.#cold)
    this.#cold -= cold
    const coldBad = chance.binomial(cold, stream.cold?.bad ?? 0)
    const warmBad = this.#canary.bad(canary - cold, stream.canary(second))
    const segmentBad = chance.binomial(canary - coldBad - warmBad, stream.segment ?? 0)
    const controlBad = this.#control.bad(control, stream.control(second))
    const canaryBad = coldBad + warmBad + segmentBad
    const failures = { canary: coldBad + warmBad, segment: segmentBad, control: controlBad }
    this.#harm(failures, weight, seconds)
    const counted = stream.isSticky ? this.#first(failures, weight, seconds) : failures
    const judged: Stratum[] = [
      { canary, canaryBad: counted.canary + counted.segment, control, controlBad: counted.control },
    ]
    const coldSlow = this.#over(cold - coldBad, this.#coldTails)
    const slow = this.#over(canary - canaryBad - (cold - coldBad), this.#canaryTails)
    const controlSlow = this.#over(control - controlBad, this.#controlTails)
    const isTimed = this.#untimed <= 0
    this.#untimed -= canary
    for (let at = 0; at < QUANTILES.length; at++) {
      const ofCanary = isTimed ? canary - canaryBad : 0
      const bad = isTimed ? slow[at] + coldSlow[at] : 0
      judged.push({ canary: ofCanary, canaryBad: bad, control: control - controlBad, controlBad: controlSlow[at] })
    }
    return { judged, canary, canaryBad, canaryLate: slow[QUANTILES.length] + coldSlow[QUANTILES.length] }
  }

  /**
   * What each target of the live pool has answered in the slice that ends now, by metric. Drawn anew: only how far they
   * differ is of interest, and that depends on nothing but the rates.
   */
  slice(second: number, weight: number): readonly (readonly SliceCounts[])[] {
    const { stream } = this
    const chance = this.#chance
    const byMetric: SliceCounts[][] = Array.from({ length: METRICS }, () => [])
    for (let target = 0; target < CONTROL_TARGETS; target++) {
      const all = chance.poisson((stream.rate * (1 - weight) * SLICE_S) / CONTROL_TARGETS)
      const bad = new Rows(chance, stream.row ?? 1, 1).bad(all, stream.control(second))
      byMetric[0].push({ all, bad })
      const slow = this.#over(all - bad, this.#controlTails)
      for (let at = 0; at < QUANTILES.length; at++) byMetric[at + 1].push({ all: all - bad, bad: slow[at] })
    }
    return byMetric
  }

  #harm({ canary, segment }: Failures, weight: number, seconds: number): void {
    this.#harmed.fail(canary + segment, this.stream.rate * weight, seconds)
  }

  /** Failures that a sticky split counts: each user's first in a step. */
  #first({ canary, segment, control }: Failures, weight: number, seconds: number): Failures {
    const { stream } = this
    const ofCanary = stream.rate * weight
    return {
      canary: this.#counted.canary.fail(canary, ofCanary, seconds),
      segment: this.#counted.segment.fail(segment, ofCanary * (stream.segment ?? 0), seconds),
      control: this.#counted.control.fail(control, stream.rate - ofCanary, seconds),
    }
  }

  /** How many of the good answers are over each edge: who is over a far one is over the near ones. */
  #over(good: number, tails: Tails): number[] {
    let [over, before] = [good, 1]
    return tails.map((share) => {
      over = this.#chance.binomial(over, share / before)
      before = share
      return over
    })
  }
}

/** Bad answers by themselves, or so many of a target in a row. */
class Rows {
  readonly #chance: Chance
  readonly #length: number
  /** Bad answers that are still to come, by target. */
  readonly #left: number[]

  constructor(chance: Chance, length: number, targets: number) {
    this.#chance = chance
    this.#length = length
    this.#left = new Array<number>(targets).fill(0)
  }

  /** Of so many answers, the bad ones. */
  bad(answers: number, share: number): number {
    if (this.#length === 1) return this.#chance.binomial(answers, share)
    let [bad, rest] = [0, answers]
    for (let target = 0; target < this.#left.length; target++) {
      const part = this.#chance.binomial(rest, 1 / (this.#left.length - target))
      rest -= part
      const left = this.#left[target] + this.#length * this.#chance.binomial(part, share / this.#length)
      const now = Math.min(part, left)
      this.#left[target] = left - now
      bad += now
    }
    return bad
  }
}
