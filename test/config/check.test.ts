import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalService } from '../../src/config/canonical.ts'
import {
  checkServices,
  validatePool,
  validateRules,
  validateService,
  validateState,
  validateWeights,
} from '../../src/config/check.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'
import type { Fault } from '../../src/errors.ts'
import { bulk } from '../helpers/bulk.ts'

const body = (changes: object = {}): object => ({
  routes: [{ host: 'shop.example.com' }],
  pools: {
    blue: { version: '1.0', targets: ['http://127.0.0.1:3001'] },
    green: { version: '1.1', targets: ['http://127.0.0.1:3002'] },
  },
  split: { blue: 90, green: 10 },
  ...changes,
})

function spec(changes: object = {}): ServiceSpec {
  const checked = validateService(body(changes))
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  return checked.spec
}

type Result = { readonly spec: unknown } | { readonly faults: readonly Fault[] }

/** Faults as `pointer message`. */
const faults = (checked: Result): string[] =>
  'faults' in checked ? checked.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []

const one = (changes: object): string[] => faults(validateService(body(changes)))

test('a sound service has no faults and comes back in canonical form with defaults', () => {
  expect(spec()).toMatchObject({
    routes: [{ host: 'shop.example.com', path: '/' }],
    split: { blue: 90, green: 10 },
    visitor: ['cookie'],
    balance: 'least-request',
  })
})

test('the body that was given is never changed', () => {
  const given = body({ live: 'blue', split: undefined })
  const before = structuredClone(given)
  validateService(given)
  expect(given).toEqual(before)
})

/** Every part of a service with all of its keys, as the path that leads to it. */
function partsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  const members = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return [path, ...members.flatMap(([key, member]) => partsOf(member, [...path, key]))]
}

function withPart(value: unknown, [key, ...rest]: readonly string[], part: unknown): unknown {
  if (key === undefined) return part
  if (Array.isArray(value))
    return value.map((item, index) => (String(index) === key ? withPart(item, rest, part) : item))
  return { ...(value as object), [key]: withPart((value as Record<string, unknown>)[key], rest, part) }
}

const whole = body({
  capacity: { requestsPerTarget: 2, requestsPerPool: 3, queue: { requests: 4, for: '5s' } },
  pools: {
    blue: { version: '1.0', targets: ['http://127.0.0.1:3001'], weights: { 'http://127.0.0.1:3001': 2 } },
    green: { version: '1.1', targets: ['http://127.0.0.1:3002'] },
  },
  routes: [{ host: 'shop.example.com', path: '/', method: 'GET', header: { a: 'b' } }],
  rules: [
    { name: 'r', when: { header: { a: 'b' }, cookie: { c: 'd' }, visitor: ['v'], cidr: ['10.0.0.0/8'] }, to: 'blue' },
  ],
  visitor: ['header:x', 'cookie'],
  sticky: { pool: true, target: false, cookie: 'turnout', maxAge: '7d', secure: false, sameSite: 'lax' },
  balance: { hash: 'header:x-tenant' },
  failover: ['green'],
  health: {
    path: '/health',
    host: 'a.example',
    status: '200',
    json: { a: 1 },
    expectVersion: 'v',
    interval: '1s',
    timeout: '1s',
  },
  drain: { timeout: '1s', tunnels: { over: '1s', perSecond: 5, message: 'm', close: 1_001 }, rebalance: true },
  timeouts: { connect: '1s', response: '1s', idle: '1s' },
  debugHeaders: false,
})

test.each(partsOf(whole).map((path) => ({ at: `/${path.join('/')}`, path })))(
  'whatever stands at $at, it is a fault or sound, and never a bug',
  ({ path }) => {
    expect(faults(validateService(whole))).toEqual([])
    for (const odd of [null, true, 0, -1.5, '', 'x', [], [null], [[]], {}, { a: null }, { a: {} }]) {
      const checked = validateService(withPart(whole, path, odd))
      expect('spec' in checked || checked.faults.length > 0).toBe(true)
    }
  },
)

test('the canonical form is reached in one step', () => {
  const canonical = spec({ routes: [{ host: 'A.Example', method: 'get' }], split: { green: 1 } })
  expect(canonicalService(canonical)).toEqual(canonical)
  expect(JSON.stringify(canonicalService(canonical))).toBe(JSON.stringify(canonical))
})

