/**
 * What was seen and is not taken in yet: observations, and hosts whose addresses have moved. However many come while a look waits
 * for its turn, one look takes them all.
 */
import type { Observation } from '../change.ts'
import { addObservation, type Observations } from './observe.ts'

/** What one look takes in. */
export interface Seen {
  readonly observations: Observations
  readonly hosts: ReadonlySet<string>
}

export class Sightings {
  readonly #turn: (look: () => Promise<void>) => Promise<void>
  readonly #take: (seen: Seen) => Promise<void>
  #observations = new Map<string, Observation>()
  #hosts = new Set<string>()
  #looking: Promise<void> | null = null

  /** `turn` runs a look when it may be; `take` takes in what was seen until then. */
  constructor(turn: (look: () => Promise<void>) => Promise<void>, take: (seen: Seen) => Promise<void>) {
    this.#turn = turn
    this.#take = take
  }

  /** Resolves when these have been taken in. */
  observe(observations: readonly Observation[]): Promise<void> {
    for (const observation of observations) addObservation(this.#observations, observation)
    return this.#look()
  }

  /** Resolves when the new addresses of this host have been taken in. */
  moved(host: string): Promise<void> {
    this.#hosts.add(host)
    return this.#look()
  }

  #look(): Promise<void> {
    this.#looking ??= this.#turn(() => {
      const seen = { observations: this.#observations, hosts: this.#hosts }
      this.#observations = new Map()
      this.#hosts = new Set()
      this.#looking = null
      return this.#take(seen)
    })
    return this.#looking
  }
}
