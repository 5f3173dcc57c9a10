import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bucketOfHash } from '../../src/table/bucket.ts'
import { endOfLifeS } from '../../src/table/cookie-record.ts'
import { decide } from '../../src/table/decide.ts'
import type { RulePlan, ServicePlan, VisitorSource } from '../../src/table/plan.ts'
import type { TargetStatus } from '../../src/table/status.ts'
import type { OwnCookie, Table, TargetTable } from '../../src/table/types.ts'
import { bulk } from '../helpers/bulk.ts'
import { anyCodePoint } from '../helpers/code-point.ts'
import {
  browser,
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
  poolOfVisitor,
  type RuleShort,
  type StatusOptions,
  sticky,
  type ViewOptions,
} from './make.ts'

const staff = makeRule({ name: 'staff', header: [['x-internal', '1']], to: 'green' })
const asStaff = { 'x-internal': '1' }
const withRules = (rules: RulePlan[], plan: Partial<ServicePlan> = {}) => makeTable(makePlan({ rules, ...plan }))
const pinnedTo = (pool: string, own: Partial<OwnCookie> = {}) => makeOwn({ pool, pinned: true, ...own })

describe('admission', () => {
  test('a request that no route matches goes nowhere, with the error no_route', () => {
    const table = makeTable(makePlan({ routes: [makeRoute({ host: 'other.test' })] }))
    expect(decideOne(table)).toMatchObject({ target: null, service: null, error: 'no_route', reason: null })
  })
})

describe('rules', () => {
  test('send a person by a header to a pool without weight', () => {
    const table = withRules([staff])
    expect(decideOne(table, { headers: asStaff })).toMatchObject({
      pool: { name: 'green' },
      reason: 'rule',
      rule: 'staff',
      error: null,
    })
    expect(decideOne(table, { headers: { 'x-internal': '2' } })).toMatchObject({ pool: { name: 'blue' }, rule: null })
    expect(decideOne(table)).toMatchObject({ pool: { name: 'blue' }, reason: 'picker' })
  })

  test.each<[string, RuleShort, Parameters<typeof makeView>[0], boolean]>([
    ['a cookie', { cookie: [['beta', 'on']] }, { cookies: { beta: 'on' } }, true],
    ['another value of a cookie', { cookie: [['beta', 'on']] }, { cookies: { beta: 'off' } }, false],
    ['a header that is there', { header: [['x-any', '*']] }, { headers: { 'x-any': '' } }, true],
    ['a header that is not there', { header: [['x-any', '*']] }, {}, false],
    ['a listed visitor', { visitor: ['u-17', 'u-23'] }, { headers: { 'x-user-id': 'u-23' } }, true],
    ['another visitor', { visitor: ['u-17'] }, { headers: { 'x-user-id': 'u-1' } }, false],
    ['nobody we know', { visitor: ['u-17'] }, {}, false],
    ['an address inside', { cidr: ['10.0.0.0/8', '192.0.2.0/24'] }, {}, true],
    ['an address outside', { cidr: ['10.0.0.0/8'] }, {}, false],
    ['all of several conditions', { cookie: [['beta', '*']], cidr: ['192.0.2.1'] }, { cookies: { beta: '' } }, true],
    ['one of several conditions', { cookie: [['beta', '*']], cidr: ['192.0.2.1'] }, {}, false],
    ['no conditions at all', {}, {}, false],
  ])('match by %s', (_, rule, view, matches) => {
    const table = withRules([makeRule({ name: 'x', to: 'green', ...rule })])
    expect(decideOne(table, view).pool?.name).toBe(matches ? 'green' : 'blue')
  })

  test('the first that matches wins', () => {
    const second = makeRule({ name: 'second', header: [['x-internal', '*']], to: 'blue' })
    expect(decideOne(withRules([staff, second]), { headers: asStaff }).rule).toBe('staff')
    expect(decideOne(withRules([second, staff]), { headers: asStaff }).rule).toBe('second')
  })

  test('beat a pin, which beats the bucket', () => {
    const table = withRules([staff], { weights: { blue: 1, green: 0, red: 0 } })
    const own = pinnedTo('red')
    expect(decideOne(table, { headers: asStaff, own })).toMatchObject({ pool: { name: 'green' }, reason: 'rule' })
    expect(decideOne(table, { headers: { 'x-user-id': 'u' }, own })).toMatchObject({
      pool: { name: 'red' },
      reason: 'pin',
    })
    expect(decideOne(table, { headers: { 'x-user-id': 'u' } })).toMatchObject({
      pool: { name: 'blue' },
      reason: 'bucket',
    })
  })
})