test.each<[string, object, string]>([
  ['split and live together', { live: 'blue' }, '/live give either split or live, not both'],
  [
    'neither with two pools',
    { split: undefined },
    '/split missing key "split" (or "live"): with several pools it says where requests go',
  ],
  ['a split of zeros', { split: { blue: 0 } }, '/split every weight is 0: at least one pool must get requests'],
  ['an unknown pool in the split', { split: { bleu: 1 } }, '/split/bleu unknown pool "bleu" (did you mean "blue"?)'],
  [
    'an inherited name in the split',
    { live: 'toString', split: undefined },
    '/live unknown pool "toString" (pools here: blue, green)',
  ],
  ['an unknown live pool', { live: 'gren', split: undefined }, '/live unknown pool "gren" (did you mean "green"?)'],
  ['an unknown pool in failover', { failover: ['grene'] }, '/failover/0 unknown pool "grene" (did you mean "green"?)'],
  ['a pool twice in failover', { failover: ['blue', 'blue'] }, '/failover/1 pool "blue" stands here twice'],
  [
    'a host with a port',
    { routes: [{ host: 'a.b:80' }] },
    '/routes/0/host "a.b:80": a route matches the host without its port',
  ],
  [
    'a bad wildcard',
    { routes: [{ host: 'a.*.b' }] },
    '/routes/0/host "a.*.b" is not a host: write a name, *.example.com, or * for any',
  ],
  [
    'a bad header in a route',
    { routes: [{ header: { 'a b': '1' } }] },
    '/routes/0/header/a b "a b" is not a header name',
  ],
  ['a header twice', { routes: [{ header: { A: '1', a: '2' } }] }, '/routes/0/header/a the header a stands here twice'],
  [
    'the same route twice, written otherwise',
    {
      routes: [
        { host: 'a.b', method: 'GET' },
        { host: 'A.B', method: 'get' },
      ],
    },
    '/routes/1 another entry of this service has the same route already',
  ],
  ['a visitor header that is none', { visitor: ['header:a(b'] }, '/visitor/0 "a(b" is not a header name'],
  [
    'an unknown visitor source',
    { visitor: ['ip'] },
    '/visitor/0 "ip" is not a visitor source (header:NAME, cookie:NAME, jwt:CLAIM, query:NAME, cookie or address)',
  ],
  [
    'SameSite=None without Secure',
    { sticky: { sameSite: 'none' } },
    '/sticky/sameSite sameSite none needs secure: true, or browsers drop the cookie',
  ],
  ['a cookie without a life', { sticky: { maxAge: '10ms' } }, '/sticky/maxAge 10ms is too short: at least 1000ms'],
  ['a probe without pause', { health: { interval: '1ms' } }, '/health/interval 1ms is too short: at least 100ms'],
  ['a time-out of nothing', { timeouts: { connect: '0s' } }, '/timeouts/connect 0s is too short: at least 1ms'],
  ['a drain that no timer can hold', { drain: { timeout: '100d' } }, '/drain/timeout 100d is too long: at most 24d'],
  [
    'a page that is given twice',
    { maintenance: { body: 'x', file: 'page.html' } },
    '/maintenance/file give either body or file, not both',
  ],
  [
    'a page that is too large as UTF-8',
    { maintenance: { body: 'ü'.repeat(200_000) } },
    '/maintenance/body has more than 262144 bytes',
  ],
  [
    'a page for staff that nobody is',
    { maintenance: { allow: { cidr: ['10.0.0.0/33'] } } },
    '/maintenance/allow/cidr/0 "10.0.0.0/33" is not a network such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7',
  ],
  [
    'a Content-Type that would be two lines',
    { maintenance: { contentType: 'text/html\r\nX: y' } },
    '/maintenance/contentType "text/html\\r\\nX: y" is not a content type such as text/html; charset=utf-8',
  ],
  [
    'an early close of minutes',
    { rollout: { verdict: { earlyClose: '2m' } } },
    '/rollout/verdict/earlyClose 2m is too long: at most 1m',
  ],
  [
    'a rate over no time',
    { rollout: { verdict: { rate: { over: '0s' } } } },
    '/rollout/verdict/rate/over 0s is too short: at least 1000ms',
  ],
  [
    'a code that no WebSocket is closed with',
    { drain: { tunnels: { close: 1_006 } } },
    '/drain/tunnels/close 1006 is no code that a WebSocket may be closed with',
  ],
  [
    'tunnels that are closed over more than a timer can hold',
    { drain: { tunnels: { over: '100d' } } },
    '/drain/tunnels/over 100d is too long: at most 24d',
  ],
  [
    'an empty range of statuses',
    { health: { status: '200,399-300' } },
    '/health/status 399-300 is an empty range: write 300-399',
  ],
  ['a Host that is none', { health: { host: 'a\r\nb: c' } }, '/health/host "a\\r\\nb: c" cannot be a Host header'],
])('%s is a fault with its pointer', (_, changes, expected) => {
  expect(one(changes)).toEqual([expected])
})

