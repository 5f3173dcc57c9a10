/**
 * The retry budget: what may be sent a second time when targets fail requests that they had in their hands, and what is no
 * failure or costs nothing. That a dead target beside a well one costs no GET is in dead-target.test.ts.
 */
import type net from 'node:net'
import { expect, test } from 'vitest'
import { metric, metricIs } from '../helpers/admin.ts'
import { openLine, startLoad } from '../helpers/load.ts'
import { service, startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startNamed, startRaw } from '../helpers/upstream.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const startClosing = () => startRaw((socket) => socket.destroy())

/** Answers the first request on each connection; `second` decides what becomes of the next. */
const startForgetful = (second: (socket: net.Socket) => void) =>
  startRaw((socket, text) => {
    if (text.split('\r\n\r\n').length === 2) socket.write(OK)
    else second(socket)
  })

test('targets that all fail get a fifth of the requests twice, not all of them', async () => {
  const [a, b] = [await startClosing(), await startClosing()]
  const proxy = await startProxy({ workers: 1, services: { shop: service({ blue: [a.url, b.url] }) } })
  const startedMs = performance.now()
  const load = startLoad(proxy.port, { connections: 8, next: (_, n) => (n < 50 ? { method: 'GET' } : null) })
  await until('all are answered', () => load.outcomes.length === 400)
  const seconds = (performance.now() - startedMs) / 1_000
  expect(load.outcomes.every(({ status }) => status === 502)).toBe(true)
  const repeats = a.connections() + b.connections() - 400
  expect(repeats).toBeGreaterThanOrEqual(30)
  expect(repeats).toBeLessThanOrEqual(80 + Math.ceil(3 * seconds))
  await metricIs(repeats, proxy, 'turnout_retries_total', 'reason="stale"')
  await metricIs(400 - repeats, proxy, 'turnout_retries_over_budget_total')
})

test('the budget of one service is not spent by another', async () => {
  const broken = [await startClosing(), await startClosing()]
  const shaky = [await startClosing(), await startNamed('steady')]
  const proxy = await startProxy({
    workers: 1,
    services: {
      broken: service({ blue: broken.map(({ url }) => url) }),
      shaky: service({ blue: shaky.map(({ url }) => url) }, { routes: [{ host: 'shaky.test', path: '/' }] }),
    },
  })
  const load = startLoad(proxy.port, { connections: 8 })
  const isSpent = async () => (await metric(proxy, 'turnout_retries_over_budget_total', 'service="broken"')) > 10
  await until('the one is spent', isSpent)
  const beside = startLoad(proxy.port, {
    connections: 2,
    next: (_, n) => (n < 100 ? { method: 'GET', headers: { Host: 'shaky.test' } } : null),
  })
  await until('all are answered', () => beside.outcomes.length === 200)
  await load.stop()
  expect(beside.outcomes.filter(({ status }) => status !== 200)).toEqual([])
  expect(await metric(proxy, 'turnout_retries_total', 'service="shaky"')).toBeGreaterThan(0)
  expect(await metric(proxy, 'turnout_retries_over_budget_total', 'service="shaky"')).toBe(0)
})

test.each<[how: string, second: (socket: net.Socket) => void, failures: number]>([
  ['as the request comes is no failure of the target', (socket) => socket.destroy(), 0],
  [
    'long after the request came is one, and goes elsewhere even where visitors are kept',
    (socket) => setTimeout(() => socket.destroy(), 1_300),
    1,
  ],
])('a used connection that closes %s', async (_, second, failures) => {
  const forgetful = await startForgetful(second)
  const steady = await startNamed('steady')
  const services = { shop: service({ blue: [forgetful.url, steady.url] }, { balance: 'hash' }) }
  const proxy = await startProxy({ services, trustedProxies: ['127.0.0.0/8'] })
  const line = await openLine(proxy.port)
  const askAs = (address: string) =>
    line?.ask({ method: 'GET', headers: { 'X-Forwarded-For': address } }).then((answer) => answer as { body: string })
  // An address that belongs to the forgetful one.
  let mine = 0
  while ((await askAs(`192.0.2.${mine}`))?.body !== 'ok') mine++
  expect(await askAs(`192.0.2.${mine}`)).toMatchObject({ status: 200, body: failures === 0 ? 'ok' : 'steady' })
  await metricIs(failures, proxy, 'turnout_upstream_failures_total')
  await metricIs(1, proxy, 'turnout_retries_total', 'reason="stale"')
  line?.close()
})

test('a request that nobody else can take is not counted as repeated, and its failure once', async () => {
  const closing = await startClosing()
  const proxy = await startProxy({ services: { shop: service({ blue: [closing.url] }) } })
  const load = startLoad(proxy.port, { connections: 2, next: (_, n) => (n < 40 ? { method: 'GET' } : null) })
  await until('all are answered', () => load.outcomes.length === 80)
  expect(closing.connections()).toBe(80)
  expect(await metric(proxy, 'turnout_retries_total')).toBe(0)
  expect(await metric(proxy, 'turnout_retries_over_budget_total')).toBe(0)
  await metricIs(80, proxy, 'turnout_upstream_failures_total')
})
