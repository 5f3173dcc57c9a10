import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyDelta, compileService, emptyTable } from '../../src/table/build.ts'
import type { ServicePlan } from '../../src/table/plan.ts'
import type { ServiceStatus } from '../../src/table/status.ts'
import type { Table, TableDelta } from '../../src/table/types.ts'
import { decideOne, makePlan, makeRoute, makeRule, makeStatus, makeTable } from './make.ts'

const named = (name: string, plan: Partial<ServicePlan> = {}) =>
  makePlan({ name, routes: [makeRoute({ path: `/${name}` })], ...plan })
const deltaOf = (services: TableDelta['services'], epoch = 1): TableDelta => ({ epoch, revision: epoch, services })
const entry = (plan: ServicePlan, status: ServiceStatus = makeStatus(plan)) => ({ plan, status })

describe('compiled service', () => {
  test('knows host, port and authority of its targets, and hides their address in a tag', () => {
    const urls = ['http://10.0.0.1:3001', 'https://api.test', 'http://api.test', 'http://[::1]:3000']
    const plan = makePlan({ pools: [{ name: 'blue', version: '1.0', targets: urls }], weights: { blue: 1 } })
    const [pool] = compileService(plan, makeStatus(plan)).pools
    expect(pool.targets.map((target) => [target.authority, target.host, target.port, target.tls])).toEqual([
      ['10.0.0.1:3001', '10.0.0.1', 3001, false],
      ['api.test:443', 'api.test', 443, true],
      ['api.test:80', 'api.test', 80, false],
      ['[::1]:3000', '::1', 3000, false],
    ])
    for (const target of pool.targets) {
      expect(target.pool).toBe(pool)
      expect(target.tag).toMatch(/^[a-z0-9]{1,5}$/)
    }
  })

  test('gives every target of a pool its own tag, the same each time', () => {
    const plan = makePlan({}, 1_024)
    const tags = () => compileService(plan, makeStatus(plan)).pools[0].targets.map((target) => target.tag)
    expect(new Set(tags()).size).toBe(1_024)
    expect(tags()).toEqual(tags())
  })

  test('sorts pools by name, so that writing them in another order moves nobody', () => {
    const plan = makePlan({ weights: { red: 20, blue: 50, green: 30 } })
    const turned = { ...plan, pools: plan.pools.toReversed() }
    for (const service of [plan, turned].map((each) => compileService(each, makeStatus(each)))) {
      expect(service.pools.map((pool) => pool.name)).toEqual(['blue', 'green', 'red'])
      expect([service.bucketPools.map((pool) => pool.name), service.bucketEnds]).toEqual([
        ['blue', 'green', 'red'],
        [5000, 8000, 10_000],
      ])
    }
  })

  test('leaves the picker only pools that take new visitors', () => {
    const plan = makePlan({ weights: { blue: 90, green: 10, red: 100 } })
    const service = compileService(plan, makeStatus(plan, { pools: { red: { admin: 'drain' } } }))
    expect([service.weightSum, service.pools.map((pool) => pool.weightEnd)]).toEqual([100, [90, 100, 100]])
    expect(new Set(service.bucketPools.map((pool) => pool.name))).toEqual(new Set(['blue', 'green']))
  })

  test('takes failover by name, else the weighted pools with the heaviest first', () => {
    const weights = { blue: 10, green: 60, grey: 0, red: 30 }
    const names = (plan: ServicePlan) => compileService(plan, makeStatus(plan)).failover.map((pool) => pool.name)
    expect(names(makePlan({ weights }))).toEqual(['green', 'red', 'blue'])
    expect(names(makePlan({ weights, failover: ['grey', 'blue'] }))).toEqual(['grey', 'blue'])
    expect(names(makePlan({ weights, failover: [] }))).toEqual([])
  })

  test('ignores health that old probes left behind when there are no probes', () => {
    const plan = makePlan({ probed: false })
    const url = plan.pools[0].targets[0]
    const service = compileService(plan, makeStatus(plan, { targets: { [url]: { health: 'unhealthy' } } }))
    expect([service.pools[0].targets[0].health, service.pools[0].allFit]).toEqual(['unknown', true])
  })

  test('has no rule for what matches nobody', () => {
    const plan = makePlan({
      rules: [makeRule({ name: 'empty', to: 'green' }), makeRule({ name: 'x', visitor: ['u'], to: 'green' })],
    })
    expect(compileService(plan, makeStatus(plan)).rules.list.map((rule) => rule.plan.name)).toEqual(['x'])
  })

  test.each<[string, (plan: ServicePlan, status: ServiceStatus) => [ServicePlan, ServiceStatus]]>([
    ['no status of pool', (plan, status) => [plan, { ...status, pools: {} }]],
    [
      'no status of target',
      (plan, status) => [plan, { ...status, pools: { ...status.pools, blue: { ...status.pools.blue, targets: {} } } }],
    ],
    ['unknown pool', (plan, status) => [{ ...plan, weights: { blue: 1, gren: 1 } }, status]],
    ['has no pool', (plan, status) => [{ ...plan, failover: ['gren'] }, status]],
    [
      'has no pool',
      (plan, status) => [{ ...plan, rules: [makeRule({ name: 'x', visitor: ['u'], to: 'gren' })] }, status],
    ],
    [
      'not a network',
      (plan, status) => [{ ...plan, rules: [makeRule({ name: 'x', cidr: ['10/8'], to: 'green' })] }, status],
    ],
    ['weight of', (plan, status) => [{ ...plan, weights: { blue: 0.5 } }, status]],
    ['weight of', (plan, status) => [{ ...plan, weights: { blue: -1 } }, status]],
    ['too large', (plan, status) => [{ ...plan, weights: { blue: 2 ** 35 } }, status]],
    [
      'unknown admin state',
      (plan, status) => [
        plan,
        { ...status, pools: { ...status.pools, blue: { ...status.pools.blue, admin: 'off' as 'maint' } } },
      ],
    ],
  ])('what validation would have refused is a bug: %s', (message, break_) => {
    const plan = makePlan()
    expect(() => compileService(...break_(plan, makeStatus(plan)))).toThrow(message)
  })

  test('pools may have names that objects know', () => {
    const plan = makePlan({ weights: { constructor: 1, toString: 0 } })
    expect(decideOne(makeTable(plan)).pool?.name).toBe('constructor')
    expect(() => compileService(plan, { ...makeStatus(plan), pools: {} })).toThrow('no status')
  })
})

