/**
 * Two `turnout serve` on one SQLite file, as an upgrade or a second machine with a shared folder has them: each follows what the other
 * changes, changes of both at once are all made, and whoever is left goes on with all of it.
 */
import { isDeepStrictEqual } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { turnout } from '../cli/scripted.ts'
import { call, type ProxyProcess, service, startProcess, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { REDIS, startRedis } from '../helpers/redis.ts'
import { startNamed } from '../helpers/upstream.ts'

const poolOf = async (proxy: ProxyProcess): Promise<string> => {
  const answer = await fetch(proxy.url)
  await answer.arrayBuffer()
  return answer.headers.get('x-turnout-pool') ?? `status ${answer.status}`
}

async function startTwo(): Promise<{ one: ProxyProcess; two: ProxyProcess; again: () => Promise<ProxyProcess> }> {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const shop = service({ blue: [blue.url], green: [green.url] }, { debugHeaders: true })
  const folder = temporaryFolder()
  const start = () => startProcess({ store: 'sqlite:./turnout.db', services: { shop } }, folder)
  return { one: await start(), two: await start(), again: start }
}

interface Audit {
  readonly entries: readonly { readonly revision: number }[]
}

/** What either says of the state that both share. */
async function shared(proxy: ProxyProcess): Promise<unknown> {
  const { services, revision } = await call<{ services: { spec: unknown }[]; revision: number }>(
    proxy,
    'GET',
    '/v1/services',
  )
  const { entries } = await call<Audit>(proxy, 'GET', '/v1/audit')
  return { specs: services.map(({ spec }) => spec), revision, entries }
}

/** Aborts a rollout; on a busy machine the call may be told that it goes on, and asks again. */
async function abort(proxy: ProxyProcess, path: string): Promise<ToldRollout> {
  let told: ToldRollout | null = null
  await until('it is aborted', async () => {
    told = await call<ToldRollout>(proxy, 'POST', path).catch((error: unknown) => {
      if (String(error).includes('store_unavailable')) return null
      throw error
    })
    return told !== null
  })
  return told!
}

test('each follows what the other changes, changes of both at once are all made, and one that is killed is missed by nobody', async () => {
  const { one, two, again } = await startTwo()
  await call(one, 'POST', '/v1/services/shop/switch', { to: 'green' })
  expect(await poolOf(one)).toBe('green')
  await until('the other routes by it', async () => (await poolOf(two)) === 'green')
  await call(two, 'POST', '/v1/services/shop/back')
  expect(await poolOf(two)).toBe('blue')
  await until('and the other way round', async () => (await poolOf(one)) === 'blue')

  // Of both at the same time, under a revision each: both have all of them.
  const changes = Array.from({ length: 40 }, (_, at) => {
    const weights = { blue: 100 - at, green: at }
    return call<{ revision: number }>(at % 2 === 0 ? one : two, 'PUT', '/v1/services/shop/split', { weights })
  })
  const revisions = (await Promise.all(changes)).map(({ revision }) => revision)
  expect(new Set(revisions).size).toBe(40)
  await until('both say the same', async () => isDeepStrictEqual(await shared(one), await shared(two)))
  const { entries } = await call<Audit>(one, 'GET', '/v1/audit?limit=100')
  expect(entries.map(({ revision }) => revision)).toEqual(expect.arrayContaining(revisions))

  // One that starts again has what was changed meanwhile.
  await call(one, 'PUT', '/v1/services/shop/split', { weights: { blue: 0, green: 1 } })
  await until('the other follows', async () => (await poolOf(two)) === 'green')
  one.child.kill('SIGKILL')
  await one.exited()
  await call(two, 'PUT', '/v1/services/shop/split', { weights: { blue: 1, green: 0 } })
  expect(await poolOf(two)).toBe('blue')
  const third = await again()
  expect(await poolOf(third)).toBe('blue')
  expect(await shared(third)).toEqual(await shared(two))
})

test('a rollout that one runs is shown by the other, whose abort is followed; it begins and steers none, and takes it up when that one is killed', async () => {
  const { one, two } = await startTwo()
  const path = '/v1/services/shop/rollouts'
  const sent = { to: 'green', steps: [{ weight: 99, for: '1h' }], advance: 'time', keep: 0 }
  const { id } = await call<ToldRollout>(one, 'POST', path, sent)
  const shown = () => call<ToldRollout>(two, 'GET', `${path}/current`)
  await until('the other shows it', async () => (await shown()).weight === 99)
  const aborted = await abort(two, `${path}/current/abort`)
  expect(aborted.id).toBe(id)
  expect(aborted.state).toMatch(/rollingBack|rolledBack/)
  for (const proxy of [one, two]) for (let n = 0; n < 20; n++) expect(await poolOf(proxy)).toBe('blue')
  await until('it is over', async () => (await shown()).state === 'rolledBack')
  const { entries } = await call<{ entries: { change: Record<string, unknown> }[] }>(two, 'GET', '/v1/audit')
  const asked = entries.filter(({ change }) => change['verb'] === 'abort').map(({ change }) => change['state'])
  expect(asked.toReversed()).toEqual(['shifting', 'rollingBack'])
  // Again, it is over.
  expect(await call<ToldRollout>(two, 'POST', `${path}/${id}/abort`)).toMatchObject({ state: 'rolledBack' })

  // The next one loses who runs it.
  const atRunner = () => call<ToldRollout>(one, 'GET', `${path}/current`)
  await until('it is over for whoever ran it, too', async () => (await atRunner()).state === 'rolledBack')
  const half = { to: 'green', steps: [{ weight: 50, for: '1h' }], advance: 'time' }
  // Who goes back where it does not run aborts it, too.
  const goingBack = [
    ['back', undefined],
    ['switch', { to: 'blue' }],
  ] as const
  for (const [way, body] of goingBack) {
    await call(one, 'POST', path, half)
    await until('the other shows it', async () => (await shown()).weight === 50)
    await call(two, 'POST', `/v1/services/shop/${way}`, body)
    for (const proxy of [one, two]) expect(await poolOf(proxy)).toBe('blue')
    await until('it is over', async () => (await atRunner()).state === 'rolledBack')
  }
  const begun = await call<ToldRollout>(one, 'POST', path, half)
  await until('the other shows it', async () => (await shown()).weight === 50)
  expect(await shown()).toMatchObject({ id: begun.id, runsElsewhere: true })
  const status = await call<{ rollout: object | null }>(two, 'GET', '/v1/services/shop/status')
  expect(status.rollout).toMatchObject({ id: begun.id })
  await expect(call(two, 'POST', `${path}/current/pause`)).rejects.toThrow(/409.*another Turnout process/)
  await expect(call(two, 'POST', path, half)).rejects.toThrow(/409.*Nothing is begun here/)
  one.child.kill('SIGKILL')
  await one.exited()
  await until('it is taken up', async () => !(await shown()).runsElsewhere)
  await abort(two, `${path}/current/abort`)
  expect(await poolOf(two)).toBe('blue')
  await until('it is over', async () => (await shown()).state === 'rolledBack')
})

test.skipIf(REDIS === null)(
  'the process that does not run the rollout refuses its abort too where nobody would be left, unless it is told twice',
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.end())
    const [blue, green] = [await startNamed('blue'), await startNamed('green')]
    const health = { path: '/', interval: '100ms', healthyAfter: 1, unhealthyAfter: 1 }
    const shop = service({ blue: [blue.url], green: [green.url] }, { debugHeaders: true, health })
    // Instances have a folder each, as on machines of their own.
    const start = () => startProcess({ store: redis.url, services: { shop } }, temporaryFolder())
    const [one, two] = [await start(), await start()]
    const path = '/v1/services/shop/rollouts'
    const sent = { to: 'green', steps: [{ weight: 50, until: 'promoted' }] }
    await until('it begins', () => call(one, 'POST', path, sent).then(Boolean, () => false))
    const shown = () => call<ToldRollout>(two, 'GET', `${path}/current`)
    await until('the other shows it', async () => (await shown()).weight === 50)
    expect((await shown()).runsElsewhere).toBe(true)
    await blue.close()
    const healthOfBlue = async (proxy: ProxyProcess) =>
      (await call<{ pools: { targets: { health: string }[] }[] }>(proxy, 'GET', '/v1/services/shop/status')).pools[0]
        .targets[0].health
    for (const proxy of [one, two]) await until('blue fails', async () => (await healthOfBlue(proxy)) === 'unhealthy')
    await expect(call(two, 'POST', `${path}/current/abort?force=false`)).rejects.toThrow(/409.*Nobody would be left/)
    const asked = await turnout(two.admin, 'rollout', 'abort', 'shop')
    expect([asked.code, asked.err]).toEqual([
      1,
      expect.stringMatching(/^turnout: Nobody would be left to answer for shop: /),
    ])
    expect(await shown()).toMatchObject({ state: 'shifting', weight: 50 })
    const done = await turnout(two.admin, 'rollout', 'abort', 'shop', '--force')
    expect([done.code, done.err]).toEqual([0, expect.stringContaining('turnout: nobody can answer for shop now: ')])
    await until('it is over', async () => (await shown()).state === 'rolledBack')
    expect(await poolOf(two)).toMatch(/^status 50/)
    expect(await call(two, 'POST', `${path}/current/abort`)).toMatchObject({ state: 'rolledBack', answered: false })
  },
  30_000,
)
