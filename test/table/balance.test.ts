import { describe, expect, test } from 'vitest'
import { decide } from '../../src/table/decide.ts'
import type { Balance, ServicePlan } from '../../src/table/plan.ts'
import type { TargetStatus } from '../../src/table/status.ts'
import {
  browser,
  decideOne,
  makeDraw,
  makeOwn,
  makePlan,
  makeRule,
  makeTable,
  makeView,
  NOW_MS,
  noLoad,
  sticky,
  type ViewOptions,
} from './make.ts'

const tableOf = (plan: Partial<ServicePlan>, count: number, targets: Record<string, Partial<TargetStatus>> = {}) =>
  makeTable(makePlan(plan, count), { targets })
const url = (index: number) => `http://blue-${index}.test:3000`
const targetsOf = (table: ReturnType<typeof tableOf>) => table.services.get('shop')!.pools[0].targets
const asVisitor = (n: number): ViewOptions => ({ headers: { 'x-user-id': `u${n}` } })

describe('least-request', () => {
  test('of two targets takes the one with fewer requests', () => {
    const table = tableOf({}, 2)
    const [a, b] = targetsOf(table)
    const busy = (slot: number) => (slot === a.slot ? 5 : 4)
    for (let seed = 0; seed < 50; seed++) expect(decide(makeView(), table, busy, makeDraw(seed), NOW_MS).target).toBe(b)
  })

  test('spreads evenly when all are equal, and never asks one target twice', () => {
    const table = tableOf({}, 5)
    const counts = new Map<string, number>()
    const draw = makeDraw()
    for (let n = 0; n < 10_000; n++) {
      const asked: number[] = []
      const load = (slot: number) => asked.push(slot) * 0
      const { target } = decide(makeView(), table, load, draw, NOW_MS)
      expect(new Set(asked).size).toBe(2)
      counts.set(target!.url, (counts.get(target!.url) ?? 0) + 1)
    }
    for (const count of counts.values()) expect(Math.abs(count - 2_000)).toBeLessThan(250)
    expect(counts.size).toBe(5)
  })

  test('spares the busiest of many', () => {
    const table = tableOf({}, 5)
    const busiest = targetsOf(table)[2]
    const draw = makeDraw()
    for (let n = 0; n < 500; n++) {
      expect(decide(makeView(), table, (slot) => (slot === busiest.slot ? 9 : 1), draw, NOW_MS).target).not.toBe(
        busiest,
      )
    }
  })

  test('looks at eligible targets only', () => {
    const table = tableOf({}, 4, { [url(1)]: { health: 'unhealthy' } })
    const [a, sick, c, d] = targetsOf(table)
    const load = (slot: number) => (slot === sick.slot ? 0 : 7)
    const draw = makeDraw()
    const seen = new Set(Array.from({ length: 200 }, () => decide(makeView(), table, load, draw, NOW_MS).target))
    expect(seen).toEqual(new Set([a, c, d]))
  })
})

describe('round-robin', () => {
  test('takes each target in turn, also when the pool is one of a split', () => {
    const table = tableOf({ balance: 'round-robin', weights: { blue: 50, green: 50 } }, 2)
    const draw = makeDraw()
    const seen = Array.from({ length: 80 }, () => decideOne(table, {}, draw).target!.url)
    for (const target of new Set(seen)) expect(seen.filter((each) => each === target).length).toBe(20)
    expect(new Set(seen).size).toBe(4)
  })

  test('passes over targets that are not eligible', () => {
    const table = tableOf({ balance: 'round-robin' }, 3, { [url(1)]: { ejectedUntilMs: NOW_MS + 1 } })
    const draw = makeDraw()
    expect(Array.from({ length: 4 }, () => decideOne(table, {}, draw).target!.url)).toEqual([
      url(0),
      url(2),
      url(0),
      url(2),
    ])
  })
})

describe('random', () => {
  test('spreads evenly', () => {
    const table = tableOf({ balance: 'random' }, 4)
    const draw = makeDraw()
    const seen = Array.from({ length: 8_000 }, () => decideOne(table, {}, draw).target!.url)
    for (let index = 0; index < 4; index++) {
      expect(Math.abs(seen.filter((each) => each === url(index)).length - 2_000)).toBeLessThan(250)
    }
  })
})

