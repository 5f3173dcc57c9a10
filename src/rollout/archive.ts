/**
 * Rollouts in the store: of each service the one that runs, and the last ones that have ended, the newest first.
 *
 * What is kept is there before anything is done about it. A service has one entry, and an index names the services, since a store cannot be
 * asked what it has.
 */
import type { Store } from '../store/store.ts'
import type { Kept } from './kept.ts'
import { isOver } from './rollout.ts'

/** Ended rollouts that are kept of each service. */
const KEPT_MAX = 50

const INDEX = 'rollouts'
const keyOf = (service: string) => `rollout:${service}`

export class Archive {
  readonly #store: Pick<Store, 'get' | 'put'>
  readonly #ended = new Map<string, readonly Kept[]>()

  constructor(store: Pick<Store, 'get' | 'put'>) {
    this.#store = store
  }

  /** Services that ever had one. */
  get services(): string[] {
    return [...this.#ended.keys()]
  }

  /** Those that have ended, the newest first. */
  ended(service: string): readonly Kept[] {
    return this.#ended.get(service) ?? []
  }

  /** Reads what a process before this one has left; gives those that have not ended. */
  async read(): Promise<Kept[]> {
    const open: Kept[] = []
    for (const service of JSON.parse((await this.#store.get(INDEX)) ?? '[]') as string[]) {
      const text = await this.#store.get(keyOf(service))
      if (text === null) continue
      const all = JSON.parse(text) as Kept[]
      this.#ended.set(
        service,
        all.filter(({ rollout }) => isOver(rollout)),
      )
      open.push(...all.filter(({ rollout }) => !isOver(rollout)).slice(0, 1))
    }
    return open
  }

  /** Keeps one that runs, or has just ended, before the others of its service. */
  async keep(kept: Kept): Promise<void> {
    const { service } = kept
    if (!this.#ended.has(service)) {
      this.#ended.set(service, [])
      await this.#store.put(INDEX, JSON.stringify(this.services))
    }
    await this.#write(service, this.#withFirst(kept))
  }

  /** One that was kept is among those that have ended from now on. */
  end(kept: Kept): void {
    this.#ended.set(kept.service, this.#withFirst(kept))
  }

  /** Keeps what has become of one that has ended; `running` is the one that runs now. */
  async replace(kept: Kept, running: Kept | undefined): Promise<void> {
    const { service, rollout } = kept
    const ended = this.ended(service).map((other) => (other.rollout.id === rollout.id ? kept : other))
    this.#ended.set(service, ended)
    await this.#write(service, running === undefined ? ended : [running, ...ended].slice(0, KEPT_MAX))
  }

  /** The one that was to run has not begun. */
  forget(service: string): Promise<void> {
    return this.#write(service, this.ended(service))
  }

  #withFirst(kept: Kept): Kept[] {
    return [kept, ...this.ended(kept.service).filter(({ rollout }) => rollout.id !== kept.rollout.id)].slice(
      0,
      KEPT_MAX,
    )
  }

  #write(service: string, all: readonly Kept[]): Promise<void> {
    return this.#store.put(keyOf(service), JSON.stringify(all))
  }
}
