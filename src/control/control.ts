/**
 * The one writer: change → validate → store → tables in every worker → answer. Everything that moves the present state goes
 * through one queue here, so there is one order of things and every reader sees one of its steps, never a mixture.
 *
 * Invariants:
 * - A change is answered after the store has it (so it survives `kill -9`) and after every worker routes by it. When it is
 *   refused or the store fails, nothing has changed: the last table goes on serving (fail static).
 * - What can refuse a change (schema, files that are not read, who would be left to answer, slots, plans, the table itself) comes before the store,
 *   so nothing is stored that cannot be served.
 * - The store compares where it stands. When another process has moved it, what that one wrote is taken over and the change
 *   is made again on top of it, as if it had come a moment later; only who has sent If-Match for what was changed is refused.
 *   So is a commit taken over that was reported as failed and had happened after all.
 * - The way back of a rollout goes first, and to the workers before the store: it latches, so nothing is lost when it is stored later. Until
 *   then nobody else changes that service.
 * - What this process has seen goes first in the queue, and into the tables without waiting for the store. It is never in the
 *   document; it is stored apart, for a quick restart (saver.ts).
 * - A change costs what it changes: every step names the services that it touches, and nothing looks at the others (touched.ts, state.ts, keeper.ts).
 */
import type { Change, ChangeOptions, ChangeResult, ControlEvent, Observation, Revision, Snapshot } from '../change.ts'
import { durationMs } from '../config/duration.ts'
import { RouteOwners } from '../config/route-owners.ts'
import { hostsOf, hostsOfChange, LEARN_MS } from '../names/target-hosts.ts'
import { applyChange, type ChangeTools, type Resolved } from './apply.ts'
import { type Audited, auditOf, isWritten } from './audit.ts'
import { eventOf, takenOver } from './change-events.ts'
import { expectCondition } from './condition.ts'
import type { ControlDeps, RunningControl } from './deps.ts'
import { createDrains, type Drains } from './drains.ts'
import { createEvents, type Events, type NewEvent } from './events.ts'
import { refusedAt } from './fault-place.ts'
import { type Followed, Follower } from './follower.ts'
import { foreseen } from './foreseen.ts'
import { assertReleasesKept, assertServed, dryRunOf } from './guards.ts'
import { shownRevision } from './history.ts'
import { takeIn } from './intake.ts'
import { Keeper } from './keeper.ts'
import { keepingEqual, type Loaded } from './loaded.ts'
import type { Owing } from './owed.ts'
import { createQueue, type Queue } from './queue.ts'
import { whileMoved } from './reach.ts'
import type { Base, Content } from './reconcile.ts'
import { createSaver, type Saver } from './saver.ts'
import { Sightings } from './sightings.ts'
import { createSlots } from './slots.ts'
import { changedNames, State, type Step } from './state.ts'
import { touchedBy } from './touched.ts'
import { Upkeep } from './upkeep.ts'
import { createWaiting, type Waiting } from './waiting.ts'

/** Changes that may wait for their turn; the next one is refused with `overloaded`. */
export const CHANGES_WAITING_MAX = 1000

/** Loads the stored state and brings it into every worker. Rejects with `store_unavailable` when it cannot be loaded. */
export async function createControl(deps: ControlDeps): Promise<RunningControl> {
  const control = new Writer(deps)
  await control.start()
  return control
}

class Writer implements RunningControl {
  readonly #deps: ControlDeps
  readonly #tools: ChangeTools
  readonly #queue: Queue
  readonly #routes = new RouteOwners()
  readonly #events: Events
  readonly #state: State
  readonly #keeper: Keeper
  readonly #waiting: Waiting
  readonly #saver: Saver
  readonly #drains: Drains
  readonly #sightings: Sightings
  readonly #upkeep: Upkeep
  readonly #follower: Follower
  readonly unstored = (): readonly string[] => this.#keeper.owed.names
  readonly subscribe: Events['subscribe'] = (listener) => this.#events.subscribe(listener)
  readonly publish = (event: NewEvent): void => this.#events.publish(event)
  readonly takeIn: Events['takeIn'] = (earlier) => this.#events.takeIn(earlier)
  readonly fileBase = (): Base => this.#state.content.base
  readonly yield = (isYielded: boolean): void => this.#waiting.yield(isYielded)
  readonly followed = (): Followed => this.#follower.followed
  readonly disown = (): Promise<void> => this.#queue.run(() => this.#follow(true), true)

