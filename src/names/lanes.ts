/** The lanes of lookups: one of names that are answered or new, and one of those whose last lookup nobody has answered. */
import type { Clock } from '../clock.ts'
import { Lane } from './lane.ts'
import type { NameState } from './state.ts'

/** Lookups at the same time. */
const QUICK_MAX = 256
const SILENT_MAX = 64
/** Most are answered in less; that a new name is silent is only known after 3.5 s. */
const PATIENCE_MS = 500
/** With those that were not answered in that time; each has a socket. So many are begun in the two seconds that a start waits. */
const QUICK_ALL_MAX = 1_024

export class Lanes {
  readonly #quick: Lane
  readonly #silent = new Lane(SILENT_MAX)

  constructor(clock: Pick<Clock, 'after'>) {
    this.#quick = new Lane(QUICK_MAX, { clock, ms: PATIENCE_MS, allMax: QUICK_ALL_MAX })
  }

  /** Looks a name of this state up when it is its turn; `look` may not reject. */
  add({ fault }: NameState, look: () => Promise<void>): void {
    const lane = fault?.reason === 'timeout' ? this.#silent : this.#quick
    lane.add(look)
  }
}
