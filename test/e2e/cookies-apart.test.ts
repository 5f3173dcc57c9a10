/** What is promised to a browser by a cookie is kept: beside other services, behind and beside other Turnouts, and for as long as it comes. */
import { expect, test } from 'vitest'
import { Mac } from '../../src/dataplane/cookie-signer.ts'
import { openStore } from '../../src/store/open.ts'
import { Browser } from '../helpers/browser.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

const HALVES = { split: { blue: 50, green: 50 } }
const PINS = [{ name: 'beta', when: { header: { 'x-beta': '1' } }, to: 'green', pin: true }]

async function startPools() {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  return { blue: [blue.url], green: [green.url] }
}

test('two services under one host keep their pins and their drains, each for itself, and say so once', async () => {
  const proxy = await startProxy({
    workers: WORKERS,
    services: {
      shop: service(await startPools(), { split: { blue: 100, green: 0 }, rules: PINS }),
      api: service(await startPools(), { split: { blue: 100, green: 0 }, rules: PINS, routes: [{ path: '/api' }] }),
    },
  })
  const browser = new Browser()
  const visit = async (path: string, beta = false) =>
    (await browser.visit(proxy.port, path, beta ? { 'x-beta': '1' } : {})).body
  expect(await visit('/', true)).toBe('green')
  expect(await visit('/api')).toBe('blue')
  expect(browser.set).toEqual([expect.stringMatching(/^turnout-api-[0-9a-f]{6}$/)])
  expect(await visit('/api', true)).toBe('green')
  const visitors = [...browser.jar.values()].map(({ value }) => value.split('~')[1])
  expect([visitors.length, new Set(visitors).size]).toEqual([2, 1])
  for (let n = 0; n < 10; n++) {
    expect([await visit('/'), browser.set]).toEqual(['green', []])
    expect([await visit('/api'), browser.set]).toEqual(['green', []])
  }
  // Those who were there stay through a drain; of another browser nobody knows that it was.
  const [early, late] = [new Browser(), new Browser()]
  for (const path of ['/', '/api']) await early.visit(proxy.port, path)
  for (const name of ['shop', 'api']) {
    await call(proxy, 'PUT', `/v1/services/${name}/split`, { weights: { blue: 50, green: 50 } })
    await call(proxy, 'PUT', `/v1/services/${name}/pools/blue/state`, { state: 'drain' })
  }
  for (const path of ['/', '/api', '/']) {
    expect((await early.visit(proxy.port, path)).body).toBe('blue')
    expect((await late.visit(proxy.port, path)).body).toBe('green')
  }
})

test('a Turnout behind a Turnout has a cookie of its own, from the first answer on', async () => {
  const inner = await startProxy({ services: { shop: service(await startPools(), HALVES) } })
  const other = await startProxy({ services: { shop: service(await startPools(), HALVES) } })
  const outer = await startProxy({
    workers: WORKERS,
    services: { shop: service({ blue: [inner.url], green: [other.url] }, { ...HALVES, debugHeaders: true }) },
  })
  for (let n = 0; n < 8; n++) {
    const browser = new Browser()
    const where = async () => {
      const { body, headers } = await browser.visit(outer.port)
      return `${headers['x-turnout-pool']} ${body}`
    }
    const first = await where()
    expect(browser.set.sort()).toEqual(['turnout', expect.stringMatching(/^turnout-shop-[0-9a-f]{6}$/)])
    for (let request = 0; request < 5; request++) expect([await where(), browser.set]).toEqual([first, []])
  }
})

test('Turnouts beside each other under one host leave each other alone', async () => {
  const proxies = [
    await startProxy({ services: { shop: service(await startPools(), HALVES) } }),
    await startProxy({ services: { shop: service(await startPools(), HALVES) } }),
    await startProxy({ services: { shop: service(await startPools(), HALVES) } }),
  ]
  for (let n = 0; n < 8; n++) {
    const browser = new Browser()
    const visitAll = async () => {
      const seen: string[] = []
      for (const { port } of proxies) seen.push((await browser.visit(port)).body, String(browser.set.length))
      return seen
    }
    const first = await visitAll()
    expect(first.filter((_, at) => at % 2 === 1)).toEqual(['1', '1', '1'])
    for (let round = 0; round < 3; round++)
      expect(await visitAll()).toEqual(first.map((seen, at) => (at % 2 === 1 ? '0' : seen)))
  }
})

