/** Starts without Redis, and a Redis that has lost what it had: what each instance knows last is on its own disk. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { ask, BROWSER } from '../helpers/ask.ts'
import { bulk } from '../helpers/bulk.ts'
import { type Load, PACE_MS, startLoad } from '../helpers/load.ts'
import { call, service, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { REDIS, type RedisServer, startRedis } from '../helpers/redis.ts'
import { startNamed } from '../helpers/upstream.ts'

const withRedis = test.skipIf(REDIS === null)
const LONG_MS = 60_000

interface Stand {
  readonly redis: RedisServer
  readonly shop: Record<string, unknown>
  /** Starts an instance whose snapshot is in a folder; with another file where one is given. */
  start(folder?: string, services?: object): Promise<TestProxy>
}

async function stand(...options: readonly string[]): Promise<Stand> {
  const redis = await startRedis(...options)
  onTestFinished(() => redis.end())
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const shop = service(
    { blue: [blue.url], green: [green.url] },
    { debugHeaders: true, sticky: { pool: true }, split: { blue: 50, green: 50 } },
  )
  const start = (folder = temporaryFolder(), services: object = { shop }) =>
    startProxy({ store: redis.url, services }, { stateDirectory: folder })
  return { redis, shop, start }
}

const KEPT = ['--appendonly', 'yes', '--appendfsync', 'always']

const poolOf = async (proxy: TestProxy, headers: Record<string, string> = {}): Promise<string> =>
  String((await ask(proxy.port, { path: '/', headers })).headers['x-turnout-pool'])
const switchTo = (proxy: TestProxy, to: string) => call(proxy, 'POST', '/v1/services/shop/switch', { to })
const readiness = async (proxy: TestProxy) => (await fetch(`${proxy.admin}/readyz?strict`)).status
const metricsOf = async (proxy: TestProxy) => (await fetch(`${proxy.admin}/metrics`)).text()
const eventsOf = async (proxy: TestProxy): Promise<string> =>
  (await fetch(`${proxy.admin}/v1/events?follow=false`)).text()

interface Told {
  readonly revision: number
  readonly snapshot: { readonly serves: boolean; readonly revision: number; readonly fault: string | null }
}
const statusOf = (proxy: TestProxy) => call<Told>(proxy, 'GET', '/v1/status')
const revisionOf = async (proxy: TestProxy) => (await statusOf(proxy)).revision

/** Waits until what it serves is on its disk. */
const kept = (proxy: TestProxy) =>
  until('it is kept', async () => {
    const { revision, snapshot } = await statusOf(proxy)
    return snapshot.revision === revision
  })

const isTaken = (proxy: TestProxy, to: string) =>
  switchTo(proxy, to).then(
    () => true,
    () => false,
  )

withRedis(
  'an instance that starts without Redis serves by what it knew last, read only, says so, and comes over by itself',
  async () => {
    const { redis, shop, start } = await stand(...KEPT)
    const folder = temporaryFolder()
    const before = await start(folder)
    await call(before, 'PUT', '/v1/services/shop/split', { weights: { blue: 30, green: 70 } })
    // Of those who came before some would move with the weights.
    const first = await ask(before.port, { path: '/', headers: BROWSER })
    const cookie = String(first.headers['set-cookie']).split(';')[0]
    await kept(before)
    await before.close()
    await redis.kill()
    const more = { ...shop, skew: ['/assets/*'] }
    const proxy = await start(folder, { shop: more })
    for (let n = 0; n < 10; n++) expect(await poolOf(proxy, { cookie })).toBe(first.headers['x-turnout-pool'])
    expect(await revisionOf(proxy)).toBe(2)
    await expect(switchTo(proxy, 'green')).rejects.toThrow(/503.*store_unavailable.*connection/)
    await expect(call(proxy, 'POST', '/v1/services/shop/rollouts', { to: 'green' })).rejects.toThrow(/503/)
    expect((await statusOf(proxy)).snapshot).toMatchObject({ serves: true, revision: 2 })
    expect(await readiness(proxy)).toBe(503)
    expect(await metricsOf(proxy)).toMatch(/^turnout_snapshot_serves 1$/m)
    expect(await eventsOf(proxy)).toMatch(/served by the local snapshot .* of revision 2/)
    await redis.restart()
    await until('it is over', async () => (await statusOf(proxy)).snapshot.serves === false)
    await until('it is ready', async () => (await readiness(proxy)) === 200)
    // The file was applied as soon as that could be stored, and what others had set is as it was.
    await until('the file is applied', async () => (await revisionOf(proxy)) === 3)
    const { spec } = await call<{ spec: object }>(proxy, 'GET', '/v1/services/shop')
    expect(spec).toMatchObject({ skew: ['/assets/*'], split: { blue: 30, green: 70 } })
    await until('changes are taken', () => isTaken(proxy, 'green'))
    expect(await poolOf(proxy)).toBe('green')
    // While it takes its seat again, whoever begins one is asked to try again.
    const order = { to: 'blue', strategy: 'all-at-once' }
    const begun = await vi.waitFor(() => call<ToldRollout>(proxy, 'POST', '/v1/services/shop/rollouts', order))
    expect(begun.service).toBe('shop')
  },
  LONG_MS,
)

