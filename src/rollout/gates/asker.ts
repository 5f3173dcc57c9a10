/**
 * Asks targets and those whom hooks call, by HTTP.
 *
 * Every call has a time-out, and an answer of more than 1 MiB is not read on.
 */
import type { Agent } from 'undici'

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

export class Asker {
  #agent: Promise<Agent> | null = null

  /** GETs `url`; rejects when the whole answer has not come in time, or with what `signal` aborts with. */
  async get(
    url: URL,
    withinMs: number,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Asked> {
    const agent = await this.#connections()
    const limit = AbortSignal.any([signal, AbortSignal.timeout(withinMs)])
    const path = url.pathname + url.search
    const answer = await agent.request({ origin: url.origin, path, method: 'GET', headers, signal: limit })
    const pieces: Buffer[] = []
    let bytes = 0
    for await (const piece of answer.body as AsyncIterable<Buffer>) {
      bytes += piece.length
      if (bytes > BODY_MAX) throw new Error('the answer is longer than 1 MiB')
      pieces.push(piece)
    }
    return { status: answer.statusCode, body: Buffer.concat(pieces).toString() }
  }

  /** POSTs JSON; gives the status of the answer. */
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
    await answer.body.dump({ limit: BODY_MAX })
    return answer.statusCode
  }

  async close(): Promise<void> {
    await (await this.#agent)?.destroy()
  }

  /** Loaded when something is asked, since that takes a sixth of the time of a start, and most processes never ask. */
  #connections(): Promise<Agent> {
    this.#agent ??= import('undici').then((undici) => new undici.Agent({ connections: CONNECTIONS_MAX }))
    return this.#agent
  }
}

/** The URL of a path at a target. Joined as text: a path may begin with two slashes, and names no other host by that. */
export const urlAt = (target: string, path: string): URL => new URL(new URL(target).origin + path)

/** The JSON of a body; undefined when it is none. */
export function parsedJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
