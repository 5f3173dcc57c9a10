/** What a rollout has to pass before and between its steps, with real targets, hooks, programs and processes. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Runbook } from '../../src/rollout/runbook.ts'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { startCalled, startHook } from '../helpers/hook.ts'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { call, service, startProcess, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, current, ROLLOUTS, reached, turnout } from '../helpers/rollouts.ts'
import { settableClock } from '../helpers/settable-clock.ts'
import { closedPort, startNamed, startUpstream } from '../helpers/upstream.ts'

/** A target that tells its version and what it was set up with. */
const startTelling = (version: string, schema = '7') =>
  startUpstream((request, response) => {
    request.resume()
    if (request.url === '/version') response.end(JSON.stringify({ build: { version } }))
    else if (request.url === '/plain') response.end(`${version}\n`)
    else if (request.url === '/schema') response.end(schema)
    else response.end('well')
  })

async function startShop(green: readonly string[], more: object = {}, blueSchema = '7'): Promise<TestProxy> {
  const blue = await startTelling('blue-version', blueSchema)
  const shop = service({ blue: [blue.url], green: [...green] }, { sticky: false, visitor: [], ...more })
  return startProxy({ services: { shop } })
}

const QUICK = { strategy: 'canary', steps: [{ weight: 20, until: 'promoted' }], bake: '300ms' }

/** What became of a gate, by name. */
const gate = ({ gates }: ToldRollout, name: string) => {
  const found = gates.findLast((entry) => entry.gate === name)
  return found && `${found.state}: ${found.reason}`
}

