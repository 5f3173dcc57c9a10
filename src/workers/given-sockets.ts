/**
 * Listening sockets that were there before this process: who of its workers gets which.
 *
 * Connections wait in a socket until somebody accepts them, so each socket must have a worker, also where there are fewer workers than
 * sockets: then one has several. A worker that gets none opens one of its own on the same address.
 *
 * - Those of a process before this one are handed on: each belongs to one worker from then on, and ends with it. The worker
 *   after it opens one of its own, as any other does.
 * - Those of a service manager stay open here, since only they may listen there: workers get duplicates, and so does a worker
 *   that comes after a lost one. Where there are more workers than sockets, several accept from the same one.
 *
 * No two workers ever have the same descriptor: the first of them to end would close that of the other.
 */
import { closeSync } from 'node:fs'

/** Sockets of the listeners, in the order of the spec. */
export class GivenSockets {
  readonly #descriptors: readonly (readonly number[])[]
  readonly #workers: number
  readonly #duplicate: ((descriptor: number) => number) | null
  readonly #served = new Set<number>()

  /** Descriptors for each listener, and how many workers share them; with `duplicate` they stay here, and workers get what it returns. */
  constructor(
    descriptors: readonly (readonly number[])[],
    workers: number,
    duplicate: ((descriptor: number) => number) | null = null,
  ) {
    this.#descriptors = descriptors
    this.#workers = workers
    this.#duplicate = duplicate
  }

  /** Those of this worker, which it is to listen on now, for each listener. Throws what `duplicate` throws. */
  of(worker: number): number[][] {
    const duplicate = this.#duplicate
    const mine = this.#descriptors.map((all) => all.filter((_, at) => at % this.#workers === worker))
    if (duplicate !== null) {
      const shared = mine.map((own, at) => {
        const all = this.#descriptors[at]
        return own.length > 0 || all.length === 0 ? own : [all[worker % all.length]]
      })
      return duplicates(shared, duplicate)
    }
    const isFirst = !this.#served.has(worker)
    this.#served.add(worker)
    return isFirst ? mine : mine.map(() => [])
  }
}

/** A duplicate of each, or of none: those that are made in vain are closed, since it may be for want of descriptors. */
function duplicates(
  descriptors: readonly (readonly number[])[],
  duplicate: (descriptor: number) => number,
): number[][] {
  const made: number[] = []
  try {
    return descriptors.map((all) =>
      all.map((descriptor) => {
        made.push(duplicate(descriptor))
        return made.at(-1)!
      }),
    )
  } catch (error) {
    for (const descriptor of made) closeSync(descriptor)
    throw error
  }
}
