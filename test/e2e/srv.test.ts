/** Targets of SRV records, end to end: a real name server on loopback, and targets on several of its addresses and ports. */
import type { RequestListener } from 'node:http'
import { expect, test } from 'vitest'
import { metric, targetStatus } from '../helpers/admin.ts'
import { ask } from '../helpers/ask.ts'
import { startHook } from '../helpers/hook.ts'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { addresses, namesBy, services, startNameServer, type Zone } from '../helpers/name-server.ts'
import { call, service, startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, ROLLOUTS, reached } from '../helpers/rollouts.ts'
import { startAt, startNamed } from '../helpers/upstream.ts'

const WEB = 'srv+http://_web._tcp.test'
const at = (address: string): Zone => ({ answers: addresses([address]) })
const hosts = { 'a.test': at('127.0.0.1'), 'b.test': at('127.0.0.2'), 'c.test': at('127.0.0.3') }
const records = (...texts: string[]): Zone => ({ answers: services(texts) })
const probes = { path: '/', interval: '200ms', timeout: '2s', healthyAfter: 1, unhealthyAfter: 3 }

test('a record that goes, one that comes, and one whose port changes, under load: no request fails, what is under way is finished', {
  timeout: 60_000,
}, async () => {
  const finish: (() => void)[] = []
  let probed = 0
  /** Answers at once, but for what is slow at the first; probes are not what is counted. */
  const startCounted = async (address: string, isSlow = false) => {
    let requests = 0
    const target = await startAt(address, 0, (request, response) => {
      if (request.headers['user-agent'] === 'turnout-probe') probed++
      else requests++
      if (!isSlow || request.url !== '/slow') return response.end(address)
      response.write('first ')
      finish.push(() => response.end('last'))
      return response
    })
    return { port: target.port, requests: () => requests }
  }
  const [a, b] = [await startCounted('127.0.0.1', true), await startCounted('127.0.0.2')]
  const [moved, c] = [await startCounted('127.0.0.2'), await startCounted('127.0.0.3')]
  const server = await startNameServer({
    ...hosts,
    '_web._tcp.test': records(`1 1 ${a.port} a.test`, `1 1 ${b.port} b.test`, '2 1 9 c.test'),
  })
  // By turns, since what is slow at the one would keep all others from it.
  const shop = service({ live: [WEB] }, { health: probes, sticky: false, visitor: [], balance: 'round-robin' })
  const proxy = await startProxy({ services: { shop } }, { names: namesBy(server) })
  const status = () => targetStatus(proxy, 'shop', WEB)
  const placesNow = async () => (await status()).addresses.map(({ address }) => address)
  await until('both are healthy', async () => (await status()).addresses.every(({ health }) => health === 'healthy'))
  expect(await placesNow()).toEqual([`127.0.0.1:${a.port}`, `127.0.0.2:${b.port}`])
  const slow: ReturnType<typeof ask>[] = []
  await until('one is under way where it goes', () => {
    if (finish.length === 0) slow.push(ask(proxy.port, { path: '/slow' }))
    return finish.length > 0
  })
  const load = startLoad(proxy.port, { connections: 4, pauseMs: () => PACE_MS })
  await until('both serve', () => a.requests() > 50 && b.requests() > 50)
  server.set('_web._tcp.test', records(`1 1 ${moved.port} b.test`, `1 1 ${c.port} c.test`))
  const next = [`127.0.0.2:${moved.port}`, `127.0.0.3:${c.port}`]
  await until('it is followed', async () => (await placesNow()).join() === next.join())
  await until('they are probed', async () => (await status()).addresses.every(({ health }) => health === 'healthy'))
  await until('the new ones serve', () => moved.requests() > 50 && c.requests() > 50)
  // What was decided before has come by now.
  const before = [a.requests(), b.requests()]
  await until('they serve alone', () => moved.requests() > 150 && c.requests() > 150)
  expect([a.requests(), b.requests()]).toEqual(before)
  const outcomes = await load.stop()
  expect(outcomes.filter((outcome) => outcome.status !== 200)).toEqual([])
  await until('only what is slow is under way', async () => (await status()).inFlight === finish.length)
  for (const end of finish) end()
  expect(new Set((await Promise.all(slow)).map(({ body }) => body))).toContain('first last')
  await until('nothing is under way', async () => (await status()).inFlight === 0)
  expect(probed).toBeGreaterThan(0)
  // One series of the target, whatever places it has had.
  const text = await (await fetch(proxy.admin + '/metrics')).text()
  expect(text.match(/^turnout_in_flight\{.*\}/gm)).toEqual([
    'turnout_in_flight{service="shop",pool="live",version="live-version",target="_web._tcp.test"}',
  ])
  expect(await metric(proxy, 'turnout_requests_total')).toBeGreaterThan(outcomes.length)
  const told = await call<{ target: string; address: string }>(proxy, 'POST', '/v1/explain', { url: 'http://x/' })
  expect(told.target).toBe(WEB)
  expect(next).toContain(told.address)
})

