/** Permits and queues of several workers in one thread, over one memory, by a clock that is moved by hand. */
import fc from 'fast-check'
import { beforeEach, expect, test } from 'vitest'
import { Permits } from '../../../src/dataplane/waiting/permits.ts'
import type { Queue, Waiter } from '../../../src/dataplane/waiting/queue.ts'
import { Queues } from '../../../src/dataplane/waiting/queues.ts'
import { clearGauges } from '../../../src/metrics/gauges.ts'
import { allocateSharedMemory, type SharedMemory } from '../../../src/metrics/layout.ts'
import { sumBySlot } from '../../../src/metrics/load.ts'
import type { CapacityPlan } from '../../../src/table/plan.ts'
import type { Load, Table, TargetTable } from '../../../src/table/types.ts'
import { makePlan, makeTable } from '../../table/make.ts'

const WORKERS = 3
let memory: SharedMemory
let nowMs: number
let table: Table
let workers: Worker[]

interface Worker {
  readonly permits: Permits
  readonly queues: Queues
  tick: (() => void) | null
}

function start(capacity: Partial<CapacityPlan> = {}): void {
  memory = allocateSharedMemory(WORKERS)
  nowMs = 1_000
  const limits = { requestsPerTarget: 1, requestsPerPool: 0, queueMax: 100, queueMs: 1_000, ...capacity }
  table = makeTable(makePlan({ capacity: limits, weights: { blue: 1, green: 1 } }))
  workers = Array.from({ length: WORKERS }, (_, index) => {
    const permits = new Permits(memory, index)
    const load: Load = Object.assign(() => 0, { permits: permits.count })
    const worker: Worker = { permits, queues: null as never, tick: null }
    const every = (_ms: number, run: () => void) => {
      worker.tick = run
      return () => {
        worker.tick = null
      }
    }
    const time = { tick() {}, steadyMs: () => nowMs }
    const queues = new Queues(memory, index, { tables: { current: () => table }, time, load, every })
    return Object.assign(worker, { queues })
  })
}

beforeEach(() => start())

const shop = () => table.services.get('shop')!
const poolOf = (name: string) => shop().pools.find((pool) => pool.name === name)!
const targetOf = (name: string): TargetTable => poolOf(name).targets[0]

/** Who it was whose turn came and found room, in order. */
let went: string[] = []
/** Who it was who was told to wait no longer, in order. */
let ended: string[] = []
beforeEach(() => {
  went = []
  ended = []
})

class Client implements Waiter {
  next: Waiter | null = null
  previous: Waiter | null = null
  queue: Queue | null = null
  sinceMs = 0
  isBack = false
  readonly name: string
  readonly worker: Worker
  readonly pool: string
  constructor(name: string, worker: Worker, pool = 'blue') {
    this.name = name
    this.worker = worker
    this.pool = pool
  }
  waits(): boolean {
    const waits = this.worker.queues.enter(this, shop(), poolOf(this.pool), this.isBack)
    this.isBack = true
    return waits
  }
  getsTurn(): void {
    if (this.worker.permits.take(targetOf(this.pool), shop().capacity!)) went.push(this.name)
    else this.waits()
  }
  isEnded(): void {
    this.worker.queues.leave(this)
    ended.push(this.name)
  }
  ends(): void {
    this.worker.permits.give(targetOf(this.pool).slot)
    this.worker.queues.freed()
  }
}

const microtasks = () => new Promise<void>((resolve) => setImmediate(resolve))
const tickAll = async () => {
  nowMs += 2
  for (const { tick } of workers) tick?.()
  await microtasks()
}

test('permits of all workers together never exceed the limit, and those of a worker that is gone are free', () => {
  start({ requestsPerTarget: 4, requestsPerPool: 0 })
  const [a, b, c] = workers.map(({ permits }) => permits)
  const target = targetOf('blue')
  const limits = shop().capacity!
  expect([a, b, c, a, b, c].map((permits) => permits.take(target, limits))).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
  ])
  expect(a.count(target.slot)).toBe(4)
  clearGauges(memory, 0)
  expect(b.count(target.slot)).toBe(2)
  expect(b.take(target, limits)).toBe(true)
})

