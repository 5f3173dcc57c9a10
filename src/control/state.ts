/**
 * The present state and the next: content (specs, intents, what was seen) and the snapshot that is made of it. Only the one
 * writer moves it, in two steps with whatever may fail between them: `prepare` makes the next state of some services, `commit`
 * makes it the present one, and `discard` forgets it.
 *
 * Invariants:
 * - What changed is named by the caller, and only that is looked at: a step costs what it changes, not what there is.
 *   Everything else is the very same object in the next snapshot as in the one before.
 * - A status is put together here and nowhere else (table/status.ts), from the intent of the document, what this process has
 *   seen and its places. So the snapshot has a status for exactly the services of its spec.
 * - Snapshots are never changed, only replaced.
 */
import type { Snapshot } from '../change.ts'
import type { Clock } from '../clock.ts'
import { own, sameEntries, withEntries } from '../config/record.ts'
import { type ServicePlaces, type ServiceStatus, statusOf } from '../table/status.ts'
import type { TableDelta } from '../table/types.ts'
import { deltaBetween } from './delta.ts'
import { type AddressesOf, keepObserved } from './observe.ts'
import { type Content, NOTHING } from './reconcile.ts'
import type { Slots } from './slots.ts'
import { withBeginnings } from './warming.ts'

export interface StateDeps {
  readonly slots: Slots
  /** The addresses of a target as they are known now. */
  readonly addressesOf: AddressesOf
  readonly clock: Pick<Clock, 'steadyMs'>
  /** Builds the table that the delta leads to, as every worker will; throws what would end a worker. */
  build(delta: TableDelta): void
}

/** A next state that was made and is not yet the present one. */
export interface Step {
  readonly content: Content
  readonly snapshot: Snapshot
  readonly delta: TableDelta
  /** The services that it changes, and where they are; null for one that is no more. */
  readonly places: ReadonlyMap<string, ServicePlaces | null>
}

export class State {
  readonly #deps: StateDeps
  #content = NOTHING
  #snapshot: Snapshot = { revision: 0, epoch: 0, services: {}, status: {}, revisions: {} }
  readonly #places = new Map<string, ServicePlaces>()

  constructor(deps: StateDeps) {
    this.#deps = deps
  }

  get content(): Content {
    return this.#content
  }

  get snapshot(): Snapshot {
    return this.#snapshot
  }

  /**
   * The next state; `names` are the services of which something may be new, and `revisions` those that changed each service
   * last. What cannot be served throws, and is forgotten.
   */
  prepare(
    { revision, revisions }: Pick<Snapshot, 'revision' | 'revisions'>,
    content: Content,
    names: readonly string[],
  ): Step {
    try {
      return this.#next({ revision, revisions }, content, names)
    } catch (error) {
      this.#settle(names)
      throw error
    }
  }

  commit({ content, snapshot, places }: Step): void {
    this.#content = content
    this.#snapshot = snapshot
    for (const [name, place] of places) {
      if (place === null) this.#places.delete(name)
      else this.#places.set(name, place)
    }
    this.#settle(places.keys())
  }

  discard({ places }: Step): void {
    this.#settle(places.keys())
  }

  #next(at: Pick<Snapshot, 'revision' | 'revisions'>, given: Content, names: readonly string[]): Step {
    const { slots, addressesOf, build, clock } = this.#deps
    const present = this.#snapshot
    const kept = keepObserved(given, names, addressesOf)
    const observed = withBeginnings({ ...given, observed: kept }, names, addressesOf, clock.steadyMs())
    const content = observed === given.observed ? given : { ...given, observed }
    const places = new Map<string, ServicePlaces | null>()
    const statuses = names.map((name): [string, ServiceStatus | undefined] => {
      const intent = own(content.intents, name)
      const place = intent === undefined ? null : slots.take(name, intent.pools, addressesOf)
      places.set(name, place)
      return [name, intent && place ? statusOf(intent, own(observed, name), place) : undefined]
    })
    const status = withEntries(present.status, statuses)
    const snapshot = { ...at, epoch: present.epoch + 1, services: content.services, status }
    const delta = deltaBetween(present, snapshot, names)
    build(delta)
    return { content, snapshot, delta, places }
  }

  #settle(names: Iterable<string>): void {
    for (const name of names) this.#deps.slots.settle(name, this.#places.get(name) ?? null)
  }
}

const RECORDS = ['services', 'intents', 'observed'] as const

/**
 * The services that differ between two contents: in spec, intent, what was seen of them, or whether they are left out; `among` are those that may
 * (touched.ts), and null is any.
 */
export function changedNames(before: Content, after: Content, among: readonly string[] | null = null): string[] {
  const names = new Set(before.leftOut.filter((name) => !after.leftOut.includes(name)))
  for (const key of RECORDS) {
    if (among !== null) {
      for (const name of among) if (own<unknown>(before[key], name) !== own<unknown>(after[key], name)) names.add(name)
      continue
    }
    if (before[key] === after[key] || sameEntries<unknown>(before[key], after[key])) continue
    for (const name of Object.keys(before[key]))
      if (before[key][name] !== own<unknown>(after[key], name)) names.add(name)
    for (const name of Object.keys(after[key])) if (!Object.hasOwn(before[key], name)) names.add(name)
  }
  return [...names]
}