describe('the list of checks before a rollout', () => {
  test('is passed by a pool that is what it says, and told with what each has found', async () => {
    const [one, two] = [await startTelling('green-version'), await startTelling('green-version')]
    const hook = await startHook()
    const proxy = await startShop([one.url, two.url], {
      rollout: {
        announces: { path: '/version', json: 'build.version' },
        fingerprint: { path: '/schema', same: true },
        capacity: { requestsPerTarget: 50 },
        hooks: [{ at: 'AfterInstall', url: `${hook.url}?token=hidden` }],
        smoke: [{ path: '/' }],
        warmup: { requests: [{ path: '/' }], rate: 100, for: '100ms' },
      },
    })
    await begin(proxy, QUICK)
    const told = await reached(proxy, 'shifting')
    expect(gate(told, 'targets')).toBe('passed: 2 of 2 ready targets of green are not known to fail')
    expect(gate(told, 'live pool')).toBe('passed: blue can take the traffic back')
    expect(gate(told, 'version')).toBe('passed: 2 of 2 targets of green answer version green-version')
    expect(gate(told, 'capacity')).toMatch(
      /^passed: at 20 % 0 requests a second .*; 2 healthy targets of green carry 100$/,
    )
    expect(gate(told, 'hooks')).toBe('passed: 1 of 1 hooks can be reached')
    expect(gate(told, 'drift')).toBe('passed: all 3 targets of green and blue answer "7" at /schema')
    expect(gate(told, 'AfterInstall')).toBe('passed: null')
    expect(told.gates.find(({ gate }) => gate === 'AfterInstall')?.at).toBe(hook.url)
    expect(gate(told, 'warm-up')).toMatch(/^passed: 10 of 10 requests were answered well/)
    expect(gate(told, 'smoke')).toBe('passed: 2 of 2 targets answered as they should')
    for (const { startedAtMs, endedAtMs } of told.gates) expect(endedAtMs).toBeGreaterThanOrEqual(startedAtMs)
    expect(hook.heard).toHaveLength(1)
  })

  test('says nothing of what it is not told to look at', async () => {
    const proxy = await startShop([(await startNamed('green')).url])
    await begin(proxy, QUICK)
    const told = await reached(proxy, 'shifting')
    for (const name of ['version', 'capacity', 'drift', 'hooks']) expect(gate(told, name)).toMatch(/^skipped: /)
  })

  test.each<[string, object, RegExp]>([
    [
      'a target with another version',
      { announces: { path: '/version', json: 'build.version' } },
      /^http:\S+ answers version "old", not "green-version"$/,
    ],
    ['a version as the whole body', { announces: { path: '/plain' } }, /answers version "old", not "green-version"$/],
    [
      'a version that is not there',
      { announces: { path: '/version', json: 'version' } },
      /^GET \/version of http:\S+: no field version in its answer$/,
    ],
    ['targets that differ', { fingerprint: { path: '/plain' } }, /^targets of green differ: http:\S+ answers "green-/],
    [
      'a pool that differs from the live one',
      { fingerprint: { path: '/schema', same: true } },
      /^green differs from the live pool: http:\S+ answers "7" at \/schema, and http:\S+ "8"$/,
    ],
  ])('ends it at once: %s', async (_what, sent, reason) => {
    const green = [(await startTelling('green-version')).url, (await startTelling('old')).url]
    const proxy = await startShop(green, {}, '8')
    await begin(proxy, { ...QUICK, ...sent })
    expect((await reached(proxy, 'rolledBack')).reason).toMatch(reason)
  })

  test('tells all that is wrong together, and whom it could not reach', async () => {
    const proxy = await startShop([(await startTelling('old')).url])
    const url = `http://127.0.0.1:${await closedPort()}/hook`
    await begin(proxy, { ...QUICK, announces: { path: '/plain' }, hooks: [{ at: 'AfterBake', url }] })
    const told = await reached(proxy, 'rolledBack')
    expect(told.reason).toMatch(
      /answers version "old", not "green-version"; hook AfterBake at http:\S+\/hook cannot be reached: connection refused$/,
    )
    expect(gate(told, 'version')).toMatch(/^failed/)
    expect(gate(told, 'hooks')).toMatch(/^failed/)
  })

  test('waits for targets that no probe has found healthy yet, and tells so', async () => {
    let isWell = false
    const green = await startUpstream((request, response) => {
      request.resume()
      response.writeHead(isWell ? 200 : 503).end('green-version')
    })
    const proxy = await startShop([green.url], {
      health: { path: '/', interval: '100ms', healthyAfter: 1, unhealthyAfter: 1 },
      rollout: { announces: { path: '/' } },
    })
    await begin(proxy, QUICK)
    await until('it waits', async () => (await current(proxy)).next?.waitsFor.startsWith('targets: not all') === true)
    const waiting = await current(proxy)
    expect(waiting.next?.waitsFor).toBe(
      'targets: not all targets of pool green are healthy: of 1 that are ready 0 are found healthy by a probe',
    )
    // Who asks targets waits for them, too.
    expect(gate(waiting, 'version')).toBe('waiting: null')
    isWell = true
    expect(gate(await reached(proxy, 'shifting'), 'version')).toMatch(/^passed/)
  })

  test('what the live pool does now must fit into the new one', async () => {
    const blue = await startUpstream((request, response) => {
      request.resume()
      setTimeout(() => response.end('blue'), 50)
    })
    const green = await startNamed('green')
    const shop = service({ blue: [blue.url], green: [green.url] }, { sticky: false, visitor: [] })
    const proxy = await startProxy({ services: { shop } })
    const load = startLoad(proxy.port, { connections: 20, pauseMs: () => 1 })
    await until('a while', async () => load.outcomes.length > 200)
    await begin(proxy, { ...QUICK, capacity: { requestsPerTarget: 2 } })
    const told = await reached(proxy, 'rolledBack')
    expect(told.reason).toMatch(
      /^too little capacity: now [\d,.]+ requests a second take [\d.]+ ms each, so [\d.]+ are under way at once, and 1 healthy targets of green carry 2$/,
    )
    await load.stop()
  })
})

describe('a dry run', () => {
  const rollout = {
    steps: [10, { weight: 50, for: '2m', requests: 500, until: 'promoted' }],
    bake: '10m',
    announces: { path: '/plain' },
    warmup: { requests: [{ path: '/' }], rate: 10, for: '30s' },
    smoke: [{ path: '/' }],
  }

  test('tells the whole plan, its checks and its times, and changes and calls nothing', async () => {
    const [green, hook] = [await startTelling('green-version'), await startHook()]
    const hooks = ['BeforeInstall', 'BeforeStep', 'OnRollback'].map((at) => ({ at, url: hook.url }))
    const proxy = await startShop([green.url], { rollout: { ...rollout, hooks } })
    const load = startLoad(proxy.port, { connections: 4, pauseMs: () => PACE_MS })
    await until('there is traffic', () => load.outcomes.length > 50)
    const before = await call<{ revision: number }>(proxy, 'GET', '/v1/services/shop')
    const book = await call<Runbook>(proxy, 'POST', ROLLOUTS, { to: 'green', dryRun: true })
    await load.stop()
    expect(book).toMatchObject({ dryRun: true, service: 'shop', from: 'blue', to: 'green', passes: true })
    expect(book.checks.map(({ check, state }) => `${check} ${state}`)).toEqual([
      'targets ok',
      'live pool ok',
      'version ok',
      'capacity skipped',
      'hooks ok',
      'drift skipped',
    ])
    expect(book.steps.map(({ stage, weight }) => [stage, weight])).toEqual([
      ['preflight', 0],
      ['warming', 0],
      ['smoke', 0],
      ['shifting', 10],
      ['shifting', 50],
      ['shifting', 95],
      ['baking', 95],
      ['done', 100],
    ])
    expect(book.steps[0].does[0]).toBe(`calls hook BeforeInstall at ${hook.url}`)
    expect(book.steps[3]).toMatchObject({ split: { blue: 9, green: 1 } })
    expect(book.steps[4].waitsFor).toEqual([
      '2 min of time',
      '500 answers of the new version',
      'a verdict that it is not worse by more than 2 %',
      'a person who promotes it',
    ])
    expect(book.back).toMatchObject({ split: { blue: 100, green: 0 } })
    expect(book.back.does.at(-1)).toBe(`calls hook OnRollback at ${hook.url}`)
    expect(book.atLeastMs).toBe(30_000 + 120_000 + 600_000)
    // About what VERDICT 9 has measured at 10 % and a live pool that does not fail.
    expect(book.notice.map(({ failing }) => failing)).toEqual([1, 0.5, 0.2, 0.1, 0.05])
    expect(book.notice[0].answers).toBeLessThanOrEqual(5)
    expect(book.notice[4].answers).toBeGreaterThan(50)
    for (const { aboutMs } of book.notice) expect(aboutMs).toBeGreaterThan(0)
    expect(book.steps[3].answersToPass).toBeGreaterThan(100)
    const after = await call<{ revision: number }>(proxy, 'GET', '/v1/services/shop')
    expect(after).toEqual(before)
    expect(hook.heard).toEqual([])
    await expect(current(proxy)).rejects.toThrow(/has had no rollout yet/)
  })

  test('of what a pool would not have yet says what fails, and exits with 1', async () => {
    const proxy = await startShop([(await startTelling('green-version')).url], { rollout })
    const well = await turnout(proxy, 'deploy', 'shop', '--to', 'green', '--dry-run')
    expect(well).toMatchObject({ code: 0, err: '' })
    expect(well.out).toMatch(/^shop blue → green, canary: nothing has changed, no hook was called/)
    expect(well.out).toMatch(/ {2}ok {7}version: 1 of 1 targets of green answer version green-version\n/)
    expect(well.out).toMatch(/ {2}4\. shifting, 10 % \(blue=9 green=1\)\n {4}gives green 10 % of the traffic\n/)
    expect(well.out).toMatch(/a version that fails 5 % is sent back after about \d+ answers of it/)
    expect(well.out).toMatch(/the whole takes at least 12 min 30 s\n$/)
    const ill = await turnout(proxy, 'deploy', 'shop', '--to', 'green', '--version', '2', '--dry-run')
    expect(ill.code).toBe(1)
    expect(ill.out).toMatch(/ {2}failed {3}version: http:\S+ answers version "green-version", not "2"/)
    expect(ill.err).toMatch(/the rollout would not begin: version/)
    const json = await turnout(proxy, '--json', 'deploy', 'shop', '--to', 'green', '--dry-run')
    expect(JSON.parse(json.out)).toMatchObject({ passes: true })
    const targets = await turnout(proxy, 'deploy', 'shop', '--to', 'green', '--target', 'http://h:1', '--dry-run')
    expect(targets).toMatchObject({ code: 2, err: expect.stringMatching(/puts no targets/) })
    const { spec } = await call<{ spec: { pools: { green: { version: string } } } }>(proxy, 'GET', '/v1/services/shop')
    expect(spec.pools.green.version).toBe('green-version')
  })
})

test('a hook of a step is asked before that step alone, told by a dry run, reached before all, and its no leads back', async () => {
  const heard: string[] = []
  const hook = await startCalled((text, request) => {
    const { event, step, key } = JSON.parse(text) as { event: string; step: number; key: string }
    heard.push(`${request.url} ${event} ${step}`)
    expect(key).toBe(request.headers['idempotency-key'])
    return request.url === '/database' ? 409 : 200
  })
  const pools = { blue: [(await startNamed('blue')).url], green: [(await startNamed('green')).url] }
  const proxy = await startProxy({ services: { shop: service(pools) } })
  const steps = [
    { weight: 10, for: '1ms', hooks: [{ url: `${hook.url}/first` }] },
    { weight: 50, hooks: [{ at: 'BeforeStep', url: `${hook.url}/database` }] },
  ]
  const sent = { strategy: 'canary', advance: 'time', steps, hooks: [{ at: 'BeforeStep', url: `${hook.url}/each` }] }
  const plan = await call<{ steps: { stage: string; does: string[] }[] }>(proxy, 'POST', ROLLOUTS, {
    to: 'green',
    ...sent,
    dryRun: true,
  })
  const told = plan.steps.filter(({ stage }) => stage === 'shifting').map(({ does }) => does.slice(0, -1))
  const at = (path: string) => `calls hook BeforeStep at ${hook.url}${path}`
  expect(told).toEqual([[at('/each'), at('/first')], [at('/each'), at('/database')], [at('/each')]])
  const { id } = await begin(proxy, sent)
  const back = await reached(proxy, 'rolledBack')
  expect(back).toMatchObject({ id, reason: `hook BeforeStep at ${hook.url}/database: answered 409` })
  expect(heard).toEqual(['/each BeforeStep 0', '/first BeforeStep 0', '/each BeforeStep 1', '/database BeforeStep 1'])
  const far = { ...sent, steps: [{ weight: 10, hooks: [{ url: 'http://127.0.0.1:1/x' }] }] }
  await begin(proxy, far)
  expect((await reached(proxy, 'rolledBack')).reason).toMatch(
    /hook BeforeStep at http:\/\/127\.0\.0\.1:1\/x cannot be reached/,
  )
  const command = { ...sent, steps: [{ weight: 10, hooks: [{ command: ['/opt/x'] }] }] }
  await expect(begin(proxy, command)).rejects.toThrow(/in no folder of rolloutCommands/)
})

describe('a schedule', () => {
  const day = (ms: number) => new Date(ms).toISOString()

  test('is waited for before anything is done, and goes on when its time has come', async () => {
    const hook = await startHook()
    const proxy = await startShop([(await startNamed('green')).url])
    const hooks = [{ at: 'BeforeInstall', url: hook.url }]
    const notBefore = day(Date.now() + 2_500)
    await begin(proxy, { ...QUICK, hooks, schedule: { notBefore } })
    await until(
      'it waits',
      async () => (await current(proxy)).next?.waitsFor.startsWith('schedule: not before') === true,
    )
    expect(hook.heard).toEqual([])
    const told = await reached(proxy, 'shifting')
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(notBefore))
    expect(told.gates[0]).toMatchObject({ gate: 'schedule', state: 'passed' })
    expect(hook.heard).toHaveLength(1)
  })

  test('keeps a step back within a freeze, while it can be aborted at once, and failures send it back', async () => {
    let failing = false
    const green = await startUpstream((request, response) => {
      request.resume()
      response.writeHead(failing ? 500 : 200).end('green')
    })
    for (const end of ['abort', 'failures']) {
      failing = false
      const proxy = await startShop([green.url])
      const from = Date.now() + 2_500
      const freeze = [{ from: day(from), to: day(from + 3_600_000) }]
      await begin(proxy, { ...QUICK, steps: [{ weight: 20, until: 'promoted' }, 60], schedule: { freeze } })
      await until('the first step is there', async () => (await current(proxy)).weight === 20)
      await until('the freeze is there', () => Date.now() > from)
      await call(proxy, 'POST', `${ROLLOUTS}/current/promote`)
      await until(
        'it waits',
        async () => (await current(proxy)).next?.waitsFor.startsWith('schedule: a freeze') === true,
      )
      expect(await current(proxy)).toMatchObject({ state: 'shifting', weight: 20 })
      if (end === 'abort') await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
      const load = startLoad(proxy.port, { connections: 16, pauseMs: () => PACE_MS })
      failing = true
      const told = await reached(proxy, 'rolledBack')
      expect(told.gates.at(-1)).toMatchObject({ gate: 'schedule', state: 'skipped', reason: 'the rollout ended first' })
      await load.stop()
    }
  })

  test('does not count for a release that is to begin now, and a dry run tells how long it would wait', async () => {
    const schedule = { notBefore: '2099-01-01T08:00', timezone: 'Europe/Berlin' }
    const proxy = await startShop([(await startNamed('green')).url], { rollout: { ...QUICK, schedule } })
    const dry = await turnout(proxy, 'deploy', 'shop', '--to', 'green', '--dry-run')
    expect(dry.out).toContain('waits for its schedule: not before its time, until thu 2099-01-01 08:00 Europe/Berlin')
    expect((await turnout(proxy, 'deploy', 'shop', '--to', 'green', '--now')).code).toBe(0)
    await reached(proxy, 'shifting')
    expect((await turnout(proxy, 'history')).out).toContain(', whatever its schedule or capacity says (local)')
  })

  test('is overruled by promote with --force alone, and the audit says by whom', async () => {
    const proxy = await startShop([(await startNamed('green')).url])
    await begin(proxy, { ...QUICK, schedule: { notBefore: '2099-01-01T08:00' } })
    await until('it waits', async () => /^schedule/.test((await current(proxy)).next?.waitsFor ?? ''))
    const refused = await turnout(proxy, 'rollout', 'promote', 'shop')
    expect(refused.code).toBe(1)
    expect(refused.err).toMatch(/not before its time, until thu 2099-01-01 08:00 UTC\. With --force/)
    expect((await turnout(proxy, 'rollout', 'pause', 'shop', '--force')).code).toBe(2)
    const paused = await turnout(proxy, 'rollout', 'pause', 'shop')
    expect(paused.code).toBe(0)
    const { out } = await turnout(proxy, 'rollout', 'resume', 'shop')
    expect(out).toContain('turnout rollout promote shop --force')
    expect((await turnout(proxy, 'rollout', 'promote', 'shop', '--force')).code).toBe(0)
    await until('it has traffic', async () => (await current(proxy)).weight > 0)
    const { entries } = await call<{ entries: { change: Record<string, unknown> }[] }>(proxy, 'GET', '/v1/audit')
    expect(entries[0].change).toMatchObject({ kind: 'shift', hurriedBy: 'local' })
  })
})

