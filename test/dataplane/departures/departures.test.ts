/**
 * Which tunnels leave a place, which stay, and when: planes of two workers in this thread over one memory, members that take notes, and time that
 * the test moves on.
 */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Member } from '../../../src/dataplane/departures/departure.ts'
import { Plane } from '../../../src/dataplane/plane.ts'
import { DEPARTURE, departureOffset, PACE_STATES } from '../../../src/metrics/departures.ts'
import { allocateSharedMemory, CELL, FIELD, laneOffset, type SharedMemory } from '../../../src/metrics/layout.ts'
import { decide } from '../../../src/table/decide.ts'
import type { ServicePlan } from '../../../src/table/plan.ts'
import type { PoolStatus, ServiceStatus } from '../../../src/table/status.ts'
import { makePlan, makeRule, makeStatus, noLoad } from '../../table/make.ts'
import { workerStart } from '../make-plane.ts'

const TUNNELS = { overMs: 10_000, perSecond: 1_000, message: null, close: 1_012 }
const DRAIN = { timeoutMs: 30_000, tunnels: TUNNELS, rebalance: false }
const BLUE = 'http://blue-0.test:3000'
const GREEN = 'http://green-0.test:3000'

/** By when the last of some has gone: the distance between two is drawn up to half as long again. */
const ALL_GONE_MS = 1.5 * TUNNELS.overMs + 1_000

let memory: SharedMemory
let planes: Plane[]
let plan: ServicePlan
let status: ServiceStatus
let epoch: number

function start(more: Partial<ServicePlan> = {}): void {
  memory = allocateSharedMemory(2)
  plan = makePlan({ weights: { blue: 100, green: 0 }, drain: DRAIN, ...more })
  status = makeStatus(plan)
  epoch = 1
  planes = [0, 1].map((index) => {
    const options = workerStart(memory, { shop: { plan, status } })
    return new Plane(
      { ...options, index },
      () => {},
      () => {},
    )
  })
}

/** Brings another plan or status into both workers. */
function commit(change: Partial<ServicePlan>, next: Partial<ServiceStatus> = {}): void {
  plan = { ...plan, ...change }
  status = { ...status, ...next }
  epoch++
  for (const plane of planes) {
    const { nowMs } = plane.time
    plane.prepare({ epoch, revision: epoch, services: { shop: { plan, status } } })
    // It has looked at the clock.
    plane.time.nowMs = nowMs
  }
  Atomics.store(memory.cells, CELL.epoch, epoch)
}

const withPool = (pool: string, more: Partial<PoolStatus>): Pick<ServiceStatus, 'pools'> => ({
  pools: { ...status.pools, [pool]: { ...status.pools[pool], ...more } },
})
const withHealth = (pool: string, url: string, health: 'healthy' | 'unhealthy') => {
  const target = status.pools[pool].targets[url]
  const addresses = target.addresses.map((address) => ({ ...address, health }))
  return withPool(pool, { targets: { [url]: { ...target, health, addresses } } })
}

/** The buckets that these weights give, end to end. */
function withAllotment(weights: Record<string, number>): Partial<ServiceStatus> {
  const sum = Object.values(weights).reduce((total, weight) => total + weight, 0)
  let end = 0
  const ranges = Object.entries(weights).map(([pool, weight]) => {
    end += (10_000 * weight) / sum
    return { pool, end: Math.round(end) }
  })
  return { allotment: { salt: status.release, weights, ranges } }
}

interface Noted extends Member {
  isWalked: boolean
  /** When it was told, in ms from the start; below 0 when it was not. */
  toldMs: number
  close(): void
}

let startMs: number