describe('deny', () => {
  const denyGreen = makeRule({ name: 'not-green', header: [['x-careful', '*']], deny: 'green' })
  const careful = { 'x-careful': '1' }

  test('keeps matching requests out of a pool, by bucket, picker, pin and later rules', () => {
    const table = withRules([denyGreen, staff], { weights: { blue: 1, green: 99 } })
    const draw = makeDraw()
    for (let n = 0; n < 200; n++) {
      expect(decideOne(table, { headers: careful }, draw).pool?.name).toBe('blue')
      expect(decideOne(table, { headers: { ...careful, 'x-user-id': `u${n}` } }, draw).pool?.name).toBe('blue')
    }
    expect(decideOne(table, { headers: careful, own: pinnedTo('green') })).toMatchObject({
      pool: { name: 'blue' },
      reason: 'bucket',
    })
    expect(decideOne(table, { headers: { ...careful, ...asStaff } })).toMatchObject({
      pool: { name: 'blue' },
      rule: null,
    })
  })

  test('is not noted: the next request without it is where it was', () => {
    const table = withRules([denyGreen], { weights: { blue: 0, green: 1, red: 1 } })
    const own = makeOwn({ visitor: 'v1', pool: 'green' })
    expect(decideOne(table, { own })).toMatchObject({ pool: { name: 'green' }, setCookie: null })
    expect(decideOne(table, { headers: careful, own })).toMatchObject({ pool: { name: 'red' }, setCookie: null })
  })

  test('leaves the share of the denied pool to the others by weight', () => {
    const table = withRules([denyGreen], { weights: { blue: 30, green: 60, red: 10 } })
    const draw = makeDraw()
    for (const key of [(n: number) => ({ 'x-user-id': `u${n}` }), () => ({})]) {
      const pools = Array.from(
        { length: 4_000 },
        (_, n) => decideOne(table, { headers: { ...careful, ...key(n) } }, draw).pool?.name,
      )
      expect(Math.abs(pools.filter((pool) => pool === 'blue').length / 40 - 75)).toBeLessThan(2.5)
      expect(pools).not.toContain('green')
    }
  })

  test('holds in failover too: better no answer than a denied pool', () => {
    const dead = { 'http://blue-0.test:3000': { health: 'unhealthy', admin: 'maint' } } as const
    const table = makeTable(makePlan({ rules: [denyGreen], failover: ['green'] }), { targets: dead })
    expect(decideOne(table, { headers: careful })).toMatchObject({ target: null, error: 'no_healthy_target' })
    expect(decideOne(table)).toMatchObject({ pool: { name: 'green' }, reason: 'failover' })
  })

  test('of every pool leaves nothing', () => {
    const denyBlue = makeRule({ name: 'not-blue', header: [['x-careful', '*']], deny: 'blue' })
    const table = withRules([denyGreen, denyBlue], { weights: { blue: 1, green: 1 } })
    for (const headers of [careful, { ...careful, 'x-user-id': 'u' }, { ...careful, ...browser }]) {
      expect(decideOne(table, { headers })).toMatchObject({ target: null, error: 'no_healthy_target', setCookie: null })
    }
  })
})

