/**
 * Clients for tests that look at single answers, and targets that tell what they were sent.
 *
 * `ask` is one request with every header as the test wants it; `pipeline` sends many at once over a few keep-alive
 * connections, which is the cheap way to thousands of answers.
 */
import type { Agent, IncomingHttpHeaders } from 'node:http'
import net from 'node:net'
import { onTestFinished } from 'vitest'
import { http } from './http.ts'
import { startUpstream, type Upstream } from './upstream.ts'

export interface Asking {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string | Buffer
  /** Connection to use again and again; without one each request has its own. */
  readonly agent?: Agent
  /** Loopback address to come from. */
  readonly from?: string
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Sends one request and gives the whole answer; rejects on a broken connection. */
export function ask(port: number, asking: Asking = {}): Promise<Answer> {
  const { method = 'GET', path = '/', headers = {}, body, agent = false, from } = asking
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path, agent, headers: { ...headers }, localAddress: from }
    const request = http.request(options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('latin1')
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text })
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** One keep-alive connection, closed with the test. */
export function oneConnection(options: { readonly localAddress?: string } = {}): Agent {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1, ...options })
  onTestFinished(() => agent.destroy())
  return agent
}

/** What a target of `startSeeing` was sent; names are lower-case, values as often as they came. */
export interface Sighting {
  readonly name: string
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, readonly string[]>>
}

/** A target that answers every request with what it saw of it. */
export function startSeeing(name: string): Promise<Upstream> {
  return startUpstream((request, response) => {
    request.resume()
    request.on('end', () => {
      const sighting = { name, method: request.method, path: request.url, headers: request.headersDistinct }
      response.setHeader('content-type', 'application/json').end(JSON.stringify(sighting))
    })
  })
}

/** Asks and gives what the target saw. */
export async function see(port: number, asking: Asking = {}): Promise<Sighting> {
  const { status, body } = await ask(port, asking)
  if (status !== 200) throw new Error(`${status}: ${body}`)
  return JSON.parse(body)
}

/** A request head without a body, as text. */
export function head(path: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ host: 'shop.test', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

/**
 * Sends all the requests over `connections` keep-alive connections, up to 64 unanswered on each, and gives the bodies in
 * the order of the requests. Rejects unless every answer is a 200 with a Content-Length.
 */
export async function pipeline(port: number, requests: readonly string[], connections = 8): Promise<string[]> {
  const bodies: string[] = new Array(requests.length)
  await Promise.all(
    Array.from({ length: Math.min(connections, requests.length) }, async (_, lane) => {
      const mine = requests.flatMap((_request, index) => (index % connections === lane ? [index] : []))
      await pipelineOne(
        port,
        mine.map((index) => requests[index]),
        (n, body) => {
          bodies[mine[n]] = body
        },
      )
    }),
  )
  return bodies
}

const UNANSWERED_MAX = 64

function pipelineOne(port: number, requests: readonly string[], take: (n: number, body: string) => void) {
  return new Promise<void>((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    let sent = 0
    let answered = 0
    let pending = ''
    const more = () => {
      const until = Math.min(requests.length, answered + UNANSWERED_MAX)
      if (until > sent) socket.write(requests.slice(sent, until).join(''), 'latin1')
      sent = until
    }
    const fail = (reason: string) => {
      socket.destroy()
      reject(new Error(`answer ${answered + 1} of ${requests.length}: ${reason}`))
    }
    socket.setEncoding('latin1')
    socket.on('connect', more)
    socket.on('error', (error) => fail(error.message))
    socket.on('close', () => fail('the connection was closed'))
    socket.on('data', (text: string) => {
      pending += text
      for (let end = pending.indexOf('\r\n\r\n'); end >= 0; end = pending.indexOf('\r\n\r\n')) {
        const length = /\r\ncontent-length: *(\d+)/i.exec(pending.slice(0, end))?.[1]
        if (!pending.startsWith('HTTP/1.1 200 ') || length === undefined) return fail(pending.slice(0, 200))
        const bodyEnd = end + 4 + Number(length)
        if (pending.length < bodyEnd) break
        take(answered++, pending.slice(end + 4, bodyEnd))
        pending = pending.slice(bodyEnd)
      }
      if (answered === requests.length) {
        socket.destroy()
        resolve()
      } else if (sent - answered <= UNANSWERED_MAX / 2) more()
    })
  })
}

/** How often each text occurs. */
export function tally(texts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1
  return counts
}

/** The `name=value` of our cookie in an answer; undefined when none was set. */
export function cookieOf(answer: Answer, name = 'turnout'): string | undefined {
  const line = answer.headers['set-cookie']?.find((cookie) => cookie.startsWith(`${name}=`))
  return line?.split(';')[0]
}

/** Headers by which a browser is known. */
export const BROWSER: Readonly<Record<string, string>> = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
