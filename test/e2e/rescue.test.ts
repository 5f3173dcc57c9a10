/** What a new version fails is answered by another pool, and stays the failure of the new version. */
import type { RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { metric, metricIs } from '../helpers/admin.ts'
import { type Answer, ask } from '../helpers/ask.ts'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { current, ROLLOUTS } from '../helpers/rollouts.ts'
import { closedPort, startNamed, startRaw, startUpstream, type Upstream } from '../helpers/upstream.ts'

const TO_GREEN = { 'x-green': '1' }
const RULES = [{ name: 'staff', when: { header: TO_GREEN }, to: 'green' }]

/** A shop whose blue pool has all weight; whoever asks for green by a header gets it. */
async function startShop(green: readonly Upstream[], more: object = {}): Promise<TestProxy> {
  const pools = { blue: [(await startNamed('blue')).url], green: green.map(({ url }) => url) }
  return startProxy({ services: { shop: service(pools, { rules: RULES, rescue: true, ...more }) } })
}

const status = (code: number) => startUpstream((_, response) => response.writeHead(code).end('green'))
const toGreen = (proxy: TestProxy, asking: Parameters<typeof ask>[1] = {}): Promise<Answer> =>
  ask(proxy.port, { ...asking, headers: { ...TO_GREEN, ...asking.headers } })

/** A blue that keeps the bodies that it gets. */
async function startKeeping(): Promise<Upstream & { readonly bodies: readonly string[] }> {
  const bodies: string[] = []
  const upstream = await startUpstream((request, response) => {
    let body = ''
    request.on('data', (piece: Buffer) => (body += piece))
    request.on('end', () => {
      bodies.push(body)
      response.end('blue')
    })
  })
  return { ...upstream, bodies }
}

const HALF_HEAD = 'HTTP/1.1 200 OK\r\nContent-Le'
const KINDS: Record<string, () => Promise<Upstream>> = {
  'refuses connections': async () => ({
    url: `http://127.0.0.1:${await closedPort()}`,
    port: 0,
    close: async () => {},
  }),
  'resets them': () => startRaw((socket) => socket.resetAndDestroy()),
  'closes them without an answer': () => startRaw((socket) => socket.end()),
  'closes them in the head of its answer': () => startRaw((socket) => socket.end(HALF_HEAD)),
  'speaks no HTTP': () => startRaw((socket) => socket.end('nonsense\r\n\r\n')),
  'says 502': () => status(502),
  'says 503': () => status(503),
  'says 103 and then 503': () =>
    startRaw((socket) =>
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n'),
    ),
  'never answers': () => startRaw(() => {}),
}

test.each(Object.keys(KINDS))('a GET is answered by the live pool when the new version %s', async (kind) => {
  const green = await KINDS[kind]()
  const proxy = await startShop([green], { timeouts: { response: '300ms' } })
  expect(await toGreen(proxy)).toMatchObject({ status: 200, body: 'blue' })
  await metricIs(1, proxy, 'turnout_attempts_total', 'outcome="failed"')
  await metricIs(1, proxy, 'turnout_rescued_total', 'pool="blue"')
  expect(await metric(proxy, 'turnout_in_flight')).toBe(0)
  // The next is answered on the connection that was kept.
  expect(await toGreen(proxy)).toMatchObject({ status: 200, body: 'blue' })
})

test.each([
  ['a POST', 503, { method: 'POST', body: 'a' }, 503],
  ['a POST with a key', 200, { method: 'POST', body: 'a', headers: { 'Idempotency-Key': 'k-1' } }, 503],
  ['a PUT', 200, { method: 'PUT', body: 'x'.repeat(65_536) }, 503],
  ['a PUT of more than is kept', 503, { method: 'PUT', body: 'x'.repeat(65_537) }, 503],
  ['a DELETE', 200, { method: 'DELETE' }, 503],
  ['a GET that is answered by a status that is none of these', 500, { method: 'GET' }, 500],
  ['a GET that is answered by 404', 404, { method: 'GET' }, 404],
] as const)('%s gets %i', async (_, told, asking, code) => {
  const { bodies, ...blue } = await startKeeping()
  const green = await startUpstream((request, response) => {
    request.resume()
    request.on('end', () => response.writeHead(code).end())
  })
  const shop = service({ blue: [blue.url], green: [green.url] }, { rules: RULES, rescue: true })
  const proxy = await startProxy({ services: { shop } })
  expect((await toGreen(proxy, asking)).status).toBe(told)
  expect(bodies).toEqual(told === 200 ? ['body' in asking ? asking.body : ''] : [])
})

test('a POST without a key is answered by the live pool when nothing of it was sent', async () => {
  const proxy = await startShop([await KINDS['refuses connections']()])
  expect(await toGreen(proxy, { method: 'POST', body: 'a' })).toMatchObject({ status: 200, body: 'blue' })
})

test('which statuses, and how large a body, can be said', async () => {
  const proxy = await startShop([await status(500)], { rescue: { status: [500], bodyBytesMax: 10 } })
  expect((await toGreen(proxy)).status).toBe(200)
  expect((await toGreen(proxy, { method: 'PUT', body: 'x'.repeat(10_000) })).status).toBe(500)
})

test('a worker keeps bodies up to its limit, and counts those that it does not keep', async () => {
  const held: Array<() => void> = []
  const green = await startUpstream((request, response) => {
    request.resume()
    held.push(() => response.writeHead(503).end())
  })
  const pools = { blue: [(await startNamed('blue')).url], green: [green.url] }
  const shop = service(pools, { rules: RULES, rescue: true })
  const proxy = await startProxy({ limits: { keptBytesMax: 100_000 }, services: { shop } })
  const put = () => toGreen(proxy, { method: 'PUT', body: 'x'.repeat(60_000) })
  const first = put()
  await until('it is there', () => held.length === 1)
  const second = put()
  await until('both are', () => held.length === 2)
  for (const end of held) end()
  expect([(await first).status, (await second).status]).toEqual([200, 503])
  await metricIs(1, proxy, 'turnout_bodies_not_kept_total')
  // What was kept is given back.
  const third = put()
  await until('it is there, too', () => held.length === 3)
  held[2]()
  expect((await third).status).toBe(200)
})

test('without another pool that is well the client gets the answer that there is', async () => {
  const shop = service(
    { blue: [`http://127.0.0.1:${await closedPort()}`], green: [(await status(503)).url] },
    {
      rules: RULES,
      rescue: true,
      failover: [],
    },
  )
  const proxy = await startProxy({ services: { shop } })
  expect(await toGreen(proxy)).toMatchObject({ status: 503, body: 'green' })
})

test('by default only what a rollout judges is rescued, and never with rescue: false', async () => {
  const proxy = await startShop([await status(503)], { rescue: undefined })
  expect((await toGreen(proxy)).status).toBe(503)
  const off = await startShop([await status(503)], { rescue: false })
  const steps = [{ weight: 1, until: 'promoted', for: '1h' }]
  for (const each of [proxy, off]) {
    await call(each, 'POST', ROLLOUTS, { to: 'green', strategy: 'canary', steps })
    await until('it is tried', async () => (await current(each)).weight === 1)
  }
  expect((await toGreen(proxy)).status).toBe(200)
  expect((await toGreen(off)).status).toBe(503)
})

test('a version that fails all is rolled back: no client has seen a failed GET, and none a failed POST from then on', async () => {
  const fail: RequestListener = (_, response) => response.writeHead(503, { 'content-length': 0 }).end()
  const pools = { blue: [(await startNamed('blue')).url], green: [(await startUpstream(fail)).url] }
  const proxy = await startProxy({ services: { shop: service(pools, { sticky: false, visitor: [] }) } })
  const next = (_: number, n: number) => ({ method: n % 4 === 0 ? 'POST' : 'GET' })
  const load = startLoad(proxy.port, { connections: 16, pauseMs: () => PACE_MS, next })
  const steps = [{ weight: 10, until: 'promoted', for: '1h' }]
  await call(proxy, 'POST', ROLLOUTS, { to: 'green', strategy: 'canary', steps })
  await until('it is back', async () => (await current(proxy)).state === 'rolledBack')
  // What was under way then may still end.
  const ended = load.outcomes.length + 16
  await until('there is some more', () => load.outcomes.length > ended + 300)
  const { verdict, harm } = await current(proxy)
  expect(verdict!.canary.failed).toBeGreaterThanOrEqual(3)
  const failed = (await load.stop()).flatMap(({ method, status }, at) => (status === 200 ? [] : [{ method, at }]))
  expect(new Set(failed.map(({ method }) => method)).difference(new Set(['POST']))).toEqual(new Set())
  // What was still under way when it was decided is not in the account.
  expect(harm.failed).toBeLessThanOrEqual(failed.length)
  // A few, by their share and the ten answers or so that a verdict takes, and none from the rollback on.
  expect(failed.length).toBeLessThan(20)
  expect(failed.filter(({ at }) => at >= ended)).toEqual([])
})

test.each(['says 503', 'refuses connections'])(
  'a new version that %s answers for those whom nobody had room for in time',
  async (kind) => {
    const busy: ServerResponse[] = []
    const blue = await startUpstream((_, response) => void busy.push(response))
    const pools = { blue: [blue.url], green: [(await KINDS[kind]()).url] }
    const capacity = { requestsPerTarget: 1, queue: { for: '200ms' } }
    const proxy = await startProxy({ services: { shop: service(pools, { sticky: false, visitor: [], capacity }) } })
    const steps = [{ weight: 50, until: 'promoted', for: '1h' }]
    await call(proxy, 'POST', ROLLOUTS, { to: 'green', strategy: 'canary', steps })
    await until('it has its share', async () => (await current(proxy)).weight === 50)
    // The first at blue stays there; all others wait in vain, those that green has failed among them.
    let refused = 0
    const answers = Array.from({ length: 9 }, async () => {
      const { status } = await ask(proxy.port, { method: 'GET', path: '/' })
      if (status === 503) refused++
    })
    await until('all but one are refused', () => refused === 8)
    await until('it is counted', async () => (await current(proxy)).harm.failed >= 4)
    for (const response of busy) response.end()
    await Promise.all(answers)
  },
)

test('a new version answers, too, where the live pool has no connection left for what it has failed', async () => {
  const busy: ServerResponse[] = []
  const blue = await startUpstream((_, response) => void busy.push(response))
  const pools = { blue: [blue.url], green: [(await status(503)).url] }
  const proxy = await startProxy({
    services: { shop: service(pools, { sticky: false, visitor: [], rules: RULES }) },
    limits: { upstreamConnectionsMax: 1 },
  })
  const steps = [{ weight: 1, until: 'promoted', for: '1h' }]
  await call(proxy, 'POST', ROLLOUTS, { to: 'green', strategy: 'canary', steps })
  await until('it is tried', async () => (await current(proxy)).weight === 1)
  const first = ask(proxy.port)
  await until('blue is busy', () => busy.length === 1)
  expect((await toGreen(proxy)).status).toBe(503)
  await until('it is counted', async () => (await current(proxy)).harm.failed === 1)
  busy[0].end()
  expect((await first).status).toBe(200)
})

test('what the live pool fails is not given to the new version', async () => {
  const green = await startNamed('green')
  const blue = await status(503)
  const shop = service(
    { blue: [blue.url], green: [green.url] },
    { rules: RULES, rescue: true, split: { blue: 9, green: 1 } },
  )
  const proxy = await startProxy({ services: { shop } })
  const statuses = await Promise.all(Array.from({ length: 20 }, () => ask(proxy.port).then((answer) => answer.status)))
  expect(new Set(statuses)).toEqual(new Set([200, 503]))
  expect(await metric(proxy, 'turnout_retries_total', 'reason="rescue"')).toBe(0)
})

test('a body that comes while its request is moved arrives whole', async () => {
  const { bodies, ...blue } = await startKeeping()
  // It answers at once, before the body has come.
  const green = await startRaw((socket: Socket) => socket.write('HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n'))
  const shop = service({ blue: [blue.url], green: [green.url] }, { rules: RULES, rescue: true })
  const proxy = await startProxy({ services: { shop } })
  const answer = toGreen(proxy, { method: 'PUT', body: 'abcdefghij'.repeat(2_000) })
  expect(await answer).toMatchObject({ status: 200, body: 'blue' })
  expect(bodies).toEqual(['abcdefghij'.repeat(2_000)])
})
