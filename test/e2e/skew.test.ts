/** An asset that only another version has is found there, while a page that is open asks for it. */
import { expect, test } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { ask, oneConnection } from '../helpers/ask.ts'
import { program, start } from '../helpers/programs.ts'
import { call, service, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, reached } from '../helpers/rollouts.ts'
import { closedPort, startAnswering, startRaw, startUpstream, type Upstream } from '../helpers/upstream.ts'

/** A version that has these files, and answers 404 by its name and so many bytes for all others. */
function startVersion(name: string, files: readonly string[], bytes = 10) {
  const asked: string[] = []
  const connections = new Set<unknown>()
  const target = startUpstream((request, response) => {
    connections.add(request.socket)
    asked.push(`${request.method} ${request.url}`)
    if (files.includes(request.url!)) response.end(name)
    else response.writeHead(404).end(name.padEnd(bytes))
  })
  return target.then((upstream) => ({ ...upstream, asked, connections }))
}

const SKEW = ['/assets/*', '/app.js']

const startShop = (pools: Record<string, readonly Upstream[]>, more: object = {}): Promise<TestProxy> => {
  const urls = Object.fromEntries(Object.entries(pools).map(([name, targets]) => [name, targets.map(({ url }) => url)]))
  return startProxy({ services: { shop: service(urls, { skew: SKEW, sticky: false, visitor: [], ...more }) } })
}

const told = async (proxy: TestProxy, path: string, method = 'GET', body?: string) => {
  const answer = await ask(proxy.port, { path, method, ...(body !== undefined && { body }) })
  return `${answer.status} ${answer.body.trim()}`
}

test('it is found in another version that has a share, and in the one that was just replaced', async () => {
  const blue = await startVersion('blue', ['/', '/assets/a.1.js'])
  const green = await startVersion('green', ['/', '/assets/a.2.js'])
  const proxy = await startShop({ blue: [blue], green: [green] })
  expect(await told(proxy, '/assets/a.1.js')).toBe('200 blue')
  expect(await told(proxy, '/assets/a.2.js')).toBe('404 blue')
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 99, green: 1 } })
  for (let n = 0; n < 10; n++) {
    expect(await told(proxy, '/assets/a.1.js')).toBe('200 blue')
    expect(await told(proxy, '/assets/a.2.js')).toBe('200 green')
  }
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  expect(await told(proxy, '/assets/a.1.js')).toBe('200 blue')
  expect(await told(proxy, '/assets/a.2.js')).toBe('200 green')
  expect(await told(proxy, '/')).toBe('200 green')
  expect(await metric(proxy, 'turnout_retries_total', 'reason="skew"')).toBeGreaterThan(0)
  expect(await metric(proxy, 'turnout_attempts_total', 'outcome="failed"')).toBe(0)
  expect(await metric(proxy, 'turnout_in_flight')).toBe(0)
})

test.each([
  ['another path', '/other.js', 'GET'],
  ['a path that only begins like a whole one', '/app.js.map', 'GET'],
  ['a POST', '/assets/a.2.js', 'POST'],
])('%s is asked once', async (_, path, method) => {
  const blue = await startVersion('blue', [])
  const green = await startVersion('green', [path])
  const proxy = await startShop({ blue: [blue], green: [green] }, { split: { blue: 100, green: 1 } })
  for (let n = 0; n < 3; n++) await told(proxy, path, method)
  expect([...blue.asked, ...green.asked].length).toBe(3)
})

test('what no version has is a 404, asked of each once and of none more often', async () => {
  const versions = await Promise.all(['blue', 'green', 'grey'].map((name) => startVersion(name, [])))
  const [blue, green, grey] = versions
  const proxy = await startShop(
    { blue: [blue], green: [green], grey: [grey] },
    { split: { blue: 8, green: 1, grey: 1 } },
  )
  expect(await told(proxy, '/assets/none.js')).toMatch(/^404/)
  expect(versions.map(({ asked }) => asked)).toEqual(versions.map(() => ['GET /assets/none.js']))
  expect(await metric(proxy, 'turnout_rescued_total')).toBe(0)
})

