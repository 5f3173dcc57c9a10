/**
 * Proof of correctness: what a proxy must do right before its speed is of any interest.
 *
 * Every check is one sentence; `checkPeer` gives those that do not hold. Shares are judged with a margin that chance passes
 * once in a million runs: 2,000 requests at 5 % have a standard deviation of half a point.
 */
import { createHash, randomBytes } from 'node:crypto'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { CONNECTIONS, GREEN_PERCENT } from './peers/peer.ts'
import { BROWSER_HEADERS } from './scenario.ts'
import { LARGE_BODY, LARGE_BYTES, type PoolName, smallBody } from './upstream.ts'

const SPLIT_REQUESTS = 2_000
const SPLIT_MARGIN_PERCENT = 2.5

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Ask {
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
  /** Send the body in chunks, without its length. */
  readonly chunked?: boolean
}

/** Sends one request to a port of loopback and gives the whole answer; rejects on a broken connection or after 5 s. */
export function ask(
  port: number,
  agent: Agent,
  { method = 'GET', path, headers = {}, body, chunked }: Ask,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined || chunked === true ? {} : { 'Content-Length': String(body.length) }
    const message = request({
      host: '127.0.0.1',
      port,
      agent,
      method,
      path,
      headers: { ...headers, ...length },
      timeout: 5000,
    })
    message.on('timeout', () => message.destroy(new Error(`no answer to ${method} ${path} within 5 s`)))
    message.on('error', reject)
    message.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
      })
    })
    if (chunked === true && body !== undefined) message.write(body.subarray(0, body.length >> 1))
    message.end(chunked === true ? body?.subarray(body.length >> 1) : body)
  })
}

interface Inspected {
  readonly pool: PoolName
  readonly path: string
  readonly headers: readonly (readonly [name: string, value: string])[]
}

type Check = (proxy: Subject) => Promise<string | null>

class Subject {
  readonly port: number
  readonly targets: readonly number[]
  readonly agent = new Agent({ keepAlive: true, maxSockets: 16 })

  constructor(port: number, targets: readonly number[]) {
    this.port = port
    this.targets = targets
  }

  ask(what: Ask): Promise<Answer> {
    return ask(this.port, this.agent, what)
  }

  /** What the target saw of a request with these headers. */
  async inspect(headers: Readonly<Record<string, string>> = {}): Promise<Inspected> {
    return JSON.parse((await this.ask({ path: '/inspect?a=1&b=%2F', headers })).body.toString())
  }
}

const field = (seen: Inspected, name: string) =>
  seen.headers.filter((entry) => entry[0] === name).map((entry) => entry[1])
const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

