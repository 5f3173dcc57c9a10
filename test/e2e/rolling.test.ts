/** A rolling release over real targets, which are really ended and started anew by its hook, under traffic. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { ServiceSpec } from '../../src/config/schema.ts'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { http } from '../helpers/http.ts'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { current, ROLLOUTS, turnout } from '../helpers/rollouts.ts'

/** The version that the pool has in the helper's spec. */
const OLD = 'blue-version'

interface Call {
  readonly event: string
  readonly key: string
  readonly target: string
  readonly version: string | null
  readonly undo: boolean
}

/** Targets that answer their version, slowly, so that something is always in flight. */
class Fleet {
  readonly servers = new Map<string, Server>()
  readonly versions = new Map<string, string>()
  /** Versions whose answers are failures. */
  readonly broken = new Set<string>()
  /** Targets that their probes find ill. */
  readonly ill = new Set<string>()
  /** Hosts that were named when somebody asked whether a target is well. */
  readonly hosts = new Set<string>()
  mostOut = 0
  #out = 0

  async start(version: string, port = 0): Promise<string> {
    let url = ''
    const server = http.createServer((request, response) => {
      request.resume()
      if (request.url === '/health') this.hosts.add(request.headers.host ?? '')
      const fails = request.url === '/health' ? this.ill.has(url) : this.broken.has(version)
      response.statusCode = fails ? 500 : 200
      setTimeout(() => response.end(version), 5)
    })
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    this.servers.set(url, server)
    this.versions.set(url, version)
    return url
  }

