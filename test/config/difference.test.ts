import fc from 'fast-check'
import { expect, test } from 'vitest'
import { validateService } from '../../src/config/check.ts'
import { differences } from '../../src/config/difference.ts'
import { mergeFile, overFile } from '../../src/config/merge.ts'
import type { ServiceSpec, Services } from '../../src/config/schema.ts'

const pool = (port: number) => ({ targets: [`http://127.0.0.1:${port}`] })
const two = { blue: pool(3001), green: pool(3002) }

function spec(changes: object = {}): ServiceSpec {
  const checked = validateService({ routes: [{}], pools: two, split: { blue: 95, green: 5 }, ...changes })
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  return checked.spec
}
const shop = (changes: object = {}): Services => ({ shop: spec(changes) })

test('each place that differs is named, with what runs and what the file says', () => {
  const runs = shop({ split: { blue: 0, green: 100 }, debugHeaders: true, health: { path: '/up' } })
  const file = shop({ balance: 'random', rules: [{ name: 'a', when: { cookie: { a: '1' } }, to: 'blue' }] })
  expect(differences(runs, file, 100)).toEqual([
    { pointer: '/services/shop/balance', runs: 'least-request', file: 'random' },
    { pointer: '/services/shop/debugHeaders', runs: true, file: false },
    { pointer: '/services/shop/health', runs: runs.shop.health, file: undefined },
    { pointer: '/services/shop/rules', runs: [], file: file.shop.rules },
    { pointer: '/services/shop/split', runs: { blue: 0, green: 100 }, file: { blue: 95, green: 5 } },
  ])
  expect(differences(shop({ drain: { timeout: '5m' } }), shop(), 100)).toEqual([
    { pointer: '/services/shop/drain/timeout', runs: '5m', file: '30s' },
  ])
})

test('services that one side does not have are named whole, and no more places than asked for', () => {
  expect(differences(shop(), {}, 100)).toEqual([{ pointer: '/services/shop', runs: spec(), file: undefined }])
  expect(differences({}, shop(), 100)).toEqual([{ pointer: '/services/shop', runs: undefined, file: spec() }])
  expect(differences(shop({ debugHeaders: true, balance: 'random' }), shop(), 1)).toHaveLength(1)
})

test('two splits with the same weights do not differ, nor does a pool without weight in one of them', () => {
  const runs = shop({ pools: { ...two, red: pool(3003) }, split: { blue: 95, green: 5, red: 0 } })
  expect(differences(runs, shop(), 100).map(({ pointer }) => pointer)).toEqual(['/services/shop/pools/red'])
})

const some = fc.record({
  split: fc.record({ blue: fc.integer({ min: 1, max: 9 }), green: fc.nat(9) }),
  balance: fc.constantFrom('random', 'hash'),
  debugHeaders: fc.boolean(),
})

test('what a merge changes and what it keeps are all the differences between file and live', () => {
  fc.assert(
    fc.property(some, some, some, (b, l, f) => {
      const [base, live, file] = [shop(b), shop(l), shop(f)]
      const merged = mergeFile(base, live, file).services
      const at = (from: Services, to: Services) => differences(from, to, 100).map(({ pointer }) => pointer)
      expect([...at(live, merged), ...at(merged, file)].sort()).toEqual(at(live, file))
      expect(at(overFile(base, live, file, false).services, file)).toEqual([])
    }),
  )
})

test('where the file wins, services that it never had stay unless they are pruned, and those that it had go', () => {
  const api = { api: spec({ routes: [{ path: '/api' }] }) }
  const live = { ...shop({ debugHeaders: true }), ...api }
  expect(overFile(shop(), live, shop(), false)).toEqual({ services: { ...shop(), ...api }, faults: [] })
  expect(overFile(shop(), live, shop(), true)).toEqual({ services: shop(), faults: [] })
  expect(overFile({ ...shop(), ...api }, live, shop(), false)).toEqual({ services: shop(), faults: [] })
  expect(overFile(null, live, {}, false)).toEqual({ services: live, faults: [] })
})
