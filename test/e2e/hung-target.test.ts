/**
 * A target that hangs: it reads and never answers, it is stopped, or its queue is full so that no connection opens. Its own
 * requests end at their limit; everybody else is served meanwhile.
 */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { metric, metricIs, targetAtRest, targetStatus } from '../helpers/admin.ts'
import { type ChildTarget, startChildTarget } from '../helpers/child-target.ts'
import { type Outcome, PACE_MS, startLoad } from '../helpers/load.ts'
import { service, startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startNamed, startRaw, startUpstream } from '../helpers/upstream.ts'

const failed = (outcomes: readonly Outcome[]): Outcome[] => outcomes.filter(({ status }) => status !== 200)

test('requests that hang get 504 at the limit, and others on the same target are served meanwhile', async () => {
  let hanging = 0
  const target = await startUpstream((request, response) => {
    if (request.url === '/hang') hanging++
    else response.end('well')
  })
  const timeouts = { response: '1s' }
  const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }, { timeouts }) } })
  const stuck = startLoad(proxy.port, {
    connections: 16,
    next: (_, n) => (n === 0 ? { method: 'GET', path: '/hang' } : null),
  })
  await until('all hang', () => hanging === 16)
  const others = startLoad(proxy.port, { connections: 8, pauseMs: () => PACE_MS })
  let servedBefore = 0
  await until('all have ended', () => {
    if (stuck.outcomes.length === 0) servedBefore = others.outcomes.length
    return stuck.outcomes.length === 16
  })
  // Served while every one of the others still waited: that is what "unaffected" means.
  expect(servedBefore).toBeGreaterThan(20)
  expect(stuck.outcomes.map(({ status }) => status)).toEqual(new Array(16).fill(504))
  expect(stuck.outcomes[0].head).toContain('X-Turnout-Error: upstream_timeout\r\n')
  expect(stuck.outcomes.every(({ ms }) => ms >= 900)).toBe(true)
  expect(failed(await others.stop())).toEqual([])
  // Never tried again: the target may be working on it.
  expect(hanging).toBe(16)
  expect((await targetAtRest(proxy, 'shop', target.url)).failures).toBe(16)
  await metricIs(16, proxy, 'turnout_upstream_timeouts_total')
})

test('a request that hung leaves its connection usable for the client', async () => {
  const target = await startUpstream((request, response) => {
    if (request.url !== '/hang') response.end('well')
  })
  const timeouts = { response: '300ms' }
  const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }, { timeouts }) } })
  const shots = [{ method: 'GET', path: '/hang' }, { method: 'GET' }]
  const load = startLoad(proxy.port, { connections: 1, next: (_, n) => shots[n] ?? null })
  await until('both have ended', () => load.outcomes.length === 2)
  expect(load.outcomes.map(({ status }) => status)).toEqual([504, 200])
  expect(load.outcomes[0].head).not.toMatch(/^connection: close/im)
  await metricIs(1, proxy, 'turnout_accepted_connections_total')
})

test('clients that give up are no answers of the target: a hung one is ejected though most did not wait', async () => {
  const hung = await startRaw(() => {})
  const steady = await startNamed('steady')
  const timeouts = { response: '700ms' }
  const blue = [hung.url, steady.url]
  const proxy = await startProxy({ services: { shop: service({ blue }, { timeouts, balance: 'round-robin' }) } })
  const patient = startLoad(proxy.port, { connections: 8, pauseMs: () => PACE_MS })
  const givingUp = setInterval(() => {
    const socket = net.connect(proxy.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    setTimeout(() => socket.resetAndDestroy(), 100)
  }, 10)
  onTestFinished(() => clearInterval(givingUp))
  const ejected = async () => (await targetStatus(proxy, 'shop', hung.url)).ejectedUntilMs > Date.now()
  await until('it is ejected', ejected)
  clearInterval(givingUp)
  await patient.stop()
  expect(await metric(proxy, 'turnout_aborted_total')).toBeGreaterThan(0)
  expect(await metric(proxy, 'turnout_requests_total', 'code_class="4xx"')).toBe(0)
})

test('an answer that stops half way is cut at the limit, visibly', async () => {
  const target = await startRaw((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'))
  const timeouts = { idle: '300ms' }
  const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }, { timeouts }) } })
  await expect(fetch(proxy.url).then((answer) => answer.text())).rejects.toThrow()
  expect((await targetAtRest(proxy, 'shop', target.url)).failures).toBe(1)
})