/** A target that answers its version, and notes who asks for what. */
function noting(version: string, seen: Set<string>): RequestListener {
  return (request, response) => {
    const agent = /^turnout-\w+/.exec(request.headers['user-agent'] ?? '')?.[0] ?? 'check'
    seen.add(`${agent} ${request.headers.host} ${request.url}`)
    request.resume()
    response.end(JSON.stringify({ version, built: '7' }))
  }
}

test('a rollout asks each place of a target: warm-up, smoke tests and what it answers, by the host of its record', {
  timeout: 30_000,
}, async () => {
  const [seen, one] = [new Set<string>(), '127.0.0.1']
  let version = '2.0'
  const a = await startAt(one, 0, noting('2.0', seen))
  const b = await startAt('127.0.0.2', 0, (request, response) => noting(version, seen)(request, response))
  const [hostA, hostB] = [`a.test:${a.port}`, `b.test:${b.port}`]
  const server = await startNameServer({
    ...hosts,
    '_web._tcp.test': records(`1 1 ${a.port} a.test`, `1 1 ${b.port} b.test`),
  })
  const blue = await startNamed('blue')
  const shop = service({ blue: [blue.url], green: [WEB] }, { health: probes, sticky: false, visitor: [] })
  const proxy = await startProxy({ services: { shop } }, { names: namesBy(server) })
  const gates = {
    version: '2.0',
    announces: { path: '/version', json: 'version' },
    fingerprint: { path: '/built', json: 'built' },
    warmup: { requests: [{ path: '/warm' }], rate: 200, for: '50ms', success: 1 },
    smoke: [{ path: '/smoke', json: { built: '7' } }],
  }
  const steps = [{ weight: 20, until: 'promoted' }]
  await begin(proxy, { steps, ...gates })
  expect(await reached(proxy, 'shifting', 'rolledBack')).toMatchObject({ state: 'shifting', reason: null })
  const wanted = [hostA, hostB].flatMap((host) => [
    `check ${host} /version`,
    `check ${host} /built`,
    `turnout-probe ${host} /`,
    `turnout-rollout ${host} /warm`,
    `turnout-rollout ${host} /smoke`,
  ])
  expect([...seen].toSorted()).toEqual(wanted.toSorted())
  await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
  await reached(proxy, 'rolledBack')
  // One place of the two is enough to be wrong.
  version = '1.9'
  await begin(proxy, { steps, ...gates })
  expect((await reached(proxy, 'rolledBack', 'shifting')).reason).toBe(
    `${WEB} (127.0.0.2:${b.port}) answers version "1.9", not "2.0"`,
  )
})

test('a target of SRV records is replaced as one, and is back when each of its places answers', {
  timeout: 30_000,
}, async () => {
  const first = await startAt('127.0.0.1', 0)
  let isUp = true
  let refused = 0
  const second = await startAt('127.0.0.2', 0, (_request, response) => {
    if (!isUp) refused++
    // It comes up a moment after the hook has said yes.
    if (refused > 3) isUp = true
    response.writeHead(isUp ? 200 : 503).end()
  })
  const other = await startNamed('other')
  const server = await startNameServer({
    ...hosts,
    '_web._tcp.test': records(`1 1 ${first.port} a.test`, `1 1 ${second.port} b.test`),
  })
  const hook = await startHook<{ target: string }>(({ target }) => {
    if (target === WEB) isUp = false
    return 200
  })
  const rollout = { strategy: 'rolling', advance: 'time', hooks: [{ at: 'UpdateTarget', url: hook.url }] }
  const shop = service({ blue: [WEB, other.url] }, { sticky: false, visitor: [], rollout, live: 'blue' })
  const proxy = await startProxy({ services: { shop } }, { names: namesBy(server) })
  await call(proxy, 'POST', ROLLOUTS, { to: 'blue', version: '2.0', bake: '0s' })
  expect(await reached(proxy, 'done', 'rolledBack')).toMatchObject({ state: 'done' })
  expect(hook.heard.map(({ target }) => target)).toEqual([WEB, other.url])
  expect([refused, isUp]).toEqual([4, true])
})
