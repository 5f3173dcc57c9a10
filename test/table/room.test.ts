/** Decisions where targets or pools have as many requests as they may. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide } from '../../src/table/decide.ts'
import type { Earlier } from '../../src/table/earlier.ts'
import type { CapacityPlan } from '../../src/table/plan.ts'
import type { Load, Table, TargetTable } from '../../src/table/types.ts'
import { browser, makeDraw, makeOwn, makePlan, makeTable, makeView, NOW_MS, sticky, type ViewOptions } from './make.ts'

const TWO: CapacityPlan = { requestsPerTarget: 2, requestsPerPool: 0, queueMax: 10, queueMs: 1_000 }

/** So many permits are held of each target, by URL. */
function held(table: Table, permits: Readonly<Record<string, number>>): Load {
  const targets = [...table.services.get('shop')!.pools].flatMap((pool) => pool.targets)
  const urlOf = (slot: number) => targets.find((target) => target.slot === slot)!.url
  return Object.assign(() => 0, { permits: (slot: number) => permits[urlOf(slot)] ?? 0 })
}

const url = (pool: string, n: number) => `http://${pool}-${n}.test:3000`

function decided(
  table: Table,
  permits: Readonly<Record<string, number>>,
  { seed = 1, earlier, ...view }: ViewOptions & { seed?: number; earlier?: Partial<Earlier> } = {},
) {
  const asked = earlier && { exclude: [], avoid: null, missing: [], ...earlier }
  return decide(makeView(view), table, held(table, permits), makeDraw(seed), NOW_MS, asked)
}

const targetsOf = (table: Table, pool: string): readonly TargetTable[] =>
  table.services.get('shop')!.pools.find(({ name }) => name === pool)!.targets

test('whatever the policy, a target at its limit is not taken while another of the pool has room, and nobody is when none has', () => {
  const policies = ['least-request', 'round-robin', 'random', 'hash'] as const
  fc.assert(
    fc.property(
      fc.constantFrom(...policies),
      fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 0, max: 14 }),
      fc.integer({ min: 1, max: 1_000 }),
      (balance, counts, requestsPerPool, seed) => {
        const capacity = { ...TWO, requestsPerPool }
        const table = makeTable(makePlan({ balance, capacity, weights: { blue: 1 } }, counts.length))
        const permits = Object.fromEntries(counts.map((count, n) => [url('blue', n), count]))
        const sum = counts.reduce((all, count) => all + count, 0)
        const hasRoom = counts.some((count) => count < 2) && (requestsPerPool === 0 || sum < requestsPerPool)
        const { target, waitsFor, error } = decided(table, permits, { seed, headers: { 'x-user-id': `u${seed}` } })
        if (hasRoom) {
          expect(permits[target!.url]).toBeLessThan(2)
          expect(waitsFor).toBeNull()
        } else {
          expect(target).toBeNull()
          expect(waitsFor?.name).toBe('blue')
          expect(error).toBe('overloaded')
        }
      },
    ),
  )
})

test('a pool without room keeps its visitors from no other pool, and sends none to one', () => {
  const table = makeTable(makePlan({ capacity: TWO, weights: { blue: 1, green: 1 }, failover: null }))
  const full = { [url('blue', 0)]: 2 }
  for (let n = 0; n < 50; n++) {
    const headers = { 'x-user-id': `user-${n}` }
    const [free, now] = [decided(table, {}, { headers }), decided(table, full, { headers })]
    expect((now.target?.pool ?? now.waitsFor)!.name).toBe(free.pool!.name)
    expect(now.target === null).toBe(free.pool!.name === 'blue')
  }
})

test('who takes over for a dead pool may have no room either; then it is waited for', () => {
  const plan = makePlan({ capacity: TWO, weights: { blue: 1, green: 0 }, failover: ['green'] })
  const table = makeTable(plan, { targets: { [url('blue', 0)]: { health: 'unhealthy' } } })
  expect(decided(table, {})).toMatchObject({ pool: { name: 'green' }, reason: 'failover' })
  expect(decided(table, { [url('green', 0)]: 2 })).toMatchObject({ target: null, waitsFor: { name: 'green' } })
})

