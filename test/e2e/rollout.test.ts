/** Rollouts by the admin API, with real targets and real traffic: forward when the new version is well, back when it is not. */
import { describe, expect, test } from 'vitest'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { startHook } from '../helpers/hook.ts'
import { type Load, startLoad } from '../helpers/load.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, current, ROLLOUTS, reached, turnout } from '../helpers/rollouts.ts'
import { startFailing, startNamed, startUpstream } from '../helpers/upstream.ts'

async function splitOf(proxy: TestProxy): Promise<unknown> {
  const { spec } = await call<{ spec: { split: unknown } }>(proxy, 'GET', '/v1/services/shop')
  return spec.split
}

async function startShop(greenUrl: string, more: object = {}): Promise<TestProxy> {
  const blue = await startNamed('blue')
  const shop = service({ blue: [blue.url], green: [greenUrl] }, { sticky: false, visitor: [], ...more })
  return startProxy({ services: { shop } })
}

/** Requests of a hundred connections, some milliseconds apart. */
const startTraffic = (proxy: TestProxy): Load => startLoad(proxy.port, { connections: 16, pauseMs: () => 10 })

const QUICK = { strategy: 'canary', steps: [20, 60], bake: '300ms', verdict: { margin: 0.2 } }

describe('a release that is well', () => {
  test('goes forward step by step until it has all traffic, and no request fails', async () => {
    const green = await startFailing()
    const proxy = await startShop(green.url)
    const load = startTraffic(proxy)
    const begun = await begin(proxy, QUICK)
    expect(begun).toMatchObject({ service: 'shop', from: 'blue', to: 'green', strategy: 'canary', weight: 0, step: -1 })
    const done = await reached(proxy, 'done', 'rolledBack')
    expect(done).toMatchObject({ state: 'done', weight: 100, reason: null, next: null })
    expect(done.endedAtMs).toBeGreaterThanOrEqual(done.startedAtMs)
    expect(done.history.map(({ weight }) => weight)).toEqual(
      done.history.map(({ weight }) => weight).toSorted((a, b) => a - b),
    )
    expect(new Set(done.history.map(({ weight }) => weight))).toEqual(new Set([0, 20, 60, 95, 100]))
    expect(await splitOf(proxy)).toEqual({ blue: 0, green: 1 })
    const outcomes = await load.stop()
    expect(outcomes.filter(({ status }) => status !== 200)).toEqual([])
    // Who goes back then, goes back to where it all began.
    await call(proxy, 'POST', '/v1/services/shop/back')
    expect(await splitOf(proxy)).toEqual({ blue: 100, green: 0 })
  })

  test('with gates, warm-up, smoke tests, five steps and a bake, no request fails', async () => {
    const heard: string[] = []
    const hook = await startHook<{ event: string; step: number }>(({ event, step }) => {
      heard.push(event === 'BeforeStep' ? `${event} ${step}` : event)
      return 200
    })
    const green = await startFailing()
    const proxy = await startShop(green.url)
    const load = startTraffic(proxy)
    const events = ['BeforeInstall', 'AfterInstall', 'AfterAllowTestTraffic', 'BeforeAllowTraffic', 'BeforeStep']
    const hooks = [...events, 'AfterAllowTraffic', 'AfterBake'].map((at) => ({ at, url: hook.url }))
    await begin(proxy, {
      strategy: '5-10-25-50-100',
      hooks,
      warmup: { requests: [{ path: '/' }, { path: '/b' }], rate: 100, for: '500ms', success: 1, p95: '2s' },
      smoke: [{ path: '/', status: '200', within: '2s' }],
      verdict: { margin: 0.2 },
      bake: '500ms',
    })
    const done = await reached(proxy, 'done', 'rolledBack')
    expect(done).toMatchObject({ state: 'done', weight: 100, reason: null, harm: { failed: 0 } })
    expect(heard).toEqual([
      ...events.slice(0, 4),
      ...[0, 1, 2, 3, 4].map((step) => `BeforeStep ${step}`),
      'AfterAllowTraffic',
      'AfterBake',
    ])
    const outcomes = await load.stop()
    expect(outcomes.length).toBeGreaterThan(500)
    expect(outcomes.filter(({ status }) => status !== 200)).toEqual([])
  })

  test('with no traffic at all does not advance', async () => {
    const green = await startFailing()
    const proxy = await startShop(green.url)
    await begin(proxy, QUICK)
    await reached(proxy, 'shifting')
    await until('the first step is there', async () => (await current(proxy)).weight === 20)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(await current(proxy)).toMatchObject({
      state: 'shifting',
      step: 0,
      weight: 20,
      verdict: { outcome: 'insufficient' },
    })
  })
})

