/**
 * Targets that are names, end to end: real name servers on loopback, real targets on several of its addresses. A dead name
 * server touches nobody but the names that it alone could have answered.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { metric, metricIs, targetStatus } from '../helpers/admin.ts'
import { ask } from '../helpers/ask.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { startHook } from '../helpers/hook.ts'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { addresses, type NameServer, namesBy, startNameServer, type Zone } from '../helpers/name-server.ts'
import { program } from '../helpers/programs.ts'
import { call, service, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { ROLLOUTS, reached } from '../helpers/rollouts.ts'
import { closedPort, startAt, startNamed, startTcp } from '../helpers/upstream.ts'

const openssl = program('openssl')
const closed = { rcode: 'nxdomain' } as const
const probes = { path: '/', interval: '100ms', timeout: '1s', healthyAfter: 1, unhealthyAfter: 2 }

/** Turnout that asks this name server, and no file of the system. */
const start = (server: NameServer, config: Record<string, unknown>, keep = false): Promise<TestProxy> =>
  startProxy({ ...config }, { names: namesBy(server), keep })

const at = (list: readonly string[], ttl = 5): Zone => ({ answers: addresses(list, ttl) })
const urlOf = (name: string, port: number) => `http://${name}:${port}`
const status = (proxy: TestProxy, url: string) => targetStatus(proxy, 'shop', url)
const addressesOf = async (proxy: TestProxy, url: string) =>
  (await status(proxy, url)).addresses.map((one) => one.address)

describe('a dead name server of one service', () => {
  test('touches no other service: no request, no latency, no probe', async () => {
    const dead = Array.from({ length: 16 }, (_, n) => `dead${n}.test`)
    const server = await startNameServer({
      ...Object.fromEntries(dead.map((name) => [name, { silent: true as const }])),
      'api.test': at(['127.0.0.1']),
    })
    const target = await startNamed('api')
    const url = urlOf('api.test', target.port)
    const proxy = await start(server, {
      services: {
        shop: service({ live: [url] }, { health: probes }),
        dead: service(
          { live: dead.map((name) => urlOf(name, 80)) },
          { routes: [{ host: 'dead.test' }], health: { ...probes, interval: '1s' } },
        ),
      },
    })
    await until('it is probed', async () => (await status(proxy, url)).health === 'healthy')
    const load = startLoad(proxy.port, { connections: 4, pauseMs: () => PACE_MS })
    await until('the dead ones have failed', async () => {
      return (await metric(proxy, 'turnout_dns_failures_total', 'reason="timeout"')) >= 16
    })
    await until('there was traffic', () => load.outcomes.length > 1_000)
    const outcomes = await load.stop()
    expect(outcomes.filter((outcome) => outcome.status !== 200)).toEqual([])
    // Whoever waits for a lookup that is not answered waits for seconds.
    expect(outcomes.filter(({ ms }) => ms > 1_000).length).toBeLessThan(outcomes.length / 10)
    expect((await status(proxy, url)).health).toBe('healthy')
    // A request for the dead ones waits for no lookup; on a busy machine one of several shows it.
    await until('one is answered at once', async () => {
      const startedMs = performance.now()
      expect(await ask(proxy.port, { headers: { host: 'dead.test' } })).toMatchObject({ status: 503 })
      return performance.now() - startedMs < 500
    })
  })

  test('keeps nobody from starting or from changing anything', async () => {
    const server = await startNameServer({ 'dead.test': { silent: true }, 'api.test': at(['127.0.0.1']) })
    const target = await startNamed('api')
    const startedMs = performance.now()
    const dead = service({ live: [urlOf('dead.test', 80)] }, { routes: [{ host: 'dead.test' }] })
    const proxy = await start(server, { services: { shop: service({ live: [urlOf('api.test', target.port)] }), dead } })
    expect(performance.now() - startedMs).toBeLessThan(5_000)
    expect(await ask(proxy.port)).toMatchObject({ status: 200, body: 'api' })
    server.set('other.test', { silent: true })
    const slow = call(proxy, 'PUT', '/v1/services/other', {
      routes: [{ host: 'other.test' }],
      pools: { live: { version: '1', targets: ['http://other.test:80'] } },
      live: 'live',
    })
    let isDone = false
    void slow.then(() => {
      isDone = true
    })
    const beganMs = performance.now()
    await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { live: 7 } })
    expect(isDone).toBe(false)
    await slow
    expect(performance.now() - beganMs).toBeLessThan(3_000)
  })
})

