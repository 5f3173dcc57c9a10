import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { reallot } from '../../src/table/allotment.ts'
import { applyDelta, emptyTable } from '../../src/table/build.ts'
import { decide } from '../../src/table/decide.ts'
import { explainDecision } from '../../src/table/explain.ts'
import type { Balance, ServicePlan } from '../../src/table/plan.ts'
import type { ServiceStatus } from '../../src/table/status.ts'
import type { Allotment, Table } from '../../src/table/types.ts'
import { partAt, rampUntilMs } from '../../src/table/warmth.ts'
import {
  decideOne,
  makeDraw,
  makeOwn,
  makePlan,
  makeRule,
  makeStatus,
  makeView,
  NOW_MS,
  noLoad,
  type StatusOptions,
} from './make.ts'

const SLOW_MS = 30_000
const url = (pool: string, index = 0) => `http://${pool}-${index}.test:3000`
const asVisitor = (n: number) => ({ headers: { 'x-user-id': `u${n}` } })

interface Setting {
  readonly weights: Record<string, number>
  /** Weights before the last change of the split. */
  readonly before?: Record<string, number>
  /** When targets began, by URL. */
  readonly began?: Record<string, number>
  readonly count?: number
  readonly plan?: Partial<ServicePlan>
  readonly status?: Partial<ServiceStatus>
  readonly targets?: StatusOptions['targets']
}

const claimsOf = (weights: Record<string, number>) =>
  Object.entries(weights).map(([pool, weight]) => ({ pool, weight, takesNew: true }))

/** A table of a service whose targets began then, and whose split was another before. */
function tableOf({ weights, before, began = {}, count = 1, plan = {}, status = {}, targets = {} }: Setting): Table {
  const made = makePlan({ weights, slowStartMs: SLOW_MS, ...plan }, count)
  const given = makeStatus(made, { targets })
  for (const pool of Object.values(given.pools)) {
    for (const [target, its] of Object.entries(pool.targets)) {
      its.addresses = its.addresses.map((address) => ({
        ...address,
        warmFromMs: began[target] ?? NOW_MS - 10 * SLOW_MS,
      }))
    }
  }
  let allotment: Allotment | undefined
  for (const each of before === undefined ? [weights] : [before, weights]) {
    allotment = reallot(
      allotment,
      claimsOf({ ...Object.fromEntries(Object.keys(weights).map((name) => [name, 0])), ...each }),
      'r1',
    )
  }
  const services = { shop: { plan: made, status: { ...given, allotment, ...status } } }
  return applyDelta(emptyTable(), { epoch: 1, revision: 1, services })
}

const poolAt = (table: Table, n: number, nowMs: number) =>
  decide(makeView(asVisitor(n)), table, noLoad, makeDraw(), nowMs).pool!.name
const shareOf = (names: readonly string[], name: string) => names.filter((each) => each === name).length / names.length

test('a pool that no probe has looked at yet is as warm as its warmest target, and one with somebody healthy as that one', () => {
  const seen = (health: 'unknown' | 'healthy' | 'unhealthy', warmUntilMs: number) => {
    return { admin: 'ready', health, weight: 1, warmUntilMs } as const
  }
  const fresh = [seen('unknown', 7_000), seen('unknown', 6_000), seen('unhealthy', 0)]
  expect(rampUntilMs(fresh, true)).toBe(6_000)
  expect(rampUntilMs([...fresh, seen('healthy', 8_000)], true)).toBe(8_000)
  expect(rampUntilMs(fresh.slice(2), true)).toBe(0)
})

