import { describe, expect, test } from 'vitest'
import { COOLING_MS, createSlots } from '../../src/control/slots.ts'
import { allocateSharedMemory, CELL, FIELD, laneOffset, SERVICE_SLOTS, SLOTS } from '../../src/metrics/layout.ts'
import type { ServiceIntent, ServicePlaces, TargetPlace } from '../../src/table/status.ts'
import { codeOf, contentOf, shop, standingClock } from './stand-in.ts'

const url = (n: number) => `http://127.0.0.1:${n}`

const { intents } = contentOf({
  shop: { ...shop(), pools: { blue: { version: '', targets: [url(1)] } }, split: { blue: 1 } },
})
const { blue } = intents['shop'].pools

/** The pools of a service with these targets in one pool; each target is intended as the others are, for there are many. */
const poolsOf = (targets: readonly string[]): ServiceIntent['pools'] => ({
  blue: { ...blue, targets: Object.fromEntries(targets.map((target) => [target, blue.targets[url(1)]])) },
})

/** Each target stands for itself. */
const literalAddresses = (target: string) => [{ address: target, alternate: null }]
const numbers = (from: number, count: number) => Array.from({ length: count }, (_, n) => url(from + n))
const slotsOf = (places: ServicePlaces) =>
  Object.values(places.targets['blue']).map(({ addresses }) => addresses[0].slot)

