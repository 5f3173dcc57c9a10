/** The access log of a real process: JSON on standard output, one line for every request, whatever became of it. */
import net from 'node:net'
import { expect, test } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { ask, head, pipeline } from '../helpers/ask.ts'
import { bulk, WORKERS } from '../helpers/bulk.ts'
import { call, type ProxyProcess, service, startProcess, temporaryFolder } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { closedPort, startNamed, startRaw, startUpstream } from '../helpers/upstream.ts'

type Entry = Readonly<Record<string, unknown>>

const FIELDS = [
  'time requestId client method host path status service pool version target reason epoch',
  'bytesIn bytesOut durationMs ttfbMs retries attempt error',
]
  .join(' ')
  .split(' ')

/** The complete lines so far; throws when one is not JSON. */
function entriesOf(proxy: ProxyProcess): Entry[] {
  const lines = proxy.stdout().split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Entry)
}

/** Waits for that many lines. */
async function waitForEntries(proxy: ProxyProcess, count: number): Promise<Entry[]> {
  await until(`${count} lines`, () => proxy.stdoutLines() >= count)
  return entriesOf(proxy)
}

const by = (entries: readonly Entry[], requestId: string) => entries.find((entry) => entry['requestId'] === requestId)

test('every request has one line with what was asked, who answered and why, and how it went', async () => {
  const blue = await startNamed('blue')
  const green = await startUpstream((request, response) => {
    request.resume()
    request.on('end', () => response.writeHead(201).end('x'.repeat(5_000)))
  })
  const rules = [{ name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' }]
  const shop = service({ blue: [blue.url], green: [green.url] }, { rules, visitor: ['header:x-user-id'] })
  const proxy = await startProcess({ workers: WORKERS, services: { shop } }, temporaryFolder())
  const startMs = Date.now()
  const send = (id: string, more: object) =>
    ask(proxy.port, {
      path: '/a/b?token=secret',
      ...more,
      headers: { host: 'Shop.test:80', 'x-request-id': id, ...('headers' in more ? (more.headers as object) : {}) },
    })
  await send('one', {})
  await send('two', { method: 'POST', body: 'y'.repeat(300), headers: { 'x-internal': '1' } })
  await send('three', { method: 'HEAD', headers: { 'x-user-id': 'u-1' } })
  const { epoch } = await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  // An id is whatever a client takes for one, and cannot end its place in the line.
  const four = 'four","status":999,"a":"\\'
  await send(four, {})

  const entries = await waitForEntries(proxy, 4)
  expect(entries.length).toBe(4)
  for (const entry of entries) {
    expect(Object.keys(entry)).toEqual(FIELDS)
    expect(Date.parse(entry['time'] as string)).toBeGreaterThan(startMs - 1_000)
    expect(Date.parse(entry['time'] as string)).toBeLessThan(Date.now() + 1_000)
    expect(entry['durationMs']).toBeGreaterThanOrEqual(entry['ttfbMs'] as number)
    expect(entry).toMatchObject({
      client: '127.0.0.1',
      host: 'shop.test',
      path: '/a/b',
      service: 'shop',
      retries: 0,
      attempt: 'good',
      error: null,
    })
  }
  const blueOne = { pool: 'blue', version: 'blue-version', target: new URL(blue.url).host }
  const greenOne = { pool: 'green', version: 'green-version', target: new URL(green.url).host }
  expect(by(entries, 'one')).toMatchObject({
    ...blueOne,
    method: 'GET',
    status: 200,
    reason: 'picker',
    bytesIn: 0,
    bytesOut: 4,
  })
  expect(by(entries, 'two')).toMatchObject({
    ...greenOne,
    method: 'POST',
    status: 201,
    reason: 'rule',
    bytesIn: 300,
    bytesOut: 5_000,
  })
  expect(by(entries, 'three')).toMatchObject({ ...blueOne, method: 'HEAD', reason: 'bucket', bytesOut: 0 })
  expect(by(entries, four)).toMatchObject({ ...greenOne, epoch })
  expect(by(entries, 'one')?.['epoch']).toBeLessThan(epoch as number)
  expect(proxy.stdout()).not.toContain('secret')
})

test('answers of our own have their line too, with the code of the error', async () => {
  const blue = await startNamed('blue')
  const slow = await startUpstream(() => {})
  const dead = `http://127.0.0.1:${await closedPort()}`
  const routed = (targets: string[], host: string, more = {}) =>
    service({ live: targets }, { routes: [{ host }], ...more })
  const config = {
    workers: WORKERS,
    limits: { bodyBytesMax: 1_000 },
    services: {
      shop: routed([blue.url], 'shop.test'),
      dead: routed([dead], 'dead.test'),
      none: routed([], 'none.test'),
      slow: routed([slow.url], 'slow.test', { timeouts: { response: '200ms' } }),
    },
  }
  const proxy = await startProcess(config, temporaryFolder())
  const send = (id: string, host: string, more = {}) =>
    ask(proxy.port, { headers: { host, 'x-request-id': id }, ...more })
  const statuses = [
    await send('lost', 'other.test'),
    await send('dead', 'dead.test'),
    await send('none', 'none.test'),
    await send('slow', 'slow.test'),
    await send('large', 'shop.test', { method: 'POST', body: 'x'.repeat(2_000) }),
  ].map(({ status }) => status)
  expect(statuses).toEqual([404, 502, 503, 504, 413])
  const { text } = await rawRequest(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
  expect(text).toContain(' 400 ')

  const entries = await waitForEntries(proxy, 6)
  expect(entries.length).toBe(6)
  const nothing = { service: null, pool: null, target: null, reason: null, ttfbMs: null, attempt: null }
  const target = (upstream: string) => new URL(upstream).host
  expect(by(entries, 'lost')).toMatchObject({ status: 404, error: 'no_route', ...nothing })
  expect(by(entries, 'dead')).toMatchObject({
    status: 502,
    error: 'upstream_connect_failed',
    service: 'dead',
    attempt: 'failed',
    target: target(dead),
  })
  expect(by(entries, 'none')).toMatchObject({
    status: 503,
    error: 'no_healthy_target',
    service: 'none',
    target: null,
    attempt: null,
  })
  expect(by(entries, 'slow')).toMatchObject({
    status: 504,
    error: 'upstream_timeout',
    target: target(slow.url),
    ttfbMs: null,
    attempt: 'failed',
  })
  expect(by(entries, 'slow')?.['durationMs']).toBeGreaterThan(150)
  expect(by(entries, 'large')).toMatchObject({ status: 413, error: 'body_too_large', client: '127.0.0.1', ...nothing })
  const refused = entries.find((entry) => !('requestId' in entry))
  expect(refused).toMatchObject({ client: '127.0.0.1', status: 400, error: 'bad_host' })
})

test('a request that its client gave up is logged as 499', async () => {
  let arrived = 0
  const slow = await startUpstream(() => {
    arrived++
  })
  const proxy = await startProcess({ services: { shop: service({ live: [slow.url] }) } }, temporaryFolder())
  const socket = net.connect(proxy.port, '127.0.0.1')
  socket.write(head('/'))
  await until('the request was at the target', () => arrived === 1)
  socket.resetAndDestroy()
  const [entry] = await waitForEntries(proxy, 1)
  expect(entry).toMatchObject({ status: 499, service: 'shop', ttfbMs: null, attempt: 'void', bytesOut: 0 })
})

test('an answer that was cut is logged with its status and by whose doing, and is a failure of the target only where that was it', async () => {
  const target = await startRaw((socket, text) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart')
    if (text.includes('GET /broken')) socket.end()
  })
  const shop = service({ live: [target.url] }, { timeouts: { idle: '300ms' } })
  const patient = { ...service({ live: [target.url] }), routes: [{ host: 'patient' }] }
  const proxy = await startProcess({ services: { shop, patient } }, temporaryFolder())
  const get = (path: string, host = 'a') =>
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-Request-Id: ${path.slice(1)}\r\n\r\n`
  const broken = await rawRequest(proxy.port, get('/broken', 'patient'))
  const late = await rawRequest(proxy.port, get('/late'))
  const gone = net.connect(proxy.port, '127.0.0.1', () => gone.write(get('/gone', 'patient')))
  let seen = ''
  gone.on('data', (bytes) => {
    seen += bytes.toString('latin1')
    if (seen.endsWith('part')) gone.resetAndDestroy()
  })
  for (const { text } of [broken, late]) expect(text).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*part$/)
  const entries = await waitForEntries(proxy, 3)
  const cut = { status: 200, bytesOut: 4, ttfbMs: expect.any(Number) }
  expect(by(entries, 'broken')).toMatchObject({ ...cut, error: 'upstream_closed', attempt: 'failed' })
  expect(by(entries, 'late')).toMatchObject({ ...cut, error: 'upstream_timeout', attempt: 'failed' })
  expect(by(entries, 'gone')).toMatchObject({ ...cut, error: 'client_closed', attempt: 'good' })
})

test('thousands of requests have exactly one line each, and none is lost when the process ends right after them', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProcess(
    { workers: WORKERS, services: { shop: service({ live: [blue.url] }) } },
    temporaryFolder(),
  )
  const ids = Array.from({ length: 3_000 }, (_, n) => `id-${n}`)
  await pipeline(
    proxy.port,
    ids.map((id) => head('/', { 'x-request-id': id })),
    16,
  )
  await proxy.close()
  await until('standard output has ended', () => proxy.child.stdout?.readableEnded === true)
  const logged = entriesOf(proxy).map((entry) => entry['requestId'])
  expect(logged.length).toBe(3_000)
  expect(new Set(logged)).toEqual(new Set(ids))
})

test('while nobody reads standard output, requests are answered and each lost line is counted', async () => {
  const blue = await startNamed('blue')
  const workers = bulk(1, 2)
  const proxy = await startProcess({ workers, services: { shop: service({ live: [blue.url] }) } }, temporaryFolder())
  proxy.child.stdout?.pause()
  const path = '/' + 'p'.repeat(7_000)
  const ids = Array.from({ length: workers * 3_000 }, (_, n) => `id-${n}`)
  await pipeline(
    proxy.port,
    ids.map((id) => head(path, { 'x-request-id': id })),
    16,
  )
  const dropped = await metric(proxy, 'turnout_log_dropped_total')
  // 21 MB of lines for each worker, which may have 8 MiB under way; the pipe and its reader hold a little.
  expect(dropped).toBeGreaterThan(ids.length / 2)
  expect(dropped).toBeLessThan(ids.length)
  proxy.child.stdout?.resume()
  const entries = await waitForEntries(proxy, ids.length - dropped)
  const [last] = await pipeline(proxy.port, [head('/', { 'x-request-id': 'last' })])
  expect(last).toBe('blue')
  await proxy.close()
  await until('standard output has ended', () => proxy.child.stdout?.readableEnded === true)
  const all = entriesOf(proxy)
  expect(all.length).toBe(entries.length + 1)
  expect(all.at(-1)?.['requestId']).toBe('last')
  expect(new Set(all.map((entry) => entry['requestId'])).size).toBe(all.length)
})

test('when the reader of standard output has gone, that is told, and each line from then on is counted', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProcess({ services: { shop: service({ live: [blue.url] }) } }, temporaryFolder())
  proxy.child.stdout?.destroy()
  await pipeline(proxy.port, Array<string>(50).fill(head('/')), 16)
  await expect.poll(() => metric(proxy, 'turnout_log_dropped_total'), { timeout: 20_000 }).toBe(50)
  await until('it was told', () => proxy.output().includes('standard output: its reader has gone; lines are dropped"'))
  await proxy.close()
  expect(await proxy.exited()).toBe(0)
})

test('lines that wait for a slow reader when the process is told to end are still written', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProcess({ services: { shop: service({ live: [blue.url] }) } }, temporaryFolder())
  proxy.child.stdout?.pause()
  const requests = Array.from({ length: 1_000 }, (_, n) => head('/' + 'p'.repeat(7_000), { 'x-request-id': `id-${n}` }))
  await pipeline(proxy.port, requests, 16)
  const closed = proxy.close()
  // When the admin API has ended, the workers have; what is left is the log.
  await until('nothing but the log is left', () =>
    call(proxy, 'GET', '/v1/services').then(
      () => false,
      () => true,
    ),
  )
  proxy.child.stdout?.resume()
  await closed
  await until('standard output has ended', () => proxy.child.stdout?.readableEnded === true)
  expect(new Set(entriesOf(proxy).map((entry) => entry['requestId'])).size).toBe(requests.length)
})

test('a sampled log has its share of lines, evenly; one that is off has none', async () => {
  const blue = await startNamed('blue')
  const services = { shop: service({ live: [blue.url] }) }
  const requests = new Array(1_000).fill(head('/'))
  const logged = async (log: object) => {
    const proxy = await startProcess({ workers: WORKERS, log, services }, temporaryFolder())
    await pipeline(proxy.port, requests, 16)
    await proxy.close()
    await until('standard output has ended', () => proxy.child.stdout?.readableEnded === true)
    return entriesOf(proxy).length
  }
  // Every tenth of each of the two workers.
  expect(Math.abs((await logged({ sample: 0.1 })) - 100)).toBeLessThanOrEqual(1)
  expect(await logged({ sample: 0 })).toBe(0)
  expect(await logged({ access: false })).toBe(0)
})
