/** `drain`, `standby` and `maint`, of pools and of targets, with traffic on. */
import { expect, test } from 'vitest'
import { ask, BROWSER, cookieOf, head, pipeline, tally } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { turnout } from '../helpers/rollouts.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

const HALVES = { blue: 50, green: 50 }
const TO_BLUE = { name: 'to-blue', when: { header: { 'x-to': 'blue' } }, to: 'blue' }
const KEYLESS = new Array(100).fill(head('/'))

async function startHalves(more: Record<string, unknown> = {}): Promise<TestProxy> {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const services = { shop: service({ blue: [blue.url], green: [green.url] }, { split: HALVES, ...more }) }
  return startProxy({ workers: WORKERS, services })
}

/** The cookie of a browser that was given this answer at its first visit. */
async function visitorOf(port: number, name: string): Promise<string> {
  for (let tries = 0; tries < 200; tries++) {
    const answer = await ask(port, { headers: BROWSER })
    if (answer.body === name) return cookieOf(answer) ?? ''
  }
  throw new Error(`no browser came to ${name}`)
}

const setState = (proxy: TestProxy, what: string, state: string) =>
  call(proxy, 'PUT', `/v1/services/shop/pools/${what}/state`, { state })

interface Service {
  status: {
    pools: Record<string, { admin: string; drainUntilMs: number; targets: Record<string, { drainUntilMs: number }> }>
  }
}
const statusOf = async (proxy: TestProxy) => (await call<Service>(proxy, 'GET', '/v1/services/shop')).status.pools

/**
 * Asks again and again with a cookie until well after the deadline. Answers that came before it must be of `kept`, requests
 * that were sent after it must go to `other`; a worker may see the moment a little later than we do.
 */
async function expectKeptUntil(
  untilMs: number,
  port: number,
  cookie: string,
  kept: string,
  other: string,
): Promise<number> {
  const slackMs = 300
  let keptAnswers = 0
  for (;;) {
    const sentMs = Date.now()
    const answer = await ask(port, { headers: { ...BROWSER, cookie } })
    expect(answer.status).toBe(200)
    if (Date.now() < untilMs) {
      expect(answer.body).toBe(kept)
      keptAnswers++
    }
    if (sentMs > untilMs + slackMs) {
      expect(answer.body).toBe(other)
      return keptAnswers
    }
    // Often enough to see the moment, and not all the time.
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

test('a draining pool gets no new visitor, keeps those it has until the deadline, and none after', async () => {
  const proxy = await startHalves({ drain: { timeout: '3s' } })
  const cookie = await visitorOf(proxy.port, 'green')
  await setState(proxy, 'green', 'drain')
  const untilMs = (await statusOf(proxy))['green'].drainUntilMs
  expect(untilMs).toBeGreaterThan(Date.now())

  const kept = expectKeptUntil(untilMs, proxy.port, cookie, 'green', 'blue')
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ blue: 100 })
  const browsers = await pipeline(proxy.port, new Array(50).fill(head('/', BROWSER)))
  expect(tally(browsers)).toEqual({ blue: 50 })
  expect(await kept).toBeGreaterThan(0)
  const messages = async () => {
    const { events } = await call<{ events: { message: string }[] }>(proxy, 'GET', '/v1/events?follow=false')
    return events.map(({ message }) => message)
  }
  await expect.poll(messages).toContain('Pool green of shop has finished draining')
})

test('a draining pool that is made ready again takes its share and its visitors at once', async () => {
  const proxy = await startHalves()
  const cookie = await visitorOf(proxy.port, 'green')
  await setState(proxy, 'green', 'drain')
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ blue: 100 })
  await setState(proxy, 'green', 'ready')
  expect((await statusOf(proxy))['green'].drainUntilMs).toBe(0)
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ blue: 50, green: 50 })
  expect((await ask(proxy.port, { headers: { ...BROWSER, cookie } })).body).toBe('green')
})

test.each(['standby', 'maint'])('a pool in %s takes nobody, not even those who were there', async (state) => {
  const proxy = await startHalves()
  const cookie = await visitorOf(proxy.port, 'green')
  await setState(proxy, 'green', state)
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ blue: 100 })
  expect((await ask(proxy.port, { headers: { ...BROWSER, cookie } })).body).toBe('blue')
  await expect(call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })).rejects.toThrow('409')
  await setState(proxy, 'green', 'ready')
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ blue: 50, green: 50 })
})

test('with every pool in maint clients are told 503 and when to come back', async () => {
  const proxy = await startHalves()
  await setState(proxy, 'blue', 'maint')
  await expect(setState(proxy, 'green', 'maint')).rejects.toThrow('Nobody would be left to answer for shop')
  await call(proxy, 'PUT', '/v1/services/shop/pools/green/state?force=true', { state: 'maint' })
  const answer = await ask(proxy.port, { headers: { accept: 'application/json' } })
  expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1'])
  expect(JSON.parse(answer.body)).toMatchObject({ code: 'no_healthy_target', status: 503 })
})

