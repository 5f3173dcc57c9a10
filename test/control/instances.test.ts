/** What is told of the store by one instance alone: whether it is away, how often that began, and what it takes. */
import { expect, onTestFinished, test } from 'vitest'
import type { ControlEvent } from '../../src/change.ts'
import type { Clock } from '../../src/clock.ts'
import { Instances } from '../../src/control/instances.ts'
import type { Instance } from '../../src/store/store.ts'
import { movableClock } from '../admin/stand-in.ts'
import { snapshotOf, stageOf } from '../metrics/stand-in.ts'

/** A store that is followed all the time. */
const followedBy = (clock: Clock) => ({ followed: () => ({ atMs: clock.monotonicMs(), fault: null }) })

test('the figures of a store that goes away and comes back, which some instances do not share', () => {
  const stage = stageOf(snapshotOf({}))
  const store = { fleet: null, local: null, bytes: () => 4_096 }
  const self = { name: 'here:1', version: '1' }
  const quiet = { ids: () => [] }
  const clock = movableClock()
  const control = { ...stage.control, ...followedBy(clock) }
  const instances = new Instances({ store, control, clock, self, quiet })
  onTestFinished(() => void instances.close())
  const told = (data: ControlEvent['data'], type: ControlEvent['type'] = 'store') => {
    stage.publish({ type, data })
    const { isAway, failures } = instances.figures()
    return [isAway, failures]
  }
  expect(told({})).toEqual([false, 0])
  expect(told({ away: true }, 'health')).toEqual([false, 0])
  expect(told({ away: true })).toEqual([true, 1])
  expect(told({ away: true })).toEqual([true, 1])
  expect(told({ away: false })).toEqual([false, 1])
  expect(told({ away: true })).toEqual([true, 2])
  expect(instances.figures().bytes).toBe(4_096)
  stage.publish({ type: 'store', data: { away: true }, message: 'the disk is full' })
  expect(instances.storeFault).toBe('the disk is full')
  expect([told({ away: false }), instances.storeFault]).toEqual([[false, 2], null])
})

test('a store that was away before anybody listened is away in the figures until it is back', () => {
  const stage = stageOf(snapshotOf({}))
  const told = { serves: true, revision: 7, keptAtMs: 0, fault: null, failures: 0 }
  const store = { fleet: null, local: { told: () => told, listen: () => {} } }
  const clock = movableClock()
  const control = { ...stage.control, ...followedBy(clock) }
  const self = { name: 'here:1', version: '1' }
  const instances = new Instances({ store, control, clock, self, quiet: { ids: () => [] } })
  onTestFinished(() => void instances.close())
  const figures = () => [instances.figures().isAway, instances.figures().failures]
  expect(figures()).toEqual([true, 1])
  stage.publish({ type: 'store', data: { away: false } })
  expect(figures()).toEqual([false, 1])
})

test('instances of one name, as containers on one host have it, are told apart', async () => {
  const stage = stageOf(snapshotOf({}))
  const twin = { id: 'beef-1', name: 'host:1', version: '1', revision: 0, epoch: 0 }
  const fleet = {
    lifeMs: 3_000,
    announce: async (self: Instance) => [self, twin, { ...twin, id: 'x', name: 'other:1' }],
  }
  const store = { fleet: { ...fleet, unreplicated: () => 0, leave: async () => {} }, local: null } as never
  const clock = { ...movableClock(), every: () => () => {} }
  const self = { name: 'host:1', version: '1' }
  const control = { ...stage.control, ...followedBy(clock) }
  const instances = new Instances({ store, control, clock, self, quiet: { ids: () => [] } })
  onTestFinished(() => instances.close())
  await expect.poll(() => instances.told().length).toBe(3)
  // Who needs no answer of the others has none.
  const made = { revision: 1 }
  expect(await instances.everywhere(made, { everywhere: false })).toBe(made)
  const names = instances.told().map(({ name }) => name)
  expect(names).toEqual([expect.stringMatching(/^host:1#[0-9a-f]{4}$/), 'host:1#beef', 'other:1'])
})