describe('a target that is new', () => {
  const policies: Balance[] = ['least-request', 'round-robin', 'random', 'hash', 'least-latency']

  test.each(policies)('gets a tenth of its part at first, then more and more until all of it (%s)', (balance) => {
    const table = tableOf({ weights: { blue: 1 }, count: 4, plan: { balance }, began: { [url('blue')]: NOW_MS } })
    const shareAt = (afterMs: number) => {
      const draw = makeDraw()
      const seen = Array.from(
        { length: 8_000 },
        (_, n) => decideOne(table, asVisitor(n), draw, NOW_MS + afterMs).target!.url,
      )
      return shareOf(seen, url('blue'))
    }
    let last = 0
    for (const seconds of [0, 7.5, 15, 22.5, 30]) {
      const part = Math.max(0.1, seconds / 30)
      const share = shareAt(seconds * 1_000)
      expect(Math.abs(share - part / (3 + part))).toBeLessThan(0.015)
      expect(share).toBeGreaterThan(last)
      last = share
    }
  })

  test('a visitor by hash moves to it once, and nobody moves between the others', () => {
    const table = tableOf({
      weights: { blue: 1 },
      count: 4,
      plan: { balance: 'hash' },
      began: { [url('blue')]: NOW_MS },
    })
    for (let n = 0; n < 300; n++) {
      const places = Array.from(
        { length: 31 },
        (_, second) => decideOne(table, asVisitor(n), makeDraw(), NOW_MS + second * 1_000).target!.url,
      )
      const others = new Set(places.filter((place) => place !== url('blue')))
      expect(others.size).toBeLessThan(2)
      const first = places.indexOf(url('blue'))
      if (first >= 0) expect(new Set(places.slice(first)).size).toBe(1)
    }
  })

  test('shares evenly with others that are as new, and takes all when it is alone', () => {
    const all = Object.fromEntries([0, 1, 2].map((index) => [url('blue', index), NOW_MS]))
    const table = tableOf({ weights: { blue: 1 }, count: 3, began: all })
    const draw = makeDraw()
    const seen = Array.from({ length: 3_000 }, () => decideOne(table, {}, draw).target!.url)
    for (const index of [0, 1, 2]) expect(Math.abs(shareOf(seen, url('blue', index)) - 1 / 3)).toBeLessThan(0.03)
    const sick = { [url('blue', 1)]: { health: 'unhealthy' } as const }
    const alone = tableOf({ weights: { blue: 1 }, count: 2, began: { [url('blue')]: NOW_MS }, targets: sick })
    expect(decideOne(alone).target!.url).toBe(url('blue'))
  })

  test('begins anew when an ejection is over', () => {
    const targets = { [url('blue')]: { ejectedUntilMs: NOW_MS - 1_000 } }
    const table = tableOf({ weights: { blue: 1 }, count: 2, targets })
    const [target] = table.services.get('shop')!.pools[0].targets
    expect(target.warmUntilMs).toBe(NOW_MS - 1_000 + SLOW_MS)
  })

  test('costs nothing once all are warm: nothing is weighed then', () => {
    const table = tableOf({
      weights: { blue: 1 },
      count: 3,
      plan: { balance: 'round-robin' },
      began: { [url('blue')]: NOW_MS - SLOW_MS },
    })
    const [pool] = table.services.get('shop')!.pools
    expect([pool.isEven, pool.weighedUntilMs]).toEqual([true, NOW_MS])
    const draw = makeDraw()
    const turns = Array.from({ length: 3 }, () => decideOne(table, {}, draw).target!.url)
    expect(turns).toEqual([0, 1, 2].map((index) => url('blue', index)))
  })
})

