/**
 * The document in the store: reading it, writing what a change makes of it, and noticing what others write. It knows where the
 * store should stand (`Position`); whatever else it finds there was not written by us.
 *
 *            writes                    same position                  higher revision
 *   ours ────────────► in step ─────────────────────► in step   ───────────────────────► moved: to be taken over
 *                                                        │ lower, or another document of the same revision
 *                                                        ▼
 *                                        fallen ── next change: all that is served, as a higher revision ──► in step
 *
 * - A store that fell (an older copy was put in its place, or a new one) is told and never followed: what was answered as
 *   done stays done, and traffic does not go back to yesterday. It is mended at once where several instances share it (fallen.ts), else by
 *   the next change; until then a restart would go back.
 * - What of the document cannot be served is kept here as it was stored, and goes with the document when that is written anew.
 * - What every worker has before the store is *owed* (owed.ts): it is stored by that change, or by a look (upkeep.ts), alone, so that each of these
 *   changes has its line and its revision. What is owed of a service by a rollout that another instance drives by now is disowned: only who drives it would
 *   store it. What people have changed is made again of what others have written meanwhile.
 * - Deadlines are steady time inside and wall time in the store; once somebody has set the clock, the next write brings
 *   those of every service along, but for what is owed of one. Where nobody else has the store, that is one of its own (`moved`); of several instances
 *   each has a clock of its own.
 */
import type { Logger } from 'pino'
import { untilFree } from '../busy.ts'
import type { Change, Snapshot } from '../change.ts'
import { type Clock, wallShiftMs } from '../clock.ts'
import { equalJson, mapEntries, own, withEntries } from '../config/record.ts'
import { isTurnoutError } from '../errors.ts'
import type { AuditEntry, Commit, Position, Store, StoredContent, StoredDocument } from '../store/store.ts'
import { observedMovedBy } from '../table/deadlines.ts'
import type { NewEvent } from './events.ts'
import { Fallen } from './fallen.ts'
import { restorable } from './history.ts'
import { KeptBase } from './kept-base.ts'
import { besides, type Loaded, loadedFrom } from './loaded.ts'
import { soundObserved } from './observe.ts'
import { Owed, type Owing } from './owed.ts'
import { Moved, Reach, reasonOf } from './reach.ts'
import { type Content, NOTHING } from './reconcile.ts'
import { notSetBack } from './set-back.ts'
import { Teller } from './teller.ts'
import { rewritten, withDeadline, written, writtenObserved } from './written.ts'

export interface KeeperDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Every worker routes by this change before the store has it, which is at this revision. */
  routed?(change: Change, revision: number): void
  publish(event: NewEvent): void
}

/** A change that is to be written. */
export interface Written {
  readonly before: Content
  readonly after: Content
  /** The services whose spec or intent changes. */
  readonly names: readonly string[]
  readonly audit: Omit<AuditEntry, 'revision'>
  /** Named values that are written with it. */
  readonly named?: Commit['named']
  /** What of `after` is owed, which the workers have already. */
  readonly owing?: Owing | null
}

export class Keeper {
  readonly #deps: KeeperDeps
  #position: Position = { revision: 0, mark: '' }
  readonly #fallen: Fallen
  readonly #reach: Reach
  /** What is served is of a local copy, so what belongs to it may have moved, too. */
  #isCopy = false
  /** What stands in the store otherwise than we have it: what is left out, and what was mended. */
  #raw: ReadonlyMap<string, StoredContent> = new Map()
  readonly owed = new Owed()
  readonly #base: KeptBase
  readonly #teller: Teller
  /** What steady time lacked to be wall time when deadlines were stored. */
  #shiftMs: number

  constructor(deps: KeeperDeps) {
    this.#deps = deps
    this.#shiftMs = wallShiftMs(deps.clock)
    this.#base = new KeptBase(deps.store)
    this.#teller = new Teller(deps)
    const { tell } = this.#teller
    this.#reach = new Reach(deps.clock, tell)
    this.#fallen = new Fallen(deps.store, this.#reach, tell)
    deps.store.local?.listen(({ level, message, data }) => tell(level, message, data))
  }

