/** A switch under a hold, with a migration as its hook, in whole processes with real sockets. */
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ask } from '../helpers/ask.ts'
import { startHook } from '../helpers/hook.ts'
import { lock } from '../helpers/lock.ts'
import {
  askAdmin,
  call,
  service,
  startProcess,
  startProxy,
  type Proxy as TestProxy,
  temporaryFolder,
} from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { REDIS, startRedis } from '../helpers/redis.ts'
import { closedPort, startNamed, startUpstream } from '../helpers/upstream.ts'

interface Status {
  readonly hold: { readonly only: string; readonly ofSwitch: boolean } | null
  readonly held: { readonly waiting: number }
}
interface Entry {
  readonly change: Readonly<Record<string, unknown>>
}
interface Problem {
  readonly code: string
  readonly detail: string
  readonly errors?: readonly { readonly pointer: string }[]
}

const statusOf = (proxy: TestProxy, name = 'shop') => call<Status>(proxy, 'GET', `/v1/services/${name}/status`)
const waitingIs = (proxy: TestProxy, count: number) =>
  until(`${count} are held`, async () => (await statusOf(proxy)).held.waiting === count)
const heldBySwitch = (proxy: TestProxy) =>
  until('the switch holds', async () => (await statusOf(proxy)).hold?.ofSwitch === true)
const isAtBlue = (proxy: TestProxy) =>
  until('it is at blue', async () => {
    const { pools } = await call<{ pools: { inFlight: number }[] }>(proxy, 'GET', '/v1/services/shop/status')
    return pools.some(({ inFlight }) => inFlight === 1)
  })
const write = (proxy: TestProxy, host = 'a') => ask(proxy.port, { method: 'POST', body: 'x', headers: { host } })
const audit = async (proxy: TestProxy) =>
  (await call<{ entries: Entry[] }>(proxy, 'GET', '/v1/audit')).entries.map(({ change }) => change)

/** What a switch of the service is answered, whatever that is. */
async function switched(proxy: TestProxy, body: object, path = '/v1/services/shop/switch') {
  const { status, text } = await askAdmin(proxy, 'POST', path, JSON.stringify(body))
  return {
    status,
    body: JSON.parse(text) as Problem & { split: object; held: { requests: number; hookMs: number | null } },
  }
}

/** `shop` at host a and `api` at host b, both blue over the same targets. */
async function startTwo(): Promise<TestProxy> {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const at = (host: string) => ({
    ...service({ blue: [blue.url], green: [green.url] }),
    routes: [{ host, path: '/' }],
  })
  return startProxy({ services: { shop: at('a'), api: at('b') } })
}

/** A gate that hooks and targets wait at. */
function newGate() {
  const { promise, resolve } = Promise.withResolvers<number>()
  onTestFinished(() => resolve(200))
  return { passed: promise, open: (status = 200) => resolve(status) }
}

test('a switch holds writes, waits for those under way, calls its hook beside none, and lets go at the new version; another is refused meanwhile', async () => {
  const order: string[] = []
  const slow = newGate()
  const blue = await startUpstream(async (request, response) => {
    if (request.url === '/slow') await slow.passed
    if (request.method === 'POST') order.push(`write at blue ${request.url}`)
    response.end('blue')
  })
  const green = await startUpstream((request, response) => {
    if (request.method === 'POST') order.push('write at green')
    response.end('green')
  })
  const migrated = newGate()
  const hook = await startHook(() => {
    order.push('hook')
    return migrated.passed
  })
  const proxy = await startProxy({ workers: 2, services: { shop: service({ blue: [blue.url], green: [green.url] }) } })
  const underWay = ask(proxy.port, { method: 'POST', path: '/slow', body: 'x' })
  await isAtBlue(proxy)
  const answer = switched(proxy, { to: 'green', hold: { for: '30s', only: 'writes' }, hook: { url: hook.url } })
  await heldBySwitch(proxy)
  const later = write(proxy)
  await waitingIs(proxy, 1)
  expect([(await ask(proxy.port)).body, hook.heard]).toEqual(['blue', []])
  const second = await switched(proxy, { to: 'green', hold: {} })
  expect([second.status, second.body.code, second.body.detail]).toEqual([
    409,
    'conflict',
    'shop is held by a switch that is under way. Release it first.',
  ])
  slow.open()
  expect((await underWay).body).toBe('blue')
  await until('the hook is called', () => hook.heard.length === 1)
  expect(hook.heard[0]).toMatchObject({ event: 'Switch', service: 'shop', from: 'blue', to: 'green', revision: 2 })
  migrated.open()
  const { status, body } = await answer
  expect([status, body.split, body.held.requests]).toEqual([200, { blue: 0, green: 100 }, 1])
  expect((await later).body).toBe('green')
  expect(order).toEqual(['write at blue /slow', 'hook', 'write at green'])
  expect((await audit(proxy)).slice(0, 2)).toMatchObject([
    { kind: 'switch', service: 'shop', hook: hook.url },
    { kind: 'hold', service: 'shop', to: { shop: 'green' } },
  ])
})