test('whom Turnout itself asks is found by the same name servers: a hook, a chat that is told, a JWKS', async () => {
  const server = await startNameServer({ 'ci.test': at(['127.0.0.1']), 'dead.test': { silent: true } })
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const [hook, chat] = [await startHook(), await startHook()]
  const keys = await startNamed('{}')
  const byName = (url: string) => url.replace('127.0.0.1', 'ci.test')
  const rollout = {
    advance: 'time',
    bake: '0s',
    step: { for: '0s' },
    steps: [100],
    hooks: [{ at: 'BeforeAllowTraffic', url: byName(hook.url) }],
    notify: [{ url: byName(chat.url) }, { url: 'http://dead.test/' }],
  }
  const shop = service({ blue: [blue.url], green: [green.url] }, { rollout })
  const proxy = await start(server, { services: { shop }, jwt: { jwks: byName(keys.url) } })
  await call(proxy, 'POST', ROLLOUTS, { to: 'green' })
  expect(await reached(proxy, 'done', 'rolledBack')).toMatchObject({ state: 'done' })
  expect(hook.heard).toHaveLength(1)
  await until('the chat was told', () => chat.heard.length === 1)
  const fault = async () => (await call<{ lookups: { fault: string }[] }>(proxy, 'GET', '/v1/status')).lookups[0].fault
  await until('the keys were fetched', async () => (await fault()) === 'is no set of keys (JWKS)')
})

describe('a name with several addresses', () => {
  const three = ['127.0.0.1', '127.0.0.2', '127.0.0.3']

  test('has one dead: requests go to the others, it alone is unhealthy or ejected, and it is one series', async () => {
    const one = await startAt(three[0], 0)
    const two = await startAt(three[1], one.port)
    const server = await startNameServer({ 'api.test': at(three) })
    const url = urlOf('api.test', one.port)
    const proxy = await start(server, { services: { shop: service({ live: [url] }) } })
    expect(await addressesOf(proxy, url)).toEqual(three)
    const load = startLoad(proxy.port, { connections: 4, pauseMs: () => PACE_MS })
    await until('the dead one is ejected', async () => {
      return (await status(proxy, url)).addresses.some(({ ejectedUntilMs }) => ejectedUntilMs > 0)
    })
    await until('both others serve', () => one.requests() > 100 && two.requests() > 100)
    const outcomes = await load.stop()
    expect(outcomes.filter((outcome) => outcome.status !== 200)).toEqual([])
    // The worker may still be about to count the last answers when their clients have them.
    await until('all is counted', async () => (await status(proxy, url)).requests === outcomes.length)
    const seen = await status(proxy, url)
    expect(seen.addresses.filter(({ ejectedUntilMs }) => ejectedUntilMs > 0).map(({ address }) => address)).toEqual([
      three[2],
    ])
    expect(seen).toMatchObject({ ejectedUntilMs: 0, reason: null })
    const text = await (await fetch(proxy.admin + '/metrics')).text()
    expect(text.match(/^turnout_in_flight\{.*\}/gm)).toEqual([
      `turnout_in_flight{service="shop",pool="live",version="live-version",target="api.test:${one.port}"}`,
    ])
    await metricIs(outcomes.length, proxy, 'turnout_requests_total')
  })

  test('is probed at each of them, by its name', async () => {
    const hosts = new Set<string>()
    const one = await startAt(three[0], 0, (request, response) => {
      hosts.add(request.headers.host ?? '')
      response.end()
    })
    const server = await startNameServer({ 'api.test': at(three.slice(0, 2)) })
    const url = urlOf('api.test', one.port)
    const proxy = await start(server, { services: { shop: service({ live: [url] }, { health: probes }) } })
    await until('both are probed', async () => {
      const [first, second] = (await status(proxy, url)).addresses
      return first.health === 'healthy' && second.health === 'unhealthy'
    })
    expect((await status(proxy, url)).health).toBe('healthy')
    expect(hosts).toEqual(new Set([`api.test:${one.port}`]))
    const { events } = await call<{ events: { message: string }[] }>(proxy, 'GET', '/v1/events?follow=false')
    expect(events.map(({ message }) => message).join('\n')).toContain(
      `${url} (127.0.0.2) in pool live of shop is unhealthy`,
    )
  })

  test('is drained at all of them by one word', async () => {
    const one = await startAt(three[0], 0)
    await startAt(three[1], one.port)
    const other = await startNamed('other')
    const server = await startNameServer({ 'api.test': at(three.slice(0, 2)) })
    const url = urlOf('api.test', one.port)
    const proxy = await start(server, { services: { shop: service({ live: [url, other.url] }) } })
    await call(proxy, 'PUT', `/v1/services/shop/pools/live/targets/api.test:${one.port}/state`, { state: 'standby' })
    for (let n = 0; n < 30; n++) expect((await ask(proxy.port)).body).toBe('other')
  })
})

