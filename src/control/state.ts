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
import type { ServiceSpec } from '../config/schema.ts'
import { type ServiceStatus, statusOf } from '../table/status.ts'
import type { ServicePlan, TableDelta } from '../table/types.ts'
import { deltaBetween } from './delta.ts'
import { keepObserved } from './observe.ts'
import type { Content } from './reconcile.ts'
import { own, sameEntries, withEntries } from './record.ts'
import type { Slots } from './slots.ts'

export interface StateDeps {
  readonly slots: Slots
  plan(name: string, spec: ServiceSpec): ServicePlan
  /** Builds the table that the delta leads to, as every worker will; throws what would end a worker. */
  build(delta: TableDelta): void
}

/** A next state that was made and is not yet the present one. */
export interface Step {
  readonly content: Content
  readonly snapshot: Snapshot
  readonly delta: TableDelta
  /** The services that it changes. */
  readonly names: readonly string[]
}

export class State {
  readonly #deps: StateDeps
  #content: Content = { services: {}, intents: {}, observed: {} }
  #snapshot: Snapshot = { revision: 0, epoch: 0, services: {}, status: {} }

  constructor(deps: StateDeps) {
    this.#deps = deps
  }

  get content(): Content {
    return this.#content
  }

  get snapshot(): Snapshot {
    return this.#snapshot
  }

  /** The next state; `names` are the services of which something may be new. What cannot be served throws, and is forgotten. */
  prepare(revision: number, content: Content, names: readonly string[]): Step {
    try {
      return this.#next(revision, content, names)
    } catch (error) {
      this.#settle(names)
      throw error
    }
  }

  commit({ content, snapshot, names }: Step): void {
    this.#content = content
    this.#snapshot = snapshot
    this.#settle(names)
  }

  discard({ names }: Step): void {
    this.#settle(names)
  }

  #next(revision: number, given: Content, names: readonly string[]): Step {
    const { slots, plan, build } = this.#deps
    const present = this.#snapshot
    const observed = keepObserved(given.observed, given.services, names)
    const content = observed === given.observed ? given : { ...given, observed }
    const statuses = names.map((name): [string, ServiceStatus | undefined] => {
      const intent = own(content.intents, name)
      if (intent === undefined) return [name, undefined]
      return [name, statusOf(intent, own(observed, name), slots.take(name, intent.pools))]
    })
    const status = withEntries(present.status, statuses)
    const snapshot = { revision, epoch: present.epoch + 1, services: content.services, status }
    const delta = deltaBetween(present, snapshot, names, plan)
    build(delta)
    return { content, snapshot, delta, names }
  }

  #settle(names: readonly string[]): void {
    for (const name of names) this.#deps.slots.settle(name, own(this.#content.intents, name)?.pools ?? null)
  }
}

/** The services that differ between two contents: in spec, intent or what was seen of them. */
export function changedNames(before: Content, after: Content): string[] {
  const names = new Set<string>()
  for (const key of ['services', 'intents', 'observed'] as const) {
    if (before[key] === after[key] || sameEntries<unknown>(before[key], after[key])) continue
    for (const name of Object.keys(before[key]))
      if (before[key][name] !== own<unknown>(after[key], name)) names.add(name)
    for (const name of Object.keys(after[key])) if (!Object.hasOwn(before[key], name)) names.add(name)
  }
  return [...names]
}
