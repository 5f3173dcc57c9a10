/** Two tables of a service over the same requests: who is caught, who would move, and that the figures add up. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { reallot } from '../../src/table/allotment.ts'
import { compileService } from '../../src/table/build.ts'
import { Comparison } from '../../src/table/comparison.ts'
import { decide } from '../../src/table/decide.ts'
import type { RulePlan, ServicePlan } from '../../src/table/plan.ts'
import type { ServiceTable, Table } from '../../src/table/types.ts'
import {
  makeDraw,
  makePlan,
  makeRule,
  makeStatus,
  makeTable,
  makeView,
  NOW_MS,
  noLoad,
  type ViewOptions,
} from './make.ts'

const plan = makePlan({ weights: { blue: 100, green: 0 } })
const present = makeTable(plan)

/** The table with these parts of the plan changed, its allotment cut from the present one. */
function proposed(from: Table, change: Partial<ServicePlan>, options = {}): { table: Table; service: ServiceTable } {
  const before = from.services.get('shop')!
  const next = { ...before.plan, ...change }
  const claims = (weights: ServicePlan['weights']) =>
    Object.entries(weights).map(([pool, weight]) => ({ pool, weight, takesNew: true }))
  const allotment = reallot(reallot(undefined, claims(before.plan.weights), 'r1'), claims(next.weights), 'r1')
  const service = compileService(next, { ...makeStatus(next, options), allotment }, before)
  return { table: { ...from, services: new Map([['shop', service]]) }, service }
}

function compared(
  from: Table,
  change: Partial<ServicePlan>,
  requests: readonly ViewOptions[],
  options = {},
): Comparison {
  const { table, service } = proposed(from, change, options)
  const comparison = new Comparison(service)
  const [now, then] = [makeDraw(1), makeDraw(1)]
  for (const request of requests) {
    const view = makeView(request)
    const decisions = [decide(view, from, noLoad, now, NOW_MS), decide(view, table, noLoad, then, NOW_MS)] as const
    comparison.note(view, 1, ...decisions, decisions[0].visitor)
  }
  return comparison
}

const users = (count: number, more: Record<string, string> = {}): ViewOptions[] =>
  Array.from({ length: count }, (_, n) => ({ headers: { 'x-user-id': `u-${n}`, ...more } }))
const staff: RulePlan = makeRule({ name: 'staff', header: [['x-internal', '1']], to: 'green' })
const all: RulePlan = makeRule({ name: 'all', header: [['x-user-id', '*']], to: 'green' })

test('a rule tells how many it catches, and how many match that an earlier one decides', () => {
  const requests = [...users(97), ...users(3, { 'x-internal': '1' })]
  const { rules } = compared(present, { rules: [staff, all] }, requests)
  expect(rules).toMatchObject([
    { name: 'staff', to: 'green', matched: 3, caught: 3, before: 0 },
    { name: 'all', matched: 100, caught: 97, before: 0 },
  ])
  expect([...rules[1].shadowedBy]).toEqual([['staff', 3]])
})

test('rules are counted alike when there are so many that they are indexed', () => {
  const many = Array.from({ length: 40 }, (_, n) =>
    makeRule({ name: `r${n}`, header: [['x-n', `${n % 10}`]], to: 'green' }),
  )
  const requests = users(30).map((user, n) => ({ headers: { ...user.headers, 'x-n': `${n % 15}` } }))
  const { rules } = compared(present, { rules: many }, requests)
  expect(rules.map(({ caught }) => caught)).toEqual(many.map((_, n) => (n < 5 ? 2 : n < 10 ? 2 : 0)))
  expect(rules[12].matched).toBe(2)
  expect([...rules[12].shadowedBy]).toEqual([['r2', 2]])
})

test('a rule that denies catches what it keeps from its pool', () => {
  const deny = makeRule({ name: 'not-staff', header: [['x-internal', '1']], deny: 'green' })
  const requests = [...users(2), ...users(3, { 'x-internal': '1' })]
  const comparison = compared(present, { rules: [deny, staff], weights: { blue: 0, green: 100 } }, requests)
  expect(comparison.rules).toMatchObject([
    { name: 'not-staff', deny: 'green', matched: 3, caught: 3 },
    { name: 'staff', matched: 3, caught: 0 },
  ])
})

test('what rules catch now is told, also of those that would be gone', () => {
  const from = proposed(present, { rules: [staff, all] }).table
  const comparison = compared(from, { rules: [all] }, [...users(5), ...users(2, { 'x-internal': '1' })])
  expect(comparison.rules).toMatchObject([{ name: 'all', caught: 7, before: 5 }])
  expect([...comparison.gone]).toEqual([['staff', 2]])
})

test('a plain shift moves its share of the visitors, each counted once, all forward', () => {
  const requests = [...users(2_000), ...users(2_000), ...users(500)]
  const { moves, visitors } = compared(present, { weights: { blue: 75, green: 25 } }, requests).moves()
  expect(visitors).toMatchObject({ seen: 2_000, backward: 0 })
  expect(visitors.forward).toBe(visitors.move)
  expect(Math.abs(visitors.move - 500)).toBeLessThan(60)
  expect(moves).toMatchObject([{ from: 'blue', to: 'green', visitors: visitors.move }])
  expect(moves[0].requests).toBeGreaterThan(2 * visitors.move)
})