/** Opens a tunnel for this visitor, where traffic would. */
function open(visitor: string | null, worker = 0, more = ''): Noted {
  const plane = planes[worker]
  const headText = `GET /chat HTTP/1.1\r\nHost: shop.example.com\r\n${visitor === null ? '' : `X-User-Id: ${visitor}\r\n`}${more}\r\n`
  plane.requestHead.parse(headText)
  plane.view.address = '192.0.2.1'
  const decision = decide(plane.view, plane.tables.current(), noLoad, plane.tables.draw, plane.time.steadyMs())
  const noted: Noted = {
    isWalked: true,
    toldMs: -1,
    downstream: { peer: '192.0.2.1', trusted: false },
    leave() {
      noted.toldMs = plane.time.nowMs - startMs
    },
    close: () => departure !== null && plane.departures.closed(departure),
  }
  const departure = plane.departures.open(noted, decision, { address: '192.0.2.1', headText, path: '/chat' })
  return noted
}

/** Lets time go by in steps of a sweep. */
function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 100) {
    for (const plane of planes) {
      plane.time.nowMs += 100
      plane.departures.sweep()
    }
  }
}

const isTold = ({ toldMs }: Noted) => toldMs >= 0
const slotOf = (pool: string, url: string) => status.pools[pool].targets[url].slots[0]
const sum = (field: keyof typeof DEPARTURE, slot = slotOf('blue', BLUE)) =>
  [0, 1].reduce((total, worker) => total + memory.departures[departureOffset(worker, slot) + DEPARTURE[field]], 0)

beforeEach(() => {
  start()
  for (const plane of planes) plane.time.nowMs = planes[0].time.nowMs
  startMs = planes[0].time.nowMs
})

test('while nothing changes nobody leaves, and neither by a change of something else', () => {
  const members = [open('a'), open(null)]
  pass(1_000)
  commit({ debugHeaders: true })
  pass(20_000)
  expect(members.some(isTold)).toBe(false)
})

test('after a switch all leave, spread evenly over the time that is given, over all workers', () => {
  const members = Array.from({ length: 400 }, (_, i) => open(i % 2 === 0 ? `u${i}` : null, i % 2))
  commit({ weights: { blue: 0, green: 100 } })
  pass(500)
  expect(sum('left') + sum('closed')).toBe(400)
  pass(11_500)
  expect(members.every(isTold)).toBe(true)
  const seconds = new Array(12).fill(0)
  for (const { toldMs } of members) seconds[Math.floor(toldMs / 1_000)]++
  for (const count of seconds.slice(1, 9)) {
    expect(count).toBeGreaterThan(28)
    expect(count).toBeLessThan(52)
  }
  expect([sum('left'), sum('closed'), sum('cut')]).toEqual([0, 400, 0])
})

test('no more go in a second than may, over all workers together', () => {
  start({ drain: { ...DRAIN, tunnels: { ...TUNNELS, perSecond: 20 } } })
  const members = Array.from({ length: 300 }, (_, i) => open(`u${i}`, i % 3 === 0 ? 1 : 0))
  commit({ weights: { blue: 0, green: 100 } })
  pass(10_000)
  const told = members.filter(isTold).length
  expect(told).toBeGreaterThan(170)
  expect(told).toBeLessThan(220)
})

test('whoever a rule sends there stays', () => {
  start({ rules: [makeRule({ name: 'staff', header: [['x-staff', '1']], to: 'blue' })] })
  const [staff, other] = [open('a', 0, 'X-Staff: 1\r\n'), open('b')]
  commit({ weights: { blue: 0, green: 100 } })
  pass(15_000)
  expect([isTold(staff), isTold(other)]).toEqual([false, true])
  commit({ rules: [] })
  pass(15_000)
  expect(isTold(staff)).toBe(true)
})

