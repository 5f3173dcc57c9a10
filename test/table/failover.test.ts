import { describe, expect, test } from 'vitest'
import { eligible } from '../../src/table/eligible.ts'
import type { ServicePlan } from '../../src/table/plan.ts'
import type { TargetStatus } from '../../src/table/status.ts'
import type { OwnCookie, Table } from '../../src/table/types.ts'
import {
  browser,
  decideOne,
  makeDraw,
  makeOwn,
  makePlan,
  makeRule,
  makeTable,
  NOW_MS,
  type StatusOptions,
  sticky,
} from './make.ts'

const url = (pool: string, index: number) => `http://${pool}-${index}.test:3000`
/** Gives the first `count` targets of a pool a status. */
const first = (pool: string, count: number, status: Partial<TargetStatus>) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [url(pool, index), status]))
const dead = { health: 'unhealthy' } as const
const tableOf = (plan: Partial<ServicePlan>, count: number, options: StatusOptions) =>
  makeTable(makePlan(plan, count), options)

/** URLs of the targets that many requests without a key reach. */
function reached(table: Table, nowMs = NOW_MS): Set<string | undefined> {
  const draw = makeDraw()
  return new Set(Array.from({ length: 300 }, () => decideOne(table, {}, draw, nowMs).target?.url))
}

describe('eligibility', () => {
  test.each<[string, Partial<TargetStatus>, boolean]>([
    ['ready and healthy', {}, true],
    ['unhealthy', dead, false],
    ['not probed yet', { health: 'unknown' }, true],
    ['ejected', { ejectedUntilMs: NOW_MS + 1 }, false],
    ['ejected until now', { ejectedUntilMs: NOW_MS }, true],
    ['in drain', { admin: 'drain', drainUntilMs: NOW_MS + 1 }, false],
    ['in standby', { admin: 'standby' }, false],
    ['in maint', { admin: 'maint' }, false],
    ['in drain, though a probe passes', { admin: 'drain', health: 'healthy' }, false],
  ])('a target that is %s: %j → %s', (_, status, expected) => {
    const table = tableOf({}, 1, { targets: first('blue', 1, status) })
    expect(eligible(table.services.get('shop')!.pools[0].targets[0], null, NOW_MS)).toBe(expected)
  })

  test('one dead target of two is noticed by nobody', () => {
    const table = tableOf({}, 2, { targets: first('blue', 1, dead) })
    expect([...reached(table)]).toEqual([url('blue', 1)])
  })

  test('an ejection ends at its time', () => {
    const table = tableOf({}, 2, { targets: first('blue', 1, { ejectedUntilMs: NOW_MS + 10 }) })
    expect(reached(table).size).toBe(1)
    expect(reached(table, NOW_MS + 10).size).toBe(2)
  })

  test('targets not probed yet are used only while no healthy one can be', () => {
    const unknown = { health: 'unknown' } as const
    expect([...reached(tableOf({}, 3, { targets: first('blue', 2, unknown) }))]).toEqual([url('blue', 2)])
    expect(reached(tableOf({}, 3, { targets: first('blue', 3, unknown) })).size).toBe(3)
    expect(reached(tableOf({}, 3, { targets: { ...first('blue', 3, unknown), [url('blue', 2)]: dead } })).size).toBe(2)
    expect(reached(tableOf({ probed: false }, 3, { targets: first('blue', 3, unknown) })).size).toBe(3)
    expect(reached(tableOf({}, 9, { targets: first('blue', 8, unknown) })).size).toBe(1)
  })
})

describe('panic', () => {
  test('below half of a larger pool health is ignored, so that the rest is not crushed', () => {
    const table = tableOf({}, 5, { targets: first('blue', 3, dead) })
    expect(reached(table).size).toBe(5)
    expect(decideOne(table)).toMatchObject({ panic: true, reason: 'picker', error: null })
  })

  test('not at half, and not in pools of up to three', () => {
    expect(reached(tableOf({}, 4, { targets: first('blue', 2, dead) })).size).toBe(2)
    const small = tableOf({}, 3, { targets: first('blue', 2, dead) })
    expect([...reached(small)]).toEqual([url('blue', 2)])
    expect(decideOne(small).panic).toBe(false)
  })

  test('counts only targets that admin states let in, and never reaches the others', () => {
    const targets = { ...first('blue', 8, { admin: 'maint' }), [url('blue', 0)]: dead }
    expect(reached(tableOf({}, 10, { targets })).size).toBe(2)
    const half = {
      ...first('blue', 5, { admin: 'maint' }),
      ...first('blue', 2, { ...dead, admin: 'maint' }),
      [url('blue', 5)]: dead,
      [url('blue', 6)]: dead,
      [url('blue', 7)]: dead,
    }
    const panicking = reached(tableOf({}, 10, { targets: half }))
    expect(panicking).toEqual(new Set([5, 6, 7, 8, 9].map((index) => url('blue', index))))
  })
})

