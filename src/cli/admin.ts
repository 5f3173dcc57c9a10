/**
 * The admin API as the verbs see it: a call that answers JSON or fails with a `CliFailure`, and a stream of bytes.
 *
 * All of it is HTTP; nothing here knows how Turnout works inside. What the API refuses becomes a `Refusal` with its faults;
 * whatever keeps an answer from coming (refused, time-out, closed) is "out of reach", exit code 3.
 */
import type { IncomingMessage } from 'node:http'
import { systemClock } from '../clock.ts'
import { octetsOfText } from '../table/octets.ts'
import { unansweredInWords } from '../unanswered.ts'
import { type Exchange, openConnections } from './exchange.ts'
import { CliFailure, type CliFault, outOfReach, Refusal, usageFailure } from './failure.ts'

export const ADMIN_DEFAULT = 'http://127.0.0.1:9900'
/** A change waits for every worker, so an answer may take a while. */
const ANSWER_MS_MAX = 60_000
/** How long the API waits for a pool to be proven unless it is told otherwise. */
export const WAIT_MS = 10_000

/** A date has no parts of a second, and an answer takes a moment. */
const SAME_CLOCK_MS = 2_000

export type Method = 'GET' | 'PUT' | 'PATCH' | 'POST' | 'DELETE'

export interface Admin {
  readonly url: string
  /** How far the clock there was ahead of ours at the last answer, in ms, as whole seconds tell; 0 where it is about the same. */
  readonly clockAheadMs: number
  /**
   * Sends `body` as JSON (none when undefined) and returns the JSON of the answer, which may take `waitMs` longer than others. A change
   * is made at `revision` only, unless the user has named one; null: only where nothing is yet.
   */
  call<T>(method: Method, path: string, body?: unknown, waitMs?: number, revision?: number | null): Promise<T>
  /** Opens a stream that goes on until `signal` aborts. */
  stream(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<AsyncIterable<Buffer>>
  close(): Promise<void>
}

/** A path from names, each percent-encoded. */
export function pathOf(...parts: readonly string[]): string {
  return `/v1/${parts.map(encodeURIComponent).join('/')}`
}

/**
 * Connects to the admin API at `--admin`, or TURNOUT_ADMIN, or 127.0.0.1:9900; TURNOUT_TOKEN says who is asking. `ifMatch` is sent with
 * every change, where the call itself names no revision; and after a change the revision that it has made. A change is not waited for any more
 * once `signal` aborts; what only asks ends by itself.
 */
export function openAdmin(
  given: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  ifMatch?: number,
  signal?: AbortSignal,
): Admin {
  const url = adminUrl(given || env['TURNOUT_ADMIN'] || ADMIN_DEFAULT)
  const token = env['TURNOUT_TOKEN']
  if (token !== undefined && /[\u0000-\u001f\u007f]/.test(token))
    throw usageFailure('TURNOUT_TOKEN has a character that no token has, such as the end of a line.')
  const identity: Record<string, string> = token ? { authorization: octetsOfText(`Bearer ${token}`) } : {}
  // What the command has changed itself is no change of somebody else.
  let expectedNow = ifMatch
  const connections = openConnections(url)
  let clockAheadMs = 0

  async function request(path: string, exchange: Exchange): Promise<IncomingMessage> {
    try {
      const answer = await connections.ask(path, { ...exchange, headers: { ...identity, ...exchange.headers } })
      clockAheadMs = aheadMs(answer.headers.date)
      return answer
    } catch (error) {
      throw unreachable(url, error)
    }
  }

  async function send<T>(
    method: Method,
    path: string,
    body?: string,
    waitMs = WAIT_MS,
    revision?: number | null,
  ): Promise<T> {
    const expected = method === 'GET' ? undefined : (expectedNow ?? revision ?? undefined)
    const headers = {
      ...(expected === undefined ? {} : { 'if-match': `"${expected}"` }),
      ...(revision === null && { 'if-none-match': '*' }),
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    }
    const ends = method === 'GET' ? undefined : signal
    const answer = await request(path, { method, headers, body, answerMs: ANSWER_MS_MAX + waitMs, signal: ends })
    const told = read<T>(url, answer.statusCode!, await textOf(url, answer))
    const { revision: made } = Object(told) as { readonly revision?: unknown }
    if (method !== 'GET' && expectedNow !== undefined && typeof made === 'number') expectedNow = made
    return told
  }

  return {
    url,
    get clockAheadMs() {
      return clockAheadMs
    },
    call: (method, path, body, waitMs, revision) => send(method, path, JSON.stringify(body), waitMs, revision),
    async stream(path, headers, signal) {
      const asked = { accept: 'text/event-stream', ...headers }
      const answer = await request(path, { method: 'GET', headers: asked, answerMs: ANSWER_MS_MAX, signal })
      if (answer.statusCode !== 200) read(url, answer.statusCode!, await textOf(url, answer))
      return answer
    },
    close: async () => connections.close(),
  }
}

/** By the date of an answer. */
function aheadMs(date = ''): number {
  const ms = Date.parse(date) + 500 - systemClock.nowMs()
  return Math.abs(ms) < SAME_CLOCK_MS || Number.isNaN(ms) ? 0 : ms
}

async function textOf(url: string, answer: IncomingMessage): Promise<string> {
  let text = ''
  try {
    for await (const piece of answer.setEncoding('utf8')) text += piece
  } catch (error) {
    throw unreachable(url, error)
  }
  return text
}

function adminUrl(text: string): string {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`)
  if (url === null || !/^https?:$/.test(url.protocol)) throw usageFailure(`--admin must be a URL, not "${text}".`)
  return url.origin + url.pathname.replace(/\/+$/, '')
}

/** The JSON of an answer; a problem is thrown as what it is. */
function read<T>(url: string, status: number, text: string): T {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    // What stands before it, a proxy with TLS perhaps, says that nobody is there.
    if (status >= 502 && status <= 504) throw outOfReach(url, `something before it answered ${status}`)
    throw new CliFailure(1, `${url} answered ${status} and no JSON. Is that the admin API?`)
  }
  if (status < 300) return body as T
  const { code, detail, title, errors } = (body ?? {}) as Record<string, unknown>
  const faults = Array.isArray(errors) ? (errors as CliFault[]) : []
  // A listener of ours has a code, too, and no sentence.
  const other = `${url} answered ${status}, not as the admin API does. Is that its address?`
  throw new Refusal(String(code ?? status), String(detail ?? title ?? other), faults)
}

function unreachable(url: string, error: unknown): unknown {
  if ((error as Error).name !== 'AbortError') return outOfReach(url, unansweredInWords(error))
  return new CliFailure(
    1,
    'only the waiting has ended: what was asked may be done all the same; turnout history tells.',
  )
}