  /** Says that these services are served otherwise than they were by such a change, which the store has still; `asked` is null where another process stores it. */
  owe(before: Owing['before'], names: readonly string[], change: Change, asked: Owing['asked']): void {
    const were = names.map((name) => [name, written(before, name, this.#shiftMs)!] as const)
    this.#raw = new Map([...were, ...this.#raw])
    this.owed.add(change, asked, names, before)
    this.#deps.routed?.(change, this.#position.revision)
  }

  /** What steady time lacks now to be wall time. */
  get #wallShiftMs(): number {
    return wallShiftMs(this.#deps.clock, this.#shiftMs)
  }

  get #nextRevision(): number {
    return Math.max(this.#position.revision, this.#fallen.at?.revision ?? 0) + 1
  }

  /** The revision that this change will have, and those of all services then. */
  next(
    present: Loaded['revisions'],
    moved: Pick<Written, 'after' | 'names'>,
  ): Pick<Snapshot, 'revision' | 'revisions'> {
    const revision = this.#nextRevision
    const all = [...this.#writtenWith(moved, this.#wallShiftMs)]
    const revisions = withEntries(
      present,
      all.map((name) => [name, own(moved.after.services, name) && revision]),
    )
    return { revision, revisions }
  }

  /** The services that are written with a change of these: also what stands in the store otherwise than here, and what the clock was set for. */
  #writtenWith({ after, names }: Pick<Written, 'after' | 'names'>, shiftMs: number): ReadonlySet<string> {
    // A store that has lost the document gets the whole of it.
    if (this.#fallen.at !== null) return new Set([...names, ...Object.keys(after.services)])
    const further = [...this.#raw.keys()].filter((name) => Object.hasOwn(after.services, name))
    const shifted = shiftMs === this.#shiftMs ? [] : withDeadline(after)
    return new Set([...names, ...[...further, ...shifted].filter((name) => !this.owed.has(name))])
  }

  /** The whole of what is stored; `accept` makes it the present document. */
  async load(run: string): Promise<Loaded> {
    const none = { ...NOTHING, releases: { ...NOTHING.releases, run } }
    this.#isCopy = this.#deps.store.local?.told().serves === true
    if (this.#isCopy) this.#reach.beginAway()
    const loaded = await this.#loaded(await this.#deps.store.load(), none, {})
    if (this.#deps.store.fleet !== null) return loaded
    const found = notSetBack(loaded, this.#deps.clock.steadyMs())
    // So the next write finds the clock set, and stores them as they are now.
    this.#shiftMs += found.aheadMs
    return found.loaded
  }

  /**
   * What somebody else has written, over what is there already; null when there is nothing that is to be followed. Tells when it cannot be read.
   * With `disowns` what is owed by rollouts is given up for what the store has.
   */
  async loadMoved(content: Content, revisions: Loaded['revisions'], disowns: boolean): Promise<Loaded | null> {
    const others = this.owed.names.filter((name) => !this.owed.isOfRollout(name))
    const isWhole = disowns && others.length < this.owed.names.length
    // Both in one: a position that can be read says nothing of whether the rest can.
    return this.#reach.run(async () => {
      if (!isWhole && !(await this.#hasMoved())) return null
      const { revision } = this.#position
      const { store } = this.#deps
      const document = isWhole ? besides(await store.load(), others, revisions) : await store.load(this.#position)
      // It has fallen since, which the next look finds.
      if (document.position.revision < revision) return null
      if (document.hasLost) this.#teller.tellLost(revision, document.position.revision)
      return this.#loaded(document, content, revisions)
    })
  }

  async #loaded(document: StoredDocument, present: Content, revisions: Loaded['revisions']): Promise<Loaded> {
    const base = await this.#base.base()
    const there = { content: { ...present, base }, revisions, raw: this.#raw }
    const loaded = loadedFrom(document, there, this.#wallShiftMs)
    const isOwed = (name: string) => loaded.raw.has(name)
    return { ...loaded, ...this.owed.remade(loaded.content, isOwed, this.#deps.clock.steadyMs()) }
  }

  /** Tells, once for each reason, that what somebody else has written cannot be served here. */
  tellNotTaken(error: unknown): void {
    this.#teller.tellOnce('error', `what another process has written is not taken over: ${reasonOf(error)}`)
  }

  /** A revision as it can be made the present one. */
  revision(revision: number, content: Content): Promise<Pick<Content, 'services' | 'intents'>> {
    return restorable(this.#deps.store, revision, content, this.#wallShiftMs)
  }

  /** Says that this is the present document now. */
  accept({ position, raw, notes, again }: Loaded): void {
    this.#position = position
    this.#fallen.end()
    this.#raw = raw
    this.owed.only((name) => raw.has(name))
    for (const { before, names, change, asked } of again) this.owe(before, names, change, asked)
    for (const note of notes) this.#teller.tellOnce('warn', note)
  }

  /** Whether the store stands where it should, so that there is nothing to take over or to tell; asked beside the queue of changes. */
  async isInStep(): Promise<boolean> {
    const found = await this.#reach.run(() => this.#deps.store.position())
    return !this.#isCopy && this.#fallen.at === null && equalJson(found, this.#position)
  }

  /** Whether somebody has written what we do not have yet. Tells when the store fell. */
  async #hasMoved(): Promise<boolean> {
    const [present, found] = [this.#position, await this.#deps.store.position()]
    if (found.revision > present.revision) return true
    const isOurs = found.revision === present.revision && found.mark === present.mark
    const isCopy = this.#isCopy
    this.#isCopy = false
    if (isOurs) {
      this.#fallen.end()
      return isCopy
    }
    if (this.#deps.store.fleet !== null && found.revision === present.revision) return true
    await this.#fallen.found(found, present.revision)
    return false
  }

  /** Writes a change. Rejects with `Moved` when the store does not stand where it should, else with `store_unavailable`. */
  async commit({ before, after, names, audit, named = {}, owing = null }: Written): Promise<void> {
    const shiftMs = this.#wallShiftMs
    const all = this.#writtenWith({ after, names }, shiftMs)
    const commit = {
      ...audit,
      releaseLast: after.releases.last,
      named: { ...named, ...(after.base !== before.base && this.#base.named(after.base)) },
    }
    await this.#reach.run(async () => {
      try {
        this.#position = await this.#write(before, after, all, commit, shiftMs)
      } catch (error) {
        throw isTurnoutError(error, 'stale_revision') ? new Moved() : error
      }
    }, 'writing')
    this.#fallen.end()
    this.owed.stored(all, owing)
    this.#shiftMs = shiftMs
    const still = [...all]
      .filter((name) => this.owed.has(name))
      .map((name) => [name, written(after, name, shiftMs)!] as const)
    this.#raw = new Map([...[...this.#raw].filter(([name]) => !all.has(name)), ...still])
  }

  #write(
    before: Content,
    after: Content,
    names: ReadonlySet<string>,
    commit: Omit<Commit, 'services'>,
    shiftMs: number,
  ): Promise<Position> {
    const { store } = this.#deps
    const revision = this.#nextRevision
    if (this.#fallen.at !== null) {
      const gone = [...this.#raw].filter(([name]) => !names.has(name))
      const served = Object.keys(after.services).map((name) => [name, written(after, name, shiftMs)!] as const)
      return store.replace(this.#fallen.at, { ...commit, revision, services: Object.fromEntries([...gone, ...served]) })
    }
    const services = rewritten({ ...before, shiftMs: this.#shiftMs }, { ...after, shiftMs }, names, this.#raw)
    return store.commit(this.#position, { ...commit, services })
  }

  /** How far the clock was set since deadlines were stored, in ms, and of which services there are any; null where nothing is to be done. */
  moved(content: Content): { readonly movedMs: number; readonly names: readonly string[] } | null {
    const movedMs = this.#wallShiftMs - this.#shiftMs
    if (movedMs === 0 || this.#deps.store.fleet !== null) return null
    const names = withDeadline(content).filter((name) => !this.owed.has(name))
    return names.length === 0 ? null : { movedMs, names }
  }

  /** What the process before this one has seen, also while that lives if `isHeir`. */
  async observed(isHeir: boolean): Promise<Content['observed']> {
    const shiftMs = this.#wallShiftMs
    const kept = await this.#deps.store.observed(isHeir)
    const sound = soundObserved(kept, this.#deps.clock.steadyMs() + shiftMs, isHeir)
    return mapEntries(sound, (seen) => observedMovedBy(seen, -shiftMs))
  }

  /** Stores what was seen of these services, for the process after this one. */
  async saveObserved(observed: Content['observed'], names: Iterable<string>): Promise<void> {
    const seen = writtenObserved(observed, names, this.#wallShiftMs)
    const { clock, store } = this.#deps
    await this.#reach.run(() => untilFree(clock, () => store.saveObserved(seen)), 'writing')
  }

  /** Tells when another live process uses the store too. */
  async warnOfOthers(): Promise<void> {
    if (this.#isCopy || !(await this.#deps.store.isShared())) return
    this.#teller.tell('warn', 'another live process uses the same store: each follows what the other changes')
  }
}
