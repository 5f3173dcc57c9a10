/**
 * The connection to Redis: commands, scripts, and its faults in words for people. With redis-setting.ts, which has the options, the only owner
 * of ioredis; that is loaded when a store is Redis and not before.
 */
import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { Clock } from '../clock.ts'
import { isTurnoutError, TurnoutError } from '../errors.ts'
import { CONNECT_MS, type RedisSetting } from './redis-setting.ts'

/** A replica has so long to have what was written. More would delay each change while one stands still. */
const REPLICATED_MS = 100

/** Where a channel may not be listened to: the pause until that is tried again. */
export const DEAF_MS = 10_000

export class RedisClient {
  readonly #redis: Redis
  readonly #setting: RedisSetting
  readonly #clock: Pick<Clock, 'after'>
  /** For messages: without user and password. */
  readonly name: string
  readonly #hashes = new Map<string, string>()
  /** A connection of its own for each channel: it can do nothing else. */
  readonly #listening: Redis[] = []
  /** Why the last try to connect has failed. */
  #fault: Error | null = null
  /** How often no replica had in time what was written. */
  unreplicated = 0

  /** It connects from the first `reached` on. */
  constructor(setting: RedisSetting, clock: Pick<Clock, 'after'>) {
    this.#setting = setting
    this.#clock = clock
    this.name = setting.name
    const redis = setting.client(false)
    this.#redis = redis
    // Without a listener an error would end the process. It is told by the next command.
    redis.on('error', (error: Error) => {
      this.#fault = error
    })
    redis.on('ready', () => {
      this.#fault = null
    })
  }