test('a cookie of the version before keeps its visitor and its pin, and is written anew', async () => {
  const directory = temporaryFolder()
  const key = 'a key of the version before'
  const store = await openStore(`sqlite:${directory}/turnout.db`)
  await store.put('cookieKeys', JSON.stringify(['another key', key]))
  await store.close()
  const services = { shop: service(await startPools(), HALVES) }
  const proxy = await startProxy({ workers: WORKERS, store: 'sqlite:./turnout.db', services }, { directory })
  const { release } = (await call<{ status: { release: string } }>(proxy, 'GET', '/v1/services/shop')).status
  const old = (payload: string) => ({ value: `${payload}.${new Mac(key).of(`turnout=${payload}`)}`, endMs: Infinity })
  for (let n = 0; n < 20; n++) {
    const browser = new Browser()
    browser.jar.set('turnout', old(`p~visitor${n}~shop~green~${release}~`))
    for (let request = 0; request < 3; request++) {
      expect((await browser.visit(proxy.port)).body).toBe('green')
      expect(browser.set).toEqual(request === 0 ? ['turnout'] : [])
    }
    expect(browser.jar.get('turnout')?.value).toMatch(new RegExp(`^p~visitor${n}~shop~green~${release}~~[0-9a-z]+~`))
  }
})

test('keys are replaced one after the other, and no browser is a new one until its key is left out', async () => {
  const directory = temporaryFolder()
  const services = { shop: service(await startPools(), { split: { blue: 100, green: 0 }, rules: PINS }) }
  const [one, two] = ['1'.repeat(32), '2'.repeat(32)]
  const browser = new Browser()
  const other = new Browser()
  const withKeys = async (...cookieKeys: string[]) => {
    const config = { workers: WORKERS, store: 'sqlite:./turnout.db', cookieKeys, services }
    return startProxy(config, { directory, keep: true })
  }
  const first = await withKeys('stored')
  expect((await browser.visit(first.port, '/', { 'x-beta': '1' })).body).toBe('green')
  await first.close()
  for (const keys of [
    ['stored', one],
    [one, 'stored'],
    [two, one, 'stored'],
  ]) {
    const proxy = await withKeys(...keys)
    expect([(await browser.visit(proxy.port)).body, browser.set]).toEqual(['green', []])
    if (keys[0] === one) expect((await other.visit(proxy.port, '/', { 'x-beta': '1' })).body).toBe('green')
    expect(
      await call(proxy, 'POST', '/v1/explain', { url: 'http://a/', headers: { cookie: cookieOf(browser) } }),
    ).toMatchObject({
      reason: 'pin',
    })
    await proxy.close()
  }
  // Of the two, only who was signed by the key that is still there is known.
  const last = await withKeys(one)
  expect([(await other.visit(last.port)).body, other.set]).toEqual(['green', []])
  expect((await browser.visit(last.port)).body).toBe('blue')
  expect(browser.set).toHaveLength(1)
  await last.close()
})

const cookieOf = ({ jar }: Browser): string => [...jar].map(([name, { value }]) => `${name}=${value}`).join('; ')

test('a browser that comes again and again keeps its pool beyond the life of its first cookie', async () => {
  const proxy = await startProxy({
    workers: WORKERS,
    services: { shop: service(await startPools(), { ...HALVES, sticky: { maxAge: '4s' } }) },
  })
  const startedMs = Date.now()
  const all = Array.from({ length: 12 }, () => ({ browser: new Browser(), pools: new Set<string>(), renewals: 0 }))
  // Three lives, with many visits in each half.
  while (Date.now() - startedMs < 12_000) {
    for (const one of all) {
      one.pools.add((await one.browser.visit(proxy.port)).body)
      one.renewals += one.browser.set.length
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  for (const { pools, renewals } of all) {
    expect(pools.size).toBe(1)
    expect(renewals).toBeGreaterThan(2)
    expect(renewals).toBeLessThan(10)
  }
})

test('a browser of a Turnout that forgets who it is at each start does not gather cookies without end', async () => {
  const services = { shop: service(await startPools(), HALVES) }
  const browser = new Browser()
  for (let start = 0; start < 9; start++) {
    const proxy = await startProxy({ services }, { keep: true })
    const first = (await browser.visit(proxy.port)).body
    expect(browser.set).toHaveLength(1)
    for (let n = 0; n < 3; n++) expect([(await browser.visit(proxy.port)).body, browser.set]).toEqual([first, []])
    await proxy.close()
  }
  expect(browser.jar.size).toBe(5)
})
