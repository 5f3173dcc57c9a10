/**
 * `kill -9` and start again on the same store: everything that was acknowledged is there, the way it was, and the file does not
 * undo it. (What an edited file changes, at a restart and by SIGHUP: reload.test.ts.)
 */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ServiceObserved } from '../../src/table/status.ts'
import { bulk } from '../helpers/bulk.ts'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { call, type ProxyProcess, service, startProcess, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort, startNamed, startUpstream } from '../helpers/upstream.ts'

const STORE = 'sqlite:./turnout.db'
/** How often it is killed while it changes. */
const ROUNDS = bulk(2, 5)

async function killed(proxy: ProxyProcess): Promise<void> {
  proxy.child.kill('SIGKILL')
  await proxy.exited()
}

interface Seen {
  readonly services: readonly { readonly name: string; readonly spec: unknown; readonly status: unknown }[]
  readonly revision: number
  readonly audit: unknown
  readonly revisions: unknown
}

/** All that people and programs can see of the state that must last. */
async function seen(proxy: ProxyProcess): Promise<Seen> {
  const { services, revision } = await call<Seen>(proxy, 'GET', '/v1/services')
  const { entries } = await call<{ entries: unknown }>(proxy, 'GET', '/v1/audit')
  const { revisions } = await call<{ revisions: unknown }>(proxy, 'GET', '/v1/revisions')
  return { services, revision, audit: entries, revisions }
}

/** Waits until this is stored of a target: what is observed is saved a moment later. */
async function stored(folder: string, says: (target: { health: string; ejectedUntilMs: number }) => boolean) {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  const file = new DatabaseSync(join(folder, 'turnout.db'), { readOnly: true })
  await until('it is stored', async () => {
    const services = file.prepare('SELECT text FROM observed').all() as unknown as { text: string }[]
    const pools = services.flatMap(({ text }) => Object.values(JSON.parse(text) as ServiceObserved))
    return pools.flatMap((targets) => Object.values(targets).flatMap((seen) => Object.values(seen))).some(says)
  })
  file.close()
}

const poolOf = (answer: Response): string | null => answer.headers.get('x-turnout-pool')
const asBrowser = (proxy: ProxyProcess, cookie = ''): Promise<Response> =>
  fetch(proxy.url, { headers: { accept: 'text/html', cookie } })

/** A new visitor that was sent to this pool: its cookie. */
async function visitorOf(proxy: ProxyProcess, pool: string): Promise<string> {
  for (;;) {
    const answer = await asBrowser(proxy)
    if (poolOf(answer) === pool) return answer.headers.getSetCookie()[0].split(';')[0]
  }
}

test('after kill -9 everything is as it was: split, rules, states, health, ejection, release, audit, cookies', async () => {
  const blue = [await startNamed('b1'), await startNamed('b2'), await startNamed('b3')].map(({ url }) => url)
  const ill = await startUpstream((_, response) => response.writeHead(500).end())
  const green = [(await startNamed('g1')).url, ill.url]
  const gone = `http://127.0.0.1:${await closedPort()}`
  const health = { path: '/', interval: '200ms', healthyAfter: 1, unhealthyAfter: 1 }
  const more = { health, debugHeaders: true, drain: { timeout: '1h' } }
  const config = {
    store: STORE,
    services: {
      shop: service({ blue, green }, more),
      api: service({ only: [blue[0], gone] }, { routes: [{ host: 'api', path: '/' }] }),
    },
  }
  const folder = temporaryFolder()
  let proxy = await startProcess(config, folder)

  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 50, green: 50 } })
  const rules = [{ name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' }]
  await call(proxy, 'PUT', '/v1/services/shop/rules', rules)
  await stored(folder, ({ health }) => health === 'unhealthy')
  const visitor = await visitorOf(proxy, 'green')
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  await call(proxy, 'POST', '/v1/services/shop/back')
  await call(proxy, 'PUT', '/v1/services/shop/pools/green/state', { state: 'drain' })
  const states = `/v1/services/shop/pools/blue/targets`
  await call(proxy, 'PUT', `${states}/${new URL(blue[1]).host}/state`, { state: 'standby' })
  await call(proxy, 'PUT', `${states}/${new URL(blue[2]).host}/state`, { state: 'maint' })
  const next = () => ({ method: 'GET', headers: { Host: 'api' } })
  const load = startLoad(proxy.port, { connections: 4, next, pauseMs: () => PACE_MS })
  await stored(folder, ({ ejectedUntilMs }) => ejectedUntilMs > 0)
  await load.stop()
  expect(poolOf(await asBrowser(proxy, visitor))).toBe('green')

  const before = await seen(proxy)
  await killed(proxy)
  proxy = await startProcess(config, folder)
  expect(await seen(proxy)).toEqual(before)

  // And it routes by it: the visitor of the draining pool is known by the cookie from before, and nobody new is let in.
  expect(poolOf(await asBrowser(proxy, visitor))).toBe('green')
  for (let i = 0; i < 20; i++) {
    const answer = await asBrowser(proxy)
    expect([poolOf(answer), await answer.text()]).toEqual(['blue', 'b1'])
  }
  await call(proxy, 'PUT', '/v1/services/shop/pools/green/state', { state: 'ready' })
  const { split } = await call<{ split: unknown }>(proxy, 'POST', '/v1/services/shop/back')
  expect(split).toEqual({ blue: 0, green: 100 })
})

