/** Two instances on one real Redis, each in its own process's place: what one is told both route by, whatever happens to that Redis. */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { ask, BROWSER, oneConnection } from '../helpers/ask.ts'
import { bulk } from '../helpers/bulk.ts'
import { call, service, startProcess, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { REDIS, type RedisServer, startRedis } from '../helpers/redis.ts'
import { startNamed } from '../helpers/upstream.ts'

const poolOf = async (proxy: TestProxy, headers: Record<string, string> = {}): Promise<string> =>
  String((await ask(proxy.port, { path: '/', headers })).headers['x-turnout-pool'])

async function startShared(count: number, more: object = {}): Promise<{ redis: RedisServer; proxies: TestProxy[] }> {
  const redis = await startRedis('--appendonly', 'yes', '--appendfsync', 'always')
  onTestFinished(() => redis.end())
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const shop = service({ blue: [blue.url], green: [green.url] }, { debugHeaders: true, ...more })
  const proxies: TestProxy[] = []
  for (let n = 0; n < count; n++) proxies.push(await startProxy({ store: redis.url, services: { shop } }))
  return { redis, proxies }
}

const switchTo = (proxy: TestProxy, to: string) => call(proxy, 'POST', '/v1/services/shop/switch', { to })

test.skipIf(REDIS === null)('both route by what either is told, and keep the same visitors', async () => {
  const { proxies } = await startShared(2, { split: { blue: 50, green: 50 }, sticky: { pool: true } })
  const [one, two] = proxies
  const first = await ask(one.port, { path: '/', headers: BROWSER })
  const cookie = String(first.headers['set-cookie']).split(';')[0]
  for (let n = 0; n < 20; n++) expect(await poolOf(two, { cookie })).toBe(first.headers['x-turnout-pool'])
  const answers: object[] = []
  // The answer is the promise: nobody asks again until it is so.
  for (const [at, pool] of Array.from({ length: 20 }, (_, n) => [n, n % 2 === 0 ? 'green' : 'blue'] as const)) {
    answers.push(await switchTo(at % 3 === 0 ? one : two, pool))
    expect([await poolOf(one), await poolOf(two)]).toEqual([pool, pool])
  }
  expect(answers.filter((answer) => 'complete' in answer)).toEqual([])
})

test.skipIf(REDIS === null)(
  'visitors keep their version from instance to instance, also of those that start at the same time, by keys that Redis has encrypted',
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.end())
    const [blue, green] = [await startNamed('blue'), await startNamed('green')]
    const more = { debugHeaders: true, split: { blue: 50, green: 50 }, sticky: { pool: true } }
    const shop = service({ blue: [blue.url], green: [green.url] }, more)
    const secretKey = 'a key of forty characters and of no value'
    const start = () => startProxy({ store: redis.url, services: { shop } }, { secretKey })
    const proxies = await Promise.all([start(), start()])
    const keys = () => redis.ask('HGET', '{turnout}:named', 'cookieKeys')
    const first = await keys()
    expect(first).toContain('sealed:1:')
    // Those that have them write them again, and one that starts meanwhile waits for that.
    await redis.ask('DEL', '{turnout}:named')
    proxies.push(await start())
    expect(await keys()).toBe(first)
    await expect(startProxy({ store: redis.url })).rejects.toThrow(/set TURNOUT_SECRET_KEY/)
    const agents = proxies.map(() => oneConnection())
    const pools = new Set<string>()
    for (let n = 0; n < bulk(200, 10_000); n++) {
      const at = n % 3
      const first = await ask(proxies[at].port, { headers: BROWSER, agent: agents[at] })
      const cookie = String(first.headers['set-cookie']).split(';')[0]
      const pool = String(first.headers['x-turnout-pool'])
      pools.add(pool)
      for (const other of [(at + 1) % 3, (at + 2) % 3]) {
        const again = await ask(proxies[other].port, { headers: { ...BROWSER, cookie }, agent: agents[other] })
        expect(again.headers['x-turnout-pool']).toBe(pool)
      }
    }
    expect([...pools].sort()).toEqual(['blue', 'green'])
  },
  600_000,
)

