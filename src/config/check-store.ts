/** What must hold of the setting of a Redis beyond its schema: one way to find it, and what belongs to that way only. Pure. */
import type { Report } from './check-service.ts'
import type { RedisSpec, StoreSpec } from './schema-store.ts'

const WAYS = ['url', 'sentinels', 'cluster'] as const

/** Adds every fault of the store, whose place is `at`. */
export function checkStoreSpec(report: Report, at: string, store: StoreSpec): void {
  if (typeof store === 'string' || !report.sound(at)) return
  const redisAt = `${at}/redis`
  const { redis } = store
  const given = WAYS.filter((way) => redis[way] !== undefined)
  if (given.length !== 1) {
    report.add(redisAt, 'give one of url, sentinels and cluster: where Redis is found')
    return
  }
  const [way] = given
  for (const { key, why } of misplaced(redis, way)) report.add(`${redisAt}/${key}`, why)
  if (way === 'sentinels' && redis.name === undefined)
    report.add(`${redisAt}/sentinels`, 'give the name, too, that Redis has at the sentinels')
  if (redis.tls !== undefined && redis.tls !== true && (redis.tls.cert === undefined) !== (redis.tls.key === undefined))
    report.add(`${redisAt}/tls`, 'a certificate and its key belong together: give cert and key, or neither')
  if (redis.url !== undefined) checkUrl(report, redisAt, redis.url, redis)
}

function misplaced(redis: RedisSpec, way: (typeof WAYS)[number]): { key: keyof RedisSpec; why: string }[] {
  const only = (key: keyof RedisSpec, ways: readonly string[], why: string) =>
    redis[key] !== undefined && !ways.includes(way) ? [{ key, why }] : []
  return [
    ...only('name', ['sentinels'], 'belongs to sentinels, and there are none'),
    ...only('sentinelUsername', ['sentinels'], 'belongs to sentinels, and there are none'),
    ...only('sentinelPassword', ['sentinels'], 'belongs to sentinels, and there are none'),
    ...only('natMap', ['sentinels', 'cluster'], 'belongs to sentinels or a cluster, which tell addresses'),
    ...((redis.database ?? 0) > 0 ? only('database', ['url', 'sentinels'], 'a Cluster has one database only, 0') : []),
  ]
}

function checkUrl(report: Report, redisAt: string, url: string, redis: RedisSpec): void {
  const [, userinfo, path = ''] = /^rediss?:\/\/(?:([^/?#]*)@)?[^/?#]+(\/[^?#]*)?/.exec(url) ?? []
  if (userinfo !== undefined && (redis.username !== undefined || redis.password !== undefined))
    report.add(`${redisAt}/url`, 'has a user or a password, and so has the map: give them once')
  if (path.length > 1 && redis.database !== undefined)
    report.add(`${redisAt}/database`, 'stands in the url, too: give it once')
}