const CHECKS = {
  async 'a small GET has the exact body of one of the pools'(proxy) {
    const { status, body } = await proxy.ask({ path: '/small' })
    const text = body.toString()
    return status === 200 && (text === smallBody('blue') || text === smallBody('green'))
      ? null
      : `${status} ${text.trim()}`
  },
  async 'a 1 MB GET is exact'(proxy) {
    const { status, body } = await proxy.ask({ path: '/1mb' })
    return status === 200 && digest(body) === digest(LARGE_BODY) ? null : `${status}, ${body.length} bytes`
  },
  async 'a POST of 1 MB comes back exact, with a length and in chunks'(proxy) {
    for (const chunked of [false, true]) {
      const body = randomBytes(LARGE_BYTES)
      const headers = { 'Content-Type': 'application/octet-stream' }
      const back = await proxy.ask({ method: 'POST', path: '/echo', headers, body, chunked })
      if (back.status !== 200 || digest(back.body) !== digest(body)) {
        return `${chunked ? 'chunked' : 'length'}: ${back.status}, ${back.body.length} bytes`
      }
    }
    return null
  },
  async 'an upload is counted whole by the target'(proxy) {
    const headers = { 'Content-Type': 'application/octet-stream' }
    const { body } = await proxy.ask({ method: 'POST', path: '/upload', headers, body: Buffer.alloc(LARGE_BYTES, 'u') })
    return body.toString() === String(LARGE_BYTES) ? null : body.toString()
  },
  async 'path and query arrive as they were sent'(proxy) {
    const seen = await proxy.inspect()
    return seen.path === '/inspect?a=1&b=%2F' ? null : seen.path
  },
  async 'the forwarded fields say who asked, how, and for which host'(proxy) {
    const seen = await proxy.inspect({ Host: 'shop.example.com' })
    const found = ['for', 'proto', 'host'].map((part) => field(seen, `x-forwarded-${part}`).join())
    return found.join(' ').replace('::ffff:', '') === '127.0.0.1 http shop.example.com' ? null : found.join(' ')
  },
  async 'each request without an id gets one of its own'(proxy) {
    const ids = new Set<string>()
    for (let i = 0; i < 20; i++) ids.add(field(await proxy.inspect(), 'x-request-id').join() || 'none')
    return ids.size === 20 && !ids.has('none') ? null : [...ids].slice(0, 3).join(' ')
  },
  async 'the headers of a browser arrive unchanged'(proxy) {
    const seen = await proxy.inspect(BROWSER_HEADERS)
    const names = Object.keys(BROWSER_HEADERS)
    const wrong = names.filter((name) => field(seen, name.toLowerCase()).join() !== BROWSER_HEADERS[name])
    return wrong.length === 0 ? null : wrong.join()
  },
  async 'the header rule sends every such request to green'(proxy) {
    for (let i = 0; i < 100; i++) {
      if ((await proxy.inspect({ 'X-Internal': '1' })).pool !== 'green') return `request ${i + 1} went to blue`
    }
    return null
  },
  async 'the split is about as configured'(proxy) {
    let green = 0
    await repeat(SPLIT_REQUESTS, async () => {
      if ((await proxy.ask({ path: '/small' })).body.toString() === smallBody('green')) green++
    })
    const percent = (green * 100) / SPLIT_REQUESTS
    return Math.abs(percent - GREEN_PERCENT) <= SPLIT_MARGIN_PERCENT ? null : `${percent} % to green`
  },
  async 'connections to the targets are kept alive'(proxy) {
    const opened = async () => {
      const stats = await Promise.all(proxy.targets.map((port) => ask(port, proxy.agent, { path: '/counts' })))
      return stats.reduce((sum, { body }) => sum + JSON.parse(body.toString()).connections, 0)
    }
    const before = await opened()
    await repeat(1_000, () => proxy.ask({ path: '/small' }))
    const more = (await opened()) - before
    return more <= CONNECTIONS * 2 ? null : `${more} connections for 1,000 requests`
  },
} satisfies Readonly<Record<string, Check>>

/** The sentence of a check. */
export type CheckName = keyof typeof CHECKS

/** Runs `times` calls, sixteen at a time. */
async function repeat(times: number, call: () => Promise<unknown>): Promise<void> {
  let left = times
  const lane = async () => {
    while (left-- > 0) await call()
  }
  await Promise.all(Array.from({ length: 16 }, lane))
}

/**
 * Sentences that do not hold for the proxy at `port`, each with what was seen; none means that it may be measured. Those in
 * `except` are left out.
 */
export async function checkPeer(
  port: number,
  targets: readonly number[],
  except: readonly CheckName[] = [],
): Promise<string[]> {
  const proxy = new Subject(port, targets)
  const faults: string[] = []
  for (const [sentence, check] of Object.entries(CHECKS)) {
    if (except.some((name) => name === sentence)) continue
    try {
      const fault = await check(proxy)
      if (fault !== null) faults.push(`${sentence} (${fault})`)
    } catch (error) {
      faults.push(`${sentence} (${error instanceof Error ? error.message : String(error)})`)
    }
  }
  proxy.agent.destroy()
  return faults
}

/** The cookies (`name=value`) that the proxy gives to a browser at its first request. */
export async function cookiesFor(port: number): Promise<string[]> {
  const agent = new Agent()
  const { headers } = await ask(port, agent, { path: '/small', headers: BROWSER_HEADERS })
  return (headers['set-cookie'] ?? []).map((line) => line.split(';')[0])
}