test('whoever a drain keeps by its cookie stays until the deadline, and leaves then', () => {
  start({ weights: { blue: 9_999, green: 1 } })
  const plane = planes[0]
  const signed = plane.signer.sign('turnout', {
    visitor: 'v1',
    service: 'shop',
    pool: 'blue',
    release: 'r1',
    target: '',
    pinned: false,
    endS: Math.floor(Date.now() / 1_000) + 3_600,
  })
  const kept = open(null, 0, `Cookie: turnout=${signed}\r\n`)
  const deadlineMs = plane.time.steadyMs() + 5_000
  commit({}, withPool('blue', { admin: 'drain', drainUntilMs: deadlineMs }))
  pass(4_900)
  expect(isTold(kept)).toBe(false)
  pass(12_000)
  expect(kept.toldMs).toBeGreaterThanOrEqual(5_000)
})

test('when a place takes people again before their turn, the rest stays', () => {
  const members = Array.from({ length: 100 }, (_, i) => open(`u${i}`))
  commit({ weights: { blue: 0, green: 100 } })
  pass(3_000)
  commit({ weights: { blue: 100, green: 0 } })
  pass(100)
  const told = members.filter(isTold).length
  expect(told).toBeGreaterThan(15)
  expect(told).toBeLessThan(45)
  pass(20_000)
  expect(members.filter(isTold).length).toBe(told)
  expect(sum('left')).toBe(0)
})

test('a pool that was removed lets go, and so does a target', () => {
  const members = [open('a'), open('b')]
  const { blue: _blue, ...pools } = status.pools
  commit({ pools: plan.pools.filter(({ name }) => name !== 'blue'), weights: { green: 100 } }, { pools })
  // Two over ten seconds: the last goes after 5 + 7.5 s at most.
  pass(13_000)
  expect(members.every(isTold)).toBe(true)
})

test('when the service was removed all go at the pace, also those of whom only the place is known, though nobody takes them', () => {
  const long = `X-Long: ${'x'.repeat(3_000)}\r\n`
  const members = [open('a'), open(null), open('b', 0, long), open('c', 1)]
  const stuck = Object.assign(open('d', 1), { isWalked: false })
  epoch++
  for (const plane of planes) plane.prepare({ epoch, revision: epoch, services: { shop: null } })
  Atomics.store(memory.cells, CELL.epoch, epoch)
  pass(ALL_GONE_MS)
  expect(members.map(isTold)).toEqual([true, true, true, true])
  expect([isTold(stuck), PACE_STATES[sum('state')]]).toEqual([false, 'steady'])
  pass(DRAIN.timeoutMs)
  expect([isTold(stuck), sum('cut'), sum('left')]).toEqual([true, 1, 0])
})

test('what has no place to end at is left for the time of a drain, and then cut', () => {
  const plain = open('a')
  plain.isWalked = false
  commit({ weights: { blue: 0, green: 100 } })
  pass(29_000)
  expect([isTold(plain), sum('left')]).toEqual([false, 1])
  pass(13_000)
  expect([isTold(plain), sum('left'), sum('cut')]).toEqual([true, 0, 1])
})

test('one that was to be cut, stays after all and is then to be cut again, is let go once, and by the later time', () => {
  const members = [open('a'), open('b')].map((member) => Object.assign(member, { isWalked: false }))
  commit({ weights: { blue: 0, green: 100 } })
  pass(10_000)
  commit({ rules: [makeRule({ name: 'back', header: [['x-user-id', 'b']], to: 'blue' })] })
  pass(1_000)
  expect(sum('left')).toBe(1)
  commit({ rules: [] })
  pass(DRAIN.timeoutMs + 2 * ALL_GONE_MS)
  expect(members.every(isTold)).toBe(true)
  expect(members[1].toldMs).toBeGreaterThan(11_000 + DRAIN.timeoutMs)
  expect([sum('closed'), sum('cut'), sum('left')]).toEqual([2, 2, 0])
})

test('when the last of them leaves by itself, nothing more is told of the pace', () => {
  const member = open('a')
  commit({ weights: { blue: 0, green: 100 } }, withHealth('green', GREEN, 'unhealthy'))
  pass(2_000)
  expect(PACE_STATES[sum('state')]).toBe('stopped')
  member.close()
  expect([sum('state'), sum('left')]).toEqual([0, 0])
})