describe('a name that moves', () => {
  test('is followed within its TTL; what is under way at the old address is finished', {
    timeout: 30_000,
  }, async () => {
    let finish = () => {}
    const old = await startAt('127.0.0.1', 0, (request, response) => {
      if (request.url !== '/slow') return response.setHeader('x-name', 'old').end('old')
      response.write('first ')
      finish = () => response.end('last')
      return response
    })
    const next = await startAt('127.0.0.2', old.port)
    const server = await startNameServer({ 'api.test': at(['127.0.0.1']) })
    const url = urlOf('api.test', old.port)
    const proxy = await start(server, { services: { shop: service({ live: [url] }) } })
    const load = startLoad(proxy.port, { connections: 2, pauseMs: () => PACE_MS })
    const slow = ask(proxy.port, { path: '/slow' })
    await until('it is under way', async () => (await status(proxy, url)).inFlight > 0)
    await until('it has begun', () => finish.toString() !== '() => {}')
    const movedMs = performance.now()
    server.set('api.test', at(['127.0.0.2']))
    await until('it is followed', async () => (await addressesOf(proxy, url)).join() === '127.0.0.2')
    expect(performance.now() - movedMs).toBeLessThan(8_000)
    const before = old.requests()
    await until('requests go there', () => next.requests() > 100)
    expect(old.requests()).toBe(before)
    const outcomes = await load.stop()
    expect(outcomes.filter((outcome) => outcome.status !== 200)).toEqual([])
    finish()
    expect((await slow).body).toBe('first last')
    await until('all is counted', async () => (await status(proxy, url)).inFlight === 0)
    // Its sums have not fallen with the address that has gone.
    const count = () => metric(proxy, 'turnout_requests_total')
    await until('all is told', async () => (await count()) === outcomes.length + 1)
  })

  test('when a rolling release replaces it is followed before its TTL is over', async () => {
    let isGone = false
    // It keeps its port: the server of another test would get it, and be taken for this one.
    const old = await startAt('127.0.0.1', 0, (request, response) => {
      if (isGone) request.socket.destroy()
      else response.end()
    })
    const next = await startAt('127.0.0.2', old.port)
    const other = await startNamed('other')
    const server = await startNameServer({ 'api.test': at(['127.0.0.1'], 60) })
    const url = urlOf('api.test', old.port)
    const hook = await startHook<{ target: string }>(async ({ target }) => {
      if (target !== url) return 200
      isGone = true
      server.set('api.test', at(['127.0.0.2'], 60))
      return 200
    })
    const rollout = { strategy: 'rolling', advance: 'time', hooks: [{ at: 'UpdateTarget', url: hook.url }] }
    const shop = service({ blue: [url, other.url] }, { sticky: false, rollout, live: 'blue' })
    const proxy = await start(server, { services: { shop } })
    await call(proxy, 'POST', ROLLOUTS, { to: 'blue', version: '2.0', bake: '0s' })
    expect(await reached(proxy, 'done', 'rolledBack')).toMatchObject({ state: 'done' })
    // The table follows a moment after the lookup, and half a minute before its TTL is over.
    const place = async () => (await status(proxy, url)).addresses
    await expect.poll(place, { timeout: 30_000 }).toMatchObject([{ address: '127.0.0.2' }])
    await until('the new one is asked', () => next.requests() >= 2)
  })

  test('and fails from then on stays where it was, and says so', async () => {
    const target = await startNamed('api')
    const server = await startNameServer({ 'api.test': at(['127.0.0.1']) })
    const url = urlOf('api.test', target.port)
    const proxy = await start(server, { services: { shop: service({ live: [url] }, { health: probes }) } })
    await until('it is probed', async () => (await status(proxy, url)).health === 'healthy')
    server.set('api.test', closed)
    await until('it has failed', async () => (await status(proxy, url)).reason !== null)
    expect(await status(proxy, url)).toMatchObject({
      health: 'healthy',
      reason: 'the name cannot be resolved: there is no such name',
      addresses: [{ address: '127.0.0.1', health: 'healthy' }],
    })
    expect(await ask(proxy.port)).toMatchObject({ status: 200 })
    const { events } = await call<{ events: { type: string; message: string }[] }>(
      proxy,
      'GET',
      '/v1/events?follow=false',
    )
    expect(events.filter(({ type }) => type === 'name').map(({ message }) => message)).toEqual([
      'api.test cannot be resolved: there is no such name; 127.0.0.1 stays in use',
    ])
    await metricIs(1, proxy, 'turnout_dns_names_failing')
  })
})

