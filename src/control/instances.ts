/**
 * All instances that serve by one store, and the promise of an answer: whoever has changed something is answered when every one of them
 * routes by it.
 *
 * Each says where it stands every `ANNOUNCE_MS`, and at once when that has changed. One that has said nothing for a while (`lifeMs`) is gone, or
 * cut off from the store, and is not waited for; one that is there and does not follow, such as an older Turnout that cannot serve what is
 * stored, is waited for `ROUTED_MS`, and then the answer names it. The change stands either way.
 *
 * Each says too which holds are quiet there (quiet.ts), and what it has under way at places that are out (busy-places.ts): so a switch, and whoever
 * is to end a server, waits for what is under way at any of them. Of one that has fallen silent nothing is waited for: mostly its connections died with it.
 *
 * An instance that is cut off goes on with its last table. It says so: `staleMs` grows, and by the config it is not ready meanwhile. It is where it
 * cannot say where it stands, and as well where it cannot read or take over what others have written.
 */
import type { ChangeOptions, ChangeResult, Control } from '../change.ts'
import { type Clock, sleep } from '../clock.ts'
import { own } from '../config/record.ts'
import { targetKey } from '../config/target-key.ts'
import type { Instance, Local, Store } from '../store/store.ts'
import { isBusyThere, type Out } from './busy-elsewhere.ts'
import type { BusyPlaces } from './busy-places.ts'
import type { RunningControl } from './deps.ts'
import type { Quiet } from './quiet.ts'

/** How often an instance says where it stands. */
const ANNOUNCE_MS = 1_000
/** Longest wait for the others to route by a change. */
const ROUTED_MS = 5_000
/** Time between two looks meanwhile. */
const LOOK_MS = 10

/** Stands for their names as long as none is known. */
const UNHEARD = 'others, of which nothing was heard yet'

const AWAY_AT_START = 'The store has been away since the start'

export interface InstancesDeps {
  /** Without a fleet this instance is the only one there can be. */
  readonly store: Pick<Store, 'bytes' | 'fleet' | 'local'>
  readonly control: Pick<RunningControl, 'followed' | 'snapshot' | 'subscribe'>
  readonly clock: Clock
  /** What does not change while it runs. */
  readonly self: Pick<Instance, 'name' | 'version'>
  /** Which holds are quiet here. */
  readonly quiet: Pick<Quiet, 'ids'>
  /** What is under way here where nobody new should come. */
  readonly busy: Pick<BusyPlaces, 'told'>
}

/** An instance as it is told. */
export interface ToldInstance extends Omit<Instance, 'id' | 'leads' | 'clockAheadMs' | 'quiet' | 'busy'> {
  readonly leads: boolean
  /** Of the clock of the store; 0 while they agree. */
  readonly clockAheadMs: number
  /** It is the one that tells. */
  readonly isSelf: boolean
}

/** What metrics show of them. */
export interface InstanceFigures {
  readonly count: number
  readonly staleMs: number
  readonly local: ReturnType<Local['told']> | null
  readonly unreplicated: number
  /** The store cannot be read or written now. */
  readonly isAway: boolean
  /** How often that has begun. */
  readonly failures: number
  /** Of the store on the disk of this machine; null where it is elsewhere, or nowhere. */
  readonly bytes: number | null
}

export class Instances {
  readonly #deps: InstancesDeps
  readonly #id = crypto.randomUUID()
  readonly #ends: readonly (() => void)[]
  #known: readonly Instance[]
  /** Monotonic time of the last look at the others. */
  #lookedAtMs: number
  #looking: Promise<void> | null = null
  /** The others were heard of once. */
  #hasHeard = false
  /** Why the last look has failed; null when it has not. */
  #fault: string | null = null
  /** What was told of that, while it is away. */
  #away: string | null = null
  #failures = 0

