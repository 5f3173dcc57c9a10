/** What a change may touch is known before it is made. */
import { expect, test } from 'vitest'
import type { Change } from '../../src/change.ts'
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
    const after = applyChange(before, change as Resolved, 1, { drainMs: () => 1 })
    const all = changedNames(before, after)
    expect(all.length).toBeGreaterThan(0)
    expect(changedNames(before, after, touchedBy(change)).sort()).toEqual(all.sort())
    expect(touchedBy(change)).toEqual(expect.arrayContaining(all))
  },
)

/** The record, and how often all of its names were gone through. */
function counted<T extends object>(record: T): { record: T; walks: () => number } {
  let walks = 0
  const ownKeys = (target: T) => {
    walks++
    return Reflect.ownKeys(target)
  }
  return { record: new Proxy(record, { ownKeys }), walks: () => walks }
}

test.each(CHANGES.filter(({ kind }) => kind !== 'service.put'))(
  '$kind goes through the record of all services once at most, and leaves what it does not touch the very same',
  (change) => {
    const content = contentOf({ shop: shop(), api: shop({}, 'api.test'), other: shop({}, 'other.test') })
    const [services, intents] = [counted(content.services), counted(content.intents)]
    const before = { ...content, services: services.record, intents: intents.record }
    const after = applyChange(before, change as Resolved, 1, { drainMs: () => 1 })
    expect(services.walks()).toBeLessThanOrEqual(1)
    expect(intents.walks()).toBeLessThanOrEqual(1)
    expect(after.services['other']).toBe(content.services['other'])
    expect(after.intents['other']).toBe(content.intents['other'])
  },
)

test('many services that are switched at once cost one copy of each record', () => {
  const names = Array.from({ length: 50 }, (_, n) => `shop${n}`)
  const content = contentOf(Object.fromEntries(names.map((name) => [name, shop({}, `${name}.test`)])))
  const [services, intents] = [counted(content.services), counted(content.intents)]
  const to = Object.fromEntries(names.map((name) => [name, 'green']))
  const before = { ...content, services: services.record, intents: intents.record }
  const after = applyChange(before, { kind: 'switch', to }, 1, { drainMs: () => 1 })
  expect(names.every((name) => after.services[name].split?.['green'] === 100)).toBe(true)
  expect([services.walks(), intents.walks()]).toEqual([1, 1])
})

test('a name that is not there is held against all others', () => {
  const content = contentOf({ shop: shop(), api: shop({}, 'api.test') })
  const change: Resolved = { kind: 'split', service: 'shp', weights: { blue: 1 } }
  const make = () => applyChange(content, change, 1, { drainMs: () => 1 })
  expect(make).toThrow('There is no service shp (did you mean "shop"?)')
})

test('a file and a restore may touch any', () => {
  expect(touchedBy({ kind: 'file', services: {} })).toBeNull()
  expect(touchedBy({ kind: 'restore', from: 1 })).toBeNull()
})