test.each([
  ['http://127.0.0.1:0', 'the port must be from 1 to 65535'],
  ['http://127.0.0.1:65536', 'the port must be from 1 to 65535'],
  ['http://127.0.0.1:', 'the port must be from 1 to 65535'],
  ['http://300.1.1.1:80', 'is not a host name or address'],
  ['http://127.1:80', 'is not a host name or address'],
  ['http://::1:80', 'is not scheme://host:port'],
  ['http://[fe80::1%eth0]:80', 'is not a host name or address'],
  ['http://-a.example', 'is not a host name or address'],
  ['ftp://a', 'is not a target'],
  ['http://user:pass@a:80', 'is not a target'],
  ['http://a:80/path', 'is not a target'],
  ['127.0.0.1:3001', 'is not a target'],
  ['srv+http://web.test', 'SRV records have a name such as _web._tcp.example.com'],
  ['srv+http://_web._tcp.test:80', 'its SRV records say the port: leave out ":80"'],
  ['srv+https://_web._udp.test', 'HTTP needs _tcp in the place of _udp'],
  ['srv+ftp://_web._tcp.test', 'is not a target'],
  ['srv+http://_web._tcp.test/path', 'is not a target'],
  ['http+srv://_web._tcp.test', 'is not a target'],
])('the target %s is a fault', (target, message) => {
  expect(faults(validatePool({ targets: [target] }))).toEqual([expect.stringContaining(message)])
})

test('a target of SRV records has one form, and faults in it their pointers', () => {
  const pools = (...targets: string[]) => ({ blue: { targets: ['http://a'] }, green: { targets } })
  expect(one({ pools: pools('srv+http://_a._tcp.b', 'srv+http://web.test') })).toEqual([
    '/pools/green/targets/1 "srv+http://web.test": SRV records have a name such as _web._tcp.example.com; or for a name without SRV records http://web.test:PORT',
  ])
  expect(one({ pools: pools('srv+http://_a._tcp.b', 'srv+http://_A._TCP.b./') })).toEqual([
    '/pools/green/targets/1 target srv+http://_a._tcp.b is already in pool "green"',
  ])
  const weights = { 'SRV+HTTP://_A._tcp.B': 3 }
  expect(validatePool({ targets: ['srv+http://_A._TCP.b', 'https://_a._tcp.b'], weights })).toEqual({
    spec: {
      version: '',
      targets: ['srv+http://_a._tcp.b', 'https://_a._tcp.b:443'],
      weights: { 'srv+http://_a._tcp.b': 3 },
    },
  })
})

test('a target belongs to one pool only, however it is written', () => {
  const pools = {
    blue: { targets: ['http://A.example'] },
    green: { targets: ['http://b.example', 'http://a.example:80/'] },
  }
  expect(one({ pools })).toEqual(['/pools/green/targets/1 target http://a.example:80 is already in pool "blue"'])
  expect(faults(validatePool(pools.green))).toEqual([])
  expect(faults(validatePool({ targets: ['http://a', 'http://a:80'] }))).toEqual([
    '/targets/1 target http://a:80 stands here twice',
  ])
})

test('weights within a pool are of its targets, each once, and not all 0', () => {
  const targets = ['http://a:80', 'http://b:80']
  const pool = (weights: object) => faults(validatePool({ targets, weights }))
  expect(pool({ 'http://A/': 2 })).toEqual([])
  expect(pool({ 'http://c:80': 2 })).toEqual([
    '/weights/http:~1~1c:80 "http://c:80" is not a target of this pool (did you mean "http://a:80"?)',
  ])
  expect(pool({ 'http://a': 2, 'http://a:80': 3 })).toEqual([
    '/weights/http:~1~1a:80 target http://a:80 stands here twice',
  ])
  expect(pool({ 'http://a': 0, 'http://b': 0 })).toEqual([
    '/weights every weight is 0: at least one target must get requests',
  ])
  expect(pool({ 'http://a': 1.5 })).toEqual([expect.stringContaining('/weights/http:~1~1a')])
  expect(pool({ 'http://a': 1_001 })).toEqual(['/weights/http:~1~1a must be at most 1000, found 1001'])
  expect(one({ pools: { blue: { targets, weights: { x: 1 } } }, split: { blue: 1 } })).toEqual([
    '/pools/blue/weights/x "x" is not a target of this pool',
  ])
})

