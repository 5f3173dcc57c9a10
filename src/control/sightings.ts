/**
 * What was seen and is not taken in yet: observations, and hosts whose addresses have moved. However many come while a look waits
 * for its turn, one look takes them all.
 *
 * A service that cannot be served with what was seen, since its addresses are more than there are slots, keeps back no other one. That a host has
 * moved is told but once, so such a service is looked at again until it can be served; what was observed of it comes again by itself.
 */
import type { Observation } from '../change.ts'
import type { Clock } from '../clock.ts'
import type { Refused } from './intake.ts'
import { addObservation, type Observations } from './observe.ts'

/** Time until a service that was refused is looked at again. */
export const LOOK_AGAIN_MS = 5_000

/** What one look takes in. */
export interface Seen {
  readonly observations: Observations
  readonly hosts: ReadonlySet<string>
  /** Services that an earlier look was refused. */
  readonly services: ReadonlySet<string>
}

export interface SightingsDeps {
  readonly clock: Pick<Clock, 'after'>
  /** Runs a look when it may be. */
  turn(look: () => Promise<void>): Promise<void>
  /** Takes in what was seen until then. */
  take(seen: Seen): Promise<Refused>
}

export class Sightings {
  readonly #deps: SightingsDeps
  #observations = new Map<string, Observation>()
  #hosts = new Set<string>()
  #services = new Set<string>()
  #looking: Promise<void> | null = null
  /** Those of which nothing is taken until the time is over, and its timer. */
  #refused = new Set<string>()
  #cancel: (() => void) | null = null

  constructor(deps: SightingsDeps) {
    this.#deps = deps
  }

  /** Resolves when these have been taken in. Rejects when a service was refused, maybe another one of the same look. */
  observe(observations: readonly Observation[]): Promise<void> {
    for (const observation of observations) addObservation(this.#observations, observation)
    return this.#look()
  }

  /** Resolves when the new addresses of this host have been taken in. Rejects as `observe` does; they are taken in later then. */
  moved(host: string): Promise<void> {
    this.#hosts.add(host)
    return this.#look()
  }

  /** Nothing is looked at again by itself from now on. */
  close(): void {
    this.#cancel?.()
  }

  #look(): Promise<void> {
    this.#looking ??= this.#deps.turn(() => {
      const seen = { observations: this.#observations, hosts: this.#hosts, services: this.#services }
      this.#observations = new Map()
      this.#hosts = new Set()
      this.#services = new Set()
      this.#looking = null
      return this.#take(seen)
    })
    return this.#looking
  }

  async #take(seen: Seen): Promise<void> {
    const refused = await this.#deps.take(seen)
    for (const service of refused.keys()) this.#refused.add(service)
    if (refused.size > 0) this.#cancel ??= this.#deps.clock.after(LOOK_AGAIN_MS, () => this.#lookAgain())
    for (const fault of refused.values()) throw fault
  }

  #lookAgain(): void {
    this.#cancel = null
    this.#services = this.#services.union(this.#refused)
    this.#refused = new Set()
    // What is still refused was told when it came.
    this.#look().catch(() => {})
  }
}
