/**
 * A target as a process of its own, so that a test can kill or stop it. Started by child-target.ts; one JSON argument:
 * `{name, port, backlog}`. It reads each request to its end and answers its name; `?ms=n` in the URL waits before that.
 * Prints its port once it listens.
 */

import type { AddressInfo } from 'node:net'
import { http } from './http.ts'

const { name, port, backlog } = JSON.parse(process.argv[2]) as { name: string; port: number; backlog: number }

const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const waitMs = Number(/[?&]ms=(\d+)/.exec(request.url ?? '')?.[1] ?? 0)
  request.resume()
  request.on('end', () => {
    const answer = () => response.writeHead(200, { 'x-name': name, 'content-length': name.length }).end(name)
    if (waitMs > 0) setTimeout(answer, waitMs)
    else answer()
  })
})
server.listen({ port, host: '127.0.0.1', backlog }, () => {
  process.stdout.write((server.address() as AddressInfo).port + '\n')
})
