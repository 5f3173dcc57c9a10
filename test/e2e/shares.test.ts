/** Shares as they come out at the targets, with two workers and real sockets, and at full length through the real picker. */
import { afterAll, describe, expect, test } from 'vitest'
import { startTargets } from '../../bench/targets.ts'
import { Plane } from '../../src/dataplane/plane.ts'
import { allocateSharedMemory, type SharedMemory } from '../../src/metrics/layout.ts'
import { decide } from '../../src/table/decide.ts'
import { workerStart } from '../dataplane/make-plane.ts'
import { ask, head, pipeline, see, startSeeing, tally } from '../helpers/ask.ts'
import { bulk } from '../helpers/bulk.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { makePlan, makeStatus } from '../table/make.ts'

const SEQUENTIAL_IDS = Array.from({ length: 10_000 }, (_, n) => `user-${n + 1}`)

/** One process for all tests. */
let starting: ReturnType<typeof startTargets> | null = null
afterAll(async () => {
  await (await starting)?.stop()
})

/** Turnout with two workers before cheap targets whose answers begin with the name of their pool. */
async function startShop(split: Record<string, number>): Promise<TestProxy> {
  starting ??= startTargets(null)
  const targets = await starting
  const pools = { blue: [`http://127.0.0.1:${targets.blue}`], green: [`http://127.0.0.1:${targets.green}`] }
  return startProxy({
    workers: 2,
    services: { shop: service(pools, { split, visitor: ['header:x-user-id', 'cookie'] }) },
  })
}

/** The pools that answer these visitors, in their order. */
async function poolsOf(proxy: TestProxy, visitors: readonly string[]): Promise<string[]> {
  const bodies = await pipeline(
    proxy.port,
    visitors.map((visitor) => head('/small', { 'x-user-id': visitor })),
  )
  return bodies.map((body) => body.replace(/\.+$/, ''))
}

/** How many requests each worker has read. */
async function workerRequests(proxy: TestProxy): Promise<number[]> {
  const text = await (await fetch(proxy.admin + '/metrics')).text()
  return [...text.matchAll(/^turnout_worker_requests_total\{worker="\d+"\} (\d+)$/gm)].map(([, count]) => Number(count))
}

