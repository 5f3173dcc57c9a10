/** Faults of the whole are told where they stand in what was sent. */
import { expect, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import { refusedAt } from '../../src/control/fault-place.ts'

const service = 'a/b'
const pool = { targets: [] }

test.each<[Change, string, string]>([
  [{ kind: 'pool.put', service, pool: 'blue', spec: pool as never }, '/a~1b/pools/blue/targets/0', '/targets/0'],
  [
    { kind: 'pool.put', service, pool: 'blue', spec: pool as never },
    '/a~1b/pools/blue2/targets/0',
    '/a~1b/pools/blue2/targets/0',
  ],
  [{ kind: 'service.put', service, spec: {} as never }, '/a~1b/routes/0', '/routes/0'],
  [{ kind: 'service.patch', service, patch: {} }, '/a~1b/routes/0', '/routes/0'],
  [{ kind: 'service.patch', service, patch: {} }, '/a~1b', ''],
  [{ kind: 'rules', service, rules: [] }, '/a~1b/rules/0/when', '/0/when'],
  [{ kind: 'rules', service, rules: [] }, '/a~1b/pools/blue', '/a~1b/pools/blue'],
  [{ kind: 'split', service, weights: {} }, '/a~1b/split/blue', '/weights/blue'],
  [{ kind: 'file', services: {} }, '/shop/split/green', '/services/shop/split/green'],
  [{ kind: 'restore', from: 1 }, '/shop/split/green', '/shop/split/green'],
])('%j: %s is at %j', (change, pointer, place) => {
  const { code, faults } = refusedAt(change, [{ pointer, message: 'is wrong' }])
  expect([code, faults]).toEqual(['invalid', [{ pointer: place, message: 'is wrong' }]])
})
