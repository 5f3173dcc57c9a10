import { expect, test } from 'vitest'
import { explainDecision } from '../../src/table/explain.ts'
import {
  decideOne,
  makeOwn,
  makePlan,
  makeRoute,
  makeRule,
  makeTable,
  type StatusOptions,
  type ViewOptions,
} from './make.ts'

const rules = [
  makeRule({ name: 'staff', header: [['x-internal', '1']], to: 'green' }),
  makeRule({
    name: 'testers',
    visitor: ['u-17', 'u-23'],
    cookie: [['beta', '*']],
    cidr: ['192.0.2.0/24'],
    to: 'green',
  }),
]
const dead = (pool: string) => ({ [`http://${pool}-0.test:3000`]: { health: 'unhealthy' } }) as const
const sentence = (view: ViewOptions, options: StatusOptions = {}, failover: string[] | null = null) =>
  explainDecision(
    decideOne(makeTable(makePlan({ rules, failover, routes: [makeRoute({ path: '/' })] }), options), view),
  )

const asStaff = { headers: { 'x-internal': '1' } }

test.each<[string, ViewOptions, StatusOptions?, string[]?]>([
  ['rule staff sends header x-internal=1 to green', asStaff],
  [
    'rule testers sends cookie beta=* and 2 named visitors and addresses in 192.0.2.0/24 to green',
    { headers: { 'x-user-id': 'u-17' }, cookies: { beta: '' } },
  ],
  ['the cookie of the visitor keeps it at green in release r1', { own: makeOwn({ pool: 'green', pinned: true }) }],
  ['visitor u-1 has bucket 6678 of 10000, which falls to blue', { headers: { 'x-user-id': 'u-1' } }],
  ['without a visitor key the next turn by weight is that of blue', {}],
  // While a rollout decides the weights, that is said, and only where weights decide.
  [
    'visitor u-1 has bucket 6678 of 10000, which falls to blue, by the weights of the rollout to green',
    { headers: { 'x-user-id': 'u-1' } },
    { trial: { pool: 'green', step: 1 } },
  ],
  [
    'without a visitor key the next turn by weight is that of blue, by the weights of the rollout to green',
    {},
    { trial: { pool: 'green', step: 1 } },
  ],
  ['rule staff sends header x-internal=1 to green', asStaff, { trial: { pool: 'green', step: 1 } }],
  [
    'rule staff sends header x-internal=1 to green; no target of green can take it now, so blue takes over',
    asStaff,
    { targets: dead('green') },
  ],
  [
    'without a visitor key the next turn by weight is that of blue; too few of its targets are healthy, so health is ignored',
    {},
    { targets: dead('blue') },
  ],
  [
    'no pool of shop has a weight and takes new visitors; no pool has a target that can take it now',
    {},
    { pools: { blue: { admin: 'maint' } } },
  ],
  [
    'no pool of shop has a weight and takes new visitors; green takes over',
    {},
    { pools: { blue: { admin: 'maint' } } },
    ['green'],
  ],
])('%s', (expected, view, options, failover) => {
  expect(sentence(view, options, failover ?? null)).toBe(expected)
})

test('no route matches this host and path', () => {
  const table = makeTable(makePlan({ routes: [makeRoute({ path: '/api' })] }))
  expect(explainDecision(decideOne(table))).toBe('no route matches this host and path')
})
