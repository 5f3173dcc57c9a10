/** Metrics of tunnels that are let go: counters filled by hand. */
import { expect, test } from 'vitest'
import { DEPARTURE_FAMILIES } from '../../src/metrics/departure-families.ts'
import { DEPARTURE, departureOffset, PACE_STATES } from '../../src/metrics/departures.ts'
import type { Scrape } from '../../src/metrics/family.ts'
import { Inventory } from '../../src/metrics/inventory.ts'
import { allocateSharedMemory } from '../../src/metrics/layout.ts'
import { snapshotOf } from './stand-in.ts'

const GREEN_SLOT = 2

function open(before: Scrape['letGoBefore'] = () => null) {
  const memory = allocateSharedMemory(2)
  const snapshot = snapshotOf({ shop: { blue: ['http://a.test', 'http://b.test'], green: ['http://c.test'] } })
  const add = (worker: number, slot: number, field: keyof typeof DEPARTURE, by: number) => {
    memory.departures[departureOffset(worker, slot) + DEPARTURE[field]] += by
  }
  const read = () => {
    const scrape = {
      snapshot,
      memory,
      letGoBefore: before,
      pools: new Inventory().pools(snapshot),
    } as unknown as Scrape
    const samples = DEPARTURE_FAMILIES.map(({ name, read: of }) => [name, of(scrape)] as const)
    return Object.fromEntries(samples.filter(([, found]) => found.length > 0))
  }
  return { add, read }
}

const labelsOf = (pool: string) => ({ service: 'shop', pool, version: '1.0' })

test('where nothing was ever let go there is no series, however many streams are open', () => {
  const { add, read } = open()
  add(0, 0, 'streams', 7)
  expect(read()).toEqual({})
})

test('a pool that lets go has the sums over its targets and the workers, and others have no series', () => {
  const { add, read } = open()
  add(0, 0, 'left', 3)
  add(1, 1, 'left', 2)
  add(1, 1, 'closed', 9)
  add(0, 1, 'cut', 1)
  add(1, 0, 'moved', 8)
  add(1, 0, 'state', PACE_STATES.indexOf('slowed'))
  const sharedLabels = labelsOf('blue')
  expect(read()).toEqual({
    turnout_tunnels_left: [{ value: 5, sharedLabels }],
    turnout_tunnels_let_go_total: [{ value: 9, sharedLabels }],
    turnout_tunnels_cut_total: [{ value: 1, sharedLabels }],
    turnout_tunnels_moved_total: [{ value: 8, sharedLabels }],
    turnout_tunnels_pace: [{ value: 1, labels: { state: 'slowed' }, sharedLabels }],
  })
})

test('refused handshakes are told of the pool that has refused them, which lets none go itself', () => {
  const { add, read } = open()
  add(0, GREEN_SLOT, 'refused', 4)
  expect(read()).toEqual({ turnout_tunnels_refused_total: [{ value: 4, sharedLabels: labelsOf('green') }] })
})

test('once none is left there is no pace, and the counts stay', () => {
  const { add, read } = open()
  add(0, 0, 'closed', 2)
  const found = read()
  expect(found['turnout_tunnels_pace']).toBeUndefined()
  expect(found['turnout_tunnels_left']).toEqual([{ value: 0, sharedLabels: labelsOf('blue') }])
})

test('what a replaced process lets go of a pool is in its sums', () => {
  const before = { closed: 5, cut: 1, moved: 4, left: 3, went: 9, state: PACE_STATES.indexOf('stopped') }
  const { add, read } = open((service, pool) => (service === 'shop' && pool === 'green' ? before : null))
  add(0, GREEN_SLOT, 'closed', 2)
  const sharedLabels = labelsOf('green')
  expect(read()).toEqual({
    turnout_tunnels_left: [{ value: 3, sharedLabels }],
    turnout_tunnels_let_go_total: [{ value: 7, sharedLabels }],
    turnout_tunnels_cut_total: [{ value: 1, sharedLabels }],
    turnout_tunnels_moved_total: [{ value: 4, sharedLabels }],
    turnout_tunnels_pace: [{ value: 1, labels: { state: 'stopped' }, sharedLabels }],
  })
})
