/**
 * Rollouts that another Turnout process on the same store runs: shown here, and run there alone.
 *
 * One process runs them: the one that holds the store's lock of the living (store.isShared). Here they are read, whenever somebody asks, and
 * every two seconds for status and metrics; so the clock and the verdict may be ten seconds old, as they are kept. When the other one is gone,
 * however it ended, we take them up as after a restart: at the second look, when what it wrote last has been taken over by control too.
 *
 * What was read is remembered as long as the document says that the rollout runs, and from its last shift on until its end was read, also when
 * the store has lost it since: a process that is gone at the same time does not write it there again. So it is read after each change, too.
 */
import type { Logger } from 'pino'
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import { isTurnoutError } from '../errors.ts'
import type { Store } from '../store/store.ts'
import type { Archive } from './archive.ts'
import { isNewer, type Kept } from './kept.ts'
import { isLast } from './rollout.ts'
import { type ToldRollout, toldRollout } from './told.ts'

const LOOK_MS = 2_000

export interface ElsewhereDeps {
  readonly control: Pick<Control, 'snapshot' | 'subscribe'>
  readonly clock: Clock
  readonly store: Pick<Store, 'isShared'>
  readonly archive: Pick<Archive, 'ended' | 'readOne'>
  readonly log: Pick<Logger, 'error'>
  /** The other one is gone. */
  takeUp(): Promise<void>
}

/** One as it was read last. */
export interface Seen {
  readonly kept: Kept
  /** The revision that was known then. */
  readonly revision: number
  /** The store has it no more; `isBehind`: and something was changed since it was read, which it may not know of. */
  readonly isLost?: true
  readonly isBehind?: boolean
}

export class Elsewhere {
  readonly #deps: ElsewhereDeps
  readonly #running = new Map<string, Seen>()
  #isThere = false
  #isLooking = false
  #isReading = false
  #isDue = false
  /** The last look has found nobody. */
  #isAlone = false
  /** Why the last look could not read what is kept; null when it could. */
  #unread: string | null = null
  /** What else the last look has failed by. */
  #told = ''
  #end = () => {}
  #isClosed = false

  constructor(deps: ElsewhereDeps) {
    this.#deps = deps
  }

  /** Another process runs them. */
  get isThere(): boolean {
    return this.#isThere
  }

  /** Names of the services of which one is known to run there. */
  get services(): string[] {
    return [...this.#running.keys()]
  }

  /** Begins to follow another process; these run there. */
  follow(open: readonly Kept[]): void {
    this.#isThere = true
    const { clock, control } = this.#deps
    const { revision } = control.snapshot()
    for (const kept of open) this.#running.set(kept.service, { kept, revision })
    const endLooks = clock.every(LOOK_MS, () => void this.#look())
    const endNews = control.subscribe(({ type }) => type === 'change' && this.#hear())
    this.#end = () => {
      endLooks()
      endNews()
    }
  }

  /** The one that runs there, as it was kept last; null when none does. */
  told(service: string): ToldRollout | null {
    const kept = this.kept(service)
    if (kept === null) return null
    const told = { ...toldRollout(kept), runsElsewhere: true }
    if (this.#unread === null || told.next === null) return told
    // What it waits for there nobody knows here.
    return { ...told, next: { ...told.next, waitsFor: `store, to be heard of again: ${this.#unread}` } }
  }

  /** The same as it is kept; null when none does. */
  kept(service: string): Kept | null {
    return this.#running.get(service)?.kept ?? null
  }

  /** All of them, by service. */
  get seen(): ReadonlyMap<string, Seen> {
    return this.#running
  }

  /** Reads what the other process has kept of a service. */
  async refresh(service: string): Promise<void> {
    if (!this.#isThere) return
    const { archive, control } = this.#deps
    const { revision } = control.snapshot()
    const kept = await archive.readOne(service)
    // Meanwhile they may have been taken up: what was read is old then, and nobody would ever replace it.
    if (!this.#isThere) return
    const seen = this.#running.get(service)
    if (seen !== undefined && this.#isLost(seen.kept, kept)) {
      if (!seen.isLost) this.#running.set(service, { ...seen, isLost: true, isBehind: revision > seen.revision })
    } else if (kept === null) this.#running.delete(service)
    else this.#running.set(service, { kept, revision })
  }

  /** Whether it is known to run still, and the store knows neither of that nor of its end. With its last shift the document says no more that it runs. */
  #isLost(seen: Kept, kept: Kept | null): boolean {
    const { service } = seen
    const { id } = seen.rollout
    const { archive, control } = this.#deps
    const status = own(control.snapshot().status, service)
    const runs =
      status?.trial === undefined ? status !== undefined && isLast(seen.rollout) : status.trial.rollout === id
    const isThere = kept?.rollout.id === id && !isNewer(seen, kept)
    return runs && !isThere && !archive.ended(service).some(({ rollout }) => rollout.id === id)
  }

  /** Something was changed; one reading at a time, and another one after it for whatever came meanwhile. */
  #hear(): void {
    this.#isDue = this.#isReading
    if (this.#isReading) return
    this.#isReading = true
    const read = (): void => {
      this.#isReading = false
      if (this.#isDue && !this.#isClosed) this.#hear()
    }
    // What cannot be read now is at the next look.
    this.#refreshAll().then(read, read)
  }

  /** Ends following; what a look is about to find is not taken up any more. */
  close(): void {
    this.#isClosed = true
    this.#end()
  }

  /** What goes wrong, such as a store that is away, is tried again at the next look. */
  async #look(): Promise<void> {
    if (this.#isLooking || !this.#isThere) return
    this.#isLooking = true
    try {
      const isShared = await this.#deps.store.isShared()
      this.#unread = null
      if (this.#isClosed) return
      if (isShared) {
        this.#isAlone = false
        await this.#refreshAll()
      } else if (this.#isAlone) {
        await this.#deps.takeUp()
        this.#isThere = false
        this.#running.clear()
        this.#end()
      } else this.#isAlone = true
    } catch (error) {
      // Told by control, whose store it is; anything else nobody would hear of.
      if (isTurnoutError(error, 'store_unavailable')) this.#unread = error.message
      else if (String(error) !== this.#told) {
        this.#told = String(error)
        this.#deps.log.error(
          { err: error },
          'rollouts that another process has run cannot be looked at, or taken up, yet',
        )
      }
    }
    this.#isLooking = false
  }

  async #refreshAll(): Promise<void> {
    const tried = Object.entries(this.#deps.control.snapshot().status).filter(([, { trial }]) => trial !== undefined)
    for (const service of new Set([...this.services, ...tried.map(([name]) => name)])) await this.refresh(service)
  }
}