describe('over sockets', () => {
  test.each([5, 33])(
    'thousands of requests without a visitor are split exactly at %i %, whichever worker they reach',
    async (percent) => {
      const count = bulk(3_000, 10_000)
      const proxy = await startShop({ blue: 100 - percent, green: percent })
      // So many connections that the kernel gives some to each worker.
      const bodies = await pipeline(proxy.port, new Array(count).fill(head('/small')), 32)
      expect(tally(bodies.map((body) => body.replace(/\.+$/, '')))).toEqual({
        blue: count - (percent * count) / 100,
        green: (percent * count) / 100,
      })
      const requests = await workerRequests(proxy)
      expect(requests.length).toBe(2)
      expect(Math.min(...requests)).toBeGreaterThan(0)
    },
  )

  test('10,000 visitors with sequential ids are within a point of 5 %, and stay when they come back', async () => {
    const proxy = await startShop({ blue: 95, green: 5 })
    const first = await poolsOf(proxy, SEQUENTIAL_IDS)
    expect(Math.abs(tally(first)['green'] / 100 - 5)).toBeLessThan(1)
    const again = SEQUENTIAL_IDS.slice(0, 500)
    expect(await poolsOf(proxy, again)).toEqual(first.slice(0, 500))

    // The others come ten times as often: that is a share of the requests, and none of the visitors.
    const often = SEQUENTIAL_IDS.filter((_visitor, n) => first[n] === 'green').slice(0, 300)
    for (let time = 0; time < 10; time++) await poolsOf(proxy, often)
    const { pools } = await call<{ pools: { visitors: number; share: { seen: number; visitors: number } }[] }>(
      proxy,
      'GET',
      '/v1/services/shop/status',
    )
    expect(pools[1].share.seen).toBeGreaterThan(0.15)
    expect(Math.abs(pools[1].share.visitors - 0.05)).toBeLessThan(0.012)
    expect(Math.abs(pools[0].visitors / 9_500 - 1)).toBeLessThan(0.14)
  })

  test('raising 5 → 25 → 50 → 100 by the API moves no visitor back, and lowering it again only the last ones', async () => {
    const proxy = await startShop({ blue: 95, green: 5 })
    const visitors = SEQUENTIAL_IDS.slice(0, 2_000)
    const at = async (green: number) => {
      await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 100 - green, green } })
      const pools = await poolsOf(proxy, visitors)
      return new Set(visitors.filter((_visitor, n) => pools[n] === 'green'))
    }
    const steps = [await at(5), await at(25), await at(50), await at(100)]
    for (const [n, step] of steps.slice(1).entries()) expect(steps[n].isSubsetOf(step)).toBe(true)
    for (const [n, percent] of [5, 25, 50, 100].entries()) {
      // Five standard deviations of a half: the salt of a service is by chance.
      expect(Math.abs((steps[n].size * 100) / visitors.length - percent)).toBeLessThan(5.6)
    }
    expect(await at(25)).toEqual(steps[1])
    expect((await at(0)).size).toBe(0)
  })

  test('the status tells the share that was seen beside the one that was aimed at', async () => {
    const proxy = await startShop({ blue: 90, green: 10 })
    await pipeline(proxy.port, new Array(1_000).fill(head('/small')))
    interface Status {
      pools: { name: string; requests: number; share: { aimed: number; seenSinceSplit: number | null } }[]
    }
    await expect
      .poll(async () => {
        const { pools } = await call<Status>(proxy, 'GET', '/v1/services/shop/status')
        return pools.map(({ name, requests, share }) => [name, requests, share.aimed, share.seenSinceSplit])
      })
      .toEqual([
        ['blue', 900, 0.9, 0.9],
        ['green', 100, 0.1, 0.1],
      ])
  })

  test('explain looks at the next turn and does not take it', async () => {
    const [blue, green] = [await startSeeing('blue'), await startSeeing('green')]
    const proxy = await startProxy({
      workers: 2,
      services: { shop: service({ blue: [blue.url], green: [green.url] }, { split: { blue: 9, green: 1 } }) },
    })
    const names: string[] = []
    for (let n = 0; n < 20; n++) {
      const said = await call<{ pool: string }>(proxy, 'POST', '/v1/explain', { url: '/' })
      names.push((await see(proxy.port)).name)
      expect(said.pool).toBe(names[n])
    }
    expect(tally(names)).toEqual({ blue: 18, green: 2 })
  })

  test('a pool of weight 0 gets nothing, and one that has all gets all', async () => {
    const proxy = await startShop({ blue: 0, green: 7 })
    expect(tally(await poolsOf(proxy, SEQUENTIAL_IDS.slice(0, 300)))).toEqual({ green: 300 })
    expect((await ask(proxy.port, { path: '/small' })).body).toMatch(/^green/)
  })
})

/** The planes of two workers over one shared memory, as serve.ts starts them, without threads. */
function planes(green: number): { planes: Plane[]; memory: SharedMemory } {
  const memory = allocateSharedMemory(2)
  const plan = makePlan({ weights: { blue: 100 - green, green } })
  const start = workerStart(memory, { shop: { plan, status: makeStatus(plan, { slot: 3 }) } })
  return {
    planes: [0, 1].map(
      (index) =>
        new Plane(
          { ...start, index },
          () => {},
          () => {},
        ),
    ),
    memory,
  }
}

/** Decides the head as a worker does. */
function poolBy(plane: Plane, text: string): string {
  if (plane.requestHead.parse(text) <= 0) throw new Error('the head is not one')
  plane.view.address = '192.0.2.1'
  return decide(plane.view, plane.tables.current(), plane.load, plane.tables.draw, plane.time.wallMs()).pool!.name
}

describe('through the picker of two workers', () => {
  test.each([1, 5, 10, 33])(
    '100,000 requests without a visitor are within 0.1 points of %i %, unevenly as they may come in',
    (percent) => {
      const workers = planes(percent).planes
      let green = 0
      for (let n = 0; n < 100_000; n++) if (poolBy(workers[n % 7 < 2 ? 0 : 1], head('/')) === 'green') green++
      expect(green).toBe(percent * 1_000)
    },
  )

  test.each([1, 5, 10, 33])(
    '10,000 visitors with sequential ids are within a point of %i %, the same in every worker',
    (percent) => {
      const workers = planes(percent).planes
      let green = 0
      for (const visitor of SEQUENTIAL_IDS) {
        const pools = workers.map((plane) => poolBy(plane, head('/', { 'x-user-id': visitor })))
        expect(pools[1]).toBe(pools[0])
        if (pools[0] === 'green') green++
      }
      expect(Math.abs(green / 100 - percent)).toBeLessThan(1)
    },
  )
})
