/**
 * Gives out the names of releases, each once. A pin names the release that it was given in, so a name that is given out twice would
 * honour the pins of another life.
 *
 * - The number is the document's and only grows: over all services, also those that are gone.
 * - A store may go back to an older copy, and its number with it. So a name has the mark of the run that gave it out, by chance:
 *   within one run the number never falls, and another run has another mark. The number of a pool has it, too.
 */
import type { PoolIntent } from '../table/status.ts'

export interface Releases {
  /** The last number that was given out; 0 before the first. */
  readonly last: number
  /** Mark of this run of the process; empty for none. */
  readonly run: string
}

/** What tells a pool from others of its name that its service had. */
export type Birth = Pick<PoolIntent, 'born' | 'bornBy'>

/** Gives out the next releases after some. */
export class Issuer {
  #given: Releases

  constructor(given: Releases) {
    this.#given = given
  }

  /** What is given out by now. */
  get given(): Releases {
    return this.#given
  }

  /** That of a pool which comes now. */
  birth(): Birth {
    const born = this.#number()
    const { run } = this.#given
    return run === '' ? { born } : { born, bornBy: run }
  }

  /** The name of the next release. */
  next(): string {
    const number = this.#number()
    const { run } = this.#given
    return run === '' ? `r${number}` : `r${number}-${run}`
  }

  #number(): number {
    const last = this.#given.last + 1
    this.#given = { ...this.#given, last }
    return last
  }
}
