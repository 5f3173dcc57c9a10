/** The held requests of several workers in one thread, over one memory, by a clock that is moved by hand. */
import fc from 'fast-check'
import { beforeEach, expect, test } from 'vitest'
import { type HeldWaiter, type HoldQueue, Holds, type Unheld, type Way } from '../../../src/dataplane/waiting/holds.ts'
import type { Queue, Waiter } from '../../../src/dataplane/waiting/queue.ts'
import { clearGauges } from '../../../src/metrics/gauges.ts'
import { holdOf } from '../../../src/metrics/hold-families.ts'
import { allocateSharedMemory, type SharedMemory } from '../../../src/metrics/layout.ts'
import { applyDelta, emptyTable } from '../../../src/table/build.ts'
import { concerns, type Hold } from '../../../src/table/hold.ts'
import type { Table } from '../../../src/table/types.ts'
import { makePlan, makeStatus, makeView } from '../../table/make.ts'

const WORKERS = 2
const SLOT = 3
let memory: SharedMemory
let nowMs: number
let table: Table
let workers: Worker[]
let isRoomAwaited: boolean
/** Who was decided anew, in order. */
let went: string[]

interface Worker {
  readonly holds: Holds
  tick: (() => void) | null
}

const hold = (changes: Partial<Hold> = {}): Hold => ({
  id: 'h-1',
  sinceMs: 1_000,
  untilMs: 10_000,
  only: 'all',
  queueMax: 10_000,
  bytesMax: 1_000_000,
  ...changes,
})

/** The table from now on: held so, or not. */
function commit(present: Hold | null): void {
  const plan = makePlan({})
  const status = makeStatus(plan, { slot: SLOT, ...(present && { hold: present }) })
  table = applyDelta(emptyTable(), { epoch: 1, revision: 1, services: { shop: { plan, status } } })
}

beforeEach(() => {
  memory = allocateSharedMemory(WORKERS)
  nowMs = 1_000
  isRoomAwaited = false
  went = []
  commit(hold())
  workers = Array.from({ length: WORKERS }, (_, index) => {
    const worker: Worker = { holds: null as never, tick: null }
    const every = (_ms: number, run: () => void) => {
      worker.tick = run
      return () => {
        worker.tick = null
      }
    }
    const holds = new Holds(memory, index, {
      tables: { current: () => table },
      time: { tick() {}, steadyMs: () => nowMs, busyMs: () => 0 },
      queues: {
        get isEmpty() {
          return !isRoomAwaited
        },
      },
      connectionsMax: 1_000,
      every,
    })
    return Object.assign(worker, { holds })
  })
})

const shop = () => table.services.get('shop')!
const figures = () => holdOf(memory, SLOT)

class Client implements HeldWaiter {
  next: Waiter | null = null
  previous: Waiter | null = null
  queue: Queue | null = null
  leaves: HoldQueue | null = null
  sinceMs = 0
  bytes = 100
  isOver = false
  method = 'GET'
  readonly name: string
  readonly worker: Worker
  constructor(name: string, worker: Worker = workers[0]) {
    this.name = name
    this.worker = worker
  }
  comes(way: Way = 'new'): Unheld | null {
    return this.worker.holds.enter(this, shop(), way)
  }
  getsTurn(): void {
    const { hold } = shop()
    if (hold !== null && concerns(hold, makeView({ method: this.method }))) this.comes('back')
    else went.push(this.name)
  }
  isEnded(): void {
    this.worker.holds.leave(this)
    this.isOver = true
  }
  answered(isEasy = true): void {
    this.worker.holds.answered(this, isEasy)
  }
}

const crowd = (count: number, worker = workers[0]): Client[] =>
  Array.from({ length: count }, (_, n) => {
    const client = new Client(String(n), worker)
    expect(client.comes()).toBeNull()
    return client
  })
const tick = (worker = workers[0]) => {
  nowMs += 2
  worker.tick?.()
}

test('held requests wait while the hold is in the table, and go on in the order of their coming once it is not', () => {
  crowd(3)
  tick()
  expect([went, figures().waiting, figures().firstSinceMs]).toEqual([[], 3, 1_000])
  commit(null)
  tick()
  tick()
  expect([went, figures().waiting, figures().firstSinceMs]).toEqual([['0', '1', '2'], 0, 0])
})