test.each([
  ['at once', {}, {}],
  ['through a trusted proxy', { trustedProxies: ['127.0.0.0/8'] }, { 'X-Forwarded-For': '192.0.2.1' }],
])(
  'whoever asks %s for what is nowhere has a little of it asked elsewhere, not all, and leaves others enough',
  async (_, more, headers) => {
    const blue = await startVersion('blue', [])
    const green = await startVersion('green', ['/assets/a.2.js'])
    const pools = { blue: [blue.url], green: [green.url] }
    const shop = service(pools, { skew: SKEW, sticky: false, visitor: [], split: { blue: 1_000, green: 1 } })
    const proxy = await startProxy({ workers: 1, ...more, services: { shop } })
    const agent = oneConnection()
    for (let n = 0; n < 300; n++) await ask(proxy.port, { path: '/assets/none.js', agent, headers })
    const again = blue.asked.length + green.asked.length - 300
    expect(again).toBeGreaterThanOrEqual(15)
    expect(again).toBeLessThan(100)
    const other = oneConnection({ localAddress: '127.0.0.9' })
    const get = { path: '/assets/a.2.js', agent: other, headers: { ...headers, 'X-Forwarded-For': '192.0.2.2' } }
    for (let n = 0; n < 10; n++) expect((await ask(proxy.port, get)).status).toBe(200)
  },
)

test.each([
  ['short', 10, 1],
  ['as long as is read', 65_536, 1],
  ['longer', 1_000_000, 20],
])(
  'the 404 that nobody wants is read to its end when it is %s, and its connection is used again',
  async (_, bytes, connections) => {
    const blue = await startVersion('blue', [], bytes)
    const green = await startVersion('green', ['/assets/a.2.js'])
    const proxy = await startShop({ blue: [blue], green: [green] }, { split: { blue: 1_000, green: 1 } })
    const agent = oneConnection()
    for (let n = 0; n < 20; n++) {
      expect(await ask(proxy.port, { path: '/assets/a.2.js', agent })).toMatchObject({ status: 200, body: 'green' })
    }
    expect(blue.connections.size).toBe(connections)
    expect(green.connections.size).toBe(1)
  },
)

const BROKEN = 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n'

test.each([
  ['that nobody listens for any more', async () => ({ url: `http://127.0.0.1:${await closedPort()}` })],
  ['that closes', () => startRaw((socket) => socket.destroy())],
  ['that fails', () => startAnswering(BROKEN)],
])('a version %s makes no failure of a 404, and keeps no other from being asked', async (_, start) => {
  const blue = await startVersion('blue', [])
  const grey = await startVersion('grey', ['/assets/a.0.js'])
  const broken = (await start()) as Upstream
  const more = { split: { blue: 1_000, green: 2, grey: 1 }, rescue: true }
  const proxy = await startShop({ blue: [blue], green: [broken], grey: [grey] }, more)
  for (let n = 0; n < 3; n++) expect(await told(proxy, '/assets/a.0.js')).toBe('200 grey')
  expect(await told(proxy, '/assets/none.js')).toBe('404 grey')
  await call(proxy, 'PUT', '/v1/services/shop/pools/grey/state', { state: 'standby' })
  for (let n = 0; n < 10; n++) expect(await told(proxy, '/assets/none.js')).toBe('404 blue')
  expect(await metric(proxy, 'turnout_attempts_total', 'outcome="failed"')).toBeGreaterThan(0)
  expect(await metric(proxy, 'turnout_in_flight')).toBe(0)
})

const chromium = program('chromium')

test.skipIf(chromium === null)(
  'a page that is open goes on loading its own files through a whole release',
  async () => {
    const reports: string[] = []
    const version = (number: string) =>
      startUpstream((request, response) => {
        const { pathname, search } = new URL(request.url!, 'http://shop')
        if (pathname === '/report') {
          reports.push(`${search.slice(1)} to ${number}`)
          response.end()
        } else if (pathname === '/') response.setHeader('content-type', 'text/html').end(pageOf(number))
        else if (pathname === `/assets/${number}.js`) response.end('1')
        else response.writeHead(404).end()
      })
    const proxy = await startShop({ blue: [await version('1.0')], green: [await version('1.1')] })
    const profile = temporaryFolder()
    start(chromium!, [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      `--user-data-dir=${profile}`,
      '--remote-debugging-port=0',
      proxy.url,
    ])
    const loaded = (number: string) => reports.filter((report) => report.endsWith(`to ${number}`)).length
    await until('the page loads its file', () => loaded('1.0') > 3)
    await begin(proxy, { strategy: 'all-at-once', bake: '300ms', standby: '1h' })
    await reached(proxy, 'done')
    const then = loaded('1.1')
    await until('it still does', () => loaded('1.1') > then + 10)
    expect(reports.filter((report) => !report.startsWith('200'))).toEqual([])
  },
)

/** Loads the file of its version again and again, and reports each status. */
const pageOf = (number: string) => `<script>
  setInterval(async () => {
    const { status } = await fetch('/assets/${number}.js', { cache: 'no-store' })
    await fetch('/report?' + status)
  }, 50)
</script>`
