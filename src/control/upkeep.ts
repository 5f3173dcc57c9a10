/**
 * What the one writer does by itself between changes: it follows other processes, stores what it could not store before, and follows the clock
 * where somebody has set it.
 */
import type { ChangeOptions } from '../change.ts'
import { type Clock, wallShiftMs } from '../clock.ts'
import { TurnoutError } from '../errors.ts'
import type { Store } from '../store/store.ts'
import type { Audited } from './audit.ts'
import type { Keeper } from './keeper.ts'
import type { Owing } from './owed.ts'
import type { Queue } from './queue.ts'
import type { Content } from './reconcile.ts'

export interface UpkeepDeps {
  readonly clock: Pick<Clock, 'nowMs' | 'steadyMs'>
  readonly store: Pick<Store, 'fleet'>
  readonly queue: Queue
  readonly keeper: Pick<Keeper, 'isInStep' | 'moved' | 'owed'>
  content(): Content
  /** Another process is to write from now on. */
  isYielded(): boolean
  /** Takes over what another process has written. */
  follow(): Promise<void>
  /** Has all that was seen stored anew, soon. */
  saveSeen(): void
  /** Stores what is served of these services, as this change of it, which may be owed. */
  make(
    change: Audited,
    content: Content,
    names: readonly string[],
    options: ChangeOptions,
    owing?: Owing,
  ): Promise<unknown>
}

export class Upkeep {
  readonly #deps: UpkeepDeps
  /** What steady time lacked to be wall time when what was seen was stored. */
  #seenShiftMs: number

  constructor(deps: UpkeepDeps) {
    this.#deps = deps
    this.#seenShiftMs = wallShiftMs(deps.clock)
  }

  /** Looks once. A store over a network may be silent for seconds: what is urgent here does not wait for its answer that nothing has moved. */
  async look(): Promise<void> {
    const { store, queue, keeper } = this.#deps
    this.#followClock()
    if (store.fleet !== null && (await keeper.isInStep()) && keeper.owed.first() === null) return
    await queue.run(() => this.#look(), true)
  }

  /** What was seen is stored when there is something new of it, which may be long after somebody has set the clock. */
  #followClock(): void {
    const shiftMs = wallShiftMs(this.#deps.clock, this.#seenShiftMs)
    if (shiftMs !== this.#seenShiftMs) this.#deps.saveSeen()
    this.#seenShiftMs = shiftMs
  }

  async #look(): Promise<void> {
    const { follow, isYielded, keeper, make } = this.#deps
    await follow()
    if (isYielded()) return
    await this.#storeOwed()
    // The next process reads deadlines by the clock on the wall.
    const content = this.#deps.content()
    const moved = keeper.moved(content)
    if (moved !== null)
      await make({ kind: 'clock', movedMs: moved.movedMs }, content, moved.names, { actor: 'turnout' })
  }

  /** What is refused of one service, as a shift is of which another instance drives the rollout, keeps back none of another. */
  async #storeOwed(): Promise<void> {
    const { owed } = this.#deps.keeper
    const stuck = new Set<string>()
    for (let owing = owed.first(); owing !== null; owing = owed.first(stuck)) {
      try {
        await this.storeOne(owing)
      } catch (error) {
        // A store that cannot be written is told where it is reached (reach.ts), and was followed all the same.
        if (!(error instanceof TurnoutError)) throw error
        for (const name of owing.names) stuck.add(name)
      }
    }
  }

  /** Stores what is owed, of which nothing is owed before it. Rejects as a change does. */
  async storeOne(owing: Owing): Promise<void> {
    const { content, make } = this.#deps
    await make(owing.change, content(), owing.names, owing.asked!, owing)
  }
}