test('the limit of a pool counts what all of its targets have', () => {
  start({ requestsPerTarget: 0, requestsPerPool: 1 })
  const [a, b] = workers.map(({ permits }) => permits)
  const limits = shop().capacity!
  expect(a.take(targetOf('blue'), limits)).toBe(true)
  expect(b.take(targetOf('blue'), limits)).toBe(false)
  expect(b.take(targetOf('green'), limits)).toBe(true)
})

test('room that is given back in a worker goes at once to who has waited there for longest', async () => {
  const [worker] = workers
  const clients = ['a', 'b', 'c'].map((name) => new Client(name, worker))
  clients[0].getsTurn()
  for (const client of clients.slice(1)) client.waits()
  await microtasks()
  expect(went).toEqual(['a'])
  clients[0].ends()
  await microtasks()
  clients[1].ends()
  await microtasks()
  expect(went).toEqual(['a', 'b', 'c'])
})

test('with nothing waiting there is no timer', async () => {
  const [worker] = workers
  const [first, second] = [new Client('a', worker), new Client('b', worker)]
  first.getsTurn()
  expect(worker.tick).toBeNull()
  second.waits()
  expect(worker.tick).not.toBeNull()
  first.ends()
  await tickAll()
  expect(went).toEqual(['a', 'b'])
  expect(worker.tick).toBeNull()
})

test('nobody who comes goes before those who wait for the same pool in another worker, but for another pool', () => {
  const [a, b] = workers
  new Client('first', a).getsTurn()
  new Client('waits', a).waits()
  expect(b.queues.isWaitedFor(shop(), poolOf('blue'))).toBe(true)
  expect(b.queues.isWaitedFor(shop(), poolOf('green'))).toBe(false)
})

test('who has waited for long in a worker that has no requests at the target is not left to starve by one that has', async () => {
  const [a, b] = workers
  const holder = new Client('holder', a)
  holder.getsTurn()
  const old = new Client('old', b)
  old.waits()
  nowMs += 50
  const young = new Client('young', a)
  young.waits()
  await microtasks()
  holder.ends()
  await microtasks()
  expect(went).toEqual(['holder'])
  b.tick!()
  expect(went).toEqual(['holder', 'old'])
})

test('a worker that is busy, or gone, does not keep others from room', async () => {
  const [a, b] = workers
  const holder = new Client('holder', a)
  holder.getsTurn()
  new Client('old', b).waits()
  nowMs += 50
  new Client('young', a).waits()
  await microtasks()
  holder.ends()
  await microtasks()
  for (let n = 0; n < 10 && went.length === 1; n++) a.tick!()
  expect(went).toEqual(['holder', 'young'])
  expect(a.queues.isWaitedFor(shop(), poolOf('blue'))).toBe(true)
  clearGauges(memory, 1)
  expect(a.queues.isWaitedFor(shop(), poolOf('blue'))).toBe(false)
})

test('no more wait, over all workers and pools of a service, than may', () => {
  start({ queueMax: 3 })
  const [a, b] = workers
  expect(new Client('1', a).waits()).toBe(true)
  expect(new Client('2', b, 'green').waits()).toBe(true)
  const third = new Client('3', b)
  expect(third.waits()).toBe(true)
  expect(new Client('4', a).waits()).toBe(false)
  b.queues.leave(third)
  expect(new Client('5', a).waits()).toBe(true)
})

test('all who wait for a service that has changed are decided anew, in order', async () => {
  const [worker] = workers
  const holder = new Client('holder', worker)
  holder.getsTurn()
  const clients = Array.from({ length: 150 }, (_, n) => new Client(String(n), worker))
  start({ requestsPerTarget: 1, queueMax: 1_000 })
  const [fresh] = workers
  for (const client of clients) {
    Object.assign(client, { worker: fresh })
    client.waits()
  }
  const plan = makePlan({ capacity: { ...shop().capacity!, requestsPerTarget: 0 }, weights: { blue: 1, green: 1 } })
  table = makeTable(plan)
  went = []
  fresh.tick!()
  for (let n = 0; n < 5; n++) await microtasks()
  expect(went).toEqual(clients.map(({ name }) => name))
})

