/**
 * The rollouts of this process, while another one may take its place.
 *
 *   ours ──leave──► theirs: shown here, run there ──comeBack──► ours
 *
 * Leaving is what the end of a process is to its rollouts, and coming back is what its start is: each goes on with what is kept in the
 * store. So a rollout is never driven by two, and what is left in the middle of a step is done again under the same key. Meanwhile they are those of
 * another process (elsewhere.ts). Counts of what was asked begin anew with each change of seats.
 */
import type { Store } from '../store/store.ts'
import type { Rollouts } from './controller.ts'

/** What others use of rollouts. */
export type SeatedRollouts = Pick<
  Rollouts,
  'begin' | 'command' | 'dryRun' | 'figures' | 'find' | 'isLeftBy' | 'list' | 'post' | 'refresh' | 'running'
>

export class Seat implements SeatedRollouts {
  readonly #store: Pick<Store, 'yield'>
  readonly #make: () => Rollouts
  #present: Rollouts
  #isClosed = false
  #turn: Promise<void> = Promise.resolve()

  /** `make` gives rollouts that have not been started. */
  constructor(store: Pick<Store, 'yield'>, make: () => Rollouts) {
    this.#store = store
    this.#make = make
    this.#present = make()
  }

  start(): Promise<void> {
    return this.#present.start()
  }

  /** Stops driving them, so that another process can; resolves when nothing of them is under way here. */
  leave(): Promise<void> {
    return this.#changeSeats(true)
  }

  /** Drives them again, if no other process does. */
  comeBack(): Promise<void> {
    return this.#changeSeats(false)
  }

  /** Another process leads now, or has meanwhile: drops what is driven here, does what comes `between`, and begins anew with what the store says. */
  reseat(between = async () => {}): Promise<void> {
    return this.#beginAnew(between)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#turn
    await this.#present.close()
  }

  begin: Rollouts['begin'] = (...given) => this.#present.begin(...given)
  command: Rollouts['command'] = (...given) => this.#present.command(...given)
  dryRun: Rollouts['dryRun'] = (...given) => this.#present.dryRun(...given)
  figures: Rollouts['figures'] = () => this.#present.figures()
  find: Rollouts['find'] = (...given) => this.#present.find(...given)
  isLeftBy: Rollouts['isLeftBy'] = (...given) => this.#present.isLeftBy(...given)
  list: Rollouts['list'] = (...given) => this.#present.list(...given)
  post: Rollouts['post'] = (...given) => this.#present.post(...given)
  refresh: Rollouts['refresh'] = async (...given) => {
    await this.#present.refresh(...given)
    // It may have learnt only now that another one leads.
    await this.#turn
  }
  running: Rollouts['running'] = (...given) => this.#present.running(...given)

  #changeSeats(isYielded: boolean): Promise<void> {
    return this.#beginAnew(() => this.#store.yield(isYielded))
  }

  /** Drops what there is, and begins with what the store says after `between`; one at a time. */
  #beginAnew(between = async () => {}): Promise<void> {
    const turn = this.#turn.then(async () => {
      if (this.#isClosed) return
      await this.#present.close()
      await between()
      // Until the new ones have read what there is, the old ones tell what they know.
      const next = this.#make()
      await next.start().catch(async (error: unknown) => {
        await next.close()
        throw error
      })
      this.#present = next
    })
    this.#turn = turn.catch(() => {})
    return turn
  }
}