describe('pins', () => {
  test('are set by a rule that pins, once', () => {
    const table = withRules([{ ...staff, pin: true }])
    const first = decideOne(table, { headers: asStaff })
    expect(first.setCookie).toEqual(makeOwn({ visitor: 'id-1-0', pool: 'green', pinned: true }))
    expect(decideOne(table, { headers: asStaff, own: first.setCookie }).setCookie).toBeNull()
    expect(decideOne(table, { own: first.setCookie })).toMatchObject({
      pool: { name: 'green' },
      reason: 'pin',
      setCookie: null,
    })
  })

  test('keep the visitor id of the cookie that they replace', () => {
    const own = makeOwn({ visitor: 'me' })
    expect(decideOne(withRules([{ ...staff, pin: true }]), { headers: asStaff, own }).setCookie).toMatchObject({
      visitor: 'me',
      pool: 'green',
      pinned: true,
    })
  })

  test('are honoured at weight 0', () => {
    const table = makeTable(makePlan({ weights: { blue: 1, green: 0 } }))
    expect(decideOne(table, { own: pinnedTo('green') })).toMatchObject({
      pool: { name: 'green' },
      reason: 'pin',
      setCookie: null,
    })
  })

  test('die with their release, and are replaced', () => {
    const table = makeTable(makePlan(), { release: 'r2' })
    const decision = decideOne(table, { own: pinnedTo('green', { visitor: 'me' }) })
    expect(decision).toMatchObject({ pool: { name: 'blue' }, reason: 'bucket' })
    expect(decision.setCookie).toEqual(makeOwn({ visitor: 'me', release: 'r2' }))
  })

  test('to a pool that is gone, or of another service under the same name, are not honoured', () => {
    const table = makeTable(makePlan())
    expect(decideOne(table, { own: pinnedTo('gone') }).pool?.name).toBe('blue')
    expect(decideOne(table, { own: pinnedTo('green', { service: 'api' }) }).pool?.name).toBe('blue')
  })

  test('outlive a time when their pool takes nobody', () => {
    const table = makeTable(makePlan(), { pools: { green: { admin: 'standby' } } })
    expect(decideOne(table, { own: pinnedTo('green') })).toMatchObject({ pool: { name: 'blue' }, setCookie: null })
  })

  test('need a cookie to be kept in', () => {
    const table = withRules([{ ...staff, pin: true }], { sticky: null })
    expect(decideOne(table, { headers: asStaff, own: pinnedTo('blue') })).toMatchObject({
      pool: { name: 'green' },
      setCookie: null,
    })
  })
})

describe('our cookie', () => {
  const fifty = makePlan({ weights: { blue: 50, green: 50 } })

  test.each<[string, Record<string, string>, boolean]>([
    ['accepts HTML', { accept: 'text/html' }, true],
    ['sends sec-fetch-mode', { 'sec-fetch-mode': 'cors' }, true],
    ['sends sec-fetch-site', { 'sec-fetch-site': 'none' }, true],
    ['sends sec-fetch-dest', { 'sec-fetch-dest': 'image' }, true],
    ['is Mozilla', { 'user-agent': 'Mozilla/5.0 (X11)' }, true],
    ['is curl', { accept: '*/*', 'user-agent': 'curl/8.5' }, false],
    ['says nothing', {}, false],
    ['has a key of its own', { ...browser, 'x-user-id': 'u' }, false],
  ])('is given to a client that %s: %#', (_, headers, given) => {
    const { setCookie, reason } = decideOne(makeTable(fifty), { headers })
    expect(setCookie !== null).toBe(given)
    if (!given && headers['x-user-id'] === undefined) expect(reason).toBe('picker')
  })

  test('is not given where it would not be read, or nothing is kept', () => {
    const header: VisitorSource[] = [{ from: 'header', name: 'x-user-id' }]
    for (const plan of [{ visitor: header }, { sticky: null }, { sticky: { ...sticky, pool: false, target: false } }]) {
      expect(decideOne(makeTable({ ...fifty, ...plan }), { headers: browser })).toMatchObject({
        setCookie: null,
        reason: 'picker',
      })
    }
  })

  test('is not asked for when the service keeps nobody', () => {
    const view = { ...makeView(), ownCookie: () => expect.unreachable() }
    decide(view, makeTable({ ...fifty, sticky: null }), noLoad, makeDraw(), NOW_MS)
  })

  test('is renewed when it notes another pool or release, and only then', () => {
    const table = makeTable(makePlan(), { release: 'r3' })
    expect(decideOne(table, { own: makeOwn({ release: 'r3' }) }).setCookie).toBeNull()
    expect(decideOne(table, { own: makeOwn({ release: 'r3', pool: 'green' }) }).setCookie).toEqual(
      makeOwn({ release: 'r3' }),
    )
    expect(decideOne(table, { own: makeOwn({ release: 'r2' }) }).setCookie).toEqual(makeOwn({ release: 'r3' }))
  })

  test('is left alone by rules that do not pin', () => {
    expect(decideOne(withRules([staff]), { headers: asStaff, own: makeOwn() }).setCookie).toBeNull()
  })

  test('of another service under the same host gives the visitor, and a cookie of its own', () => {
    const table = makeTable(makePlan({ weights: { blue: 1, green: 1 } }))
    for (let n = 0; n < 100; n++) {
      const mine = decideOne(table, { own: makeOwn({ visitor: `v${n}` }) })
      const other = makeOwn({ visitor: `v${n}`, service: 'api', release: 'r9' })
      const theirs = decideOne(table, { own: other })
      expect([theirs.pool?.name, theirs.visitor]).toEqual([mine.pool?.name, mine.visitor])
      expect(theirs.setCookie).toEqual(makeOwn({ visitor: `v${n}`, pool: theirs.pool?.name }))
      // Where the visitor is known by something else, nothing is noted without need.
      expect(decideOne(table, { own: other, headers: { 'x-user-id': 'u' } }).setCookie).toBeNull()
    }
  })

  test('is renewed at half of its life, whatever was decided, and says what it said', () => {
    const halfMs = (sticky.maxAgeS / 2) * 1_000
    const table = withRules([staff])
    for (const own of [makeOwn(), makeOwn({ release: 'r0', pool: 'green', pinned: true })]) {
      for (const headers of [asStaff, { 'x-user-id': 'u' }]) {
        const before = decideOne(table, {
          own: { ...own, release: 'r1', pool: 'blue' },
          headers,
          wallMs: NOW_MS + halfMs * 0.8,
        })
        expect(before.setCookie).toBeNull()
      }
      const wallMs = NOW_MS + halfMs
      const renewed = decideOne(table, { own, headers: asStaff, wallMs }).setCookie
      expect(renewed).toEqual({ ...own, endS: endOfLifeS(sticky, wallMs) })
    }
    expect(
      decideOne(table, { own: makeOwn({ service: 'api' }), headers: asStaff, wallMs: NOW_MS * 2 }).setCookie,
    ).toBeNull()
  })
})

