/**
 * The origin test: is the new version worse than the live one, judged by answers of the same moments?
 *
 * A stratum is a small batch of concurrent answers of both. Given how many of them went bad, the number that are the canary's is
 * hypergeometric if the version does not matter, whatever the common failure rate is and does (day cycle, burst, outage). We bet on
 * five odds ratios at once; each bet's wealth is multiplied by what its odds ratio makes of the outcome, relative to the null. If
 * the version does not matter, the sum of the wealth is a martingale, and ever reaches 1/α with probability ≤ α, however often one
 * looks (Ville). Part of the stake is held back and put in bit by bit, so that a version that goes bad late is caught as well.
 *
 * Sources: ter Schure, Pérez-Ortiz, Ly, Grünwald, "The anytime-valid logrank test", NEJSDS 2(2), 2024 (bets with ties); Lindon and
 * Malek, NeurIPS 2022 (origins of failures); Zampieri, arXiv 2512.04366 (randomised labels); Fischer and Ramdas, arXiv 2410.16076
 * (never stake more than the target needs); Shin, Ramdas and Rinaldo, arXiv 2203.03532 (delayed starts).
 *
 * Invariants: a failure latches; wealth never exceeds what is allowed by the cap; nothing here depends on the order of answers
 * within a stratum. Strata may be closed by any rule that does not look at the outcomes of the open one (strata.ts).
 */

/** Answers of a moment: of the canary and of the control, all and the bad ones. */
export interface Stratum {
  readonly canary: number
  readonly canaryBad: number
  readonly control: number
  readonly controlBad: number
}

/** How one metric is judged. */
export interface OriginOptions {
  /** Share of equal releases that this metric may roll back, over the whole rollout. */
  readonly alpha: number
  /** Odds ratio that is still no fault; 1 to 2. */
  readonly tolerance: number
}

/** All that is to be kept of a test. */
export interface OriginState {
  /** By bet, in the order of `ODDS`. */
  readonly wealth: readonly number[]
  /** Answers of the canary so far. */
  readonly seen: number
  /** Greatest sum of the wealth so far; the p-value is at most 1 / peak. */
  readonly peak: number
  readonly failed: boolean
}

/** Odds ratios that are bet on, the share of the stake on each, and how much worse than equal a canary may be for each. */
const ODDS = [100, 25, 10, 5, 2.2] as const
const PRIOR = [0.35, 0.2, 0.2, 0.2, 0.05] as const
const SLACK = [1, 1, 1, 1, 1.25] as const
/** Share of the stake that is bet from the first answer on; the rest follows slowly, half of what is left per doubling of `HALF`. */
const START = 0.8
const HALF = 100
/** Whether these may be what the bets have come to; JSON has no word for what is infinite. */
export const isWealth = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.length === ODDS.length && value.every((one) => one === null || typeof one === 'number')
/** Exponents beyond this would leave the range of a double. */
const EXPONENT_MAX = 690

/** What of the stake is still held back after so many answers of the canary. */
const reserve = (seen: number): number => (1 - START) / (1 + Math.log2(1 + seen / HALF))

export class OriginTest {
  readonly #target: number
  readonly #tolerance: number
  readonly #logNulls: readonly number[]
  #wealth: number[]
  #seen: number
  #peak: number
  #failed: boolean

  /** A test that begins, or goes on from `state`. */
  constructor({ alpha, tolerance }: OriginOptions, state?: OriginState) {
    this.#target = 1 / alpha
    this.#tolerance = tolerance
    this.#logNulls = SLACK.map((slack) => Math.log(Math.max(slack, tolerance)))
    this.#wealth = state === undefined ? PRIOR.map((part) => START * part) : [...state.wealth]
    this.#seen = state?.seen ?? 0
    this.#peak = state?.peak ?? START
    this.#failed = state?.failed ?? false
  }

  /** The canary is worse; once true it stays so. */
  get failed(): boolean {
    return this.#failed
  }