describe('a name without an address', () => {
  test('is refused at once and says why; it serves as soon as it has one', async () => {
    const target = await startNamed('api')
    const server = await startNameServer({})
    const url = urlOf('api.test', target.port)
    const proxy = await start(server, { services: { shop: service({ live: [url] }) } })
    const answer = await ask(proxy.port)
    expect(answer).toMatchObject({ status: 503, headers: { 'x-turnout-error': 'no_healthy_target' } })
    expect(await status(proxy, url)).toMatchObject({
      health: 'unhealthy',
      reason: 'the name cannot be resolved: there is no such name',
      addresses: [],
    })
    const told = async () => {
      const { events } = await call<{ events: { type: string; message: string }[] }>(
        proxy,
        'GET',
        '/v1/events?follow=false',
      )
      return events.filter(({ type }) => type === 'name').map(({ message }) => message)
    }
    const failed = 'api.test cannot be resolved: there is no such name; it has no address'
    expect(await told()).toEqual([failed])
    server.set('api.test', at(['127.0.0.1']))
    await until('it serves', async () => (await ask(proxy.port)).status === 200)
    expect(await told()).toEqual([failed, 'api.test is at 127.0.0.1'])
  })

  test('hands over to a pool that has one', async () => {
    const target = await startNamed('green')
    const server = await startNameServer({})
    const pools = { blue: ['http://api.test:80'], green: [target.url] }
    const proxy = await start(server, { services: { shop: service(pools, { failover: ['green'] }) } })
    expect(await ask(proxy.port)).toMatchObject({ status: 200, body: 'green' })
    await expect(call(proxy, 'POST', '/v1/services/shop/switch', { to: 'blue', wait: '0s' })).rejects.toThrow()
  })

  test('is what a restart without a name server finds, and nothing of it is kept', async () => {
    const target = await startNamed('api')
    const plain = await startNamed('plain')
    const server = await startNameServer({ 'api.test': at(['127.0.0.1']) })
    const store = `sqlite:${join(temporaryFolder(), 'turnout.db')}`
    const services = {
      shop: service({ live: [urlOf('api.test', target.port)] }),
      plain: service({ live: [plain.url] }, { routes: [{ host: 'plain.test' }] }),
    }
    const before = await start(server, { store, services }, true)
    expect(await ask(before.port)).toMatchObject({ status: 200 })
    await before.close()
    await server.close()
    const after = await start(server, { store, services })
    expect(await ask(after.port)).toMatchObject({ status: 503 })
    expect(await ask(after.port, { headers: { host: 'plain.test' } })).toMatchObject({ status: 200, body: 'plain' })
  })
})

