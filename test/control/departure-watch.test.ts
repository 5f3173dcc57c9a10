/** What is told of the tunnels that a pool lets go: counters filled by hand, a snapshot without a control, and a clock that the test moves on. */
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { DepartureWatch } from '../../src/control/departure-watch.ts'
import type { NewEvent } from '../../src/control/events.ts'
import { type Counts, type HandedDepartures, OldDepartures } from '../../src/control/old-departures.ts'
import { Returns } from '../../src/dataplane/departures/returns.ts'
import { DEPARTURE, departureOffset, PACE_STATES, type PaceState } from '../../src/metrics/departures.ts'
import { allocateSharedMemory, type SharedMemory } from '../../src/metrics/layout.ts'
import { movableClock } from '../admin/stand-in.ts'
import { snapshotOf, stageOf } from '../metrics/stand-in.ts'

const LOOK_MS = 500
const RETURN_MS = 5_000
/** Who has come is remembered for so long. */
const CAME_MS = 20_000
/** Who came longer before he was let go than this has not come back (old-departures.ts). */
const EARLY_MS = 5_000
const POOLS = { shop: { blue: ['http://127.0.0.1:3001', 'http://127.0.0.1:3002'], green: ['http://127.0.0.1:3003'] } }
const OTHER_TARGET = 1

let memory: SharedMemory
let clock: ReturnType<typeof movableClock>
let stage: ReturnType<typeof stageOf>
let watch: DepartureWatch
let events: NewEvent[]
let old: OldDepartures
let over: Set<number>

beforeEach(() => {
  memory = allocateSharedMemory(2, true)
  clock = movableClock()
  stage = stageOf(snapshotOf(POOLS))
  events = []
  over = new Set()
  old = new OldDepartures(memory, clock, (pid) => over.has(pid))
  watch = new DepartureWatch(stage.control, memory, clock, (event) => void events.push(event), old)
  onTestFinished(() => watch.close())
})

/** Adds to the counts of a worker at the first target of blue, or another. */
function count(more: Partial<Record<keyof typeof DEPARTURE, number>>, worker = 0, slot = 0): void {
  for (const [field, by] of Object.entries(more)) {
    memory.departures[departureOffset(worker, slot) + DEPARTURE[field as keyof typeof DEPARTURE]] += by
  }
}

function paceIs(state: PaceState): void {
  memory.departures[departureOffset(0, 0) + DEPARTURE.state] = PACE_STATES.indexOf(state)
}

const messages = () => events.map(({ message }) => message)
const blue = () => watch.of('shop', 'blue')

test('a pool that lets nothing go has nothing to tell', () => {
  clock.move(10 * LOOK_MS)
  expect(blue()).toBeNull()
  expect(events).toEqual([])
})

test('what is told is the sum over the targets of the pool and the workers, and nothing of other pools', () => {
  count({ left: 3 })
  count({ left: 2, closed: 4, cut: 1 }, 1, OTHER_TARGET)
  clock.move(LOOK_MS)
  expect(blue()).toEqual({ before: 9, closed: 4, cut: 1, moved: 0, left: 5, pace: 'steady' })
  expect(watch.of('shop', 'green')).toBeNull()
})

test('who comes back to a worker that has closed nothing itself is counted, too', () => {
  count({ closed: 2 })
  count({ moved: 2 }, 1)
  clock.move(LOOK_MS)
  expect(blue()).toMatchObject({ closed: 2, moved: 2 })
})

test('the beginning is told once, and the end once all have come back', () => {
  count({ left: 2 })
  clock.move(2 * LOOK_MS)
  count({ left: -2, closed: 2, cut: 1, moved: 1 })
  clock.move(LOOK_MS)
  expect(messages()).toEqual(['2 tunnels of pool blue of shop are being closed: their visitors come to another place'])
  count({ moved: 1 })
  clock.move(4 * LOOK_MS)
  expect(messages().slice(1)).toEqual([
    'Of the tunnels of pool blue of shop 2 were closed, 1 of them cut, and 2 have come to another place',
  ])
  const tunnels = { before: 2, closed: 2, cut: 1, moved: 2, left: 0, pace: 'steady' }
  expect(events[1]).toMatchObject({ type: 'drain', service: 'shop', data: { pool: 'blue', tunnels } })
})

test('who never comes back is waited for some seconds and no longer; who comes later still counts', () => {
  count({ closed: 2 })
  clock.move(RETURN_MS - LOOK_MS)
  expect(messages().length).toBe(1)
  clock.move(3 * LOOK_MS)
  expect(messages()[1]).toMatch(/2 were closed, and 0 have come/)
  count({ moved: 1 })
  clock.move(LOOK_MS)
  expect(blue()).toMatchObject({ closed: 2, moved: 1 })
  expect(messages().length).toBe(2)
})

