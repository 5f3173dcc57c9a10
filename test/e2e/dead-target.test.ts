/**
 * A target that dies, in every way that a target can: killed under load, resetting, closing at once, not listening. What a
 * client may see of it: nothing for requests that may be repeated, and a 502 for what had been sent and may not.
 */
import { expect, test } from 'vitest'
import { metric, metricIs, targetStatus } from '../helpers/admin.ts'
import { bulk } from '../helpers/bulk.ts'
import { startChildTarget } from '../helpers/child-target.ts'
import { type Outcome, PACE_MS, type Shot, startLoad } from '../helpers/load.ts'
import { service, startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort, startNamed, startRaw } from '../helpers/upstream.ts'

const SHOTS: readonly Shot[] = [
  { method: 'GET' },
  { method: 'HEAD' },
  { method: 'POST', body: 'order=1' },
  { method: 'PUT' },
  { method: 'DELETE' },
  { method: 'PUT', body: 'whole' },
]
/** Answers that show that a target takes part. */
const SOME = bulk(150, 500)
const mixed = (connection: number, n: number): Shot => SHOTS[(connection + n) % SHOTS.length]
const failed = (outcomes: readonly Outcome[]): Outcome[] => outcomes.filter(({ status }) => status !== 200)
const isBy = (name: string) => {
  const line = `x-name: ${name}\r\n`
  return ({ head }: Outcome): boolean => head.includes(line)
}
const namedIn = (outcomes: readonly Outcome[], name: string): number => outcomes.filter(isBy(name)).length
const twoTargets = (a: string, b: string, more = {}) => ({ shop: service({ blue: [a, b] }, more) })

test('a target killed under load is noticed by nobody but POSTs in flight at it, and serves again when it is back', async () => {
  const doomed = await startChildTarget('doomed')
  const steady = await startChildTarget('steady')
  const health = { path: '/', interval: '100ms', timeout: '1s', healthyAfter: 1, unhealthyAfter: 2 }
  const proxy = await startProxy({ workers: 2, services: twoTargets(doomed.url, steady.url, { health }) })
  await until('both are healthy', async () => (await targetStatus(proxy, 'shop', steady.url)).health === 'healthy')
  await until('both are healthy', async () => (await targetStatus(proxy, 'shop', doomed.url)).health === 'healthy')

  const load = startLoad(proxy.port, { connections: bulk(16, 32), next: mixed, pauseMs: () => PACE_MS })
  await until('both serve', () => Math.min(namedIn(load.outcomes, 'doomed'), namedIn(load.outcomes, 'steady')) > SOME)
  await doomed.kill()
  const atKill = load.outcomes.length
  await until('the load goes on', () => load.outcomes.length > atKill + 4 * SOME)
  await until('probes have noticed', async () => (await targetStatus(proxy, 'shop', doomed.url)).health === 'unhealthy')

  await startChildTarget('risen', doomed.port)
  await until('probes have noticed', async () => (await targetStatus(proxy, 'shop', doomed.url)).health === 'healthy')
  await until('it serves again', () => load.outcomes.slice(-100).some(isBy('risen')))
  const atRise = load.outcomes.length
  await until('it serves on', () => namedIn(load.outcomes.slice(atRise), 'risen') > 100)
  const outcomes = await load.stop()

  const lost = failed(outcomes)
  expect(lost.filter(({ method, status }) => method !== 'POST' || status !== 502)).toEqual([])
  // Each connection has at most one request in flight, so at most one of each can be lost.
  expect(new Set(lost.map(({ connection }) => connection)).size).toBe(lost.length)
  expect(namedIn(outcomes, 'steady')).toBeGreaterThan(2 * SOME)
  // The worker may still be about to count the last answer when its client has it.
  await until('nothing is in flight', async () => (await targetStatus(proxy, 'shop', doomed.url)).inFlight === 0)
})

test('a target that is gone is ejected by what the traffic shows, without any probe', async () => {
  const doomed = await startChildTarget('doomed')
  const steady = await startNamed('steady')
  const proxy = await startProxy({ services: twoTargets(doomed.url, steady.url) })
  const load = startLoad(proxy.port, { connections: 8, pauseMs: () => PACE_MS })
  await until('both serve', () => namedIn(load.outcomes, 'doomed') > 20)
  await doomed.kill()
  const ejected = async () => (await targetStatus(proxy, 'shop', doomed.url)).ejectedUntilMs > Date.now()
  await until('it is ejected', ejected)
  expect((await targetStatus(proxy, 'shop', steady.url)).ejectedUntilMs).toBe(0)
  // Requests that were decided before may still be on their way to it.
  const atEjection = load.outcomes.length
  await until('those are over', () => load.outcomes.length > atEjection + 50)
  const errorsBefore = await metric(proxy, 'turnout_upstream_connect_errors_total')
  const before = load.outcomes.length
  await until('the load goes on', () => load.outcomes.length > before + SOME)
  expect(await ejected()).toBe(true)
  await metricIs(errorsBefore, proxy, 'turnout_upstream_connect_errors_total')
  expect(failed(await load.stop())).toEqual([])
})

test('a target that resets every connection as the request comes costs only POSTs', async () => {
  const resetting = await startRaw((socket) => socket.resetAndDestroy())
  const steady = await startNamed('steady')
  const proxy = await startProxy({ services: twoTargets(resetting.url, steady.url) })
  const load = startLoad(proxy.port, { connections: 8, next: mixed })
  await until('it was tried', () => resetting.connections() >= 3 && load.outcomes.length > 2 * SOME)
  const lost = failed(await load.stop())
  expect(lost.filter(({ method, status }) => method !== 'POST' || status !== 502)).toEqual([])
  expect(lost.every(({ head }) => head.includes('X-Turnout-Error: upstream_closed\r\n'))).toBe(true)
})