test('of a name with very many addresses 64 are used, and it is said how many are not', {
  timeout: 30_000,
}, async () => {
  const many = Array.from({ length: 300 }, (_, n) => `127.1.${n >> 8}.${n & 255}`)
  const server = await startNameServer({ 'big.test': { ...at(many), truncated: true } })
  const url = urlOf('big.test', 80)
  const proxy = await start(server, { services: { shop: service({ live: [url] }) } })
  expect(await status(proxy, url)).toMatchObject({
    reason: 'the name has 236 more addresses than the 64 that are used',
    health: 'unknown',
  })
  expect(await addressesOf(proxy, url)).toHaveLength(64)
  await metricIs(236, proxy, 'turnout_dns_addresses_unused')
})

describe('both families of addresses', () => {
  test.each([
    ['::1', 'IPv6'],
    ['127.0.0.1', 'IPv4'],
  ])('localhost is found where the target listens: at %s', async (address) => {
    // At the other address that port is nobody's.
    const target = await startAt(address, await closedPort())
    const server = await startNameServer({})
    const url = urlOf('localhost', target.port)
    const proxy = await start(server, { services: { shop: service({ live: [url] }, { health: probes }) } })
    await until('it is probed', async () => (await status(proxy, url)).health === 'healthy')
    for (let n = 0; n < 5; n++) expect(await ask(proxy.port)).toMatchObject({ status: 200, body: address })
    expect((await status(proxy, url)).addresses).toMatchObject([{ address: '127.0.0.1', alternate: '::1' }])
    expect(await metric(proxy, 'turnout_upstream_connect_errors_total')).toBe(0)
  })

  test('a name with IPv6 only is served', async () => {
    const target = await startAt('::1', 0)
    const server = await startNameServer({ 'six.test': at(['::1']) })
    const proxy = await start(server, { services: { shop: service({ live: [urlOf('six.test', target.port)] }) } })
    expect(await ask(proxy.port)).toMatchObject({ status: 200, body: '::1' })
  })

  test('a body that is read from the second of two addresses is whole', async () => {
    const target = await startAt('::1', await closedPort(), (_request, response) => response.end('x'.repeat(300_000)))
    const server = await startNameServer({ 'both.test': at(['127.0.0.1', '::1']) })
    const proxy = await start(server, { services: { shop: service({ live: [urlOf('both.test', target.port)] }) } })
    expect((await ask(proxy.port)).body).toHaveLength(300_000)
  })
})

test.skipIf(openssl === null)('over TLS the certificate is checked for the name, not for the address', async () => {
  // Whether this process trusts it is not the question; which name it asks for is.
  const names: string[] = []
  const { cert, key } = makeCertificate(openssl!, temporaryFolder(), 'DNS:api.test')
  const { createSecureContext, TLSSocket } = await import('node:tls')
  const target = await startTcp((socket) => {
    const secure = new TLSSocket(socket, {
      isServer: true,
      secureContext: createSecureContext({ cert, key }),
      SNICallback: (name, done) => {
        names.push(name)
        done(null)
      },
    })
    secure.on('error', () => {})
  })
  const server = await startNameServer({ 'api.test': at(['127.0.0.1']) })
  const proxy = await start(server, { services: { shop: service({ live: [`https://api.test.:${target.port}`] }) } })
  expect((await ask(proxy.port)).status).toBe(502)
  expect(new Set(names)).toEqual(new Set(['api.test']))
})
