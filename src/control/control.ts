/**
 * The one writer: change → validate → store → tables in every worker → answer. Everything that moves the present state goes
 * through one queue here, so there is one order of things and every reader sees one of its steps, never a mixture.
 *
 * Invariants:
 * - A change is answered after the store has it (so it survives `kill -9`) and after every worker routes by it. When it is
 *   refused or the store fails, nothing has changed: the last table goes on serving (fail static).
 * - What can refuse a change (schema, who would be left to answer, slots, plans, the table itself) comes before the store, so nothing is stored that
 *   cannot be served.
 * - The store compares the revision. When another process moved it, the change is refused as `stale_revision` and the
 *   document of the other is taken over; so is a commit that was reported as failed and had happened after all.
 * - What this process has seen goes first in the queue, and into the tables without waiting for the store. It is never in the
 *   document; it is stored apart, for a quick restart (control/saver.ts).
 * - The present state and how it moves: control/state.ts.
 */
import type { Logger } from 'pino'
import type { Change, ChangeOptions, ChangeResult, Control, ControlEvent, Observation, Snapshot } from '../change.ts'
import { type Clock, wallShiftMs } from '../clock.ts'
import { durationMs } from '../config/duration.ts'
import type { ServiceSpec, Services } from '../config/schema.ts'
import { type Fault, isTurnoutError, TurnoutError } from '../errors.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import type { Names } from '../names/names.ts'
import { hostsOf, hostsOfChange, LEARN_MS, servicesAt } from '../names/target-hosts.ts'
import type { Document, RevisionEntry, Store } from '../store/store.ts'
import { intentMovedBy } from '../table/deadlines.ts'
import type { ServiceIntent } from '../table/status.ts'
import type { ServicePlan, TableDelta } from '../table/types.ts'
import { applyChange, type ChangeTools } from './apply.ts'
import { auditOf, describeChange } from './audit.ts'
import { createDrains, type Drains } from './drains.ts'
import { createEvents, type Events, type NewEvent } from './events.ts'
import { assertAnswered, refusalOf } from './leaves-nobody.ts'
import { addObservation, applyObservations } from './observe.ts'
import { loadObserved, saveObserved } from './observed-store.ts'
import { createQueue } from './queue.ts'
import { type Content, reconcileAll } from './reconcile.ts'
import { equalJson, mapEntries, own } from './record.ts'
import { createSaver, type Saver } from './saver.ts'
import { createSlots } from './slots.ts'
import { changedNames, State, type Step } from './state.ts'
import { createStoreNews, type StoreNews } from './store-news.ts'
import { createWaiting, type Waiting } from './waiting.ts'

/** Changes that may wait for their turn; the next one is refused with `overloaded`. */
export const CHANGES_WAITING_MAX = 1000

export interface ControlDeps {
  readonly store: Store
  readonly clock: Clock
  readonly memory: SharedMemory
  /** The addresses of hosts of targets, and how to ask for new ones. */
  readonly names: Pick<Names, 'addressesOf' | 'learn'>
  /** Every fault of the services together, with pointers from `/` on. */
  validate(services: Services): readonly Fault[]
  /** One service by the schema, with its defaults: for what comes out of a merge patch. */
  readonly complete: ChangeTools['complete']
  plan(name: string, spec: ServiceSpec): ServicePlan
  /** Builds the table that the delta leads to, as every worker will; throws what would end a worker. */
  build(delta: TableDelta): void
  /** Brings a delta into every worker and stores the epoch. Never rejects: a worker that does not answer is replaced. */
  commitTables(delta: TableDelta): Promise<void>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
}

/** Control as main has it. */
export interface RunningControl extends Control {
  /** Tells an event of another room, such as a worker that was replaced. */
  publish(event: NewEvent): void
  /** Brings the new addresses of a host into the tables. */
  addressesMoved(host: string): void
  /** Waits for what is under way, saves the status and stops the timers. The store is left open. */
  close(): Promise<void>
}

/** Loads the stored state and brings it into every worker. Rejects with `store_unavailable` when it cannot be loaded. */
export async function createControl(deps: ControlDeps): Promise<RunningControl> {
  const control = new Writer(deps)
  await control.start()
  return control
}

