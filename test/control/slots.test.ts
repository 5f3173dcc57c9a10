import { expect, test } from 'vitest'
import { COOLING_MS, createSlots } from '../../src/control/slots.ts'
import { allocateSharedMemory, CELL, FIELD, laneOffset, SERVICE_SLOTS, SLOTS } from '../../src/metrics/layout.ts'
import type { ServiceIntent, ServicePlaces } from '../../src/table/status.ts'
import { codeOf, contentOf, shop, standingClock } from './stand-in.ts'

const url = (n: number) => `http://127.0.0.1:${n}`

/** The pools of a service with these targets in one pool. */
function poolsOf(targets: readonly string[]): ServiceIntent['pools'] {
  const spec = { ...shop(), pools: { blue: { version: '', targets: [...targets] } }, split: { blue: 1 } }
  return contentOf({ shop: spec }).intents['shop'].pools
}
const numbers = (from: number, count: number) => Array.from({ length: count }, (_, n) => url(from + n))
const slotsOf = (places: ServicePlaces) => Object.values(places.targets['blue'])

function fixture() {
  const memory = allocateSharedMemory(2)
  const standing = standingClock()
  const slots = createSlots(memory, standing.clock)
  /** As control does: takes places, and makes them those of the present. */
  const take = (targets: readonly string[], service = 'shop') => {
    const pools = poolsOf(targets)
    const places = slots.take(service, pools)
    slots.settle(service, pools)
    return places
  }
  /** As control does when a change is refused. */
  const refuse = (targets: readonly string[], present: readonly string[] | null, service = 'shop') => {
    const places = slots.take(service, poolsOf(targets))
    slots.settle(service, present && poolsOf(present))
    return places
  }
  return { memory, slots, take, refuse, ...standing }
}

test('every target and every service gets a slot of its own, and keeps it', () => {
  const { take } = fixture()
  const [first, api] = [take(numbers(1, 3)), take(numbers(1, 3), 'api')]
  expect(new Set([...slotsOf(first), ...slotsOf(api)]).size).toBe(6)
  expect(first.slot).not.toBe(api.slot)
  expect(take(numbers(1, 3))).toEqual(first)
  expect(slotsOf(take(numbers(2, 2)))).toEqual(slotsOf(first).slice(1))
})

test('a slot rests for a minute before another target gets it, emptied in every lane', async () => {
  const { take, refuse, memory, advance } = fixture()
  const [slot] = slotsOf(take(numbers(1, SLOTS)))
  memory.targets[laneOffset(1, slot) + FIELD.requests] = 7
  memory.targets[laneOffset(0, slot) + FIELD.ttfb] = 3
  // What failed last is nothing that is still there.
  memory.targets[laneOffset(0, slot) + FIELD.failuresInRow] = 5
  take(numbers(2, SLOTS - 1))

  expect(await codeOf(() => refuse(numbers(2, SLOTS), null))).toBe('conflict')
  await advance(COOLING_MS)
  expect(slotsOf(take(numbers(2, SLOTS))).at(-1)).toBe(slot)
  expect(memory.targets[laneOffset(1, slot) + FIELD.requests]).toBe(0)
  expect(memory.targets[laneOffset(0, slot) + FIELD.ttfb]).toBe(0)
  expect(memory.targets[laneOffset(0, slot) + FIELD.failuresInRow]).toBe(0)
})

test.each(['inFlight', 'tunnels', 'connections'] as const)(
  'a slot is not given to another target while a worker counts %s on it',
  async (gauge) => {
    const { take, memory, advance } = fixture()
    const [slot] = slotsOf(take(numbers(1, SLOTS)))
    const cell = laneOffset(1, slot) + FIELD[gauge]
    memory.targets[cell] = 1
    take(numbers(2, SLOTS - 1))
    await advance(10 * COOLING_MS)
    expect(await codeOf(() => take(numbers(2, SLOTS)))).toBe('conflict')
    memory.targets[cell] = 0
    expect(slotsOf(take(numbers(2, SLOTS))).at(-1)).toBe(slot)
  },
)

test('a target that returns gets its slot back with its counters', async () => {
  const { take, memory, advance } = fixture()
  const [slot] = slotsOf(take([url(1)]))
  memory.targets[laneOffset(0, slot) + FIELD.requests] = 7
  take([])
  await advance(2 * COOLING_MS)
  take([url(2)])
  expect(slotsOf(take([url(2), url(1)]))[1]).toBe(slot)
  expect(memory.targets[laneOffset(0, slot) + FIELD.requests]).toBe(7)
})

test('a service that is gone gives up its own slot and those of its targets', async () => {
  const { take, slots, advance } = fixture()
  const gone = take(numbers(1, 3))
  slots.settle('shop', null)
  await advance(COOLING_MS)
  expect(take(numbers(1, 3))).toEqual(gone)
})

test('slots that were given for a change which was then refused are free at once, but not one that returned', async () => {
  const { take, refuse } = fixture()
  const [returned] = slotsOf(take([url(1)]))
  take([url(2)])
  for (let attempt = 0; attempt < 3; attempt++) {
    const others = numbers(10 + attempt * SLOTS, SLOTS - 2)
    expect(slotsOf(refuse([url(1), url(2), ...others.slice(1)], [url(2)]))[0]).toBe(returned)
  }
  const full = slotsOf(take([url(2), ...numbers(10, SLOTS - 2)]))
  expect(full).not.toContain(returned)
  expect(new Set(full).size).toBe(SLOTS - 1)
})

test('the picker of a service slot begins at 0 when another service gets it', async () => {
  const { take, slots, memory, advance } = fixture()
  const { slot } = take([], 's0')
  for (let n = 1; n < SERVICE_SLOTS; n++) take([], `s${n}`)
  Atomics.store(memory.cells, CELL.picker + slot, 99)
  slots.settle('s0', null)
  expect(await codeOf(() => take([], 'another'))).toBe('conflict')
  await advance(COOLING_MS)
  expect(take([], 'another').slot).toBe(slot)
  expect(Atomics.load(memory.cells, CELL.picker + slot)).toBe(0)
})