describe('retries', () => {
  test('of a request without a key stay in the pool of the first try, and take no number', () => {
    const table = makeTable(makePlan({ weights: { blue: 1, green: 1 } }, 2))
    const draw = makeDraw()
    for (let n = 0; n < 20; n++) {
      const first = decideOne(table, {}, draw)
      const again = decide(makeView(), table, noLoad, { ...draw, next: () => expect.unreachable() }, NOW_MS, {
        exclude: [first.target!],
        avoid: null,
        missing: [],
      })
      expect(again).toMatchObject({ pool: { name: first.pool!.name }, reason: 'picker' })
      expect(again.target).not.toBe(first.target)
    }
  })

  test('of a new browser keep the id that it was given, and note the pool that it belongs to, whoever answers', () => {
    const table = makeTable(makePlan({ weights: { blue: 1, green: 1 } }))
    const draw = makeDraw()
    const pools = new Set<string>()
    for (let n = 0; n < 20; n++) {
      const first = decideOne(table, { headers: browser }, draw)
      const again = decide(makeView({ headers: browser }), table, noLoad, draw, NOW_MS, {
        exclude: [first.target!],
        avoid: null,
        missing: [],
        givenId: first.visitor,
      })
      const { visitor, bucket, aimed, setCookie } = first
      expect(again).toMatchObject({ visitor, fresh: true, bucket, aimed, setCookie, reason: 'failover' })
      pools.add(setCookie!.pool)
    }
    expect(pools).toEqual(new Set(['blue', 'green']))
  })

  test('go to another pool when theirs has nothing left, and nowhere when none has', () => {
    const table = makeTable(makePlan({ weights: { blue: 1, green: 1 } }))
    const first = decideOne(table)
    const second = decide(makeView(), table, noLoad, makeDraw(), NOW_MS, {
      exclude: [first.target!],
      avoid: null,
      missing: [],
    })
    expect(second).toMatchObject({ reason: 'failover', aimed: { name: first.pool!.name } })
    expect(second.pool).not.toBe(first.pool)
    const third = decide(makeView(), table, noLoad, makeDraw(), NOW_MS, {
      exclude: [first.target!, second.target!],
      avoid: null,
      missing: [],
    })
    expect(third).toMatchObject({ target: null, error: 'no_healthy_target' })
  })

  test('know the excluded target in a newer table, and in every pool that shares it', () => {
    const shared = ['http://one.test:1']
    const pools = ['blue', 'green'].map((name) => ({ name, version: '', targets: shared }))
    const plan = makePlan({ pools })
    const first = decideOne(makeTable(plan))
    expect(
      decide(makeView(), makeTable(plan), noLoad, makeDraw(), NOW_MS, {
        exclude: [first.target!],
        avoid: null,
        missing: [],
      }).target,
    ).toBeNull()
  })

  test('that only avoid a target stay in its pool too and take no number, even when they come back to it', () => {
    for (const count of [1, 2]) {
      const table = makeTable(makePlan({ weights: { blue: 1, green: 1 } }, count))
      const draw = makeDraw()
      for (let n = 0; n < 20; n++) {
        const first = decideOne(table, {}, draw)
        const silent = { ...draw, next: () => expect.unreachable() }
        const again = decide(makeView(), table, noLoad, silent, NOW_MS, {
          exclude: [],
          avoid: first.target,
          missing: [],
        })
        expect(again).toMatchObject({ pool: { name: first.pool!.name }, reason: 'picker' })
        expect(again.target === first.target).toBe(count === 1)
      }
    }
  })
})

