/** From the `store` setting to the store: the one place that knows which stores there are. */
import { type Clock, systemClock } from '../clock.ts'
import { TurnoutError } from '../errors.ts'
import { memoryStore } from './memory.ts'
import { checkRedis, redisStore } from './redis-open.ts'
import { sqliteStore } from './sqlite.ts'
import { checkFile, fileAt } from './sqlite-file.ts'
import type { Store } from './store.ts'

/**
 * Opens the store of a setting: `memory:`, `redis[s]://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, the map of the config as JSON, or `sqlite:PATH`, the path being relative to
 * the working directory. `snapshot` is the path of a file for the local copy of one that stands elsewhere; without it none is kept. Rejects with
 * `store_unavailable` when it cannot be used, and with `invalid` when there is no such kind of store.
 */
export async function openStore(
  url: string,
  snapshot: string | null = null,
  clock: Clock = systemClock,
): Promise<Store> {
  if (url === 'memory:') return memoryStore()
  if (isFile(url)) return sqliteStore(pathOf(url))
  if (isRedis(url)) return redisStore(url, clock, snapshot)
  const message = `There is no store "${url}"; use memory:, sqlite:PATH or redis://HOST.`
  throw new TurnoutError('invalid', message, [{ pointer: '/store', message }])
}

/** Rejects as `openStore` would, as far as can be seen without writing or making anything. */
export async function checkStore(url: string): Promise<void> {
  if (isFile(url)) checkFile(fileAt(pathOf(url)))
  else if (isRedis(url)) await checkRedis(url, systemClock)
  else await (await openStore(url)).close()
}

const isFile = (url: string): boolean => /^sqlite:./s.test(url)
/** With a host that can be read; whether there is one is found by connecting. */
const isRedis = (url: string): boolean => url.startsWith('{') || (/^rediss?:\/\/./.test(url) && URL.canParse(url))
const pathOf = (url: string): string => url.slice('sqlite:'.length)