describe('a pool in which all is new', () => {
  const cold = (pool: string) => ({ [url(pool)]: NOW_MS })
  const switched = tableOf({
    weights: { blue: 0, green: 100 },
    before: { blue: 100 },
    began: cold('green'),
    status: { fallback: ['blue'] },
  })

  test('gets a tenth of what is aimed at it at first, rising to all; each visitor goes over once, and none back', () => {
    const times = Array.from({ length: 31 }, (_, second) => NOW_MS + second * 1_000)
    const over = times.map(() => 0)
    for (let n = 0; n < 1_000; n++) {
      const places = times.map((atMs) => poolAt(switched, n, atMs))
      const first = places.indexOf('green')
      expect(places.every((place, index) => (place === 'green') === index >= first)).toBe(true)
      for (let index = first; index < over.length; index++) over[index]++
    }
    for (const [second, count] of over.entries()) {
      expect(Math.abs(count / 1_000 - partAt(NOW_MS + SLOW_MS, SLOW_MS, NOW_MS + second * 1_000))).toBeLessThan(0.04)
    }
    expect(over.at(-1)).toBe(1_000)
  })

  test('is stood in for by one that is not warm either, but had all of it until now; each visitor goes over once, and none back', () => {
    const table = tableOf({
      weights: { blue: 0, green: 100 },
      before: { blue: 100 },
      began: { ...cold('green'), [url('blue')]: NOW_MS - SLOW_MS / 2 },
      status: { fallback: ['blue'] },
    })
    for (let n = 0; n < 300; n++) {
      const places = Array.from({ length: 31 }, (_, second) => poolAt(table, n, NOW_MS + second * 1_000))
      const first = places.indexOf('green')
      expect(places.every((place, second) => (place === 'green') === second >= first)).toBe(true)
    }
    const atFirst = Array.from({ length: 1_000 }, (_, n) => poolAt(table, n, NOW_MS))
    expect(Math.abs(shareOf(atFirst, 'green') - 0.1)).toBeLessThan(0.04)
  })

  test('is not stood in for by one that began a moment before it, where nobody had more than now: all is as new', () => {
    const began = { ...cold('green'), [url('blue')]: NOW_MS - 200 }
    const table = tableOf({ weights: { blue: 50, green: 50 }, began })
    const places = Array.from({ length: 1_000 }, (_, n) => poolAt(table, n, NOW_MS))
    expect(Math.abs(shareOf(places, 'green') - 0.5)).toBeLessThan(0.05)
  })

  test('is given no more at a step than the step is, while it warms up', () => {
    const began = cold('green')
    const half = tableOf({ weights: { blue: 50, green: 50 }, before: { blue: 100, green: 0 }, began })
    const status = { fallback: ['blue'] }
    const all = tableOf({ weights: { blue: 0, green: 100 }, before: { blue: 50, green: 50 }, began, status })
    const [was, is] = [half, all].map((table) =>
      Array.from({ length: 2_000 }, (_, n) => poolAt(table, n, NOW_MS + SLOW_MS * 0.8)),
    )
    // Eight tenths of its share, before and after.
    expect(Math.abs(shareOf(was, 'green') - 0.4)).toBeLessThan(0.03)
    expect(Math.abs(shareOf(is, 'green') - 0.8)).toBeLessThan(0.03)
    for (const [n, pool] of was.entries()) if (pool === 'green') expect(is[n]).toBe('green')
    // What was not taken from blue is not given to it, either.
    const atFirst = Array.from({ length: 2_000 }, (_, n) => poolAt(all, n, NOW_MS))
    expect(Math.abs(shareOf(atFirst, 'green') - 0.5)).toBeLessThan(0.03)
  })

  test('is stood in for by several together, each for the visitors that it had', () => {
    const setting = { weights: { a: 0, b: 0, c: 1 }, before: { a: 60, b: 40, c: 0 }, status: { fallback: ['a', 'b'] } }
    const was = tableOf({ weights: { a: 60, b: 40, c: 0 } })
    const table = tableOf({ ...setting, began: cold('c') })
    const places = Array.from({ length: 1_000 }, (_, n) => poolAt(table, n, NOW_MS))
    expect(Math.abs(shareOf(places, 'c') - 0.1)).toBeLessThan(0.04)
    for (const [n, pool] of places.entries()) if (pool !== 'c') expect(pool).toBe(poolAt(was, n, NOW_MS))
  })

  test('is not stood in for by an older version while its targets are replaced one by one', () => {
    const setting = {
      weights: { blue: 0, green: 100 },
      before: { blue: 100 },
      began: cold('green'),
      count: 2,
      // One is new already, the other just out.
      targets: { [url('green', 1)]: { admin: 'maint' as const } },
    }
    const trial = { pool: 'green', step: 1, targets: [url('green')] }
    const poolsBy = (status: Partial<ServiceStatus>) => {
      const table = tableOf({ ...setting, status: { fallback: ['blue'], ...status } })
      return new Set(Array.from({ length: 100 }, (_, n) => poolAt(table, n, NOW_MS)))
    }
    expect(poolsBy({ trial })).toEqual(new Set(['green']))
    expect(poolsBy({})).toEqual(new Set(['blue', 'green']))
  })

  test('gets all at once where the other is in panic: who leaves an ill pool is not sent back to it', () => {
    const ill = [0, 1, 2].map((index) => [url('blue', index), { health: 'unhealthy' }] as const)
    const table = tableOf({
      weights: { blue: 0, green: 100 },
      before: { blue: 100 },
      began: Object.fromEntries([0, 1, 2, 3].map((index) => [url('green', index), NOW_MS])),
      count: 4,
      targets: Object.fromEntries(ill),
      status: { fallback: ['blue'] },
    })
    for (let n = 0; n < 100; n++) {
      const decision = decideOne(table, asVisitor(n))
      expect([decision.pool!.name, decision.panic, decision.reason]).toEqual(['green', false, 'bucket'])
    }
  })

  test('those without a key are drawn, and a retry stays where the first try was', () => {
    const draw = makeDraw()
    const at = (nowMs: number) => Array.from({ length: 2_000 }, () => decideOne(switched, {}, draw, nowMs).pool!.name)
    expect(Math.abs(shareOf(at(NOW_MS + 15_000), 'green') - 0.5)).toBeLessThan(0.04)
    const [target] = switched.services.get('shop')!.pools.find(({ name }) => name === 'green')!.targets
    for (let n = 0; n < 30; n++) {
      const again = decide(makeView(), switched, noLoad, draw, NOW_MS, { exclude: [], avoid: target, missing: [] })
      expect(again.pool!.name).toBe('green')
    }
  })

  test('what was decided says so, and the cookie goes on as it was', () => {
    const own = makeOwn({ pool: 'blue' })
    const n = Array.from({ length: 100 }, (_, each) => each).find((each) => poolAt(switched, each, NOW_MS) === 'blue')!
    const decision = decide(makeView({ ...asVisitor(n), own }), switched, noLoad, makeDraw(), NOW_MS)
    expect(decision).toMatchObject({ reason: 'warming', setCookie: null })
    expect(decision.aimed!.name).toBe('green')
    expect(explainDecision(decision)).toContain(
      'green is new and takes a part of its requests yet, so blue goes on with this one',
    )
  })

  test('rules, pins and preview hosts mean this very pool', () => {
    const rules = [makeRule({ name: 'staff', header: [['x-internal', '1']], to: 'green' })]
    const table = tableOf({
      weights: { blue: 0, green: 100 },
      before: { blue: 100 },
      began: cold('green'),
      status: { fallback: ['blue'] },
      plan: { rules },
    })
    for (let n = 0; n < 40; n++) {
      const headers = { ...asVisitor(n).headers, 'x-internal': '1' }
      expect(decideOne(table, { headers }).pool!.name).toBe('green')
      expect(decideOne(table, { own: makeOwn({ visitor: `v${n}`, pool: 'green', pinned: true }) }).pool!.name).toBe(
        'green',
      )
    }
  })

  test('goes to the warm standby at once when people go back', () => {
    const table = tableOf({ weights: { blue: 100, green: 0 }, before: { green: 100 }, began: cold('green') })
    for (let n = 0; n < 100; n++) expect(poolAt(table, n, NOW_MS)).toBe('blue')
  })

  test('takes all at once when nobody can stand in: ill, not ready, as new, denied, or smaller than what it would be handed', () => {
    const setting = {
      weights: { blue: 0, green: 100 },
      before: { blue: 100 },
      began: cold('green'),
      status: { fallback: ['blue'] },
    }
    const all = (table: Table) => Array.from({ length: 60 }, (_, n) => poolAt(table, n, NOW_MS))
    expect(new Set(all(tableOf({ ...setting, targets: { [url('blue')]: { health: 'unhealthy' } } })))).toEqual(
      new Set(['green']),
    )
    expect(new Set(all(tableOf({ ...setting, targets: { [url('blue')]: { admin: 'standby' } } })))).toEqual(
      new Set(['green']),
    )
    expect(new Set(all(tableOf({ ...setting, began: { ...cold('green'), ...cold('blue') } })))).toEqual(
      new Set(['green']),
    )
    const rules = [makeRule({ name: 'no', header: [['x-user-id', '*']], deny: 'blue' })]
    expect(new Set(all(tableOf({ ...setting, plan: { rules } })))).toEqual(new Set(['green']))
    // A live pool that comes back as a whole is not shed upon its canary.
    const live = tableOf({ weights: { blue: 95, green: 5 }, before: { blue: 100 }, began: cold('blue') })
    expect(Math.abs(shareOf(all(live), 'blue') - 0.95)).toBeLessThan(0.1)
    const trial = { pool: 'green', step: 1 }
    const tried = tableOf({
      weights: { blue: 50, green: 50 },
      before: { blue: 50, green: 50 },
      began: cold('blue'),
      status: { trial },
    })
    expect(
      Math.abs(
        shareOf(
          Array.from({ length: 2_000 }, (_, n) => poolAt(tried, n, NOW_MS)),
          'blue',
        ) - 0.5,
      ),
    ).toBeLessThan(0.05)
  })

  test('of several pools each visitor waits where it was, whatever the split was and is', () => {
    const weight = fc.integer({ min: 0, max: 100 })
    fc.assert(
      fc.property(
        weight,
        weight,
        weight,
        weight,
        fc.integer({ min: 1, max: 60 }),
        fc.nat(29),
        (a, b, c, d, e, second) => {
          fc.pre(a + b > 0)
          const before = { a, b, c: 0 }
          const weights = { a: c, b: d, c: e }
          const was = tableOf({ weights: before })
          const is = tableOf({ weights, before, began: cold('c'), status: { fallback: ['a', 'b'] } })
          const done = tableOf({ weights, before })
          const heavy = (pool: 'a' | 'b') =>
            Math.max(before[pool] / (a + b), weights[pool] / (c + d + e)) >= (0.9 * e) / (c + d + e)
          for (let n = 0; n < 60; n++) {
            const [from, now, to] = [was, is, done].map((table) => poolAt(table, n, NOW_MS + second * 1_000))
            if (to !== 'c') expect(now).toBe(to)
            else if (now !== 'c' && heavy(from as 'a' | 'b')) expect(now).toBe(from)
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})
