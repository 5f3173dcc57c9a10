/**
 * Rollouts in the store: of each service the one that runs, and the last ones that have ended, the newest first.
 *
 * What is kept is there before anything is done about it. Of a service the last one, which may run and is written every ten seconds, has an
 * entry of its own, so that this costs its own size; those before it have another, which is written when one joins them. A store cannot be
 * asked what it has, so an index names the services; of those that are no more the last `GONE_MAX` are known. An older Turnout had all of a
 * service in the first entry: that is read too, and parted at the next write.
 */
import type { Store } from '../store/store.ts'
import type { Kept } from './kept.ts'
import { isOver } from './rollout.ts'
import { soundKept } from './stored.ts'

/** Rollouts that are kept of each service. */
const KEPT_MAX = 50
/** Services without a place in the config of which rollouts are kept: they may come back. */
const GONE_MAX = 50

const INDEX = 'rollouts'
const lastKey = (service: string) => `rollout:${service}`
const olderKey = (service: string) => `rollouts-before:${service}`

type ArchiveStore = Pick<Store, 'get' | 'put'>
type Unread = (error: unknown) => void
type Put = (key: string, text: string) => Promise<unknown>

export class Archive {
  readonly #store: ArchiveStore
  readonly #isService: (name: string) => boolean
  readonly #unread: (service: string, error: unknown) => void
  /** Services that the index has. */
  #indexed: ReadonlySet<string> = new Set()
  readonly #ended = new Map<string, readonly Kept[]>()
  /** Id of the one that has an entry of its own; absent where there is none, or where the entry is of the older form. */
  readonly #last = new Map<string, string>()

  /** `isService` tells which services there are now; `unread` hears of a service of which what is kept is no such thing: it counts as gone. */
  constructor(
    store: ArchiveStore,
    isService: (name: string) => boolean,
    unread: (service: string, error: unknown) => void = () => {},
  ) {
    this.#store = store
    this.#isService = isService
    this.#unread = unread
  }

  /** Services that ever had one, and those of them that are no more, as long as that is known. */
  get services(): string[] {
    return [...this.#ended.keys()]
  }

  /** Those that have ended, the newest first. */
  ended(service: string): readonly Kept[] {
    return this.#ended.get(service) ?? []
  }

  get allEnded(): { readonly kept: Kept }[] {
    return this.services.flatMap((service) => this.ended(service).map((kept) => ({ kept })))
  }

  /** Reads what a process before this one has left of all services, `more` among them; gives those that have not ended. */
  async read(more: readonly string[] = []): Promise<Kept[]> {
    const open: Kept[] = []
    const names = decoded<string>(INDEX, await this.#store.get(INDEX), this.#unread)
    this.#indexed = new Set(names.filter((name) => typeof name === 'string'))
    for (const service of new Set([...this.#indexed, ...more])) {
      const running = await this.readOne(service)
      if (running !== null) open.push(running)
    }
    return open
  }

  /** Reads those of one service; gives the one that has not ended. */
  async readOne(service: string): Promise<Kept | null> {
    const text = await this.#store.get(lastKey(service))
    if (text === null) return null
    const unread = (error: unknown) => this.#unread(service, error)
    const first = keptIn(service, text, unread)
    const older = keptIn(service, await this.#store.get(olderKey(service)), unread)
    // One that has just made room for another may stand in both.
    const ids = new Set(first.map(({ rollout }) => rollout.id))
    const all = [...first, ...older.filter(({ rollout }) => !ids.has(rollout.id))]
    this.#ended.set(
      service,
      all.filter(({ rollout }) => isOver(rollout)),
    )
    if (first.length === 1) this.#last.set(service, first[0].rollout.id)
    else this.#last.delete(service)
    return all.find(({ rollout }) => !isOver(rollout)) ?? null
  }

  /** Keeps one that runs, or has just ended, as the last of its service; `put` writes it. */
  async keep(kept: Kept, put: Put = (key, text) => this.#store.put(key, text)): Promise<void> {
    const { service, rollout } = kept
    if (!this.#indexed.has(service) || !this.#ended.has(service)) {
      this.#ended.set(service, this.ended(service))
      await this.forgetGone()
      await this.#writeIndex()
    }
    if (this.#last.get(service) !== rollout.id) await this.#writeOlder(service, rollout.id)
    const [key, text] = [lastKey(service), JSON.stringify([kept])]
    await put(key, text).catch(async (error: unknown) => {
      // What is reported as failed may have happened all the same.
      if ((await this.#store.get(key).catch(() => null)) !== text) throw error
    })
    this.#last.set(service, rollout.id)
  }

  /** One that was kept is among those that have ended from now on. */
  end(kept: Kept): void {
    const others = this.ended(kept.service).filter(({ rollout }) => rollout.id !== kept.rollout.id)
    this.#ended.set(kept.service, [kept, ...others].slice(0, KEPT_MAX))
  }

  /** Keeps what has become of one that has ended; `running` is the one that runs now. */
  async replace(kept: Kept, running: Kept | undefined): Promise<void> {
    const { service, rollout } = kept
    const ended = this.ended(service).map((other) => (other.rollout.id === rollout.id ? kept : other))
    this.#ended.set(service, ended)
    const last = this.#last.get(service)
    if (last === rollout.id) return this.#store.put(lastKey(service), JSON.stringify([kept]))
    if (last !== undefined) return this.#writeOlder(service, last)
    // Of the older form.
    const first = running ?? ended[0]
    await this.#writeOlder(service, first.rollout.id)
    await this.#store.put(lastKey(service), JSON.stringify([first]))
    this.#last.set(service, first.rollout.id)
  }

  /** The one that was to run has not begun. */
  async forget(service: string): Promise<void> {
    await this.#writeOlder(service, null)
    await this.#store.put(lastKey(service), '[]')
    this.#last.delete(service)
  }

  /** Of services that are no more the last ones alone are known. */
  async forgetGone(): Promise<void> {
    const changedAtMs = (service: string) => this.ended(service)[0]?.updatedAtMs ?? 0
    const gone = this.services.filter((service) => !this.#isService(service))
    const old = gone.sort((a, b) => changedAtMs(b) - changedAtMs(a)).slice(GONE_MAX)
    for (const service of old) {
      this.#ended.delete(service)
      this.#last.delete(service)
      await this.#store.put(olderKey(service), null)
      await this.#store.put(lastKey(service), null)
    }
    if (old.length > 0) await this.#writeIndex()
  }

  async #writeIndex(): Promise<void> {
    const { services } = this
    await this.#store.put(INDEX, JSON.stringify(services))
    this.#indexed = new Set(services)
  }

  /** All that have ended but the one with an entry of its own. */
  #writeOlder(service: string, last: string | null): Promise<void> {
    const older = this.ended(service).filter(({ rollout }) => rollout.id !== last)
    return this.#store.put(olderKey(service), JSON.stringify(older.slice(0, KEPT_MAX - 1)))
  }
}

/** A list as it was kept; empty where there is none, or what is there is none. */
function decoded<T>(what: string, text: string | null, unread: (what: string, error: unknown) => void): T[] {
  try {
    const list: unknown = JSON.parse(text ?? '[]')
    if (!Array.isArray(list)) throw new TypeError('no list')
    return list
  } catch (error) {
    unread(what, error)
    return []
  }
}

/** Those of a service that are rollouts of it. */
function keptIn(service: string, text: string | null, unread: Unread): Kept[] {
  const list = decoded<unknown>(service, text, (_service, error) => unread(error))
  return list.map((stored) => soundKept(stored, service, unread)).filter((kept) => kept !== null)
}
