/**
 * Asks targets and those whom hooks call, by HTTP.
 *
 * Every call has a time-out, and an answer of more than 1 MiB is not read on. A target is asked at an address that is known already
 * (places.ts), so there are connections for each; whoever else is asked is looked up as targets are (names/find.ts).
 */
import type { LookupFunction } from 'node:net'
import type { Agent, Dispatcher, Pool } from 'undici'
import type { Address } from '../../names/address.ts'
import { connectorOf, originOf } from '../../names/connect.ts'

/** Longest answer that is read. */
const BODY_MAX = 1_048_576

export interface Asked {
  readonly status: number
  readonly body: string
}

/**
 * Connections to one target, or to one that a hook calls. A warm-up has as many requests under way as its rate and the answers make: with
 * fewer connections they would wait here, and what is measured would be that.
 */
const CONNECTIONS_MAX = 1_024
/** Places of targets with connections at the same time. The one that was first asked longest ago gives way; what it answers is waited for. */
const PLACES_MAX = 1_024
/** Longest time to a connection; what is asked has a time-out of its own. */
const CONNECT_MS = 10_000
/** Each call has its own time-out, which may be longer than the five minutes that undici waits for an answer. */
const PATIENT = { headersTimeout: 0, bodyTimeout: 0 }

/** A target, and the address at which it is asked. */
export interface AskedAt {
  readonly url: string
  readonly address: Address
}

export class Asker {
  #agent: Promise<Agent> | null = null
  /** By origin and addresses. */
  readonly #pools = new Map<string, Pool>()
  readonly #find: LookupFunction

  constructor(find: LookupFunction) {
    this.#find = find
  }

  /** GETs `url`; rejects when the whole answer has not come in time, or with what `signal` aborts with. */
  async get(url: URL, withinMs: number, signal: AbortSignal): Promise<Asked> {
    return read(await this.#connections(), url, withinMs, signal, {})
  }

  /** GETs a path of a target at one of its addresses; rejects as `get` does. */
  async getAt(
    { url, address }: AskedAt,
    path: string,
    withinMs: number,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>>,
  ): Promise<Asked> {
    const undici = await import('undici')
    const origin = originOf(url, address)
    const key = `${origin} ${address.address} ${address.alternate}`
    let pool = this.#pools.get(key)
    if (pool === undefined) {
      this.#makeRoom()
      pool = new undici.Pool(origin, {
        ...PATIENT,
        connections: CONNECTIONS_MAX,
        connect: connectorOf(undici, address, CONNECT_MS),
      })
      this.#pools.set(key, pool)
    }
    // Joined as text: a path may begin with two slashes, and names no other host by that.
    return read(pool, new URL(origin + path), withinMs, signal, headers)
  }

  #makeRoom(): void {
    const [oldest] = this.#pools
    if (this.#pools.size < PLACES_MAX || oldest === undefined) return
    const [key, pool] = oldest
    this.#pools.delete(key)
    pool.close().catch(() => {})
  }

  /**
   * POSTs JSON; gives the status of the answer once it is whole, since what works on may say so first. Rejects when it breaks off, or with what
   * `signal` aborts with.
   */
  async post(
    url: string,
    body: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<number> {
    const { origin, pathname, search } = new URL(url)
    const agent = await this.#connections()
    const answer = await agent.request({
      origin,
      path: pathname + search,
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
      signal,
    })
    let bytes = 0
    // The rest of a longer one is given up, which the body would tell as an error.
    answer.body.on('error', () => {})
    for await (const piece of answer.body as AsyncIterable<Buffer>) {
      bytes += piece.length
      if (bytes > BODY_MAX) break
    }
    return answer.statusCode
  }

  async close(): Promise<void> {
    const pools = [...this.#pools.values()]
    this.#pools.clear()
    await Promise.all(pools.map((pool) => pool.destroy()))
    await (await this.#agent?.catch(() => null))?.destroy()
  }

  /** Loaded when something is asked, since that takes a sixth of the time of a start, and most processes never ask. */
  #connections(): Promise<Agent> {
    this.#agent ??= this.#load().catch((error: unknown) => {
      // Whoever asks next tries again.
      this.#agent = null
      throw error
    })
    return this.#agent
  }

  async #load(): Promise<Agent> {
    const { Agent } = await import('undici')
    return new Agent({ ...PATIENT, connections: CONNECTIONS_MAX, connect: { lookup: this.#find } })
  }
}

/** One GET and its whole answer. */
async function read(
  dispatcher: Dispatcher,
  url: URL,
  withinMs: number,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>>,
): Promise<Asked> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(withinMs)])
  const path = url.pathname + url.search
  const answer = await dispatcher.request({ origin: url.origin, path, method: 'GET', headers, signal: limit })
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of answer.body as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > BODY_MAX) throw new Error('the answer is longer than 1 MiB')
    pieces.push(piece)
  }
  return { status: answer.statusCode, body: Buffer.concat(pieces).toString() }
}

/** The JSON of a body; undefined when it is none. */
export function parsedJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** A value that `parsedJson` has given, as JSON; null where it is nested too deep to be written. */
export function jsonOf(value: unknown): string | null {
  try {
    return JSON.stringify(value)
  } catch {
    return null
  }
}
