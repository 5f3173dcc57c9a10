import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CookieSigner } from '../../src/dataplane/cookie-signer.ts'
import { RequestHead } from '../../src/dataplane/http1/request-head.ts'
import { PostedRequest } from '../../src/dataplane/posted-request.ts'
import { HeadView } from '../../src/dataplane/request-view.ts'
import { planWhen, type WhenSpec } from '../../src/table/conditions/kinds.ts'
import { decide } from '../../src/table/decide.ts'
import { explainDecision } from '../../src/table/explain.ts'
import type { RulePlan } from '../../src/table/plan.ts'
import { compileRules, SCANNED_MAX } from '../../src/table/rules.ts'
import type { Decision, RequestView, Table, TextTest } from '../../src/table/types.ts'
import { bulk } from '../helpers/bulk.ts'
import {
  decideOne,
  makeDraw,
  makePlan,
  makeRule,
  makeTable,
  makeView,
  NOW_MS,
  noLoad,
  type RuleShort,
  sticky,
  type ViewOptions,
} from './make.ts'

const signer = new CookieSigner(['k'.repeat(32)], 'abc123')

/** What the data plane sees of a request with these field lines. */
function headView(lines: readonly string[], address: string): HeadView {
  const head = new RequestHead(65_536, 1_000)
  expect(
    head.parse(`GET /x HTTP/1.1\r\nHost: shop.example.com\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`),
  ).toBeGreaterThan(0)
  const view = new HeadView(head, signer, () => NOW_MS)
  view.address = address
  return view
}

/** The table with its rules indexed or scanned, however many there are. */
function tableWith(rules: readonly RulePlan[], scannedMax: number): Table {
  const plan = makePlan({ weights: { blue: 5, green: 3, red: 0 }, visitor: [{ from: 'header', name: 'x-user' }] })
  const table = makeTable(plan)
  const service = table.services.get('shop')!
  return { ...table, services: new Map([['shop', { ...service, rules: compileRules(rules, scannedMax) }]]) }
}

const told = ({ service, pool, target, ...rest }: Decision) => ({
  ...rest,
  service: service?.name,
  pool: pool?.name,
  target: target?.url,
  aimed: rest.aimed?.name,
})

const someOf = <T>(...values: T[]) => fc.constantFrom(...values)
const network = someOf(
  ...['0.0.0.0/0', '::/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.2.3', '10.1.2.2/31', '255.255.255.255', '128.0.0.0/1'],
  ...['2001:db8::/32', '2001:db8::1', '8000::/1', 'ffff::/16', '::ffff:0:0/96', '::'],
)
const address = someOf(
  ...['10.1.2.3', '10.1.2.2', '10.1.9.9', '10.2.0.0', '11.0.0.0', '9.255.255.255', '255.255.255.255', '0.0.0.0'],
  ...['::ffff:10.1.2.3', '2001:db8::1', '2001:db8::2', '2001:db9::', 'ffff:ffff::1', '::', 'unknown', ''],
)
const pairs = (names: readonly string[]) =>
  fc
    .dictionary(someOf(...names), someOf('1', '2', '', '*', 'a=b', '1, 2', '1, 1, 2', ', 1'), {
      maxKeys: 2,
      noNullPrototype: true,
    })
    .map((record) => Object.entries(record))
const outcome = fc.oneof(
  fc.record({ to: someOf('blue', 'green', 'red'), deny: fc.constant(null), pin: fc.boolean() }),
  fc.record({ to: fc.constant(null), deny: someOf('blue', 'green', 'red'), pin: fc.constant(false) }),
)
const rulesOf = fc
  .array(
    fc.tuple(
      fc.record({
        header: fc.oneof(fc.constant([]), pairs(['x-a', 'x-b', 'x-long-name', 'cookie', 'host'])),
        cookie: fc.oneof(fc.constant([]), pairs(['a', 'b', 'turnout'])),
        visitor: fc.oneof(fc.constant([]), fc.array(someOf('u1', 'u2', 'u3', ''), { maxLength: 3 })),
        cidr: fc.oneof(fc.constant([]), fc.array(network, { maxLength: 3 })),
      }),
      outcome,
    ),
    { maxLength: 40 },
  )
  .map((rules) => rules.map(([when, what], n) => makeRule({ name: `r${n}`, ...when, ...what })))
const own = signer.sign('turnout', {
  visitor: 'v',
  service: 'shop',
  pool: 'red',
  release: 'r1',
  target: '',
  pinned: true,
  endS: NOW_MS / 1_000 + sticky.maxAgeS,
})
const line = fc.oneof(
  fc.tuple(someOf('x-a', 'X-A', 'x-B', 'X-Long-Name', 'x-long-nam', 'accept'), someOf('1', '2', '', '*', '3')),
  fc.tuple(someOf('x-user', 'X-User'), someOf('u1', 'u2', 'u9', '')),
  fc.tuple(
    someOf('cookie', 'Cookie'),
    fc
      .array(someOf('a=1', 'a=2', 'a', 'a =1', ' b="1"', 'b=', 'b=a=b', '=1', '', 'ab=1', `turnout=${own}`), {
        maxLength: 5,
      })
      .map((pieces) => pieces.join(';')),
  ),
)
const linesOf = fc.array(
  line.map(([name, value]) => `${name}: ${value}`),
  { maxLength: 8 },
)