withRedis('without Redis and without a snapshot nothing starts, and why is told', async () => {
  const { redis, start } = await stand()
  await redis.kill()
  await expect(start()).rejects.toThrow(/the connection was refused.*Nor is there a local snapshot to serve by/s)
})

withRedis(
  'a Redis that is flushed, or restored from yesterday, gets back what is served, at once and as the same revision',
  async () => {
    const { redis, start } = await stand()
    const [one, two] = [await start(), await start()]
    await redis.ask('SAVE')
    for (const pool of ['green', 'blue', 'green']) await switchTo(one, pool)
    const revision = await revisionOf(one)
    expect(await revisionOf(two)).toBe(revision)
    const keys = await redis.ask('HGET', '{turnout}:named', 'cookieKeys')
    const isBack = async () => (await redis.ask('HGET', '{turnout}:doc', 'revision')).includes(`\r\n${revision}\r\n`)
    await redis.ask('FLUSHALL')
    const flushedAtMs = performance.now()
    await until('it is back', isBack)
    expect(performance.now() - flushedAtMs).toBeLessThan(3_000)
    expect(await redis.ask('HGET', '{turnout}:named', 'cookieKeys')).toBe(keys)
    // FLUSHALL has written its emptiness to the disk; yesterday's copy is made anew.
    await redis.ask('SAVE')
    await switchTo(two, 'blue')
    await redis.kill()
    await redis.restart()
    await until('today is back', async () =>
      (await redis.ask('HGET', '{turnout}:doc', 'revision')).includes(`\r\n${revision + 1}\r\n`),
    )
    expect(await eventsOf(one)).toMatch(/went back to revision 0 .*it is not followed/)
    expect((await eventsOf(one)) + (await eventsOf(two))).toMatch(/was written again to the store/)
    for (const proxy of [one, two]) {
      expect([await poolOf(proxy), await revisionOf(proxy)]).toEqual(['blue', revision + 1])
    }
    await switchTo(one, 'green')
    expect([await poolOf(two), await revisionOf(two)]).toEqual(['green', revision + 2])
    // A fourth one, with nothing on its disk, finds all of it.
    const three = await start()
    expect([await poolOf(three), await revisionOf(three)]).toEqual(['green', revision + 2])
  },
  LONG_MS,
)

withRedis.each([2, 3])(
  'what others have written up to revision %i, where revision 2 of this instance was lost, is followed and told',
  async (last) => {
    const { redis, start } = await stand()
    const one = await start()
    await switchTo(one, 'green')
    // What a fail-over leaves that lost the switch, and on which somebody else has made other changes.
    await redis.ask('DEL', '{turnout}:audit')
    for (let revision = 2; revision <= last; revision++)
      await redis.ask('XADD', '{turnout}:audit', `${revision}-0`, 'line', '{}', 'mark', `other-${revision}`)
    await redis.ask('HSET', '{turnout}:doc', 'revision', String(last), 'mark', `other-${last}`)
    const told = `has lost revision 2 as it is served, and stands at another revision ${last}, which is followed`
    await until('it is told', async () => (await eventsOf(one)).includes(told))
    await switchTo(one, 'blue')
    expect([await poolOf(one), await revisionOf(one)]).toEqual(['blue', last + 1])
    expect((await eventsOf(one)).split('has lost revision')).toHaveLength(2)
  },
  LONG_MS,
)

