/**
 * One request to the admin API and its answer, by Node's own client of HTTP: to load one that can do more takes longer than all else
 * that a verb does. Connections are kept from one request to the next.
 */
import type { Agent, ClientRequest, IncomingMessage } from 'node:http'

type Client = typeof import('node:http')

const CONNECT_MS_MAX = 5_000
/** The event stream sends a comment every 15 s; three missed ones mean that it is gone. */
const SILENCE_MS_MAX = 45_000
/** A connection that idles longer is not used again: whoever is behind it may be closing it. */
const IDLE_MS_MAX = 4_000

export interface Exchange {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** How long the head of the answer may take. */
  readonly answerMs: number
  /** Ends it, also in the midst of the answer. */
  readonly signal?: AbortSignal
}

export interface Connections {
  /** Resolves with the answer as soon as its head is there; fails with what kept it from coming. */
  ask(path: string, exchange: Exchange): Promise<IncomingMessage>
  /** Closes all of them, whatever goes on. */
  close(): void
}

/** Connections to an API; one before it may have that below the path of the URL. */
export function openConnections(url: string): Connections {
  const { protocol, origin, pathname } = new URL(url)
  const isTls = protocol === 'https:'
  const prefix = pathname.replace(/\/+$/, '')
  // Loaded with the first request: verbs that ask nobody do without. By this way, since an import of the module reads all its exports,
  // and Node loads its fetch and its WebSocket for that: half of the time that a verb takes.
  let client: { readonly request: Client['request']; readonly agent: Agent } | null = null
  const load = () => {
    const { Agent, request } = process.getBuiltinModule(isTls ? ('node:https' as 'node:http') : 'node:http')
    return { request, agent: new Agent({ keepAlive: true, timeout: IDLE_MS_MAX }) }
  }
  return {
    ask(path, exchange) {
      client ??= load()
      const { agent, request } = client
      const { method, headers, body } = exchange
      const length: Record<string, number> = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
      const options = { method, headers: { ...headers, ...length }, agent, timeout: CONNECT_MS_MAX }
      // The path as it is: read as part of a URL, a name such as ".." would take away what is before it.
      const open = () => request(origin, { ...options, path: prefix + path })
      return answerOf(open, exchange, isTls ? 'secureConnect' : 'connect')
    },
    close: () => client?.agent.destroy(),
  }
}

function answerOf(
  open: () => ClientRequest,
  { body, answerMs, signal }: Exchange,
  connected: string,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const request = open()
    let answer: IncomingMessage | null = null
    let late = 'no connection in time'
    const end = (error: Error) => (answer ?? request).destroy(error)
    const abort = () => end(signal!.reason)
    signal?.addEventListener('abort', abort)
    request.once('close', () => signal?.removeEventListener('abort', abort))
    request.once('socket', (socket) => {
      const waitForAnswer = () => {
        late = 'no answer in time'
        socket.setTimeout(answerMs)
      }
      if (socket.connecting) socket.once(connected, waitForAnswer)
      else waitForAnswer()
    })
    request.on('timeout', () => end(new Error(late)))
    request.once('response', (response) => {
      answer = response
      response.socket.setTimeout(SILENCE_MS_MAX)
      resolve(response)
    })
    request.on('error', reject)
    request.end(body)
  })
}
