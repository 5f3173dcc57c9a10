import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalService } from '../../src/config/canonical.ts'
import { validateService } from '../../src/config/check.ts'
import { mergeFile } from '../../src/config/merge.ts'
import type { ServiceSpec, Services } from '../../src/config/schema.ts'

const POOLS = { blue: 3001, green: 3002, canary: 3003 }
const pool = (name: keyof typeof POOLS) => ({ targets: [`http://127.0.0.1:${POOLS[name]}`] })
const two = { blue: pool('blue'), green: pool('green') }
const three = { ...two, canary: pool('canary') }

function spec(changes: object = {}): ServiceSpec {
  const checked = validateService({ routes: [{}], pools: two, split: { blue: 95, green: 5 }, ...changes })
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  return checked.spec
}

const shop = (changes: object = {}): Services => ({ shop: spec(changes) })

function merged(base: Services | null, live: Services, file: Services): Services {
  const { services, faults } = mergeFile(base, live, file)
  expect(faults).toEqual([])
  return services
}

test('the first load takes the file', () => {
  expect(merged(null, {}, shop())).toEqual(shop())
})

test('a target that goes takes its weight along, whoever has given it', () => {
  const [a, b] = ['http://a:80', 'http://b:80']
  const both = { targets: [a, b] }
  const base = shop({ pools: { ...two, blue: both } })
  const live = shop({ pools: { ...two, blue: { ...both, weights: { [b]: 3 } } } })
  expect(merged(base, live, shop({ pools: { ...two, blue: { targets: [a] } } })).shop.pools.blue).toEqual({
    version: '',
    targets: [a],
  })
  const file = shop({ pools: { ...two, blue: { ...both, weights: { [a]: 2 } } } })
  const other = shop({ pools: { ...two, blue: { ...both, weights: { [a]: 5 } } } })
  const changed = shop({ pools: { ...two, blue: { ...both, weights: { [a]: 5, [b]: 3 } } } })
  expect(merged(file, changed, other).shop.pools.blue.weights).toEqual({ [a]: 5, [b]: 3 })
})

test('without a base, live services stay and new ones of the file are added', () => {
  const live = shop({ split: { blue: 1, green: 1 } })
  const api = { api: spec({ routes: [{ path: '/api' }] }) }
  expect(merged(null, live, { ...shop(), ...api })).toEqual({ ...live, ...api })
})

test('what was changed by API stays when the file changes something else', () => {
  const live = shop({ split: { blue: 50, green: 50 }, debugHeaders: true })
  const file = shop({ balance: 'random', drain: { timeout: '5m' } })
  expect(merged(shop(), live, file)).toEqual(
    shop({ split: { blue: 50, green: 50 }, debugHeaders: true, balance: 'random', drain: { timeout: '5m' } }),
  )
})

test('what changed in the file wins over what was changed by API', () => {
  const live = shop({ split: { blue: 50, green: 50 }, rules: [{ name: 'a', when: { visitor: ['x'] }, to: 'green' }] })
  expect(merged(shop(), live, shop({ split: { blue: 90, green: 10 } }))).toEqual({
    shop: { ...live.shop, split: { blue: 90, green: 10 } },
  })
})

test('a pool that is new in the file does not undo the split that was set by API', () => {
  const live = shop({ split: { blue: 50, green: 50 } })
  const { split, pools } = merged(shop(), live, shop({ pools: three })).shop
  expect(split).toEqual({ blue: 50, green: 50, canary: 0 })
  expect(Object.keys(pools)).toEqual(['blue', 'green', 'canary'])
})

test('a pool that is new by API stays when the file changes another', () => {
  const live = shop({ pools: three, split: { blue: 95, green: 5, canary: 10 } })
  const file = shop({ pools: { ...two, green: { version: '2', ...two.green } } })
  const result = merged(shop(), live, file).shop
  expect(result.pools.green.version).toBe('2')
  expect(result.split).toEqual({ blue: 95, green: 5, canary: 10 })
})

test('a pool that the file no longer has goes, with its weight of nothing', () => {
  const base = shop({ split: { blue: 100 } })
  const file = shop({ pools: { blue: two.blue }, split: { blue: 100 } })
  expect(merged(base, base, file)).toEqual(file)
})

