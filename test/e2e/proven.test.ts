/**
 * A pool gets traffic once it is proven: a switch waits for its first probe, is refused when none passes, and when the pool dies later
 * the one that was switched away from takes over. And what would leave a service to nobody is refused, by whichever call.
 */
import { expect, test } from 'vitest'
import { targetStatus } from '../helpers/admin.ts'
import { ask, head, pipeline, tally } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort, startNamed, startUpstream } from '../helpers/upstream.ts'

const health = { path: '/', interval: '100ms', timeout: '1s', healthyAfter: 1, unhealthyAfter: 2 }
const KEYLESS = new Array(50).fill(head('/'))
const POOLS = '/v1/services/shop/pools'
const SWITCH = '/v1/services/shop/switch'
const SPLIT = '/v1/services/shop/split'

/** A service with everything in `blue`, which has been found healthy. */
async function startShop(more: Record<string, unknown> = {}) {
  const blue = await startNamed('blue')
  const proxy = await startProxy({
    workers: WORKERS,
    services: { shop: service({ blue: [blue.url] }, { health, ...more }) },
  })
  await until('blue is healthy', async () => (await targetStatus(proxy, 'shop', blue.url)).health === 'healthy')
  return { blue, proxy }
}

const putGreen = (proxy: TestProxy, ...targets: string[]) =>
  call(proxy, 'PUT', `${POOLS}/green`, { version: '2', targets })
const refused = async (change: Promise<unknown>): Promise<string> =>
  change.then(
    () => 'it was made',
    (error: Error) => error.message,
  )

test('a switch to a pool where nothing listens is refused, and no request notices', async () => {
  const { proxy } = await startShop()
  await putGreen(proxy, `http://127.0.0.1:${await closedPort()}`)
  for (const wait of ['0s', '300ms']) {
    const why = await refused(call(proxy, 'POST', SWITCH, { to: 'green', wait }))
    expect(why).toMatch(/409 .*conflict.*Pool green of shop is not proven/)
  }
  expect(await refused(call(proxy, 'PUT', SPLIT, { weights: { blue: 9, green: 1 }, wait: '0s' }))).toMatch('not proven')
  expect(await refused(call(proxy, 'POST', '/v1/switch', { to: { shop: 'green' }, wait: '0s' }))).toMatch('not proven')
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ blue: 50 })
  await call(proxy, 'POST', `${SWITCH}?force=true`, { to: 'green' })
  expect(await call(proxy, 'GET', '/v1/services/shop')).toMatchObject({ spec: { split: { blue: 0, green: 100 } } })
})

test('a switch waits for the first probe of a pool that was only just made, without being asked to', async () => {
  const { proxy } = await startShop()
  const green = await startNamed('green')
  await putGreen(proxy, green.url)
  await call(proxy, 'POST', SWITCH, { to: 'green' })
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ green: 50 })
})

test('a pool that comes back from maintenance with servers that hang gets no switch, whatever it was before', async () => {
  const { proxy } = await startShop()
  const green = await startNamed('green')
  await putGreen(proxy, green.url)
  const state = () => targetStatus(proxy, 'shop', green.url)
  await until('green is proven', async () => (await state()).proven)
  await call(proxy, 'PUT', `${POOLS}/green/state`, { state: 'maint' })
  expect(await state()).toMatchObject({ health: 'unknown', proven: false })
  await green.close()
  const hung = await startUpstream(() => {}, green.port)
  await call(proxy, 'PUT', `${POOLS}/green/state`, { state: 'ready' })
  expect(await refused(call(proxy, 'POST', SWITCH, { to: 'green', wait: '300ms' }))).toMatch('not proven')
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ blue: 50 })
  await hung.close()
  await startNamed('green', green.port)
  await call(proxy, 'POST', SWITCH, { to: 'green' })
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ green: 50 })
})

test('a target that comes back to a live pool has no requests before a probe has passed, but where it has nobody else they go on', async () => {
  const { blue, proxy } = await startShop()
  const other = await startNamed('other')
  await call(proxy, 'PUT', `${POOLS}/blue`, { version: '1', targets: [blue.url, other.url] })
  const set = (url: string, state: string) =>
    call(proxy, 'PUT', `${POOLS}/blue/targets/${new URL(url).host}/state?force=true`, { state })
  const isBack = () => until('it is back', async () => (await targetStatus(proxy, 'shop', other.url)).proven)
  await isBack()
  await set(other.url, 'maint')
  await other.close()
  const hung = await startUpstream(() => {}, other.port)
  await set(other.url, 'ready')
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ blue: 50 })
  await hung.close()
  await startNamed('other', other.port)
  await isBack()
  for (const state of ['maint', 'ready']) for (const url of [blue.url, other.url]) await set(url, state)
  const { blue: one = 0, other: two = 0, ...failed } = tally(await pipeline(proxy.port, KEYLESS))
  expect([one + two, failed]).toEqual([50, {}])
})

