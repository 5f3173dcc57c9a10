/** What status shows, from counters filled by hand. */
import { expect, test, vi } from 'vitest'
import { binOf } from '../../src/metrics/bins.ts'
import { FIELD, laneOffset, SLOTS } from '../../src/metrics/layout.ts'
import { noteVisitor } from '../../src/metrics/visitors.ts'
import { until } from '../helpers/raw.ts'
import { count, movableClock, type StandIn, startAdmin } from './stand-in.ts'

function requests({ memory }: StandIn, slot: number, n: number, ms: number): void {
  count(memory, slot, 'decided', n)
  count(memory, slot, 'requests', n)
  count(memory, slot, 'status2xx', n)
  memory.targets[laneOffset(1, slot) + FIELD.duration + binOf(ms)] += n
}

interface PoolShare {
  readonly share: { readonly aimed: number; readonly seen: number | null; readonly visitors: number | null }
  readonly visitors: number
}

const poolsOf = async ({ call }: StandIn) => (await call('GET', '/v1/services/shop/status')).body.pools

test('each pool and target shows its states, its weight and what is under way', async () => {
  const admin = await startAdmin()
  await admin.call('PUT', '/v1/services/shop/pools/green/targets/127.0.0.1:3002/state', { state: 'standby' })
  count(admin.memory, 0, 'inFlight', 2, 0)
  count(admin.memory, 0, 'inFlight', 1, 1)
  count(admin.memory, 0, 'tunnels', 4)
  const { body } = await admin.call('GET', '/v1/services/shop/status')
  expect(body).toMatchObject({ service: 'shop', revision: 2, epoch: 2, release: 'r1' })
  expect(body.pools[0]).toMatchObject({
    name: 'blue',
    version: '1.0',
    weight: 95,
    admin: 'ready',
    inFlight: 3,
    tunnels: 4,
  })
  expect(body.pools[1].targets).toMatchObject([
    { target: '127.0.0.1:3002', url: 'http://127.0.0.1:3002', admin: 'standby', health: 'unknown', ejectedUntilMs: 0 },
  ])
})

test('rate and shares are those of the last ten seconds or so', async () => {
  const clock = movableClock()
  const admin = await startAdmin({ clock })
  clock.move(2_000)
  requests(admin, 0, 60, 3)
  requests(admin, 1, 40, 3)
  clock.move(8_000)
  const [blue, green] = await poolsOf(admin)
  expect(blue).toMatchObject({ requests: 60, rate: 6, share: { aimed: 0.95, seen: 0.6, seenSinceSplit: 0.6 } })
  expect(green).toMatchObject({ requests: 40, rate: 4, share: { aimed: 0.05, seen: 0.4, seenSinceSplit: 0.4 } })
  clock.move(14_000)
  const [later] = await poolsOf(admin)
  expect(later).toMatchObject({ requests: 60, rate: 0, share: { seen: null, seenSinceSplit: 0.6 } })
})

test('a pool shows its share of what was decided, while its target hangs or its requests are tunnels', async () => {
  const clock = movableClock()
  const admin = await startAdmin({ clock })
  clock.move(4_000)
  requests(admin, 0, 90, 3)
  count(admin.memory, 1, 'decided', 10)
  count(admin.memory, 1, 'attemptsStarted', 10)
  count(admin.memory, 1, 'inFlight', 10)
  const [blue, green] = await poolsOf(admin)
  expect([blue.share.seen, green.share.seen]).toEqual([0.9, 0.1])
  expect(green).toMatchObject({
    inFlight: 10,
    rate: 0,
    attempts: { started: 10, good: 0, failed: 0, void: 0, rate: 2.5 },
  })
  expect(green).toMatchObject({ failures: 0, failureShare: null })
})

test('the share of the visitors is told apart from that of the requests, and null while nobody brings a key', async () => {
  const clock = movableClock()
  const admin = await startAdmin({ clock })
  requests(admin, 0, 90, 3)
  requests(admin, 1, 10, 3)
  expect((await poolsOf(admin)).map(({ share, visitors }: PoolShare) => [share.visitors, visitors])).toEqual([
    [null, 0],
    [null, 0],
  ])
  for (const hash of [1, 2, 3]) noteVisitor(admin.memory, 0, hash)
  noteVisitor(admin.memory, 1, 4)
  expect(
    (await poolsOf(admin)).map(({ share, visitors }: PoolShare) => [share.visitors, share.seen, visitors]),
  ).toEqual([
    [0.75, 0.9, 3],
    [0.25, 0.1, 1],
  ])
  clock.move(660_000)
  const { body } = await admin.call('GET', '/v1/services/shop/status')
  expect(body.pools[0].visitors).toBe(0)
  expect(body.visitorsWindowMs).toBe(360_000)
})

