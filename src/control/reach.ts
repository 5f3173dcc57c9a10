/**
 * Whether the store can be reached. Whoever works on it goes through here: that it cannot be reached is told once, and once when it can
 * again; what goes wrong is `store_unavailable` for the caller.
 *
 * A store that can be read and not written, such as one on a full disk, is away until something was written. One that another process has
 * locked is not away, unless that lasts.
 */
import { Patience, StoreBusy } from '../busy.ts'
import type { Clock } from '../clock.ts'
import { isTurnoutError, TurnoutError } from '../errors.ts'
import type { NewEvent } from './events.ts'

/** What cannot be done while it is away. */
type Work = 'reading' | 'writing'

/** Somebody else has moved the store: what is there must be looked at before the change is tried again. */
export class Moved extends TurnoutError {
  constructor() {
    super('stale_revision')
  }
}

/** Changes by other processes that may come between a change and the store; each costs milliseconds. */
const TRIES_MAX = 200

/** Makes a change, again and again while somebody else moves the store meanwhile; rejects with `overloaded` when that has no end. */
export async function whileMoved<T>(make: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await make()
    } catch (error) {
      if (!(error instanceof Moved)) throw error
      if (tries === TRIES_MAX) throw new TurnoutError('overloaded', 'Other processes change the store all the time.')
    }
  }
}

/** Whoever still tries, such as the saver, has tried within this time. */
const GIVEN_UP_MS = 10_000

type Tell = (level: 'info' | 'error', message: string, data: NewEvent['data']) => void

export class Reach {
  readonly #clock: Clock
  readonly #tell: Tell
  #away: Work | null = null
  /** It is away since somebody else has it locked. */
  #isLocked = false
  #busy: { readonly what: Work; readonly patience: Patience; lastMs: number } | null = null

  constructor(clock: Clock, tell: Tell) {
    this.#clock = clock
    this.#tell = tell
  }

  /** It was away at the start, which is told already. */
  beginAway(): void {
    this.#away = 'reading'
  }

  /** Runs `work` on the store. Rejects with `Moved`, or with `store_unavailable` and the like. */
  async run<T>(work: () => Promise<T>, what: Work = 'reading'): Promise<T> {
    try {
      const result = await work()
      this.#answered(what, this.#away === what)
      return result
    } catch (error) {
      // It has answered, and refuses what is out of date: so nobody has it locked, but whether it could write that, it does not say.
      if (error instanceof Moved) this.#answered(what, this.#away === what && this.#isLocked)
      if (error instanceof Moved || isTurnoutError(error, 'conflict')) throw error
      if (this.#patience(what).pauseMs(error) !== null) throw error
      const wasAway = this.#away !== null
      this.#away = what === 'reading' ? what : (this.#away ?? what)
      this.#isLocked = error instanceof StoreBusy && (!wasAway || this.#isLocked)
      if (!wasAway) {
        const reason = reasonOf(error).replace(/\.$/, '')
        const message = `the store cannot be reached: ${reason}; traffic is served by the last table`
        this.#tell('error', message, { away: true })
      }
      throw isTurnoutError(error) ? error : new TurnoutError('store_unavailable')
    }
  }

  #answered(what: Work, isBack: boolean): void {
    if (this.#busy?.what === what) this.#busy = null
    if (this.#away !== 'reading' && !isBack) return
    this.#away = null
    this.#tell('info', 'the store is reachable again', { away: false })
  }

  /** That of those who try again and again; who found it locked longer ago has given up. */
  #patience(what: Work): Patience {
    const nowMs = this.#clock.monotonicMs()
    const isOver = this.#busy === null || nowMs - this.#busy.lastMs > GIVEN_UP_MS
    this.#busy = isOver ? { what, patience: new Patience(this.#clock), lastMs: nowMs } : this.#busy!
    this.#busy.lastMs = nowMs
    return this.#busy.patience
  }
}

/** What went wrong, for people. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
