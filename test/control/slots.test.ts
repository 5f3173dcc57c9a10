import { expect, test } from 'vitest'
import type { Content } from '../../src/control/reconcile.ts'
import { COOLING_MS, createSlots, withoutSlots } from '../../src/control/slots.ts'
import { allocateSharedMemory, CELL, FIELD, laneOffset, SERVICE_SLOTS, SLOTS } from '../../src/metrics/layout.ts'
import { codeOf, contentOf, shop, standingClock } from './stand-in.ts'

const url = (n: number) => `http://127.0.0.1:${n}`

/** A status with these targets in one pool of one service. */
function statusOf(targets: readonly string[], service = 'shop'): Content['status'] {
  const spec = { ...shop(), pools: { blue: { version: '', targets: [...targets] } }, split: { blue: 1 } }
  return contentOf({ [service]: spec }).status
}
const numbers = (from: number, count: number) => Array.from({ length: count }, (_, n) => url(from + n))
const slotsOf = (status: Content['status'], service = 'shop') =>
  Object.values(status[service].pools['blue'].targets).map(({ slot }) => slot)

function fixture() {
  const memory = allocateSharedMemory(2)
  const standing = standingClock()
  const slots = createSlots(memory, standing.clock)
  /** As control does: give slots, and make it the present status. */
  const take = (status: Content['status']) => {
    const given = slots.assign(status)
    slots.settle(given)
    return given
  }
  return { memory, slots, take, ...standing }
}

test('every target and every service gets a slot of its own, and keeps it', () => {
  const { take } = fixture()
  const status = { ...take(statusOf(numbers(1, 3))), ...statusOf(numbers(1, 3), 'api') }
  const both = take(status)
  const all = [...slotsOf(both), ...slotsOf(both, 'api')]
  expect(new Set(all).size).toBe(6)
  expect(both['shop'].slot).not.toBe(both['api'].slot)
  expect(take(both)).toBe(both)
  expect(slotsOf(take({ ...statusOf(numbers(2, 2)), ...status }))).toEqual(slotsOf(both))
})

test('what had slots already keeps its identity when something else gets one', () => {
  const { take } = fixture()
  const one = take(statusOf(numbers(1, 2)))
  const two = take({ ...one, ...statusOf(numbers(1, 1), 'api') })
  expect(two['shop']).toBe(one['shop'])
})

test('a slot rests for a minute before another target gets it, emptied in every lane', async () => {
  const { take, slots, memory, advance } = fixture()
  const first = take(statusOf(numbers(1, SLOTS)))
  const [slot] = slotsOf(first)
  memory.targets[laneOffset(1, slot) + FIELD.requests] = 7
  memory.targets[laneOffset(0, slot) + FIELD.ttfb] = 3
  take(statusOf(numbers(2, SLOTS - 1)))

  expect(await codeOf(() => slots.assign(statusOf(numbers(2, SLOTS))))).toBe('conflict')
  slots.settle(statusOf(numbers(2, SLOTS - 1)))
  await advance(COOLING_MS)
  expect(slotsOf(take(statusOf(numbers(2, SLOTS)))).at(-1)).toBe(slot)
  expect(memory.targets[laneOffset(1, slot) + FIELD.requests]).toBe(0)
  expect(memory.targets[laneOffset(0, slot) + FIELD.ttfb]).toBe(0)
})

test.each(['inFlight', 'tunnels', 'connections'] as const)(
  'a slot is not given to another target while a worker counts %s on it',
  async (gauge) => {
    const { take, slots, memory, advance } = fixture()
    const [slot] = slotsOf(take(statusOf(numbers(1, SLOTS))))
    const cell = laneOffset(1, slot) + FIELD[gauge]
    memory.targets[cell] = 1
    take(statusOf(numbers(2, SLOTS - 1)))
    await advance(10 * COOLING_MS)
    expect(await codeOf(() => slots.assign(statusOf(numbers(2, SLOTS))))).toBe('conflict')
    memory.targets[cell] = 0
    expect(slotsOf(slots.assign(statusOf(numbers(2, SLOTS)))).at(-1)).toBe(slot)
  },
)

test('a target that returns gets its slot back with its counters', async () => {
  const { take, memory, advance } = fixture()
  const [slot] = slotsOf(take(statusOf([url(1)])))
  memory.targets[laneOffset(0, slot) + FIELD.requests] = 7
  take(statusOf([]))
  await advance(2 * COOLING_MS)
  take(statusOf([url(2)]))
  expect(slotsOf(take(statusOf([url(2), url(1)])))[1]).toBe(slot)
  expect(memory.targets[laneOffset(0, slot) + FIELD.requests]).toBe(7)
})

test('slots that were given for a change which was then refused are free at once, but not one that returned', async () => {
  const { take, slots } = fixture()
  const [returned] = slotsOf(take(statusOf([url(1)])))
  const present = take(statusOf([url(2)]))
  for (let attempt = 0; attempt < 3; attempt++) {
    const others = numbers(10 + attempt * SLOTS, SLOTS - 2)
    expect(slotsOf(slots.assign(statusOf([url(1), ...others])))[0]).toBe(returned)
    slots.settle(present)
  }
  const full = slotsOf(slots.assign(statusOf([url(2), ...numbers(10, SLOTS - 2)])))
  expect(full).not.toContain(returned)
  expect(new Set(full).size).toBe(SLOTS - 1)
})

test('the picker of a service slot begins at 0 when another service gets it', async () => {
  const { take, memory, advance } = fixture()
  const many = (from: number) =>
    Object.fromEntries(Array.from({ length: SERVICE_SLOTS }, (_, n) => [`s${from + n}`, statusOf([])['shop']]))
  const first = take(many(0))
  const slot = first['s0'].slot
  Atomics.store(memory.cells, CELL.picker + slot, 99)
  const { s0: _s0, ...others } = first
  take(others)
  const more = { ...others, another: statusOf([])['shop'] }
  expect(await codeOf(() => take(more))).toBe('conflict')
  await advance(COOLING_MS)
  expect(take(more)['another'].slot).toBe(slot)
  expect(Atomics.load(memory.cells, CELL.picker + slot)).toBe(0)
})

test('slots are left out of what is stored', () => {
  const { take } = fixture()
  const status = statusOf(numbers(1, 3))
  expect(withoutSlots(take(status))).toEqual(status)
})