test('who is sent against the stream is told', () => {
  const from = proposed(present, { rules: [staff] }).table
  const away = makeRule({ name: 'away', header: [['x-user-id', 'u-7']], to: 'blue' })
  const requests = [...users(50), { headers: { 'x-user-id': 'u-99', 'x-internal': '1' } }]
  const rules = [away, makeRule({ name: 'most', header: [['x-internal', '1']], to: 'blue' }), all]
  const { visitors, moves } = compared(from, { rules }, requests).moves()
  expect(visitors).toEqual({ seen: 51, move: 50, forward: 49, backward: 1 })
  expect(moves.map(({ from: left, to, visitors: count }) => [left, to, count])).toEqual([
    ['blue', 'green', 49],
    ['green', 'blue', 1],
  ])
})

test('requests without a key go by turns: they change the shares, and nobody moves', () => {
  const requests = Array.from({ length: 200 }, () => ({}))
  const comparison = compared(present, { weights: { blue: 90, green: 10 }, visitor: [] }, requests)
  expect(comparison.unknown).toBe(200)
  expect(comparison.pools.get('green')).toEqual({
    now: { requests: 0, elsewhere: 0 },
    proposed: { requests: 20, elsewhere: 0 },
  })
  expect(comparison.moves()).toEqual({ moves: [], visitors: { seen: 0, move: 0, forward: 0, backward: 0 } })
})

test('a pool without a target that can take them is told beside what is meant for it', () => {
  const options = { targets: { 'http://green-0.test:3000': { health: 'unhealthy' } } }
  const comparison = compared(present, { weights: { blue: 1, green: 1 }, failover: ['blue'] }, users(100), options)
  const { requests, elsewhere } = comparison.pools.get('green')!.proposed
  expect([requests > 30, elsewhere]).toEqual([true, requests])
  expect(comparison.nobody).toEqual({ now: 0, proposed: 0 })
})

test('whatever is proposed, the figures add up, and nobody moves when it is what is so', () => {
  const weight = fc.integer({ min: 0, max: 5 })
  const someWeights = fc.tuple(weight, weight, weight).map(([blue, green, red]) => ({ blue, green, red: red + 1 }))
  const someRules = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      header: fc.constantFrom([['x-a', '1']] as const, [['x-b', '*']] as const, [['x-user-id', 'u-1']] as const),
      act: fc.constantFrom({ to: 'blue' }, { to: 'green' }, { deny: 'red' }, { deny: 'blue' }),
    }),
    { selector: ({ name }) => name, maxLength: 4 },
  )
  const rulesOf = (drawn: typeof someRules extends fc.Arbitrary<infer R> ? R : never) =>
    drawn.map(({ name, header, act }) => makeRule({ name, header: [header[0]], ...act }))
  const someRequest = fc.record({
    user: fc.option(fc.integer({ min: 0, max: 9 })),
    headers: fc.constantFrom<Record<string, string>[]>({}, { 'x-a': '1' }, { 'x-b': 'y' }, { 'x-a': '1', 'x-b': 'y' }),
  })
  const side = fc.record({ weights: someWeights, rules: someRules })
  fc.assert(
    fc.property(side, side, fc.array(someRequest, { minLength: 1, maxLength: 40 }), (now, then, drawn) => {
      const from = makeTable(makePlan({ weights: now.weights, rules: rulesOf(now.rules) }))
      const requests = drawn.map(({ user, headers }) => ({
        headers: user === null ? headers : { ...headers, 'x-user-id': `u-${user}` },
      }))
      const change = { weights: then.weights, rules: rulesOf(then.rules) }
      const comparison = compared(from, change, requests)
      const { visitors, moves } = comparison.moves()
      for (const at of ['now', 'proposed'] as const) {
        const sum = [...comparison.pools.values()].reduce((total, sides) => total + sides[at].requests, 0)
        // What is meant for no pool, nobody answers.
        expect(sum).toBeLessThanOrEqual(requests.length)
        expect(requests.length - sum).toBeLessThanOrEqual(comparison.nobody[at])
      }
      for (const { matched, caught, shadowedBy } of comparison.rules) {
        const shadowed = [...shadowedBy.values()].reduce((total, count) => total + count, 0)
        expect(caught + shadowed).toBeLessThanOrEqual(matched)
      }
      expect(visitors.forward + visitors.backward).toBe(visitors.move)
      expect(moves.reduce((total, move) => total + move.visitors, 0)).toBe(visitors.move)
      const same = compared(from, {}, requests)
      expect([same.moves().moves, [...same.gone]]).toEqual([[], []])
      for (const { caught, before, to } of same.rules) if (to !== null) expect(caught).toBe(before)
    }),
    { numRuns: 100 },
  )
})
