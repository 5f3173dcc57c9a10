import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decide } from '../../src/table/decide.ts'
import type { Balance, HashSource, ServicePlan } from '../../src/table/plan.ts'
import type { StatusOptions } from './make.ts'
import {
  decideOne,
  makeDraw,
  makeOwn,
  makePlan,
  makeTable,
  makeView,
  NOW_MS,
  noLoad,
  sticky,
  type ViewOptions,
} from './make.ts'

const url = (index: number) => `http://blue-${index}.test:3000`
/** A pool whose targets have these weights. */
const planOf = (weights: readonly number[], plan: Partial<ServicePlan> = {}): ServicePlan => {
  const made = makePlan({ weights: { blue: 1 }, ...plan }, weights.length)
  const byUrl = Object.fromEntries(weights.map((weight, index) => [url(index), weight]))
  return { ...made, pools: made.pools.map((pool) => ({ ...pool, weights: byUrl })) }
}
const tableOf = (weights: readonly number[], plan: Partial<ServicePlan> = {}, targets: StatusOptions['targets'] = {}) =>
  makeTable(planOf(weights, plan), { targets })
const asVisitor = (n: number): ViewOptions => ({ headers: { 'x-user-id': `u${n}` } })

type TableOf = ReturnType<typeof tableOf>
/** How often each target is chosen, of so many requests. */
function counts(table: TableOf, size: number, of: (n: number) => ViewOptions = () => ({}), draw = makeDraw()) {
  const found = table.services.get('shop')!.pools[0].targets.map(() => 0)
  for (let n = 0; n < size; n++) {
    found[Number(/blue-(\d+)/.exec(decideOne(table, of(n), draw).target!.url)![1])]++
  }
  return found
}

describe('weights within a pool', () => {
  const policies: Balance[] = ['least-request', 'round-robin', 'random', 'hash']

  test.each(policies)('each target has its share to within a point (%s)', (balance) => {
    for (const weights of [
      [1, 3],
      [5, 1, 1],
      [10, 0, 20, 70],
      [1, 1, 2],
    ]) {
      const sum = weights.reduce((total, weight) => total + weight, 0)
      const seen = counts(tableOf(weights, { balance }), 20_000, asVisitor)
      for (const [index, weight] of weights.entries()) {
        expect(Math.abs(seen[index] / 20_000 - weight / sum)).toBeLessThan(0.01)
        if (weight === 0) expect(seen[index]).toBe(0)
      }
    }
  })

  test('round-robin keeps to the shares in every short run, and spreads the turns of a heavy target', () => {
    const targets = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 8 })
    fc.assert(
      fc.property(targets, fc.integer({ min: 1, max: 400 }), (weights, size) => {
        const sum = weights.reduce((total, weight) => total + weight, 0)
        const seen = counts(tableOf(weights, { balance: 'round-robin' }), size)
        for (const [index, weight] of weights.entries()) {
          expect(Math.abs(seen[index] - (size * weight) / sum)).toBeLessThan(4)
        }
      }),
      { numRuns: 60 },
    )
    const draw = makeDraw()
    const table = tableOf([1, 1, 2], { balance: 'round-robin' })
    const turns = Array.from({ length: 400 }, () => decideOne(table, {}, draw).target!.url)
    expect(turns.slice(3).some((turn, n) => turns.slice(n, n + 3).every((each) => each === turn))).toBe(false)
  })

  test.each(policies)('equal weights choose the same targets as none (%s)', (balance) => {
    const plain = makeTable(makePlan({ weights: { blue: 1 }, balance }, 4))
    const [a, b] = [makeDraw(7), makeDraw(7)]
    const even = tableOf([7, 7, 7, 7], { balance })
    for (let n = 0; n < 300; n++) {
      const options = n % 2 === 0 ? asVisitor(n) : { address: `192.0.2.${n % 200}` }
      expect(decideOne(even, options, b).target!.url).toBe(decideOne(plain, options, a).target!.url)
    }
  })

  test('of two busy targets least-request takes the one with fewer requests for its weight', () => {
    const table = tableOf([3, 1], { balance: 'least-request' })
    const [heavy, light] = table.services.get('shop')!.pools[0].targets
    const chosen = (heavyLoad: number, lightLoad: number) => {
      const load = (slot: number) => (slot === heavy.slot ? heavyLoad : lightLoad)
      return new Set(
        Array.from({ length: 40 }, (_, n) => decide(makeView(), table, load, makeDraw(n), NOW_MS).target!.url),
      )
    }
    expect(chosen(5, 2)).toEqual(new Set([heavy.url]))
    expect(chosen(7, 2)).toEqual(new Set([light.url]))
  })

  test('a target that is not well leaves its share to the others, by their weights', () => {
    for (const balance of policies) {
      const table = tableOf([5, 3, 1], { balance }, { [url(0)]: { health: 'unhealthy' } })
      const seen = counts(table, 6_000, asVisitor)
      expect(seen[0]).toBe(0)
      expect(Math.abs(seen[1] / 6_000 - 0.75)).toBeLessThan(0.02)
    }
  })

  test('a retry does not go to a weight of 0, and goes to the last that has one', () => {
    for (const balance of policies) {
      const table = tableOf([4, 1, 0], { balance })
      const targets = table.services.get('shop')!.pools[0].targets
      const again = (...exclude: number[]) =>
        decide(makeView(asVisitor(1)), table, noLoad, makeDraw(), NOW_MS, {
          exclude: exclude.map((index) => targets[index]),
          avoid: null,
          missing: [],
        }).target
      expect(again(0)).toBe(targets[1])
      expect(again(0, 1)).not.toBe(targets[2])
    }
  })
})

