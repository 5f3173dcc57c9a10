/** Where the store is, and the local copy of one that stands elsewhere. */
import { resolve } from 'node:path'
import type { RedisSpec, StoreSpec } from '../config/schema-store.ts'

/** Folders that relative paths start from. */
interface Folders {
  readonly directory?: string
  readonly stateDirectory?: string
}

/** Where the local copy of a store elsewhere is kept, in the folder of the state. */
const SNAPSHOT = 'turnout.snapshot'

const inState = ({ stateDirectory, directory }: Folders, path: string): string =>
  resolve(stateDirectory ?? directory ?? process.cwd(), path)

/** The setting of the store as one text: a URL with its path from the folder of the state on, or JSON with files from that of the config on. */
export function storeUrl(store: StoreSpec, folders: Folders): string {
  if (typeof store !== 'string') return JSON.stringify({ redis: withFiles(store.redis, folders) })
  return store.startsWith('sqlite:') ? 'sqlite:' + inState(folders, store.slice('sqlite:'.length)) : store
}

/** For people, and to tell whether it may be handed over: memory, sqlite or redis. */
export const storeKind = (store: StoreSpec): string =>
  typeof store === 'string' ? store.split(':', 1)[0].replace(/^rediss$/, 'redis') : 'redis'

function withFiles(redis: RedisSpec, { directory }: Folders): RedisSpec {
  if (redis.tls === undefined || redis.tls === true) return redis
  const file = (key: 'ca' | 'cert' | 'key', path?: string) =>
    path === undefined ? {} : { [key]: resolve(directory ?? process.cwd(), path) }
  const { ca, cert, key, ...rest } = redis.tls
  return { ...redis, tls: { ...rest, ...file('ca', ca), ...file('cert', cert), ...file('key', key) } }
}

/** The file for events; null where a restart forgets all. */
export function eventsPath(store: StoreSpec, folders: Folders): string | null {
  const kind = storeKind(store)
  if (kind === 'memory') return null
  if (typeof store === 'string' && kind === 'sqlite') return `${inState(folders, store.slice('sqlite:'.length))}-events`
  return inState(folders, 'turnout.events')
}

/** The file for the local copy of the store, if that stands elsewhere. */
export const snapshotPath = (folders: Folders): string => inState(folders, SNAPSHOT)