describe('laws', () => {
  const odd = fc.oneof(
    fc.constantFrom(
      '__proto__',
      'constructor',
      'hasOwnProperty',
      'u-1',
      '',
      '*',
      'Bearer a.e30.b',
      'Bearer ..',
      'x'.repeat(60_000),
    ),
    fc.string({ unit: anyCodePoint }),
  )
  const viewOf = fc.record({
    method: odd,
    host: odd,
    path: fc.oneof(odd, fc.constant('/')),
    address: odd,
    headers: fc.dictionary(fc.constantFrom('x-user-id', 'authorization', 'accept', 'user-agent', 'x-internal'), odd),
    cookies: fc.dictionary(fc.constantFrom('uid', '__proto__'), odd),
    own: fc.option(
      fc.record({
        visitor: odd,
        service: fc.constantFrom('shop', '__proto__'),
        pool: odd,
        release: fc.constantFrom('r1', 'r2'),
        target: odd,
        pinned: fc.boolean(),
        endS: fc.constantFrom(0, 1_800_300_000, 1_800_604_800),
      }),
    ),
  })
  const sources: VisitorSource[] = [
    { from: 'header', name: 'x-user-id' },
    { from: 'cookie', name: 'uid' },
    { from: 'jwt', claim: 'sub' },
    { from: 'own' },
  ]
  const rules = [
    staff,
    makeRule({ name: 'near', cidr: ['10.0.0.0/8'], deny: 'blue' }),
    makeRule({ name: 'u', visitor: ['__proto__', 'u-1'], to: 'blue', pin: true }),
  ]
  const stateOf = fc.record({
    admin: fc.constantFrom('ready', 'ready', 'drain', 'standby', 'maint'),
    drainUntilMs: fc.constantFrom(0, NOW_MS + 1),
    health: fc.constantFrom('healthy', 'unhealthy', 'unknown'),
    ejectedUntilMs: fc.constantFrom(0, NOW_MS, NOW_MS + 1),
  })

  test('every decision has a target and a reason, or an error; and nothing that a client sends makes it throw', () => {
    const weights = fc.record({ blue: fc.nat(3), green: fc.nat(3), red: fc.nat(3) })
    fc.assert(
      fc.property(
        viewOf,
        weights,
        fc.array(stateOf, { minLength: 12, maxLength: 12 }),
        fc.constantFrom('least-request', 'round-robin', 'random', 'hash'),
        fc.boolean(),
        (view, split, states, balance, target) => {
          const plan = makePlan({ weights: split, visitor: sources, rules, balance, sticky: { ...sticky, target } }, 3)
          const urls = plan.pools.flatMap((pool) => pool.targets)
          const pools = Object.fromEntries(
            plan.pools.map((pool, index) => [
              pool.name,
              { admin: states[9 + index].admin, drainUntilMs: states[9 + index].drainUntilMs },
            ]),
          )
          const table = makeTable(plan, {
            pools,
            targets: Object.fromEntries(urls.map((url, index) => [url, states[index]])),
          })
          const decision = decideOne(table, view)
          expect(decision.error === null).toBe(decision.target !== null)
          expect(decision.target?.pool ?? null).toBe(decision.pool)
          if (decision.error !== 'no_route') expect(decision.reason).not.toBeNull()
          if (decision.pool !== null) {
            expect(['ready', 'drain']).toContain(decision.pool.admin)
            expect(['ready', 'drain']).toContain(decision.target?.admin)
          }
          if (decision.pool?.admin === 'drain') expect(view.own?.pool).toBe(decision.pool.name)
          const again = decideOne(table, view)
          expect([again.pool, again.reason, again.rule, again.setCookie]).toEqual([
            decision.pool,
            decision.reason,
            decision.rule,
            decision.setCookie,
          ])
        },
      ),
      { numRuns: bulk(600, 2_000) },
    )
  })
})

