/** From a setting to the store in a Redis, with its local snapshot; or to a word on whether a start would find one. */
import type { Clock } from '../clock.ts'
import { RedisStore } from './redis.ts'
import { RedisClient } from './redis-client.ts'
import { keysOf } from './redis-scripts.ts'
import { redisSetting } from './redis-setting.ts'
import { SnapshotFile } from './snapshot-file.ts'
import { SnapshotStore } from './snapshot-store.ts'
import type { Store } from './store.ts'

/**
 * Connects to the Redis of a setting (redis-setting.ts). Rejects with `store_unavailable` when it cannot be read, and there is no snapshot of it at the path that is given
 * for one. Without such a path none is kept.
 */
export async function redisStore(text: string, clock: Clock, snapshot: string | null): Promise<Store> {
  const { client, remote } = await connect(text, clock)
  const store = new SnapshotStore(remote, client.name, snapshot === null ? null : new SnapshotFile(snapshot), clock)
  try {
    await store.open()
  } catch (error) {
    await remote.close()
    throw error
  }
  return store
}

/** Rejects as a start without a snapshot would; writes nothing. */
export async function checkRedis(text: string, clock: Clock): Promise<void> {
  const { remote } = await connect(text, clock)
  try {
    await remote.reached()
    const { isDamaged = false } = await remote.position()
    if (!isDamaged || (await remote.fleet.isDamaged())) await remote.load()
  } finally {
    await remote.close()
  }
}

async function connect(text: string, clock: Clock) {
  const setting = await redisSetting(text)
  const client = new RedisClient(setting, clock)
  return { client, remote: new RedisStore(client, keysOf(setting.prefix), clock) }
}
