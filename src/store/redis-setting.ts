/**
 * From the setting of a Redis to what ioredis is given: the same time-outs and rules for one Redis, one behind sentinels, and a Cluster.
 *
 * A command waits `COMMAND_MS` at most and is tried once more at most, and none waits for a connection that is not there: whoever asked is
 * told, and traffic goes on without. Connecting goes on in the background for as long as it takes.
 */
import { readFileSync } from 'node:fs'
import type { ClusterOptions, Redis, RedisOptions } from 'ioredis'
import { systemClock } from '../clock.ts'
import { shownStore } from '../config/hidden.ts'
import type { RedisSpec } from '../config/schema-store.ts'
import { TurnoutError } from '../errors.ts'
import { certificateFaults, type PemFile, pairFaults } from '../pem.ts'
import { unreadInWords } from '../unread.ts'
import { type Address, connectorTo, Sentinels } from './redis-sentinels.ts'

/** Longest time for the first connection, and for an answer to a command. */
export const CONNECT_MS = 3_000
const COMMAND_MS = 3_000
/** Longest time for a try to connect, and longest pause between two: once a network is whole again, one is made within a second or so. */
const TRY_MS = 1_500
const RETRY_MS_MAX = 500
/** The same for a sentinel, which is one of several. */
const SENTINEL_MS = 1_000
const SENTINEL_RETRY_MS_MAX = 2_000
/**
 * A connection that answers nothing for so long is given up for a new one. After a while without a network the system sends what waits
 * on the old one ever more rarely, so that it would be of no use for as long again.
 */
const SILENT_MS = 2_500
/** What all keys begin with where the setting says nothing else. */
const PREFIX = 'turnout'

const SENTINEL_PORT = 26_379
const REDIS_PORT = 6_379

/** A Redis as it is to be connected to. */
export interface RedisSetting {
  /** For messages: without user and password. */
  readonly name: string
  /** What all keys begin with; the braces keep them on one node of a Cluster. */
  readonly prefix: string
  /** It is spoken to in TLS. */
  readonly isSecure: boolean
  /** A client that connects with its first command. One that listens waits for a connection instead of failing. */
  client(isListening: boolean): Redis
  /** Ends what was begun beside the clients. */
  end(): void
}

/** The setting of a text: a URL, or the map of the config as JSON. Rejects with `invalid` when a file of it cannot be read. */
export async function redisSetting(text: string): Promise<RedisSetting> {
  const spec: RedisSpec = text.startsWith('{') ? (JSON.parse(text) as { redis: RedisSpec }).redis : { url: text }
  const { Redis, Cluster, AbstractConnector } = await import('ioredis')
  const { url, sentinels: nodes, name, cluster, natMap = {}, keyPrefix = PREFIX } = spec
  const tls = tlsOf(spec)
  const connection = connectionOf(spec, tls)
  const places = new Map(Object.entries(natMap).map(([from, to]) => [from, nodeOf(to, REDIS_PORT)]))
  const sentinels =
    nodes &&
    new Sentinels({
      nodes: nodes.map((node) => nodeOf(node, SENTINEL_PORT)),
      name: name!,
      clock: systemClock,
      client: (node) => new Redis({ ...node, ...atSentinel(spec, tls) }),
      reachable: (told) => places.get(`${told.host}:${told.port}`) ?? told,
    })
  const Connector = sentinels && connectorTo(AbstractConnector, sentinels, tls, systemClock)
  const make = (isListening: boolean): Redis => {
    const waiting = isListening ? { enableOfflineQueue: true, maxRetriesPerRequest: null, autoResubscribe: false } : {}
    const options = { ...connection, ...waiting }
    if (cluster !== undefined) {
      const { enableOfflineQueue, retryStrategy: clusterRetryStrategy, ...redisOptions } = options
      const more = { enableOfflineQueue, clusterRetryStrategy, redisOptions } as ClusterOptions
      const nats = places.size > 0 && { natMap: Object.fromEntries(places) }
      const starts = cluster.map((node) => nodeOf(node, REDIS_PORT))
      const last = { lazyConnect: true, slotsRefreshTimeout: CONNECT_MS, ...more, ...nats }
      // What we ask of one is what we ask of the other.
      return new Cluster(starts, last) as unknown as Redis
    }
    return url === undefined ? new Redis({ ...options, Connector }) : new Redis(url, options)
  }
  const isSecure = tls !== undefined || url?.startsWith('rediss:') === true
  return { name: shownStore(text), prefix: `{${keyPrefix}}:`, isSecure, client: make, end: () => sentinels?.end() }
}

/** Options of the client of a sentinel. */
const atSentinel = ({ sentinelUsername, sentinelPassword }: RedisSpec, tls: RedisOptions['tls']): RedisOptions => ({
  connectionName: 'turnout',
  connectTimeout: SENTINEL_MS,
  commandTimeout: SENTINEL_MS,
  enableReadyCheck: false,
  maxRetriesPerRequest: 0,
  protocol: 2,
  retryStrategy: (times) => Math.min(times * 50, SENTINEL_RETRY_MS_MAX),
  ...(tls && { tls }),
  ...(sentinelUsername !== undefined && { username: sentinelUsername }),
  ...(sentinelPassword !== undefined && { password: sentinelPassword }),
})

function connectionOf({ username, password, database }: RedisSpec, tls: RedisOptions['tls']): RedisOptions {
  return {
    lazyConnect: true,
    connectionName: 'turnout',
    connectTimeout: TRY_MS,
    commandTimeout: COMMAND_MS,
    socketTimeout: SILENT_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    protocol: 2,
    retryStrategy: (times) => Math.min(times * 50, RETRY_MS_MAX),
    // A node that became a replica refuses writes; the one that took over is found by connecting anew. Before Redis 7 a script tells it in the midst of more words.
    reconnectOnError: (error) => error.message.includes('READONLY'),
    ...(tls && { tls }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(database !== undefined && { db: database }),
  }
}

function tlsOf({ tls }: RedisSpec): RedisOptions['tls'] | undefined {
  if (tls === undefined || tls === true) return tls && {}
  const read = (key: 'ca' | 'cert' | 'key') => (tls[key] === undefined ? null : pemAt(tls[key], key))
  const [ca, cert, key] = [read('ca'), read('cert'), read('key')]
  if (ca !== null) assertNone(certificateFaults(ca), 'tls/ca')
  if (cert !== null && key !== null) assertNone(pairFaults(cert, key), 'tls')
  const { serverName } = tls
  return {
    ...(ca && { ca: ca.text }),
    ...(cert && { cert: cert.text }),
    ...(key && { key: key.text }),
    ...(serverName !== undefined && { servername: serverName }),
  }
}

function pemAt(file: string, key: string): PemFile {
  try {
    return { file, text: readFileSync(file, 'utf8') }
  } catch (error) {
    throw unusable([`${file} cannot be read: ${unreadInWords(error)}`], `tls/${key}`)
  }
}

function assertNone(faults: readonly string[], where: string): void {
  if (faults.length > 0) throw unusable(faults, where)
}

const unusable = (messages: readonly string[], where: string): TurnoutError =>
  new TurnoutError(
    'invalid',
    'The store cannot be opened.',
    messages.map((message) => ({ pointer: `/store/redis/${where}`, message })),
  )

/** A host, of IPv6 in brackets, and its port. */
function nodeOf(text: string, portDefault: number): Address {
  const [, host, port] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(text)!
  return { host, port: port === undefined ? portDefault : Number(port) }
}
