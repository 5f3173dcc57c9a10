/**
 * A queue of requests that wait: first come, first served. Pure, and of one worker; whose turn it is, queues.ts says.
 *
 * The links are the waiters' own, so nothing is allocated for one, and one that leaves in the middle does so at once.
 */

/** Somebody who waits; the links and `queue` belong to the queue. */
export interface Waiter {
  next: Waiter | null
  previous: Waiter | null
  /** Where it waits; null while it does not. */
  queue: Queue | null
  /** Since when, in steady ms: those who wait again keep their place. */
  sinceMs: number
  /** It has its turn, and was taken out of the queue: it goes on, ends, or waits again. */
  getsTurn(): void
  /** It may wait no longer: the worker is about to end. */
  isEnded(): void
}

export class Queue {
  first: Waiter | null = null
  #last: Waiter | null = null

  /** Adds a waiter, behind all who have waited for as long or longer. */
  add(waiter: Waiter): void {
    let before = this.#last
    while (before !== null && before.sinceMs > waiter.sinceMs) before = before.previous
    const after = before === null ? this.first : before.next
    waiter.queue = this
    waiter.previous = before
    waiter.next = after
    if (before === null) this.first = waiter
    else before.next = waiter
    if (after === null) this.#last = waiter
    else after.previous = waiter
  }

  /** Tells all that they may wait no longer; each leaves then. */
  end(): void {
    while (this.first !== null) this.first.isEnded()
  }

  /** Takes a waiter out. */
  remove(waiter: Waiter): void {
    const { previous, next } = waiter
    if (previous === null) this.first = next
    else previous.next = next
    if (next === null) this.#last = previous
    else next.previous = previous
    waiter.queue = null
    waiter.previous = null
    waiter.next = null
  }
}
