/** The counters equal the traffic that was sent: nothing is counted twice, forgotten, or left in flight. */
import { expect, test } from 'vitest'
import { ask, head, oneConnection, pipeline } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { closedPort, startNamed, startUpstream } from '../helpers/upstream.ts'

/** Samples by name and labels, the labels sorted: `name{a="1",b="2"}`. */
type Samples = ReadonlyMap<string, number>

async function scrape(proxy: TestProxy): Promise<Samples> {
  const text = await (await fetch(proxy.admin + '/metrics')).text()
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    const parts = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (parts === null) continue
    const labels = [...(parts[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([label]) => label).sort()
    samples.set(`${parts[1]}{${labels.join(',')}}`, Number(parts[3]))
  }
  return samples
}

/** Sum over all series of a name whose labels include these. */
function sum(samples: Samples, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  let total = 0
  for (const [series, value] of samples) {
    if (series.startsWith(`${name}{`) && wanted.every((label) => series.includes(label))) total += value
  }
  return total
}

/** Scrapes until the counters hold what they must; the last answer may be a moment ahead of its counters. */
function expectSamples(proxy: TestProxy, read: (samples: Samples) => unknown, expected: unknown): Promise<void> {
  return expect.poll(async () => read(await scrape(proxy))).toEqual(expected)
}

const CLASSES = ['2xx', '3xx', '4xx', '5xx']
const byClass = (samples: Samples, pool: string) =>
  CLASSES.map((code_class) => sum(samples, 'turnout_requests_total', { pool, code_class }))

test('requests are counted by pool and by class of the status, in histograms and in bytes', async () => {
  const statuses = (url: string) => Number(new URL(url, 'http://x').searchParams.get('status') ?? 200)
  const start = () =>
    startUpstream((request, response) => {
      request.resume()
      request.on('end', () =>
        response.writeHead(statuses(request.url ?? ''), { 'content-length': 10 }).end('0123456789'),
      )
    })
  const [blue, green] = [await start(), await start()]
  const rules = [{ name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' }]
  const proxy = await startProxy({
    workers: WORKERS,
    services: { shop: service({ blue: [blue.url], green: [green.url] }, { rules }) },
  })
  await pipeline(proxy.port, new Array(700).fill(head('/')), 16)
  await pipeline(proxy.port, new Array(50).fill(head('/', { 'x-internal': '1' })))
  const agent = oneConnection()
  for (const [status, count] of Object.entries({ 301: 4, 404: 3, 410: 2, 500: 5, 503: 1 })) {
    for (let n = 0; n < count; n++) await ask(proxy.port, { path: `/?status=${status}`, agent })
  }
  await ask(proxy.port, { method: 'POST', body: 'x'.repeat(1_234), headers: { 'x-internal': '1' } })

  await expectSamples(proxy, (all) => [byClass(all, 'blue'), byClass(all, 'green')], [
    [700, 4, 5, 6],
    [51, 0, 0, 0],
  ])
  const samples = await scrape(proxy)
  for (const [pool, requests, failed] of [
    ['blue', 715, 6],
    ['green', 51, 0],
  ] as const) {
    for (const histogram of ['turnout_request_duration_seconds', 'turnout_upstream_ttfb_seconds']) {
      expect([histogram, sum(samples, `${histogram}_count`, { pool })]).toEqual([histogram, requests])
      expect(sum(samples, `${histogram}_bucket`, { pool, le: '+Inf' })).toBe(requests)
      expect(sum(samples, `${histogram}_sum`, { pool })).toBeGreaterThan(0)
    }
    expect(sum(samples, 'turnout_sent_bytes_total', { pool })).toBe(requests * 10)
    expect(sum(samples, 'turnout_in_flight', { pool })).toBe(0)
    expect(sum(samples, 'turnout_upstream_failures_total', { pool })).toBe(failed)
  }
  expect(sum(samples, 'turnout_received_bytes_total', { pool: 'blue' })).toBe(0)
  expect(sum(samples, 'turnout_received_bytes_total', { pool: 'green' })).toBe(1_234)
  expect(sum(samples, 'turnout_worker_requests_total')).toBe(766)
  expect(sum(samples, 'turnout_rejected_total')).toBe(0)
  expect(sum(samples, 'turnout_request_duration_seconds_count', { version: 'green-version', service: 'shop' })).toBe(51)

  interface Status {
    pools: { requests: number; inFlight: number; responses: Record<string, number> }[]
  }
  const { pools } = await call<Status>(proxy, 'GET', '/v1/services/shop/status')
  expect(pools.map(({ requests, inFlight }) => [requests, inFlight])).toEqual([
    [715, 0],
    [51, 0],
  ])
  expect(pools[0].responses).toEqual({ '2xx': 700, '3xx': 4, '4xx': 5, '5xx': 6 })
})

test('requests under way and open connections are gauges that return to nothing', async () => {
  const held: (() => void)[] = []
  const slow = await startUpstream((_request, response) => {
    held.push(() => response.end('slow'))
  })
  const proxy = await startProxy({ workers: WORKERS, services: { shop: service({ blue: [slow.url] }) } })
  const answers = Array.from({ length: 12 }, () => ask(proxy.port))
  await until('all are at the target', () => held.length === 12)
  const gauges = (samples: Samples) => [
    sum(samples, 'turnout_in_flight'),
    sum(samples, 'turnout_client_connections'),
    sum(samples, 'turnout_upstream_connections'),
  ]
  await expectSamples(proxy, gauges, [12, 12, 12])
  for (const release of held) release()
  await Promise.all(answers)
  await expectSamples(proxy, (samples) => gauges(samples).slice(0, 2), [0, 0])
  await slow.close()
  await expectSamples(proxy, gauges, [0, 0, 0])
  expect(sum(await scrape(proxy), 'turnout_upstream_connects_total')).toBe(12)
})

test('answers of our own are counted once: by code without a target, else at the target', async () => {
  const blue = await startNamed('blue')
  const dead = `http://127.0.0.1:${await closedPort()}`
  const slow = await startUpstream(() => {})
  const proxy = await startProxy({
    workers: WORKERS,
    services: {
      shop: service({ shop: [blue.url] }, { routes: [{ host: 'shop.test' }] }),
      dead: service({ dead: [dead] }, { routes: [{ host: 'dead.test' }] }),
      none: service({ none: [] }, { routes: [{ host: 'none.test' }] }),
      slow: service({ slow: [slow.url] }, { routes: [{ host: 'slow.test' }], timeouts: { response: '200ms' } }),
    },
  })
  const send = (host: string) => ask(proxy.port, { headers: { host } })
  for (const host of ['other.test', 'other.test', 'none.test', 'dead.test', 'slow.test', 'shop.test']) await send(host)
  await rawRequest(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n')
  await rawRequest(proxy.port, 'nonsense\r\n\r\n')
  const rejected = (samples: Samples) =>
    Object.fromEntries(
      [...samples]
        .filter(([series, value]) => series.startsWith('turnout_rejected_total') && value > 0)
        .map(([series, value]) => [/code="(\w+)"/.exec(series)?.[1], value]),
    )
  await expectSamples(proxy, rejected, { no_route: 2, no_healthy_target: 1, bad_framing: 1, bad_request: 1 })
  const samples = await scrape(proxy)
  expect([byClass(samples, 'dead'), byClass(samples, 'slow'), byClass(samples, 'shop')]).toEqual([
    [0, 0, 0, 1],
    [0, 0, 0, 1],
    [1, 0, 0, 0],
  ])
  expect(sum(samples, 'turnout_upstream_connect_errors_total', { pool: 'dead' })).toBeGreaterThan(0)
  expect(sum(samples, 'turnout_upstream_timeouts_total', { pool: 'slow' })).toBe(1)
  for (const pool of ['dead', 'slow']) expect(sum(samples, 'turnout_upstream_failures_total', { pool })).toBe(1)
  expect(sum(samples, 'turnout_in_flight')).toBe(0)
})

test('a request that its client gives up is counted as aborted and is no longer in flight', async () => {
  let arrived = 0
  const slow = await startUpstream((_request, response) => {
    arrived++
    response.write('the beginning')
  })
  const proxy = await startProxy({ workers: WORKERS, services: { shop: service({ blue: [slow.url] }) } })
  await rawRequest(proxy.port, [head('/')], { until: (text) => text.includes('beginning') })
  expect(arrived).toBe(1)
  // The client is gone; the proxy learns it when it next writes to it, or from the reset.
  await call(proxy, 'GET', '/v1/services')
  await slow.close()
  await expectSamples(
    proxy,
    (all) => [sum(all, 'turnout_in_flight'), sum(all, 'turnout_request_duration_seconds_count')],
    [0, 1],
  )
})

test('weights, epoch, states and the times of changes are told', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const proxy = await startProxy({
    workers: WORKERS,
    services: { shop: service({ blue: [blue.url], green: [green.url] }) },
  })
  const before = await scrape(proxy)
  let last: Record<string, unknown> = {}
  for (const to of ['green', 'blue', 'green']) last = await call(proxy, 'POST', '/v1/services/shop/switch', { to })
  await call(proxy, 'PUT', '/v1/services/shop/pools/blue/state', { state: 'drain' })
  const after = await scrape(proxy)
  expect([
    sum(after, 'turnout_split_weight', { pool: 'blue' }),
    sum(after, 'turnout_split_weight', { pool: 'green' }),
  ]).toEqual([0, 100])
  expect(sum(after, 'turnout_epoch')).toBe((last['epoch'] as number) + 1)
  expect(sum(after, 'turnout_epoch')).toBe(sum(before, 'turnout_epoch') + 4)
  const changes = (samples: Samples) => sum(samples, 'turnout_switch_duration_seconds_count')
  expect(changes(after) - changes(before)).toBe(4)
  expect(sum(after, 'turnout_target_state', { axis: 'pool', state: 'drain', pool: 'blue' })).toBe(1)
  // Of an idle target the usual is not told.
  expect(sum(after, 'turnout_target_state', { axis: 'pool', state: 'ready', pool: 'green' })).toBe(0)
  expect(sum(after, 'turnout_target_state', { axis: 'admin', state: 'ready', pool: 'green' })).toBe(1)
})

test('nothing that a client sends becomes a label', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProxy({ workers: WORKERS, services: { shop: service({ blue: [blue.url] }) } })
  const names = async () => [...(await scrape(proxy)).keys()].filter((series) => series.startsWith('turnout')).sort()
  await ask(proxy.port)
  const before = await names()
  for (let n = 0; n < 30; n++) {
    await ask(proxy.port, { method: `M${n}`, path: `/${n}`, headers: { host: `h${n}.test`, 'x-user-id': `u${n}` } })
  }
  expect(await names()).toEqual(before)
})