describe('hash', () => {
  test('keeps a visitor at its target, spreads visitors, and by address those without a key', () => {
    const table = tableOf({ balance: 'hash' }, 4)
    const at = (options: ViewOptions) => decideOne(table, options).target!.url
    const seen = Array.from({ length: 4_000 }, (_, n) => at(asVisitor(n)))
    expect(Array.from({ length: 4_000 }, (_, n) => at(asVisitor(n)))).toEqual(seen)
    for (let index = 0; index < 4; index++)
      expect(Math.abs(seen.filter((each) => each === url(index)).length - 1_000)).toBeLessThan(150)
    const byAddress = new Set(Array.from({ length: 100 }, (_, n) => at({ address: `192.0.2.${n}` })))
    expect(byAddress.size).toBe(4)
    expect(at({ address: '192.0.2.7' })).toBe(at({ address: '192.0.2.7' }))
  })

  test('moves only the visitors of a target that goes, and brings the same back', () => {
    const before = tableOf({ balance: 'hash' }, 5)
    const after = tableOf({ balance: 'hash' }, 5, { [url(3)]: { health: 'unhealthy' } })
    const moved = new Set<string>()
    for (let n = 0; n < 2_000; n++) {
      const [was, is] = [before, after].map((table) => decideOne(table, asVisitor(n)).target!.url)
      if (was === url(3)) moved.add(is)
      else expect(is).toBe(was)
    }
    expect(moved.size).toBe(4)
  })

  test('a retry goes to another target', () => {
    const table = tableOf({ balance: 'hash' }, 2)
    const first = decideOne(table, asVisitor(1)).target!
    const again = decide(makeView(asVisitor(1)), table, noLoad, makeDraw(), NOW_MS, {
      exclude: [first],
      avoid: null,
      missing: [],
    })
    expect(again.target).not.toBe(first)
    expect(again.target).not.toBeNull()
  })
})

describe('a target to avoid', () => {
  const around = (table: ReturnType<typeof tableOf>, index: number, exclude: number[] = []) => {
    const targets = targetsOf(table)
    const excluded = exclude.map((each) => targets[each])
    const draw = makeDraw()
    const chosen = Array.from({ length: 60 }, (_, n) =>
      decide(makeView(asVisitor(n)), table, noLoad, draw, NOW_MS, {
        exclude: excluded,
        avoid: targets[index],
        missing: [],
      }),
    )
    return new Set(chosen.map(({ target, panic }) => (panic ? 'panic ' : '') + (target?.url ?? 'none')))
  }

  test.each<Balance>(['least-request', 'round-robin', 'random', 'hash'])(
    'is not taken while another of its pool is fit (%s)',
    (balance) => {
      expect(around(tableOf({ balance }, 3), 1)).toEqual(new Set([url(0), url(2)]))
    },
  )

  test('is taken when it is alone, or the others are excluded, failing or not let in', () => {
    expect(around(tableOf({}, 1), 0)).toEqual(new Set([url(0)]))
    expect(around(tableOf({}, 2), 0, [1])).toEqual(new Set([url(0)]))
    expect(around(tableOf({}, 2, { [url(1)]: { health: 'unhealthy' } }), 0)).toEqual(new Set([url(0)]))
    expect(around(tableOf({}, 2, { [url(1)]: { admin: 'standby' } }), 0)).toEqual(new Set([url(0)]))
  })

  test('is better than one that no probe has seen yet, unless it is such a one itself', () => {
    const unseen = { health: 'unknown' } as const
    expect(around(tableOf({}, 2, { [url(1)]: unseen }), 0)).toEqual(new Set([url(0)]))
    expect(around(tableOf({}, 2, { [url(0)]: unseen, [url(1)]: unseen }), 0)).toEqual(new Set([url(1)]))
    expect(around(tableOf({}, 1, { [url(0)]: unseen }), 0)).toEqual(new Set([url(0)]))
  })

  test('is not avoided in panic, where it may be the only one that is well', () => {
    const sick = { health: 'unhealthy' } as const
    const table = tableOf({}, 4, { [url(1)]: sick, [url(2)]: sick, [url(3)]: sick })
    expect(around(table, 0)).toEqual(new Set([0, 1, 2, 3].map((index) => `panic ${url(index)}`)))
  })
})