test('that it stops, and that it goes on, is told; that it is slowed is only shown', () => {
  count({ left: 5 })
  clock.move(LOOK_MS)
  for (const state of ['slowed', 'stopped', 'stopped', 'slowed'] as const) {
    paceIs(state)
    clock.move(LOOK_MS)
    expect(blue()!.pace).toBe(state)
  }
  expect(messages().slice(1)).toEqual([
    'Closing the tunnels of pool blue of shop has stopped with 5 left: nobody would take them now',
    'Closing the tunnels of pool blue of shop goes on',
  ])
})

test('the next time is counted from its own beginning', () => {
  count({ closed: 3, moved: 3 })
  clock.move(2 * LOOK_MS)
  expect(messages().length).toBe(2)
  count({ left: 1 })
  clock.move(LOOK_MS)
  expect(blue()).toEqual({ before: 1, closed: 0, cut: 0, moved: 0, left: 1, pace: 'steady' })
  expect(messages()[2]).toBe('1 tunnels of pool blue of shop are being closed: their visitors come to another place')
})

test('a pool that was removed is watched on until its last has gone', () => {
  count({ left: 2 })
  clock.move(LOOK_MS)
  stage.snapshot = { ...snapshotOf({ shop: { green: ['http://127.0.0.1:3003'] } }, { firstSlot: 2 }), epoch: 2 }
  count({ left: -2, closed: 2, moved: 2 })
  clock.move(LOOK_MS)
  expect(blue()).toMatchObject({ closed: 2, moved: 2, left: 0 })
  expect(messages()[1]).toMatch(/^Of the tunnels of pool blue of shop 2 were closed/)
})

/** Its process id, and that of the one before it. */
const [OLD, OLDER] = [20, 10]
/** What a replaced process tells of blue. */
const counts = (more: Partial<Counts>) => ({ closed: 0, cut: 0, moved: 0, left: 0, went: 0, state: 0, ...more })
const told = (more: Partial<Counts>, gone: HandedDepartures['gone'] = []) =>
  old.take({ pools: [{ service: 'shop', pool: 'blue', counts: counts(more) }], gone }, OLD)
/** Somebody comes to a worker that does not know him. */
const comes = (key: number) => new Returns(memory).take(key, clock.steadyMs())

test('what a replaced process lets go counts here, and who comes is matched, whether the news of him is earlier or later', () => {
  count({ left: 2 })
  told({ left: 3, closed: 1, moved: 1, went: 1, state: PACE_STATES.indexOf('slowed') })
  clock.move(LOOK_MS)
  expect(blue()).toEqual({ before: 7, closed: 1, cut: 0, moved: 1, left: 5, pace: 'slowed' })
  told({ left: 1, closed: 3, moved: 1, went: 1 }, [
    [7, 1, 0, 0],
    [8, 1, 0, 0],
  ])
  comes(7)
  comes(9)
  clock.move(LOOK_MS)
  expect(blue()).toMatchObject({ closed: 3, moved: 2, left: 3 })
  told({ left: 0, closed: 4, moved: 1, went: 1 }, [[9, 1, 0, 0]])
  comes(7)
  count({ left: -2, closed: 2, moved: 2 })
  clock.move(LOOK_MS)
  expect(blue()).toEqual({ before: 7, closed: 6, cut: 0, moved: 5, left: 0, pace: 'steady' })
  comes(8)
  clock.move(LOOK_MS)
  expect(messages()).toEqual([
    '7 tunnels of pool blue of shop are being closed: their visitors come to another place',
    'Of the tunnels of pool blue of shop 6 were closed, and 6 have come to another place',
  ])
})

test('who comes is matched by news that takes seconds, which makes it seem that he was let go later', () => {
  comes(7)
  clock.move(3_000)
  told({ closed: 1 }, [[7, 1, 0, 0]])
  clock.move(LOOK_MS)
  expect(blue()).toMatchObject({ closed: 1, moved: 1 })
})

test('somebody who had come before he was let go, or long ago, has not come back; a replaced process that is gone has none left', () => {
  comes(7)
  clock.move(2 * LOOK_MS + EARLY_MS)
  comes(8)
  clock.move(LOOK_MS)
  told({ left: 2, closed: 2 }, [[7, 1, 0, 0]])
  clock.move(CAME_MS)
  told({ left: 2, closed: 3 }, [[8, 1, CAME_MS / 1_000 + 1, 0]])
  clock.move(LOOK_MS)
  expect(blue()).toMatchObject({ before: 5, closed: 3, moved: 0, left: 2 })
  over.add(OLD)
  clock.move(RETURN_MS + 2 * LOOK_MS)
  expect(blue()).toMatchObject({ before: 5, left: 0 })
  expect(messages()[1]).toMatch(/ 3 were closed, and 0 have come/)
})

