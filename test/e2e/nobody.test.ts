/**
 * Nothing that a person does by one command leaves a service without anybody to answer, unless with `--force`: each command, where the pool
 * beside the one with the traffic is well, fails, is empty, or is set apart. What is refused changes nothing; after what is done, somebody answers.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { turnout } from '../cli/scripted.ts'
import { ask } from '../helpers/load.ts'
import { call, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort, startNamed } from '../helpers/upstream.ts'

interface Pool {
  readonly name: string
  readonly admin: string
  readonly targets: readonly { readonly health: string }[]
}

/** A proxy, and services in it, each with a host of its own. */
async function start() {
  const [one, two] = [await startNamed('one'), await startNamed('two')]
  const [dead, gone] = [`http://127.0.0.1:${await closedPort()}`, `http://127.0.0.1:${await closedPort()}`]
  const proxy = await startProxy({ services: {} })
  const spec = (name: string, blue: string[], green: string[]) => ({
    routes: [{ host: `${name}.test` }],
    pools: { blue: { version: '1', targets: blue }, green: { version: '2', targets: green } },
    split: { blue: 1, green: 0 },
    health: { path: '/', interval: '100ms', timeout: '5s', healthyAfter: 1, unhealthyAfter: 1 },
  })
  const poolsOf = async (name: string) =>
    (await call<{ pools: Pool[] }>(proxy, 'GET', `/v1/services/${name}/status`)).pools
  const isSeen = async (name: string) => {
    const ready = (await poolsOf(name)).filter(({ admin }) => admin === 'ready')
    return ready.every(({ targets }) => targets.every(({ health }) => health !== 'unknown'))
  }
  const put = async (name: string, given: object, state = 'ready') => {
    await call(proxy, 'PUT', `/v1/services/${name}?force=true`, given)
    await call(proxy, 'PUT', `/v1/services/${name}/pools/green/state`, { state })
    // What the command before has made of it is past.
    const isWell = async () => (await poolsOf(name))[0].targets[0].health === 'healthy' && isSeen(name)
    await until(`${name} is probed`, isWell)
  }
  const run = async (line: string) => {
    const { code, err, out } = await turnout(proxy.admin, ...line.split(' '))
    return { code, err: err + out }
  }
  const status = async (name: string) =>
    (await ask(proxy.port, { method: 'GET', headers: { Host: `${name}.test` } })).status
  return {
    proxy,
    spec,
    put,
    run,
    status,
    isSeen,
    poolsOf,
    one,
    two,
    dead,
    gone,
    target: one.url.replace('http://', ''),
  }
}

const STATES = {
  well: { has: 'two', state: 'ready' },
  failing: { has: 'dead', state: 'ready' },
  empty: { has: null, state: 'ready' },
  draining: { has: 'two', state: 'drain' },
  standby: { has: 'two', state: 'standby' },
  maint: { has: 'two', state: 'maint' },
} as const

test.each(Object.entries(STATES))('beside a pool that is %s', async (name, { has, state }) => {
  const proxy = await start()
  const { run, put, status, dead, target } = proxy
  const spec = proxy.spec(name, [proxy.one.url], has === null ? [] : [has === 'dead' ? proxy.gone : proxy[has].url])
  const folder = temporaryFolder()
  const file = (text: string, services: object) => {
    writeFileSync(join(folder, text), JSON.stringify({ services }))
    return `apply ${join(folder, text)}`
  }
  const blue = (targets: string[]) => ({ ...spec, pools: { ...spec.pools, blue: { version: '1', targets } } })
  const takesAway = [
    ...['drain', 'standby', 'maint'].flatMap((verb) => [`${verb} S blue`, `${verb} S blue ${target}`]),
    `target remove S blue ${target}`,
    `target set S blue ${target} weight=0`,
    'pool remove S blue',
    'pool set S blue targets=[]',
    `pool set S blue targets=${dead}`,
    'service remove S',
    'service set S pools.blue=null',
    `service set S pools.blue.targets=${dead}`,
    'rule add S nobody deny=blue when.path.prefix=/',
    file('emptied.yaml', { [name]: blue([]) }),
    file('dead.yaml', { [name]: blue([dead]) }),
    'restore 0',
  ]
  const swap = file('swapped.yaml', { [name]: { ...spec, split: { green: 1 } } })
  const givesTraffic = [
    'switch S green --wait 0s',
    'switch S=green --wait 0s',
    'split S green=1 --wait 0s',
    'split S blue=1 green=99 --wait 0s',
    // These wait for a probe as long as by default.
    ...(name === 'failing'
      ? []
      : ['service set S live=green split=null', 'service set S split.blue=0 split.green=1', swap]),
  ]
  const harmless = [
    `target add S blue ${dead}`,
    'service set S health.status=299',
    'service set S failover=green',
    'rule add S all to=green when.path.prefix=/',
    'deploy S --to green --strategy all-at-once --now',
  ]
  const line = (text: string) => text.replace(/\bS\b/, name)
  const revision = async () => (await call<{ revision: number }>(proxy.proxy, 'GET', '/v1/services')).revision
  await put(name, spec, state)
  const refused = name === 'well' ? takesAway : [...takesAway, ...givesTraffic]
  const before = await revision()
  for (const text of refused) {
    const { code, err } = await run(line(text))
    expect([text, code, await status(name)]).toEqual([text, 1, 200])
    expect(err).not.toBe('')
  }
  expect(await revision()).toBe(before)
  for (const text of name === 'well' ? [...givesTraffic, ...harmless] : harmless) {
    await put(name, spec, state)
    const { code, err } = await run(line(text))
    expect([text, code], err).toEqual([text, 0])
    await until(`${text} is probed`, () => proxy.isSeen(name))
    for (let asked = 0; asked < 3; asked++) expect([text, await status(name)]).toEqual([text, 200])
  }
})

