/** What is told of the store by one instance alone: whether it is away, how often that began, and what it takes. */
import { expect, onTestFinished, test } from 'vitest'
import type { ControlEvent } from '../../src/change.ts'
import { Instances } from '../../src/control/instances.ts'
import { movableClock } from '../admin/stand-in.ts'
import { snapshotOf, stageOf } from '../metrics/stand-in.ts'

test('the figures of a store that goes away and comes back, which some instances do not share', () => {
  const stage = stageOf(snapshotOf({}))
  const store = { fleet: null, local: null, bytes: () => 4_096 }
  const self = { name: 'here:1', version: '1' }
  const quiet = { ids: () => [] }
  const instances = new Instances({ store, control: stage.control, clock: movableClock(), self, quiet })
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
})
