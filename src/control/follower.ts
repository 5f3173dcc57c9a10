/**
 * Looks again and again whether another process has written to the store; one look at a time. It knows how long ago that went well: whoever cannot
 * read or take over what others have written goes on with what is old, and has to say so (instances.ts).
 */
import type { Clock } from '../clock.ts'

/** Time between the end of a look and the next one. */
export const LOOK_MS = 500

/** How far it was followed. */
export interface Followed {
  /** Monotonic time at which the last look that found and took all there was began. */
  readonly atMs: number
  /** Why the last look did not; null where it did. */
  readonly fault: string | null
}

/** Calls `look` every LOOK_MS once it has begun; what that rejects with is its own to tell. */
export class Follower {
  readonly #clock: Clock
  readonly #look: () => Promise<void>
  #isEnded = false
  #isLooking = false
  #isDue = false
  #cancel = () => {}
  #followed: Followed

  constructor(clock: Clock, look: () => Promise<void>) {
    this.#clock = clock
    this.#look = look
    this.#followed = { atMs: clock.monotonicMs(), fault: null }
  }

  get followed(): Followed {
    return this.#followed
  }

  /** All there is now was read just before. */
  begin(): void {
    this.#followed = { atMs: this.#clock.monotonicMs(), fault: null }
    this.#arm(LOOK_MS)
  }

  /** Looks now, or right after the look that is under way. */
  hurry(): void {
    if (this.#isLooking) {
      this.#isDue = true
      return
    }
    this.#cancel()
    this.#arm(0)
  }

  end(): void {
    this.#isEnded = true
    this.#cancel()
  }

  #arm(delayMs: number): void {
    if (!this.#isEnded) this.#cancel = this.#clock.after(delayMs, () => void this.#lookOnce())
  }

  async #lookOnce(): Promise<void> {
    this.#isLooking = true
    this.#isDue = false
    const atMs = this.#clock.monotonicMs()
    try {
      await this.#look()
      this.#followed = { atMs, fault: null }
    } catch (error) {
      this.#followed = { ...this.#followed, fault: (error as Error).message }
    }
    this.#isLooking = false
    this.#arm(this.#isDue ? 0 : LOOK_MS)
  }
}
