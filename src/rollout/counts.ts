/** What has happened to the rollouts of each service while this process runs; for /metrics. */
import type { ToldRollout } from './told.ts'

/** How a rollout can end. */
export type Ending = 'done' | 'rolledBack'
/** What people can ask for. */
export type Verb = 'begin' | 'pause' | 'resume' | 'promote' | 'abort'

/**
 * What they can ask of one that runs, and how: `force` promotes whatever schedule and capacity say (default false), and aborts even where nobody
 * would be left to answer (default true); `only` throws where it is not to be.
 */
export type Asking = Exclude<Verb, 'begin'>
export interface How {
  readonly force?: boolean
  readonly only?: () => void
}

/** How many have ended so, and how often people have asked for what was done then. */
interface Counted {
  readonly ended: Readonly<Record<Ending, number>>
  readonly asked: Readonly<Record<Verb, number>>
}
const NONE: Counted = {
  ended: { done: 0, rolledBack: 0 },
  asked: { begin: 0, pause: 0, resume: 0, promote: 0, abort: 0 },
}

/** The rollout of a service that runs, or its last one; and what has happened while this process runs. */
export interface Figures extends Counted {
  readonly last: ToldRollout
}

export class Counts {
  readonly #counts = new Map<string, Counted>()

  of(service: string): Counted {
    return this.#counts.get(service) ?? NONE
  }

  end(service: string, how: Ending): void {
    const { ended, asked } = this.of(service)
    this.#counts.set(service, { asked, ended: { ...ended, [how]: ended[how] + 1 } })
  }

  ask(service: string, verb: Verb): void {
    const { ended, asked } = this.of(service)
    this.#counts.set(service, { ended, asked: { ...asked, [verb]: asked[verb] + 1 } })
  }
}