withRedis(
  'a Redis that lost its document while nobody ran gets it back from the disk of who starts first; cookies hold',
  async () => {
    const { redis, start } = await stand()
    const folder = temporaryFolder()
    const before = await start(folder)
    await call(before, 'PUT', '/v1/services/shop/split', { weights: { blue: 49, green: 51 } })
    // Of those who came before some would move with the weights.
    const first = await ask(before.port, { path: '/', headers: BROWSER })
    const cookie = String(first.headers['set-cookie']).split(';')[0]
    await kept(before)
    await before.close()
    await redis.ask('FLUSHALL')
    const proxy = await start(folder)
    expect(await revisionOf(proxy)).toBeGreaterThanOrEqual(2)
    await until('it is written', async () => !(await redis.ask('HGET', '{turnout}:doc', 'revision')).includes('$-1'))
    for (let n = 0; n < 10; n++) expect(await poolOf(proxy, { cookie })).toBe(first.headers['x-turnout-pool'])
    const other = await start()
    for (let n = 0; n < 10; n++) expect(await poolOf(other, { cookie })).toBe(first.headers['x-turnout-pool'])
  },
  LONG_MS,
)

withRedis(
  'the snapshot of another deployment replaces nothing: it is told, and written anew',
  async () => {
    const { redis, start } = await stand()
    const folder = temporaryFolder()
    const before = await start(folder)
    for (const pool of ['green', 'blue', 'green', 'blue']) await switchTo(before, pool)
    await kept(before)
    await before.close()
    // Somebody begins anew on this Redis, on purpose.
    await redis.ask('FLUSHALL')
    const anew = await start()
    await switchTo(anew, 'green')
    const proxy = await start(folder)
    expect(await eventsOf(proxy)).toContain('is of another deployment')
    expect([await poolOf(proxy), await revisionOf(proxy)]).toEqual(['green', 2])
    await kept(proxy)
    await proxy.close()
    const elsewhere = await startRedis()
    onTestFinished(() => elsewhere.end())
    await elsewhere.kill()
    const other = startProxy({ store: elsewhere.url }, { stateDirectory: folder })
    await expect(other).rejects.toThrow(/is of another store, redis:\/\/127\.0\.0\.1/)
  },
  LONG_MS,
)

