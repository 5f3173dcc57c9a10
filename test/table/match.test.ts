import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EMPTY_ROUTER, match, updateRouter } from '../../src/table/match.ts'
import type { RoutePlan } from '../../src/table/plan.ts'
import type { RequestView, TextTest } from '../../src/table/types.ts'
import { bulk } from '../helpers/bulk.ts'
import { makeRoute, makeView, type ViewOptions } from './make.ts'

const routerOf = (services: Record<string, readonly RoutePlan[]>) =>
  updateRouter(EMPTY_ROUTER, new Map(Object.entries(services)))
const serviceOf = (services: Record<string, readonly RoutePlan[]>, view: ViewOptions) =>
  match(routerOf(services), makeView(view))?.service ?? null

describe('hosts', () => {
  const services = {
    exact: [makeRoute({ host: 'shop.example.com' })],
    deep: [makeRoute({ host: '*.eu.example.com' })],
    wild: [makeRoute({ host: '*.example.com' })],
    any: [makeRoute()],
  }

  test.each([
    ['shop.example.com', 'exact'],
    ['api.example.com', 'wild'],
    ['a.b.example.com', 'wild'],
    ['a.eu.example.com', 'deep'],
    ['eu.example.com', 'wild'],
    ['example.com', 'any'],
    ['.example.com', 'any'],
    ['badexample.com', 'any'],
    ['example.com.evil.test', 'any'],
    ['', 'any'],
    ['__proto__', 'any'],
  ])('%s is served by %s', (host, service) => {
    expect(serviceOf(services, { host })).toBe(service)
  })

  test('a host whose paths do not match leaves the request to the wildcard, then to *', () => {
    const some = {
      exact: [makeRoute({ host: 'a.b.test', path: '/exact' })],
      wild: [makeRoute({ host: '*.b.test', path: '/wild' })],
      wider: [makeRoute({ host: '*.test', path: '/wider' })],
      any: [makeRoute({ path: '/any' })],
    }
    for (const service of Object.keys(some))
      expect(serviceOf(some, { host: 'a.b.test', path: `/${service}` })).toBe(service)
    expect(serviceOf(some, { host: 'a.b.test', path: '/none' })).toBeNull()
  })
})

describe('paths', () => {
  const services = { root: [makeRoute()], api: [makeRoute({ path: '/api/' })], v2: [makeRoute({ path: '/api/v2' })] }

  test.each([
    ['/', 'root'],
    ['/apix', 'root'],
    ['/API', 'root'],
    ['/api', 'api'],
    ['/api/', 'api'],
    ['/api/v', 'api'],
    ['/api/v2', 'v2'],
    ['/api/v2/x', 'v2'],
    ['/api/v20', 'api'],
    ['/api//v2', 'api'],
    ['//api', 'root'],
    ['/%61pi', 'root'],
    ['/api/../v2', 'api'],
    ['*', 'root'],
    ['', 'root'],
  ])('%s belongs to %s', (path, service) => {
    expect(serviceOf(services, { path })).toBe(service)
  })

  test('a long path costs no more than reading it once', () => {
    const routes = Array.from({ length: 2_000 }, (_, n) => makeRoute({ path: '/a'.repeat(n + 1) }))
    const router = routerOf({ deep: routes })
    const view = makeView({ path: '/a'.repeat(500_000) })
    expect(match(router, view)?.path.length).toBe(4_000)
  })
})

describe('conditions', () => {
  test('a route with method or header beats one without at the same path, but not a longer path', () => {
    const services = {
      plain: [makeRoute({ path: '/api' })],
      posts: [makeRoute({ path: '/api', method: 'POST' })],
      beta: [makeRoute({ path: '/api', header: [['x-beta', '1']] })],
      both: [makeRoute({ path: '/api', method: 'POST', header: [['x-beta', '1']] })],
      present: [makeRoute({ path: '/', header: [['x-any', '*']] })],
    }
    expect(serviceOf(services, { path: '/api' })).toBe('plain')
    expect(serviceOf(services, { path: '/api', method: 'POST' })).toBe('posts')
    expect(serviceOf(services, { path: '/api', headers: { 'x-beta': '1' } })).toBe('beta')
    expect(serviceOf(services, { path: '/api', method: 'POST', headers: { 'x-beta': '1' } })).toBe('both')
    expect(serviceOf(services, { path: '/api', headers: { 'x-beta': '2', 'x-any': '' } })).toBe('plain')
    expect(serviceOf(services, { path: '/other', headers: { 'x-any': '' } })).toBe('present')
    expect(serviceOf(services, { path: '/other' })).toBeNull()
  })

  test('a longer path whose conditions fail leaves the request to the shorter one', () => {
    const services = { root: [makeRoute()], puts: [makeRoute({ path: '/a/b', method: 'PUT' })] }
    expect(serviceOf(services, { path: '/a/b/c' })).toBe('root')
    expect(serviceOf(services, { path: '/a/b/c', method: 'PUT' })).toBe('puts')
  })
})

