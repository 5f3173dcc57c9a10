/**
 * A store that another process has locked: for milliseconds while that one writes, for minutes while a backup runs. Whoever finds it so is
 * told at once (`StoreBusy`) and tries again on a timer, so that nothing else stands still meanwhile; the sum of the pauses is bounded.
 * They begin as those of SQLite's own busy handler and stay short, since a process that makes one change after the other leaves the lock free for
 * moments only: with pauses of a tenth of a second, one of a thousand changes of two such processes was refused.
 */
import { type Clock, sleep } from './clock.ts'
import { TurnoutError } from './errors.ts'

/** Longest time in ms that anybody waits for the lock of another process. */
export const BUSY_MS = 1_000
/** Pauses between tries; the last one is that of every further try. A try takes some 20 µs. */
const PAUSES_MS = [1, 2, 5, 10, 15, 20, 25, 25, 11] as const

/** Another process has locked the store: trying again in a moment may help. */
export class StoreBusy extends TurnoutError {
  constructor(detail: string) {
    super('store_unavailable', detail)
  }
}

/** How long one who tries again and again is patient. */
export class Patience {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  #tries = 0
  #sinceMs = 0

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock
  }

  /** The pause in ms before the next try; null when the error is another one, or its time is over. */
  pauseMs(error: unknown): number | null {
    if (!(error instanceof StoreBusy)) return null
    const nowMs = this.#clock.monotonicMs()
    if (this.#tries === 0) this.#sinceMs = nowMs
    if (nowMs - this.#sinceMs >= BUSY_MS) return null
    return PAUSES_MS[Math.min(this.#tries++, PAUSES_MS.length - 1)]
  }
}

/** What `attempt` resolves or rejects with, tried again while the store is locked and there is time left. */
export async function untilFree<T>(clock: Pick<Clock, 'after' | 'monotonicMs'>, attempt: () => Promise<T>): Promise<T> {
  const patience = new Patience(clock)
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const pauseMs = patience.pauseMs(error)
      if (pauseMs === null) throw error
      await sleep(clock, pauseMs)
    }
  }
}
