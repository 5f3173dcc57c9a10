/** What a change may touch is known before it is made. */
import { expect, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import { validateService } from '../../src/config/check.ts'
import { applyChange, type Resolved } from '../../src/control/apply.ts'
import { changedNames } from '../../src/control/state.ts'
import { touchedBy } from '../../src/control/touched.ts'
import { BLUE, contentOf, shop } from './stand-in.ts'

const service = 'shop'
const hold = { id: 'h', forMs: 1_000, only: 'all', queueMax: 1, bytesMax: 1, isOfSwitch: true } as const
const CHANGES: readonly Change[] = [
  { kind: 'service.put', service: 'new', spec: shop({}, 'new.test') },
  { kind: 'service.put', service, spec: shop({ split: { blue: 1, green: 1 } }) },
  { kind: 'service.patch', service, patch: { split: { blue: 50, green: 50 } } },
  { kind: 'service.delete', service },
  { kind: 'split', service, weights: { blue: 90, green: 10 } },
  { kind: 'switch', to: { shop: 'green', api: 'green' } },
  { kind: 'hold', services: ['shop', 'api'], hold },
  { kind: 'maintenance', service, on: true },
  { kind: 'rules', service, rules: [{ name: 'all', when: { header: { a: 'b' } }, to: 'green' }] as never },
  { kind: 'pool.put', service, pool: 'red', spec: { version: '', targets: [] } },
  { kind: 'pool.delete', service, pool: 'green' },
  { kind: 'pool.state', service, pool: 'blue', state: 'drain' },
  { kind: 'target.state', service, pool: 'blue', target: BLUE, state: 'maint' },
  { kind: 'shift', service, weights: { blue: 90, green: 10 }, trial: null, before: { blue: 100 }, rollout: 'r' },
]

test.each(CHANGES)(
  '$kind changes no other service than those that it names, and they are found by these alone',
  (change) => {
    const before = contentOf({ shop: shop(), api: shop({}, 'api.test'), other: shop({}, 'other.test') })
    const after = applyChange(before, change as Resolved, 1, { drainMs: () => 1, complete: validateService })
    const all = changedNames(before, after)
    expect(all.length).toBeGreaterThan(0)
    expect(changedNames(before, after, touchedBy(change)).sort()).toEqual(all.sort())
    expect(touchedBy(change)).toEqual(expect.arrayContaining(all))
  },
)

test('a file and a restore may touch any', () => {
  expect(touchedBy({ kind: 'file', services: {} })).toBeNull()
  expect(touchedBy({ kind: 'restore', from: 1 })).toBeNull()
})