  /** How far the evidence has come, from 0 to 1, where the canary has failed. */
  get evidence(): number {
    if (this.#failed) return 1
    return Math.min(1, Math.max(0, Math.log(this.#total()) / Math.log(this.#target)))
  }

  /** Share of equal releases that would ever look as bad as this one has, at most; valid at every look. */
  get p(): number {
    return Math.min(1, 1 / (this.#failed ? Math.max(this.#target, this.#peak) : this.#peak))
  }

  get state(): OriginState {
    return { wealth: [...this.#wealth], seen: this.#seen, peak: this.#peak, failed: this.#failed }
  }

  /** Takes a closed stratum. `clump` is how many answers of one version go bad together by themselves: see clump.ts. */
  take(stratum: Stratum, clump = 1): void {
    const { canary, canaryBad, control, controlBad } = stratum
    const released = reserve(this.#seen) - reserve(this.#seen + canary)
    for (let j = 0; j < ODDS.length; j++) this.#wealth[j] += released * PRIOR[j]
    this.#seen += canary
    const bad = canaryBad + controlBad
    // Where all or none went bad, or one side is empty, nothing can be learnt: each bet pays exactly 1.
    if (bad > 0 && bad < canary + control && canary > 0 && control > 0) this.#bet(stratum, clump)
    const total = this.#total()
    if (total > this.#peak) this.#peak = total
    if (total >= this.#target) this.#failed = true
  }

  #total(): number {
    return this.#wealth.reduce((sum, part) => sum + part, 0)
  }

  #bet({ canary, canaryBad, control, controlBad }: Stratum, clump: number): void {
    const bad = canaryBad + controlBad
    const low = Math.max(0, bad - control)
    const weights = logWeights(canary, control, bad, low)
    const slopes: number[] = []
    const offsets: number[] = []
    for (let j = 0; j < ODDS.length; j++) {
      const logOdds = Math.log(ODDS[j])
      slopes.push(logOdds - this.#logNulls[j])
      offsets.push(logNormaliser(weights, this.#logNulls[j]) - logNormaliser(weights, logOdds))
    }
    const pay = (j: number, above: number) => Math.exp(Math.min(EXPONENT_MAX, above * slopes[j] + offsets[j]))
    const worth = (above: number) => {
      let sum = 0
      for (let j = 0; j < ODDS.length; j++) sum += this.#wealth[j] * pay(j, above)
      return sum
    }
    const came = canaryBad - low
    let boost = 1
    if (clump === 1 && worth(weights.length - 1) > this.#target) {
      const capped = this.#cap(weights, worth)
      boost = capped.boost
      if (came >= capped.cut) {
        this.#failed = true
        return
      }
    }
    for (let j = 0; j < ODDS.length; j++) {
      const paid = pay(j, came)
      this.#wealth[j] *= boost * (clump === 1 ? paid : paid ** (1 / clump))
    }
  }

  /**
   * What is won beyond the target is of no use, so it is not staked: outcomes from `cut` on fail at once, and what they cannot take
   * is a boost for all others, such that the mean stays what it was.
   */
  #cap(weights: readonly number[], worth: (above: number) => number): { readonly cut: number; readonly boost: number } {
    const logTolerance = Math.log(this.#tolerance)
    const whole = logNormaliser(weights, logTolerance)
    const chance = weights.map((weight, above) => Math.exp(weight + above * logTolerance - whole))
    const total = this.#total()
    const won = weights.map((_, above) => worth(above))
    let cut = won.findIndex((value) => value > this.#target)
    // What lies beyond the cut, and what below it is worth: the cut only moves down, so each outcome is counted once.
    let tail = 0
    for (let above = chance.length - 1; above >= cut; above--) tail += chance[above]
    const below = [0]
    for (let above = 0; above < cut; above++) below.push(below[above] + chance[above] * won[above])
    for (;;) {
      const rest = below[cut]
      const boost = rest > 0 ? Math.max(1, (total - this.#target * tail) / rest) : 1
      if (cut === 0 || boost * won[cut - 1] <= this.#target) return { cut, boost }
      cut--
      tail += chance[cut]
    }
  }
}

/** Logarithms of the hypergeometric weights of `low`, `low` + 1 … bad answers of the canary, the first being 0. */
function logWeights(canary: number, control: number, bad: number, low: number): number[] {
  const high = Math.min(canary, bad)
  const weights = [0]
  for (let k = low; k < high; k++) {
    const ratio = ((canary - k) * (bad - k)) / ((k + 1) * (control - bad + k + 1))
    weights.push(weights[k - low] + Math.log(ratio))
  }
  return weights
}

/** Logarithm of the sum of the weights, where the odds ratio is not 1 but exp(`logOdds`). */
function logNormaliser(weights: readonly number[], logOdds: number): number {
  let most = -Infinity
  for (let above = 0; above < weights.length; above++) most = Math.max(most, weights[above] + above * logOdds)
  let sum = 0
  for (let above = 0; above < weights.length; above++) sum += Math.exp(weights[above] + above * logOdds - most)
  return most + Math.log(sum)
}