describe('delta', () => {
  test('keeps the services that it does not name, and the router when no route changed', () => {
    const [a, b] = [named('a'), named('b')]
    const before = applyDelta(emptyTable(), deltaOf({ a: entry(a), b: entry(b) }))
    const sick = makeStatus(b, { targets: { [b.pools[0].targets[0]]: { health: 'unhealthy' } } })
    const after = applyDelta(before, deltaOf({ b: { plan: structuredClone(b), status: sick } }, 2))
    expect(after.services.get('a')).toBe(before.services.get('a'))
    expect(after.services.get('b')).not.toBe(before.services.get('b'))
    expect(after.routes).toBe(before.routes)
    expect([after.epoch, after.revision]).toEqual([2, 2])
    expect(decideOne(after, { path: '/b' }).service).toBe(after.services.get('b'))
    expect(decideOne(before, { path: '/b' }).service).toBe(before.services.get('b'))
  })

  test('keeps what is built of the rules and routes that it does not name', () => {
    const plan = named('a', { rules: [makeRule({ name: 'x', visitor: ['u'], to: 'green' })] })
    const before = applyDelta(emptyTable(), deltaOf({ a: entry(plan) }))
    const change = { plan: { weights: { blue: 0, green: 1 } }, status: makeStatus(plan) }
    const after = applyDelta(before, deltaOf({ a: change }, 2))
    const [old, now] = [before, after].map((table) => table.services.get('a')!)
    expect(now.rules).toBe(old.rules)
    expect(after.routes).toBe(before.routes)
    expect(now.plan).toEqual({ ...plan, weights: { blue: 0, green: 1 } })
    expect(decideOne(after, { path: '/a' }).pool).toBe(now.pools.find((pool) => pool.name === 'green'))
    expect(decideOne(after, { path: '/a', headers: { 'x-user-id': 'u' } })).toMatchObject({
      rule: 'x',
      pool: now.pools[1],
    })
    const without = { ...plan, pools: plan.pools.slice(0, 1), weights: { blue: 1 } }
    const gone = { pools: without.pools, weights: without.weights }
    expect(() => applyDelta(before, deltaOf({ a: { plan: gone, status: makeStatus(without) } }, 2))).toThrow(
      'no pool green',
    )
  })

  test('of part of a plan is a bug when the service was not there', () => {
    const plan = named('a')
    const delta = deltaOf({ a: { plan: { weights: plan.weights }, status: makeStatus(plan) } })
    expect(() => applyDelta(emptyTable(), delta)).toThrow('the plan of a is named undefined')
  })

  test('removes a service with its routes', () => {
    const before = applyDelta(emptyTable(), deltaOf({ a: entry(named('a')), b: entry(named('b')) }))
    const after = applyDelta(before, deltaOf({ a: null, ghost: null }, 2))
    expect(decideOne(after, { path: '/a' }).error).toBe('no_route')
    expect(decideOne(after, { path: '/b' }).service?.name).toBe('b')
    expect(decideOne(before, { path: '/a' }).service?.name).toBe('a')
  })

  test('a plan under another name is a bug', () => {
    expect(() => applyDelta(emptyTable(), deltaOf({ a: entry(named('b')) }))).toThrow('named b')
  })

  test('tables brought up by deltas equal the table built at once, and older ones stay as they were', () => {
    const name = fc.constantFrom('a', 'b', 'c')
    const planOf = fc.record({
      name,
      weight: fc.integer({ min: 0, max: 5 }),
      path: fc.constantFrom('/', '/x', '/x/y'),
      gone: fc.boolean(),
      host: fc.constantFrom('*', 'h.test', '*.test'),
    })
    /** What differs from the plan before. */
    const without = (plan: ServicePlan, before?: ServicePlan): Partial<ServicePlan> => {
      const was = new Map<string, unknown>(Object.entries(before ?? {}))
      return Object.fromEntries(
        Object.entries(plan).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(was.get(key))),
      )
    }
    const observe = (table: Table) =>
      ['/', '/x', '/x/y/z'].flatMap((path) =>
        ['h.test', 'other'].map((host) => decideOne(table, { path, host }).service ?? null),
      )
    fc.assert(
      fc.property(fc.array(planOf, { minLength: 1, maxLength: 12 }), (steps) => {
        let table = emptyTable()
        const all: Record<string, { plan: ServicePlan; status: ServiceStatus } | null> = {}
        const past: [Table, unknown][] = []
        for (const [index, step] of steps.entries()) {
          const plan = makePlan({
            name: step.name,
            weights: { blue: step.weight, green: 1 },
            routes: [makeRoute({ path: step.path, host: step.host })],
          })
          const change = step.gone ? null : { plan, status: makeStatus(plan) }
          const before = all[step.name]
          all[step.name] = change
          table = applyDelta(
            table,
            deltaOf({ [step.name]: change && { ...change, plan: without(plan, before?.plan) } }, index + 1),
          )
          past.push([table, structuredClone([observe(table), [...table.services]])])
        }
        const fresh = applyDelta(emptyTable(), deltaOf(all, steps.length))
        expect(observe(table)).toEqual(observe(fresh))
        expect(Object.fromEntries(table.services)).toEqual(Object.fromEntries(fresh.services))
        for (const [old, seen] of past) expect([observe(old), [...old.services]]).toEqual(seen)
      }),
      { numRuns: 60 },
    )
  })
})