describe('hash by weight', () => {
  test('a weight that grows moves keys to that target only, one that shrinks only from it, and as many as must', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 6 })
    fc.assert(
      fc.property(weights, fc.nat(), fc.integer({ min: 0, max: 12 }), (before, nth, weight) => {
        const index = nth % before.length
        const after = before.with(index, weight)
        const [was, is] = [before, after].map((each) => {
          const table = tableOf(each, { balance: 'hash' })
          return Array.from({ length: 400 }, (_, n) => decideOne(table, asVisitor(n)).target!.url)
        })
        for (const [n, at] of was.entries()) {
          if (at === is[n]) continue
          expect(weight > before[index] ? is[n] : at).toBe(url(index))
        }
      }),
      { numRuns: 30 },
    )
  })
})

describe('hash on something else than the visitor', () => {
  const on = (hashOn: HashSource) => makeTable(makePlan({ weights: { blue: 1 }, balance: 'hash', hashOn }, 8))
  const at = (table: TableOf, options: ViewOptions) => decideOne(table, options).target!.url

  test.each<[string, HashSource, (key: string) => ViewOptions]>([
    ['header', { from: 'header', name: 'x-tenant' }, (key) => ({ headers: { 'x-tenant': key } })],
    ['path', { from: 'path' }, (key) => ({ path: `/${key}` })],
    ['cookie', { from: 'cookie', name: 'uid' }, (key) => ({ cookies: { uid: key } })],
  ])('requests that are equal in it share a target, whoever sends them: %s', (_, source, options) => {
    const table = on(source)
    const places = new Set<string>()
    for (let key = 0; key < 100; key++) {
      const given = options(`k${key}`)
      const seen = new Set(
        Array.from({ length: 10 }, (_, n) =>
          at(table, { ...given, headers: { ...given.headers, 'x-user-id': `u${n}` }, address: `192.0.2.${n}` }),
        ),
      )
      expect(seen.size).toBe(1)
      places.add([...seen][0])
    }
    expect(places.size).toBe(8)
  })

  test('the query is no part of the path', () => {
    const table = on({ from: 'path' })
    expect(new Set([1, 2, 3, 4].map((n) => at(table, { path: `/a?page=${n}` }))).size).toBe(1)
  })

  test('without it the visitor chooses, and without a visitor the address', () => {
    const table = on({ from: 'header', name: 'x-tenant' })
    const plain = makeTable(makePlan({ weights: { blue: 1 }, balance: 'hash' }, 8))
    for (let n = 0; n < 50; n++) {
      expect(at(table, asVisitor(n))).toBe(at(plain, asVisitor(n)))
      const address = `192.0.2.${n}`
      expect(at(table, { address })).toBe(at(plain, { address }))
    }
  })
})

describe('a target of weight 0', () => {
  test('keeps the visitors that its cookie notes, and gets nobody else', () => {
    const plan = { balance: 'random' as const, sticky: { ...sticky, target: true } }
    const table = tableOf([0, 1], plan)
    const [none, one] = table.services.get('shop')!.pools[0].targets
    expect(decideOne(table, { own: makeOwn({ target: none.tag }) }).target).toBe(none)
    for (let n = 0; n < 50; n++) expect(decideOne(table, { own: makeOwn({ visitor: `v${n}` }) }).target).toBe(one)
  })

  test('is not the last resort either: then another pool is', () => {
    const targets = { [url(1)]: { health: 'unhealthy' } as const }
    const table = tableOf([0, 1], {}, targets)
    expect(decideOne(table).target!.url).toBe(url(1))
  })
})