describe('a release that fails', () => {
  test('goes back after a handful of failed answers, and says why', async () => {
    const green = await startFailing()
    green.failing = 1
    const proxy = await startShop(green.url)
    const load = startTraffic(proxy)
    await begin(proxy, QUICK)
    const back = await reached(proxy, 'done', 'rolledBack')
    expect(back).toMatchObject({
      state: 'rolledBack',
      weight: 0,
      verdict: { outcome: 'fail', metric: 'failures', evidence: 1 },
    })
    expect(back.verdict!.p).toBeLessThanOrEqual(0.001 + 1e-12)
    expect(back.reason).toMatch(/answers of green failed, 0 of \d+ of blue: of equal versions fewer than 1 in 1,000/)
    expect(await splitOf(proxy)).toEqual({ blue: 100, green: 0 })
    await expect(call(proxy, 'POST', '/v1/services/shop/back')).rejects.toThrow(/no split to go back to/)
    const failed = (await load.stop()).filter(({ status }) => status !== 200)
    expect(failed.length).toBeGreaterThan(0)
    expect(failed.length).toBeLessThan(30)
    expect(back.harm.failed).toBeLessThanOrEqual(failed.length)
  })

  test('goes back also when it goes bad late, in the bake, and when it is paused', async () => {
    for (const pausesAt of [null, 60]) {
      const green = await startFailing()
      const proxy = await startShop(green.url)
      const load = startTraffic(proxy)
      await begin(proxy, { ...QUICK, steps: [60], bake: '1h' })
      if (pausesAt === null) await reached(proxy, 'baking')
      else {
        await until('it is there', async () => (await current(proxy)).weight === pausesAt)
        await call(proxy, 'POST', `${ROLLOUTS}/current/pause`)
      }
      green.failing = 1
      expect(await reached(proxy, 'rolledBack')).toMatchObject({ weight: 0, verdict: { outcome: 'fail' } })
      await load.stop()
    }
  })

  test('a harm budget ends it at its own count', async () => {
    const green = await startFailing()
    green.failing = 1
    const proxy = await startShop(green.url)
    const load = startTraffic(proxy)
    await begin(proxy, { strategy: 'all-at-once', verdict: { harm: 3 } })
    const back = await reached(proxy, 'rolledBack')
    expect(back.reason).toMatch(/more than 3 answers of green failed, which is its harm budget/)
    expect(back.harm.budget).toBe(3)
    await load.stop()
  })
})

test('with onFailure: pause it waits for a person, who may go on: from there it is judged anew', async () => {
  const green = await startFailing()
  green.failing = 1
  const proxy = await startShop(green.url)
  const load = startTraffic(proxy)
  const verdict = { harm: 1_000_000, margin: 0.2 }
  await begin(proxy, { strategy: 'canary', steps: [20], keep: 20, bake: '1h', onFailure: 'pause', verdict })
  const failed = await reached(proxy, 'paused')
  expect(failed.reason).toMatch(/answers of green failed, 0 of/)
  expect(failed).toMatchObject({ weight: 20, verdict: { outcome: 'fail', evidence: 1 } })
  green.failing = 0
  const seen = failed.verdict!.canary.requests
  await until('all that was under way is over', async () => (await current(proxy)).verdict!.canary.requests > seen + 60)
  await call(proxy, 'POST', `${ROLLOUTS}/current/resume`)
  const passed = await reached(proxy, 'baking', 'paused')
  expect(passed).toMatchObject({ state: 'baking', verdict: { canary: { failed: 0 } } })
  // What it has done stays told.
  expect(passed.harm.failed).toBeGreaterThan(0)
  green.failing = 1
  expect(await reached(proxy, 'paused')).toMatchObject({ weight: 80, verdict: { outcome: 'fail' } })
  await load.stop()
})

