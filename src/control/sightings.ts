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
  /** Services that are due again, since an earlier look was refused them. */
  readonly services: ReadonlySet<string>
  /** All that were refused when they were looked at last. */
  readonly refused: ReadonlySet<string>
}

export interface SightingsDeps {
  readonly clock: Pick<Clock, 'after'>
  /** Runs a look when it may be. */
  turn(look: () => Promise<Refused>): Promise<Refused>
  /** Takes in what was seen until then. */
  take(seen: Seen): Promise<Refused>
}

export class Sightings {
  readonly #deps: SightingsDeps
  #observations = new Map<string, Observation>()
  #hosts = new Set<string>()
  #services = new Set<string>()
  #looking: Promise<Refused> | null = null
  /** Those that were refused when they were looked at last, and the timer of their next look. */
  #refused: ReadonlySet<string> = new Set()
  #cancel: (() => void) | null = null
  #isClosed = false

  constructor(deps: SightingsDeps) {
    this.#deps = deps
  }

  /** Resolves when these have been taken in. Rejects when one of their services was refused. */
  async observe(observations: readonly Observation[]): Promise<void> {
    for (const observation of observations) addObservation(this.#observations, observation)
    const { services } = await this.#look()
    for (const { service } of observations) if (services.has(service)) throw services.get(service)
  }

  /** Resolves when the new addresses of this host have been taken in. Rejects when a service that has it was refused; it is taken in later then. */
  async moved(host: string): Promise<void> {
    this.#hosts.add(host)
    const { hosts } = await this.#look()
    if (hosts.has(host)) throw hosts.get(host)
  }

  /** Nothing is looked at again by itself from now on; also not what a look is refused that still waits for its turn. */
  close(): void {
    this.#isClosed = true
    this.#cancel?.()
  }

  #look(): Promise<Refused> {
    this.#looking ??= this.#deps.turn(() => {
      const seen = {
        observations: this.#observations,
        hosts: this.#hosts,
        services: this.#services,
        refused: this.#refused,
      }
      this.#observations = new Map()
      this.#hosts = new Set()
      this.#services = new Set()
      this.#looking = null
      return this.#take(seen)
    })
    return this.#looking
  }

  async #take(seen: Seen): Promise<Refused> {
    const found = await this.#deps.take(seen)
    this.#refused = new Set([...seen.refused.difference(seen.services), ...found.services.keys()])
    if (this.#refused.size > 0 && !this.#isClosed) {
      this.#cancel ??= this.#deps.clock.after(LOOK_AGAIN_MS, () => this.#lookAgain())
    }
    return found
  }

  #lookAgain(): void {
    this.#cancel = null
    this.#services = this.#services.union(this.#refused)
    // Nobody waits for it, and what is still refused was told when it came.
    this.#look().catch(() => {})
  }
}