interface Told {
  readonly storeStaleMs: number
  readonly instances: readonly {
    readonly name: string
    readonly revision: number
    readonly isSelf: boolean
    readonly leads: boolean
  }[]
}
const statusOf = (proxy: TestProxy) => call<Told>(proxy, 'GET', '/v1/status')
const readiness = async (proxy: TestProxy, query = '') => (await fetch(`${proxy.admin}/readyz${query}`)).status

test.skipIf(REDIS === null)(
  'an instance that does not follow is named in the answer, and one that has gone is not waited for',
  async () => {
    const { redis, proxies } = await startShared(3)
    const [one, two, three] = proxies
    await until('each knows all', async () => (await statusOf(one)).instances.length === 3)
    const { instances } = await statusOf(two)
    expect(instances.filter(({ isSelf }) => isSelf)).toHaveLength(1)
    const leading = async (proxy: TestProxy) =>
      (await statusOf(proxy)).instances.filter(({ leads }) => leads).map(({ name }) => name)
    await until('both tell of one that leads', async () => (await leading(two)).length === 1)
    expect(await leading(two)).toEqual(await leading(one))
    expect(await (await fetch(`${one.admin}/metrics`)).text()).toMatch(/^turnout_instances 3$/m)
    await three.close()
    const began = performance.now()
    await switchTo(one, 'green')
    expect(performance.now() - began).toBeLessThan(1_000)
    expect(await poolOf(two)).toBe('green')
    // One that says again and again that it stands where it stood.
    const ghost = { id: 'ghost', name: 'elsewhere:7', version: '0.0.1', revision: 1, epoch: 1 }
    const haunt = () =>
      void redis.ask(
        'HSET',
        '{turnout}:instances',
        'ghost',
        `"${Date.now()} ${JSON.stringify(ghost).replaceAll('"', '\\"')}"`,
      )
    haunt()
    const timer = setInterval(haunt, 500)
    try {
      const answer = await switchTo(one, 'blue')
      expect(answer).toMatchObject({ complete: false, waitingFor: ['elsewhere:7'] })
      expect([await poolOf(one), await poolOf(two)]).toEqual(['blue', 'blue'])
      // What the workers have before the store is such a change, too.
      await call(one, 'PUT', '/v1/services/shop/maintenance', { on: true })
      const off = await call(one, 'PUT', '/v1/services/shop/maintenance', { on: false })
      expect(off).toMatchObject({ complete: false, waitingFor: ['elsewhere:7'] })
      // An abort is such a change too, wherever it is sent.
      const path = '/v1/services/shop/rollouts'
      const selfLeads = (await statusOf(one)).instances.some(({ isSelf, leads }) => isSelf && leads)
      const [leader, other] = selfLeads ? [one, two] : [two, one]
      await call(leader, 'POST', path, { to: 'green', steps: [{ weight: 10, for: '1h' }] })
      const aborted = await call(other, 'POST', `${path}/current/abort`)
      expect(aborted).toMatchObject({ to: 'green', complete: false, waitingFor: ['elsewhere:7'] })
    } finally {
      clearInterval(timer)
    }
    // Where Redis has lost what it said, it is waited for as long as it may still be there.
    haunt()
    const saidMs = performance.now()
    await until('it is heard of', async () => JSON.stringify((await statusOf(one)).instances).includes('elsewhere:7'))
    await redis.ask('DEL', '{turnout}:instances')
    expect(await switchTo(one, 'green')).not.toHaveProperty('complete')
    // It was heard of half a second before that at most.
    expect(performance.now() - saidMs).toBeGreaterThan(1_500)
  },
  60_000,
)