test('a hook that says no, that nobody hears, or that is not done in time moves nothing, and who was held goes where he went before', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const [no, silent] = [newGate(), newGate()]
  const [saysNo, neverSays] = [await startHook(() => no.passed), await startHook(() => silent.passed)]
  const nobody = { url: `http://127.0.0.1:${await closedPort()}/migrate` }
  // A migration may say how far it is: its answer is one when it is whole.
  const begins = await startUpstream((request, response) => {
    response.writeHead(200, { 'content-length': 9 }).write('half')
    if (request.url === '/fails') setTimeout(() => response.destroy(), 50)
  })
  const cases = [
    { name: 'refused', hook: saysNo, says: 'answered 422', open: () => no.open(422) },
    { name: 'silent', hook: neverSays, says: 'no answer in time', open: () => {} },
    { name: 'nobody', hook: nobody, says: 'connection refused', open: () => {} },
    { name: 'lasts', hook: { url: `${begins.url}/lasts` }, says: 'no answer in time', open: () => {} },
    {
      name: 'fails',
      hook: { url: `${begins.url}/fails` },
      says: 'the connection was closed before an answer',
      open: () => {},
    },
  ]
  const shop = (host: string) => ({ ...service({ blue: [blue.url], green: [green.url] }), routes: [{ host }] })
  const proxy = await startProxy({ services: Object.fromEntries(cases.map(({ name }) => [name, shop(name)])) })
  const each = cases.map(async ({ name, hook, says, open }) => {
    // Long enough for an answer on a busy machine, where one comes.
    const how = { hold: { for: says === 'no answer in time' ? '3s' : '25s' }, hook: { url: hook.url } }
    const answer = switched(proxy, { to: 'green', ...how }, `/v1/services/${name}/switch`)
    await until('the switch holds', async () => (await statusOf(proxy, name)).hold?.ofSwitch === true)
    const asked = write(proxy, name)
    await until('it is held', async () => (await statusOf(proxy, name)).held.waiting === 1)
    open()
    const { status, body } = await answer
    expect([status, body.code]).toEqual([409, 'hook_failed'])
    const detail = `Hook ${hook.url}: ${says}. Nothing was switched, and who was held goes where he went before.`
    expect(body.detail).toBe(detail)
    expect((await asked).body).toBe('blue')
    expect((await statusOf(proxy, name)).hold).toBeNull()
    const why = `the switch was called off (Hook ${hook.url}: ${says})`
    expect(await audit(proxy)).toContainEqual(expect.objectContaining({ kind: 'release', service: name, why }))
    expect((await write(proxy, name)).body).toBe('blue')
  })
  await Promise.all(each)
})

test('a switch that cannot be stored after its hook has said yes has moved nothing, and says that the migration was made', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const folder = temporaryFolder()
  const shop = service({ blue: [blue.url], green: [green.url] })
  const proxy = await startProxy({ store: 'sqlite:./turnout.db', services: { shop } }, { stateDirectory: folder })
  const hook = await startHook(async () => {
    await lock(join(folder, 'turnout.db'))
    return 200
  })
  const answer = switched(proxy, { to: 'green', hold: { for: '10s' }, hook: { url: hook.url } })
  await heldBySwitch(proxy)
  const held = write(proxy)
  const { status, body } = await answer
  const said = `Hook ${hook.url} had said yes before. Nothing was switched, and who was held goes where he went before.`
  expect([status, body.code, body.detail]).toEqual([503, 'store_unavailable', expect.stringContaining(said)])
  expect([(await held).body, (await write(proxy)).body]).toEqual(['blue', 'blue'])
})

