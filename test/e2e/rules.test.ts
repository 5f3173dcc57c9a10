/** Targeting rules on real requests: who is sent where, what a rule is stronger than, and how long a pin lasts. */
import { expect, test } from 'vitest'
import { ask, BROWSER, cookieOf, head, pipeline, tally } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

/** Blue is live; green gets what rules send there. */
async function startShop(rules: readonly unknown[], more: Record<string, unknown> = {}): Promise<TestProxy> {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const pools = { blue: [blue.url], green: [green.url] }
  const split = { blue: 100, green: 0 }
  return startProxy({ workers: WORKERS, services: { shop: service(pools, { split, rules, ...more }) } })
}

const STAFF = { name: 'staff', when: { header: { 'X-Internal': '1' } }, to: 'green' }

/** The pool that answers these headers. */
async function poolOf(proxy: TestProxy, headers: Record<string, string> = {}): Promise<string> {
  return (await ask(proxy.port, { headers })).body
}

test('a header sends a person to the version without weight, and nobody else', async () => {
  const proxy = await startShop([STAFF])
  expect(await poolOf(proxy, { 'x-internal': '1' })).toBe('green')
  expect(await poolOf(proxy, { 'X-INTERNAL': '1' })).toBe('green')
  for (const value of ['', '0', '11', '1 1']) expect(await poolOf(proxy, { 'x-internal': value })).toBe('blue')
  const staff = new Array(200).fill(head('/', { 'x-internal': '1' }))
  expect(tally(await pipeline(proxy.port, [...staff, ...new Array(200).fill(head('/'))]))).toEqual({
    blue: 200,
    green: 200,
  })
})

test('a header rule is stronger than the cookie, and leaves it as it is', async () => {
  const proxy = await startShop([STAFF])
  const cookie = cookieOf(await ask(proxy.port, { headers: BROWSER })) ?? ''
  expect(cookie).toContain('~blue~')
  const forced = await ask(proxy.port, { headers: { ...BROWSER, cookie, 'x-internal': '1' } })
  expect([forced.body, cookieOf(forced)]).toEqual(['green', undefined])
  expect(await poolOf(proxy, { ...BROWSER, cookie })).toBe('blue')
})

test('a rule that pins keeps the visitor after the header is gone, through every split, until the switch', async () => {
  const rules = [{ name: 'preview', when: { header: { 'x-preview': 'yes' } }, to: 'green', pin: true }]
  const proxy = await startShop(rules)
  const pinned = cookieOf(await ask(proxy.port, { headers: { 'x-preview': 'yes' } })) ?? ''
  expect(pinned).toMatch(/^turnout=p~[0-9a-f]+~shop~green~/)
  for (let n = 0; n < 20; n++) {
    const answer = await ask(proxy.port, { headers: { cookie: pinned } })
    expect([answer.body, cookieOf(answer)]).toEqual(['green', undefined])
  }
  expect(await poolOf(proxy)).toBe('blue')

  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 1, green: 99 } })
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 100, green: 0 } })
  expect(await poolOf(proxy, { cookie: pinned })).toBe('green')

  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'blue' })
  const after = await ask(proxy.port, { headers: { ...BROWSER, cookie: pinned } })
  expect(after.body).toBe('blue')
  expect(cookieOf(after)).toMatch(/^turnout=k~[0-9a-f]+~shop~blue~/)
})

test('a pin ends when its pool becomes another version', async () => {
  const proxy = await startShop([{ ...STAFF, pin: true }])
  const pinned = cookieOf(await ask(proxy.port, { headers: { 'x-internal': '1' } })) ?? ''
  expect(await poolOf(proxy, { cookie: pinned })).toBe('green')
  const { spec } = await call<{ spec: { pools: { green: object } } }>(proxy, 'GET', '/v1/services/shop')
  await call(proxy, 'PUT', '/v1/services/shop/pools/green', { ...spec.pools.green, version: '2.0' })
  expect(await poolOf(proxy, { cookie: pinned })).toBe('blue')
})