describe('sticky target', () => {
  const plan = (balance: Balance): Partial<ServicePlan> => ({ balance, sticky: { ...sticky, target: true } })
  const kinds: Balance[] = ['least-request', 'round-robin', 'random', 'hash']

  test.each(kinds)('a browser stays at the target that its cookie notes (%s)', (balance) => {
    const table = tableOf(plan(balance), 5)
    const draw = makeDraw()
    const places = new Set<string>()
    for (let n = 0; n < 100; n++) {
      const first = decideOne(table, { headers: browser }, draw)
      expect(first.setCookie?.target).toBe(first.target?.tag)
      places.add(first.target!.url)
      for (let visit = 0; visit < 3; visit++) {
        const next = decideOne(table, { headers: browser, own: first.setCookie }, draw)
        expect([next.target, next.setCookie]).toEqual([first.target, null])
      }
    }
    expect(places.size).toBe(5)
  })

  test('a new browser is placed by the policy, so an idle target fills first', () => {
    const table = tableOf(plan('least-request'), 2)
    const busy = targetsOf(table)[0].slot
    const draw = makeDraw()
    for (let n = 0; n < 50; n++) {
      const load = (slot: number) => (slot === busy ? 9 : 0)
      expect(decide(makeView({ headers: browser }), table, load, draw, NOW_MS).target?.url).toBe(url(1))
    }
  })

  test('a target is not forgotten while another pool helps out', () => {
    const weights = { blue: 0, green: 1 }
    const dead = { 'http://green-0.test:3000': { health: 'unhealthy' } } as const
    const rules = [makeRule({ name: 'staff', header: [['x-internal', '1']], to: 'green', pin: true })]
    const table = tableOf({ ...plan('random'), weights, rules, failover: ['blue'] }, 1, dead)
    const own = makeOwn({ pool: 'green', target: 'abc', pinned: true })
    const decision = decideOne(table, { headers: { 'x-internal': '1' }, own })
    expect([decision.reason, decision.setCookie]).toEqual(['failover', null])
  })

  test('with a key of their own visitors stay without any cookie', () => {
    const table = tableOf(plan('random'), 5)
    const draw = makeDraw()
    for (let n = 0; n < 100; n++) {
      const first = decideOne(table, asVisitor(n), draw)
      expect(first.setCookie).toBeNull()
      expect(decideOne(table, asVisitor(n), draw).target).toBe(first.target)
    }
  })

  test('a dead target is left, once, and the new one is noted', () => {
    const table = tableOf(plan('least-request'), 3, { [url(1)]: { health: 'unhealthy' } })
    const own = makeOwn({ target: targetsOf(table)[1].tag })
    const moved = decideOne(table, { own })
    expect(moved.target?.url).not.toBe(url(1))
    expect(moved.setCookie).toEqual({ ...own, target: moved.target?.tag })
    expect(decideOne(table, { own: moved.setCookie })).toMatchObject({ target: moved.target, setCookie: null })
  })

  test('in panic too', () => {
    const dead = Object.fromEntries([0, 1, 2].map((index) => [url(index), { health: 'unhealthy' }] as const))
    const table = tableOf(plan('random'), 5, dead)
    const targets = targetsOf(table)
    expect(decideOne(table, { own: makeOwn({ target: targets[4].tag }) })).toMatchObject({
      target: targets[4],
      panic: true,
      setCookie: null,
    })
    const elsewhere = new Set(
      Array.from(
        { length: 100 },
        (_, n) => decideOne(table, { own: makeOwn({ visitor: `v${n}`, target: targets[0].tag }) }).target,
      ),
    )
    expect(elsewhere.size).toBeGreaterThan(3)
  })

  test('a pin keeps its target', () => {
    const table = tableOf({ ...plan('random'), weights: { blue: 1, green: 0 } }, 4)
    const first = decideOne(table, { own: makeOwn({ pool: 'green', pinned: true }) })
    expect(first.setCookie).toMatchObject({ pool: 'green', pinned: true, target: first.target?.tag })
    expect(decideOne(table, { own: first.setCookie }, makeDraw(9))).toMatchObject({
      target: first.target,
      setCookie: null,
    })
  })

  test('a tag of a target that is gone, or of another pool, is nothing', () => {
    const table = tableOf(plan('random'), 3)
    for (const own of [makeOwn({ target: 'gone' }), makeOwn({ pool: 'green', target: targetsOf(table)[0].tag })]) {
      const decision = decideOne(table, { own })
      expect(decision.setCookie).toMatchObject({ pool: 'blue', target: decision.target?.tag })
    }
  })
})