describe('failover', () => {
  const weights = { blue: 10, green: 60, grey: 0, red: 30 }

  test('goes to the other pools, heaviest first, and keeps what was meant', () => {
    const table = tableOf({ weights }, 1, { targets: first('green', 1, dead) })
    const draw = makeDraw()
    const all = Array.from({ length: 100 }, () => decideOne(table, {}, draw))
    const over = all.filter((decision) => decision.reason === 'failover')
    expect(over.length).toBe(60)
    for (const decision of over)
      expect([decision.aimed?.name, decision.pool?.name, decision.panic]).toEqual(['green', 'red', false])
    expect(all.filter((decision) => decision.pool?.name === 'blue').length).toBe(10)
  })

  test('follows the list of the service, in which a pool without weight may stand', () => {
    const targets = { ...first('green', 1, dead), ...first('red', 1, dead) }
    const to = (failover: string[] | null) =>
      decideOne(tableOf({ weights: { ...weights, blue: 0, red: 0 }, failover }, 1, { targets })).pool?.name
    expect(to(['red', 'grey', 'blue'])).toBe('grey')
    expect(to(['blue'])).toBe('blue')
    expect(to([])).toBe('green')
  })

  test('does not reach pools without weight by itself: the dead pool is tried as a last resort', () => {
    const table = tableOf({ weights: { blue: 1, green: 0 } }, 2, { targets: first('blue', 2, dead) })
    expect(reached(table)).toEqual(new Set([url('blue', 0), url('blue', 1)]))
    expect(decideOne(table)).toMatchObject({ panic: true, reason: 'picker', error: null })
  })

  test('comes before panic in a pool that is dead altogether', () => {
    const table = tableOf({ weights: { blue: 1, green: 1 } }, 5, { targets: first('green', 5, dead) })
    for (const target of reached(table)) expect(target).toMatch('blue')
  })

  test('gives up when nothing takes requests by admin state', () => {
    const table = tableOf({ weights: { blue: 1, green: 1 } }, 2, {
      pools: { blue: { admin: 'maint' } },
      targets: first('green', 2, { admin: 'standby' }),
    })
    expect(decideOne(table)).toMatchObject({ target: null, pool: null, error: 'no_healthy_target' })
  })

  test('takes a pool without any target for a dead one', () => {
    const plan = makePlan({ weights: { blue: 1, green: 0 } })
    const empty = {
      ...plan,
      pools: plan.pools.map((pool) => (pool.name === 'blue' ? { ...pool, targets: [] } : pool)),
      failover: ['green'],
    }
    expect(decideOne(makeTable(empty))).toMatchObject({ pool: { name: 'green' }, reason: 'failover' })
    expect(decideOne(makeTable({ ...empty, failover: [] })).error).toBe('no_healthy_target')
  })

  test('does not note the pool that helped out, so visitors come home', () => {
    const plan = makePlan({ weights: { blue: 0, green: 1 }, failover: ['blue'] })
    const well = makeTable(plan)
    const sick = makeTable(plan, { targets: first('green', 1, dead) })
    const own = makeOwn({ pool: 'green' })
    expect(decideOne(sick, { own })).toMatchObject({ pool: { name: 'blue' }, setCookie: null })
    const given = decideOne(sick, { headers: browser }).setCookie
    expect(given?.pool).toBe('green')
    expect(decideOne(well, { own: given })).toMatchObject({ pool: { name: 'green' }, setCookie: null })
  })

  test('helps those whom a rule or a pin sends to a dead pool', () => {
    const rules = [makeRule({ name: 'staff', header: [['x-internal', '1']], to: 'green' })]
    const table = tableOf({ rules }, 1, { targets: first('green', 1, dead) })
    expect(decideOne(table, { headers: { 'x-internal': '1' } })).toMatchObject({
      pool: { name: 'blue' },
      aimed: { name: 'green' },
      reason: 'failover',
      rule: 'staff',
    })
    const own = makeOwn({ pool: 'green', pinned: true })
    expect(decideOne(table, { own })).toMatchObject({
      pool: { name: 'blue' },
      aimed: { name: 'green' },
      setCookie: null,
    })
  })
})

