/**
 * The one writer: change → validate → store → tables in every worker → answer. Everything that moves the present state goes
 * through one queue here, so there is one order of things and every reader sees one of its steps, never a mixture.
 *
 * Invariants:
 * - A change is answered after the store has it (so it survives `kill -9`) and after every worker routes by it. When it is
 *   refused or the store fails, nothing has changed: the last table goes on serving (fail static).
 * - What can refuse a change (schema, slots, plans, the table itself) comes before the store, so nothing is stored that
 *   cannot be served.
 * - The store compares the revision. When another process moved it, the change is refused as `stale_revision` and the
 *   document of the other is taken over; so is a commit that was reported as failed and had happened after all.
 * - Health goes first in the queue, and into the tables without waiting for the store (control/saver.ts).
 * - Snapshots are never changed, only replaced; unchanged services keep their identity from one to the next, and only
 *   what changed is sent to the workers.
 */
import type { Logger } from 'pino'
import type { Change, ChangeOptions, ChangeResult, Control, ControlEvent, Observation, Snapshot } from '../change.ts'
import { type Clock, wallShiftMs } from '../clock.ts'
import { durationMs } from '../config/duration.ts'
import type { ServiceSpec, Services } from '../config/schema.ts'
import { type Fault, isTurnoutError, TurnoutError } from '../errors.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import type { Document, Store } from '../store/store.ts'
import { movedBy } from '../table/deadlines.ts'
import type { ServicePlan, ServiceStatus, TableDelta } from '../table/types.ts'
import { applyChange, type ChangeTools } from './apply.ts'
import { auditOf, describeChange } from './audit.ts'
import { deltaBetween } from './delta.ts'
import { createDrains, type Drains } from './drains.ts'
import { createEvents, type Events, type NewEvent } from './events.ts'
import { addObservation, applyObservations } from './observe.ts'
import { createQueue } from './queue.ts'
import { type Content, reconcileStatus } from './reconcile.ts'
import { equalJson, mapEntries, own } from './record.ts'
import { createSaver, type Saver } from './saver.ts'
import { createSlots, type Slots, withoutSlots } from './slots.ts'

/** Changes that may wait for their turn; the next one is refused with `overloaded`. */
export const CHANGES_WAITING_MAX = 1000

export interface ControlDeps {
  readonly store: Store
  readonly clock: Clock
  readonly memory: SharedMemory
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
  readonly #slots: Slots
  readonly #saver: Saver
  readonly #drains: Drains
  #present: Snapshot = { revision: 0, epoch: 0, services: {}, status: {} }
  #observations = new Map<string, Observation>()
  #observing: Promise<void> | null = null
  #storeAway = false

