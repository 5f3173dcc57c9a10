/** Who is asked when a new version has failed a request. */
import { expect, test } from 'vitest'
import { decide } from '../../src/table/decide.ts'
import type { RescuePlan, ServicePlan } from '../../src/table/plan.ts'
import { ruledOut } from '../../src/table/rescue.ts'
import type { Table, TargetTable, Trial } from '../../src/table/types.ts'
import { makeDraw, makePlan, makeRule, makeTable, makeView, NOW_MS, noLoad, type StatusOptions } from './make.ts'

const RESCUE: RescuePlan = { always: false, statuses: [503], bodyBytesMax: 1_000 }
const ALWAYS: RescuePlan = { ...RESCUE, always: true }
const BY_NAME = ['blue', 'green', 'grey'].map((to) => makeRule({ name: to, header: [['x-to', to]], to }))
const rulesTo = (weights: object) => BY_NAME.filter(({ name }) => Object.hasOwn(weights, name))

const tableOf = (plan: Partial<ServicePlan>, options: StatusOptions = {}, count = 2): Table =>
  makeTable(makePlan({ rules: rulesTo(plan.weights!), ...plan }, count), options)
const tableInTrial = (plan: Partial<ServicePlan>, trial: Partial<Trial> = {}) =>
  tableOf({ rescue: RESCUE, ...plan }, { trial: { pool: 'green', step: 1, ...trial } })

/** The pools and targets that a request is given when those before have failed it, `…` from the first on that it was given before. */
function triesOf(table: Table, to: string): string[] {
  const tried: string[] = []
  let failed: readonly TargetTable[] = []
  for (let n = 0; n < 10; n++) {
    const view = makeView({ headers: { 'x-to': to } })
    const { target } = decide(view, table, noLoad, makeDraw(), NOW_MS, { exclude: failed, avoid: null, missing: [] })
    if (target === null) return tried
    tried.push(target.host)
    failed = [...failed, ...ruledOut(target)]
  }
  throw new Error('it never ends')
}

const newOnes = (table: Table): string[] => {
  const targets = [...table.services.values()].flatMap(({ pools }) => pools.flatMap((pool) => pool.targets))
  return targets.filter(({ isRescued }) => isRescued).map(({ host }) => host)
}

test('the live pool is asked next, and the new version again only when nobody else is left', () => {
  const tried = triesOf(tableInTrial({ weights: { blue: 9, green: 1 } }), 'green')
  expect(tried.map((host) => host.replace(/-\d\.test/, ''))).toEqual(['green', 'blue', 'blue', 'green'])
  expect(new Set(tried).size).toBe(4)
})

test('what the live pool has failed stays in it while it can', () => {
  const tried = triesOf(tableInTrial({ weights: { blue: 9, green: 1 } }), 'blue')
  expect(tried.map((host) => host.replace(/-\d\.test/, ''))).toEqual(['blue', 'blue', 'green', 'green'])
})

test('pools take over in the order of failover', () => {
  const weights = { blue: 9, green: 1, grey: 0 }
  const tried = triesOf(tableInTrial({ weights, failover: ['grey'] }, {}), 'green')
  expect(tried.map((host) => host.replace(/-\d\.test/, ''))).toEqual(['green', 'grey', 'grey', 'green'])
})

test('of a pool whose targets get the new version one by one, those that have another are asked', () => {
  const urls = [0, 1].map((n) => `http://green-${n}.test:3000`)
  const table = tableOf(
    { rescue: RESCUE, weights: { green: 1 } },
    { trial: { pool: 'green', step: 1, targets: urls } },
    4,
  )
  for (let n = 0; n < 20; n++) {
    const [first, second] = triesOf(table, 'green')
    if (urls.some((url) => url.includes(first))) expect(['green-2.test', 'green-3.test']).toContain(second)
  }
  expect(newOnes(table)).toEqual(['green-0.test', 'green-1.test'])
})

test('a denied pool rescues nobody', () => {
  const rules = [makeRule({ name: 'never', header: [['x-to', 'green']], deny: 'blue' }), ...BY_NAME.slice(0, 2)]
  const tried = triesOf(tableInTrial({ weights: { blue: 9, green: 1 }, rules }), 'green')
  expect(tried.every((host) => host.startsWith('green'))).toBe(true)
})

test.each<[string, Table, string[]]>([
  ['without a rollout', tableOf({ rescue: RESCUE, weights: { blue: 9, green: 1 } }, {}, 1), []],
  ['never', tableOf({ rescue: null, weights: { blue: 9, green: 1 } }, {}, 1), []],
  [
    'always',
    tableOf({ rescue: ALWAYS, weights: { blue: 1, green: 9, grey: 0 } }, {}, 1),
    ['blue-0.test', 'grey-0.test'],
  ],
  ['always, of equal pools', tableOf({ rescue: ALWAYS, weights: { blue: 5, green: 5 } }, {}, 1), ['green-0.test']],
  [
    'in a rollout that goes on at 90 %',
    tableOf({ rescue: ALWAYS, weights: { blue: 1, green: 9 } }, { trial: { pool: 'green', step: 1 } }, 1),
    ['green-0.test'],
  ],
  [
    'never, in a rollout',
    tableOf({ rescue: null, weights: { blue: 9, green: 1 } }, { trial: { pool: 'green', step: 1 } }, 1),
    [],
  ],
])('new versions %s', (_, table, hosts) => {
  expect(newOnes(table)).toEqual(hosts)
})
