/** The ways in which bench/redis.ts takes a Redis away from those that use it: what is started for each, and the blow itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisServer, startCluster, startRedis, startSentinels, until } from './redis-servers.ts'

export const KINDS = ['killed', 'frozen', 'flushed', 'failed over', 'failed over in a Cluster'] as const
export type Kind = (typeof KINDS)[number]

/** How long Redis is away where it comes back by itself. */
export const AWAY_MS = 1_500

/** What a kind is done to. */
export interface Struck {
  /** What instances are given as their store. */
  readonly store: unknown
  /** All that were started. */
  readonly servers: readonly RedisServer[]
  /** Does it, and resolves when Redis is there again. */
  strike(): Promise<void>
}

export async function startKind(kind: Kind, folder: string): Promise<Struck> {
  if (kind === 'failed over in a Cluster') {
    const { servers, pair } = await startCluster(folder)
    const cluster = servers.map(({ port }) => `127.0.0.1:${port}`)
    return { store: { redis: { cluster } }, servers, strike: () => failOver(pair) }
  }
  const redis = await startRedis(folder)
  if (kind !== 'failed over') {
    const store = `redis://127.0.0.1:${redis.port}`
    return { store, servers: [redis], strike: () => strike(kind, redis) }
  }
  const replica = await startRedis(folder, '--replicaof', '127.0.0.1', String(redis.port))
  const sentinels = await startSentinels(folder, redis)
  const store = { redis: { sentinels: sentinels.map(({ port }) => `127.0.0.1:${port}`), name: 'turnout' } }
  return { store, servers: [redis, replica, ...sentinels], strike: () => failOver([redis, replica]) }
}

async function strike(kind: Kind, redis: RedisServer): Promise<void> {
  if (kind === 'killed') {
    await redis.kill()
    await sleep(AWAY_MS)
    await redis.start()
  } else if (kind === 'frozen') {
    redis.signal('SIGSTOP')
    await sleep(AWAY_MS)
    redis.signal('SIGCONT')
  } else await redis.ask('FLUSHALL')
}

const isPrimary = async (server: RedisServer) => (await server.ask('INFO', 'replication')).includes('role:master')
const follows = async (server: RedisServer) =>
  (await server.ask('INFO', 'replication')).includes('master_link_status:up')

/** Kills the one of both that is the primary, and starts it again as soon as the other one is. */
async function failOver(pair: readonly RedisServer[]): Promise<void> {
  // One that was started again takes itself for the primary until it is told otherwise, and on a busy machine both may change places once more.
  let at = 0
  await until('one follows the other', async () => {
    at = (await isPrimary(pair[0])) ? 0 : 1
    return (await isPrimary(pair[at])) && (await follows(pair[1 - at]))
  })
  const [primary, replica] = [pair[at], pair[1 - at]]
  await primary.kill()
  await until('the replica has become the primary', () => isPrimary(replica))
  // It learns from the others that it is the replica now; that takes them seconds, which the next time waits for.
  void primary.start()
}