test('a stopped process is ejected after a few 504s and serves again when it runs on', async () => {
  const frozen = await startChildTarget('frozen')
  const steady = await startNamed('steady')
  const blue = [frozen.url, steady.url]
  const health = { path: '/', interval: '100ms', timeout: '300ms', healthyAfter: 1, unhealthyAfter: 2 }
  // So long that the other one answers in time on a busy machine, too.
  const timeouts = { response: '1200ms' }
  const proxy = await startProxy({ services: { shop: service({ blue }, { timeouts, health }) } })
  await until('it is healthy', async () => (await targetStatus(proxy, 'shop', frozen.url)).health === 'healthy')
  const load = startLoad(proxy.port, { pauseMs: () => PACE_MS })
  await until('both serve', () => load.outcomes.some(({ body }) => body === 'frozen'))
  frozen.child.kill('SIGSTOP')
  await until('it is out', async () => (await targetStatus(proxy, 'shop', frozen.url)).health === 'unhealthy')
  await until('what hung has ended', async () => (await targetStatus(proxy, 'shop', frozen.url)).inFlight === 0)
  // Its last 504s may still be on their way to their clients.
  const before = load.outcomes.length
  await until('they have come', () => load.outcomes.length > before + 100)
  const after = load.outcomes.length
  await until('the load goes on', () => load.outcomes.length > after + 1_000)
  expect(failed(load.outcomes.slice(after))).toEqual([])
  expect(failed(load.outcomes).every(({ status }) => status === 504)).toBe(true)
  await load.stop()
  frozen.child.kill('SIGCONT')
  // Its ejection takes ten seconds: those who ask meanwhile take their time.
  const later = startLoad(proxy.port, { connections: 8, pauseMs: () => 20 })
  const serves = () => later.outcomes.some(({ body }) => body === 'frozen')
  await until('it serves again', serves)
  expect(failed(await later.stop())).toEqual([])
})

/** A target whose queue of connections is full: it is stopped, and so many wait that the kernel answers no more. */
async function startFull(): Promise<ChildTarget> {
  const target = await startChildTarget('full', 0, 1)
  target.child.kill('SIGSTOP')
  const waiting: net.Socket[] = []
  onTestFinished(() => {
    for (const socket of waiting) socket.destroy()
  })
  for (let opened = true; opened; ) {
    const socket = net.connect(target.port, '127.0.0.1')
    waiting.push(socket)
    socket.on('error', () => {})
    opened = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      setTimeout(resolve, 500, false)
    })
  }
  return target
}

test('a target that opens no connection in time is passed over, even by POSTs', async () => {
  const full = await startFull()
  const steady = await startNamed('steady')
  const blue = [full.url, steady.url]
  const timeouts = { connect: '300ms' }
  const proxy = await startProxy({ services: { shop: service({ blue }, { timeouts, balance: 'round-robin' }) } })
  const load = startLoad(proxy.port, {
    connections: 8,
    next: (_, n) => (n < 20 ? { method: n % 2 ? 'GET' : 'POST', body: 'order=1' } : null),
  })
  await until('all are answered', () => load.outcomes.length === 160)
  expect(failed(load.outcomes)).toEqual([])
  expect(await metric(proxy, 'turnout_upstream_connect_errors_total')).toBeGreaterThan(0)
  expect(await metric(proxy, 'turnout_upstream_timeouts_total')).toBeGreaterThan(0)
  await until('nothing is in flight', async () => (await targetStatus(proxy, 'shop', full.url)).inFlight === 0)
})

test('when no target opens a connection in time the client gets 502', async () => {
  const full = await startFull()
  const timeouts = { connect: '300ms' }
  const proxy = await startProxy({ services: { shop: service({ blue: [full.url] }, { timeouts }) } })
  const answer = await fetch(proxy.url)
  expect(answer.status).toBe(502)
  expect(answer.headers.get('x-turnout-error')).toBe('upstream_connect_failed')
})