test.skipIf(REDIS === null)(
  'an instance that is cut off serves on and says so; where the config wants it, it is not ready meanwhile',
  async () => {
    const { redis, proxies } = await startShared(1)
    const [one] = proxies
    const cautious = await startProxy({ store: redis.url, onPartition: 'unready' })
    redis.signal('SIGSTOP')
    await until(
      'it is told',
      async () => (await readiness(one, '?strict')) + (await readiness(cautious)) === 1_006,
      10_000,
    )
    expect([await readiness(one), await readiness(cautious), await readiness(cautious, '?strict=false')]).toEqual([
      200, 503, 200,
    ])
    expect((await statusOf(one)).storeStaleMs).toBeGreaterThan(3_000)
    const told = async () => (await fetch(`${one.admin}/readyz?strict`)).text()
    await until('it says why', async () => /was not reached for .* does not answer in time/.test(await told()))
    expect(await (await fetch(`${one.admin}/metrics`)).text()).toMatch(/^turnout_store_stale_seconds [3-9]/m)
    expect(await poolOf(one)).toBe('blue')
    redis.signal('SIGCONT')
    await until(
      'both are back',
      async () => (await readiness(one, '?strict=true')) + (await readiness(cautious)) === 400,
    )
    await until('nothing is stale', async () => (await statusOf(one)).storeStaleMs === 0)
  },
  30_000,
)

/** A relay to a port; while it drops, nothing passes, and connections of then are of no use afterwards. */
async function startRelay(port: number): Promise<{ readonly port: number; drop(isDropping: boolean): void }> {
  let isDropping = false
  const open = new Set<net.Socket>()
  const waiting: (() => void)[] = []
  const server = net.createServer((client) => {
    const join = () => {
      const target = net.connect(port, '127.0.0.1')
      for (const socket of [client, target]) {
        open.add(socket)
        socket.on('error', () => {}).on('close', () => open.delete(socket))
      }
      client.pipe(target).pipe(client)
    }
    client.on('error', () => {})
    if (isDropping) waiting.push(join)
    else join()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    for (const socket of open) socket.destroy()
  })
  return {
    port: (server.address() as net.AddressInfo).port,
    drop(isNow) {
      isDropping = isNow
      if (isNow) for (const socket of open) socket.unpipe().pause()
      else for (const join of waiting.splice(0)) join()
    },
  }
}

test.skipIf(REDIS === null)(
  'one that the network cuts off serves on by its last table, leaves where the config wants it, and catches up within a second',
  async () => {
    const { redis, proxies } = await startShared(1)
    const relay = await startRelay(redis.port)
    const cut = await startProxy({ store: `redis://127.0.0.1:${relay.port}`, onPartition: 'unready' })
    const [one] = proxies
    await until('each knows the other', async () => (await statusOf(one)).instances.length === 2)
    relay.drop(true)
    await until('it has left', async () => (await readiness(cut)) === 503)
    await until('nobody waits for it', async () => (await statusOf(one)).instances.length === 1)
    expect(await switchTo(one, 'green')).not.toHaveProperty('complete')
    expect([await poolOf(one), await poolOf(cut)]).toEqual(['green', 'blue'])
    await expect(switchTo(cut, 'blue')).rejects.toThrow(/503/)
    relay.drop(false)
    const healedMs = performance.now()
    await until('it routes by it', async () => (await poolOf(cut)) === 'green')
    // A second on a quiet machine.
    expect(performance.now() - healedMs).toBeLessThan(2_000)
    await until('it is ready', async () => (await readiness(cut)) === 200)
  },
)

test.skipIf(REDIS === null)(
  'traffic goes on without Redis, changes are refused meanwhile, and both go on from where they were',
  async () => {
    const { redis, proxies } = await startShared(2)
    await redis.kill()
    for (const proxy of proxies) {
      expect(await poolOf(proxy)).toBe('blue')
      await expect(switchTo(proxy, 'green')).rejects.toThrow(/503.*store_unavailable.*connection/)
      expect(await poolOf(proxy)).toBe('blue')
    }
    await redis.restart()
    await until('changes are taken again', () =>
      switchTo(proxies[0], 'green').then(
        () => true,
        () => false,
      ),
    )
    await until('the other has come back too', async () => (await poolOf(proxies[1])) === 'green')
  },
  30_000,
)