test('what is handed over is what is not over, with all that was told of the process before; and each who was let go once', () => {
  const returns = new Returns(memory)
  // Over before.
  count({ closed: 4, moved: 4 })
  clock.move(2 * LOOK_MS)
  expect(watch.handOver()).toEqual({ pools: [], gone: [] })
  count({ left: 3 })
  told({ left: 1, closed: 2, moved: 1 }, [[11, 2, 3, 0]])
  clock.move(LOOK_MS)
  count({ left: -2, closed: 1 })
  returns.note(7, OTHER_TARGET, clock.steadyMs())
  // Nobody of this pool lets any go.
  returns.note(8, 2, clock.steadyMs())
  const pools = (own: Partial<Counts>, theirs: Partial<Counts>) => [
    { service: 'shop', pool: 'blue', counts: counts(own) },
    { service: 'shop', pool: 'blue', counts: counts(theirs), pid: OLD },
  ]
  expect(watch.handOver()).toEqual({
    pools: pools({ closed: 1, left: 1, went: 1 }, { closed: 2, moved: 1, left: 1 }),
    gone: [
      [7, 1, 0, 0],
      [11, 2, 3, 0],
    ],
  })
  count({ left: -1, closed: 1 })
  over.add(OLD)
  const atLast = { pools: pools({ closed: 2, went: 1 }, { closed: 2, moved: 1, went: 1 }), gone: [] }
  expect(watch.handOver()).toEqual(atLast)
  // It is told also after it is over here.
  clock.move(RETURN_MS + 2 * LOOK_MS)
  expect(watch.handOver()).toEqual(atLast)
})

test('those whom it let go and who came here are counts of the one between, for the next one', () => {
  told({ left: 1, closed: 2, moved: 1 }, [[7, 1, 0, 0]])
  comes(7)
  clock.move(LOOK_MS)
  expect(watch.handOver().pools.map(({ counts: { closed, moved, left }, pid }) => [pid, closed, moved, left])).toEqual([
    [undefined, 0, 1, 0],
    [OLD, 2, 1, 1],
  ])
})

test('that they are closed is told once, over upgrades that follow each other', () => {
  const part = (more: Partial<Counts>, pid?: number) => {
    return { service: 'shop', pool: 'blue', counts: counts(more), ...(pid !== undefined && { pid }) }
  }
  // The one between has told of those of the one before it, and has none of its own there.
  old.take({ pools: [part({}), part({ closed: 1, left: 2 }, OLDER)], gone: [] }, OLD)
  clock.move(2 * LOOK_MS)
  old.take({ pools: [part({ closed: 2, left: 1 })], gone: [] }, OLDER)
  clock.move(LOOK_MS)
  expect([blue()!.before, messages()]).toEqual([3, []])
  old.take({ pools: [part({ closed: 3 })], gone: [] }, OLDER)
  clock.move(RETURN_MS + LOOK_MS)
  expect(messages()).toEqual([expect.stringContaining('3 were closed, and 0 have come')])
})

test('those that are let go then by the process between, or here, are told', () => {
  const pools = (own: Partial<Counts>) => [
    { service: 'shop', pool: 'blue', counts: counts(own) },
    { service: 'shop', pool: 'blue', counts: counts({ left: 2 }), pid: OLDER },
  ]
  old.take({ pools: pools({}), gone: [] }, OLD)
  clock.move(LOOK_MS)
  expect(messages()).toEqual([])
  old.take({ pools: pools({ left: 4 }), gone: [] }, OLD)
  clock.move(2 * LOOK_MS)
  expect(messages()).toEqual(['6 tunnels of pool blue of shop are being closed: their visitors come to another place'])
})

test('when the process between is killed only what was left in it is gone, and the one before it tells on by itself', () => {
  const blueOf = (more: Partial<Counts>, pid?: number) => ({
    service: 'shop',
    pool: 'blue',
    counts: counts(more),
    ...(pid !== undefined && { pid }),
  })
  const between = {
    pools: [blueOf({ closed: 5, moved: 6, left: 3 }), blueOf({ closed: 4, moved: 1, left: 8 }, OLDER)],
    gone: [],
  }
  old.take(between, OLD)
  clock.move(LOOK_MS)
  expect(blue()).toEqual({ before: 20, closed: 9, cut: 0, moved: 7, left: 11, pace: 'steady' })
  over.add(OLD)
  clock.move(LOOK_MS)
  expect(blue()).toEqual({ before: 20, closed: 9, cut: 0, moved: 7, left: 8, pace: 'steady' })
  old.take({ pools: [blueOf({ closed: 6, moved: 1, left: 6 })], gone: [[9, 1, 0, 0]] }, OLDER)
  // What the one between had still under way to here is older.
  old.take(between, OLD)
  comes(9)
  clock.move(LOOK_MS)
  expect(blue()).toEqual({ before: 20, closed: 11, cut: 0, moved: 8, left: 6, pace: 'steady' })
  old.take({ pools: [blueOf({ closed: 12, moved: 1 })], gone: [] }, OLDER)
  over.add(OLDER)
  clock.move(LOOK_MS)
  expect(blue()).toEqual({ before: 20, closed: 17, cut: 0, moved: 8, left: 0, pace: 'steady' })
  // For the next one, those that went with the one between are its own, once.
  const all = watch.handOver().pools.map(({ counts: { closed, left, went }, pid }) => [pid, closed, left, went])
  expect(all).toEqual([
    [undefined, 0, 0, 0],
    [OLD, 5, 0, 3],
    [OLDER, 12, 0, 0],
  ])
})