test('a rule that denies keeps matching requests out of a pool, whatever else would send them there', async () => {
  const rules = [{ name: 'not-bots', when: { header: { 'user-agent': 'bot' } }, deny: 'green' }, STAFF]
  const proxy = await startShop(rules, { split: { blue: 1, green: 99 } })
  const bots = new Array(300).fill(head('/', { 'user-agent': 'bot' }))
  expect(tally(await pipeline(proxy.port, bots))).toEqual({ blue: 300 })
  expect(await poolOf(proxy, { 'user-agent': 'bot', 'x-internal': '1' })).toBe('blue')
  expect(await poolOf(proxy, { 'x-internal': '1' })).toBe('green')
})

test('a denied pool is not even used when nothing else is there', async () => {
  const rules = [{ name: 'not-bots', when: { header: { 'user-agent': 'bot' } }, deny: 'green' }]
  const proxy = await startShop(rules, { split: { green: 100 } })
  await call(proxy, 'PUT', '/v1/services/shop/pools/blue/state', { state: 'maint' })
  expect((await ask(proxy.port, { headers: { 'user-agent': 'bot' } })).status).toBe(503)
  expect(await poolOf(proxy)).toBe('green')
})

test('rules match cookies, named visitors and present fields; the first that matches wins', async () => {
  const rules = [
    { name: 'out', when: { header: { 'x-canary': 'never' } }, to: 'blue' },
    { name: 'any', when: { header: { 'x-canary': '*' } }, to: 'green' },
    { name: 'beta', when: { cookie: { beta: '1' } }, to: 'green' },
    { name: 'testers', when: { visitor: ['u-17', 'u-23'] }, to: 'green' },
    { name: 'both', when: { header: { 'x-a': '1' }, cookie: { c: '2' } }, to: 'green' },
  ]
  const proxy = await startShop(rules, { visitor: ['header:x-user-id', 'cookie:uid', 'cookie'] })
  const cases: [Record<string, string>, string][] = [
    [{ 'x-canary': 'never' }, 'blue'],
    [{ 'x-canary': 'now' }, 'green'],
    [{ cookie: 'a=b; beta=1' }, 'green'],
    [{ cookie: 'beta=10' }, 'blue'],
    [{ cookie: 'alpha=beta=1' }, 'blue'],
    [{ 'x-user-id': 'u-17' }, 'green'],
    [{ 'x-user-id': 'u-1' }, 'blue'],
    [{ cookie: 'uid=u-23' }, 'green'],
    [{ 'x-user-id': 'u-1', cookie: 'uid=u-23' }, 'blue'],
    [{ 'x-a': '1' }, 'blue'],
    [{ 'x-a': '1', cookie: 'c=2' }, 'green'],
  ]
  for (const [headers, pool] of cases) {
    expect([JSON.stringify(headers), await poolOf(proxy, headers)]).toEqual([JSON.stringify(headers), pool])
  }
})

test('rules replaced by the API hold from the answer on, in every worker', async () => {
  const proxy = await startShop([])
  const staff = new Array(64).fill(head('/', { 'x-internal': '1' }))
  for (let n = 0; n < 5; n++) {
    expect(tally(await pipeline(proxy.port, staff, 16))).toEqual({ blue: 64 })
    await call(proxy, 'PUT', '/v1/services/shop/rules', [STAFF])
    expect(tally(await pipeline(proxy.port, staff, 16))).toEqual({ green: 64 })
    await call(proxy, 'PUT', '/v1/services/shop/rules', [])
  }
})

test('a rule is followed past a pool that is not there to take it', async () => {
  const proxy = await startShop([STAFF])
  await call(proxy, 'PUT', '/v1/services/shop/pools/green/state', { state: 'maint' })
  expect(await poolOf(proxy, { 'x-internal': '1' })).toBe('blue')
  await call(proxy, 'PUT', '/v1/services/shop/pools/green/state', { state: 'ready' })
  expect(await poolOf(proxy, { 'x-internal': '1' })).toBe('green')
})