test('weights within a pool come back by the one form of their targets, without those of 1', () => {
  const weights = { 'http://A': 3, 'http://b:80': 1 }
  expect(validatePool({ targets: ['http://a', 'http://b'], weights })).toEqual({
    spec: { version: '', targets: ['http://a:80', 'http://b:80'], weights: { 'http://a:80': 3 } },
  })
  const checked = validatePool({ targets: ['http://a'], weights: { 'http://a': 1 } })
  expect(checked).toEqual({ spec: { version: '', targets: ['http://a:80'] } })
})

test('what is hashed is named as such things are, and sticky targets leave it nothing to choose', () => {
  for (const hash of ['path', 'header:X-Tenant', 'cookie:uid']) expect(one({ balance: { hash } })).toEqual([])
  expect(one({ balance: { hash: 'query:a' } })).toEqual([
    '/balance/hash "query:a" is not what is hashed (path, header:NAME or cookie:NAME)',
  ])
  expect(one({ balance: { hash: 'header:a(b' } })).toEqual(['/balance/hash "a(b" is not the name of a header'])
  expect(one({ balance: { hash: 'path' }, sticky: { target: true } })).toEqual([
    '/balance sticky.target keeps a visitor at one target, whatever the path: give one of the two',
  ])
})

test('a capacity has a limit, that of a pool no lower than that of a target, and a time to wait', () => {
  expect(one({ capacity: { requestsPerTarget: 200 } })).toEqual([])
  expect(one({ capacity: { requestsPerPool: 200, queue: { requests: 0 } } })).toEqual([])
  const none = 'missing key "requestsPerTarget" (or "requestsPerPool"): without a limit nothing ever waits'
  expect(one({ capacity: {} })).toEqual([`/capacity ${none}`])
  expect(one({ capacity: { requestsPerTarget: 10, requestsPerPool: 9 } })).toEqual([
    '/capacity/requestsPerPool a pool that carries 9 requests never gives one target 10',
  ])
  expect(one({ capacity: { requestsPerTarget: 1, queue: { for: '0s' } } })).toEqual([
    '/capacity/queue/for 0s is too short: at least 1ms',
  ])
})

test('rules have one outcome, a name of their own, and known pools', () => {
  const when = { header: { a: '1' } }
  const rules = [
    { name: 'a', when, to: 'blue', deny: 'green' },
    { name: 'b', when },
    { name: 'a', when, to: 'blue' },
    { name: 'c', when: { cidr: ['10.0.0.0/33', '2001:db8::/129', '10.0.0.0/8', '::1', 'x'] }, deny: 'pink' },
    { name: 'd', when: {}, to: 'blue' },
    { name: 'e', when, deny: 'blue', pin: true },
  ]
  const expected = [
    '/4/when needs at least one entry',
    '/0/deny a rule has either to or deny, not both',
    '/1/to missing key "to" (or "deny"): a rule names the pool that it is about',
    '/2/name rule 1 has the name "a" already',
    '/3/deny unknown pool "pink" (pools here: blue, green)',
    '/3/when/cidr/0 "10.0.0.0/33" is not a network such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7',
    '/3/when/cidr/1 "2001:db8::/129" is not a network such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7',
    '/3/when/cidr/4 "x" is not a network such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7',
    '/5/pin only a rule with "to" can pin',
  ]
  expect(faults(validateRules(rules, ['blue', 'green']))).toEqual(expected)
  expect(one({ rules })).toEqual(expected.map((fault) => `/rules${fault}`))
  expect(faults(validateRules(rules.slice(2, 3)))).toEqual([])
})

test('the same route in two services is a fault of the second', () => {
  const services = {
    a: spec({ routes: [{ host: '*', header: { 'X-A': '1' } }] }),
    b: spec({ routes: [{ path: '/b' }, { header: { 'x-a': '1' } }] }),
    c: spec({ routes: [{ header: { 'x-a': '2' } }, { method: 'GET' }, { path: '/c' }] }),
  }
  expect(checkServices(services)).toEqual([
    { pointer: '/b/routes/1', message: 'service "a" has the same route already' },
  ])
})

