/**
 * Changes that wait for a pool to be proven. They wait outside the writer's queue, so that other changes and what probes report go on;
 * whenever something is told that may have proven the pool, the change is tried again, as if it had been sent then. Bounded: so many wait
 * at a time, and none longer than it said; a caller who goes away ends its wait, and so does the end of the process.
 */
import type { ChangeOptions, ChangeResult, ControlEvent } from '../change.ts'
import type { Clock } from '../clock.ts'
import { TurnoutError } from '../errors.ts'
import { Unproven } from './leaves-nobody.ts'

/** Changes that may wait at the same time; the next one is refused with `overloaded`. */
export const UNPROVEN_WAITING_MAX = 100

/** What happens when a pool is proven: a probe, an ejection that is over or not, a name with an address, a change of the pool. */
const TELLING: ReadonlySet<ControlEvent['type']> = new Set(['health', 'ejection', 'name', 'change'])

/** Those who wait. */
export interface Waiting {
  /** What `attempt` resolves or rejects with; while that is `Unproven` and there is time left, it is tried again. */
  run(attempt: () => Promise<ChangeResult>, options: Pick<ChangeOptions, 'waitMs' | 'signal'>): Promise<ChangeResult>
  /** Ends every wait with `not_ready`. */
  close(): void
}

/** Nobody waits yet. */
export function createWaiting(
  clock: Clock,
  subscribe: (listener: (event: ControlEvent) => void) => () => void,
): Waiting {
  const ended = new AbortController()
  let count = 0

  /** Resolves at the next event that tells something, or when the time is over; rejects when the wait is ended. */
  function nextNews(waitMs: number, signals: readonly AbortSignal[]): { news: Promise<void>; forget: () => void } {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const unsubscribe = subscribe(({ type }) => TELLING.has(type) && resolve())
    const cancel = clock.after(waitMs, resolve)
    const abort = ({ target }: Event): void => reject((target as AbortSignal).reason)
    for (const signal of signals) {
      if (signal.aborted) reject(signal.reason)
      signal.addEventListener('abort', abort)
    }
    // Whether anybody waits for it is not known yet.
    promise.catch(() => {})
    return {
      news: promise,
      forget() {
        unsubscribe()
        cancel()
        for (const signal of signals) signal.removeEventListener('abort', abort)
      },
    }
  }

  async function waited(
    attempt: () => Promise<ChangeResult>,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<ChangeResult> {
    const untilMs = clock.monotonicMs() + waitMs
    for (;;) {
      const leftMs = untilMs - clock.monotonicMs()
      // Listened for from before the attempt, so that nothing is missed that happens during it.
      const { news, forget } = nextNews(
        Math.max(leftMs, 0),
        signal === undefined ? [ended.signal] : [ended.signal, signal],
      )
      try {
        return await attempt()
      } catch (error) {
        if (!(error instanceof Unproven)) throw error
        if (leftMs <= 0) throw new TurnoutError('conflict', `${error.message} It was waited for ${waitMs / 1000} s.`)
        if (count >= UNPROVEN_WAITING_MAX) throw new TurnoutError('overloaded', 'Too many changes wait for a pool.')
        count++
        await news.finally(() => count--)
      } finally {
        forget()
      }
    }
  }

  return {
    run: (attempt, { waitMs = 0, signal }) => (waitMs > 0 ? waited(attempt, waitMs, signal) : attempt()),
    close: () => ended.abort(new TurnoutError('not_ready', 'Turnout ends, and nothing has changed.')),
  }
}
