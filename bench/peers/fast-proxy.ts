/** fast-proxy: node:http in front and behind, with as little between as it can; it follows the caller's choice of a target. */
import { createServer } from 'node:http'
import fastProxy from 'fast-proxy'
import { installedVersion } from '../versions.ts'
import { type Peer, pickGreen, requestId, scriptPorts, startScript } from './peer.ts'

export const fastProxyPeer: Peer = {
  name: 'fast-proxy',
  ours: false,
  always: false,
  setup:
    'chooses the pool by Math.random() and the header in its request handler; keep-alive agent, request id by randomUUID(), X-Forwarded-*.',
  version: () => installedVersion('fast-proxy'),
  start: (config) => startScript(import.meta.url, config),
}

function serve(): void {
  const { port, blue, green } = scriptPorts()
  const { proxy } = fastProxy()
  const server = createServer((request, response) => {
    const target = pickGreen(request.headers['x-internal']) ? green : blue
    proxy(request, response, request.url ?? '/', {
      base: `http://127.0.0.1:${target}`,
      rewriteRequestHeaders: (_request, headers) => ({
        ...headers,
        host: request.headers.host,
        'x-request-id': requestId(request.headers['x-request-id']),
        'x-forwarded-for': request.socket.remoteAddress,
        'x-forwarded-proto': 'http',
      }),
    })
  })
  server.maxRequestsPerSocket = 0
  server.listen(port, '127.0.0.1')
}

if (import.meta.main) serve()
