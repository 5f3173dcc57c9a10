/**
 * The figures that people look at, beside those that a client has counted itself: a target whose times and failures are planted, with one
 * worker and with two, after a switch, after the target has been away, and after a worker was lost.
 */
import { expect, test } from 'vitest'
import { turnout } from '../cli/scripted.ts'
import { metric } from '../helpers/admin.ts'
import { type Outcome, startLoad } from '../helpers/load.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { followWorkers } from '../helpers/worker-inspector.ts'

interface Figures {
  readonly inFlight: number
  readonly requests: number
  readonly rate: number
  readonly attempts: { readonly started: number; readonly good: number; readonly failed: number; readonly rate: number }
  readonly failureShare: number | null
  readonly responses: Readonly<Record<string, number>>
  readonly p50Ms: number | null
  readonly p90Ms: number | null
  readonly p99Ms: number | null
  readonly latencyOver: string
}
interface Pool extends Figures {
  readonly name: string
  readonly share: { readonly aimed: number; readonly seen: number | null; readonly seenSinceSplit: number | null }
  readonly targets: readonly (Figures & { readonly url: string })[]
}
interface Status {
  readonly windowMs: number
  readonly pools: readonly Pool[]
}

const REQUESTS = 400
const FAILED = 28

/** Four of five of its answers take 20 ms, the fifth 200 ms; 7 of 100 are 500. */
async function startPlanted() {
  let n = 0
  return startUpstream((request, response) => {
    request.resume()
    const at = n++
    response.statusCode = at % 100 < 7 ? 500 : 200
    setTimeout(() => response.end('x'), at % 5 === 4 ? 200 : 20)
  })
}

/** So many requests on forty connections, all answered. */
async function send(proxy: TestProxy, requests = REQUESTS): Promise<readonly Outcome[]> {
  let left = requests
  const load = startLoad(proxy.port, { connections: 40, next: () => (left-- > 0 ? { method: 'GET' } : null) })
  await until('all are answered', () => load.outcomes.length === requests)
  return load.stop()
}

const statusOf = (proxy: TestProxy) => call<Status>(proxy, 'GET', '/v1/services/shop/status')

/** Once it has counted all of them: a worker counts what it has answered a moment after its client has read that. */
async function counted(proxy: TestProxy, at: number, requests: number): Promise<{ status: Status; pool: Pool }> {
  let status = await statusOf(proxy)
  const all = () => status.pools[at].requests >= requests && status.pools[at].inFlight === 0
  await until('all are counted', async () => {
    status = await statusOf(proxy)
    return all()
  })
  return { status, pool: status.pools[at] }
}

const quantile = (outcomes: readonly Outcome[], share: number): number =>
  outcomes.map(({ ms }) => ms).sort((a, b) => a - b)[Math.ceil(share * outcomes.length) - 1]

/** It takes as long as is planted, and no longer than the client has waited; a bin is a quarter of a power of two wide. */
const within = (told: number | null, planted: number, seen: number): void => {
  expect(told).toBeGreaterThan(planted * 0.8)
  expect(told).toBeLessThan(seen * 1.25)
}

test.each([1, 2])(
  'with %i workers status, /metrics and the table tell what the client has counted',
  async (workers) => {
    const planted = await startPlanted()
    const shop = service({ blue: [planted.url], green: [] }, { split: { blue: 1, green: 0 } })
    const proxy = await startProxy({ workers, services: { shop } })
    const outcomes = await send(proxy)
    expect(outcomes.filter(({ status }) => status === 500)).toHaveLength(FAILED)
    const { status, pool } = await counted(proxy, 0, REQUESTS)
    const figures = {
      requests: REQUESTS,
      attempts: { started: REQUESTS, good: REQUESTS - FAILED, failed: FAILED, void: 0, rate: pool.attempts.rate },
      failureShare: 0.07,
      responses: { '2xx': REQUESTS - FAILED, '3xx': 0, '4xx': 0, '5xx': FAILED },
      latencyOver: 'window',
    }
    expect(pool).toMatchObject({ ...figures, share: { aimed: 1, seen: 1, seenSinceSplit: 1 } })
    expect(pool.targets[0]).toMatchObject(figures)
    // All of it is within the window.
    expect((pool.rate * status.windowMs) / 1_000).toBeCloseTo(REQUESTS, 3)
    expect(pool.attempts.rate).toBeCloseTo(pool.rate, 6)
    within(pool.p50Ms, 20, quantile(outcomes, 0.5))
    within(pool.p90Ms, 200, quantile(outcomes, 0.9))
    within(pool.p99Ms, 200, quantile(outcomes, 0.99))
    const green = status.pools[1]
    expect(green).toMatchObject({ requests: 0, rate: 0, failureShare: null, p50Ms: null, share: { aimed: 0, seen: 0 } })

    const at = `pool="blue"`
    expect(await metric(proxy, 'turnout_requests_total', at)).toBe(REQUESTS)
    expect(await metric(proxy, 'turnout_requests_total', `code_class="5xx"`)).toBe(FAILED)
    expect(await metric(proxy, 'turnout_request_duration_seconds_count', at)).toBe(REQUESTS)
    const sumS = outcomes.reduce((sum, { ms }) => sum + ms, 0) / 1_000
    const toldS = await metric(proxy, 'turnout_request_duration_seconds_sum', at)
    expect(toldS).toBeGreaterThan((REQUESTS * (0.8 * 20 + 0.2 * 200) * 0.98) / 1_000)
    expect(toldS).toBeLessThanOrEqual(sumS)

    const { out } = await turnout(proxy.admin, 'status', 'shop')
    const row = out.split('\n').find((line) => line.startsWith('blue'))!
    expect(row).toMatch(/ 7 % /)
    expect(row).toMatch(/ 100 % +100 % +– +ready/)
  },
)

test('after a switch each pool has its own; after a pool was away, and after a worker was lost, nothing counts twice and nothing is lost', async () => {
  const [blue, green] = [await startPlanted(), await startPlanted()]
  const threads = followWorkers()
  const shop = service({ blue: [blue.url], green: [green.url] }, { split: { blue: 1, green: 0 } })
  const proxy = await startProxy({ workers: 2, services: { shop } })
  await send(proxy, 100)
  await counted(proxy, 0, 100)
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  await send(proxy, 300)
  const { status, pool } = await counted(proxy, 1, 300)
  expect(status.pools.map(({ requests, share }) => [requests, share.aimed, share.seen, share.seenSinceSplit])).toEqual([
    [100, 0, 0.25, 0],
    [300, 1, 0.75, 1],
  ])
  expect(pool.failureShare).toBe(0.07)

  // Away for a moment, with all that it had counted: what it had before is no traffic of now.
  await call(proxy, 'DELETE', '/v1/services/shop/pools/blue')
  await call(proxy, 'PUT', '/v1/services/shop/pools/blue', { version: '1', targets: [blue.url] })
  const returned = (await statusOf(proxy)).pools.find(({ name }) => name === 'blue')!
  expect([returned.requests, returned.rate]).toEqual([100, 0])

  const lost = async () => metric(proxy, 'turnout_worker_restarts_total')
  threads.run(0, 'process.exit(1)')
  await until('it is replaced', async () => (await lost()) === 1 && (await fetch(`${proxy.admin}/readyz`)).ok)
  await send(proxy, 100)
  const after = await counted(proxy, 0, 400)
  expect(after.pool).toMatchObject({ name: 'green', requests: 400, failureShare: 0.07, inFlight: 0 })
  expect(await metric(proxy, 'turnout_requests_total', 'pool="green"')).toBe(400)
})