describe('before any traffic', () => {
  test('smoke tests are asked of the new version, and one that fails ends it at once', async () => {
    const green = await startNamed('green')
    const proxy = await startShop(green.url)
    await begin(proxy, { ...QUICK, smoke: [{ path: '/ok' }, { path: '/', json: { ok: true } }] })
    const back = await reached(proxy, 'rolledBack')
    expect(back.reason).toMatch(/^smoke test of \/ at http:.*ok is absent, not true$/)
    expect(green.requests()).toBe(2)
  })

  test('whatever is asked of a target is asked as a client would, and a smoke test can want something in the body', async () => {
    const heard: Record<string, unknown>[] = []
    const green = await startUpstream(({ headers, url }, response) => {
      heard.push({ url, host: headers.host, for: headers['x-turnout-service'], pool: headers['x-turnout-pool'] })
      response.end(url === '/version' ? '1.1' : `<title>${headers.host}</title>`)
    })
    const blue = await startNamed('blue')
    const routes = [{ host: '*.example.com' }, { host: 'shop.example.com' }]
    const pools = { blue: { targets: [blue.url] }, green: { targets: [green.url], version: '1.1' } }
    const proxy = await startProxy({ services: { shop: { routes, pools, live: 'blue' } } })
    const sent = {
      announces: { path: '/version' },
      warmup: { requests: [{ path: '/warm' }], rate: 100, for: '20ms', success: 1 },
      smoke: [{ path: '/', body: '<title>shop.example.com<' }],
    }
    await begin(proxy, sent)
    await until('it is tried', async () => (await current(proxy)).state === 'shifting')
    const asked = { host: 'shop.example.com', for: 'shop', pool: 'green' }
    expect(heard).toContainEqual({ ...asked, for: undefined, pool: undefined, url: '/version' })
    expect(heard).toContainEqual({ ...asked, url: '/warm' })
    expect(heard).toContainEqual({ ...asked, url: '/' })
    await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
    await begin(proxy, { smoke: [{ path: '/', body: 'checkout' }] })
    expect((await reached(proxy, 'rolledBack')).reason).toMatch(
      /^smoke test of \/ at http:.*: its body has no "checkout"$/,
    )
  })

  test('a warm-up counts as failures what is one with traffic', async () => {
    const green = await startUpstream((_, response) => response.writeHead(404).end())
    const proxy = await startShop(green.url)
    const warmup = { requests: [{ path: '/' }], rate: 100, for: '50ms', success: 1 }
    await begin(proxy, { warmup, verdict: { failing: '404,500-599' } })
    expect((await reached(proxy, 'rolledBack')).reason).toMatch(
      /of 5 requests of the warm-up only 0 were answered well/,
    )
  })

  test('a hook that says no ends it; each call has a key and a signature', async () => {
    const heard: { event: string; key: string; signature: string }[] = []
    const { url } = await startHook<{ event: string; key: string }>(({ event, key }, request) => {
      heard.push({ event, key, signature: String(request.headers['x-turnout-signature']) })
      return event === 'BeforeAllowTraffic' ? 409 : 200
    })
    const proxy = await startShop((await startNamed('green')).url)
    const hooks = ['AfterInstall', 'BeforeAllowTraffic', 'OnRollback'].map((at) => ({ at, url, secret: 's3cret' }))
    await begin(proxy, { ...QUICK, hooks })
    const back = await reached(proxy, 'rolledBack')
    expect(back.reason).toBe(`hook BeforeAllowTraffic at ${url}: answered 409`)
    expect(heard.map(({ event }) => event)).toEqual(['AfterInstall', 'BeforeAllowTraffic', 'OnRollback'])
    expect(new Set(heard.map(({ key }) => key)).size).toBe(3)
    for (const { signature } of heard) expect(signature).toMatch(/^sha256=[0-9a-f]{64}$/)
  })
})

