/**
 * Load on keep-alive connections that misses nothing: each sends one request after the other and notes what became of every
 * single one. A connection is opened anew after `Connection: close` or a FIN between requests, as good clients do; a
 * connection that ends while an answer is awaited is an error of that request.
 */
import net from 'node:net'
import { onTestFinished } from 'vitest'
import { bulk } from './bulk.ts'

export interface Shot {
  readonly method: string
  readonly path?: string
  /** Sent with a Content-Length when given. */
  readonly body?: string
  /** `Host` is `test` by default. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface Outcome {
  readonly method: string
  readonly path: string
  /** Which of the connections sent it. */
  readonly connection: number
  /** 0 when there was no whole answer. */
  readonly status: number
  readonly head: string
  readonly body: string
  readonly ms: number
}

export interface Load {
  /** All that has ended so far, in this order. */
  readonly outcomes: readonly Outcome[]
  /** No further requests; resolves when every connection has its last answer. */
  stop(): Promise<readonly Outcome[]>
}

/** A pause for load that is to go on while something else takes its time: as fast as it can it would take a core from all others. */
export const PACE_MS = bulk(25, 5)

export interface LoadOptions {
  /** Default 32. */
  readonly connections?: number
  /** What a connection sends as its n-th request; null ends the connection. Default: GET / without end. */
  readonly next?: (connection: number, n: number) => Shot | null
  /** Wait so long before each request but the first. Default: not at all. */
  readonly pauseMs?: () => number
  /** End a connection, instead of opening it anew, once the proxy has closed it or said that it will. Default false. */
  readonly endsWithProxy?: boolean
}

/** Starts load on a port of this machine; it ends with the test at the latest. */
export function startLoad(port: number, options: LoadOptions = {}): Load {
  const { connections = 32, next = (): Shot => ({ method: 'GET' }), pauseMs, endsWithProxy = false } = options
  const outcomes: Outcome[] = []
  let stopped = false
  const run = async (connection: number) => {
    let line: Line | null = null
    for (let n = 0; !stopped; n++) {
      const shot = next(connection, n)
      if (shot === null) break
      if (n > 0 && pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, pauseMs()))
      if (line?.closed && endsWithProxy) break
      if (line === null || line.closed) line = await openLine(port)
      const startedMs = performance.now()
      const answer = line === null ? null : await line.ask(shot)
      if (answer === 'unsent') {
        // The FIN crossed nothing: it had come before the request was written.
        n--
        continue
      }
      const { method, path = '/' } = shot
      const ms = performance.now() - startedMs
      outcomes.push({ method, path, connection, ms, ...(answer ?? { status: 0, head: '', body: '' }) })
    }
    line?.close()
  }
  const runs = Promise.all(Array.from({ length: connections }, (_, connection) => run(connection)))
  const stop = async () => {
    stopped = true
    await runs
    return outcomes
  }
  onTestFinished(async () => {
    await stop()
  })
  return { outcomes, stop }
}

/** One request by itself, on a connection of its own. */
export async function ask(port: number, shot: Shot): Promise<Pick<Outcome, 'status' | 'head' | 'body'>> {
  const line = await openLine(port)
  const answer = await line?.ask(shot)
  line?.close()
  return answer === undefined || answer === null || answer === 'unsent' ? { status: 0, head: '', body: '' } : answer
}

type Answer = Pick<Outcome, 'status' | 'head' | 'body'>

/** One client connection. */
export interface Line {
  readonly closed: boolean
  /** The answer, null when the connection ended instead, `unsent` when it had ended before anything was written. */
  ask(shot: Shot): Promise<Answer | null | 'unsent'>
  close(): void
}

/** Opens a connection, from another loopback address if one is given; null when it is refused. */
export function openLine(port: number, localAddress = '127.0.0.1'): Promise<Line | null> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress, noDelay: true })
    let text = ''
    let closed = false
    let isHead = false
    let answered: ((answer: Answer | null) => void) | null = null
    const settle = (answer: Answer | null) => {
      const tell = answered
      answered = null
      tell?.(answer)
    }
    const gone = () => {
      closed = true
      socket.destroy()
      settle(null)
    }
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      const whole = wholeAnswer(text, isHead)
      if (whole === null) return
      text = text.slice(whole.length)
      if (/\r\nconnection: close\r\n/i.test(whole.head)) closed = true
      settle({ status: Number(whole.head.slice(9, 12)), head: whole.head, body: whole.body })
      if (closed) socket.end()
    })
    socket.on('end', gone)
    socket.on('error', () => {
      gone()
      resolve(null)
    })
    socket.on('close', gone)
    socket.on('connect', () => resolve(line))
    const line: Line = {
      get closed() {
        return closed
      },
      ask(shot) {
        if (closed) return Promise.resolve('unsent')
        isHead = shot.method === 'HEAD'
        socket.write(wire(shot), 'latin1')
        return new Promise((tell) => {
          answered = tell
        })
      },
      close() {
        closed = true
        socket.destroy()
      },
    }
  })
}

function wire({ method, path = '/', body, headers = {} }: Shot): string {
  const length = body === undefined ? '' : `Content-Length: ${body.length}\r\n`
  const { Host = 'test', ...others } = headers
  const more = Object.entries(others).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\nHost: ${Host}\r\n${length}${more.join('')}\r\n${body ?? ''}`
}

/** The first whole answer in a text; counted bodies only. */
function wholeAnswer(text: string, isHead: boolean): { head: string; body: string; length: number } | null {
  const headEnd = text.indexOf('\r\n\r\n') + 4
  if (headEnd < 4) return null
  const head = text.slice(0, headEnd)
  const size = isHead ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
  if (text.length < headEnd + size) return null
  return { head, body: text.slice(headEnd, headEnd + size), length: headEnd + size }
}