test('with nobody held there is no timer', () => {
  const [worker] = workers
  expect(worker.tick).toBeNull()
  const [client] = crowd(1)
  expect(worker.tick).not.toBeNull()
  worker.holds.leave(client)
  tick()
  expect([worker.tick, worker.holds.size]).toEqual([null, 0])
})

test('no more wait, and take no more bytes, over all workers than may', () => {
  const [a, b] = workers
  commit(hold({ queueMax: 3, bytesMax: 350 }))
  expect([new Client('1', a).comes(), new Client('2', b).comes()]).toEqual([null, null])
  const third = new Client('3', b)
  expect([third.comes(), new Client('4', a).comes()]).toEqual([null, 'full'])
  b.holds.leave(third)
  const large = Object.assign(new Client('5', a), { bytes: 151 })
  expect([large.comes(), new Client('6', a).comes(), figures().bytes]).toEqual(['bytes', null, 300])
  clearGauges(memory, 0)
  expect([figures().waiting, figures().bytes]).toEqual([1, 100])
})

test('another hold in the place of the first keeps those who wait in their places, even where it is smaller', () => {
  const clients = crowd(3)
  nowMs += 100
  commit(hold({ id: 'h-2', queueMax: 1, untilMs: 60_000 }))
  expect(new Client('new').comes()).toBe('full')
  tick()
  expect([went, clients.map(({ sinceMs }) => sinceMs), figures().waiting]).toEqual([[], [1_000, 1_000, 1_000], 3])
  expect((clients[0].queue as HoldQueue).hold.id).toBe('h-2')
  commit(null)
  tick()
  tick()
  expect(went).toEqual(['0', '1', '2'])
})

test('whoever comes while others leave goes behind them, unless it is of a kind that was not held', () => {
  commit(hold({ only: 'writes' }))
  crowd(100)
  commit(null)
  const { holds } = workers[0]
  expect(holds.isBehind(shop(), makeView({ method: 'POST' }))).toBe(true)
  expect(holds.isBehind(shop(), makeView({ method: 'GET' }))).toBe(false)
  const late = new Client('late')
  expect(late.comes()).toBeNull()
  tick()
  expect([went, holds.isBehind(shop(), makeView({ method: 'PUT' }))]).toEqual([['0', '1'], true])
  for (let n = 0; n < 100; n++) tick()
  expect([went.length, went.at(-1), holds.isBehind(shop(), makeView({ method: 'PUT' }))]).toEqual([101, 'late', false])
})

test('whoever only comes behind others is not held with them by a hold that does not mean it', () => {
  const clients = crowd(100)
  for (const client of clients.slice(50)) client.method = 'POST'
  commit(null)
  tick()
  commit(hold({ id: 'h-2', only: 'writes' }))
  const { holds } = workers[0]
  expect(holds.isBehind(shop(), makeView({ method: 'GET' }))).toBe(true)
  const [read, write] = [new Client('read'), new Client('write')]
  write.method = 'POST'
  expect([read.comes('behind'), write.comes()]).toEqual([null, null])
  for (let n = 0; n < 100; n++) tick()
  expect(went).toEqual([...clients.slice(0, 50).map(({ name }) => name), 'read'])
  commit(null)
  for (let n = 0; n < 100; n++) tick()
  expect(went.slice(51)).toEqual([...clients.slice(50).map(({ name }) => name), 'write'])
})

test('they do not leave all at once: more go as answers come, and a few with time where none do', () => {
  const clients = crowd(1_000)
  commit(null)
  for (let n = 0; n < 40; n++) tick()
  // 64 at first, and one more with each tick.
  expect(went.length).toBe(104)
  for (const client of clients.slice(0, 50)) client.answered()
  for (let n = 0; n < 20; n++) tick()
  expect(went.length).toBe(104 + 100 + 20)
  for (let n = 0; n < 100; n++) {
    for (const client of clients) client.answered()
    tick()
  }
  expect([went.length, went]).toEqual([1_000, clients.map(({ name }) => name)])
})

test('those who were let go, found nobody and are held once more keep nobody from leaving', () => {
  const first = crowd(500)
  nowMs++
  const clients = [...first, ...crowd(100)]
  commit(null)
  for (let n = 0; n < 450; n++) tick()
  // As many as may be without an answer.
  expect(went.length).toBe(500)
  commit(hold({ id: 'h-2' }))
  for (const client of first) expect(client.comes('back')).toBeNull()
  commit(null)
  for (let n = 0; n < 2_000; n++) {
    tick()
    for (const client of clients) if (client.queue === null) client.answered()
  }
  expect([went.slice(500), figures().waiting]).toEqual([clients.map(({ name }) => name), 0])
})