describe('from the command line', () => {
  test('deploy --watch puts the targets, follows every step, and exits with 4 when it was rolled back', async () => {
    const green = await startFailing()
    const proxy = await startShop('http://127.0.0.1:1', { rollout: { ...QUICK, step: { for: '700ms' } } })
    const load = startTraffic(proxy)
    const words = ['deploy', 'shop', '--to', 'green', '--target', green.url, '--version', '1.1', '--watch']
    const done = await turnout(proxy, ...words)
    expect(done).toMatchObject({ code: 0, err: '' })
    expect(done.out).toMatch(/shop blue → green █{4}░{16} 20 % {2}shifting, step 1 of 3; waits for its/)
    expect(done.out).toMatch(/█{20} 100 % {2}done, step 3 of 3\n$/)
    await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'blue' })
    green.failing = 1
    const failed = await turnout(proxy, ...words)
    expect(failed.code).toBe(4)
    expect(failed.err).toMatch(/^turnout: rollout r-\w+ was rolled back: \d+ of \d+ answers of green failed/)
    await load.stop()
    const metrics = await (await fetch(`${proxy.admin}/metrics`)).text()
    for (const line of [
      'turnout_rollout_state{service="shop",state="rolledBack"} 1',
      'turnout_rollout_state{service="shop",state="shifting"} 0',
      'turnout_rollout_weight{service="shop"} 0',
      'turnout_rollout_evidence{service="shop"} 1',
      'turnout_rollouts_total{service="shop",outcome="done"} 1',
      'turnout_rollouts_total{service="shop",outcome="rolledBack"} 1',
    ]) {
      expect(metrics).toContain(`${line}\n`)
    }
    const listed = await turnout(proxy, 'rollout', 'list', 'shop')
    expect(listed.out.split('\n').map((line) => / (done|rolled back),/.exec(line)?.[1])).toEqual([
      'rolled back',
      'done',
      undefined,
    ])
  })

  test('deploy gives a pool that has traffic no new targets: they would be live at once, unjudged', async () => {
    const [green, other] = [await startNamed('green'), await startNamed('other')]
    const proxy = await startShop(green.url)
    const poolsOf = async () =>
      (
        await call<{ spec: { pools: Record<string, { targets: string[]; version: string }> } }>(
          proxy,
          'GET',
          '/v1/services/shop',
        )
      ).spec.pools
    const before = await poolsOf()
    const mistaken = await turnout(proxy, 'deploy', 'shop', '--to', 'blue', '--target', other.url, '--version', '2')
    expect(mistaken).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^turnout: pool blue has traffic, .*\nNothing has changed/),
    })
    expect(await poolsOf()).toEqual(before)
    // What it has already is nothing new.
    await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 9, green: 1 } })
    const [url] = before['green'].targets
    const again = [
      'deploy',
      'shop',
      '--to',
      'green',
      '--target',
      `${url}/`.replace(/\/$/, ''),
      '--version',
      before['green'].version,
    ]
    expect(await turnout(proxy, ...again)).toMatchObject({ code: 0, err: '' })
  })

  test('an abort that comes too late says so, and what does go back', async () => {
    const proxy = await startShop((await startNamed('green')).url)
    await begin(proxy, { strategy: 'AllAtOnce', bake: '0s' })
    const { id } = await reached(proxy, 'done')
    expect(await turnout(proxy, 'rollout', 'abort', 'shop')).toMatchObject({
      code: 0,
      err: `turnout: rollout ${id} is done, so there was nothing to abort; turnout back shop goes back.\n`,
    })
  })

  test('rollout shows and steers, and says what it does not understand', async () => {
    const proxy = await startShop((await startNamed('green')).url)
    expect(await turnout(proxy, 'rollout', 'show', 'shop')).toMatchObject({
      code: 1,
      err: 'turnout: Service shop has had no rollout yet.\n',
    })
    expect((await turnout(proxy, 'deploy', 'shop')).code).toBe(2)
    expect((await turnout(proxy, 'rollout', 'stop', 'shop')).err).toMatch(/there is no rollout "stop"/)
    const wrong = await turnout(proxy, 'deploy', 'shop', '--to', 'green', '--strategy', 'canari')
    expect(wrong).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^turnout: \/strategy: no strategy is called "canari"[^\n]*\n$/),
    })
    const rolling = await turnout(proxy, 'deploy', 'shop', '--to', 'green', '--strategy', 'OneAtATime')
    expect(rolling).toMatchObject({ code: 1, err: expect.stringMatching(/leave nobody to answer/) })
    const begun = await turnout(proxy, 'deploy', 'shop', '--to', 'green')
    expect(begun).toMatchObject({ code: 0, out: expect.stringMatching(/^shop blue → green ░{20} 0 %/) })
    expect((await turnout(proxy, 'rollout', 'pause', 'shop')).out).toMatch(/paused.*: paused by local/)
    expect((await turnout(proxy, 'rollout', 'abort', 'shop')).out).toMatch(/rolled back|rolling back/)
  })
})

