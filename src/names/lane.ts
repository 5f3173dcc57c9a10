/**
 * Jobs in order of their coming, at most so many at a time; no job may reject.
 *
 * A job that takes longer than the lane has patience goes on, and no longer keeps the next one from its turn: so those that
 * nobody answers hold up the others for that long at most, until there are as many as may be under way in all. Pure.
 */
import type { Clock } from '../clock.ts'

/** How long a job counts, and how many may be under way, those that count no more among them. */
export interface Patience {
  readonly clock: Pick<Clock, 'after'>
  readonly ms: number
  readonly allMax: number
}

export class Lane {
  readonly #max: number
  readonly #patience: Patience | null
  readonly #waiting: (() => Promise<void>)[] = []
  #counted = 0
  #running = 0

  /** Without patience every job counts until it ends. */
  constructor(max: number, patience: Patience | null = null) {
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
