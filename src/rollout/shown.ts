/**
 * The rollouts as others see them: those that run, here or elsewhere, and those that have ended.
 *
 * Nothing is read from the store for it: what another process runs is as it was read last (elsewhere.ts).
 */
import type { Control } from '../change.ts'
import { TurnoutError } from '../errors.ts'
import type { Archive } from './archive.ts'
import type { Counts, Figures } from './counts.ts'
import type { Elsewhere } from './elsewhere.ts'
import { type ToldRollout, toldRollout } from './told.ts'

export interface ShownDeps {
  readonly control: Pick<Control, 'snapshot'>
  /** Those that run here, by service. */
  readonly running: ReadonlyMap<string, { told(): ToldRollout }>
  readonly elsewhere: Pick<Elsewhere, 'services' | 'told'>
  readonly archive: Pick<Archive, 'ended' | 'services'>
  readonly counts: Counts
}

export class Shown {
  readonly #deps: ShownDeps

  constructor(deps: ShownDeps) {
    this.#deps = deps
  }

  /** All of a service, the newest first. */
  list(service: string): readonly ToldRollout[] {
    const running = this.running(service)
    return [...(running === null ? [] : [running]), ...this.#deps.archive.ended(service).map(toldRollout)]
  }

  /** One of them by its id, or the one that runs, else the last, as `current`. Throws `not_found`. */
  find(service: string, id: string): ToldRollout {
    const all = this.list(service)
    const found = id === 'current' ? all[0] : all.find((rollout) => rollout.id === id)
    if (found === undefined) {
      const what = id === 'current' ? 'has had no rollout yet' : `has no rollout ${id}`
      throw new TurnoutError('not_found', `Service ${service} ${what}.`)
    }
    return found
  }

  /** The one that runs; null when none does. */
  running(service: string): ToldRollout | null {
    return this.#deps.running.get(service)?.told() ?? this.#deps.elsewhere.told(service)
  }

  /** Of each service that ever had a rollout. */
  figures(): Figures[] {
    const { control, running, elsewhere, archive, counts } = this.#deps
    const { services } = control.snapshot()
    return [...new Set([...running.keys(), ...elsewhere.services, ...archive.services])].flatMap((service) => {
      if (!Object.hasOwn(services, service)) return []
      const [ended] = archive.ended(service)
      const last = this.running(service) ?? (ended && toldRollout(ended))
      return last === undefined ? [] : [{ last, ...counts.of(service) }]
    })
  }
}