test('beside a target that fails, the one that answers stays; back to a pool that fails is refused, and done with force', async () => {
  const { put, run, spec, status, poolsOf, one, two, dead, target } = await start()
  await put('half', spec('half', [one.url, dead], []))
  for (const text of [`target remove half blue ${target}`, `drain half blue ${target}`, `maint half blue ${target}`])
    expect([text, (await run(text)).code, await status('half')]).toEqual([text, 1, 200])
  await put('shop', spec('shop', [one.url], [two.url]))
  expect((await run('switch shop green')).code).toBe(0)
  await one.close()
  await until('blue fails', async () =>
    (await poolsOf('shop')).some((pool) => pool.name === 'blue' && pool.targets[0].health === 'unhealthy'),
  )
  const { code, err } = await run('back shop')
  expect([code, await status('shop')]).toEqual([1, 200])
  expect(err).toMatch(/^turnout: Nobody would be left to answer for shop: .* with --force it is done all the same\.\n$/)
  expect((await run('back shop --force')).code).toBe(0)
  expect(await status('shop')).toBeGreaterThanOrEqual(500)
})

test('an abort whose live pool has died is asked for twice; the API does it at once, and both say that nobody answers', async () => {
  const { put, run, spec, status, poolsOf, proxy, one, two } = await start()
  const rollout = { steps: [{ weight: 50, until: 'promoted' }] }
  await put('shop', { ...spec('shop', [one.url], [two.url]), rollout })
  await until('green is probed', async () => (await poolsOf('shop'))[1].targets[0].health === 'healthy')
  expect((await run('deploy shop --to green')).code).toBe(0)
  const rolloutNow = () => call<{ state: string }>(proxy, 'GET', '/v1/services/shop/rollouts/current')
  await until('half is with green', async () => (await rolloutNow()).state === 'shifting')
  await one.close()
  await until('blue fails', async () => (await poolsOf('shop'))[0].targets[0].health === 'unhealthy')
  const asked = await run('rollout abort shop')
  expect([asked.code, await status('shop')]).toEqual([1, 200])
  expect(asked.err).toMatch(/^turnout: Nobody would be left to answer for shop: rollout r-\w+ goes back to blue, /)
  const done = await run('rollout abort shop --force')
  expect(done.code).toBe(0)
  expect(done.err).toContain(
    'turnout: nobody can answer for shop now: mend a target of blue, or turnout switch shop green --force\n',
  )
  expect(await status('shop')).toBeGreaterThanOrEqual(500)
  expect(await call(proxy, 'POST', '/v1/services/shop/rollouts/current/abort')).toMatchObject({ answered: false })
})