test('what was found good is not gone over again, but what was not is, and rules are when the pools are others', () => {
  const rules = [{ name: 'a', when: { visitor: ['u'] }, to: 'green' }]
  let reads = 0
  const route = Object.defineProperty({ path: '/' }, 'host', { enumerable: true, get: () => [reads++, 'a.test'][1] })
  const good = { ...spec({ rules }), routes: [route] as ServiceSpec['routes'] }
  expect(checkServices({ good })).toEqual([])
  const before = reads
  expect(checkServices({ good: { ...good, split: { green: 1 } } })).toEqual([])
  expect(reads).toBe(before)

  const { green: _, ...pools } = good.pools
  const without = { ...good, pools, split: { blue: 1 } }
  const fault = { pointer: '/good/rules/0/to', message: 'unknown pool "green" (pools here: blue)' }
  for (let times = 0; times < 2; times++) expect(checkServices({ good: without })).toEqual([fault])
  expect(checkServices({ good, other: { ...spec(), routes: good.routes } })).toEqual([
    { pointer: '/other/routes/0', message: 'service "good" has the same route already' },
  ])
})

test('weights are told by pointers into the weights', () => {
  expect(validateWeights({ blue: 90, green: 10 })).toEqual({ spec: { blue: 90, green: 10 } })
  expect(faults(validateWeights({ blue: 1.5, green: -1, 'a b': 1 }))).toEqual([
    '/a b "a b" is not a name (letters, digits, ".", "_" and "-", at most 63, beginning with a letter or digit)',
    '/blue expected a whole number, found 1.5',
    '/green must be at least 0, found -1',
  ])
  expect(faults(validateWeights({ blue: 0 }))).toHaveLength(1)
  expect(faults(validateWeights({}))).toEqual([' needs at least one entry'])
  expect(faults(validateWeights({ gren: 1 }, ['green']))).toEqual(['/gren unknown pool "gren" (did you mean "green"?)'])
  expect(faults(validateWeights(null))).toEqual([' expected a map such as { blue: 90, green: 10 }, found nothing'])
})

test('a state is one of four', () => {
  expect(validateState({ state: 'drain' })).toEqual({ spec: 'drain' })
  expect(faults(validateState({ state: 'drained' }))).toEqual([
    '/state "drained" is not one of ready, drain, standby, maint (did you mean "drain"?)',
  ])
  expect(faults(validateState({}))).toEqual(['/state missing key "state"'])
})

test('inherited keys in a body are refused, and nothing is polluted', () => {
  const given = JSON.parse('{"__proto__":{"targets":[]},"constructor":1,"targets":[]}')
  expect(faults(validatePool(given))).toEqual([
    '/__proto__ the key "__proto__" is reserved and cannot be used',
    '/constructor the key "constructor" is reserved and cannot be used',
  ])
  expect(({} as Record<string, unknown>).targets).toBeUndefined()
})

test('a body of any shape is answered, never with an exception', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      for (const check of [validateService, validateWeights, validateRules, validatePool, validateState]) check(value)
    }),
  )
})

test('a service with any of its parts replaced is answered, and taken only when checkServices agrees', () => {
  const whole = spec({
    rules: [{ name: 'a', when: { header: { a: '1' }, cidr: ['::1'] }, to: 'blue' }],
    health: { json: { ok: true } },
    failover: ['blue'],
  })
  const odd = fc.oneof(fc.jsonValue(), fc.constantFrom('', '*', '-1', '0s', 'blue', 0, 1e9, [], {}, null, false))
  fc.assert(
    fc.property(fc.nat(), odd, (place, value) => {
      const checked = validateService(replacedAt(whole, place, value))
      if ('spec' in checked) expect(checkServices({ shop: checked.spec })).toEqual([])
      else expect(checked.faults.length).toBeGreaterThan(0)
    }),
    { numRuns: bulk(300, 1_000) },
  )
})

/** A copy with one of its parts, anywhere in the tree, replaced. */
function replacedAt(whole: object, place: number, value: unknown): object {
  const copy = structuredClone(whole) as Record<string, unknown>
  const places: [Record<string, unknown>, string][] = []
  const walk = (at: Record<string, unknown>): void => {
    for (const [key, part] of Object.entries(at)) {
      places.push([at, key])
      if (typeof part === 'object' && part !== null) walk(part as Record<string, unknown>)
    }
  }
  walk(copy)
  const [parent, key] = places[place % places.length]
  parent[key] = value
  return copy
}

test('thousands of faults are found in good time', () => {
  const rules = Array.from({ length: 10_000 }, () => ({ name: 'same', when: { cidr: ['x'] }, toto: 'blue' }))
  const startedMs = performance.now()
  expect(faults(validateRules(rules)).length).toBeGreaterThan(20_000)
  expect(performance.now() - startedMs).toBeLessThan(10_000)
})