describe('while it runs', () => {
  async function startPaused(more: object = {}): Promise<TestProxy> {
    const proxy = await startShop((await startNamed('green')).url)
    await begin(proxy, { ...more, strategy: 'canary', steps: [{ weight: 10, until: 'promoted', for: '1h' }, 50] })
    await until('the first step is there', async () => (await current(proxy)).weight === 10)
    return proxy
  }

  test('nobody else moves the split, and no other rollout begins', async () => {
    const proxy = await startPaused()
    const split = call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 50, green: 50 } })
    await expect(split).rejects.toThrow(/409.*A rollout of shop is running/)
    await expect(begin(proxy, {})).rejects.toThrow(/409.*A rollout of shop is running/)
    await expect(call(proxy, 'PUT', '/v1/services/shop/pools/green', { targets: [] })).rejects.toThrow(/409/)
    // Rules are people's all the same.
    await call(proxy, 'PUT', '/v1/services/shop/rules', [{ name: 'staff', when: { header: { a: '1' } }, to: 'green' }])
    expect(await splitOf(proxy)).toEqual({ blue: 9, green: 1 })
  })

  test('status and explain say that it decides the weights, until traffic is back', async () => {
    // So long it is not over.
    const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
    const hook = await startHook(async () => {
      await held
      return 200
    })
    const proxy = await startPaused({ hooks: [{ at: 'OnRollback', url: hook.url, timeout: '60s' }] })
    const { id } = await current(proxy)
    const rollout = expect.objectContaining({ id, to: 'green', state: 'shifting', step: 0, steps: 3, weight: 10 })
    expect(await call(proxy, 'GET', '/v1/services/shop/status')).toMatchObject({ rollout })
    const ask = { url: 'http://localhost/', headers: {} }
    expect(await call(proxy, 'POST', '/v1/explain', ask)).toMatchObject({
      why: expect.stringMatching(/, by the weights of the rollout to green$/),
      rollout,
    })
    await call(proxy, 'PUT', '/v1/services/shop/rules', [{ name: 'staff', when: { header: { a: '1' } }, to: 'green' }])
    expect(await call(proxy, 'POST', '/v1/explain', { ...ask, headers: { a: '1' } })).toMatchObject({ rollout: null })
    await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
    expect(await call(proxy, 'POST', '/v1/explain', ask)).toMatchObject({
      why: expect.not.stringContaining('rollout'),
      rollout: null,
    })
    goOn()
  })

  test('promote goes to the next step, and an abort, a switch to the old pool and "back" lead to the split before', async () => {
    for (const end of ['abort', 'switch', 'back']) {
      const proxy = await startPaused()
      await call(proxy, 'POST', `${ROLLOUTS}/current/promote`)
      await until('the second step is there', async () => (await current(proxy)).weight === 50)
      if (end === 'abort') await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
      else await call(proxy, 'POST', `/v1/services/shop/${end}`, end === 'switch' ? { to: 'blue' } : undefined)
      expect(await splitOf(proxy)).toEqual({ blue: 100, green: 0 })
      expect((await reached(proxy, 'rolledBack')).reason).toBe('aborted by local')
      // Once more is no harm.
      await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
    }
  })
})

test('whoever begins, pauses, resumes, promotes or aborts it is named in its history, and in the audit of what it shifts for them', async () => {
  const tokenOf = (name: string) => `token-of-${name}-0123456789abcdef0123456789`
  const tokens = ['ann', 'bob', 'cleo', 'dan', 'eve'].map((name) => ({ name, token: tokenOf(name), role: 'operator' }))
  const pools = { blue: [(await startNamed('blue')).url], green: [(await startNamed('green')).url] }
  const proxy = await startProxy({ services: { shop: service(pools) }, admin: { address: '127.0.0.1:0', tokens } })
  async function as<Answer = ToldRollout>(name: string, method: string, path: string, body?: object): Promise<Answer> {
    const headers = { authorization: `Bearer ${tokenOf(name)}`, ...(body && { 'content-type': 'application/json' }) }
    const answer = await fetch(proxy.admin + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
    return (await answer.json()) as Answer
  }
  const path = `${ROLLOUTS}/current`
  const at = (weight: number) =>
    until(`it is at ${weight} %`, async () => (await as('ann', 'GET', path)).weight === weight)
  await as('ann', 'POST', ROLLOUTS, { to: 'green', steps: [{ weight: 10, until: 'promoted', for: '1h' }, 50] })
  await at(10)
  await as('bob', 'POST', `${path}/pause`)
  await as('cleo', 'POST', `${path}/resume`)
  await as('dan', 'POST', `${path}/promote`)
  await at(50)
  const { history } = await as('eve', 'POST', `${path}/abort`)
  const reasons = history.flatMap(({ reason }) => reason ?? [])
  expect(reasons.slice(0, 4)).toEqual(['paused by bob', 'resumed by cleo', 'promoted by dan', 'aborted by eve'])
  const { entries } = await as<{ entries: { change: Record<string, unknown> }[] }>('ann', 'GET', '/v1/audit')
  const shifts = entries.filter(({ change }) => change['kind'] === 'shift')
  expect(shifts.map(({ change }) => change['askedBy']).reverse()).toEqual(['ann', 'ann', 'dan', 'eve'])
})
