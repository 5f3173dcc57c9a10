/** What a rollout tries stays what it was: targets of the tried pool cannot be replaced one by one behind its back, whatever the way. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startHook } from '../helpers/hook.ts'
import { call, service, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { begin, current, ROLLOUTS, reached, turnout } from '../helpers/rollouts.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

const SHOP = '/v1/services/shop'
const GREEN = `${SHOP}/pools/green`
const VERSION = 'green-version'
const PAUSED = { strategy: 'canary', advance: 'time', steps: [{ weight: 20, until: 'promoted' }], bake: '200ms' }

/** Answers a version. */
const startTelling = (version: string) =>
  startUpstream((request, response) => {
    request.resume()
    response.end(version)
  })

interface Shop {
  readonly proxy: TestProxy
  readonly blue: string
  readonly first: string
  /** In the pool too, and in maintenance when the rollout begins. */
  readonly apart: string
  /** Comes later. */
  readonly other: string
  readonly spec: ReturnType<typeof service>
}

async function startShop(rollout?: object, otherVersion = VERSION): Promise<Shop> {
  const [blue, first, apart] = [await startNamed('blue'), await startTelling(VERSION), await startTelling(VERSION)]
  const other = await startTelling(otherVersion)
  const spec = service(
    { blue: [blue.url], green: [first.url, apart.url] },
    { sticky: false, visitor: [], ...(rollout && { rollout }) },
  )
  const proxy = await startProxy({ services: { shop: spec } })
  await setState(proxy, apart.url, 'maint')
  await begin(proxy, PAUSED)
  await reached(proxy, 'paused')
  return { proxy, blue: blue.url, first: first.url, apart: apart.url, other: other.url, spec }
}

const setState = (proxy: TestProxy, url: string, state: string, query = '') =>
  call(proxy, 'PUT', `${GREEN}/targets/${new URL(url).host}/state${query}`, { state })

const greenOf = async (proxy: TestProxy) =>
  (await call<{ spec: { pools: { green: { targets: string[] } } } }>(proxy, 'GET', SHOP)).spec.pools.green.targets

const refused = (shop: Shop, url = shop.other) =>
  new RegExp(`409.*${url} would come to pool green of shop while a rollout tries that, and nobody could tell`, 's')

const WAYS: readonly (readonly [string, (shop: Shop, targets: readonly string[]) => Promise<unknown>])[] = [
  ['a PUT of the pool', ({ proxy }, targets) => call(proxy, 'PUT', GREEN, { version: VERSION, targets })],
  ['a PATCH of the service', ({ proxy }, targets) => call(proxy, 'PATCH', SHOP, { pools: { green: { targets } } })],
  [
    'a PUT of the service',
    async ({ proxy }, targets) => {
      const { spec } = await call<{ spec: { pools: { green: object } } }>(proxy, 'GET', SHOP)
      const green = { ...spec.pools.green, targets }
      return call(proxy, 'PUT', SHOP, { ...spec, pools: { ...spec.pools, green } })
    },
  ],
  [
    'a file',
    async ({ proxy, spec }, targets) => {
      const pools = { ...(spec as { pools: Record<string, object> }).pools, green: { version: VERSION, targets } }
      const path = join(temporaryFolder(), 'turnout.yaml')
      writeFileSync(path, JSON.stringify({ services: { shop: { ...spec, pools } } }))
      const { code, err } = await turnout(proxy, 'apply', path)
      if (code !== 0) throw new Error(`409 ${err}`)
    },
  ],
]

test.each(WAYS)(
  '%s that brings a target which nobody can ask for its version is refused, and one that takes some away is not',
  async (_name, put) => {
    const shop = await startShop()
    const { proxy, first, apart, other } = shop
    await expect(put(shop, [first, apart, other])).rejects.toThrow(refused(shop))
    expect(await greenOf(proxy)).toEqual([first, apart])
    await put(shop, [first])
    expect(await greenOf(proxy)).toEqual([first])
    expect((await current(proxy)).state).toBe('paused')
  },
)

test('nor does one that was set apart at the beginning become ready, but by force; one that was tried goes and comes', async () => {
  const shop = await startShop()
  const { proxy, first, apart, other } = shop
  await expect(setState(proxy, apart, 'ready')).rejects.toThrow(refused(shop, apart))
  await setState(proxy, apart, 'ready', '?force=true')
  await setState(proxy, first, 'maint')
  await setState(proxy, first, 'ready')
  // Who was removed may be another by the time that it comes back.
  await call(proxy, 'PUT', GREEN, { version: VERSION, targets: [apart] })
  await expect(call(proxy, 'PUT', GREEN, { version: VERSION, targets: [apart, first] })).rejects.toThrow(
    refused(shop, first),
  )
  await call(proxy, 'PUT', `${GREEN}?force=true`, { version: VERSION, targets: [first, apart, other] })
  expect(await greenOf(proxy)).toEqual([first, apart, other])
  // What it goes back to, and whoever is not tried, are nobody's business here.
  await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
  await reached(proxy, 'rolledBack')
  await call(proxy, 'PUT', GREEN, { version: VERSION, targets: [other] })
})

test('where targets tell their version, more of the same come as they like', async () => {
  const shop = await startShop({ announces: { path: '/' } })
  const { proxy, first, apart, other } = shop
  await call(proxy, 'PUT', GREEN, { version: VERSION, targets: [first, apart, other] })
  await setState(proxy, apart, 'ready')
  await call(proxy, 'POST', `${ROLLOUTS}/current/promote`)
  const { gates } = await reached(proxy, 'done')
  expect(gates.findLast(({ gate }) => gate === 'version')?.reason).toBe(
    `3 targets of green still answer version ${VERSION}`,
  )
})

test('and one that comes with another version ends it at once', async () => {
  const { proxy, first, apart, other } = await startShop({ announces: { path: '/' } }, 'old')
  await call(proxy, 'PUT', GREEN, { version: VERSION, targets: [first, apart, other] })
  expect((await reached(proxy, 'rolledBack')).reason).toBe(`${other} answers version "old", not "${VERSION}"`)
})

test('no target comes to a pool whose targets are replaced one by one, and none goes, but by force', async () => {
  const [one, two, other] = [await startNamed('one'), await startNamed('two'), await startNamed('other')]
  const spec = service({ blue: [one.url, two.url] }, { sticky: false, visitor: [] })
  const proxy = await startProxy({ services: { shop: spec } })
  const hook = await startHook()
  const hooks = [{ at: 'UpdateTarget', url: hook.url }]
  await begin(proxy, { to: 'blue', strategy: 'rolling', advance: 'time', step: { for: '1h' }, version: '2', hooks })
  await reached(proxy, 'shifting')
  const put = (targets: readonly string[], query = '') =>
    call(proxy, 'PUT', `${SHOP}/pools/blue${query}`, { version: 'blue-version', targets })
  const why = /409.*replaces the targets of blue one by one, so none comes or goes meanwhile/s
  await expect(put([one.url, two.url, other.url])).rejects.toThrow(why)
  await expect(put([one.url])).rejects.toThrow(why)
  await put([two.url, one.url])
  await put([one.url, two.url, other.url], '?force=true')
})
