/**
 * Rollouts that are about to begin: nobody can see one yet, and none beside it can.
 *
 * What one begins with is read twice: before the pool takes the version that was sent, so that nothing is changed for one that is refused, and
 * right before it begins, since others may have changed the service meanwhile.
 */
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { poolNamed, serviceNamed } from '../config/named.ts'
import { own } from '../config/record.ts'
import { TurnoutError } from '../errors.ts'
import { type Asked, keptOf } from './asked.ts'
import type { Kept } from './kept.ts'
import { isRolling } from './rolling.ts'
import type { Wish } from './wish.ts'

export interface BeginningsDeps {
  readonly control: Control
  readonly clock: Clock
  /** Folders whose programs hooks may run. */
  readonly commandFolders: readonly string[]
  /** A name that no other rollout has. */
  id(): string
}

export class Beginnings {
  readonly #deps: BeginningsDeps
  readonly #isRunning: (service: string) => boolean
  readonly #services = new Set<string>()

  /** `isRunning` tells of which services one runs. */
  constructor(deps: BeginningsDeps, isRunning: (service: string) => boolean) {
    this.#deps = deps
    this.#isRunning = isRunning
  }

  /** Begins one by `open`, once its pool has the version that was sent. Rejects as `keptOf` throws. */
  async begin<T>(service: string, asked: Asked, by: string, open: (kept: Kept) => Promise<T>): Promise<T> {
    const { wish, rollout } = this.keptOf(service, asked, by)
    this.#services.add(service)
    try {
      await this.#putVersion(service, asked, wish, by)
      return await open(this.keptOf(service, asked, by, rollout.id))
    } finally {
      this.#services.delete(service)
    }
  }

  /**
   * One that begins now, before anything is done about it; `mine` is the id that it has already. Throws `conflict` while another runs,
   * `not_found` and `invalid`.
   */
  keptOf(service: string, asked: Asked, by: string, mine?: string): Kept {
    const { to } = asked
    const { control, clock, id } = this.#deps
    const { services, status } = control.snapshot()
    const spec = serviceNamed(services, service)
    poolNamed(spec, service, to)
    const isTaken = this.#isRunning(service) || (this.#services.has(service) && mine === undefined)
    if (isTaken || own(status, service)?.trial !== undefined) {
      throw new TurnoutError('conflict', `A rollout of ${service} is running.`)
    }
    const times = { nowMs: clock.nowMs(), steadyMs: clock.steadyMs() }
    const rest = { service, id: mine ?? id(), by, ...times, commandFolders: this.#deps.commandFolders }
    return keptOf(asked, spec, own(status, service), rest)
  }

  /** A pool that is tried has the version that was sent from now on; a rolling release brings it. */
  async #putVersion(service: string, { to, version }: Asked, wish: Wish, by: string): Promise<void> {
    const { control } = this.#deps
    const present = control.snapshot().services[service].pools[to]
    if (isRolling(wish) || version === undefined || version === present.version) return
    await control.change({ kind: 'pool.put', service, pool: to, spec: { ...present, version } }, { actor: by })
  }
}