test('a pool that the file no longer has but the live split uses is a fault, and nothing is guessed', () => {
  const base = shop({ split: { blue: 100 } })
  const file = shop({ pools: { blue: two.blue }, split: { blue: 100 } })
  const { faults } = mergeFile(base, shop({ split: { blue: 50, green: 50 } }), file)
  expect(faults).toEqual([{ pointer: '/shop/split/green', message: 'unknown pool "green" (pools here: blue)' }])
})

test('services come and go with the file; those made by API stay', () => {
  const old = { old: spec({ routes: [{ path: '/old' }] }) }
  const byApi = { byApi: spec({ routes: [{ path: '/by-api' }] }) }
  const fresh = { fresh: spec({ routes: [{ path: '/fresh' }] }) }
  expect(merged({ ...shop(), ...old }, { ...shop(), ...old, ...byApi }, { ...shop(), ...fresh })).toEqual({
    ...shop(),
    ...byApi,
    ...fresh,
  })
})

test('a service removed by API comes back only when the file changes it', () => {
  expect(merged(shop(), {}, shop())).toEqual({})
  expect(merged(shop(), {}, shop({ balance: 'hash' }))).toEqual(shop({ balance: 'hash' }))
})

test('lists are one value each: routes, rules and targets are never mixed', () => {
  const more = { blue: { targets: [...two.blue.targets, 'http://127.0.0.1:4001'] }, green: two.green }
  const other = { blue: { targets: ['http://127.0.0.1:4002'] }, green: two.green }
  expect(merged(shop(), shop({ pools: more }), shop({ pools: other })).shop.pools.blue.targets).toEqual([
    'http://127.0.0.1:4002',
  ])
})

test('sticky may turn from a map to false and back on either side', () => {
  expect(merged(shop(), shop(), shop({ sticky: false })).shop.sticky).toBe(false)
  expect(merged(shop(), shop({ sticky: false }), shop()).shop.sticky).toBe(false)
  const file = shop({ sticky: { maxAge: '1d' } })
  expect(merged(shop(), shop({ sticky: false }), file)).toEqual(file)
})

test('two sides that each add the same route are a fault', () => {
  const { faults } = mergeFile({}, shop(), { other: spec() })
  expect(faults).toEqual([{ pointer: '/other/routes/0', message: 'service "shop" has the same route already' }])
})

/** Any valid services, made of few values, so that sides agree and differ often. */
const anyServices: fc.Arbitrary<Services> = fc
  .dictionary(
    fc.constantFrom('shop', 'api'),
    fc.record(
      {
        pools: fc.constantFrom(two, three, { blue: two.blue }, { ...two, green: { version: '2', targets: [] } }),
        weights: fc.record({ blue: fc.integer({ min: 1, max: 2 }), green: fc.nat(2), canary: fc.nat(1) }),
        balance: fc.constantFrom('random', 'hash'),
        sticky: fc.constantFrom(false, { target: true }, { maxAge: '1d' }),
        health: fc.constantFrom({}, { path: '/up' }, { json: { ok: true } }),
        rules: fc.constantFrom([], [{ name: 'a', when: { visitor: ['x'] }, to: 'blue' }]),
      },
      { requiredKeys: ['pools', 'weights'] },
    ),
  )
  .map((services) =>
    Object.fromEntries(
      Object.entries(services).map(([name, { weights, ...rest }]) => {
        const known = Object.entries(weights).filter(([pool]) => Object.hasOwn(rest.pools, pool))
        return [name, spec({ ...rest, routes: [{ path: `/${name}` }], split: Object.fromEntries(known) })]
      }),
    ),
  )

test('a file that did not change changes nothing', () => {
  fc.assert(
    fc.property(anyServices, anyServices, (base, live) => {
      expect(mergeFile(base, live, base).services).toEqual(live)
    }),
  )
})

test('where nothing was changed by API, the file is taken as it is', () => {
  fc.assert(
    fc.property(anyServices, anyServices, (base, file) => {
      expect(mergeFile(base, base, file)).toEqual({ services: file, faults: [] })
    }),
  )
})

test('applying the same file twice is applying it once, and inputs are never changed', () => {
  fc.assert(
    fc.property(anyServices, anyServices, anyServices, (base, live, file) => {
      const before = structuredClone([base, live, file])
      const once = mergeFile(base, live, file)
      expect(mergeFile(base, once.services, file)).toEqual(once)
      expect(mergeFile(file, once.services, file)).toEqual(once)
      expect([base, live, file]).toEqual(before)
      for (const service of Object.values(once.services)) expect(canonicalService(service)).toEqual(service)
    }),
  )
})
