/** How many rollouts have ended while this process runs, by service and how; for /metrics. */
import type { ToldRollout } from './told.ts'

/** How a rollout can end. */
export type Ending = 'done' | 'rolledBack'
const NONE: Readonly<Record<Ending, number>> = { done: 0, rolledBack: 0 }

/** The rollout of a service that runs, or its last one; and how many have ended while this process runs. */
export interface Figures {
  readonly last: ToldRollout
  readonly ended: Readonly<Record<Ending, number>>
}

export class Endings {
  readonly #counts = new Map<string, Readonly<Record<Ending, number>>>()

  of(service: string): Readonly<Record<Ending, number>> {
    return this.#counts.get(service) ?? NONE
  }

  count(service: string, how: Ending): void {
    const counts = this.of(service)
    this.#counts.set(service, { ...counts, [how]: counts[how] + 1 })
  }
}