describe('a client that has logged in by its connection', () => {
  const plan = makePlan({ weights: { blue: 1, green: 1 } }, 3)
  const targetOf = (table: Table, url: string) =>
    table.services
      .get('shop')!
      .pools.flatMap((pool) => pool.targets)
      .find((target) => target.url === url)!
  /** Where it goes in 30 requests. */
  const urlsOf = (table: Table, tied: TargetTable, options: ViewOptions = {}) => {
    const draw = makeDraw()
    const view = makeView(options)
    return new Set(
      Array.from(
        { length: 30 },
        () => decide(view, table, noLoad, draw, NOW_MS, { exclude: [], avoid: null, missing: [] }, [tied]).target!.url,
      ),
    )
  }
  const GREEN = 'http://green-1.test:3000'

  test('stays with its target, when nothing says who the visitor is', () => {
    const table = makeTable(plan)
    expect(urlsOf(table, targetOf(table, GREEN))).toEqual(new Set([GREEN]))
    expect(urlsOf(table, targetOf(table, GREEN), { headers: browser })).toEqual(new Set([GREEN]))
  })

  test('goes with its bucket, when it has one, and stays with its target within that pool', () => {
    const table = makeTable(plan)
    const visitorsOf = (pool: string) =>
      Array.from({ length: 40 }, (_, n) => `u${n}`).filter((visitor) => poolOfVisitor(table, visitor) === pool)
    const headers = (visitor: string) => ({ headers: { 'x-user-id': visitor } })
    const green = targetOf(table, GREEN)
    expect(urlsOf(table, green, headers(visitorsOf('green')[0]))).toEqual(new Set([GREEN]))
    for (const url of urlsOf(table, green, headers(visitorsOf('blue')[0]))) expect(url).toContain('blue')
  })

  test.each<[string, Partial<ServicePlan>, StatusOptions]>([
    ['has no share any more', { weights: { blue: 1, green: 0 } }, {}],
    ['is denied to it', { rules: [makeRule({ name: 'no', cidr: ['0.0.0.0/0'], deny: 'green' })] }, {}],
    ['takes nobody new', {}, { pools: { green: { admin: 'standby' } } }],
  ])('leaves a pool that %s', (_name, changed, status) => {
    const table = makeTable({ ...plan, ...changed }, status)
    for (const url of urlsOf(table, targetOf(table, GREEN))) expect(url).toContain('blue')
  })

  test.each<[string, Partial<TargetStatus>]>([
    ['drains', { admin: 'drain', drainUntilMs: NOW_MS + 1_000 }],
    ['is ejected', { ejectedUntilMs: NOW_MS + 1_000 }],
    ['is unhealthy', { health: 'unhealthy' }],
  ])('leaves a target that %s', (_name, status) => {
    const table = makeTable({ ...plan, weights: { blue: 0, green: 1 } }, { targets: { [GREEN]: status } })
    const urls = urlsOf(table, targetOf(table, GREEN))
    expect(urls.has(GREEN)).toBe(false)
    expect(urls.size).toBe(2)
  })

  test('is at another address, when its slot has been given to one', () => {
    const table = makeTable(plan)
    const { slot } = targetOf(table, GREEN)
    const gone = { ...targetOf(table, GREEN), url: 'http://gone.test:3000' }
    expect(slot).toBe(gone.slot)
    expect(urlsOf(table, gone).size).toBeGreaterThan(1)
  })
})

test('the hash of a visitor is told, but not of one who is given an id only now', () => {
  const table = makeTable(makePlan({ weights: { blue: 1, green: 1 } }))
  const known = decideOne(table, { headers: { 'x-user-id': 'u-1' } })
  expect(bucketOfHash(known.visitorHash >>> 0)).toBe(known.bucket)
  const fresh = decideOne(table, { headers: browser })
  expect([fresh.visitorHash, fresh.bucket >= 0]).toEqual([-1, true])
  expect(decideOne(table).visitorHash).toBe(-1)
})