test('one that was told and cannot end is cut when the time of a drain is over, and one that has ended by then is not', () => {
  const members = [open(null), open(null)]
  const cut = members.map(() => 0)
  for (const [i, member] of members.entries()) member.cut = () => void cut[i]++
  commit({ weights: { blue: 0, green: 100 } })
  pass(13_000)
  expect(members.every(isTold)).toBe(true)
  members[1].close()
  pass(Math.max(...members.map(({ toldMs }) => toldMs)) + DRAIN.timeoutMs - 13_200)
  pass(10_000)
  expect([cut, sum('cut'), sum('closed')]).toEqual([[1, 0], 1, 2])
  members[0].close()
  pass(1_000)
  expect(sum('cut')).toBe(1)
})

test('while nobody would take them nobody leaves, and that is told; then they go on, slowly at first', () => {
  const members = Array.from({ length: 100 }, (_, i) => open(`u${i}`))
  commit({ weights: { blue: 0, green: 100 } }, withHealth('green', GREEN, 'unhealthy'))
  pass(15_000)
  expect(members.some(isTold)).toBe(false)
  expect(PACE_STATES[sum('state')]).toBe('stopped')
  commit({}, withHealth('green', GREEN, 'healthy'))
  pass(2_000)
  expect(members.filter(isTold).length).toBeLessThan(10)
  pass(30_000)
  expect(members.every(isTold)).toBe(true)
  expect(sum('state')).toBe(0)
})

test('the pace falls while those who come back are refused', () => {
  const members = Array.from({ length: 400 }, (_, i) => open(`u${i}`))
  commit({ weights: { blue: 0, green: 100 } })
  const green = slotOf('green', GREEN)
  pass(1_000)
  const before = members.filter(isTold).length
  for (let second = 0; second < 5; second++) {
    memory.departures[departureOffset(1, green) + DEPARTURE.refused] += 10
    memory.targets[laneOffset(1, green) + FIELD.tunnelsOpened] += 10
    pass(1_000)
  }
  const during = members.filter(isTold).length - before
  expect(before).toBeGreaterThan(25)
  expect(during).toBeLessThan(80)
  expect(PACE_STATES[memory.departures[departureOffset(0, slotOf('blue', BLUE)) + DEPARTURE.state]]).toBe('slowed')
  pass(20_000)
  expect(members.every(isTold)).toBe(true)
})

test('who comes back to another target, in whichever worker, counts as moved', () => {
  const members = [open('a'), open('b'), open(null)]
  commit({ weights: { blue: 0, green: 100 } })
  pass(ALL_GONE_MS)
  expect(members.every(isTold)).toBe(true)
  open('a', 1)
  open(null, 1)
  open('z', 1)
  expect(sum('moved')).toBe(2)
})

test('one that has ended by itself is not waited for', () => {
  const members = [open('a'), open('b')]
  commit({ weights: { blue: 0, green: 100 } })
  pass(200)
  for (const member of members) member.close()
  expect(sum('left')).toBe(0)
  pass(12_000)
  expect(members.filter(isTold).length + sum('closed')).toBeLessThan(3)
})

test('a service that lets nothing go keeps its tunnels', () => {
  start({ drain: { ...DRAIN, tunnels: null } })
  const member = open('a')
  commit({ weights: { blue: 0, green: 100 } })
  pass(60_000)
  expect(isTold(member)).toBe(false)
})

