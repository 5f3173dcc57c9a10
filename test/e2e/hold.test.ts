/** Requests that are held, in whole processes with real sockets. */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { ask, oneConnection } from '../helpers/ask.ts'
import { askAdmin, call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

interface HoldView {
  readonly hold: { readonly only: string; readonly untilMs: number } | null
  readonly held: { readonly waiting: number; readonly released: number; readonly shed: Record<string, number> }
}

const statusOf = (proxy: TestProxy, name = 'shop') => call<HoldView>(proxy, 'GET', `/v1/services/${name}/status`)
const post = (proxy: TestProxy, path: string, body: object = {}) =>
  call(proxy, 'POST', `/v1/services/shop/${path}`, body)
const waitingIs = (proxy: TestProxy, count: number) =>
  until(`${count} are held`, async () => (await statusOf(proxy)).held.waiting === count)

/** What a connection gets for what it sends, as it comes. */
function openClient(port: number) {
  const socket = net.connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (piece) => {
    text += piece
  })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return { socket, text: () => text, has: (part: string) => until(part, () => text.includes(part)) }
}

test('held requests wait, pipelined ones in order and upgrades too, with their bodies unread and without 100 Continue; a release lets all go on', async () => {
  const paths: string[] = []
  let bytes = 0
  const target = await startUpstream((request, response) => {
    paths.push(request.url!)
    request.on('data', (piece: Buffer) => {
      bytes += piece.length
    })
    request.on('end', () => response.end('done'))
  })
  const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }) } })
  await post(proxy, 'hold', { for: '60s' })
  const agent = oneConnection()
  const asked = []
  for (let n = 0; n < 5; n++) {
    asked.push(ask(proxy.port, { path: `/${n}`, ...(n === 0 ? { agent } : {}) }))
    await waitingIs(proxy, n + 1)
  }
  const pipelined = openClient(proxy.port)
  pipelined.socket.write('GET /p1 HTTP/1.1\r\nHost: a\r\n\r\nGET /p2 HTTP/1.1\r\nHost: a\r\n\r\n')
  await waitingIs(proxy, 6)
  const expecting = openClient(proxy.port)
  expecting.socket.write('PUT /e HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n')
  await waitingIs(proxy, 7)
  const large = ask(proxy.port, { method: 'POST', path: '/large', body: Buffer.alloc(8_000_000) })
  const upgrade = openClient(proxy.port)
  upgrade.socket.write('GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  await waitingIs(proxy, 9)
  expect([paths, bytes, expecting.text(), (await statusOf(proxy)).hold!.only]).toEqual([[], 0, '', 'all'])
  expect(await metric(proxy, 'turnout_held')).toBe(9)
  await post(proxy, 'release')
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(Array(5).fill(200))
  await until('both are answered', () => pipelined.text().split('HTTP/1.1 200').length === 3)
  await expecting.has('HTTP/1.1 100')
  expecting.socket.write('body')
  await expecting.has('HTTP/1.1 200')
  expect((await large).status).toBe(200)
  await until('all came', () => paths.length === 10)
  // On connections of their own, which the target may look at in another order (dataplane/waiting/holds.test.ts has theirs).
  expect(paths.toSorted()).toEqual(['/0', '/1', '/2', '/3', '/4', '/e', '/large', '/p1', '/p2', '/ws'])
  expect(paths.indexOf('/p1')).toBeLessThan(paths.indexOf('/p2'))
  expect(bytes).toBe(8_000_004)
  const { hold, held } = await statusOf(proxy)
  expect([hold, held.waiting]).toEqual([null, 0])
  // The second one of the pipeline may have come while others were about to leave.
  expect([9, 10]).toContain(held.released)
})

test('only writes are held where that is asked for, and another service not at all', async () => {
  const [blue, other] = [await startNamed('blue'), await startNamed('other')]
  const proxy = await startProxy({
    services: {
      shop: service({ blue: [blue.url] }),
      api: { ...service({ blue: [other.url] }), routes: [{ host: 'api', path: '/' }] },
    },
  })
  await post(proxy, 'hold', { only: 'writes' })
  expect((await ask(proxy.port)).body).toBe('blue')
  expect((await ask(proxy.port, { method: 'POST', headers: { host: 'api' } })).body).toBe('other')
  const write = ask(proxy.port, { method: 'POST', body: 'x' })
  await waitingIs(proxy, 1)
  const explained = await call<{ error: string; why: string }>(proxy, 'POST', '/v1/explain', {
    url: '/',
    method: 'PUT',
  })
  expect([explained.error, explained.why]).toEqual([
    'held',
    'writes to shop are held; the request waits until that is released',
  ])
  await post(proxy, 'release')
  expect((await write).body).toBe('blue')
})

