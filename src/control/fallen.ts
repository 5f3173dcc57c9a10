/**
 * A store that fell: it stands at an older document than the one that is served, since somebody has put an older copy in its place, or it has lost
 * what it had answered as done. That is told once and never followed. Where several instances share the store, what is served is written there
 * again at once, by the one that leads, or by another one that finds it at two looks; else the next change writes all.
 */
import type { Position, Store } from '../store/store.ts'
import type { NewEvent } from './events.ts'
import type { Reach } from './reach.ts'

type Tell = (level: 'info' | 'warn' | 'error', message: string, data: NewEvent['data']) => void

export class Fallen {
  readonly #store: Pick<Store, 'fleet'>
  readonly #reach: Reach
  readonly #tell: Tell
  #at: Position | null = null

  constructor(store: Pick<Store, 'fleet'>, reach: Reach, tell: Tell) {
    this.#store = store
    this.#reach = reach
    this.#tell = tell
  }

  /** Where it stands; null while it has not fallen. */
  get at(): Position | null {
    return this.#at
  }

  /** It stands where it should. */
  end(): void {
    this.#at = null
  }

  /** It stands there, while that revision is served. */
  async found(found: Position, served: number): Promise<void> {
    const { fleet } = this.#store
    const { revision } = found
    const isKnown = found.mark === this.#at?.mark
    this.#at = found
    if (!isKnown) {
      const how = fleet ? 'what is served is written there again' : WITH_NEXT
      const went =
        found.isDamaged === true ? 'is damaged, since keys of it are gone,' : `went back to revision ${revision}`
      const what = `the store ${went} while ${served} is served; it is not followed`
      this.#tell('error', `${what}, and ${how}`, { revision, served })
    }
    if (fleet === null) return
    // Whatever hinders it, the next look tries anew.
    if (!(await this.#reach.run(() => fleet.rewrite(found, isKnown), 'writing').catch(() => false))) return
    this.#at = null
    const had = found.isDamaged === true ? 'was damaged' : `had gone back to revision ${revision}`
    const message = `revision ${served} was written again to the store, which ${had}`
    this.#tell('warn', message, { revision, served, rewritten: true })
  }
}

const WITH_NEXT = 'the next change writes all that is served as a higher revision'
