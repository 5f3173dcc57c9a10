/** A rollout over several instances on one real Redis: judged by what all of them answer, and by each alone where they cannot hear each other. */
import { expect, onTestFinished, test } from 'vitest'
import { startLoad } from '../helpers/load.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { REDIS, type RedisServer, startRedis } from '../helpers/redis.ts'
import { begin, current, reached, turnout } from '../helpers/rollouts.ts'
import { startFailing, startNamed } from '../helpers/upstream.ts'

interface Stood {
  readonly redis: RedisServer
  readonly green: { failing: number }
  readonly proxies: readonly TestProxy[]
}

async function startFleet(count: number): Promise<Stood> {
  const redis = await startRedis()
  onTestFinished(() => redis.end())
  const [blue, green] = [await startNamed('blue'), await startFailing()]
  const shop = service({ blue: [blue.url], green: [green.url] }, { sticky: false, visitor: [], rescue: false })
  const proxies: TestProxy[] = []
  for (let n = 0; n < count; n++) proxies.push(await startProxy({ store: redis.url, services: { shop } }))
  return { redis, green, proxies }
}

const STEPS = { steps: [{ weight: 20, until: 'promoted', for: '1h' }] }
const load = (proxy: TestProxy) => startLoad(proxy.port, { connections: 8, pauseMs: () => 20 })
const instancesOf = async (proxy: TestProxy) => (await current(proxy)).verdict?.instances ?? []
const requestsOf = async (proxy: TestProxy) =>
  (await instancesOf(proxy)).map(({ canary, control }) => canary.requests + control.requests)

test.skipIf(REDIS === null)(
  'an instance without traffic judges by what the others answer, and a release that fails there goes back everywhere',
  async () => {
    const { green, proxies } = await startFleet(3)
    const [one, two, three] = proxies
    for (const proxy of [two, three]) load(proxy)
    await begin(one, STEPS)
    await until('all three are pooled', async () => (await requestsOf(one)).filter((all) => all > 50).length === 2)
    const before = await current(one)
    expect(before.verdict!.instances.map(({ isSelf }) => isSelf).sort()).toEqual([false, false, true])
    const sum = before.verdict!.instances.reduce((all, { canary }) => all + canary.requests, 0)
    expect(sum).toBe(before.verdict!.canary.requests)
    expect((await turnout(one, 'rollout', 'show', 'shop')).out).toContain('pooled over 3 instances')
    const metrics = await (await fetch(`${one.admin}/metrics`)).text()
    expect(metrics).toContain('turnout_rollout_instances{service="shop"} 3')
    green.failing = 1
    const told = await reached(one, 'rolledBack')
    expect(told.reason).toMatch(/answers of green failed/)
    expect(told.verdict!.metric).toBe('failures')
    // A handful, not what each would have needed for itself.
    expect(told.verdict!.canary.failed).toBeLessThan(40)
    expect(told.harm.failed).toBeGreaterThanOrEqual(told.verdict!.canary.failed)
  },
)

test.skipIf(REDIS === null)(
  'without the store an instance that sees a total failure takes the new version out of its own traffic, and it goes back once the store is there',
  async () => {
    const { redis, green, proxies } = await startFleet(2)
    const [one, two] = proxies
    const traffic = load(two)
    await begin(one, STEPS)
    await until('both are pooled', async () => (await requestsOf(one)).some((all) => all > 100))
    // In a Redis that is new no seat is given out for three seconds.
    await until('it has a seat', async () => (await redis.ask('HLEN', '{turnout}:seats')).startsWith(':2'))
    const from = traffic.outcomes.length
    await until('it has been told so', () => traffic.outcomes.length > from + 100)
    redis.signal('SIGSTOP')
    green.failing = 1
    const events = async () => JSON.stringify(await call(two, 'GET', '/v1/events?follow=false').catch(String))
    await until('it is told', async () => /this instance by itself takes green out/.test(await events()))
    const isQuiet = async () => {
      const from = traffic.outcomes.length
      await until('some have come', () => traffic.outcomes.length > from + 100)
      return traffic.outcomes.slice(from).every(({ status }) => status === 200)
    }
    await until('nobody gets the new version here', isQuiet)
    expect((await current(one)).state).toBe('shifting')
    redis.signal('SIGCONT')
    const told = await reached(one, 'rolledBack')
    expect(told.reason).toMatch(/failed/)
  },
)