test('what is aimed at a pool that takes no new visitors is nothing, and the others have all of it', async () => {
  const admin = await startAdmin()
  await admin.call('PUT', '/v1/services/shop/split', { weights: { blue: 1, green: 1 } })
  const aimed = async () => (await poolsOf(admin)).map(({ share }: PoolShare) => share.aimed)
  expect(await aimed()).toEqual([0.5, 0.5])
  await admin.call('PUT', '/v1/services/shop/pools/green/state', { state: 'standby' })
  expect(await aimed()).toEqual([1, 0])
  await admin.call('PUT', '/v1/services/shop/pools/blue/state?force=true', { state: 'standby' })
  expect(await aimed()).toEqual([0, 0])
})

test('the share since the split begins anew when the split changes', async () => {
  const admin = await startAdmin()
  requests(admin, 0, 90, 3)
  await admin.call('PUT', '/v1/services/shop/split', { weights: { blue: 1, green: 1 } })
  expect((await poolsOf(admin))[0].share).toMatchObject({ aimed: 0.5, seenSinceSplit: null })
  requests(admin, 0, 10, 3)
  requests(admin, 1, 30, 3)
  const [blue, green] = await poolsOf(admin)
  expect([blue.share.seenSinceSplit, green.share.seenSinceSplit]).toEqual([0.25, 0.75])
})

test('quantiles are of the window, and of everything when the window is empty', async () => {
  const clock = movableClock()
  const admin = await startAdmin({ clock })
  requests(admin, 0, 100, 1_000)
  clock.move(20_000)
  const [old] = await poolsOf(admin)
  expect(old.latencyOver).toBe('start')
  expect(old.p50Ms).toBeGreaterThan(500)
  requests(admin, 0, 100, 2.1)
  const [recent, green] = await poolsOf(admin)
  expect(recent.latencyOver).toBe('window')
  expect(recent.p99Ms).toBeLessThan(2.51)
  expect([green.p50Ms, green.p99Ms]).toEqual([null, null])
})

test('the share of failures is that of the attempts, whatever another target has made good of them', async () => {
  const admin = await startAdmin()
  // Blue was tried and failed, and green has answered in its place.
  count(admin.memory, 0, 'attemptsStarted', 3)
  count(admin.memory, 0, 'attemptsFailed', 3)
  count(admin.memory, 1, 'attemptsStarted', 12)
  count(admin.memory, 1, 'attemptsGood', 9)
  count(admin.memory, 1, 'attemptsFailed', 1)
  count(admin.memory, 1, 'attemptsVoid', 1)
  count(admin.memory, 1, 'requests', 10)
  const [blue, green] = await poolsOf(admin)
  expect(blue).toMatchObject({ requests: 0, failures: 3, failureShare: 1 })
  expect(green).toMatchObject({ requests: 10, failures: 1, failureShare: 0.1 })
})

test('a rollout that runs is told, and none when it has ended', async () => {
  const { call } = await startAdmin()
  expect((await call('GET', '/v1/services/shop/status')).body.rollout).toBeNull()
  await call('POST', '/v1/services/shop/rollouts', { to: 'green', steps: [{ weight: 10, for: '1h' }] })
  const running = async () => (await call('GET', '/v1/services/shop/status')).body.rollout
  await until('the first step is there', async () => (await running()).weight === 10)
  await call('POST', '/v1/services/shop/rollouts/current/pause')
  const told = {
    id: 'r-1',
    to: 'green',
    state: 'paused',
    step: 0,
    steps: 2,
    weight: 10,
    inMs: expect.any(Number),
    waitsFor: 'somebody to resume it',
  }
  expect(await running()).toEqual(told)
  expect((await call('GET', '/v1/status')).body.services[0].rollout).toEqual(told)
  await call('POST', '/v1/services/shop/rollouts/current/abort')
  await until('it is over', async () => (await running()) === null)
})

