/**
 * The plain way to write this proxy in Node: node:http in front, undici's dispatch behind, nothing else.
 * It is our own yardstick for what the raw-socket data plane is worth.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Dispatcher, Pool } from 'undici'
import { CONNECTIONS, type Peer, pickGreen, requestId, scriptPorts, startScript } from './peer.ts'

export const nodeHttp: Peer = {
  name: 'node:http + undici',
  ours: true,
  always: true,
  setup:
    'chooses the pool by Math.random() and the header in its request handler; undici pools of 64, request id by randomUUID(), X-Forwarded-*.',
  version: () => process.version,
  start: (config) => startScript(import.meta.url, config),
}

const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade', 'expect'])

function forwardedHeaders(request: IncomingMessage): string[] {
  const headers: string[] = []
  const raw = request.rawHeaders
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i].toLowerCase()
    // undici frames the body itself, from Content-Length or in chunks.
    if (!HOP_BY_HOP.has(name) && name !== 'transfer-encoding' && name !== 'x-request-id')
      headers.push(raw[i], raw[i + 1])
  }
  headers.push('X-Request-Id', requestId(request.headers['x-request-id']))
  headers.push('X-Forwarded-For', request.socket.remoteAddress ?? '', 'X-Forwarded-Proto', 'http')
  headers.push('X-Forwarded-Host', request.headers.host ?? '')
  return headers
}

function relay(response: ServerResponse): Dispatcher.DispatchHandler {
  return {
    onRequestStart(controller) {
      response.on('close', () => {
        if (!response.writableEnded) controller.abort(new Error('client went away'))
      })
    },
    onResponseStart(controller, status, headers) {
      response.writeHead(status, headers as Record<string, string>)
      response.on('drain', () => controller.resume())
    },
    onResponseData(controller, chunk) {
      if (!response.write(chunk)) controller.pause()
    },
    onResponseEnd: () => void response.end(),
    onResponseError() {
      if (!response.headersSent) response.writeHead(502)
      response.end()
    },
  }
}

function serve(): void {
  const { port, blue, green } = scriptPorts()
  const options = { connections: CONNECTIONS, pipelining: 1 }
  const pools = {
    blue: new Pool(`http://127.0.0.1:${blue}`, options),
    green: new Pool(`http://127.0.0.1:${green}`, options),
  }
  const server = createServer((request, response) => {
    const hasBody = 'content-length' in request.headers || 'transfer-encoding' in request.headers
    const pool = pickGreen(request.headers['x-internal']) ? pools.green : pools.blue
    pool.dispatch(
      {
        method: request.method as Dispatcher.HttpMethod,
        path: request.url ?? '/',
        headers: forwardedHeaders(request),
        body: hasBody ? request : null,
      },
      relay(response),
    )
  })
  server.maxRequestsPerSocket = 0
  server.listen(port, '127.0.0.1')
}

if (import.meta.main) serve()
