/**
 * How many jobs that wait for other machines are under way at once, such that those that nobody answers do not keep the others waiting. Pure.
 *
 * Two limits, each with its queue in the order of coming: one for jobs of those that answer or are new, and one for those of whoever was silent
 * the last time. A job under the quick limit that takes longer than that has patience goes on, and no longer keeps the next one
 * from its turn. So those that fall silent hold the others up for that long at most, until there are as many as may be under
 * way in all, and that once: from then on they are under the other limit, and wait for each other.
 */
import type { Clock } from './clock.ts'

/** How many jobs are under way at the same time, and how long one of the quick keeps its place. */
export interface LimiterPlan {
  readonly quickMax: number
  /** With those of the quick that have taken longer than `patienceMs`. */
  readonly quickAllMax: number
  readonly patienceMs: number
  readonly silentMax: number
}

export class Limiter {
  readonly #quick: Limit
  readonly #silent: Limit

  constructor(clock: Pick<Clock, 'after'>, { quickMax, quickAllMax, patienceMs, silentMax }: LimiterPlan) {
    this.#quick = new Limit(quickMax, { clock, ms: patienceMs, allMax: quickAllMax })
    this.#silent = new Limit(silentMax, null)
  }

  /** Does a job when it is its turn, among those of whoever was silent the last time or among the quick. It may not reject. */
  add(wasSilent: boolean, job: () => Promise<void>): void {
    const limit = wasSilent ? this.#silent : this.#quick
    limit.add(job)
  }
}

/** How long a job counts, and how many may be under way, those that count no more among them. */
interface Patience {
  readonly clock: Pick<Clock, 'after'>
  readonly ms: number
  readonly allMax: number
}

class Limit {
  readonly #max: number
  readonly #patience: Patience | null
  readonly #waiting: (() => Promise<void>)[] = []
  #counted = 0
  #running = 0

  /** Without patience every job counts until it ends. */
  constructor(max: number, patience: Patience | null) {
    this.#max = max
    this.#patience = patience
  }

  add(job: () => Promise<void>): void {
    this.#waiting.push(job)
    this.#next()
  }

  #next(): void {
    const allMax = this.#patience?.allMax ?? this.#max
    while (this.#counted < this.#max && this.#running < allMax) {
      const job = this.#waiting.shift()
      if (job === undefined) return
      void this.#work(job)
    }
  }

  async #work(job: () => Promise<void>): Promise<void> {
    let counts = true
    const end = () => {
      if (counts) this.#counted--
      counts = false
    }
    this.#counted++
    this.#running++
    const cancel = this.#patience?.clock.after(this.#patience.ms, () => {
      end()
      this.#next()
    })
    await job()
    cancel?.()
    end()
    this.#running--
    this.#next()
  }
}
