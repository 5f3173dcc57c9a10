/** Who looks at all services from time to time goes only to those with news. */
import { beforeEach, expect, test } from 'vitest'
import type { Observation, Snapshot } from '../../src/change.ts'
import { Sweeper } from '../../src/health/sweeper.ts'
import { allocateSharedMemory, FIELD, type SharedMemory } from '../../src/metrics/layout.ts'
import { News } from '../../src/metrics/news.ts'
import { createTrafficWindow } from '../../src/metrics/window.ts'
import { SLICE_MS } from '../../src/rollout/clump.ts'
import { Past } from '../../src/rollout/past.ts'
import type { ServiceStatus } from '../../src/table/status.ts'
import { movableClock } from '../admin/stand-in.ts'
import { add, snapshotOf, stageOf } from './stand-in.ts'

const SERVICES = 200
const WORKERS = 2
/** Slots of the targets of a service: it has two. */
const slotsOf = (service: number): [number, number] => [2 * service, 2 * service + 1]

let memory: SharedMemory
/** Services whose status somebody has gone into. */
let visited: Set<string>

beforeEach(() => {
  memory = allocateSharedMemory(WORKERS)
  visited = new Set()
})

/** The same snapshot, where it is seen who goes into the status of a service. */
function watched(snapshot: Snapshot): Snapshot {
  const status = Object.entries(snapshot.status).map(([name, { pools, ...rest }]) => {
    const one = Object.defineProperty({ ...rest }, 'pools', {
      enumerable: true,
      get() {
        visited.add(name)
        return pools
      },
    })
    return [name, one as ServiceStatus]
  })
  return { ...snapshot, status: Object.fromEntries(status) }
}

function fleet(): Snapshot {
  const services = Array.from({ length: SERVICES }, (_, n) => [
    `shop${n}`,
    { blue: [`http://a${n}:1`, `http://b${n}:1`] },
  ])
  const snapshot = snapshotOf(Object.fromEntries(services))
  for (const { pools } of Object.values(snapshot.status)) {
    for (const target of Object.values(pools.blue.targets)) {
      const [slot] = target.slots
      Object.assign(target, { addresses: [{ address: 'a', slot, health: 'unknown', ejectedUntilMs: 0 }] })
    }
  }
  return watched(snapshot)
}

/** The same with another status of one service. */
function changed(snapshot: Snapshot, name: string): Snapshot {
  const { status } = watched({ ...snapshot, status: { [name]: { ...snapshot.status[name] } } })
  return { ...snapshot, status: { ...snapshot.status, ...status } }
}

test('at the first look all is new, then nothing, then what was counted of or is another, and what is gone once', () => {
  const news = new News(memory, [FIELD.attemptsGood, FIELD.attemptsFailed])
  let snapshot = fleet()
  expect(news.look(snapshot.status).size).toBe(SERVICES)
  visited.clear()
  expect([...news.look(snapshot.status)]).toEqual([])
  add(memory, 1, slotsOf(7)[1], 'attemptsFailed', 1)
  add(memory, 0, slotsOf(8)[0], 'requests', 1)
  expect([...news.look(snapshot.status)]).toEqual(['shop7'])
  expect(visited.size).toBe(0)
  snapshot = changed(snapshot, 'shop9')
  expect([...news.look(snapshot.status)]).toEqual(['shop9'])
  expect([...visited]).toEqual(['shop9'])
  const { shop9: _gone, ...status } = snapshot.status
  add(memory, 0, slotsOf(9)[0], 'attemptsGood', 1)
  expect([...news.look(status)]).toEqual(['shop9'])
  expect([...news.look(status)]).toEqual([])
})

test('a slot that goes to another service tells of that one', () => {
  const news = new News(memory, [FIELD.attemptsGood])
  const { status } = snapshotOf({ old: { blue: ['http://a:1'] } })
  news.look(status)
  const later = snapshotOf({ new: { blue: ['http://b:1'] } }).status
  expect([...news.look(later)].sort()).toEqual(['new', 'old'])
  add(memory, 0, 0, 'attemptsGood', 1)
  expect([...news.look(later)]).toEqual(['new'])
})

test('a sweep for targets that fail goes into services with attempts, and in turns into those that had some', () => {
  const ejections: Observation[] = []
  const sweeper = new Sweeper(memory, (ejection) => ejections.push(ejection))
  const { status } = fleet()
  let nowMs = 1_000
  const sweep = (afterMs = 500) => {
    visited.clear()
    nowMs += afterMs
    sweeper.sweep(status, nowMs)
    return [...visited]
  }
  expect(sweep()).toHaveLength(SERVICES)
  expect(sweep(20_000)).toEqual([])
  const busy = Array.from({ length: 40 }, (_, n) => n)
  for (const n of busy) add(memory, 0, slotsOf(n)[0], 'attemptsGood', 1)
  expect(sweep()).toEqual(busy.map((n) => `shop${n}`))
  expect(sweep(9_000)).toEqual([])
  // All are due at once, and have their turn within ten seconds.
  const turns = Array.from({ length: 20 }, () => sweep())
  expect(Math.max(...turns.map(({ length }) => length))).toBe(2)
  expect(new Set(turns.flat()).size).toBeGreaterThanOrEqual(36)
  const [failing, well] = slotsOf(3)
  for (let n = 0; n < 5; n++) {
    add(memory, 0, failing, 'attemptsFailed', 1)
    add(memory, 0, failing, 'failuresInRow', 1)
  }
  add(memory, 0, well, 'attemptsGood', 1)
  sweep()
  expect(ejections).toEqual([expect.objectContaining({ service: 'shop3', target: 'http://a3:1' })])
})

test('what pools have answered of late is taken from those that have answered', () => {
  const past = new Past(memory)
  const { status } = fleet()
  let nowMs = 0
  const follow = () => {
    visited.clear()
    nowMs += SLICE_MS
    past.followAll(status, nowMs)
    return [...visited]
  }
  follow()
  expect(follow()).toEqual([])
  add(memory, 0, slotsOf(5)[0], 'attemptsFailed', 3)
  expect(follow()).toEqual(['shop5'])
  // Its slices age for as long as the process lives.
  expect(follow()).toEqual(['shop5'])
  expect(past.of('shop5', ['blue']).metrics[0].history).toEqual({ bad: 3, all: 3 })
  for (let n = 0; n < 60; n++) follow()
  expect(past.of('shop5', ['blue']).metrics[0].history).toEqual({ bad: 0, all: 0 })
})

test('a sample of the traffic reads the services that something was counted of, whatever it was', () => {
  const clock = movableClock()
  const stage = stageOf(fleet())
  const window = createTrafficWindow(stage.control, memory, clock)
  visited.clear()
  clock.move(2_000)
  expect(visited.size).toBe(0)
  add(memory, 0, slotsOf(4)[0], 'requests', 10)
  add(memory, 1, slotsOf(6)[1], 'shedQueueFull', 5)
  clock.move(2_000)
  expect([...visited].sort()).toEqual(['shop4', 'shop6'])
  const recent = (service: string, target: number) =>
    window.service(service)?.pools.get('blue')?.[target].recent ?? new Float64Array()
  expect(recent('shop4', 0)[FIELD.requests]).toBe(10)
  expect(recent('shop6', 1)[FIELD.shedQueueFull]).toBe(5)
  clock.move(12_000)
  expect(recent('shop4', 0)[FIELD.requests]).toBe(0)
  add(memory, 0, slotsOf(4)[0], 'requests', 1)
  expect(recent('shop4', 0)[FIELD.requests]).toBe(1)
  window.close()
})