  constructor(deps: ControlDeps) {
    this.#deps = deps
    const { build, clock, log, memory, store } = deps
    this.#queue = createQueue(CHANGES_WAITING_MAX, clock)
    this.#tools = { drainMs: (spec) => durationMs(spec.drain.timeout) }
    this.#events = createEvents(clock, log, deps.pastEvents, deps.isHeir)
    this.#state = new State({
      slots: createSlots(memory, clock),
      addressesOf: deps.names.addressesOf,
      clock,
      build,
    })
    this.#keeper = new Keeper({ store, clock, log, routed: deps.routed, publish: this.publish })
    this.#saver = createSaver(clock, (names) => this.#keeper.saveObserved(this.#state.content.observed, names))
    this.#waiting = createWaiting(clock, (listener) => this.#events.subscribe(listener))
    const intake = {
      addressesOf: deps.names.addressesOf,
      content: () => this.#state.content,
      serve: async (content: Content, names: readonly string[]) =>
        this.#commit(this.#state.prepare(this.#state.snapshot, content, names)),
      publish: this.publish,
    }
    this.#sightings = new Sightings({
      clock,
      turn: (look) => this.#queue.run(look, true),
      take: (seen) => takeIn(seen, intake),
    })
    this.#drains = createDrains(clock, this.publish)
    this.#upkeep = new Upkeep({
      ...{ clock, store, queue: this.#queue, keeper: this.#keeper },
      content: () => this.#state.content,
      isYielded: () => this.#waiting.isYielded,
      follow: () => this.#follow(),
      saveSeen: () => this.#saver.request(Object.keys(this.#state.content.observed)),
      make: (...given) => this.#make(...given),
    })
    this.#follower = new Follower(clock, () => this.#upkeep.look())
  }

  async start(): Promise<void> {
    const loaded = await this.#keeper.load(this.#deps.run ?? '')
    await this.#deps.names.learn(hostsOf(loaded.content.services), LEARN_MS.start)
    const observed = await this.#keeper.observed(this.#deps.isHeir === true)
    await this.#queue.run(() => this.#adopt(loaded, observed))
    if (this.#deps.isHeir !== true) await this.#keeper.warnOfOthers()
    this.#follower.begin()
    this.#deps.store.fleet?.listen(() => this.#follower.hurry())
  }

  snapshot(): Snapshot {
    return this.#state.snapshot
  }

  events(after?: number): readonly ControlEvent[] {
    return this.#events.list(after)
  }

  async change(change: Change, options: ChangeOptions): Promise<ChangeResult> {
    // Before its turn, so that nobody else waits for these names.
    const restored = change.kind === 'restore' ? await this.revision(change.from) : null
    await this.#deps.names.learn(hostsOfChange(change, restored?.services), LEARN_MS.change)
    return this.#waiting.run(() => this.#queue.run(() => this.#change(change, options), options.atOnce), options)
  }

  async observe(observations: readonly Observation[]): Promise<void> {
    await this.#sightings.observe(observations)
    this.#waiting.wake()
  }

  addressesMoved(host: string): void {
    this.#sightings.moved(host).catch((error: unknown) => {
      this.#deps.log.error({ err: error, host }, 'the new addresses of a host were not taken')
    })
  }

  follow(change: Change, revision: number): Promise<void> {
    return this.#queue.run(async () => {
      await this.#follow().catch(() => {})
      if (this.snapshot().revision <= revision) await this.#route(change)
    }, true)
  }

  revision(revision: number): Promise<Revision | null> {
    return shownRevision(this.#deps.store, revision)
  }

  async close(): Promise<void> {
    this.#follower.end()
    this.#sightings.close()
    this.#drains.close()
    this.#waiting.close()
    await this.#queue.run(async () => {})
    await this.#saver.close()
  }

  async #change(change: Change, options: ChangeOptions): Promise<ChangeResult> {
    options.unless?.throwIfAborted()
    if (options.atOnce === true) await this.#route(change, options)
    return whileMoved(() => this.#attempt(change, options))
  }

  /** Brings a change into every worker that is stored only then; whatever cannot be served throws. */
  async #route(change: Change, options?: ChangeOptions): Promise<void> {
    const { content: before, snapshot } = this.#state
    const content = applyChange(before, await this.#resolved(change), this.#deps.clock.steadyMs(), this.#tools)
    const changed = changedNames(before, content, touchedBy(change))
    if (changed.length === 0) return
    await this.#commit(this.#state.prepare(snapshot, content, changed), options)
    this.#keeper.owe(before, changed, change, options ?? null)
  }

  async #attempt(change: Change, options: ChangeOptions): Promise<ChangeResult> {
    const { clock, names, traffic = () => null } = this.#deps
    // What is refused or found to be so already is judged by what others have written, too. Without a store, by what we have.
    await this.#follow().catch(() => {})
    // What others have written may have taken its place.
    if (options.atOnce === true) await this.#route(change, options)
    const { content: before, snapshot: present } = this.#state
    expectCondition(present, change, options)
    const content = applyChange(before, await this.#resolved(change), clock.steadyMs(), this.#tools)
    options.onJudged?.(before.services, content.services)
    const owed = options.atOnce === true ? touchedBy(change)!.filter((name) => this.#keeper.owed.has(name)) : []
    const changed = [...new Set(changedNames(before, content, touchedBy(change)).concat(owed))]
    const unread = this.#deps.lookupFaults?.(before.services, content.services, changed) ?? []
    const faults = [...this.#routes.faults(content.services, changed), ...unread]
    if (faults.length > 0) throw refusedAt(change, faults)
    if (options.atOnce !== true) this.#keeper.owed.assertNone(changed)
    const known = { nowMs: clock.steadyMs(), addressesOf: names.addressesOf, traffic }
    const judged = { before, after: content, change, changed, options, known }
    const unchanged = { revision: present.revision, epoch: present.epoch, appliedInMs: 0 }
    if (options.dryRun === true) return { ...unchanged, changed: changed.length > 0, dryRun: dryRunOf(judged) }
    assertReleasesKept(judged)
    assertServed(judged)
    if (change.kind === 'hold') foreseen(judged, change, this.#tools).forEach(assertServed)
    const isLine = change.kind === 'rollout' && !(await isWritten(this.#deps.store, change))
    const first = isLine || owed.length > 0 ? this.#keeper.owed.firstBefore(change, owed) : null
    if (first !== null) return this.#upkeep.storeOne(first).then(() => this.#attempt(change, options))
    const owing = this.#keeper.owed.of(change, owed)
    if (changed.length > 0 || isLine) return this.#make(change, content, changed, options, owing)
    if (content.base === before.base) return { ...unchanged, changed: false }
    // A file that says otherwise what is so already. What it says moves the revision, since it is the base of what others apply.
    return { ...(await this.#make(change, content, [], options)), changed: false }
  }

  /** Stores a change that nothing refuses, brings it into every worker and tells it. */
  async #make(
    change: Audited,
    content: Content,
    changed: readonly string[],
    options: ChangeOptions,
    owing: Owing | null = null,
  ): Promise<ChangeResult> {
    // It may have been overtaken while others were followed.
    options.unless?.throwIfAborted()
    const { content: before, snapshot: present } = this.#state
    const startedMs = this.#deps.clock.monotonicMs()
    const after = owing === null ? content : this.#keeper.owed.asMade(owing, content)
    const moved = { before, after, names: changed }
    // What is owed has moved what is served before.
    const told =
      owing === null ? moved : { ...moved, before: { services: { ...before.services, ...owing.before.services } } }
    const next = this.#keeper.next(present.revisions, moved)
    const step = this.#state.prepare(next, content, changed)
    const audit = { atMs: this.#deps.clock.nowMs(), actor: options.actor, change: auditOf(change, told, options) }
    await this.#keeper.commit({ ...moved, audit, named: options.named, owing }).catch((error) => {
      this.#state.discard(step)
      throw error
    })
    await this.#commit(step, options)
    const appliedInMs = this.#deps.clock.monotonicMs() - startedMs
    const made = { revision: next.revision, epoch: step.snapshot.epoch, appliedInMs }
    // What a rollout has come to it tells itself.
    if (change.kind !== 'rollout') this.publish(eventOf(change, options, { ...made, ...told }))
    return { ...made, changed: true }
  }

  async #resolved(change: Change): Promise<Resolved> {
    if (change.kind !== 'restore') return change
    return { ...change, ...(await this.#keeper.revision(change.from, this.#state.content)) }
  }

  async #commit(step: Step, options?: Pick<ChangeOptions, 'onWay'>): Promise<void> {
    const { snapshot } = step
    const names = [...step.places.keys()]
    const seenAnew = step.content.observed !== this.#state.content.observed
    options?.onWay?.()
    await this.#deps.commitTables(step.delta)
    this.#state.commit(step)
    this.#routes.settle(snapshot.services, names)
    this.#drains.watch(snapshot.status, names)
    if (seenAnew) this.#saver.request(names)
  }

  /** Takes over what another process has written, if there is any. Rejects when it cannot, which is told. */
  async #follow(disowns = false): Promise<void> {
    const { content } = this.#state
    const loaded = await this.#keeper.loadMoved(content, this.snapshot().revisions, disowns)
    if (loaded === null) return
    try {
      await this.#deps.names.learn(hostsOf(loaded.content.services), LEARN_MS.change)
      await this.#adopt(loaded, content.observed)
    } catch (error) {
      this.#keeper.tellNotTaken(error)
      throw error
    }
    this.publish(takenOver(this.snapshot()))
  }

  async #adopt(loaded: Loaded, observed: Content['observed']): Promise<void> {
    const present = this.#state.content
    const { revisions, position } = loaded
    const next = { ...keepingEqual(present, loaded.content), observed }
    await this.#commit(
      this.#state.prepare({ revision: position.revision, revisions }, next, changedNames(present, next)),
    )
    this.#keeper.accept(loaded)
  }
}
