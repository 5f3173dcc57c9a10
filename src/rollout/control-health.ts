/**
 * Whether the live pool itself is ill, so that nothing can be said of the canary but that it is even worse.
 *
 * It is ill when, in the last 10 s, it gave at least 20 answers and a share of bad ones that is 5 times what it used to be, and
 * 5 points above it; well again after 30 s without that. What it used to be is its share in the 10 minutes before the rollout.
 */
import type { History } from './margin-test.ts'
import { AnswerWindow } from './window.ts'

const WINDOW_MS = 10_000
const ANSWERS_MIN = 20
const TIMES = 5
const POINTS = 0.05
const WELL_AFTER_MS = 30_000

export class ControlHealth {
  /** Share of bad answers before the rollout. */
  readonly reference: number
  readonly #window = new AnswerWindow(WINDOW_MS, 10)
  #illAtMs = -Infinity

  constructor({ bad, all }: History) {
    this.reference = all === 0 ? 0 : bad / all
  }

  /** Adds answers of the live pool. */
  add(nowMs: number, answers: number, bad: number): void {
    this.#window.add(nowMs, answers, bad)
    const last = this.#window.sums(nowMs)
    if (last.answers < ANSWERS_MIN) return
    if (last.bad / last.answers >= Math.max(TIMES * this.reference, this.reference + POINTS)) this.#illAtMs = nowMs
  }

  noteIll(nowMs: number): void {
    this.#illAtMs = nowMs
  }

  isIll(nowMs: number): boolean {
    return nowMs - this.#illAtMs < WELL_AFTER_MS
  }

  /** Share of bad answers in the last 10 s. */
  shareNow(nowMs: number): number {
    const { answers, bad } = this.#window.sums(nowMs)
    return answers === 0 ? 0 : bad / answers
  }
}
