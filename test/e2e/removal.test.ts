/** Pools and targets that are removed while something is under way there. */
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { ask } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
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
  const drain = { timeout: '60s', tunnels: { over: '1s', perSecond: 10 } }
  const proxy = await startProxy({
    workers: WORKERS,
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
  const removed = call<Removed>(proxy, 'DELETE', `${path}?wait=60s`)
  let isAnswered = false
  void removed.then(() => {
    isAnswered = true
  })
  expect(await closed).toBe(1012)
  await until('it is removed once more', async () => {
    const { spec } = await call<{ spec: { pools: object } }>(proxy, 'GET', '/v1/services/shop')
    return !('blue' in spec.pools)
  })
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

test('so does that of a whole service, by a call, a file or a revision, and whatever of it is replaced', async () => {
  const waiting: ServerResponse[] = []
  const slow = await startUpstream((_, response) => waiting.push(response))
  const shop = service({ blue: [slow.url] }, { routes: [{ host: 'shop.test', path: '/' }] })
  const other = service({ blue: [slow.url] }, { routes: [{ host: 'other.test', path: '/' }] })
  const proxy = await startProxy({ services: { other } })
  const path = '/v1/services/shop'
  const asked: Promise<{ body: string }>[] = []
  const begin = async () => {
    await call(proxy, 'PUT', path, shop)
    asked.push(ask(proxy.port, { headers: { host: 'shop.test' } }))
    await until('it is under way', () => waiting.length === asked.length)
  }
  const one = { draining: { inFlight: 1, tunnels: 0, streams: 0, untilMs: null, drained: false } }
  const answer = () => waiting.at(-1)!.end('slow')
  await begin()
  const empty = { ...shop, pools: { blue: { version: '2', targets: [] } } }
  expect(await call(proxy, 'PUT', `${path}?force=true`, empty)).toMatchObject(one)
  answer()
  await begin()
  const removal = await call<{ revision: number }>(proxy, 'DELETE', `${path}?force=true&wait=1ms`)
  expect(removal).toMatchObject(one)
  answer()
  await begin()
  expect(await call(proxy, 'POST', `/v1/revisions/${removal.revision}/restore?force=true`)).toMatchObject(one)
  answer()
  await begin()
  const text = JSON.stringify({ services: { other } })
  expect(await call(proxy, 'POST', '/v1/apply?prune=true&force=true&wait=1ms', { text })).toMatchObject(one)
  answer()
  await begin()
  const late = await turnout(proxy, 'service', 'remove', 'shop', '--force', '--wait', '1ms')
  expect([late.code, late.err]).toEqual([1, expect.stringContaining('something is under way there after 1ms yet')])
  answer()
  await begin()
  const removed = turnout(proxy, 'service', 'remove', 'shop', '--force', '--wait', '30s')
  await until('it is gone', async () => (await askAdmin(proxy, 'GET', path)).status === 404)
  answer()
  expect((await removed).code).toBe(0)
  expect((await Promise.all(asked)).map(({ body }) => body)).toEqual(asked.map(() => 'slow'))
  expect(await call(proxy, 'PUT', '/v1/services/other', other)).not.toHaveProperty('draining')
})

test('who removes a target by the command line may wait for what is under way there', async () => {
  const waiting: ServerResponse[] = []
  const slow = await startUpstream((_, response) => waiting.push(response))
  const proxy = await startProxy({
    services: { shop: service({ blue: [slow.url, (await startNamed('other')).url] }, { balance: 'round-robin' }) },
  })
  const asked = [ask(proxy.port), ask(proxy.port)]
  await until('one is there', () => waiting.length === 1)
  const removed = turnout(proxy, 'target', 'remove', 'shop', 'blue', slow.url, '--wait', '30s')
  const targets = async () =>
    (await call<{ spec: ServiceSpec }>(proxy, 'GET', '/v1/services/shop')).spec.pools['blue'].targets
  await until('it is gone', async () => (await targets()).length === 1)
  waiting[0].end('slow')
  expect(await removed).toMatchObject({ code: 0 })
  await Promise.all(asked)
})
