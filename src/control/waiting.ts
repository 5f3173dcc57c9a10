/**
 * Changes that wait for a pool to be proven. They wait outside the writer's queue, so that other changes and what probes report go on;
 * whenever something is told or seen that may have proven the pool, and when an ejection ends, the change is tried again, as if it had been sent
 * then. Bounded: so many wait at a time, and none longer than it said; a caller who goes away ends its wait, and so does the end of the process.
 *
 * So it is the way in of all that may come late, and the place to turn that away while another process is to write.
 */
import type { ChangeOptions, ChangeResult, ControlEvent } from '../change.ts'
import type { Clock } from '../clock.ts'
import { TurnoutError, yieldedNow } from '../errors.ts'
import { Unproven } from './leaves-nobody.ts'

/** Changes that may wait at the same time; the next one is refused with `overloaded`. */
export const UNPROVEN_WAITING_MAX = 100

/** What is told when a pool is proven, beside what is seen of its targets (`wake`): a name with an address, a change of the pool. */
const TELLING: ReadonlySet<ControlEvent['type']> = new Set(['name', 'change'])

type Options = Pick<ChangeOptions, 'waitMs' | 'signal' | 'dryRun'>

/** Those who wait. */
export interface Waiting {
  /** What `attempt` resolves or rejects with; while that is `Unproven` and there is time left, it is tried again. */
  run(attempt: () => Promise<ChangeResult>, options: Options): Promise<ChangeResult>
  /** True: ends every wait, and refuses whatever would change something, with `not_ready`. False: it is as before. */
  yield(isYielded: boolean): void
  readonly isYielded: boolean
  /** Something was seen of targets: who waits tries again. */
  wake(): void
  /** Ends every wait with `not_ready`. */
  close(): void
}

type Subscribe = (listener: (event: ControlEvent) => void) => () => void
/** Calls at whatever may have proven a pool, until the function that it gives is called. */
type Listen = (call: () => void) => () => void

/** Nobody waits yet. */
export function createWaiting(clock: Clock, subscribe: Subscribe): Waiting {
  const ended = new AbortController()
  let yielded = new AbortController()
  let count = 0
  const sleepers = new Set<() => void>()
  const listen: Listen = (call) => {
    const end = subscribe(({ type }) => TELLING.has(type) && call())
    sleepers.add(call)
    return () => {
      sleepers.delete(call)
      end()
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
      const ends = [ended.signal, yielded.signal, ...(signal === undefined ? [] : [signal])]
      const { news, within, forget } = nextNews(clock, listen, Math.max(leftMs, 0), ends)
      try {
        return await attempt()
      } catch (error) {
        if (!(error instanceof Unproven)) throw error
        if (leftMs <= 0) throw new TurnoutError('conflict', `${error.message} It was waited for ${waitMs / 1000} s.`)
        if (count >= UNPROVEN_WAITING_MAX) throw new TurnoutError('overloaded', 'Too many changes wait for a pool.')
        count++
        within(error.endsMs - clock.steadyMs())
        await news.finally(() => count--)
      } finally {
        forget()
      }
    }
  }

  return {
    async run(attempt, { waitMs = 0, signal, dryRun }) {
      if (dryRun !== true) yielded.signal.throwIfAborted()
      return waitMs > 0 ? waited(attempt, waitMs, signal) : attempt()
    },
    yield(isYielded) {
      if (isYielded) yielded.abort(yieldedNow())
      // An upgrade may break before it has stepped back: those that wait go on hearing of the next one.
      else if (yielded.signal.aborted) yielded = new AbortController()
    },
    get isYielded() {
      return yielded.signal.aborted
    },
    wake() {
      for (const call of [...sleepers]) call()
    },
    close: () => ended.abort(new TurnoutError('not_ready', 'Turnout ends, and nothing has changed.')),
  }
}

/** Resolves at the next news, or when the time is over; rejects when the wait is ended. */
function nextNews(
  { after }: Pick<Clock, 'after'>,
  listen: Listen,
  waitMs: number,
  signals: readonly AbortSignal[],
): { news: Promise<void>; within: (waitMs: number) => void; forget: () => void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const end = listen(resolve)
  let cancel = after(waitMs, resolve)
  const abort = ({ target }: Event): void => reject((target as AbortSignal).reason)
  for (const signal of signals) {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', abort)
  }
  // Whether anybody waits for it is not known yet.
  promise.catch(() => {})
  return {
    news: promise,
    /** It is over by then. */
    within(sooner) {
      if (sooner >= waitMs) return
      cancel()
      cancel = after(Math.max(0, sooner), resolve)
    },
    forget() {
      end()
      cancel()
      for (const signal of signals) signal.removeEventListener('abort', abort)
    },
  }
}