describe('the index', () => {
  test('decides as a scan of all rules does, whatever the rules and the request', () => {
    fc.assert(
      fc.property(rulesOf, fc.array(fc.tuple(linesOf, address), { minLength: 1, maxLength: 8 }), (rules, requests) => {
        const [indexed, scanned] = [tableWith(rules, 0), tableWith(rules, Infinity)]
        for (const [lines, from] of requests) {
          const view = headView(lines, from)
          const [a, b] = [indexed, scanned].map((table) => decide(view, table, noLoad, makeDraw(), NOW_MS))
          expect(told(a)).toEqual(told(b))
          expect(explainDecision(a)).toBe(explainDecision(b))
        }
      }),
      { numRuns: bulk(400, 2_000) },
    )
  })

  test('decides alike for the data plane and for explain', () => {
    fc.assert(
      fc.property(rulesOf, linesOf, address, (rules, lines, ip) => {
        const headers = new Map<string, string[]>()
        for (const [name, value] of lines.map((text) => text.split(': '))) {
          const lower = name.toLowerCase()
          headers.set(lower, [...(headers.get(lower) ?? []), value.trim()])
        }
        const table = tableWith(rules, 0)
        const posted = new PostedRequest(65_536, 1_000, signer, () => NOW_MS)
        expect(posted.read({ method: 'GET', authority: 'shop.example.com', path: '/x', headers, ip })).toBe(null)
        const asked = posted.view
        const sent = headView(lines, ip)
        const [a, b] = [asked, sent].map((view) => decide(view, table, noLoad, makeDraw(), NOW_MS))
        expect(told(a)).toEqual(told(b))
      }),
      { numRuns: bulk(150, 500) },
    )
  })
})

/** A thousand rules of a kind; number n matches the request `of(n)`. */
const many: Record<string, { rule: (n: number) => RuleShort; of: (n: number) => ViewOptions }> = {
  'values of a header': {
    rule: (n) => ({ header: [['x-tenant', `t${n}`]] }),
    of: (n) => ({ headers: { 'x-tenant': `t${n}` } }),
  },
  headers: { rule: (n) => ({ header: [[`x-${n}`, '*']] }), of: (n) => ({ headers: { [`x-${n}`]: '' } }) },
  'values of a cookie': { rule: (n) => ({ cookie: [['t', `${n}`]] }), of: (n) => ({ cookies: { t: `${n}` } }) },
  cookies: { rule: (n) => ({ cookie: [[`c${n}`, 'on']] }), of: (n) => ({ cookies: { [`c${n}`]: 'on' } }) },
  'lists of visitors': {
    rule: (n) => ({ visitor: [`u${n}`, `v${n}`] }),
    of: (n) => ({ headers: { 'x-user-id': `v${n}` } }),
  },
  'prefixes of a path': {
    rule: (n) => ({ when: planWhen({ path: { prefix: `/p${n}/` } }, '') }),
    of: (n) => ({ path: `/p${n}/x` }),
  },
  'values of the query': {
    rule: (n) => ({ when: planWhen({ query: { tenant: `t ${n}` } }, '') }),
    of: (n) => ({ path: `/?a=1&tenant=t+${n}` }),
  },
  'choices of a cookie and a path': {
    rule: (n) => ({ when: planWhen({ any: [{ cookie: { t: `${n}` } }, { path: `/p${n}` }] }, '') }),
    of: (n) => (n % 2 === 0 ? { cookies: { t: `${n}` } } : { path: `/p${n}` }),
  },
  networks: {
    rule: (n) => ({ cidr: [`10.${n >> 8}.${n & 255}.0/24`] }),
    of: (n) => ({ address: `10.${n >> 8}.${n & 255}.9` }),
  },
  'networks behind one header': {
    rule: (n) => ({ header: [['x-staff', '1']], cidr: [`10.${n >> 8}.${n & 255}.0/24`] }),
    of: (n) => ({ headers: { 'x-staff': '1' }, address: `10.${n >> 8}.${n & 255}.9` }),
  },
  'cookies behind one network and one header': {
    rule: (n) => ({ header: [['accept', '*']], cidr: ['0.0.0.0/0'], cookie: [['t', `${n}`]] }),
    of: (n) => ({ headers: { accept: '' }, cookies: { t: `${n}` } }),
  },
}