  /** Ends a target at once, as a deployment does, and starts it with another version a moment later. */
  async replace(url: string, version: string): Promise<void> {
    this.mostOut = Math.max(this.mostOut, ++this.#out)
    const server = this.servers.get(url)!
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await new Promise((resolve) => setTimeout(resolve, 100))
    await this.start(version, Number(new URL(url).port))
    this.#out--
  }
}

interface Stand {
  readonly proxy: TestProxy
  readonly fleet: Fleet
  readonly calls: Call[]
  /** Targets whose update is refused. */
  readonly refuses: Set<string>
  begin(more?: object): Promise<ToldRollout>
}

/** `held`: hooks answer once that has come. */
async function stand(count: number, more: object = {}, held: Promise<void> = Promise.resolve()): Promise<Stand> {
  const fleet = new Fleet()
  onTestFinished(() => {
    for (const server of fleet.servers.values()) server.closeAllConnections()
    for (const server of fleet.servers.values()) server.close()
  })
  const urls = await Promise.all(Array.from({ length: count }, () => fleet.start(OLD)))
  const calls: Call[] = []
  const refuses = new Set<string>()
  const hook = http.createServer(async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const said = JSON.parse(Buffer.concat(pieces).toString()) as Call
    calls.push(said)
    await held
    if (refuses.has(said.target)) return void response.writeHead(409).end()
    if (said.event === 'UpdateTarget') await fleet.replace(said.target, said.version!)
    response.end()
  })
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void hook.close())
  const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`
  const health = { path: '/health', interval: '100ms', healthyAfter: 2, unhealthyAfter: 2, host: 'probe.example' }
  const shop = service({ blue: urls }, { sticky: false, visitor: [], health, ...more })
  const proxy = await startProxy({ services: { shop } })
  const hooks = [{ at: 'UpdateTarget', url }]
  return {
    proxy,
    fleet,
    calls,
    refuses,
    begin: (sent = {}) =>
      call<ToldRollout>(proxy, 'POST', ROLLOUTS, {
        to: 'blue',
        strategy: 'rolling',
        version: '2.0',
        hooks,
        bake: '200ms',
        verdict: { margin: 0.2 },
        ...sent,
      }),
  }
}

const statesOf = async (proxy: TestProxy): Promise<string[]> => {
  const { pools } = await call<{ pools: { name: string; targets: { admin: string }[] }[] }>(
    proxy,
    'GET',
    '/v1/services/shop/status',
  )
  return pools.find(({ name }) => name === 'blue')!.targets.map(({ admin }) => admin)
}

const load = (proxy: TestProxy) => startLoad(proxy.port, { connections: 16, pauseMs: () => PACE_MS })

test('six targets are replaced two at a time under load, and no request fails', async () => {
  const { proxy, fleet, calls, begin } = await stand(6)
  const traffic = load(proxy)
  const begun = await begin({ rolling: { batchSize: 2 } })
  expect(begun.steps.map(({ weight }) => weight)).toEqual([33, 67, 100])
  await until('it has ended', async () => /done|rolledBack/.test((await current(proxy)).state))
  const outcomes = await traffic.stop()
  expect(await current(proxy)).toMatchObject({ state: 'done', weight: 100, reason: null })
  expect(outcomes.filter(({ status }) => status !== 200)).toEqual([])
  expect([...fleet.versions.values()]).toEqual(Array(6).fill('2.0'))
  expect(fleet.mostOut).toBe(2)
  // Whether a target that was replaced is well is asked as its probes ask.
  expect([...fleet.hosts]).toEqual(['probe.example'])
  expect(calls).toHaveLength(6)
  expect(new Set(calls.map(({ key }) => key)).size).toBe(6)
  expect(calls.every(({ version, undo }) => version === '2.0' && !undo)).toBe(true)
  expect(await statesOf(proxy)).toEqual(Array(6).fill('ready'))
  const { spec } = await call<{ spec: { pools: Record<string, { version: string }> } }>(
    proxy,
    'GET',
    '/v1/services/shop',
  )
  expect(spec.pools['blue'].version).toBe('2.0')
})

test('a version that fails is noticed beside the targets that have the old one, taken out at once, and all are restored', async () => {
  const { proxy, fleet, begin } = await stand(4)
  fleet.broken.add('2.0')
  const traffic = load(proxy)
  await begin()
  await until('it has ended', async () => (await current(proxy)).state === 'rolledBack')
  const failed = (await traffic.stop()).filter(({ status }) => status !== 200)
  const { reason, harm } = await current(proxy)
  expect(reason).toMatch(/answers of the new targets of blue failed, 0 of \d+ of the others/)
  expect(failed.length).toBeGreaterThan(0)
  expect(failed.length).toBeLessThan(40)
  expect(harm.failed).toBe(failed.length)
  expect([...fleet.versions.values()]).toEqual(Array(4).fill(OLD))
  expect(await statesOf(proxy)).toEqual(Array(4).fill('ready'))
})

test('a target that cannot be updated stops it; what was done is restored, and the reason says what could not be', async () => {
  const { proxy, fleet, calls, refuses, begin } = await stand(3)
  const [, second] = [...fleet.servers.keys()]
  refuses.add(second)
  const traffic = load(proxy)
  await begin({ advance: 'time' })
  await until('it has ended', async () => (await current(proxy)).state === 'rolledBack')
  expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([])
  const { reason } = await current(proxy)
  expect(reason).toMatch(/^hook UpdateTarget at .*: answered 409; and then hook UpdateTarget at .*: answered 409$/)
  expect([...fleet.versions.values()]).toEqual([OLD, OLD, OLD])
  expect(calls.map(({ undo, version }) => [undo, version])).toEqual([
    [false, '2.0'],
    [false, '2.0'],
    [true, OLD],
    [true, OLD],
  ])
  // It is not known what it has now: nobody is sent there.
  expect((await statesOf(proxy)).toSorted()).toEqual(['maint', 'ready', 'ready'])
})

test('a target that had its update and is started with the old version again is noticed, and all are restored', async () => {
  const { proxy, fleet, begin } = await stand(3)
  await begin({ announces: { path: '/' }, advance: 'time', step: { for: '1h' } })
  await until('the first has its update', async () => {
    const { state, weight, next } = await current(proxy)
    return state === 'shifting' && weight > 0 && next?.waitsFor === 'its time'
  })
  const [first] = [...fleet.versions].find(([, version]) => version === '2.0')!
  await fleet.replace(first, OLD)
  await until('it has ended', async () => (await current(proxy)).state === 'rolledBack')
  expect((await current(proxy)).reason).toBe(`${first} answers version "${OLD}", not "2.0"`)
  expect([...fleet.versions.values()]).toEqual([OLD, OLD, OLD])
  expect(await statesOf(proxy)).toEqual(Array(3).fill('ready'))
})

test('is refused while a person has set one of the targets apart', async () => {
  const { proxy, fleet, begin } = await stand(3)
  const [first] = [...fleet.servers.keys()]
  await call(proxy, 'PUT', `/v1/services/shop/pools/blue/targets/${new URL(first).host}/state`, { state: 'maint' })
  const refused = await begin().catch((error: Error) => error.message)
  expect(refused).toMatch(/409.*is not ready/)
})

test('is refused where probes want one version of all', async () => {
  const { begin } = await stand(2, { health: { path: '/health', expectVersion: 'version' } })
  await expect(begin()).rejects.toThrow(/409.*expectVersion wants one version/)
})

test('what cannot be rolled is refused before anything begins', async () => {
  const { begin } = await stand(2)
  await expect(begin({ hooks: [] })).rejects.toThrow(/needs a hook UpdateTarget/)
  const counts = { verdict: { metrics: [{ name: 'orders' }] } }
  await expect(begin(counts)).rejects.toThrow(/orders cannot be compared: counts are told apart by pool/)
  await expect(begin({ rolling: { batchSize: 2 } })).rejects.toThrow(/2 of 2 targets at a time would leave nobody/)
  const { begin: beginThree } = await stand(3)
  await expect(beginThree({ rolling: { batchSize: 2, maxUnavailable: 1 } })).rejects.toThrow(
    /2 targets are replaced at the same time, and at most 1 may be out/,
  )
  await expect(begin({ steps: [10] })).rejects.toThrow(/no steps of weight/)
  await expect(begin({ rolling: { batchSize: '0%' } })).rejects.toThrow(/share such as 25%/)
})

test('from the command line: a metric of the settings that it cannot compare is refused with the way out', async () => {
  const { proxy, calls } = await stand(2, {
    rollout: {
      keep: 5,
      steps: [10],
      bake: '200ms',
      advance: 'time',
      verdict: { metrics: [{ name: 'orders' }] },
      hooks: [{ at: 'UpdateTarget', url: 'http://127.0.0.1:1/' }],
    },
  })
  const deploy = ['deploy', 'shop', '--to', 'blue', '--strategy', 'rolling', '--version', '2.0']
  expect(await turnout(proxy, ...deploy)).toMatchObject({ code: 1, err: expect.stringContaining('--without orders') })
  expect(await turnout(proxy, ...deploy, '--without', 'orders')).toMatchObject({ code: 0 })
  await until('it has begun', async () => (await current(proxy)).strategy === 'rolling')
  expect(calls).toEqual([])
})

test.each([
  ['in its update goes back without it', 0, 'rolledBack', OLD],
  ['before its turn goes on without it', 2, 'done', '2.0'],
] as const)('a release whose target is removed by force %s', async (_, index, end, version) => {
  const held = Promise.withResolvers<void>()
  const { proxy, fleet, calls, begin } = await stand(3, {}, held.promise)
  const urls = [...fleet.servers.keys()]
  await begin({ advance: 'time', step: { for: '100ms' } })
  await until('the first update', () => calls.length === 1)
  await call(proxy, 'PUT', '/v1/services/shop/pools/blue?force=true', {
    version: OLD,
    targets: urls.filter((_, at) => at !== index),
  })
  held.resolve()
  await until('the end', async () => (await current(proxy)).state === end)
  const { spec } = await call<{ spec: ServiceSpec }>(proxy, 'GET', '/v1/services/shop')
  expect(spec.pools['blue']).toMatchObject({ version, targets: urls.filter((_, at) => at !== index) })
  expect(calls.filter(({ target }) => target === urls[index])).toHaveLength(index === 0 ? 1 : 0)
})

test('waits while another target is out, so that never more are out than may', async () => {
  const { proxy, fleet, calls, begin } = await stand(4)
  const [, , , last] = [...fleet.servers.keys()]
  await begin({ advance: 'time', step: { for: '300ms' } })
  await until('the first is replaced', () => calls.length === 1)
  fleet.ill.add(last)
  const outOf = async () => (await statesOf(proxy)).filter((admin) => admin !== 'ready').length
  await until('the second waits', async () => {
    const { state, next } = await current(proxy)
    return state === 'shifting' && next?.waitsFor === 'draining'
  })
  expect([await outOf(), calls.length]).toEqual([0, 1])
  fleet.ill.delete(last)
  await until('it goes on', async () => (await current(proxy)).state === 'done')
  expect(calls).toHaveLength(4)
})