function fixture() {
  const memory = allocateSharedMemory(2)
  const standing = standingClock()
  const slots = createSlots(memory, standing.clock)
  /** As control does: takes places, and makes them those of the present. */
  const take = (targets: readonly string[], service = 'shop') => {
    const places = slots.take(service, poolsOf(targets), literalAddresses)
    slots.settle(service, places)
    return places
  }
  /** As control does when a change is refused. */
  const refuse = (targets: readonly string[], present: readonly string[] | null, service = 'shop') => {
    const served = present && slots.take(service, poolsOf(present), literalAddresses)
    const places = slots.take(service, poolsOf(targets), literalAddresses)
    slots.settle(service, served)
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
  memory.newFrom[slot] = 7
  take(numbers(2, SLOTS - 1))

  expect(await codeOf(() => refuse(numbers(2, SLOTS), null))).toBe('conflict')
  await advance(COOLING_MS)
  expect(slotsOf(take(numbers(2, SLOTS))).at(-1)).toBe(slot)
  expect(memory.targets[laneOffset(1, slot) + FIELD.requests]).toBe(0)
  expect(memory.targets[laneOffset(0, slot) + FIELD.ttfb]).toBe(0)
  expect(memory.targets[laneOffset(0, slot) + FIELD.failuresInRow]).toBe(0)
  expect(memory.newFrom[slot]).toBe(0)
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

describe('addresses of a name', () => {
  const name = 'http://api.test:80'
  const at = (...addresses: string[]) => addresses.map((address) => ({ address, alternate: null }))
  const named = () => {
    const basics = fixture()
    const move = (...addresses: string[]) => {
      const places = basics.slots.take('shop', poolsOf([name]), () => at(...addresses))
      basics.slots.settle('shop', places)
      return places.targets['blue'][name]
    }
    return { ...basics, move }
  }
  const slotOf = (place: TargetPlace, address: string) => place.addresses.find((one) => one.address === address)!.slot

  test('each has a slot, one that stays keeps it, and all slots stay with the target', () => {
    const { move } = named()
    const first = move('10.0.0.1', '10.0.0.2')
    expect(new Set(first.slots)).toEqual(new Set([slotOf(first, '10.0.0.1'), slotOf(first, '10.0.0.2')]))
    const second = move('10.0.0.2', '10.0.0.3')
    expect(slotOf(second, '10.0.0.2')).toBe(slotOf(first, '10.0.0.2'))
    expect(first.slots).not.toContain(slotOf(second, '10.0.0.3'))
    expect(new Set(second.slots)).toEqual(new Set([...first.slots, slotOf(second, '10.0.0.3')]))
    expect(move().slots).toHaveLength(3)
  })

  test('a new one takes over the slot of one that has gone, with its counters, once nothing is under way at it', async () => {
    const { move, memory, advance } = named()
    const gone = slotOf(move('10.0.0.1'), '10.0.0.1')
    memory.targets[laneOffset(0, gone) + FIELD.requests] = 7
    memory.targets[laneOffset(1, gone) + FIELD.inFlight] = 1
    const second = slotOf(move('10.0.0.2'), '10.0.0.2')
    expect(second).not.toBe(gone)
    await advance(COOLING_MS)
    const third = slotOf(move('10.0.0.2', '10.0.0.3'), '10.0.0.3')
    expect([gone, second]).not.toContain(third)
    memory.targets[laneOffset(1, gone) + FIELD.inFlight] = 0
    const last = move('10.0.0.2', '10.0.0.3', '10.0.0.4')
    expect(slotOf(last, '10.0.0.4')).toBe(gone)
    expect(memory.targets[laneOffset(0, gone) + FIELD.requests]).toBe(7)
    expect(last.slots).toHaveLength(3)
  })

  test('one that returns gets its own slot back', () => {
    const { move } = named()
    const first = slotOf(move('10.0.0.1'), '10.0.0.1')
    move('10.0.0.2')
    expect(slotOf(move('10.0.0.1'), '10.0.0.1')).toBe(first)
  })

  test('a name whose addresses change all the time does not take more and more slots', async () => {
    const { move, advance } = named()
    let slots = 0
    for (let n = 0; n < 500; n++) {
      slots = move(`10.0.${n >> 8}.${n & 255}`).slots.length
      await advance(5_000)
    }
    expect(slots).toBeLessThanOrEqual(COOLING_MS / 5_000 + 2)
  })

  test('a target that is removed gives up all of its slots, and one that returns has them again', async () => {
    const { move, take, advance } = named()
    move('10.0.0.1', '10.0.0.2')
    const before = move('10.0.0.2')
    take([])
    expect(new Set(move('10.0.0.2').slots)).toEqual(new Set(before.slots))
    take([])
    await advance(COOLING_MS)
    expect(slotsOf(take(numbers(1, SLOTS)))).toEqual(expect.arrayContaining([...before.slots]))
  })

  test('more than can be counted are refused, and those of the present keep their slots', async () => {
    const { move, slots, take } = named()
    const places = move('10.0.0.1')
    const many = Array.from({ length: SLOTS }, (_, n) => `10.1.${n >> 8}.${n & 255}`)
    expect(await codeOf(() => slots.take('shop', poolsOf([name]), () => at('10.0.0.1', ...many)))).toBe('conflict')
    slots.settle('shop', { slot: 0, targets: { blue: { [name]: places } } })
    expect(slotsOf(take(numbers(1, SLOTS - 1), 'api'))).toHaveLength(SLOTS - 1)
    expect(move('10.0.0.1')).toEqual(places)
  })
})

test('a place of SRV records whose port changes is another place, with a slot of its own, while the sums of the target stay', () => {
  const { slots } = fixture()
  const srv = 'srv+http://_web._tcp.test'
  const at = (port: number) => [
    { address: `10.0.0.1:${port}`, alternate: null, srv: { host: 'a.test', ip: '10.0.0.1', port, weight: 1 } },
  ]
  const take = (port: number): TargetPlace => {
    const places = slots.take('shop', poolsOf([srv]), () => at(port))
    slots.settle('shop', places)
    return places.targets['blue'][srv]
  }
  const [first, second] = [take(81), take(82)]
  expect(second.addresses).toMatchObject([{ address: '10.0.0.1:82', srv: { port: 82 } }])
  expect(second.addresses[0].slot).not.toBe(first.addresses[0].slot)
  expect(new Set(second.slots)).toEqual(new Set([first.addresses[0].slot, second.addresses[0].slot]))
})