test('a target that accepts and closes at once costs only POSTs', async () => {
  const closing = await startRaw(
    () => {},
    (socket) => socket.destroy(),
  )
  const steady = await startNamed('steady')
  const proxy = await startProxy({ services: twoTargets(closing.url, steady.url) })
  const load = startLoad(proxy.port, { connections: 8, next: mixed })
  await until('it was tried', () => closing.connections() >= 3 && load.outcomes.length > 2 * SOME)
  const lost = failed(await load.stop())
  expect(lost.filter(({ method, status }) => method !== 'POST' || status !== 502)).toEqual([])
})

test('a target that fails only what another makes good is ejected all the same', async () => {
  const closing = await startRaw(
    () => {},
    (socket) => socket.destroy(),
  )
  const steady = await startNamed('steady')
  const proxy = await startProxy({ services: twoTargets(closing.url, steady.url) })
  const load = startLoad(proxy.port, { connections: 4, pauseMs: () => PACE_MS })
  const ejected = async () => (await targetStatus(proxy, 'shop', closing.url)).ejectedUntilMs > Date.now()
  await until('it is ejected', ejected)
  expect(failed(await load.stop())).toEqual([])
  // The worker may still be about to count the last one when its client has the answer.
  await expect.poll(() => metric(proxy, 'turnout_rescued_total')).toBeGreaterThanOrEqual(5)
})

test('a target that begins to close every connection, old and new, is not noticed by a GET', async () => {
  // As behind a port forwarder whose process has died: the first try fails on an old connection, a fresh one would too.
  // Four times at most, so that it is not ejected and each round finds it serving.
  let closings = 0
  const faltering = await startRaw((socket) => {
    if (closings > 0) {
      closings--
      socket.destroy()
    } else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  const steady = await startNamed('steady')
  const proxy = await startProxy({ services: twoTargets(faltering.url, steady.url) })
  const load = startLoad(proxy.port, { connections: 16, pauseMs: () => PACE_MS })
  for (let round = 0; round < bulk(8, 20); round++) {
    const before = load.outcomes.length
    await until('both serve', () => load.outcomes.slice(before).filter(({ body }) => body === 'ok').length > 20)
    closings = 4
    await until('the load goes on', () => closings === 0 && load.outcomes.length > before + 100)
  }
  expect(failed(await load.stop())).toEqual([])
})

test('an old connection that closes beside a target that is gone is not noticed either', async () => {
  const forgetful = await startRaw((socket, text) => {
    if (text.split('\r\n\r\n').length === 2) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    else socket.destroy()
  })
  const gone = `http://127.0.0.1:${await closedPort()}`
  const proxy = await startProxy({ services: twoTargets(forgetful.url, gone) })
  const load = startLoad(proxy.port, { connections: 4, next: (_, n) => (n < 50 ? { method: 'GET' } : null) })
  await until('all are answered', () => load.outcomes.length === 200)
  expect(failed(await load.stop())).toEqual([])
  expect(await metric(proxy, 'turnout_retries_total', 'reason="stale"')).toBeGreaterThan(10)
})

test('behind a closed port nothing was sent, so even POSTs go to another target', async () => {
  const steady = await startNamed('steady')
  const gone = `http://127.0.0.1:${await closedPort()}`
  const proxy = await startProxy({ services: twoTargets(gone, steady.url) })
  const load = startLoad(proxy.port, { connections: 8, next: () => ({ method: 'POST', body: 'order=1' }) })
  await until('it was tried', async () => (await metric(proxy, 'turnout_retries_total', 'reason="connect"')) >= 3)
  await until('enough requests', () => load.outcomes.length > 500)
  const outcomes = await load.stop()
  expect(failed(outcomes)).toEqual([])
  expect(steady.requests()).toBe(outcomes.length)
})

test('a POST whose body is still on its way goes to another target when the first refuses', async () => {
  const bodies: string[] = []
  const steady = await startRaw((socket, text) => {
    if (!text.endsWith('0\r\n\r\n')) return
    bodies.push(text.slice(text.indexOf('\r\n\r\n', text.lastIndexOf('POST /'))))
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })
  const gone = `http://127.0.0.1:${await closedPort()}`
  const proxy = await startProxy({ services: twoTargets(gone, steady.url) })
  const body = new TextEncoder().encode('x'.repeat(100_000))
  for (let i = 0; i < 10; i++) {
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(body)
        controller.close()
      },
    })
    const answer = await fetch(proxy.url, { method: 'POST', body: stream, duplex: 'half' } as RequestInit)
    expect(answer.status).toBe(200)
  }
  expect(bodies.every((text) => text.replace(/[^x]/g, '').length === body.length)).toBe(true)
  expect(bodies).toHaveLength(10)
})

test('with no other target the client gets 502, and the proxy stays well', async () => {
  const port = await closedPort()
  const proxy = await startProxy({ services: { shop: service({ blue: [`http://127.0.0.1:${port}`] }) } })
  const answer = await fetch(proxy.url)
  expect(answer.status).toBe(502)
  expect(answer.headers.get('x-turnout-error')).toBe('upstream_connect_failed')
  expect(answer.headers.get('retry-after')).toBe('1')
  await startNamed('late', port)
  const load = startLoad(proxy.port, { connections: 1 })
  await until('it serves', () => load.outcomes.length > 10)
  expect(failed(await load.stop())).toEqual([])
})