/** The rules of the matcher, said the slow way. */
function slowMatch(services: Record<string, readonly RoutePlan[]>, view: RequestView): string | null {
  const fitting = Object.entries(services)
    .flatMap(([service, plans]) => plans.map((plan) => ({ service, plan })))
    .filter(({ plan }) => {
      const path = plan.path.length > 1 && plan.path.endsWith('/') ? plan.path.slice(0, -1) : plan.path
      const onHost =
        plan.host === '*' ||
        plan.host === view.host ||
        (plan.host.startsWith('*.') &&
          view.host.endsWith(plan.host.slice(1)) &&
          view.host.length > plan.host.length - 1)
      const onPath = path === '/' || view.path === path || view.path.startsWith(`${path}/`)
      return (
        onHost &&
        onPath &&
        (plan.method === null || plan.method === view.method) &&
        plan.header.every(([name, value]) => view.header(name) === value)
      )
    })
  const rank = ({ plan, service }: (typeof fitting)[number]) => [
    plan.host === '*' ? 0 : plan.host.startsWith('*.') ? plan.host.length : 1e6,
    plan.path.length - (plan.path.length > 1 && plan.path.endsWith('/') ? 1 : 0),
    plan.header.length + (plan.method === null ? 0 : 1),
    -service.charCodeAt(0),
  ]
  fitting.sort(
    (a, b) =>
      rank(b)
        .map((value, at) => value - rank(a)[at])
        .find((difference) => difference !== 0) ?? 0,
  )
  return fitting[0]?.service ?? null
}