test.each(['back', 'rollouts/current/abort'])(
  'an answer to %s of a rollout names the instances that do not route by it yet',
  async (verb) => {
    const { call, deps, control } = await startAdmin()
    const revisions: number[] = []
    vi.spyOn(deps.instances, 'everywhere').mockImplementation(async (made) => {
      revisions.push(made.revision)
      return { ...made, waitingFor: ['two:1'] }
    })
    await call('POST', '/v1/services/shop/rollouts', { to: 'green', steps: [{ weight: 10, for: '1h' }] })
    const { body } = await call('POST', `/v1/services/shop/${verb}`)
    expect(body).toMatchObject({ complete: false, waitingFor: ['two:1'] })
    expect(control.snapshot().status['shop'].trial).toBeUndefined()
    const shifts = (await deps.store.revisions(10)).filter(({ change }) => change['ends'] === 'back')
    expect(revisions).toHaveLength(1)
    expect(revisions[0]).toBeGreaterThanOrEqual(shifts[0].revision)
  },
)

test('GET /v1/status has every service as its own status has it, and the process', async () => {
  const { call } = await startAdmin()
  const { status, body } = await call('GET', '/v1/status')
  const { services, ...rest } = body
  expect(status).toBe(200)
  const alone = (await call('GET', '/v1/services/shop/status')).body
  expect(services).toEqual([{ ...alone, windowMs: expect.any(Number), visitorsWindowMs: expect.any(Number) }])
  expect(rest).toEqual({
    revision: 1,
    epoch: 1,
    version: '0.1.0',
    workers: { count: 2, ready: true },
    pid: 42,
    startedAtMs: 1_700_000_000_000,
    store: 'memory',
    storeStaleMs: 0,
    storeFault: null,
    snapshot: null,
    instances: [
      { name: 'here:1', version: '0.1.0', revision: 1, epoch: 1, isSelf: true, leads: false, clockAheadMs: 0 },
    ],
    lookups: [],
  })
})

test('a pool of a service with limits shows its queue: what waits, has waited, and got no room', async () => {
  const admin = await startAdmin()
  expect((await poolsOf(admin))[0].queue).toBeNull()
  await admin.call('PATCH', '/v1/services/shop', { capacity: { requestsPerTarget: 2 } })
  admin.memory.waiting[0] = 3
  admin.memory.waiting[SLOTS] = 1
  count(admin.memory, 0, 'queued', 4)
  count(admin.memory, 0, 'queuedSumMs', 100)
  count(admin.memory, 0, 'shedQueueFull', 2)
  expect((await poolsOf(admin)).map(({ queue }: { queue: object }) => queue)).toEqual([
    { depth: 4, served: 4, meanMs: 25, shed: { full: 2, time: 0, left: 0 } },
    { depth: 0, served: 0, meanMs: null, shed: { full: 0, time: 0, left: 0 } },
  ])
})

test('what lets nobody in is drained once no other instance is busy there, and the others are named until then', async () => {
  const asked: object[] = []
  let busy = ['two:1']
  const instances = {
    told: () => [],
    quieted: async () => [],
    staleMs: 0,
    storeFault: null,
    cutOff: null,
    local: null,
    everywhere: async <T>(made: T) => made,
    busyAt: (out: object) => {
      asked.push(out)
      return busy
    },
  }
  const admin = await startAdmin({ instances })
  await admin.call('PUT', '/v1/services/shop/pools/green/state', { state: 'standby' })
  const seen = async () =>
    (await poolsOf(admin)).map(
      (pool: { drained: boolean; targets: { drained: boolean; busyElsewhere: string[] }[] }) => [
        pool.drained,
        pool.targets[0].drained,
        pool.targets[0].busyElsewhere,
      ],
    )
  expect(await seen()).toEqual([
    [false, false, []],
    [false, false, ['two:1']],
  ])
  // Only of what is out, and since the revision of its service.
  expect(asked).toEqual([{ places: ['shop\ngreen\nhttp://127.0.0.1:3002'], revision: 2, orOpen: true }])
  busy = []
  expect((await seen())[1]).toEqual([true, true, []])
  count(admin.memory, 1, 'inFlight', 1)
  expect((await seen())[1]).toEqual([false, false, []])
})
