/** The version that a rollout's targets tell, asked again while it runs and before its end. */
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { startHook } from '../helpers/hook.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, current, reached } from '../helpers/rollouts.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

/** The version of the pool in the helper's spec. */
const NEW = 'green-version'

interface Target {
  readonly url: string
  /** What it tells, or null where it does not answer. */
  version: string | null
  /** How often it was asked. */
  asked: number
  isWell: boolean
}

async function startTarget(): Promise<Target> {
  const target = { url: '', version: NEW as string | null, asked: 0, isWell: true }
  const answer = (response: ServerResponse) => {
    target.asked++
    if (target.version === null) response.destroy()
    else response.end(target.version)
  }
  const { url } = await startUpstream((request, response) => {
    request.resume()
    if (request.url === '/version') answer(response)
    else response.writeHead(target.isWell ? 200 : 503).end('well')
  })
  target.url = url
  return target
}

async function startShop(
  targets: readonly Target[],
  more: object = { announces: { path: '/version' } },
): Promise<TestProxy> {
  const blue = await startNamed('blue')
  const pools = { blue: [blue.url], green: targets.map(({ url }) => url) }
  const health = { path: '/', interval: '100ms', healthyAfter: 1, unhealthyAfter: 1 }
  const rollout = { ...more, bake: '300ms' }
  return startProxy({ services: { shop: service(pools, { sticky: false, visitor: [], health, rollout }) } })
}

/** It waits at its first step for a person. */
const PAUSED = { strategy: 'canary', advance: 'time', steps: [{ weight: 20, until: 'promoted' }] }
const QUICK = { strategy: 'canary', advance: 'time', steps: [20] }

const wrong = (target: Target, version = 'old') => `${target.url} answers version "${version}", not "${NEW}"`
const versionGates = ({ gates }: ToldRollout) =>
  gates.flatMap(({ gate, state, reason }) => (gate === 'version' ? [`${state}: ${reason}`] : []))
const setState = (proxy: TestProxy, { url }: Target, state: string) =>
  call(proxy, 'PUT', `/v1/services/shop/pools/green/targets/${new URL(url).host}/state`, { state })

test('every target tells its version once more before the end, and a wrong one leads back and says who has told what', async () => {
  const targets = [await startTarget(), await startTarget()]
  const proxy = await startShop(targets)
  await begin(proxy, QUICK)
  expect(versionGates(await reached(proxy, 'done'))).toEqual([
    `passed: 2 of 2 targets of green answer version ${NEW}`,
    `passed: 2 targets of green still answer version ${NEW}`,
  ])
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 100, green: 0 } })
  // The last thing before the end.
  const hook = await startHook(() => {
    targets[1].version = 'old'
    return 200
  })
  await begin(proxy, { ...QUICK, hooks: [{ at: 'AfterBake', url: hook.url }] })
  const told = await reached(proxy, 'rolledBack')
  expect(told.reason).toBe(wrong(targets[1]))
  expect(versionGates(told).at(-1)).toBe(`failed: ${wrong(targets[1])}`)
})

test('a target that restarts with its old version is noticed, though nobody has seen it go', async () => {
  const target = await startTarget()
  const proxy = await startShop([target])
  await begin(proxy, PAUSED)
  await reached(proxy, 'paused')
  target.version = 'old'
  expect((await reached(proxy, 'rolledBack')).reason).toBe(wrong(target))
}, 40_000)

test.each<[string, (proxy: TestProxy, target: Target) => Promise<void>]>([
  [
    'was found ill and is well again',
    async (proxy, target) => {
      target.isWell = false
      await until('it is found ill', async () => (await healthOf(proxy, target)) === 'unhealthy')
      target.version = 'old'
      target.isWell = true
    },
  ],
  [
    'was in maintenance and is ready again',
    async (proxy, target) => {
      await setState(proxy, target, 'maint')
      target.version = 'old'
      await setState(proxy, target, 'ready')
    },
  ],
])('a target that %s is asked at once', async (_what, goAndComeBack) => {
  const [target, other] = [await startTarget(), await startTarget()]
  const proxy = await startShop([target, other])
  await begin(proxy, PAUSED)
  await reached(proxy, 'paused')
  await until('all were asked', () => target.asked >= 2)
  await goAndComeBack(proxy, target)
  // Sooner than those that are asked now and then.
  expect((await reached(proxy, 'rolledBack')).reason).toBe(wrong(target))
})

test('a target that is silent is waited for before the end, and one that is out is not asked', async () => {
  const [silent, ill] = [await startTarget(), await startTarget()]
  const proxy = await startShop([silent, ill])
  await begin(proxy, PAUSED)
  await reached(proxy, 'paused')
  ill.isWell = false
  ill.version = null
  silent.version = null
  await until('it is found ill', async () => (await healthOf(proxy, ill)) === 'unhealthy')
  await call(proxy, 'POST', '/v1/services/shop/rollouts/current/promote')
  await until('its end is reached', async () => (await current(proxy)).next?.waitsFor === 'version')
  silent.version = NEW
  const told = await reached(proxy, 'done')
  expect(versionGates(told).at(-1)).toBe(`passed: 1 targets of green still answer version ${NEW}`)
})

test('a rollout does not end well while all targets of the new version are out, whatever it asks of them', async () => {
  const target = await startTarget()
  const proxy = await startShop([target], {})
  // The last thing before the end.
  const hook = await startHook(async () => {
    target.isWell = false
    await until('it is found ill', async () => (await healthOf(proxy, target)) === 'unhealthy')
    return 200
  })
  // It has all traffic before its end already, which changes nothing then.
  await begin(proxy, { strategy: 'blue-green', hooks: [{ at: 'AfterBake', url: hook.url }] })
  const told = await reached(proxy, 'rolledBack', 'done')
  expect([told.state, told.reason]).toEqual([
    'rolledBack',
    expect.stringMatching(/^all targets of green were out for 5 s/),
  ])
})

async function healthOf(proxy: TestProxy, { url }: Target): Promise<string | undefined> {
  interface Status {
    readonly pools: readonly { readonly targets: readonly { readonly url: string; readonly health: string }[] }[]
  }
  const { pools } = await call<Status>(proxy, 'GET', '/v1/services/shop/status')
  return pools.flatMap(({ targets }) => targets).find((target) => target.url === url)?.health
}

test('the fingerprint is asked once more before the end, and one that differs by then leads back', async () => {
  const targets = [await startTarget(), await startTarget()]
  const blue = await startNamed('blue')
  const pools = { blue: [blue.url], green: targets.map(({ url }) => url) }
  const rollout = { fingerprint: { path: '/version' }, bake: '300ms' }
  const proxy = await startProxy({ services: { shop: service(pools, { sticky: false, visitor: [], rollout }) } })
  const drifts = ({ gates }: ToldRollout) => gates.flatMap(({ gate, state }) => (gate === 'drift' ? [state] : []))
  await begin(proxy, QUICK)
  expect(drifts(await reached(proxy, 'done'))).toEqual(['passed', 'passed'])
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 100, green: 0 } })
  const hook = await startHook(() => {
    targets[1].version = 'old'
    return 200
  })
  await begin(proxy, { ...QUICK, hooks: [{ at: 'AfterBake', url: hook.url }] })
  const back = await reached(proxy, 'rolledBack', 'done')
  expect(back.reason).toMatch(/^targets of green differ: .* "old"$/)
  expect(drifts(back)).toEqual(['passed', 'failed'])
})
