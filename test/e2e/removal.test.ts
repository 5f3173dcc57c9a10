/** Pools and targets that are removed while something is under way there. */
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { ask } from '../helpers/ask.ts'
import { http } from '../helpers/http.ts'
import { askAdmin, call, service, startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { turnout } from '../helpers/rollouts.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

interface Removed {
  readonly draining?: { inFlight: number; tunnels: number; streams: number; untilMs: number | null; drained: boolean }
}

test('the answer says what is under way at a pool that is removed, all of which ends well, and waits for it where that is asked for', async () => {
  const waiting: ServerResponse[] = []
  const server = http.createServer((_, response) => waiting.push(response))
  new WebSocketServer({ server })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const blue = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
  const green = await startNamed('green')
  const drain = { timeout: '10s', tunnels: { over: '1s', perSecond: 10 } }
  const proxy = await startProxy({
    workers: 2,
    services: { shop: service({ blue: [blue.url], green: [green.url] }, { live: 'blue', split: undefined, drain }) },
  })
  const asked = [ask(proxy.port), ask(proxy.port)]
  const socket = new WebSocket(`ws://127.0.0.1:${proxy.port}/`)
  const closed = new Promise<number>((resolve) => socket.on('close', resolve))
  onTestFinished(() => socket.terminate())
  await until('all are there', () => waiting.length === 2 && socket.readyState === WebSocket.OPEN)
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green', wait: '0s' })
  const path = '/v1/services/shop/pools/blue'
  const late = await call<Removed>(proxy, 'DELETE', path)
  expect(late.draining).toMatchObject({ inFlight: 2, streams: 0, drained: false })
  expect((await ask(proxy.port)).body).toBe('green')
  expect((await askAdmin(proxy, 'DELETE', path)).status).toBe(404)
  // It comes back while it drains, and is waited for the second time.
  await call(proxy, 'PUT', path, { version: '1.0', targets: [blue.url] })
  const removed = call<Removed>(proxy, 'DELETE', `${path}?wait=10s`)
  let isAnswered = false
  void removed.then(() => {
    isAnswered = true
  })
  expect(await closed).toBe(1012)
  expect(isAnswered).toBe(false)
  for (const response of waiting) response.end('blue')
  expect((await Promise.all(asked)).map(({ body }) => body)).toEqual(['blue', 'blue'])
  expect((await removed).draining).toMatchObject({ inFlight: 2, drained: true })
  expect((await askAdmin(proxy, 'DELETE', `${path}?wait=1h`)).status).toBe(422)
})

test('so does that of a target, and of what has nothing under way nothing is said', async () => {
  const waiting: ServerResponse[] = []
  const slow = await startUpstream((_, response) => waiting.push(response))
  const other = await startNamed('other')
  const proxy = await startProxy({
    services: { shop: service({ blue: [slow.url, other.url] }, { balance: 'round-robin' }) },
  })
  const asked = [ask(proxy.port), ask(proxy.port)]
  await until('one is there', () => waiting.length === 1)
  const { err } = await turnout(proxy, 'target', 'remove', 'shop', 'blue', `127.0.0.1:${slow.port}`)
  expect(err).toContain('It drains: 1 requests and 0 tunnels were under way there, and end first.')
  waiting[0].end('slow')
  expect((await Promise.all(asked)).map(({ body }) => body).sort()).toEqual(['other', 'slow'])
  await call(proxy, 'PUT', '/v1/services/shop/pools/idle', { version: '2', targets: ['http://127.0.0.1:1'] })
  expect((await call<Removed>(proxy, 'DELETE', '/v1/services/shop/pools/idle')).draining).toBeUndefined()
})