  constructor(deps: ControlDeps) {
    this.#deps = deps
    this.#tools = { complete: deps.complete, drainMs: (spec) => durationMs(spec.drain.timeout) }
    this.#events = createEvents(deps.clock, (error) =>
      deps.log.error({ err: error }, 'a listener to events has thrown'),
    )
    this.#slots = createSlots(deps.memory, deps.clock)
    this.#saver = createSaver(deps.clock, () => this.#saveStatus())
    this.#drains = createDrains(deps.clock, (event) => this.publish(event))
  }

  async start(): Promise<void> {
    const document = await this.#deps.store.load()
    await this.#queue.run(() => this.#adopt(document ?? { revision: 0, services: {}, status: {} }))
  }

  snapshot(): Snapshot {
    return this.#present
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

  change(change: Change, options: ChangeOptions): Promise<ChangeResult> {
    return this.#queue.run(() => this.#change(change, options))
  }

  observe(observations: readonly Observation[]): Promise<void> {
    for (const observation of observations) addObservation(this.#observations, observation)
    this.#observing ??= this.#queue.run(() => this.#observe(), true)
    return this.#observing
  }

  async close(): Promise<void> {
    this.#drains.close()
    await this.#queue.run(async () => {})
    await this.#saver.close()
  }

  async #change(change: Change, { actor, ifMatch }: ChangeOptions): Promise<ChangeResult> {
    const { clock } = this.#deps
    const present = this.#present
    if (ifMatch !== undefined && ifMatch !== present.revision) {
      throw new TurnoutError('stale_revision', `The revision is ${present.revision}, not ${ifMatch}.`)
    }
    const content = applyChange(present, change, clock.steadyMs(), this.#tools)
    if (content.services === present.services && content.status === present.status) {
      return { revision: present.revision, epoch: present.epoch, appliedInMs: 0, changed: false }
    }
    this.#validate(content.services)
    const startedMs = clock.monotonicMs()
    const { next, delta } = this.#prepare(present.revision + 1, content)
    const changed = Object.keys(delta.services)
    await this.#store(next, { atMs: clock.nowMs(), actor, change: auditOf(change, changed) })
    await this.#commit(next, delta)
    const appliedInMs = clock.monotonicMs() - startedMs
    this.publish({
      type: 'change',
      service: changed.length === 1 ? changed[0] : null,
      message: describeChange(change, changed, actor),
      data: { revision: next.revision, epoch: next.epoch, actor, kind: change.kind, services: changed, appliedInMs },
    })
    return { revision: next.revision, epoch: next.epoch, appliedInMs, changed: true }
  }

  #validate(services: Services): void {
    if (services === this.#present.services) return
    const faults = this.#deps.validate(services)
    if (faults.length > 0) throw new TurnoutError('invalid', faults[0].message, faults)
  }

  /** The next snapshot with its slots, and the delta that leads to it; what cannot be served throws here. */
  #prepare(revision: number, content: Content): { next: Snapshot; delta: TableDelta } {
    const present = this.#present
    try {
      const next = { revision, epoch: present.epoch + 1, ...content, status: this.#slots.assign(content.status) }
      const delta = deltaBetween(present, next, this.#deps.plan)
      this.#deps.build(delta)
      return { next, delta }
    } catch (error) {
      this.#slots.settle(present.status)
      throw error
    }
  }

  async #store(
    next: Snapshot,
    audit: Pick<Parameters<Store['commit']>[1], 'atMs' | 'actor' | 'change'>,
  ): Promise<void> {
    const { services, status } = next
    try {
      await this.#deps.store.commit(next.revision - 1, { ...audit, services, status: this.#kept(status) })
    } catch (error) {
      this.#slots.settle(this.#present.status)
      if (isTurnoutError(error, 'stale_revision')) await this.#reload()
      else this.#tellStoreAway(error)
      throw isTurnoutError(error) ? error : new TurnoutError('store_unavailable')
    }
    this.#saver.written()
    this.#tellStoreBack()
  }

  async #commit(next: Snapshot, delta: TableDelta): Promise<void> {
    await this.#deps.commitTables(delta)
    this.#present = next
    this.#slots.settle(next.status)
    this.#drains.watch(next.status)
  }

  async #observe(): Promise<void> {
    const observations = this.#observations
    this.#observations = new Map()
    this.#observing = null
    const { status, events } = applyObservations(this.#present, observations)
    if (status === this.#present.status) return
    const { next, delta } = this.#prepare(this.#present.revision, { services: this.#present.services, status })
    await this.#commit(next, delta)
    this.#saver.request()
    for (const event of events) this.publish(event)
  }

  /** Rejects when it should be tried again. */
  async #saveStatus(): Promise<void> {
    const { revision, status } = this.#present
    try {
      await this.#deps.store.saveStatus(revision, this.#kept(status))
      this.#tellStoreBack()
    } catch (error) {
      if (!isTurnoutError(error, 'stale_revision')) {
        this.#tellStoreAway(error)
        throw error
      }
      // Either our own commit is on its way, and has this status too, or another process has written.
      await this.#queue.run(() => this.#reload(), true)
    }
  }

  /** The status as it is stored: what outlives the process, with deadlines by the wall clock of now. */
  #kept(status: Snapshot['status']): Snapshot['status'] {
    return movedBy(withoutSlots(status), wallShiftMs(this.#deps.clock))
  }

  /** Takes over the document of another process; without one, or without a store, everything stays as it is. */
  async #reload(): Promise<void> {
    try {
      const document = await this.#deps.store.load()
      if (document === null || document.revision <= this.#present.revision) return
      await this.#adopt(document)
      const { revision, epoch } = this.#present
      const message = `revision ${revision} of another process was taken over from the store`
      this.publish({ type: 'change', service: null, message, data: { revision, epoch, kind: 'reload' } })
    } catch (error) {
      this.#deps.log.error({ err: error }, 'the document of another process could not be taken over')
    }
  }

  async #adopt({ revision, services: loaded, status: loadedStatus }: Document): Promise<void> {
    const present = this.#present
    const services = mapEntries(loaded, (spec, name) => keepEqual(own(present.services, name), spec))
    const steady = movedBy(loadedStatus, -wallShiftMs(this.#deps.clock))
    const reconciled = reconcileStatus(services, { services, status: steady })
    const slotted = this.#slots.assign(reconciled)
    const status = mapEntries<ServiceStatus, ServiceStatus>(slotted, (now, name) =>
      keepEqual(own(present.status, name), now),
    )
    const { next, delta } = this.#prepare(revision, { services, status })
    await this.#commit(next, delta)
  }

  #tellStoreAway(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error)
    this.#deps.log.error({ err: error }, 'the store cannot be reached; traffic is served by the last table')
    if (this.#storeAway) return
    this.#storeAway = true
    this.publish({
      type: 'store',
      service: null,
      message: `the store cannot be reached: ${reason}`,
      data: { away: true },
    })
  }

  #tellStoreBack(): void {
    if (!this.#storeAway) return
    this.#storeAway = false
    this.publish({ type: 'store', service: null, message: 'the store is reachable again', data: { away: false } })
  }
}

/** The old value when the new one says the same, so that only what changed is sent to the workers. */
function keepEqual<T>(old: T | undefined, now: T): T {
  return old !== undefined && equalJson(old, now) ? old : now
}