test.skipIf(REDIS === null)(
  'the rollout of an instance that is frozen goes on at another one, and nothing of it happens twice when it wakes',
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.end())
    const [blue, green] = [await startNamed('blue'), await startNamed('green')]
    const shop = service({ blue: [blue.url], green: [green.url] }, { debugHeaders: true })
    const start = () => startProcess({ store: redis.url, services: { shop } }, temporaryFolder())
    const [one, two] = [await start(), await start()]
    const path = '/v1/services/shop/rollouts'
    const steps = [
      { weight: 10, for: '2s' },
      { weight: 30, for: '5s' },
      { weight: 60, for: '1s' },
    ]
    const { id } = await call<ToldRollout>(one, 'POST', path, {
      to: 'green',
      steps,
      advance: 'time',
      keep: 0,
      bake: '1s',
    })
    const told = (proxy: TestProxy) => call<ToldRollout>(proxy, 'GET', `${path}/current`)
    await until('its second step runs', async () => (await told(one)).weight === 30)
    one.child.kill('SIGSTOP')
    await until('the other drives it', async () => !(await told(two)).runsElsewhere)
    one.child.kill('SIGCONT')
    await until('it is done', async () => (await told(two)).state === 'done')
    await until('and is so at the one that slept', async () => (await told(one)).state === 'done')
    const { entries } = await call<{ entries: { change: { kind: string; rollout?: string; weights?: unknown } }[] }>(
      two,
      'GET',
      '/v1/audit?limit=100',
    )
    const shifts = entries.filter(({ change }) => change.kind === 'shift' && change.rollout === id)
    const weights = shifts.map(({ change }) => JSON.stringify(change.weights))
    // The same step may be set again by who takes it up, but never an earlier one after a later one.
    expect(weights.filter((each, at) => each !== weights[at - 1])).toEqual([...new Set(weights)])
    expect([await poolOf(one), await poolOf(two)]).toEqual(['green', 'green'])
  },
)

test.skipIf(REDIS === null)(
  'a Redis that has no memory left is told by status and readiness for as long as it refuses writes',
  async () => {
    const { redis, proxies } = await startShared(1)
    const [one] = proxies
    const told = async () => (await call<{ storeFault: string | null }>(one, 'GET', '/v1/status')).storeFault
    const ready = async () => (await fetch(`${one.admin}/readyz?strict`)).text()
    expect(await told()).toBeNull()
    await redis.ask('CONFIG', 'SET', 'maxmemory', '1')
    await until('status says it', async () => /has no memory left/.test((await told()) ?? ''))
    await until('readiness does', async () => /has no memory left/.test(await ready()))
    await redis.ask('CONFIG', 'SET', 'maxmemory', '0')
    await until('it is over', async () => (await told()) === null && /"ready"/.test(await ready()))
  },
)

test.skipIf(REDIS === null)(
  'an instance that can say where it stands, and cannot read the document, is cut off until it can',
  async () => {
    const { redis, proxies } = await startShared(1)
    const [one] = proxies
    const cautious = await startProxy({ store: redis.url, onPartition: 'unready' })
    const ready = async () => (await fetch(`${one.admin}/readyz?strict`)).text()
    const told = () => call<{ storeFault: string | null; storeStaleMs: number }>(one, 'GET', '/v1/status')
    // A key of another type, whose own is kept aside.
    await redis.ask('RENAME', '{turnout}:named', '{turnout}:aside')
    await redis.ask('SET', '{turnout}:named', 'x')
    await until('it has left', async () => (await readiness(cautious)) === 503)
    await until(
      'it says why',
      async () => /was not followed for .* holds something else under one of our keys.*WRONGTYPE/.test(await ready()),
      15_000,
    )
    const { storeFault, storeStaleMs } = await told()
    expect(storeFault).toContain('WRONGTYPE')
    expect(storeStaleMs).toBeGreaterThan(3_000)
    expect([await readiness(one), await poolOf(one)]).toEqual([200, 'blue'])
    await redis.ask('RENAME', '{turnout}:aside', '{turnout}:named')
    await until('it is back', async () => (await readiness(cautious)) === 200)
    await until('nothing is wrong', async () => (await told()).storeFault === null && /"ready"/.test(await ready()))
    expect(await switchTo(one, 'green')).not.toHaveProperty('complete')
    expect([await poolOf(one), await poolOf(cautious)]).toEqual(['green', 'green'])
  },
)
