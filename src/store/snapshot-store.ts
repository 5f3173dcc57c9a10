/**
 * A store elsewhere with a copy of its document here, in memory and a file: a start needs no store, and a store that lost the document gets it back.
 *
 *   start ── store answers ─┬─ the file is older, or the same ──────► with (the store's)
 *     │                     └─ the file is newer, and of this store ► ahead (the file's) ── written again ──► with
 *     └── store is away, file there ──► alone (the file's, nothing can be changed) ── store answers ──► with, or ahead
 *
 * - Alone and ahead the file's document is what `load` gives; `position` is always that of the store. So whoever follows finds a store that has gone
 *   on, or one that fell, as at any other time.
 * - A document is written again as the very same position, so whoever has it is in step at once, and a newer one that another instance has
 *   is written over it in its turn. One that is as new is never written over.
 * - What stands under another id of cookies is another deployment. Its document is neither replaced nor taken by what is left here of this one.
 */
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import { isTurnoutError, TurnoutError } from '../errors.ts'
import { settleNamed } from './lost-named.ts'
import { NamedValues } from './named-values.ts'
import { News } from './news.ts'
import { assertOf, type Known, knownOf, type Snapshot, type SnapshotFile } from './snapshot-file.ts'
import { fleetOf, type RemoteFleet } from './snapshot-fleet.ts'
import { SnapshotKeeper } from './snapshot-keeper.ts'
import {
  type Commit,
  type Fleet,
  type Local,
  NOWHERE,
  type Position,
  type Replacement,
  type Store,
  type StoredDocument,
  type StoredService,
} from './store.ts'

const LAYER = 'cookieLayer'

/** A store elsewhere, as this one uses it. */
export interface Remote extends Omit<Store, 'fleet' | 'local'> {
  readonly fleet: RemoteFleet
  /** Rejects with `store_unavailable` when it cannot be reached by now; goes on trying. */
  reached(): Promise<void>
}

export class SnapshotStore implements Store {
  readonly fleet: Fleet
  readonly local: Local
  readonly #remote: Remote
  readonly #place: string
  readonly #file: SnapshotFile | null
  readonly #clock: Clock
  readonly #keeper: SnapshotKeeper | null
  #state: 'with' | 'alone' | 'ahead' = 'with'
  /** The document as it was read or written last; null before the first. */
  #known: Known | null = null
  readonly #named = new NamedValues()
  #keptAtMs = 0
  readonly #news = new News()

