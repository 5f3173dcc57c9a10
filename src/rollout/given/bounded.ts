/**
 * A metric that is one value of the new version, which must stay in bounds. Pure but for whom it asks.
 *
 * It is a plain guard, no test: out of bounds so many times in a row it fails the rollout, outside the budget of false alarms. A look that
 * brings nothing (no answer, NaN) is neither in bounds nor out of them: it breaks no row, and lets no step pass.
 */

import { type Ask, Unanswered } from './ask.ts'
import { filled } from './fill.ts'
import type { BoundedPlan } from './plan.ts'

export class Bounded {
  readonly plan: BoundedPlan
  /** What it was when it was last known. */
  value: number | null = null
  readonly #query: string
  #step = 0
  #hasTraffic = false
  /** Values out of bounds, one after the other. */
  #out = 0
  /** In which words it was out of bounds often enough. It stays so, as the verdict does. */
  #broke: string | null = null
  /** The last look of this step has brought a value, and it was in bounds. */
  #isWell = false

  constructor(plan: BoundedPlan, service: string, pool: string) {
    this.plan = plan
    this.#query = filled(plan.query, service, pool)
  }

  beginStep(share: number): void {
    this.#step++
    this.#isWell = false
    this.#hasTraffic = share > 0
    if (!this.#hasTraffic) this.#out = 0
  }

  /** Says whether it was out of bounds often enough. While the live pool itself is ill, that is not the new version's fault. */
  judge(isHeld: boolean): void {
    if (isHeld) {
      this.#out = 0
      this.#broke = null
    } else if (this.#out >= this.plan.row) this.#broke ??= this.words
  }

  get isBroken(): boolean {
    return this.#broke !== null
  }

  get isWell(): boolean {
    return this.#isWell
  }

  /** Where the value stands to its bound. */
  get words(): string {
    if (this.#broke !== null) return this.#broke
    const { above, below, row } = this.plan
    const bound = above === null ? `below ${below}` : `above ${above}`
    const value = this.value === null ? 'not known' : String(Number(this.value.toPrecision(6)))
    if (this.#out === 0) return `${value}, not ${bound}`
    return `${value}, ${bound}${row > 1 ? `, ${this.#out} times in a row` : ''}`
  }

  /** Asks for the value. Rejects with `Unanswered`. */
  async look(ask: Ask): Promise<void> {
    const step = this.#step
    this.#isWell = false
    const samples = await ask(this.#query, null)
    if (samples.length === 0) throw new Unanswered('the query gives nothing')
    if (samples.length > 1) throw new Unanswered(`the query gives ${samples.length} values, where it must give one`)
    if (step !== this.#step) return
    const { above, below } = this.plan
    const [{ value }] = samples
    this.value = value
    const isOut = (above !== null && value > above) || (below !== null && value < below)
    this.#isWell = !isOut
    if (this.#hasTraffic) this.#out = isOut ? this.#out + 1 : 0
  }
}
