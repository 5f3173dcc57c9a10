/** Preview hosts: one pool and nobody else, for those whom the config names. */
import { expect, test } from 'vitest'
import { decide } from '../../src/table/decide.ts'
import { explainDecision } from '../../src/table/explain.ts'
import type { ServicePlan } from '../../src/table/plan.ts'
import {
  decideOne,
  makeDraw,
  makeOwn,
  makePlan,
  makeRoute,
  makeRule,
  makeTable,
  makeView,
  NOW_MS,
  noLoad,
  sticky,
  type ViewOptions,
} from './make.ts'

const HOST = 'green.shop.example.com'
const preview = (from: readonly string[] | null = null) => makeRoute({ host: HOST, preview: { pool: 'green', from } })
const planOf = (more: Partial<ServicePlan> = {}, from?: readonly string[]) =>
  makePlan({ weights: { blue: 1, green: 0, red: 0 }, sticky, routes: [makeRoute(), preview(from)], ...more })
const onPreview = (options: ViewOptions = {}): ViewOptions => ({ host: HOST, ...options })
const GREEN = 'http://green-0.test:3000'

test('the pool of a preview host answers there, without weight, and beside rules, denials and pins', () => {
  const rules = [
    makeRule({ name: 'all', cidr: ['0.0.0.0/0'], deny: 'green' }),
    makeRule({ name: 'other', cidr: ['0.0.0.0/0'], to: 'red' }),
  ]
  const table = makeTable(planOf({ rules }))
  const own = makeOwn({ pool: 'blue', pinned: true })
  const decision = decideOne(table, onPreview({ own }))
  expect(decision).toMatchObject({ pool: { name: 'green' }, reason: 'preview', rule: null, setCookie: null })
  expect(explainDecision(decision)).toBe('the host is the preview of pool green')
  expect(decideOne(table, { own })).toMatchObject({ pool: { name: 'red' }, reason: 'rule' })
})

test('nobody takes over for it: where none of its targets is let in it says so, and ill ones are tried', () => {
  const plan = planOf({ probed: true })
  const ill = makeTable(plan, { targets: { [GREEN]: { health: 'unhealthy' } } })
  expect(decideOne(ill, onPreview())).toMatchObject({ pool: { name: 'green' }, reason: 'preview' })
  const shut = decideOne(makeTable(plan, { pools: { green: { admin: 'maint' } } }), onPreview())
  expect(shut).toMatchObject({ target: null, error: 'no_healthy_target', reason: 'preview' })
  expect(explainDecision(shut)).toBe('the host is the preview of pool green; none of its targets can take it now')
})

test('a try after one that failed stays with the pool', () => {
  const table = makeTable(planOf({}), {})
  const two = makeTable(makePlan({ weights: { blue: 1, green: 0 }, routes: [makeRoute(), preview()] }, 2))
  const [first, second] = two.services.get('shop')!.pools.find(({ name }) => name === 'green')!.targets
  const again = (exclude: (typeof first)[], missing: string[] = []) =>
    decide(makeView(onPreview()), two, noLoad, makeDraw(), NOW_MS, { exclude, avoid: null, missing })
  expect(again([first]).target).toBe(second)
  expect(again([first, second])).toMatchObject({ target: null, error: 'no_healthy_target' })
  expect(again([], ['green']).pool?.name).toBe('green')
  expect(decideOne(table, onPreview()).pool?.name).toBe('green')
})

test('for whoever is not named there is no such host', () => {
  const table = makeTable(planOf({ routes: [preview(['10.0.0.0/8', '2001:db8::/32'])] }))
  const poolFor = (address: string) => decideOne(table, onPreview({ address })).pool?.name
  expect(poolFor('10.1.2.3')).toBe('green')
  expect(poolFor('::ffff:10.1.2.3')).toBe('green')
  expect(poolFor('2001:db8::7')).toBe('green')
  expect(decideOne(table, onPreview({ address: '192.0.2.1' }))).toMatchObject({ service: null, error: 'no_route' })
})

test('while those of its targets that are well have no room it is waited for, and none that is ill is tried', () => {
  const capacity = { requestsPerTarget: 1, requestsPerPool: 0, queueMax: 10, queueMs: 1_000 }
  const plan = makePlan({ weights: { blue: 1, green: 0 }, capacity, routes: [makeRoute(), preview()] }, 2)
  const table = makeTable(plan, { targets: { [GREEN]: { health: 'unhealthy' } } })
  const { slot } = table.services.get('shop')!.pools[1].targets[1]
  const load = Object.assign(() => 0, { permits: (at: number) => (at === slot ? 1 : 0) })
  const decision = decide(makeView(onPreview()), table, load, makeDraw(), NOW_MS)
  expect(decision).toMatchObject({ target: null, error: 'overloaded', waitsFor: { name: 'green' } })
})