describe('where tunnels follow the weights', () => {
  const poolNow = (visitor: string) => {
    const plane = planes[0]
    plane.requestHead.parse(`GET / HTTP/1.1\r\nHost: shop.example.com\r\nX-User-Id: ${visitor}\r\n\r\n`)
    return decide(plane.view, plane.tables.current(), noLoad, plane.tables.draw, plane.time.steadyMs()).pool?.name
  }

  test('exactly those visitors go who belong elsewhere now, and the others stay when the weights come back', () => {
    start({ drain: { ...DRAIN, rebalance: true } })
    const members = Array.from({ length: 200 }, (_, i) => ({ visitor: `u${i}`, member: open(`u${i}`, i % 2) }))
    pass(200)
    commit({ weights: { blue: 70, green: 30 } }, withAllotment({ blue: 70, green: 30 }))
    pass(12_000)
    for (const { visitor, member } of members) expect(isTold(member)).toBe(poolNow(visitor) === 'green')
    const told = members.filter(({ member }) => isTold(member)).length
    commit({ weights: { blue: 100, green: 0 } }, withAllotment({ blue: 100 }))
    pass(12_000)
    expect(members.filter(({ member }) => isTold(member)).length).toBe(told)
  })

  test('of those who are nobody in particular as many go as are too many', () => {
    start({ drain: { ...DRAIN, rebalance: true } })
    const members = Array.from({ length: 1_000 }, () => open(null))
    pass(200)
    commit({ weights: { blue: 50, green: 50 } }, withAllotment({ blue: 50, green: 50 }))
    pass(5_000)
    // Whatever else changes meanwhile.
    commit({ debugHeaders: true })
    pass(12_000)
    const told = members.filter(isTold).length
    expect(told).toBeGreaterThan(420)
    expect(told).toBeLessThan(580)
  })
})

test('weights alone move nobody, as long as a pool has any', () => {
  const members = Array.from({ length: 50 }, (_, i) => open(i % 2 === 0 ? `u${i}` : null))
  commit({ weights: { blue: 1, green: 99 } }, withAllotment({ blue: 1, green: 99 }))
  pass(15_000)
  expect(members.some(isTold)).toBe(false)
})

describe('when the worker drains', () => {
  test('all leave within the time that is left, whatever the pace would be', () => {
    const members = Array.from({ length: 200 }, (_, i) => open(`u${i}`))
    planes[0].departures.leaveAll(2_000)
    pass(700)
    const half = members.filter(isTold).length
    expect(half).toBeGreaterThan(70)
    expect(half).toBeLessThan(130)
    pass(1_000)
    expect(members.every(isTold)).toBe(true)
  })

  test('one of which it is not known any more where it can end is left for that time, and not cut at its turn', () => {
    const members = Array.from({ length: 20 }, (_, i) => open(`u${i}`))
    planes[0].departures.leaveAll(2_000)
    pass(200)
    const lost = members.filter((member) => !isTold(member))
    for (const member of lost) member.isWalked = false
    pass(1_200)
    expect([lost.length > 0, lost.filter(isTold), sum('cut')]).toEqual([true, [], 0])
    pass(3_000)
    expect([lost.every(isTold), sum('cut')]).toEqual([true, lost.length])
  })

  test.each([
    ['nobody would have taken until then', 'unhealthy', TUNNELS.overMs, 'stopped'],
    ['were to have much more time', 'healthy', 3_600_000_000_000, 'steady'],
  ] as const)('also those that %s', (_what, health, overMs, state) => {
    start({ drain: { ...DRAIN, tunnels: { ...TUNNELS, overMs } } })
    startMs = planes[0].time.nowMs
    const members = Array.from({ length: 200 }, (_, i) => open(`u${i}`, i % 2))
    commit({ weights: { blue: 0, green: 100 } }, withHealth('green', GREEN, health))
    pass(3_000)
    expect([PACE_STATES[sum('state') / 2], sum('left')]).toEqual([state, 200])
    for (const plane of planes) plane.departures.leaveAll(2_000)
    pass(700)
    expect(members.filter(isTold).length).toBeGreaterThan(70)
    pass(1_000)
    expect([members.every(isTold), sum('left'), sum('closed')]).toEqual([true, 0, 200])
  })
})