test('beyond the bound of the queue, and at the end of a hold, the answer is 503 with Retry-After, which is counted; who leaves gives up the place', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProxy({ services: { shop: service({ blue: [blue.url] }) } })
  await post(proxy, 'hold', { for: '60s', queue: 2 })
  const leaver = openClient(proxy.port)
  leaver.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await waitingIs(proxy, 1)
  leaver.socket.destroy()
  await waitingIs(proxy, 0)
  const resetter = openClient(proxy.port)
  resetter.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await waitingIs(proxy, 1)
  resetter.socket.resetAndDestroy()
  await waitingIs(proxy, 0)
  const held = [ask(proxy.port), ask(proxy.port)]
  await waitingIs(proxy, 2)
  const full = await ask(proxy.port, { headers: { accept: 'application/json' } })
  expect([full.status, full.headers['retry-after'], JSON.parse(full.body).code]).toEqual([503, '1', 'held'])
  // Another hold takes the place of the first, with its own end.
  await post(proxy, 'hold', { for: '300ms' })
  const answers = await Promise.all(held)
  expect(answers.map(({ status, headers }) => [status, headers['retry-after']])).toEqual([
    [503, '1'],
    [503, '1'],
  ])
  expect((await ask(proxy.port)).body).toBe('blue')
  const { hold, held: figures } = await statusOf(proxy)
  expect([hold, figures.shed]).toEqual([null, { full: 1, bytes: 0, time: 2, left: 2, ended: 0 }])
  expect(await metric(proxy, 'turnout_shed_total', 'hold_time')).toBe(2)
  expect(await metric(proxy, 'turnout_held_shed_total', 'reason="full"')).toBe(1)
  expect(await metric(proxy, 'turnout_rejected_total', 'held')).toBe(4)
  const { events } = await call<{ events: { type: string; message: string }[] }>(
    proxy,
    'GET',
    '/v1/events?follow=false',
  )
  expect(events.find(({ type }) => type === 'hold')?.message).toContain('nobody has released it')
})

test('a release lets a crowd go on as the limits of the pool allow, and none fails', async () => {
  let [now, most] = [0, 0]
  const target = await startUpstream((_request, response) => {
    most = Math.max(most, ++now)
    setTimeout(() => {
      now--
      response.end('ok')
    }, 5)
  })
  const capacity = { requestsPerTarget: 10, queue: { requests: 20, for: '10s' } }
  const proxy = await startProxy({ workers: 2, services: { shop: service({ blue: [target.url] }, { capacity }) } })
  await post(proxy, 'hold')
  const asked = Array.from({ length: 300 }, () => ask(proxy.port))
  await waitingIs(proxy, 300)
  await post(proxy, 'release')
  expect(new Set((await Promise.all(asked)).map(({ status }) => status))).toEqual(new Set([200]))
  expect(most).toBeLessThanOrEqual(10)
})

test('while a crowd leaves, whoever comes gets the page of maintenance at once, and reads are not held by a new hold of writes', async () => {
  const waiting: (() => void)[] = []
  let isOpen = false
  const target = await startUpstream((request, response) => {
    request.resume()
    if (isOpen) return void response.end('ok')
    waiting.push(() => response.end('ok'))
  })
  const maintenance = { status: 530 }
  // Half of these may be without an answer: the rest of the crowd stays behind them.
  const limits = { upstreamConnectionsMax: 8 }
  const proxy = await startProxy({ limits, services: { shop: service({ blue: [target.url] }, { maintenance }) } })
  await post(proxy, 'hold')
  const crowd = Array.from({ length: 20 }, () => ask(proxy.port))
  await waitingIs(proxy, 20)
  await post(proxy, 'release')
  await until('some are at the target', () => waiting.length === 4)
  await call(proxy, 'PUT', '/v1/services/shop/maintenance', { on: true })
  expect((await ask(proxy.port)).status).toBe(530)
  await call(proxy, 'PUT', '/v1/services/shop/maintenance', { on: false })
  await post(proxy, 'hold', { only: 'writes' })
  const [read, write] = [ask(proxy.port), ask(proxy.port, { method: 'POST' })]
  await waitingIs(proxy, 18)
  isOpen = true
  for (const answer of waiting) answer()
  expect((await read).status).toBe(200)
  for (const { status } of await Promise.all(crowd)) expect(status).toBe(200)
  await waitingIs(proxy, 1)
  await post(proxy, 'release')
  expect((await write).status).toBe(200)
})

test('a wrong hold is refused with where it is wrong', async () => {
  const proxy = await startProxy({ services: { shop: service({ blue: ['http://127.0.0.1:1'] }) } })
  const wrong = await askAdmin(proxy, 'POST', '/v1/services/shop/hold', '{"for":"0s"}')
  expect([wrong.status, JSON.parse(wrong.text).errors[0].pointer]).toEqual([422, '/for'])
  expect((await askAdmin(proxy, 'POST', '/v1/services/none/release')).status).toBe(404)
})
