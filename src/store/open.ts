/** From the `store` setting to the store: the one place that knows which stores there are. */
import { TurnoutError } from '../errors.ts'
import { memoryStore } from './memory.ts'
import { sqliteStore } from './sqlite.ts'
import type { Store } from './store.ts'

/**
 * Opens the store of a setting: `memory:` or `sqlite:PATH`, the path being relative to the working directory.
 * Rejects with `store_unavailable` when it cannot be used, and with `invalid` when there is no such kind of store.
 */
export async function openStore(url: string): Promise<Store> {
  if (url === 'memory:') return memoryStore()
  if (/^sqlite:./s.test(url)) return sqliteStore(url.slice('sqlite:'.length))
  const message = /^rediss?:/.test(url)
    ? 'A Redis store comes in a later version; use sqlite:PATH.'
    : `There is no store "${url}"; use memory: or sqlite:PATH.`
  throw new TurnoutError('invalid', message, [{ pointer: '/store', message }])
}
