/**
 * What config files have said, as the store keeps it: the services of the last one, which is the base of the next, and the names of those
 * before. One process alone has no use for names: nobody else can have applied another file.
 */
import { equalJson } from '../config/record.ts'
import type { Store } from '../store/store.ts'
import { type Base, NOTHING } from './reconcile.ts'
import { baseFrom } from './stored.ts'

const BASE_KEY = 'file'
const NAMES_KEY = 'files'

export class KeptBase {
  readonly #store: Pick<Store, 'fleet' | 'get'>
  #read: { readonly texts: readonly (string | null)[]; readonly base: Base } = { texts: [], base: NOTHING.base }

  constructor(store: Pick<Store, 'fleet' | 'get'>) {
    this.#store = store
  }

  /** As it is kept; throws `store_unavailable` when that cannot be read. */
  async base(): Promise<Base> {
    const store = this.#store
    const texts = await Promise.all([store.get(BASE_KEY), store.fleet && store.get(NAMES_KEY)])
    // A file may have thousands of services, and whoever follows another process reads it with each change.
    if (!equalJson(this.#read.texts, texts)) this.#read = { texts, base: baseFrom(...texts) }
    return this.#read.base
  }

  /** The named values that keep it. */
  named({ services, files }: Base): Record<string, string> {
    return { [BASE_KEY]: JSON.stringify(services), ...(this.#store.fleet && { [NAMES_KEY]: JSON.stringify(files) }) }
  }
}
