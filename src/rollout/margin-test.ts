/**
 * The pass side: is the new version worse than the live one by no more than a margin?
 *
 * As though a share of the control's good answers, the margin, had failed: against that the canary must still look better. The
 * product over strata is an e-process against "worse by at least the margin", so it reaches 1/β with probability ≤ β if that is so,
 * however often one looks. The control's rate is taken from its own answers before the stratum, so a wrong guess costs time only.
 *
 * Sources: Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests", JSPI 230, 2024; Turner and Grünwald,
 * arXiv 2203.09785 (a margin in points). Invariant: passing latches for its step; whether it still holds is for who asks (`log` ≥ 0).
 */
import type { Stratum } from './origin-test.ts'

export interface MarginOptions {
  /** Chance of passing a canary that is worse by the margin or more. */
  readonly beta: number
  /** How much worse is accepted: 0.02 are two points. */
  readonly margin: number
}

/** Answers of the control so far. */
export interface History {
  readonly bad: number
  readonly all: number
}

export interface MarginState {
  readonly log: number
  readonly passed: boolean
  readonly history: History
}

/** Answers of the control that are remembered when a step begins. */
const HISTORY_MAX = 2_000
/** The rate is guessed as though so many had been seen before, half of one of them bad; and never as more than `RATE_MAX`. */
const PRIOR_ALL = 50
const PRIOR_BAD = 0.5
const RATE_MAX = 0.98

export class MarginTest {
  readonly #goal: number
  readonly #margin: number
  #log = 0
  #passed = false
  #bad: number
  #all: number

  /** A test that begins with what is known of the control, or goes on from a state. */
  constructor({ beta, margin }: MarginOptions, from: History | MarginState) {
    this.#goal = Math.log(1 / beta)
    this.#margin = margin
    if ('log' in from) {
      this.#log = from.log
      this.#passed = from.passed
    }
    const { bad, all } = 'log' in from ? from.history : recent(from)
    this.#bad = bad
    this.#all = all
  }

  /** Below 0 the canary looks worse than the control with the margin. */
  get log(): number {
    return this.#log
  }

  /** It was shown once in this step that the canary is not worse by the margin, and the answers since do not speak against it. */
  get passes(): boolean {
    return this.#passed && this.#log >= 0
  }

  get state(): MarginState {
    return { log: this.#log, passed: this.#passed, history: this.history }
  }

  /** For the test of the next step. */
  get history(): History {
    return { bad: this.#bad, all: this.#all }
  }

  take({ canary, canaryBad, control, controlBad }: Stratum): void {
    const margin = this.#margin
    const rate = Math.min(RATE_MAX, (this.#bad + PRIOR_BAD) / (this.#all + PRIOR_ALL))
    const worse = rate + (1 - rate) * margin
    const common = (canary * rate + control * worse) / (canary + control)
    this.#log +=
      canaryBad * Math.log(rate / common) +
      (canary - canaryBad) * Math.log((1 - rate) / (1 - common)) +
      controlBad * Math.log(worse / common) +
      (control - controlBad) * Math.log((margin * worse) / common + ((1 - margin) * (1 - worse)) / (1 - common))
    this.#bad += controlBad
    this.#all += control
    if (this.#log >= this.#goal) this.#passed = true
  }
}

/** The history as though no more than `HISTORY_MAX` answers were known of it. */
function recent({ bad, all }: History): History {
  return all <= HISTORY_MAX ? { bad, all } : { bad: (bad * HISTORY_MAX) / all, all: HISTORY_MAX }
}