test('a limit also holds where health is ignored', () => {
  const targets = { [url('blue', 0)]: { health: 'unhealthy' }, [url('blue', 1)]: { health: 'unhealthy' } } as const
  const table = makeTable(makePlan({ capacity: TWO, weights: { blue: 1 } }, 2), { targets })
  expect(decided(table, { [url('blue', 0)]: 2 })).toMatchObject({ target: { url: url('blue', 1) }, panic: true })
  const none = decided(table, { [url('blue', 0)]: 2, [url('blue', 1)]: 2 })
  expect(none).toMatchObject({ target: null, waitsFor: { name: 'blue' } })
})

test('a visitor kept at a target without room gets another one, and its cookie still notes the first', () => {
  const plan = makePlan({ capacity: TWO, weights: { blue: 1 }, sticky: { ...sticky, target: true } }, 3)
  const table = makeTable(plan)
  const [first] = targetsOf(table, 'blue')
  const own = makeOwn({ target: first.tag })
  expect(decided(table, {}, { own, headers: browser })).toMatchObject({ target: { url: first.url }, setCookie: null })
  const spilt = decided(table, { [first.url]: 2 }, { own, headers: browser })
  expect(spilt.target!.url).not.toBe(first.url)
  expect(spilt.setCookie).toBeNull()
})

test('who has waited without a key keeps its pool, and a new visitor its id, while the pool has a share', () => {
  const weights = { blue: 1, green: 1 }
  const table = makeTable(makePlan({ capacity: TWO, weights }))
  const all = { [url('blue', 0)]: 2, [url('green', 0)]: 2 }
  for (let seed = 1; seed < 20; seed++) {
    for (const headers of [{}, browser]) {
      const waited = decided(table, all, { seed, headers })
      const earlier = { waited, givenId: waited.fresh ? waited.visitor : null }
      const turn = decided(table, {}, { seed: seed + 100, headers, earlier })
      expect(turn.pool!.name).toBe(waited.waitsFor!.name)
      expect(turn.visitor).toBe(waited.visitor)
      const switched = makeTable(makePlan({ capacity: TWO, weights: { blue: 0, green: 1 } }))
      expect(decided(switched, {}, { seed, headers, earlier }).pool!.name).toBe('green')
    }
  }
})

test('who has waited with a key that it has lost since is given an id of its own, and not that key', () => {
  const capacity = TWO
  const asked = { headers: { ...browser, 'x-user-id': 'ada' } }
  const waited = decided(makeTable(makePlan({ capacity })), { [url('blue', 0)]: 2 }, asked)
  expect([waited.visitor, waited.fresh, waited.waitsFor?.name]).toEqual(['ada', false, 'blue'])
  const changed = makeTable(makePlan({ capacity, visitor: [{ from: 'own' }] }))
  const turn = decided(changed, {}, { ...asked, earlier: { waited } })
  expect([turn.fresh, turn.visitor, turn.setCookie?.visitor]).toEqual([true, 'id-1-0', 'id-1-0'])
})

test('what a new version has failed is not asked of a pool without room', () => {
  const rescue = { always: true, statuses: [502], bodyBytesMax: 0 }
  const table = makeTable(makePlan({ capacity: TWO, rescue, weights: { blue: 9, green: 1 } }))
  const exclude = targetsOf(table, 'green')
  const headers = { 'x-user-id': 'u1' }
  expect(decided(table, {}, { headers, earlier: { exclude } })).toMatchObject({ pool: { name: 'blue' } })
  const none = decided(table, { [url('blue', 0)]: 2 }, { headers, earlier: { exclude } })
  expect(none).toMatchObject({ target: null, waitsFor: { name: 'blue' } })
})