  /** Connects. Rejects with `store_unavailable` when the first try fails, or has come to nothing in time; it goes on trying then. */
  async reached(): Promise<void> {
    const timeout = Promise.withResolvers<never>()
    const timer = this.#clock.after(CONNECT_MS, () => timeout.reject(new Error('timed out')))
    try {
      await Promise.race([this.#redis.connect(), timeout.promise])
    } catch (error) {
      throw this.#told(this.#fault ?? error)
    } finally {
      timer()
    }
  }

  /** Runs commands; whatever goes wrong is `store_unavailable`. */
  async run<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      return await work(this.#redis)
    } catch (error) {
      throw this.#told(error)
    }
  }

  /** Runs a script. */
  script(lua: string, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    const hash = this.#hashes.get(lua) ?? createHash('sha1').update(lua).digest('hex')
    this.#hashes.set(lua, hash)
    return this.run(async (redis) => {
      try {
        return await redis.evalsha(hash, keys.length, ...keys, ...values)
      } catch (error) {
        if (!(error as Error).message.startsWith('NOSCRIPT')) throw error
        return await redis.eval(lua, keys.length, ...keys, ...values)
      }
    })
  }

  /**
   * Waits until a replica, if one is connected, has what was written here last, `key` among it: a fail-over loses what none has. Counts when none has it
   * within REPLICATED_MS. Never rejects, since what was written is; a user who may not ask does not wait.
   */
  async replicated(key: string): Promise<void> {
    try {
      // Both ask the node and the connection of the key, in a Cluster too: commands without a key go where the others of their pipeline go.
      const role = await this.#redis.pipeline().exists(key).role().exec()
      const replicas = (role?.[1][1] as [string, number, unknown[]] | undefined)?.[2]
      if (!Array.isArray(replicas) || replicas.length === 0) return
      const waited = await this.#redis.pipeline().exists(key).wait(1, REPLICATED_MS).exec()
      if (Number(waited?.[1][1]) > 0) return
    } catch {
      // The connection is gone, and nobody knows who had it.
    }
    this.unreplicated++
  }

  /**
   * Calls `heard` at each message on a channel. It begins as soon as there is a connection, and goes on after each that was lost. Where that is not
   * allowed `deaf` is told so once, and it is tried again and again.
   */
  subscribe(channel: string, heard: () => void, deaf: (why: string) => void = () => {}): void {
    const redis = this.#setting.client(true)
    this.#listening.push(redis)
    // The other connection tells.
    redis.on('error', () => {})
    redis.on('message', heard)
    let isDeaf = false
    let endWait = () => {}
    const begin = async (): Promise<void> => {
      try {
        await redis.subscribe(channel)
        isDeaf = false
      } catch (error) {
        if (!(error as Error).message.startsWith('NOPERM')) return
        if (!isDeaf) deaf(this.#told(error).message)
        isDeaf = true
        // One wait, however often the connection is lost meanwhile.
        endWait()
        endWait = this.#clock.after(DEAF_MS, () => void (redis.status === 'ready' && begin()))
      }
    }
    // ioredis would do it by itself, and end the process where it is refused.
    redis.on('ready', () => void begin())
    redis.connect().catch(() => {})
  }

  /** Says that a part of what is stored is gone. */
  gone(): TurnoutError {
    const why = 'as where maxmemory-policy is not noeviction; an instance that runs writes it anew'
    return this.fault(`is damaged: keys of it are gone, ${why}`)
  }

  /** Says that what is stored is no document of ours. */
  damaged(what: string): TurnoutError {
    return this.fault(`is damaged: ${what} cannot be read`)
  }

  /** A fault of this store: `reason` goes on after its name. */
  fault(reason: string): TurnoutError {
    return new TurnoutError('store_unavailable', `The store ${this.name} ${reason}.`)
  }

  #told(error: unknown): TurnoutError {
    if (isTurnoutError(error)) return error
    const cause = (this.#fault ?? error) as Error & { readonly lastNodeError?: Error }
    // Of a Cluster: what its last node has said.
    const { message, code } = (cause.lastNodeError ?? cause) as Error & { readonly code?: string }
    const reason = REASONS.find(([test]) => test.test(`${code ?? ''} ${message}`))?.[1]
    const inWords = reason === undefined ? 'failed' : (this.#setting.isSecure && SECURELY[reason]) || reason
    return this.fault(`${inWords} (${message})`)
  }

  close(): void {
    for (const redis of [...this.#listening, this.#redis]) redis.disconnect()
    this.#setting.end()
  }
}

const SILENT = 'does not answer in time'
const ENDED = 'has ended the connection: does its port want TLS (rediss://)?'
const NO_TLS = 'does not speak TLS there: rediss:// and tls are for a port with TLS'

/** What the same may mean where TLS is spoken: a port without it waits for more, and of a certificate's refusal the end may be seen first. */
const SECURELY: Readonly<Record<string, string>> = {
  [SILENT]: `${SILENT}, or ${NO_TLS}`,
  [ENDED]: 'has ended the connection: does it want another certificate of ours (tls.cert and tls.key)?',
}

/** What ioredis, Redis and the system say, and what that means. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/^ ?No sentinel knows/, 'is not known to its sentinels'],
  [/^ ?No sentinel/, 'has no sentinel that can be reached'],
  [/slots cache|startup nodes|Cluster isn't ready|ClusterAllFailed/i, 'has no node that can be reached'],
  [/ECONNREFUSED|ENOENT /, 'is not there: the connection was refused'],
  [/ENOTFOUND|EAI_AGAIN/, 'is not there: its name is not known'],
  [/ETIMEDOUT|timed out|timeout/i, SILENT],
  [/WRONGPASS|NOAUTH|invalid username-password/, 'does not take the user or the password'],
  [
    /NOPERM|executing the script can't run/,
    'does not allow this user what is needed; see "Several instances on one Redis" in the README',
  ],
  [/READONLY/, 'is a replica, which takes no changes'],
  [/LOADING/, 'is loading its data'],
  [/OOM /, 'has no memory left'],
  [
    /WRONGTYPE/,
    'holds something else under one of our keys; another program may use the same ones, keyPrefix sets ours apart',
  ],
  [/MISCONF/, 'cannot write to its disk'],
  [/CLUSTERDOWN|MASTERDOWN/, 'has no node that may answer'],
  [/wrong version number|packet length too long/, NO_TLS],
  [
    /alert (?:certificate required|bad certificate|unknown ca|handshake failure)/,
    'does not take our certificate, or wants one: tls.cert and tls.key',
  ],
  [
    /CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/,
    'has a certificate that is not valid now: it has expired, or our clock is wrong',
  ],
  [/ALTNAME/, 'has a certificate for another name: tls.serverName says which one is meant'],
  [/CERT|certificate|self.signed/i, 'has a certificate that is not trusted: tls.ca names who has signed it'],
  [/EHOSTUNREACH|ENETUNREACH/, 'cannot be reached: there is no way to its host'],
  [/ECONNRESET|EPIPE/, ENDED],
  [/unknown command|ERR syntax/i, 'is too old: Redis 6.2 or later is needed'],
  [/closed|isn't writeable/i, 'cannot be reached: the connection is closed'],
]