withRedis(
  'where the snapshot cannot be written traffic and changes go on, and it is told once',
  async () => {
    const { start } = await stand()
    const folder = temporaryFolder()
    const proxy = await start(folder)
    await kept(proxy)
    expect(readFileSync(join(folder, 'turnout.snapshot'), 'utf8')).toMatch(/^turnout-snapshot 1 /)
    // It may be writing there just now.
    rmSync(folder, { recursive: true, maxRetries: 10 })
    await switchTo(proxy, 'green')
    await until('it is told', async () => /local snapshot [^"]* cannot be written/.test(await eventsOf(proxy)))
    await switchTo(proxy, 'blue')
    expect(await poolOf(proxy)).toBe('blue')
    expect((await statusOf(proxy)).snapshot.fault).toMatch(/no such folder/)
    expect((await eventsOf(proxy)).match(/local snapshot [^"]* cannot be written/g)).toHaveLength(1)
    expect(await readiness(proxy)).toBe(200)
  },
  LONG_MS,
)

withRedis(
  'a rollout goes on when Redis is flushed under it, and stands there again with what it has come to',
  async () => {
    const { redis, start } = await stand()
    const [one, two] = [await start(), await start()]
    await switchTo(one, 'blue')
    const path = '/v1/services/shop/rollouts'
    const steps = [{ weight: 50, for: '3s' }]
    const { id } = await call<ToldRollout>(one, 'POST', path, {
      to: 'green',
      steps,
      advance: 'time',
      keep: 0,
      bake: '0s',
    })
    const told = (proxy: TestProxy) => call<ToldRollout>(proxy, 'GET', `${path}/${id}`)
    await until('its step runs', async () => (await told(one)).weight === 50)
    await redis.ask('FLUSHALL')
    await until('it is done', async () => (await told(one)).state === 'done')
    await until('the other shows that', async () => (await told(two)).state === 'done')
    expect([await poolOf(one), await poolOf(two)]).toEqual(['green', 'green'])
    expect(await redis.ask('HGET', '{turnout}:named', 'rollouts')).toContain('shop')
  },
  LONG_MS,
)

withRedis(
  'a canary waits in its step while Redis is killed under it, and goes on once that is back: no request fails, and no step is given twice',
  async () => {
    const { redis, start } = await stand(...KEPT)
    const proxies = [await start(), await start()]
    const [one, two] = proxies
    await switchTo(one, 'blue')
    const loads = proxies.map(({ port }) => startLoad(port, { connections: 4, pauseMs: () => PACE_MS }))
    const steps = [20, 60].map((weight) => ({ weight, for: '2s' }))
    const path = '/v1/services/shop/rollouts'
    const sent = { to: 'green', strategy: 'canary', steps, advance: 'time', keep: 0, bake: '0s' }
    const { id } = await call<ToldRollout>(one, 'POST', path, sent)
    const told = (proxy: TestProxy) => call<ToldRollout>(proxy, 'GET', `${path}/${id}`)
    const poolsOf = ({ outcomes }: Load, from = 0) =>
      outcomes.slice(from).map(({ head }) => /x-turnout-pool: (\w+)/i.exec(head)?.[1])
    await until('its first step runs on both', () => loads.every((load) => poolsOf(load).includes('green')))
    await redis.kill()
    const waits = async () => (await told(one)).gates.some(({ gate, state }) => gate === 'store' && state === 'waiting')
    await until('it waits for the store, and says so', waits)
    expect(await eventsOf(one)).toContain(`rollout ${id} of shop waits`)
    const from = loads.map(({ outcomes }) => outcomes.length)
    await until(
      'time enough has gone',
      () => loads.every(({ outcomes }, at) => outcomes.length > from[at] + bulk(600, 2_000)),
      30_000,
    )
    expect(await told(one)).toMatchObject({ state: 'shifting', weight: 20 })
    for (const [at, load] of loads.entries()) {
      const pools = poolsOf(load, from[at])
      const share = pools.filter((pool) => pool === 'green').length / pools.length
      expect([share > 0.1, share < 0.3]).toEqual([true, true])
    }
    await redis.restart()
    await until('it is done', async () => (await told(one).catch(() => null))?.state === 'done')
    await until('the other shows that', async () => (await told(two)).state === 'done')
    expect(await poolOf(one)).toBe('green')
    // It reads of the end when it is asked, and follows the split within half a second.
    await until('the other routes by it', async () => (await poolOf(two)) === 'green')
    for (const load of loads) expect((await load.stop()).filter(({ status }) => status !== 200)).toEqual([])
    const { entries } = await call<{ entries: { change: { kind: string; rollout?: string; weights?: unknown } }[] }>(
      one,
      'GET',
      '/v1/audit?limit=100',
    )
    const shifts = entries.filter(({ change }) => change.kind === 'shift' && change.rollout === id)
    const weights = shifts.map(({ change }) => JSON.stringify(change.weights))
    expect(weights.filter((each, at) => each !== weights[at - 1])).toEqual([...new Set(weights)])
  },
  120_000,
)

withRedis(
  'a Redis without memory, one that became a replica, and one with another password are told in words, and followed again by themselves',
  async () => {
    const { redis, start } = await stand()
    const folder = temporaryFolder()
    const proxy = await start(folder)
    await kept(proxy)
    const refused = (words: RegExp) =>
      until('it is refused', async () =>
        switchTo(proxy, 'green').then(
          () => false,
          (error: Error) => error.message.includes('503') && words.test(error.message),
        ),
      )
    const goesOn = async () => {
      await until('changes are taken again', () => isTaken(proxy, 'green'))
      expect(await poolOf(proxy)).toBe('green')
      await switchTo(proxy, 'blue')
      await until('it is ready', async () => (await readiness(proxy)) === 200)
    }
    await switchTo(proxy, 'blue')
    await redis.ask('CONFIG', 'SET', 'maxmemory', '1')
    await refused(/has no memory left/)
    expect(await poolOf(proxy)).toBe('blue')
    await redis.ask('CONFIG', 'SET', 'maxmemory', '0')
    await goesOn()

    await redis.ask('REPLICAOF', '127.0.0.1', '1')
    await refused(/is a replica, which takes no changes/)
    expect(await poolOf(proxy)).toBe('blue')
    await redis.ask('REPLICAOF', 'NO', 'ONE')
    await goesOn()

    await kept(proxy)
    await redis.ask('CONFIG', 'SET', 'requirepass', 'another')
    await redis.ask('AUTH another\r\nCLIENT', 'KILL', 'TYPE', 'normal')
    await refused(/does not take the user or the password/)
    expect(await poolOf(proxy)).toBe('blue')
    await proxy.close()
    const alone = await start(folder)
    expect((await statusOf(alone)).snapshot.serves).toBe(true)
    expect(await eventsOf(alone)).toMatch(/does not take the user or the password/)
    expect(await poolOf(alone)).toBe('blue')
    await redis.ask("AUTH another\r\nCONFIG SET requirepass ''\r\nPING")
    await until('it comes over', async () => (await statusOf(alone)).snapshot.serves === false)
    await until('changes are taken', () => isTaken(alone, 'green'))
  },
  LONG_MS,
)