test('an edited file is applied at the restart, field by field, beside what the API has changed', async () => {
  const blue = [(await startNamed('blue')).url]
  const green = [(await startNamed('green')).url]
  const folder = temporaryFolder()
  const at = (split: object, more = {}) => ({
    store: STORE,
    services: { shop: service({ blue, green }, { split, ...more }) },
  })
  const specOf = async (proxy: ProxyProcess) =>
    (await call<{ spec: Record<string, unknown> }>(proxy, 'GET', '/v1/services/shop')).spec
  let proxy = await startProcess(at({ blue: 100 }), folder)
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 70, green: 30 } })
  await call(proxy, 'PATCH', '/v1/services/shop', { debugHeaders: true })
  await killed(proxy)
  // Another field changed in the file: the split of the API stays.
  proxy = await startProcess(at({ blue: 100 }, { balance: 'random' }), folder)
  expect(await specOf(proxy)).toMatchObject({ split: { blue: 70, green: 30 }, debugHeaders: true, balance: 'random' })
  await killed(proxy)
  // The split changed in the file: it wins, and the rest of the API stays.
  proxy = await startProcess(at({ blue: 10, green: 90 }, { balance: 'random' }), folder)
  expect(await specOf(proxy)).toMatchObject({ split: { blue: 10, green: 90 }, debugHeaders: true, balance: 'random' })
})

test('kill -9 in the middle of changes loses none that was acknowledged', { timeout: 90_000 }, async () => {
  const blue = await startNamed('blue')
  const green = await startNamed('green')
  const config = { store: STORE, services: { shop: service({ blue: [blue.url], green: [green.url] }) } }
  const folder = temporaryFolder()
  let sent = 0
  let acknowledged = { revision: 0, weight: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    const proxy = await startProcess(config, folder)
    const { revision, spec } = await call<{ revision: number; spec: { split: { blue: number } } }>(
      proxy,
      'GET',
      '/v1/services/shop',
    )
    if (round > 0) {
      // The one that was under way may have been stored without an answer; an acknowledged one is never missing.
      expect([acknowledged.weight, sent]).toContain(spec.split.blue)
      expect([acknowledged.revision, acknowledged.revision + 1]).toContain(revision)
    }
    let changes = 0
    const change = async (): Promise<void> => {
      for (;;) {
        const weight = ++sent
        const weights = { blue: weight, green: 1 }
        const answer = await call<{ revision: number }>(proxy, 'PUT', '/v1/services/shop/split', { weights })
        acknowledged = { revision: answer.revision, weight }
        changes++
      }
    }
    const ended = change().catch(() => {})
    await until('some changes are made', () => changes > 20 + Math.random() * 20)
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
    await killed(proxy)
    await ended
  }
  const { entries } = await call<{ entries: { revision: number }[] }>(
    await startProcess(config, folder),
    'GET',
    '/v1/audit?limit=1000',
  )
  // Not one hole in the audit either.
  expect(entries.map(({ revision }) => revision)).toEqual(entries.map((_, i) => entries[0].revision - i))
  expect(entries.at(-1)?.revision).toBe(1)
})