test('a target in maint gets nothing more, and requests in flight there still end well', async () => {
  const held: (() => void)[] = []
  const slow = await startUpstream((_request, response) => {
    held.push(() => response.end('slow'))
  })
  const one = await startNamed('one')
  const pools = { blue: [slow.url, one.url] }
  const proxy = await startProxy({ workers: WORKERS, services: { shop: service(pools, { balance: 'round-robin' }) } })
  const first = Array.from({ length: 8 }, () => ask(proxy.port))
  await until('requests are at both targets', () => held.length > 0 && one.requests() + held.length === 8)
  await setState(proxy, `blue/targets/${new URL(slow.url).host}`, 'maint')
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ one: 100 })
  const inFlight = held.length
  for (const release of held) release()
  expect(tally((await Promise.all(first)).map(({ body }) => body))).toEqual({ slow: inFlight, one: 8 - inFlight })
  expect(held.length).toBe(inFlight)
})

test('a draining target keeps its own visitors until the deadline, and then they move within the pool', async () => {
  const [one, two] = [await startNamed('one'), await startNamed('two')]
  const more = { sticky: { pool: true, target: true }, drain: { timeout: '3s' } }
  const proxy = await startProxy({ workers: WORKERS, services: { shop: service({ blue: [one.url, two.url] }, more) } })
  const cookie = await visitorOf(proxy.port, 'one')
  await setState(proxy, `blue/targets/${new URL(one.url).host}`, 'drain')
  const untilMs = (await statusOf(proxy))['blue'].targets[one.url].drainUntilMs
  const kept = expectKeptUntil(untilMs, proxy.port, cookie, 'one', 'two')
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ two: 100 })
  expect(await kept).toBeGreaterThan(0)
})

test('a pool is drained once nobody is kept and the last request is over, and drain --wait stays until then', async () => {
  let answer: (() => void) | null = null
  const slow = await startUpstream((request, response) => {
    if (request.url !== '/slow') return response.end('slow')
    answer = () => response.end('slow')
  })
  const other = await startNamed('green')
  const shop = service({ blue: [slow.url], green: [other.url] }, { split: HALVES, drain: { timeout: '1s' } })
  const proxy = await startProxy({ services: { shop: { ...shop, rules: [TO_BLUE] } } })
  const drained = async () =>
    (await call<{ pools: { name: string; drained: boolean }[] }>(proxy, 'GET', '/v1/services/shop/status')).pools.map(
      (pool) => pool.drained,
    )
  const last = ask(proxy.port, { path: '/slow', headers: { 'x-to': 'blue' } })
  await until('the request is there', () => answer !== null)
  const began = Date.now()
  const waited = turnout(proxy, 'drain', 'shop', 'blue', '--wait')
  const sooner = await turnout(proxy, 'drain', 'shop', 'blue', '--wait', '--timeout', '100ms')
  expect(sooner).toMatchObject({
    code: 1,
    err: expect.stringMatching(/not after 100 ms: blue: 1 requests and 0 tunnels/),
  })
  expect(await drained()).toEqual([false, false])
  answer!()
  expect((await last).body).toBe('slow')
  expect(await waited).toMatchObject({ code: 0, out: expect.stringMatching(/^shop blue: drain, and drained \(/) })
  // Whoever has a cookie was let in until then.
  expect(Date.now() - began).toBeGreaterThanOrEqual(1_000)
  expect(await drained()).toEqual([true, false])
  expect((await turnout(proxy, 'ready', 'shop', 'blue', '--wait')).out).toMatch(/^shop blue: ready and healthy \(/)
  expect(await drained()).toEqual([false, false])
})

test('a target that no cookie notes is drained with its last request, however long drains last', async () => {
  const [one, two] = [await startNamed('one'), await startNamed('two')]
  const shop = service({ blue: [one.url, two.url] }, { live: 'blue', drain: { timeout: '1h' } })
  const proxy = await startProxy({ services: { shop } })
  const target = new URL(one.url).host
  const done = await turnout(proxy, 'drain', 'shop', 'blue', target, '--wait', '--timeout', '5s')
  expect(done).toMatchObject({ code: 0, out: expect.stringContaining(`shop blue ${target}: drain, and drained`) })
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ two: 100 })
})

test('states may change under load without a failed request', async () => {
  const proxy = await startHalves({ drain: { timeout: '50ms' } })
  let over = false
  let answered = 0
  const load = Array.from({ length: 4 }, async () => {
    // `pipeline` rejects on anything but a 200.
    while (!over) answered += (await pipeline(proxy.port, KEYLESS, 4)).length
  })
  const failed = Promise.all(load)
  for (const state of ['drain', 'ready', 'standby', 'ready', 'maint', 'drain', 'maint', 'ready']) {
    const before = answered
    await setState(proxy, 'green', state)
    await until('more was answered', () => answered > before)
  }
  over = true
  await failed
})