test('whatever comes, leaves and ends in whichever worker: limits hold, nothing is forgotten, and in the end all had their turn', async () => {
  const action = fc.tuple(
    fc.constantFrom('comes', 'leaves', 'ends', 'ticks'),
    fc.nat({ max: WORKERS - 1 }),
    fc.constantFrom('blue', 'green'),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), async (actions, limit) => {
      start({ requestsPerTarget: limit, queueMax: 20 })
      went = []
      const all: Client[] = []
      const over = new Set<string>()
      const isAt = (client: Client) => went.includes(client.name) && !over.has(client.name)
      const end = (client: Client) => {
        over.add(client.name)
        client.ends()
      }
      for (const [what, index, pool] of actions) {
        const worker = workers[index]
        nowMs += 3
        if (what === 'comes') {
          const client = new Client(String(all.length), worker, pool)
          all.push(client)
          const isBehind = worker.queues.isWaitedFor(shop(), poolOf(pool))
          if (!isBehind && worker.permits.take(targetOf(pool), shop().capacity!)) went.push(client.name)
          else if (!client.waits()) over.add(client.name)
        } else if (what === 'leaves') {
          const client = all.find((one) => one.worker === worker && one.queue !== null)
          if (client === undefined) continue
          worker.queues.leave(client)
          over.add(client.name)
        } else if (what === 'ends') {
          const client = all.find((one) => one.worker === worker && isAt(one))
          if (client !== undefined) end(client)
        } else await tickAll()
        for (const name of ['blue', 'green']) {
          const { slot } = targetOf(name)
          expect(sumBySlot(memory.permits, slot)).toBeLessThanOrEqual(limit)
          const waiting = all.filter((one) => one.queue !== null && one.pool === name)
          expect(sumBySlot(memory.waiting, slot)).toBe(waiting.length)
        }
      }
      for (let n = 0; all.some((one) => !over.has(one.name)); n++) {
        expect(n).toBeLessThan(2_000)
        for (const client of all) if (isAt(client)) end(client)
        await tickAll()
      }
      expect(memory.permits.every((count) => count === 0)).toBe(true)
      expect(memory.waiting.every((count) => count === 0)).toBe(true)
      expect(memory.waitingSince.every((ms) => ms === 0)).toBe(true)
    }),
    { numRuns: 40 },
  )
})

test('the many who wait for a service that has changed are before others of that service, and not before those of another one', async () => {
  start({ queueMax: 1_000 })
  const [worker] = workers
  new Client('holder', worker).getsTurn()
  for (let n = 0; n < 150; n++) new Client(String(n), worker).waits()
  await microtasks()
  const capacity = { ...shop().capacity!, requestsPerTarget: 2 }
  table = makeTable(makePlan({ capacity, weights: { blue: 1, green: 1 } }))
  const other = makeTable(makePlan({ name: 'other', capacity })).services.get('other')!
  worker.tick!()
  expect(went.length).toBeLessThan(150)
  expect(worker.queues.isWaitedFor(shop(), poolOf('blue'))).toBe(true)
  expect(worker.queues.isWaitedFor(other, other.pools[0])).toBe(false)
})

test('at the end of a worker all of its waiters are told, and nobody else', () => {
  start({ requestsPerTarget: 1, requestsPerPool: 0 })
  const [one, other] = workers
  expect(one.permits.take(targetOf('blue'), shop().capacity!)).toBe(true)
  const first = new Client('first', one)
  expect([first.waits(), new Client('second', one).waits(), new Client('third', other).waits()]).toEqual([
    true,
    true,
    true,
  ])
  one.queues.end()
  expect(ended).toEqual(['first', 'second'])
  expect([one.queues.isEmpty, other.queues.isEmpty, first.queue]).toEqual([true, false, null])
})