test('who asks again at once when he was let go does not wait again once all are gone that were held, so that a release has an end', () => {
  const clients = crowd(100)
  commit(null)
  const { holds } = workers[0]
  let [asked, waited] = [0, 0]
  for (let n = 0; n < 200; n++) {
    const before = went.length
    nowMs += 2
    workers[0].tick?.()
    for (const name of went.slice(before)) {
      for (const client of clients) client.answered()
      asked++
      if (!holds.isBehind(shop(), makeView())) continue
      waited++
      new Client(`${name} again`).comes()
    }
  }
  // Those hundred, and the two who came again in the very ms of the release, when it is not known who of the same ms came before it.
  expect([waited <= 102, asked, workers[0].tick]).toEqual([true, 100 + waited, null])
})

test('those of two holds that are over leave in the order of their coming, and no faster than those of one', () => {
  crowd(40)
  commit(null)
  tick()
  const reads = went.length
  // Meanwhile only writes are held, so those of the first go on leaving.
  commit(hold({ id: 'h-2', only: 'writes' }))
  for (let n = 40; n < 80; n++) {
    const client = new Client(String(n))
    client.method = 'POST'
    client.comes()
  }
  tick()
  commit(null)
  const counts = Array.from({ length: 30 }, () => {
    const before = went.length
    tick()
    return went.length - before
  })
  expect(went).toEqual(Array.from({ length: 80 }, (_, n) => String(n)))
  expect(Math.max(...counts.slice(0, 3))).toBeLessThanOrEqual(reads + 1)
})

test('while somebody waits for room at a pool, as many go on as have ended', () => {
  const clients = crowd(200)
  isRoomAwaited = true
  commit(null)
  for (let n = 0; n < 50; n++) tick()
  expect(went.length).toBe(64)
  for (const client of clients.slice(0, 10)) client.answered(false)
  for (let n = 0; n < 5; n++) tick()
  expect(went.length).toBe(74)
})

test('a hold that ended by itself is no longer one for whoever comes, and lets nobody go who waits', () => {
  const [client] = crowd(1)
  nowMs = 10_000
  tick()
  expect([went, client.queue]).toEqual([[], client.queue])
  expect(workers[0].holds.isBehind(shop(), makeView())).toBe(false)
})

test('a worker that ends refuses all who wait', () => {
  const clients = crowd(5)
  workers[0].holds.end()
  expect([clients.every(({ isOver }) => isOver), figures().waiting]).toEqual([true, 0])
})

test('whatever comes, leaves, is answered and is held or released: nobody is forgotten, and in the end all have gone on', () => {
  const action = fc.tuple(
    fc.constantFrom('comes', 'leaves', 'answered', 'ticks', 'hold', 'release'),
    fc.nat({ max: 1 }),
  )
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
      memory.held.fill(0)
      went = []
      nowMs = 1_000
      commit(hold())
      const all: Client[] = []
      const left = new Set<string>()
      for (const [at, [what, index]] of actions.entries()) {
        const waits = all.filter(({ queue, worker }) => queue !== null && worker === workers[index])
        if (what === 'comes' && (shop().hold !== null || workers[index].holds.isBehind(shop(), makeView()))) {
          const client = new Client(String(all.length), workers[index])
          all.push(client)
          expect(client.comes()).toBeNull()
        } else if (what === 'leaves' && waits.length > 0) {
          workers[index].holds.leave(waits[0])
          left.add(waits[0].name)
        } else if (what === 'answered') for (const client of all) client.answered(at % 2 === 0)
        else if (what === 'ticks') tick(workers[index])
        else if (what === 'hold') commit(hold({ id: `h-${at}` }))
        else if (what === 'release') commit(null)
        expect(figures().waiting).toBe(all.filter(({ queue }) => queue !== null).length)
      }
      commit(null)
      for (let n = 0; n < 200; n++) {
        for (const worker of workers) tick(worker)
        for (const client of all) client.answered()
      }
      expect([...went].sort()).toEqual(
        all
          .map(({ name }) => name)
          .filter((name) => !left.has(name))
          .sort(),
      )
      expect([figures().waiting, figures().bytes, workers.map(({ tick: timer }) => timer)]).toEqual([
        0,
        0,
        [null, null],
      ])
    }),
    { numRuns: 50 },
  )
})