class Writer implements RunningControl {
  readonly #deps: ControlDeps
  readonly #tools: ChangeTools
  readonly #queue = createQueue(CHANGES_WAITING_MAX)
  readonly #events: Events
  readonly #state: State
  readonly #waiting: Waiting
  readonly #saver: Saver
  readonly #drains: Drains
  #observations = new Map<string, Observation>()
  #observing: Promise<void> | null = null
  /** Hosts with addresses that the tables do not have yet. */
  #moved = new Set<string>()
  readonly #storeNews: StoreNews

  constructor(deps: ControlDeps) {
    this.#deps = deps
    const { plan, build, memory, clock, complete } = deps
    const { addressesOf } = deps.names
    this.#tools = { complete, drainMs: (spec) => durationMs(spec.drain.timeout) }
    this.#events = createEvents(deps.clock, (error) =>
      deps.log.error({ err: error }, 'a listener to events has thrown'),
    )
    this.#storeNews = createStoreNews(deps.log, (event) => this.publish(event))
    this.#state = new State({ slots: createSlots(memory, clock), addressesOf, plan, build })
    this.#saver = createSaver(deps.clock, () => this.#saveObserved())
    this.#waiting = createWaiting(deps.clock, (listener) => this.#events.subscribe(listener))
    this.#drains = createDrains(deps.clock, (event) => this.publish(event))
  }

  async start(): Promise<void> {
    const { store } = this.#deps
    const document = await store.load()
    if (document !== null) await this.#deps.names.learn(hostsOf(document.services), LEARN_MS.start)
    const observed = await loadObserved(store, this.#deps.clock)
    await this.#queue.run(() => this.#adopt(document ?? { revision: 0, services: {}, intents: {} }, observed))
  }

  snapshot(): Snapshot {
    return this.#state.snapshot
  }

  events(after?: number): readonly ControlEvent[] {
    return this.#events.list(after)
  }

  subscribe(listener: (event: ControlEvent) => void): () => void {
    return this.#events.subscribe(listener)
  }

  publish(event: NewEvent): void {
    this.#events.publish(event)
  }

  async change(change: Change, options: ChangeOptions): Promise<ChangeResult> {
    // Before its turn, so that nobody else waits for these names.
    await this.#deps.names.learn(hostsOfChange(change), LEARN_MS.change)
    return this.#waiting.run(() => this.#queue.run(() => this.#change(change, options)), options)
  }

  observe(observations: readonly Observation[]): Promise<void> {
    for (const observation of observations) addObservation(this.#observations, observation)
    return this.#look()
  }

  addressesMoved(host: string): void {
    this.#moved.add(host)
    this.#look().catch((error: unknown) => {
      this.#deps.log.error({ err: error, host }, 'the new addresses of a host were not taken')
    })
  }

  async close(): Promise<void> {
    this.#drains.close()
    this.#waiting.close()
    await this.#queue.run(async () => {})
    await this.#saver.close()
  }

  async #change(change: Change, options: ChangeOptions): Promise<ChangeResult> {
    const { actor, ifMatch } = options
    const { clock, names } = this.#deps
    const { content: present, snapshot } = this.#state
    if (ifMatch !== undefined && ifMatch !== snapshot.revision) {
      throw new TurnoutError('stale_revision', `The revision is ${snapshot.revision}, not ${ifMatch}.`)
    }
    const content = applyChange(present, change, clock.steadyMs(), this.#tools)
    this.#validate(content.services)
    const changed = changedNames(present, content)
    const unchanged = { revision: snapshot.revision, epoch: snapshot.epoch, appliedInMs: 0 }
    if (options.dryRun === true) {
      const refused = refusalOf(present, content, change, clock.steadyMs(), names.addressesOf, options)
      return { ...unchanged, changed: changed.length > 0, dryRun: { services: content.services, refused } }
    }
    assertAnswered(present, content, change, clock.steadyMs(), names.addressesOf, options)
    if (changed.length === 0) return { ...unchanged, changed: false }
    const startedMs = clock.monotonicMs()
    const step = this.#state.prepare(snapshot.revision + 1, content, changed)
    await this.#store(step, { atMs: clock.nowMs(), actor, change: auditOf(change, changed) })
    await this.#commit(step)
    const appliedInMs = clock.monotonicMs() - startedMs
    const { revision, epoch } = step.snapshot
    this.publish({
      type: 'change',
      service: changed.length === 1 ? changed[0] : null,
      message: describeChange(change, changed, actor),
      data: { revision, epoch, actor, kind: change.kind, services: changed, appliedInMs },
    })
    return { revision, epoch, appliedInMs, changed: true }
  }

  #validate(services: Services): void {
    if (services === this.#state.content.services) return
    const faults = this.#deps.validate(services)
    if (faults.length > 0) throw new TurnoutError('invalid', faults[0].message, faults)
  }

  async #store(step: Step, audit: Pick<RevisionEntry, 'atMs' | 'actor' | 'change'>): Promise<void> {
    const { services, intents } = step.content
    const kept = this.#movedBy(intents, intentMovedBy, wallShiftMs(this.#deps.clock))
    try {
      await this.#deps.store.commit(step.snapshot.revision - 1, { ...audit, services, intents: kept })
    } catch (error) {
      this.#state.discard(step)
      if (isTurnoutError(error, 'stale_revision')) await this.#reload()
      else this.#storeNews.away(error)
      throw isTurnoutError(error) ? error : new TurnoutError('store_unavailable')
    }
    this.#storeNews.back()
  }

  async #commit(step: Step): Promise<void> {
    await this.#deps.commitTables(step.delta)
    this.#state.commit(step)
    this.#drains.watch(step.snapshot.status)
  }

  /** Takes in what was observed, before any change that waits. */
  #look(): Promise<void> {
    this.#observing ??= this.#queue.run(() => this.#observe(), true)
    return this.#observing
  }

  async #observe(): Promise<void> {
    const [observations, hosts] = [this.#observations, this.#moved]
    this.#observations = new Map()
    this.#moved = new Set()
    this.#observing = null
    const { content, snapshot } = this.#state
    const { observed, services, events } = applyObservations(content, observations, this.#deps.names.addressesOf)
    const names = new Set([...services, ...servicesAt(content.services, hosts)])
    if (names.size === 0) return
    await this.#commit(this.#state.prepare(snapshot.revision, { ...content, observed }, [...names]))
    this.#saver.request()
    for (const event of events) this.publish(event)
  }

  /** Rejects when it should be tried again. */
  async #saveObserved(): Promise<void> {
    const { store, clock } = this.#deps
    try {
      await saveObserved(store, clock, this.#state.content.observed)
      this.#storeNews.back()
    } catch (error) {
      this.#storeNews.away(error)
      throw error
    }
  }

  #movedBy<T>(entries: Readonly<Record<string, T>>, move: (entry: T, ms: number) => T, ms: number): Record<string, T> {
    return mapEntries<T, T>(entries, (entry) => move(entry, ms))
  }

  /** Takes over the document of another process; without one, or without a store, everything stays as it is. */
  async #reload(): Promise<void> {
    try {
      const document = await this.#deps.store.load()
      if (document === null || document.revision <= this.snapshot().revision) return
      await this.#adopt(document, this.#state.content.observed)
      const { revision, epoch } = this.snapshot()
      const message = `revision ${revision} of another process was taken over from the store`
      this.publish({ type: 'change', service: null, message, data: { revision, epoch, kind: 'reload' } })
    } catch (error) {
      this.#deps.log.error({ err: error }, 'the document of another process could not be taken over')
    }
  }

  async #adopt({ revision, services: loaded, intents }: Document, observed: Content['observed']): Promise<void> {
    const present = this.#state.content
    const services = mapEntries(loaded, (spec, name) => keepEqual(own(present.services, name), spec))
    const steady = this.#movedBy(intents, intentMovedBy, -wallShiftMs(this.#deps.clock))
    const reconciled = reconcileAll(services, { services, intents: steady, observed })
    const kept = mapEntries<ServiceIntent, ServiceIntent>(reconciled.intents, (intent, name) =>
      keepEqual(own(present.intents, name), intent),
    )
    const content = { ...reconciled, intents: kept }
    await this.#commit(this.#state.prepare(revision, content, changedNames(present, content)))
  }
}

/** The old value when the new one says the same, so that only what changed is sent to the workers. */
function keepEqual<T>(old: T | undefined, now: T): T {
  return old !== undefined && equalJson(old, now) ? old : now
}
