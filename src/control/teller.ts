/** What is told of the store: in the log, and as an event. */
import type { NewEvent } from './events.ts'
import type { KeeperDeps } from './keeper.ts'

/** Messages that are remembered so that none is told again and again. */
const TOLD_MAX = 100

export class Teller {
  readonly #deps: Pick<KeeperDeps, 'log' | 'publish'>
  /** The last of what is told but once. */
  #told: readonly string[] = []

  constructor(deps: Pick<KeeperDeps, 'log' | 'publish'>) {
    this.#deps = deps
  }

  /** Tells it at this level, each time. */
  readonly tell = (level: 'info' | 'warn' | 'error', message: string, data: NewEvent['data'] = {}): void => {
    this.#deps.log[level](data, message)
    this.#deps.publish({ type: 'store', service: null, message, data })
  }

  /** Tells it unless it is among the last things that were told so. */
  tellOnce(level: 'warn' | 'error', message: string): void {
    if (this.#told.includes(message)) return
    this.#told = [...this.#told, message].slice(-TOLD_MAX)
    this.tell(level, message)
  }

  /** What was written as the revision that is served is gone, and others have gone on from before it. */
  tellLost(served: number, revision: number): void {
    const message = `the store has lost revision ${served} as it is served, and stands at another revision ${revision}, which is followed`
    this.tell('error', message, { revision, served })
  }
}