test('SIGTERM calls off a switch whose hook was not called yet: it never is, and who was held is answered before the end', async () => {
  const slow = newGate()
  const blue = await startUpstream(async (request, response) => {
    if (request.url === '/slow') await slow.passed
    response.end('blue')
  })
  const hook = await startHook()
  const shop = service({ blue: [blue.url], green: [(await startNamed('green')).url] })
  const proxy = await startProcess({ services: { shop } }, temporaryFolder())
  const underWay = ask(proxy.port, { path: '/slow' })
  await isAtBlue(proxy)
  const answer = switched(proxy, { to: 'green', hold: { for: '60s' }, hook: { url: hook.url } })
  await heldBySwitch(proxy)
  const held = write(proxy)
  await waitingIs(proxy, 1)
  proxy.child.kill('SIGTERM')
  expect((await answer).body).toMatchObject({ code: 'not_ready', detail: 'Turnout ends, and nothing has changed.' })
  expect((await held).body).toBe('blue')
  slow.open()
  expect([(await underWay).body, await proxy.exited(), hook.heard]).toEqual(['blue', 0, []])
})

test('whoever releases it, or removes the service, calls the switch off before its hook has answered', async () => {
  const proxy = await startTwo()
  const gate = newGate()
  const hook = await startHook(() => gate.passed)
  const asked = { hold: { for: '60s' }, hook: { url: hook.url } }
  const first = switched(proxy, { to: 'green', ...asked })
  await until('the hook is called', () => hook.heard.length === 1)
  await call(proxy, 'POST', '/v1/services/shop/release')
  expect((await first).body).toMatchObject({
    code: 'hold_ended',
    detail: 'shop was released meanwhile, so nothing was switched.',
  })
  const group = switched(proxy, { to: { shop: 'green', api: 'green' }, ...asked }, '/v1/switch')
  await until('the hook is called', () => hook.heard.length === 2)
  const held = write(proxy, 'b')
  await until('it is held', async () => (await statusOf(proxy, 'api')).held.waiting === 1)
  await call(proxy, 'DELETE', '/v1/services/shop')
  expect((await group).body).toMatchObject({
    code: 'hold_ended',
    detail: 'shop was removed meanwhile, so nothing was switched.',
  })
  expect((await held).body).toBe('blue')
  expect((await statusOf(proxy, 'api')).hold).toBeNull()
})

test('several services are held, and switched in one commit after one hook; or none is, where one of them would be refused', async () => {
  const proxy = await startTwo()
  const gate = newGate()
  const hook = await startHook(() => gate.passed)
  const group = { to: { shop: 'green', api: 'green' }, hold: { for: '60s' }, hook: { url: hook.url } }
  await call(proxy, 'PUT', '/v1/services/api/pools/green/state', { state: 'standby' })
  const refused = await switched(proxy, group, '/v1/switch')
  expect([refused.status, refused.body.code, hook.heard]).toEqual([409, 'conflict', []])
  expect((await audit(proxy)).map(({ kind }) => kind)).toEqual(['pool.state', 'file'])
  await call(proxy, 'PUT', '/v1/services/api/pools/green/state', { state: 'ready' })
  const answer = switched(proxy, group, '/v1/switch')
  await until('the hook is called', () => hook.heard.length === 1)
  expect(hook.heard[0]['services']).toEqual([
    { service: 'shop', from: 'blue', to: 'green' },
    { service: 'api', from: 'blue', to: 'green' },
  ])
  const held = [write(proxy, 'a'), write(proxy, 'b')]
  await waitingIs(proxy, 1)
  await until('it is held', async () => (await statusOf(proxy, 'api')).held.waiting === 1)
  gate.open()
  expect((await answer).body).toMatchObject({ to: { shop: 'green', api: 'green' }, held: { requests: 2 } })
  expect((await Promise.all(held)).map(({ body }) => body)).toEqual(['green', 'green'])
  expect((await audit(proxy))[0]).toMatchObject({ kind: 'switch', to: { shop: 'green', api: 'green' } })
})