describe('what a rollout has replaced', () => {
  const ALL = { strategy: 'all-at-once', bake: '50ms', verdict: { harm: 10 } }
  const POOL = '/v1/services/shop/pools/blue'

  /** Everything of blue goes to green, in a service with probes or without. */
  async function startDone(standby: string, more: object = {}): Promise<{ proxy: TestProxy; blue: string }> {
    const [blue, green] = [await startNamed('blue'), await startNamed('green')]
    const shop = service({ blue: [blue.url], green: [green.url] }, { sticky: false, visitor: [] })
    const proxy = await startProxy({ services: { shop } })
    await begin(proxy, { ...ALL, standby, ...more })
    await reached(proxy, 'done')
    return { proxy, blue: blue.url }
  }

  test('is kept for its time: whatever would end it earlier is refused, unless forced', async () => {
    const { proxy, blue } = await startDone('1h')
    const told = await current(proxy)
    expect(told.standbyUntilMs).toBeGreaterThan(Date.now() + 3_590_000)
    const target = new URL(blue).host
    const pool = { version: 'blue-version', targets: [blue] }
    const refused: [string, string, unknown, RegExp][] = [
      ['DELETE', POOL, undefined, /standby of its last rollout for another (59 min \d+ s|1 h), and would be removed/],
      ['PUT', POOL, { ...pool, targets: [] }, /would lose http/],
      ['PUT', POOL, { ...pool, version: '3' }, /would be version/],
      ['PUT', `${POOL}/state`, { state: 'maint' }, /would be in maintenance/],
      ['PUT', `${POOL}/targets/${target}/state`, { state: 'maint' }, /of it would be in maintenance/],
      ['PATCH', '/v1/services/shop', { pools: { blue: null } }, /would be removed/],
    ]
    for (const [method, path, body, why] of refused) {
      const changed = call(proxy, method, path, body)
      await expect(changed, path).rejects.toThrow(/409/)
      await expect(call(proxy, method, path, body), path).rejects.toThrow(why)
    }
    // What takes nothing away is everybody's.
    const more = await startNamed('blue')
    await call(proxy, 'PUT', POOL, { ...pool, targets: [blue, more.url] })
    await call(proxy, 'PUT', `${POOL}/state`, { state: 'drain' })
    await call(proxy, 'PUT', `${POOL}/state`, { state: 'ready' })
    const deploy = [
      'deploy',
      'shop',
      '--to',
      'blue',
      '--target',
      more.url,
      '--version',
      '3',
      '--strategy',
      'all-at-once',
    ]
    expect(await turnout(proxy, ...deploy)).toMatchObject({ code: 1, err: expect.stringMatching(/would lose http/) })
    expect((await turnout(proxy, 'rollout', 'show', 'shop')).out).toMatch(/ {2}blue is kept until 20\d\d-/)
    await call(proxy, 'DELETE', `${POOL}?force=true`)
  })

  test('can be gone back and switched to, and is nobody else’s to keep while it has the traffic', async () => {
    for (const way of ['back', 'switch']) {
      const { proxy, blue } = await startDone('1h')
      await call(proxy, 'POST', `/v1/services/shop/${way}`, way === 'switch' ? { to: 'blue' } : undefined)
      await call(proxy, 'PUT', POOL, { version: 'other', targets: [blue] })
    }
  })

  test('is retired by its hook when its time is over, and not when it has traffic again', async () => {
    const hook = await startHook()
    const hooks = [{ at: 'Retire', url: hook.url }]
    const { proxy } = await startDone('1s', { hooks })
    await until('it is retired', () => hook.heard.length > 0)
    expect(hook.heard[0]).toMatchObject({ event: 'Retire', to: 'green', pools: ['blue'] })
    await until('that is told', async () => (await current(proxy)).standbyUntilMs === null)
    expect(gate(await current(proxy), 'Retire')).toBe('passed: null')
    await call(proxy, 'DELETE', POOL)
    const other = await startDone('1500ms', { hooks })
    await call(other.proxy, 'POST', '/v1/services/shop/back')
    await until('that is told', async () => (await current(other.proxy)).standbyUntilMs === null)
    expect(hook.heard).toHaveLength(1)
  })

  test('outlives a restart, and is then retired once', async () => {
    const hook = await startHook()
    const [blue, green] = [await startNamed('blue'), await startNamed('green')]
    const shop = service({ blue: [blue.url], green: [green.url] }, { sticky: false, visitor: [] })
    const folder = temporaryFolder()
    const { nodeOptions, env, set } = settableClock(folder)
    const start = () => startProcess({ store: 'sqlite:./turnout.db', services: { shop } }, folder, nodeOptions, env)
    const first = await start()
    await begin(first, { ...ALL, standby: '1h', hooks: [{ at: 'Retire', url: hook.url }] })
    const { standbyUntilMs } = await reached(first, 'done')
    first.child.kill('SIGKILL')
    await first.exited()
    const second = await start()
    expect((await current(second)).standbyUntilMs).toBe(standbyUntilMs)
    await expect(call(second, 'DELETE', POOL)).rejects.toThrow(/409.*standby of its last rollout/)
    expect(hook.heard).toEqual([])
    second.child.kill('SIGKILL')
    await second.exited()
    set(3_600_000)
    const third = await start()
    await until('it is retired', () => hook.heard.length > 0)
    await until('that is told', async () => (await current(third)).standbyUntilMs === null)
    const key = hook.heard[0]['key']
    expect(key).toMatch(/^r-\w+-\d+-0$/)
    await third.close()
    const fourth = await start()
    expect((await current(fourth)).standbyUntilMs).toBeNull()
    await call(fourth, 'DELETE', POOL)
    expect(hook.heard).toHaveLength(1)
  })

  test('a hook that retires needs a time after which it is called', async () => {
    const proxy = await startShop([(await startNamed('green')).url])
    const hooks = [{ at: 'Retire', url: 'http://127.0.0.1:1/' }]
    await expect(begin(proxy, { ...ALL, hooks })).rejects.toThrow(/422.*say how long that is/)
  })
})

