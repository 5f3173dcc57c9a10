/**
 * What happens to a rollout, one at a time and in order. Whoever cannot wait for ever is turned away when its turn does not come in time, and
 * then nothing of it is done.
 */
import type { Clock } from '../clock.ts'

export class Turns {
  readonly #failed: (error: unknown) => void
  #last: Promise<unknown> = Promise.resolve()

  /** `failed` hears of whatever was thrown in a turn. */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed
  }

  /** Does it in its turn. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const taken = this.#last.then(work)
    this.#last = taken.catch(this.#failed)
    return taken
  }

  /** The same; rejects with what `late` gives when the turn has not come by then. */
  within<T>(work: () => Promise<T>, limitMs: number, { after }: Pick<Clock, 'after'>, late: () => unknown): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    let isLate = false
    const cancel = after(limitMs, () => {
      isLate = true
      reject(late())
    })
    this.#last = this.#last.then(async () => {
      cancel()
      if (isLate) return
      // What goes wrong is told to whoever waits.
      await work().then(resolve, reject)
    })
    return promise
  }

  /** What was begun out of turn: whatever comes waits for it too. */
  beside<T>(taken: Promise<T>): Promise<T> {
    this.#last = Promise.allSettled([this.#last, taken])
    return taken
  }

  /** Resolves once all of them have been taken. */
  async end(): Promise<void> {
    await this.#last
  }
}

/** Whether it is done within this time. Rejects as it does. */
export async function isWithin(
  limitMs: number,
  done: Promise<unknown>,
  { after }: Pick<Clock, 'after'>,
): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const cancel = after(limitMs, () => resolve(false))
  try {
    return await Promise.race([done.then(() => true), late])
  } finally {
    cancel()
  }
}