test('a write that does not end in time calls the switch off, and what cannot be is refused with where it is wrong', async () => {
  const gate = newGate()
  const blue = await startUpstream(async (_request, response) => {
    await gate.passed
    response.end('blue')
  })
  const green = await startNamed('green')
  const proxy = await startProxy({ services: { shop: service({ blue: [blue.url], green: [green.url] }) } })
  const wrong = async (body: object) => (await switched(proxy, { to: 'green', ...body })).body.errors?.[0].pointer
  expect(await wrong({ hook: { url: 'http://127.0.0.1/' } })).toBe('/hook')
  expect(await wrong({ hold: { for: '2s' }, hook: { url: 'http://127.0.0.1/' } })).toBe('/hold/for')
  expect(await wrong({ hold: { for: 'x' } })).toBe('/hold/for')
  for (const url of ['http://%zz/', 'http://you:secret@127.0.0.1/']) {
    expect(await wrong({ hold: { for: '5s' }, hook: { url } })).toBe('/hook/url')
  }
  expect(await wrong({ hold: {}, hook: { url: 'ftp://a/' } })).toBe('/hook/url')
  const asked = write(proxy)
  await isAtBlue(proxy)
  const late = await switched(proxy, { to: 'green', hold: { for: '2s', only: 'writes' } })
  expect(late.body).toMatchObject({
    code: 'conflict',
    detail:
      'Writes were still under way after 1 s (1 of shop). Nothing was switched, and who was held goes where he went before.',
  })
  gate.open()
  expect((await asked).body).toBe('blue')
  const made = await switched(proxy, { to: 'green', hold: { for: '2s', only: 'writes' } })
  expect([made.status, made.body.held.hookMs]).toEqual([200, null])
})

test('a process that is killed in the middle has moved nothing: after the restart its hold has an end, and the audit says so; no upgrade takes its place meanwhile', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const gate = newGate()
  const hook = await startHook(() => gate.passed)
  const folder = temporaryFolder()
  const start = () =>
    startProcess(
      { store: 'sqlite:./turnout.db', services: { shop: service({ blue: [blue.url], green: [green.url] }) } },
      folder,
    )
  const first = await start()
  switched(first, { to: 'green', hold: { for: '3s' }, hook: { url: hook.url } }).catch(() => {})
  await until('the hook is called', () => hook.heard.length === 1)
  const upgrade = await askAdmin(first, 'POST', '/v1/upgrade')
  expect([upgrade.status, JSON.parse(upgrade.text).detail]).toEqual([
    409,
    'A switch holds shop. Wait until it is made, or release shop.',
  ])
  first.child.kill('SIGKILL')
  await first.exited()
  const second = await start()
  await until('it has ended', async () => (await audit(second))[0].kind === 'release')
  expect((await audit(second))[0]).toMatchObject({ service: 'shop', why: 'its switch was not made in time' })
  expect((await write(second)).body).toBe('blue')
})

test.skipIf(REDIS === null)(
  'instances on one Redis hold together: the hook waits for a write at the other one, and both are switched',
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.end())
    const slow = newGate()
    const blue = await startUpstream(async (_request, response) => {
      await slow.passed
      response.end('blue')
    })
    const green = await startNamed('green')
    const shop = service({ blue: [blue.url], green: [green.url] })
    const start = () => startProxy({ store: redis.url, services: { shop } })
    const [one, two] = [await start(), await start()]
    const hook = await startHook()
    const underWay = write(two)
    await isAtBlue(two)
    const answer = switched(one, { to: 'green', hold: { for: '30s', only: 'writes' }, hook: { url: hook.url } })
    await heldBySwitch(two)
    const held = [write(one), write(two)]
    for (const proxy of [one, two]) await waitingIs(proxy, 1)
    expect(hook.heard).toEqual([])
    slow.open()
    expect([(await underWay).body, (await answer).status]).toEqual(['blue', 200])
    expect((await Promise.all(held)).map(({ body }) => body)).toEqual(['green', 'green'])
    expect(hook.heard.length).toBe(1)
  },
)
