/** @fastify/http-proxy (fastify, reply-from and undici): the proxy of the fastify family. */
import httpProxy from '@fastify/http-proxy'
import Fastify from 'fastify'
import { installedVersion } from '../versions.ts'
import { CONNECTIONS, type Peer, pickGreen, requestId, scriptPorts, startScript } from './peer.ts'

export const fastifyProxy: Peer = {
  name: '@fastify/http-proxy',
  ours: false,
  always: false,
  setup:
    'chooses the pool by Math.random() and the header in getUpstream; undici pools of 64, request id by randomUUID(), X-Forwarded-*.',
  version: () => installedVersion('@fastify/http-proxy'),
  start: (config) => startScript(import.meta.url, config),
}

async function serve(): Promise<void> {
  const { port, blue, green } = scriptPorts()
  const app = Fastify({ logger: false, bodyLimit: 64 * 1024 * 1024 })
  await app.register(httpProxy, {
    upstream: '',
    undici: { connections: CONNECTIONS, pipelining: 1 },
    replyOptions: {
      getUpstream: (request) => `http://127.0.0.1:${pickGreen(request.headers['x-internal']) ? green : blue}`,
      rewriteRequestHeaders: (request, headers) => ({
        ...headers,
        'x-request-id': requestId(headers['x-request-id']),
        'x-forwarded-for': request.socket.remoteAddress,
        'x-forwarded-proto': 'http',
        'x-forwarded-host': request.headers.host,
      }),
    },
  })
  await app.listen({ port, host: '127.0.0.1' })
}

if (import.meta.main) await serve()