test('a switch waits for a pool that is still starting, while other changes go on, and ends when its caller leaves', async () => {
  const { proxy } = await startShop()
  const port = await closedPort()
  const url = `http://127.0.0.1:${port}`
  await putGreen(proxy, url)
  const caller = new AbortController()
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ to: 'green', wait: '1m' })
  const left = fetch(proxy.admin + SWITCH, { method: 'POST', headers, body, signal: caller.signal })
  const ended = refused(left)
  const switched = call(proxy, 'POST', SWITCH, { to: 'green', wait: '1m' })
  await until('green is ill', async () => (await targetStatus(proxy, 'shop', url)).health === 'unhealthy')
  await call(proxy, 'PUT', '/v1/services/shop/rules', [{ name: 'a', when: { header: { a: '1' } }, to: 'blue' }])
  caller.abort()
  expect(await ended).toMatch('abort')
  await startNamed('green', port)
  expect(await switched).toMatchObject({ changed: true, split: { blue: 0, green: 100 } })
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ green: 50 })
})

test('a wait that is no duration, or too long, is a fault of the body', async () => {
  const { proxy } = await startShop()
  for (const wait of ['soon', '11m', 5]) {
    for (const [method, path, body] of [
      ['POST', SWITCH, { to: 'blue', wait }],
      ['PUT', SPLIT, { weights: { blue: 1 }, wait }],
      ['POST', '/v1/switch', { to: { shop: 'blue' }, wait }],
    ] as const) {
      expect(await refused(call(proxy, method, path, body))).toMatch(/422 .*"\/wait"/)
    }
  }
})

test('Turnout does not wait for a switch that waits when it ends', async () => {
  const { proxy } = await startShop()
  await putGreen(proxy, `http://127.0.0.1:${await closedPort()}`)
  const waiting = refused(call(proxy, 'POST', SWITCH, { to: 'green', wait: '5m' }))
  await call(proxy, 'GET', '/v1/services')
  const startedMs = performance.now()
  await proxy.close()
  expect(performance.now() - startedMs).toBeLessThan(4_000)
  expect(await waiting).toMatch(/503 .*not_ready/)
})

test('when the new pool dies altogether, the one that was switched away from takes over', async () => {
  const { proxy } = await startShop()
  const green = await startNamed('green')
  await putGreen(proxy, green.url)
  await call(proxy, 'POST', SWITCH, { to: 'green' })
  await green.close()
  // Refused connections are tried elsewhere at once; probes notice later.
  for (let n = 0; n < 20; n++) expect(await ask(proxy.port)).toMatchObject({ status: 200, body: 'blue' })
  await until('green is ill', async () => (await targetStatus(proxy, 'shop', green.url)).health === 'unhealthy')
  expect(tally(await pipeline(proxy.port, KEYLESS))).toEqual({ blue: 50 })
})

test('a switch to where all weight is already is not told to be done while that pool is out of service', async () => {
  const { proxy } = await startShop()
  expect(await refused(call(proxy, 'PUT', `${POOLS}/blue/state`, { state: 'standby' }))).toMatch(
    /409 .*Nobody would be left/,
  )
  await call(proxy, 'PUT', `${POOLS}/blue/state?force=true`, { state: 'standby' })
  expect((await ask(proxy.port)).status).toBe(503)
  expect(await refused(call(proxy, 'POST', SWITCH, { to: 'blue' }))).toMatch(
    /409 .*in state standby; set it ready first/,
  )
  expect(await refused(call(proxy, 'PUT', SPLIT, { weights: { blue: 1 } }))).toMatch(/409 .*in state standby/)
  await call(proxy, 'PUT', `${POOLS}/blue/state`, { state: 'ready' })
  // A switch ends the pins to other pools, so it takes a new release whatever the weights were.
  expect(await call(proxy, 'POST', SWITCH, { to: 'blue' })).toMatchObject({ changed: true })
})

test('an unknown option of a change is refused, so that a misspelt force does nothing else', async () => {
  const { proxy } = await startShop()
  expect(await refused(call(proxy, 'POST', `${SWITCH}?forse=true`, { to: 'blue' }))).toMatch(/422 .*forse/)
  expect(await refused(call(proxy, 'POST', `${SWITCH}?force=maybe`, { to: 'blue' }))).toMatch(/422 .*force/)
})
