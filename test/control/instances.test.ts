/** What is told of the store by one instance alone: whether it is away, how often that began, and what it takes. */
import { expect, onTestFinished, test } from 'vitest'
import type { ControlEvent } from '../../src/change.ts'
import type { Clock } from '../../src/clock.ts'
import { targetKey } from '../../src/config/target-key.ts'
import { Instances } from '../../src/control/instances.ts'
import type { Instance } from '../../src/store/store.ts'
import { movableClock } from '../admin/stand-in.ts'
import { snapshotOf, stageOf } from '../metrics/stand-in.ts'

/** Nothing is under way here. */
const busy = { told: () => ({}) }

/** A store that is followed all the time. */
const followedBy = (clock: Clock) => ({ followed: () => ({ atMs: clock.monotonicMs(), fault: null }) })

test('the figures of a store that goes away and comes back, which some instances do not share', () => {
  const stage = stageOf(snapshotOf({}))
  const store = { fleet: null, local: null, bytes: () => 4_096 }
  const self = { name: 'here:1', version: '1' }
  const quiet = { ids: () => [] }
  const clock = movableClock()
  const control = { ...stage.control, ...followedBy(clock) }
  const instances = new Instances({ store, control, clock, self, quiet, busy })
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
  const instances = new Instances({ store, control, clock, self, quiet: { ids: () => [] }, busy })
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
  const instances = new Instances({ store, control, clock, self, quiet: { ids: () => [] }, busy })
  onTestFinished(() => instances.close())
  await expect.poll(() => instances.told().length).toBe(3)
  // Who needs no answer of the others has none.
  const made = { revision: 1 }
  expect(await instances.everywhere(made, { everywhere: false })).toBe(made)
  const names = instances.told().map(({ name }) => name)
  expect(names).toEqual([expect.stringMatching(/^host:1#[0-9a-f]{4}$/), 'host:1#beef', 'other:1'])
})

test('a place is busy at those that say so, or do not route yet by what has closed it, until they say otherwise or are gone', async () => {
  const stage = stageOf({ ...snapshotOf({}), revision: 5, revisions: { shop: 5 } })
  const place = targetKey('shop', 'blue', 'http://127.0.0.1:1')
  let others: Instance[] = []
  const said: Instance[] = []
  const fault = { failing: true }
  const fleet = {
    lifeMs: 3_000,
    unreplicated: () => 0,
    leave: async () => {},
    async announce(self: Instance) {
      said.push(self)
      if (fault.failing) throw new Error('away')
      return [self, ...others]
    },
  }
  const clock = movableClock()
  const told = { busy: { [place]: 3 } as Record<string, number> }
  const instances = new Instances({
    store: { fleet, local: null } as never,
    control: { ...stage.control, ...followedBy(clock) },
    clock,
    self: { name: 'host:1', version: '1' },
    quiet: { ids: () => [] },
    busy: { told: () => told.busy },
  })
  onTestFinished(() => instances.close())
  const out = { places: [place], revision: 5, orOpen: true }
  const look = async () => {
    clock.move(1_000)
    await new Promise((resolve) => setImmediate(resolve))
    return instances.busyAt(out)
  }
  // What others have is not known before they were heard of.
  expect(await look()).toEqual(['others, of which nothing was heard yet'])
  fault.failing = false
  // What it has itself is counted here.
  expect(await look()).toEqual([])
  expect(said.at(-1)?.busy).toEqual({ [place]: 3 })
  told.busy = {}
  await look()
  expect(said.at(-1)).not.toHaveProperty('busy')

  const other = (more: Partial<Instance>) => ({ id: 'i', name: 'two:1', version: '1', revision: 5, epoch: 1, ...more })
  const besides = (more: Partial<Instance>) => {
    others = [other(more)]
    return look()
  }
  expect(await besides({ revision: 4 })).toEqual(['two:1'])
  // One of before this was told.
  expect(await besides({})).toEqual([])
  expect(await besides({ busy: { [targetKey('shop', 'green', 'http://127.0.0.1:1')]: 1 } })).toEqual([])
  expect(await besides({ busy: { '*': 1 } })).toEqual(['two:1'])
  expect(await besides({ busy: { 'shop\n*': 1 } })).toEqual(['two:1'])
  expect(await besides({ busy: { 'other\n*': 1 } })).toEqual([])
  // It lets somebody in yet, which a rolling release does not wait for.
  expect(await besides({ busy: { [place]: 0 } })).toEqual(['two:1'])
  expect(instances.busyAt({ ...out, orOpen: false })).toEqual([])
  expect(await besides({ busy: { [place]: 2 } })).toEqual(['two:1'])
  expect('busy' in instances.told()[1]).toBe(false)
  const url = 'http://127.0.0.1:1'
  // Whoever asks so has the others asked, too.
  const asks = () => instances.busyElsewhere('shop', 'blue', url)
  others = [other({})]
  expect(asks()).toEqual(['two:1'])
  await expect.poll(asks).toEqual([])
  others = [other({ revision: 4 })]
  await expect.poll(asks).toEqual(['two:1'])
  // Nothing new is heard while the store is away.
  fault.failing = true
  others = []
  expect(await look()).toEqual(['two:1'])
  fault.failing = false
  expect(await look()).toEqual([])
})

test('without others on the store nothing is busy elsewhere', async () => {
  const stage = stageOf(snapshotOf({}))
  const clock = movableClock()
  const control = { ...stage.control, ...followedBy(clock) }
  const self = { name: 'here:1', version: '1' }
  const store = { fleet: null, local: null }
  const instances = new Instances({ store, control, clock, self, quiet: { ids: () => [] }, busy })
  onTestFinished(() => instances.close())
  expect(instances.busyAt({ places: ['a'], revision: 9, orOpen: true })).toEqual([])
  expect(instances.busyElsewhere('shop', 'blue', 'http://127.0.0.1:1')).toEqual([])
})