describe('programs as hooks', () => {
  /** A folder with programs, and a shop that may run them. */
  async function startWith(scripts: Readonly<Record<string, string>>): Promise<{ proxy: TestProxy; folder: string }> {
    const folder = join(temporaryFolder(), 'hooks')
    mkdirSync(folder)
    for (const [name, text] of Object.entries(scripts)) {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    }
    const [blue, green] = [await startNamed('blue'), await startNamed('green')]
    const shop = service({ blue: [blue.url], green: [green.url] }, { sticky: false, visitor: [] })
    return { proxy: await startProxy({ services: { shop }, rolloutCommands: [folder] }), folder }
  }
  const command = (folder: string, ...words: string[]) => [join(folder, words[0]), ...words.slice(1)]
  const isAlive = (pid: number): boolean => {
    try {
      process.kill(pid, 0)
      return true
    } catch {
      return false
    }
  }

  test('are run with arguments, a body, variables and nothing of our own environment; 0 is a yes', async () => {
    const { proxy, folder } = await startWith({ tell: 'cat > body; env > variables; echo "$@" > arguments' })
    process.env['OF_OURS'] = 'a secret'
    onTestFinished(() => void delete process.env['OF_OURS'])
    const hooks = [{ at: 'BeforeAllowTraffic', command: command(folder, 'tell', '--x', 'a b; echo') }]
    await begin(proxy, { ...QUICK, hooks })
    const told = await reached(proxy, 'shifting')
    expect(gate(told, 'BeforeAllowTraffic')).toBe('passed: null')
    expect(told.gates.find(({ gate }) => gate === 'BeforeAllowTraffic')?.at).toBe(join(folder, 'tell'))
    const [body, variables, words] = ['body', 'variables', 'arguments'].map((name) =>
      readFileSync(join(folder, name), 'utf8'),
    )
    expect(JSON.parse(body)).toMatchObject({
      event: 'BeforeAllowTraffic',
      service: 'shop',
      rollout: told.id,
      to: 'green',
    })
    expect(words).toBe('--x a b; echo\n')
    expect(variables).toContain(`TURNOUT_EVENT=BeforeAllowTraffic\n`)
    expect(variables).toContain(`TURNOUT_KEY=${JSON.parse(body).key}\n`)
    expect(variables).toContain(`TURNOUT_ROLLOUT=${told.id}\n`)
    expect(variables).toContain('TURNOUT_SERVICE=shop\n')
    expect(variables).toContain('TURNOUT_TO=green\n')
    expect(variables).toContain('TURNOUT_STEP=-1\n')
    expect(variables).not.toContain('OF_OURS')
  })

  test('another exit code is a no, and its last line says why, however much it has said before', async () => {
    const { proxy, folder } = await startWith({
      fail: 'yes | head -c 2000000\necho; echo "no: \x1b[1mtable gone" >&2; exit 3',
    })
    await begin(proxy, { ...QUICK, hooks: [{ at: 'AfterInstall', command: command(folder, 'fail') }] })
    expect((await reached(proxy, 'rolledBack')).reason).toMatch(
      /^hook AfterInstall at \S+\/fail: exit code 3: no: \?\[1mtable gone$/,
    )
  })

  test('one that does not end in time is killed, and all that it has started', async () => {
    const { proxy, folder } = await startWith({
      hang: 'sleep 600 &\necho $! > child\necho $$ > self\ntrap "" TERM\nwait\nsleep 600',
    })
    await begin(proxy, {
      ...QUICK,
      hooks: [{ at: 'AfterInstall', command: command(folder, 'hang'), timeout: '300ms' }],
    })
    await until('it is rolled back', async () => (await current(proxy)).state === 'rolledBack')
    expect((await current(proxy)).reason).toMatch(/hang: no end in time$/)
    for (const name of ['child', 'self']) {
      const pid = Number(readFileSync(join(folder, name), 'utf8'))
      await until(`${name} has gone`, () => !isAlive(pid))
    }
  })

  test('an abort ends one that runs', async () => {
    const { proxy, folder } = await startWith({ slow: 'echo $$ > self\nexec sleep 600' })
    await begin(proxy, { ...QUICK, hooks: [{ at: 'AfterInstall', command: command(folder, 'slow') }] })
    const self = () => {
      try {
        return Number(readFileSync(join(folder, 'self'), 'utf8'))
      } catch {
        return 0
      }
    }
    await until('it runs', () => self() > 0)
    await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
    await reached(proxy, 'rolledBack')
    await until('it has gone', () => !isAlive(self()))
  })

  test('are refused where the config file names no folder of theirs, and looked for before anything begins', async () => {
    const { proxy, folder } = await startWith({ well: 'exit 0' })
    const hooks = (...words: string[]) => ({ hooks: [{ at: 'AfterBake', command: words }] })
    await expect(begin(proxy, { ...QUICK, ...hooks('/bin/true') })).rejects.toThrow(
      /422.*is in no folder of rolloutCommands/,
    )
    const none = await startShop([(await startNamed('green')).url])
    await expect(begin(none, hooks(join(folder, 'well')))).rejects.toThrow(/422.*which names none/)
    // A link that leads out of the folder is found before it is run.
    symlinkSync('/bin/true', join(folder, 'out'))
    for (const [name, why] of [
      ['out', /hook AfterBake: \S+\/out is in no folder of rolloutCommands$/],
      ['gone', /hook AfterBake: \S+\/gone is not there$/],
    ] as const) {
      await begin(proxy, { ...QUICK, ...hooks(join(folder, name)) })
      expect((await reached(proxy, 'rolledBack')).reason).toMatch(why)
    }
  })

  test('in a config file need their folders to be named there', async () => {
    const rollout = { hooks: [{ at: 'AfterBake', command: ['/opt/hooks/x'] }] }
    await expect(startShop([(await startNamed('green')).url], { rollout })).rejects.toThrow(
      /rolloutCommands names no folder whose programs may be run/,
    )
  })
})