describe.each(Object.entries(many))('a thousand %s', (_, { rule, of }) => {
  const rules = Array.from({ length: 1_000 }, (_, n) => makeRule({ name: `r${n}`, to: 'green', ...rule(n) }))
  const table = makeTable(makePlan({ rules }))

  /** Decides, and counts the headers and cookies that were asked for by name. */
  function counted(options: ViewOptions): { decision: Decision; asked: number } {
    const view = makeView(options)
    let asked = 0
    const header = (name: string) => {
      asked++
      return view.header(name)
    }
    const cookie = (name: string) => {
      asked++
      return view.cookie(name)
    }
    const headerPasses = (name: string, test: TextTest) => {
      asked++
      return view.headerPasses(name, test)
    }
    const cookiePasses = (name: string, test: TextTest) => {
      asked++
      return view.cookiePasses(name, test)
    }
    return {
      decision: decide(
        { ...view, header, headerPasses, cookie, cookiePasses } as RequestView,
        table,
        noLoad,
        makeDraw(),
        NOW_MS,
      ),
      asked,
    }
  }

  test('are found, each by its own request', () => {
    for (const n of [0, 1, 31, 32, 500, 999]) {
      const { decision, asked } = counted(of(n))
      expect(decision).toMatchObject({ rule: `r${n}`, pool: { name: 'green' } })
      expect(asked).toBeLessThan(15)
    }
  })

  test('are not asked one by one for a request that has nothing of them', () => {
    const { decision, asked } = counted({ ...of(1_000), cookies: {}, path: '/', address: '192.0.2.1' })
    expect(decision.rule).toBeNull()
    expect(asked).toBeLessThan(15)
  })
})

test.each([
  ['indexed', 0],
  ['scanned', Infinity],
])('a header that comes more than once is looked at line by line and as a whole (%s)', (_, scannedMax) => {
  const matches = (wanted: string, ...lines: string[]) =>
    decide(
      headView(lines, '10.0.0.1'),
      tableWith([makeRule({ name: 'r', header: [['x-a', wanted]], to: 'green' })], scannedMax),
      noLoad,
      makeDraw(),
      NOW_MS,
    ).rule === 'r'
  const lines = ['X-A: 1', 'X-B: 9', 'x-a:  2 ', 'X-A: 3']
  for (const wanted of ['1', '2', '3', '1, 2, 3', '*'])
    expect([wanted, matches(wanted, ...lines)]).toEqual([wanted, true])
  for (const wanted of ['9', '1, 2', '2, 3', '1,2,3', ''])
    expect([wanted, matches(wanted, ...lines)]).toEqual([wanted, false])
  // What came joined is one value: whoever wrote it meant a list, or did not.
  expect([matches('1', 'X-A: 1, 2'), matches('1, 2', 'X-A: 1, 2')]).toEqual([false, true])
  expect([matches('', 'X-A:', 'X-A: 1'), matches(', 1', 'X-A:', 'X-A: 1')]).toEqual([true, true])
})

test('the lowest of many that match wins, and those that deny count before it only', () => {
  const rules = Array.from({ length: 100 }, (_, n) => makeRule({ name: `r${n}`, header: [['x', '*']], to: 'red' }))
  rules[40] = makeRule({ name: 'not-green', header: [['x', '1']], deny: 'green' })
  for (let n = 0; n < 45; n++)
    if (n !== 40) rules[n] = makeRule({ name: `r${n}`, header: [['x', '1']], to: 'green', cookie: [['no', 'no']] })
  rules[45] = makeRule({ name: 'r45', header: [['x', '1']], to: 'green' })
  rules[60] = makeRule({ name: 'not-red', header: [['x', '1']], deny: 'red' })
  const table = makeTable(makePlan({ rules, weights: { blue: 1, green: 0, red: 0 } }))
  expect(decideOne(table, { headers: { x: '1' } })).toMatchObject({ rule: 'r46', pool: { name: 'red' } })
})

test('a short list is scanned, a longer one indexed', () => {
  const rules = Array.from({ length: SCANNED_MAX + 1 }, (_, n) =>
    makeRule({ name: `r${n}`, visitor: [`u${n}`], to: 'green' }),
  )
  expect(compileRules(rules.slice(1)).index).toBeNull()
  expect(compileRules(rules).index).not.toBeNull()
})

test.each([
  ['indexed', 0],
  ['scanned', Infinity],
])('a cookie or parameter that comes more than once is looked at in full (%s)', (_, scannedMax) => {
  const matches = (when: WhenSpec, view: RequestView) =>
    decide(
      view,
      tableWith([makeRule({ name: 'r', when: planWhen(when, 'r'), to: 'green' })], scannedMax),
      noLoad,
      makeDraw(),
      NOW_MS,
    ).rule === 'r'
  const twice = headView(['Cookie: a=1; b=9; a=2', 'Cookie: a=3'], '10.0.0.1')
  expect(['1', '2', '3', '*', '9', '4'].map((a) => matches({ cookie: { a } }, twice))).toEqual([
    ...[true, true, true, true, false, false],
  ])
  const asked = makeView({ path: '/x?a=1&b=%39&a=2&c&=5' })
  expect(['1', '2', '*', '9', ''].map((a) => matches({ query: { a } }, asked))).toEqual([
    true,
    true,
    true,
    false,
    false,
  ])
  expect([matches({ query: { b: '9' } }, asked), matches({ query: { c: '' } }, asked)]).toEqual([true, true])
})
