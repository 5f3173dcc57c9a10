/** http-proxy-3: the maintained successor of http-proxy, which many Node projects use. */
import { Agent, createServer } from 'node:http'
import { createProxyServer } from 'http-proxy-3'
import { installedVersion } from '../versions.ts'
import { type Peer, pickGreen, requestId, scriptPorts, startScript } from './peer.ts'

export const httpProxy3: Peer = {
  name: 'http-proxy-3',
  ours: false,
  always: false,
  setup:
    'chooses the pool by Math.random() and the header in its request handler; keep-alive agent, request id by randomUUID(), X-Forwarded-*.',
  version: () => installedVersion('http-proxy-3'),
  start: (config) => startScript(import.meta.url, config),
}

function serve(): void {
  const { port, blue, green } = scriptPorts()
  const proxy = createProxyServer({ agent: new Agent({ keepAlive: true, maxFreeSockets: 256 }), xfwd: true })
  proxy.on('error', (_error, _request, response) => {
    if ('writeHead' in response && !response.headersSent) response.writeHead(502)
    response.end()
  })
  const server = createServer((request, response) => {
    request.headers['x-request-id'] = requestId(request.headers['x-request-id'])
    const target = pickGreen(request.headers['x-internal']) ? green : blue
    proxy.web(request, response, { target: `http://127.0.0.1:${target}` })
  })
  server.listen(port, '127.0.0.1')
}

if (import.meta.main) serve()