describe('drain of a pool', () => {
  const until = NOW_MS + 30_000
  const weights = { blue: 45, green: 10, red: 45 }
  const rules = [makeRule({ name: 'staff', header: [['x-internal', '1']], to: 'green', pin: true })]
  const draining = (options: StatusOptions = {}) =>
    tableOf({ weights, rules }, 1, { pools: { green: { admin: 'drain', drainUntilMs: until } }, ...options })

  test('gets no new visitors, and its share goes to the others by weight, the same way each time', () => {
    const table = draining()
    const counts: Record<string, number> = {}
    for (let n = 0; n < 10_000; n++) {
      const headers = { 'x-user-id': `u${n}` }
      const { pool, reason } = decideOne(table, { headers })
      expect([reason, decideOne(table, { headers }).pool]).toEqual(['bucket', pool])
      counts[pool!.name] = (counts[pool!.name] ?? 0) + 1
    }
    expect(Object.keys(counts).sort()).toEqual(['blue', 'red'])
    expect(Math.abs(counts.blue - counts.red)).toBeLessThan(400)
  })

  test('moves nobody who was elsewhere', () => {
    const [before, after] = [tableOf({ weights }, 1, {}), draining()]
    for (let n = 0; n < 2_000; n++) {
      const headers = { 'x-user-id': `u${n}` }
      const pool = decideOne(before, { headers }).pool?.name
      if (pool !== 'green') expect(decideOne(after, { headers }).pool?.name).toBe(pool)
    }
  })

  test('leaves the picker exact over the rest', () => {
    const draw = makeDraw()
    const pools = Array.from({ length: 100 }, () => decideOne(draining(), {}, draw).pool?.name)
    expect([pools.filter((pool) => pool === 'blue').length, pools.filter((pool) => pool === 'red').length]).toEqual([
      50, 50,
    ])
  })

  test('keeps visitors and pins that were there, until the deadline', () => {
    for (const own of [makeOwn({ pool: 'green' }), makeOwn({ pool: 'green', pinned: true })]) {
      expect(decideOne(draining(), { own })).toMatchObject({ pool: { name: 'green' }, reason: 'pin', setCookie: null })
      expect(decideOne(draining(), { own }, makeDraw(), until - 1).pool?.name).toBe('green')
      const late = decideOne(draining(), { own }, makeDraw(), until)
      expect([late.pool?.name === 'green', late.reason]).toEqual([false, 'bucket'])
    }
  })

  test('keeps them when the weight went to 0 too, but not past a new release', () => {
    const table = tableOf({ weights: { blue: 1, green: 0 } }, 1, {
      pools: { green: { admin: 'drain', drainUntilMs: until } },
    })
    expect(decideOne(table, { own: makeOwn({ pool: 'green' }) }).pool?.name).toBe('green')
    expect(decideOne(table, { own: makeOwn({ pool: 'green', release: 'r0' }) }).pool?.name).toBe('blue')
  })

  test('gives new visitors a note of the pool that they got, never of the draining one', () => {
    const only = tableOf({ weights: { blue: 0, green: 1 }, failover: ['blue'] }, 1, {
      pools: { green: { admin: 'drain', drainUntilMs: until } },
    })
    for (const table of [draining(), only]) {
      const draw = makeDraw()
      for (let n = 0; n < 50; n++)
        expect(decideOne(table, { headers: browser }, draw).setCookie?.pool).toMatch(/blue|red/)
    }
  })

  test('is not entered by a rule, nor by the pin that it would set', () => {
    const decision = decideOne(draining(), { headers: { 'x-internal': '1' } })
    expect(decision).toMatchObject({ reason: 'failover', rule: 'staff', aimed: { name: 'green' }, setCookie: null })
    expect(decision.pool?.name).not.toBe('green')
  })

  test.each(['standby', 'maint'] as const)('%s takes nobody at all: no visitor, pin, rule or failover', (admin) => {
    const table = tableOf({ weights, rules, failover: ['green', 'blue'] }, 1, {
      pools: { green: { admin, drainUntilMs: until } },
      targets: first('red', 1, dead),
    })
    const visits: { headers?: Record<string, string>; own?: OwnCookie }[] = [
      {},
      { headers: { 'x-internal': '1' } },
      { own: makeOwn({ pool: 'green' }) },
      { own: makeOwn({ pool: 'green', pinned: true }) },
      ...Array.from({ length: 200 }, (_, n) => ({ headers: { 'x-user-id': `u${n}` } })),
    ]
    for (const visit of visits) expect(decideOne(table, visit).pool?.name).toBe('blue')
  })
})

describe('drain of a target', () => {
  const until = NOW_MS + 30_000
  const plan = { sticky: { ...sticky, target: true } }
  const table = tableOf(plan, 3, { targets: first('blue', 1, { admin: 'drain', drainUntilMs: until }) })
  const tag = table.services.get('shop')!.pools[0].targets[0].tag

  test('keeps those who are noted at it until the deadline, then they move and are noted elsewhere', () => {
    const own = makeOwn({ target: tag })
    expect(decideOne(table, { own })).toMatchObject({ target: { url: url('blue', 0) }, setCookie: null })
    const late = decideOne(table, { own }, makeDraw(), until)
    expect(late.target?.url).not.toBe(url('blue', 0))
    expect(late.setCookie?.target).toBe(late.target?.tag)
  })

  test('gets nobody new', () => {
    expect(reached(table)).toEqual(new Set([url('blue', 1), url('blue', 2)]))
  })
})
