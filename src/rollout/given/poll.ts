/** When somebody is asked again and again: one look at a time, and what came of the last. */
import { Unanswered } from './ask.ts'

export class Poll {
  /** Why the last look brought nothing; null when it did. */
  lastError: string | null = null
  readonly #everyMs: number
  readonly #look: () => Promise<void>
  #nextAtMs = 0
  #isLooking = false

  constructor(everyMs: number, look: () => Promise<void>) {
    this.#everyMs = everyMs
    this.#look = look
  }

  /** The next look comes after the usual time from now, or at once. */
  restart(nowMs: number, isAtOnce: boolean): void {
    this.#nextAtMs = isAtOnce ? nowMs : nowMs + this.#everyMs
  }

  /** It is time to look. */
  isDue(nowMs: number): boolean {
    return !this.#isLooking && nowMs >= this.#nextAtMs
  }

  /** Looks; resolves with true when that has brought nothing, and the look before had. */
  async look(nowMs: number): Promise<boolean> {
    this.#nextAtMs = nowMs + this.#everyMs
    this.#isLooking = true
    const before = this.lastError
    try {
      await this.#look()
      this.lastError = null
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error
      this.lastError = error.message
    } finally {
      this.#isLooking = false
    }
    return before === null && this.lastError !== null
  }
}