  /** `place` is the store's name without secrets; `file` is null where nothing is to be kept. */
  constructor(remote: Remote, place: string, file: SnapshotFile | null, clock: Clock) {
    this.#remote = remote
    this.#place = place
    this.#file = file
    this.#clock = clock
    const present = () => (this.#known === null ? null : { place, ...this.#known, named: this.#named.needed })
    this.#keeper =
      file && new SnapshotKeeper({ file, clock, present, tell: (level, message) => this.#news.tell(level, message) })
    this.fleet = fleetOf(remote.fleet, this.#news, (found, isOverdue) => this.#rewrite(found, isOverdue))
    this.local = {
      told: () => ({
        serves: this.#state === 'alone',
        keptAtMs: this.#keptAtMs,
        ...(this.#keeper?.told ?? { revision: 0, fault: null, failures: 0 }),
      }),
      listen: (heard) => this.#news.listen(heard),
    }
  }

  /** Finds out what to begin with. Rejects with `store_unavailable` when there is neither the store nor a snapshot of it. */
  async open(): Promise<void> {
    await this.#file?.tidy()
    const kept = await this.#kept()
    try {
      await this.#remote.reached()
      await this.#remote.position()
    } catch (error) {
      this.#goAlone(kept, error)
      return
    }
    const named = async () => (kept && this.#isOurs(kept, await this.#remote.get(LAYER)) ? kept.named : null)
    const told = (level: 'info' | 'warn' | 'error', reason: string) =>
      this.#news.tell(level, `the store ${this.#place} ${reason}`)
    await settleNamed(this.#remote, named, this.#clock, told)
    const document = await this.#remote.load()
    const layer = await this.#remote.get(LAYER)
    if (kept !== null && this.#isOurs(kept, layer) && kept.position.revision > document.position.revision) {
      this.#begin(kept, 'ahead')
      return
    }
    this.#known = knownOf(document)
  }

  async load(since?: Position): Promise<StoredDocument> {
    if (since === undefined) return this.#first()
    const document = await this.#remote.load(since)
    this.#state = 'with'
    const services = { ...document.services }
    for (const name of document.unchanged) {
      const service = own(this.#known?.services ?? {}, name)
      if (service === undefined) {
        await this.#readAnew()
        return document
      }
      services[name] = service
    }
    this.#remember({ ...knownOf(document), services })
    return document
  }

  /** The whole document. A store that has fallen since `open` is begun with like one that had before. */
  async #first(): Promise<StoredDocument> {
    if (this.#state === 'with') {
      const document = await this.#remote.load()
      if (this.#remember(knownOf(document))) return document
      this.#state = 'ahead'
    }
    return { ...this.#known!, unchanged: [], hasLost: false }
  }

  async position(): Promise<Position> {
    const found = await this.#remote.position()
    if (this.#state === 'alone') await this.#prove()
    const { position } = this.#known ?? { position: NOWHERE }
    if (this.#state === 'ahead' && found.mark === position.mark) this.#state = 'with'
    return found
  }

  async commit(present: Position, commit: Commit): Promise<Position> {
    const position = await this.#remote.commit(present, commit)
    const { services, releaseLast, named } = commit
    this.#name(named)
    if (this.#known?.position.mark !== present.mark) {
      await this.#readAnew()
      return position
    }
    const after: Record<string, StoredService> = { ...this.#known.services }
    for (const [name, service] of Object.entries(services)) {
      if (service.after === null) delete after[name]
      else after[name] = { ...service.after, revision: position.revision }
    }
    this.#remember({ position, releaseLast, services: after })
    return position
  }

  async replace(present: Position, replacement: Replacement): Promise<Position> {
    const { services, releaseLast } = replacement
    const leads = !(await this.#remote.isShared())
    const lost = leads ? Object.fromEntries(this.#named.leaders) : {}
    const named = { ...this.#named.needed, ...lost, ...replacement.named }
    const position = await this.#remote.replace(present, { ...replacement, named })
    this.#state = 'with'
    this.#name(replacement.named)
    const written = Object.entries(services).map(([name, service]) => {
      return [name, { ...service, revision: position.revision }] as const
    })
    this.#remember({ position, releaseLast, services: Object.fromEntries(written) })
    // What the one that leads has written since is newer.
    if (!leads) for (const [key, value] of this.#named.leaders) await this.#remote.putIfAbsent(key, value)
    return position
  }

  async get(key: string): Promise<string | null> {
    if (this.#state !== 'with' && this.#named.isNeeded(key)) return this.#named.needs(key)
    const value = await this.#remote.get(key)
    this.#note(key, value)
    // The store may have lost it, which the next look at its position finds.
    return value ?? (this.#named.isNeeded(key) ? this.#named.needs(key) : null)
  }

  async put(key: string, value: string | null): Promise<void> {
    await this.#remote.put(key, value)
    this.#note(key, value)
  }

  async putIfAbsent(key: string, value: string): Promise<string> {
    const kept = await this.#remote.putIfAbsent(key, value)
    this.#note(key, kept)
    return kept
  }

  revisions: Store['revisions'] = (limit, before) => this.#remote.revisions(limit, before)
  revision: Store['revision'] = (revision) => this.#remote.revision(revision)
  saveObserved: Store['saveObserved'] = (services) => this.#remote.saveObserved(services)
  isShared: Store['isShared'] = () => this.#remote.isShared()
  hasOthers: Store['hasOthers'] = () => this.#remote.hasOthers()
  yield: Store['yield'] = (isYielded) => this.#remote.yield(isYielded)
  mayBlock: Store['mayBlock'] = (isAllowed) => this.#remote.mayBlock(isAllowed)
  observed: Store['observed'] = (evenOfOthers) =>
    this.#state === 'alone' ? Promise.resolve({}) : this.#remote.observed(evenOfOthers)

  async close(): Promise<void> {
    await this.#keeper?.close()
    await this.#remote.close()
  }

  /** The snapshot of the file, if one can be used. */
  async #kept(): Promise<Snapshot | null> {
    try {
      return (await this.#file?.read()) ?? null
    } catch (error) {
      this.#news.tell('warn', `${(error as Error).message} It is written anew.`)
      return null
    }
  }

  #goAlone(kept: Snapshot | null, error: unknown): void {
    if (!isTurnoutError(error, 'store_unavailable')) throw error
    if (this.#file === null) throw error
    const { message } = error
    const { path } = this.#file
    assertOf(this.#place, kept, this.#file, message)
    this.#begin(kept, 'alone')
    const { position, keptAtMs } = kept
    const what = `traffic is served by the local snapshot ${path} of revision ${position.revision}, written at ${new Date(keptAtMs).toISOString()}`
    this.#news.tell('error', `${message} Until it is back, ${what}, and nothing can be changed`, {
      away: true,
      snapshot: position.revision,
    })
  }

  #begin(kept: Snapshot, state: 'alone' | 'ahead'): void {
    const { position, releaseLast, services, named, keptAtMs } = kept
    this.#state = state
    this.#known = { position, releaseLast, services }
    this.#named.begin(named)
    this.#keptAtMs = keptAtMs
    this.#keeper?.know(kept)
  }

  /** Whether a snapshot is of the deployment whose store this is; `layer` is null in one that is empty. */
  #isOurs(kept: Snapshot, layer: string | null): boolean {
    const isOurs = layer === null ? kept.place === this.#place : layer === kept.named[LAYER]
    const { path } = this.#file!
    const message = `the local snapshot ${path} is of another deployment (${kept.place}), and not used; it is written anew`
    if (!isOurs) this.#news.tell('warn', message)
    return isOurs
  }

  /** The store answers at last. Rejects with `store_unavailable` when what stands there is of another deployment. */
  async #prove(): Promise<void> {
    const layer = await this.#remote.get(LAYER)
    if (layer !== null && layer !== this.#named.needs(LAYER))
      throw new TurnoutError(
        'store_unavailable',
        `The store ${this.#place} is of another deployment than the local snapshot that is served; restart this instance to serve by it.`,
      )
    this.#state = 'ahead'
  }

  /** Puts back what the store has lost: who leads does so at once, others when it is overdue. Gives whether it was done here. */
  async #rewrite(found: Position, isOverdue: boolean): Promise<boolean> {
    const known = this.#known
    if (known === null || known.position.revision <= found.revision) return false
    if (!isOverdue && (await this.#remote.isShared())) return false
    const { position, services, releaseLast } = known
    const about = { atMs: this.#clock.nowMs(), actor: 'turnout', change: { kind: 'rewrite', found: found.revision } }
    try {
      await this.replace(found, { ...about, ...position, releaseLast, services })
      return true
    } catch (error) {
      // Another instance was faster.
      if (isTurnoutError(error, 'stale_revision')) return false
      throw error
    }
  }

  async #readAnew(): Promise<void> {
    this.#remember(knownOf(await this.#remote.load()))
  }

  /** Whether it is newer than what is known; a store that has fallen in between gets back what is. */
  #remember(known: Known): boolean {
    if (known.position.revision < (this.#known?.position.revision ?? 0)) return false
    this.#known = known
    this.#keeper?.request()
    return true
  }

  #name(named: Readonly<Record<string, string>> = {}): void {
    for (const [key, value] of Object.entries(named)) this.#note(key, value)
  }

  #note(key: string, value: string | null): void {
    const { needed } = this.#named
    this.#named.note(key, value)
    if (this.#named.needed !== needed) this.#keeper?.request()
  }
}