  constructor(deps: InstancesDeps) {
    const { store, control, clock } = deps
    this.#deps = deps
    this.#known = [this.#self()]
    this.#lookedAtMs = clock.monotonicMs()
    // That was told before anybody could listen.
    if (store.local?.told().serves === true) this.#noteAway(AWAY_AT_START)
    const endNews = control.subscribe(({ type, data, message }) => {
      if (type === 'store' && typeof data['away'] === 'boolean') this.#noteAway(data['away'] ? message : null)
    })
    if (store.fleet === null) {
      this.#ends = [endNews]
      return
    }
    // The store tells what goes wrong, and the next look comes.
    const look = () => void this.#look().catch(() => {})
    this.#ends = [
      endNews,
      clock.every(ANNOUNCE_MS, look),
      control.subscribe(({ type }) => (type === 'change' || type === 'hold') && look()),
    ]
    look()
  }

  /** All that are there, as they have said last; this one as it is now. */
  told(): ToldInstance[] {
    const all = this.#known.map((instance) => (instance.id === this.#id ? { ...instance, ...this.#self() } : instance))
    return all.map(({ id: its, quiet: _quiet, busy: _busy, leads = false, clockAheadMs = 0, ...instance }) => {
      return {
        ...instance,
        name: this.#nameOf({ ...instance, id: its }),
        leads,
        clockAheadMs,
        isSelf: its === this.#id,
      }
    })
  }

  /** How long this one has not reached the store that it shares with others, or has not followed it, in ms; 0 while it does both. */
  get staleMs(): number {
    return Math.max(this.#sinceMs(this.#lookedAtMs), this.#sinceMs(this.#deps.control.followed().atMs))
  }

  #sinceMs(atMs: number): number {
    if (this.#deps.store.fleet === null) return 0
    const forMs = this.#deps.clock.monotonicMs() - atMs
    return forMs < 2 * ANNOUNCE_MS ? 0 : forMs
  }

  /** Why the store cannot be read or written; null while it can. Of one that several share, as it was a second ago: each look writes there. */
  get storeFault(): string | null {
    return this.#deps.store.fleet === null ? this.#away : (this.#fault ?? this.#deps.control.followed().fault)
  }

  /** For metrics. */
  figures(): InstanceFigures {
    return {
      count: this.#known.length,
      staleMs: this.staleMs,
      local: this.local,
      unreplicated: this.#deps.store.fleet?.unreplicated() ?? 0,
      isAway: this.#away !== null,
      failures: this.#failures,
      bytes: this.#deps.store.bytes?.() ?? null,
    }
  }

  #noteAway(away: string | null): void {
    if (away !== null && this.#away === null) this.#failures++
    this.#away = away
  }

  /** The local copy of the store; null where the store is here. */
  get local(): ReturnType<Local['told']> | null {
    return this.#deps.store.local?.told() ?? null
  }

  /** In words why others may have changed what this one does not know of; null while they cannot. */
  get cutOff(): string | null {
    const { local, staleMs, storeFault } = this
    if (local?.serves === true)
      return `${AWAY_AT_START}: traffic is served by the local snapshot of revision ${local.revision}.`
    if (staleMs <= (this.#deps.store.fleet?.lifeMs ?? 0)) return null
    const what = this.#sinceMs(this.#lookedAtMs) > 0 ? 'reached' : 'followed'
    const why = storeFault === null ? '' : ` ${storeFault}`
    return `The store was not ${what} for ${(staleMs / 1_000).toFixed(1)} s: other instances may have changed what is served.${why}`
  }

  /** What came of a change that has been made here, or the present revision, once all route by it, or with the names of those that do not. */
  async everywhere<T extends Pick<ChangeResult, 'revision'>>(
    made: T,
    { dryRun, everywhere }: Pick<ChangeOptions, 'dryRun' | 'everywhere'> = {},
  ): Promise<T & Pick<ChangeResult, 'waitingFor'>> {
    if (this.#deps.store.fleet === null || dryRun === true || everywhere === false) return made
    const waitingFor = await this.#routed(made.revision)
    return waitingFor.length === 0 ? made : { ...made, waitingFor }
  }

  /** Control as people have it: they are answered when all instances route by what they have changed. */
  controlOf(control: Control): Control {
    return {
      change: async (change, options) => this.everywhere(await control.change(change, options), options),
      events: (after) => control.events(after),
      observe: (observations) => control.observe(observations),
      revision: (revision) => control.revision(revision),
      snapshot: () => control.snapshot(),
      subscribe: (listener) => control.subscribe(listener),
    }
  }

  /** Names of those at which what a hold holds is still under way, once it is at none or the time is over. Rejects with what `signal` aborts with. */
  quieted(hold: string, limitMs: number, signal: AbortSignal): Promise<string[]> {
    return this.#untilAll(({ quiet = [] }) => quiet.includes(hold), limitMs, signal)
  }

  /**
   * Names of the others at which something may be under way yet where nobody new should come, as each has said last; none where this is the only one
   * there can be. While the store is away that is what was heard before: what was idle and out stays so.
   */
  busyAt(out: Out): string[] {
    if (this.#deps.store.fleet === null) return []
    if (!this.#hasHeard) return [UNHEARD]
    return this.#known.flatMap((it) => (it.id !== this.#id && isBusyThere(it, out) ? [this.#nameOf(it)] : []))
  }

  /** Names of the others at which something may be under way at a target that is out. Whoever asks again soon is told by what they say by now. */
  busyElsewhere = (service: string, pool: string, url: string): string[] => {
    const revision = own(this.#deps.control.snapshot().revisions, service) ?? 0
    if (this.#deps.store.fleet !== null) void this.#look().catch(() => {})
    return this.busyAt({ places: [targetKey(service, pool, url)], revision, orOpen: false })
  }

  /** Names of those that do not route by the revision, once all do or the time is over. */
  #routed(revision: number): Promise<string[]> {
    return this.#untilAll((instance) => instance.revision >= revision, ROUTED_MS)
  }

  /** Names of those of which this is not so, once it is of all or the time is over. */
  async #untilAll(isSo: (instance: Instance) => boolean, limitMs: number, signal?: AbortSignal): Promise<string[]> {
    const { clock } = this.#deps
    const untilMs = clock.monotonicMs() + limitMs
    for (;;) {
      signal?.throwIfAborted()
      const isSeen = await this.#look().then(
        () => true,
        () => false,
      )
      // Of those that cannot be heard nothing is known.
      const late = this.#known.filter((instance) => (isSeen ? !isSo(instance) : instance.id !== this.#id))
      if ((isSeen && late.length === 0) || clock.monotonicMs() >= untilMs)
        return late.map((instance) => this.#nameOf(instance))
      await sleep(clock, LOOK_MS)
    }
  }

  /** Says where this one stands and learns where the others do. One look at a time, and whoever asks meanwhile waits for one that begins later. */
  async #look(): Promise<void> {
    await this.#looking?.catch(() => {})
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = null
    })
    await this.#looking
  }

  async #lookOnce(): Promise<void> {
    const { clock, store } = this.#deps
    const fromMs = clock.monotonicMs()
    try {
      this.#known = store.fleet === null ? [this.#self()] : await store.fleet.announce(this.#announced())
    } catch (error) {
      this.#fault = (error as Error).message
      throw error
    }
    this.#hasHeard = true
    this.#fault = null
    this.#lookedAtMs = fromMs
  }

  /** Where two have one name (containers may share a host's, each with the process 1), each with a mark of its own. */
  #nameOf({ id, name }: Pick<Instance, 'id' | 'name'>): string {
    const isTaken = this.#known.some((other) => other.id !== id && other.name === name)
    return isTaken ? `${name}#${id.slice(0, 4)}` : name
  }

  #self(): Instance {
    const { revision, epoch } = this.#deps.control.snapshot()
    const quiet = this.#deps.quiet.ids()
    return { id: this.#id, ...this.#deps.self, revision, epoch, ...(quiet.length > 0 && { quiet }) }
  }

  #announced(): Instance {
    const busy = this.#deps.busy.told()
    return { ...this.#self(), ...(Object.keys(busy).length > 0 && { busy }) }
  }

  /** Is not waited for any more. */
  async close(): Promise<void> {
    for (const end of this.#ends) end()
    await this.#looking?.catch(() => {})
    await this.#deps.store.fleet?.leave(this.#id).catch(() => {})
  }
}
