/** From the `store` setting to the store: the one place that knows which stores there are. */
import { TurnoutError } from '../errors.ts'
import { memoryStore } from './memory.ts'
import { sqliteStore } from './sqlite.ts'
import { checkFile, fileAt } from './sqlite-file.ts'
import type { Store } from './store.ts'

/**
 * Opens the store of a setting: `memory:` or `sqlite:PATH`, the path being relative to the working directory.
 * Rejects with `store_unavailable` when it cannot be used, and with `invalid` when there is no such kind of store.
 */
export async function openStore(url: string): Promise<Store> {
  if (url === 'memory:') return memoryStore()
  if (isFile(url)) return sqliteStore(pathOf(url))
  const message = /^rediss?:/.test(url)
    ? 'A Redis store comes in a later version; use sqlite:PATH.'
    : `There is no store "${url}"; use memory: or sqlite:PATH.`
  throw new TurnoutError('invalid', message, [{ pointer: '/store', message }])
}

/** Rejects as `openStore` would, as far as can be seen without writing or making anything. */
export async function checkStore(url: string): Promise<void> {
  if (isFile(url)) checkFile(fileAt(pathOf(url)))
  else await (await openStore(url)).close()
}

const isFile = (url: string): boolean => /^sqlite:./s.test(url)
const pathOf = (url: string): string => url.slice('sqlite:'.length)