/** Each call of the API that is no GET: what is sent where `blue` answers and `green` is empty, and refused; or why it takes nobody away. */
const CALLS: Readonly<Record<string, string | readonly object[]>> = {
  'PUT /v1/services/{service}': [
    { pools: { blue: { version: '1', targets: [] }, green: { version: '2', targets: [] } } },
  ],
  'PATCH /v1/services/{service}': [
    { pools: { blue: { targets: [] } } },
    { pools: { blue: null }, split: { blue: 0, green: 1 } },
  ],
  'DELETE /v1/services/{service}': 'it is removed by its name; the command line asks twice',
  'PUT /v1/services/{service}/split': [
    { weights: { green: 1 }, wait: '0s' },
    { weights: { blue: 1, green: 9 }, wait: '0s' },
  ],
  'POST /v1/services/{service}/switch': [
    { to: 'green', wait: '0s' },
    { to: 'green', wait: '0s', hold: { for: '2s' } },
  ],
  'POST /v1/switch': [{ to: { api: 'green' }, wait: '0s' }],
  'POST /v1/services/{service}/back': 'a test of its own, above',
  'PUT /v1/services/{service}/rules': 'below: it takes a list',
  'PUT /v1/services/{service}/pools/{pool}': [{ version: '1', targets: [] }],
  'DELETE /v1/services/{service}/pools/{pool}': [{}],
  'PUT /v1/services/{service}/pools/{pool}/state': ['drain', 'standby', 'maint'].map((state) => ({ state })),
  'PUT /v1/services/{service}/pools/{pool}/targets/{target}/state': ['drain', 'standby', 'maint'].map((state) => ({
    state,
  })),
  'POST /v1/services/{service}/rollouts': [{ to: 'green' }],
  'POST /v1/services/{service}/rollouts/{id}/pause': 'it stays where it is',
  'POST /v1/services/{service}/rollouts/{id}/resume': 'the pool before takes over',
  'POST /v1/services/{service}/rollouts/{id}/promote': 'the pool before takes over',
  'POST /v1/services/{service}/rollouts/{id}/abort':
    'never refused, by contract, unless asked to be: a test of its own, above',
  'POST /v1/services/{service}/rollouts/{id}/metrics': 'it changes nothing by itself',
  'POST /v1/services/{service}/hold': 'it ends by itself',
  'POST /v1/services/{service}/release': 'who waits is let go',
  'PUT /v1/services/{service}/maintenance': 'its page answers, and that is what is asked for',
  'POST /v1/services/{service}/dry-run': 'it changes nothing',
  'POST /v1/explain': 'it changes nothing',
  'POST /v1/revisions/{revision}/restore': [{}],
  'POST /v1/apply': 'what is applied by the command line, above, goes this way',
  'POST /v1/upgrade': 'the process before serves until the other one does',
}

test('each call of the API that could leave nobody is refused without force', async () => {
  const { proxy, put, spec, status, one, target } = await start()
  await put('first', spec('first', [one.url], []))
  const { revision } = await call<{ revision: number }>(proxy, 'GET', '/v1/services')
  const api = spec('api', [one.url], [])
  await put('api', api)
  const { paths } = await call<{ paths: Record<string, Record<string, object>> }>(proxy, 'GET', '/openapi.json')
  const listed = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(Object.keys(CALLS).toSorted()).toEqual(listed.filter((name) => !name.startsWith('GET ')).toSorted())
  const values = { service: 'api', pool: 'blue', target, revision: String(revision) } as Readonly<
    Record<string, string>
  >
  const now = async () => (await call<{ revision: number }>(proxy, 'GET', '/v1/services')).revision
  const before = await now()
  const refused = async (name: string, body: object | undefined) => {
    const [method, path] = name.replaceAll(/\{(\w+)\}/g, (_, key: string) => values[key]).split(' ')
    const said = await call(proxy, method, path, body).then(JSON.stringify, (error: Error) => error.message)
    expect([name, body, said, await status('api')]).toEqual([
      name,
      body,
      expect.stringMatching(/409.*conflict|422.*unknown pool/),
      200,
    ])
  }
  for (const [name, bodies] of Object.entries(CALLS)) {
    if (typeof bodies === 'string') continue
    for (const body of bodies) {
      const isWhole = name === 'PUT /v1/services/{service}'
      await refused(name, isWhole ? { ...api, ...body } : Object.keys(body).length === 0 ? undefined : body)
    }
  }
  await refused('PUT /v1/services/{service}/rules', [{ name: 'no', when: { path: { prefix: '/' } }, deny: 'blue' }])
  expect(await now()).toBe(before)
})

test('each verb of the command line is among those that were tried, or takes nobody away', async () => {
  const tried = 'split switch back drain standby maint deploy rollout restore apply service pool target rule'.split(' ')
  const harmless = {
    'serve status explain dry-run events history diff export completion man': 'they change nothing',
    ready: 'it gives',
    'hold release': 'it ends by itself, and ends it',
    maintenance: 'its page answers, and that is what is asked for',
    upgrade: 'the process before serves until the other one does',
  }
  const { out } = await turnout('', '--help')
  const verbs = [...out.matchAll(/^ {2}([a-z]+(?:-[a-z]+)?) /gm)].map(([, name]) => name)
  expect([...tried, ...Object.keys(harmless).join(' ').split(' ')].toSorted()).toEqual(verbs.toSorted())
})