const segment = fc.constantFrom('a', 'b', 'ab', '')
const pathOf = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join('/')}`)
const hostOf = fc
  .array(fc.constantFrom('a', 'b', 'test'), { minLength: 1, maxLength: 4 })
  .map((labels) => labels.join('.'))
const routePlan: fc.Arbitrary<RoutePlan> = fc
  .record({
    host: fc.oneof(
      hostOf,
      hostOf.map((host) => `*.${host}`),
      fc.constant('*'),
    ),
    path: pathOf,
    method: fc.constantFrom(null, null, 'POST'),
    header: fc.constantFrom<RoutePlan['header'][]>([], [], [['x-beta', '1']]),
    preview: fc.constantFrom<RoutePlan['preview'][]>(
      null,
      null,
      { pool: 'blue', from: null },
      { pool: 'green', from: ['10.0.0.0/8'] },
    ),
  })
  .map((plan) => ({ ...plan, header: plan.header as RoutePlan['header'] }))
const servicesOf = fc.dictionary(fc.constantFrom('p', 'q', 'r', 's'), fc.array(routePlan, { maxLength: 6 }), {
  noNullPrototype: true,
})
const viewOf = fc.record({
  host: hostOf,
  path: pathOf,
  method: fc.constantFrom('GET', 'POST'),
  headers: fc.constantFrom<Record<string, string>>({}, { 'x-beta': '1' }),
})

describe('laws', () => {
  test('the tree finds what a scan of all routes by the rules finds', () => {
    fc.assert(
      fc.property(servicesOf, fc.array(viewOf, { minLength: 1, maxLength: 20 }), (services, views) => {
        const router = routerOf(services)
        for (const options of views) {
          const view = makeView(options)
          expect(match(router, view)?.service ?? null).toBe(slowMatch(services, view))
        }
      }),
      { numRuns: bulk(300, 1_000) },
    )
  })

  test('routes at one path, few or many, are tried in the order of their precedence', () => {
    const plan = fc.record({
      method: fc.constantFrom(null, null, null, 'POST'),
      header: fc
        .dictionary(fc.constantFrom('x-a', 'x-b', 'x-c'), fc.constantFrom('1', '2', '3', '*'), {
          noNullPrototype: true,
        })
        .map((header) => Object.entries(header)),
    })
    const routes = fc.array(plan.map(makeRoute), { minLength: 1, maxLength: 30 })
    const headers = fc.dictionary(fc.constantFrom('x-a', 'x-b', 'x-c'), fc.constantFrom('1', '2', '3', '4'), {
      noNullPrototype: true,
    })
    const precedence = ({ header, method }: RoutePlan) => header.length + (method === null ? 0 : 1)
    const fits = (route: RoutePlan, view: RequestView) =>
      (route.method === null || route.method === view.method) &&
      route.header.every(([name, value]) =>
        value === '*' ? view.header(name) !== undefined : view.header(name) === value,
      )
    fc.assert(
      fc.property(routes, headers, fc.constantFrom('GET', 'POST'), (plans, given, method) => {
        const view = makeView({ headers: given, method })
        const expected = plans.toSorted((a, b) => precedence(b) - precedence(a)).find((route) => fits(route, view))
        expect(match(routerOf({ shop: plans }), view)?.plan).toBe(expected)
      }),
      { numRuns: bulk(300, 1_000) },
    )
  })

  test('of ten thousand routes at one path, none is asked whose header the request does not have', () => {
    const plans = Array.from({ length: 10_000 }, (_, n) => makeRoute({ header: [['x-tenant', `t${n}`]] }))
    const router = routerOf({ tenants: plans, rest: [makeRoute()] })
    let asked = 0
    const counted = (headers: Record<string, string>) => {
      const view = makeView({ headers })
      asked = 0
      const headerPasses = (name: string, test: TextTest) => {
        asked++
        return view.headerPasses(name, test)
      }
      return match(router, { ...view, headerPasses })
    }
    expect(counted({ 'x-tenant': 't9999' })?.plan).toBe(plans[9_999])
    expect(asked).toBe(1)
    expect(counted({ accept: '*/*' })?.service).toBe('rest')
    expect(asked).toBe(0)
  })

  test('a router brought up by changes finds what one built at once finds, and leaves the old one alone', () => {
    fc.assert(
      fc.property(
        fc.array(servicesOf, { minLength: 2, maxLength: 4 }),
        fc.array(viewOf, { minLength: 1, maxLength: 10 }),
        (steps, views) => {
          let router = EMPTY_ROUTER
          let all: Record<string, readonly RoutePlan[]> = {}
          const past: [typeof router, typeof all][] = []
          for (const step of steps) {
            router = updateRouter(router, new Map(Object.entries(step)))
            all = { ...all, ...step }
            past.push([router, all])
          }
          for (const [old, services] of past) {
            for (const options of views)
              expect(match(old, makeView(options))?.service ?? null).toBe(slowMatch(services, makeView(options)))
          }
        },
      ),
      { numRuns: bulk(100, 300) },
    )
  })

  test('the same routes again are the same router, and other hosts are shared', () => {
    const before = routerOf({
      a: [makeRoute({ host: 'a.test' })],
      b: [makeRoute({ host: 'b.test', header: [['x', '1']] })],
    })
    expect(updateRouter(before, new Map([['b', [makeRoute({ host: 'b.test', header: [['x', '1']] })]]]))).toBe(before)
    const after = updateRouter(before, new Map([['b', [makeRoute({ host: 'b.test', header: [['x', '2']] })]]]))
    const more = updateRouter(before, new Map([['b', [...before.plans.get('b')!, makeRoute({ host: 'c.test' })]]]))
    expect(more.exact.get('b.test')).toBe(before.exact.get('b.test'))
    expect(match(more, makeView({ host: 'c.test' }))?.service).toBe('b')
    expect(after).not.toBe(before)
    expect(after.exact.get('a.test')).toBe(before.exact.get('a.test'))
    expect(
      updateRouter(
        after,
        new Map([
          ['a', []],
          ['b', []],
        ]),
      ),
    ).toEqual(EMPTY_ROUTER)
  })
})
