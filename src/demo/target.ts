/**
 * One target of the demo: a real HTTP server that answers as an app of some version would, with every kind of traffic that
 * a proxy has to get right: small pages, JSON, slow and failing answers, an upload, a stream of events, a WebSocket.
 *
 * `POST /crash?forMs=…` makes it refuse and drop all connections for a while, and `POST /break?share=…` answer that share of its
 * requests with 500 until `POST /mend`, so that people can see what Turnout does about it; only a direct request may do so, never one
 * that came through a proxy.
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { systemClock } from '../clock.ts'
import { htmlPage, type Identity, textPage } from './page.ts'
import { acceptEcho } from './websocket.ts'

const SLOW_MS_MAX = 60_000
const TICK_MS = 1000

export interface DemoTarget {
  readonly url: string
  /** Ends the target and every connection to it. */
  stop(): Promise<void>
}

type Answer = (request: IncomingMessage, response: ServerResponse, url: URL, who: Identity) => void

const ANSWERS: Readonly<Record<string, Answer>> = {
  '/': (request, response, _url, who) => {
    if (request.headers.accept?.includes('text/html')) return send(response, 200, 'text/html', htmlPage(who))
    return send(response, 200, 'text/plain', textPage(who))
  },
  '/health': (_request, response, _url, who) => {
    const uptimeS = Math.round(process.uptime())
    sendJson(response, 200, { status: 'ok', ...who, build: `demo-${who.version}`, uptimeS, db: { ok: true } })
  },
  '/slow': (_request, response, url, who) => {
    const delayMs = Math.min(numberOf(url, 'ms', 1000), SLOW_MS_MAX)
    const cancel = systemClock.after(delayMs, () => sendJson(response, 200, { ...who, delayMs }))
    response.on('close', cancel)
  },
  '/fail': (_request, response, _url, who) => sendJson(response, 500, { error: 'This page always fails.', ...who }),
  '/headers': (request, response, _url, who) => {
    const { method, url, httpVersion, headers } = request
    sendJson(response, 200, { method, url, httpVersion, headers, ...who })
  },
  '/upload': (request, response, _url, who) => {
    if (request.method !== 'POST' && request.method !== 'PUT') return sendJson(response, 405, { error: 'POST a body.' })
    const hash = createHash('sha256')
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      hash.update(chunk)
    })
    request.on('end', () => sendJson(response, 200, { bytes, sha256: hash.digest('hex'), ...who }))
  },
  '/events': (_request, response, _url, who) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    let id = 0
    const tick = () => response.write(`id: ${++id}\ndata: ${JSON.stringify({ ...who, tick: id })}\n\n`)
    tick()
    response.on('close', systemClock.every(TICK_MS, tick))
  },
}

/** Starts a target on a loopback port, or on a free one when it is taken. */
export async function startTarget(pool: string, version: string, port: number): Promise<DemoTarget> {
  const sockets = new Set<Socket>()
  const who = { pool, version, target: '' }
  let failing = 0
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://target')
    if (isOrder(request)) {
      if (url.pathname === '/crash') {
        const forMs = numberOf(url, 'forMs', 10_000)
        response.setHeader('connection', 'close')
        response.on('close', () => crash(forMs))
        return send(response, 202, 'text/plain', `${who.target} is dead for ${forMs / 1000} s\n`)
      }
      if (url.pathname === '/break' || url.pathname === '/mend') {
        failing = url.pathname === '/mend' ? 0 : Math.min(1, numberOf(url, 'share', 0.3))
        const words = failing === 0 ? 'is well' : `answers ${Math.round(failing * 100)} % of its requests with 500`
        return send(response, 200, 'text/plain', `${who.target} ${words} from now on\n`)
      }
    }
    // It looks well to whoever only asks for its health, as broken versions do.
    if (url.pathname !== '/health' && Math.random() < failing) {
      return sendJson(response, 500, { error: 'This version is broken.', ...who })
    }
    const answer = Object.hasOwn(ANSWERS, url.pathname) ? ANSWERS[url.pathname] : null
    if (answer === null) return sendJson(response, 404, { error: 'No such page.', pages: Object.keys(ANSWERS), ...who })
    return answer(request, response, url, who)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (request, socket, head) => {
    if (request.url?.split('?')[0] === '/ws') acceptEcho(request, socket, head)
    else socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
  })

  const drop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  let stopped = false
  let cancelRevival = () => {}
  function crash(forMs: number): void {
    const revive = () => {
      if (!stopped) listen(server, bound).catch(() => (cancelRevival = systemClock.after(500, revive)))
    }
    void drop()
    cancelRevival = systemClock.after(forMs, revive)
  }

  const bound = await listen(server, port).catch(() => listen(server, 0))
  who.target = `127.0.0.1:${bound}`
  return {
    url: `http://${who.target}`,
    async stop() {
      stopped = true
      cancelRevival()
      await drop()
    },
  }
}

const isOrder = ({ method, headers }: IncomingMessage): boolean =>
  method === 'POST' && headers.via === undefined && headers['x-turnout-service'] === undefined

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

function numberOf(url: URL, name: string, fallback: number): number {
  const value = Number(url.searchParams.get(name) ?? fallback)
  return Number.isFinite(value) && value >= 0 ? value : fallback
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  send(response, status, 'application/json', JSON.stringify(body) + '\n')
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  const length = Buffer.byteLength(body)
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'content-length': length }).end(body)
}
