import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseSpec, printFault } from '../../src/config/load.ts'
import { isRecord } from '../../src/config/record.ts'
import { type Spec, SpecSchema } from '../../src/config/schema.ts'
import { validate } from '../../src/config/validate.ts'
import { bulk } from '../helpers/bulk.ts'

const CI_TOKEN = 'a-secret-of-enough-length'

function load(text: string, env: Record<string, string> = {}): Spec {
  const result = parseSpec(text, { env, source: 'turnout.yaml' })
  if ('faults' in result) throw new Error(result.faults.map(printFault).join('\n'))
  return result.spec
}

function faults(text: string, env: Record<string, string> = {}): string[] {
  const result = parseSpec(text, { env, source: 'turnout.yaml' })
  return 'faults' in result ? result.faults.map(printFault) : []
}

/** The example of the contract, word for word. */
const CONTRACT = `listeners:
  - address: 0.0.0.0:8080          # ":8080" too; tls: {...} when it terminates TLS
admin:
  address: 127.0.0.1:9900          # off loopback only with tokens
  tokens: [{ name: ci, token: "\${CI_TOKEN}", role: operator }]   # roles: viewer, operator
workers: auto                      # cores, or a number
store: sqlite:./turnout.db         # memory: · sqlite:PATH · redis://… (rediss, sentinel, cluster)
trustedProxies: [127.0.0.0/8]      # whose X-Forwarded-* and client address we believe
services:
  shop:
    routes: [{ host: shop.example.com, path: / }]       # host "*" and "*.example.com" too
    pools:
      blue:  { version: "1.0", targets: ["http://127.0.0.1:3001", "http://127.0.0.1:3002"] }
      green: { version: "1.1", targets: ["http://127.0.0.1:3003"] }
    split: { blue: 95, green: 5 }                        # or  live: blue
    rules:
      - { name: staff, when: { header: { x-internal: "1" } }, to: green }
      - { name: testers, when: { visitor: [u-17, u-23] }, to: green }
    visitor: [header:x-user-id, cookie:uid, jwt:sub, cookie]   # first key found; "cookie" = our own
    sticky: { pool: true, target: false, cookie: turnout, maxAge: 7d }
    balance: least-request
    health: { path: /health, interval: 2s, timeout: 1s, healthyAfter: 2, unhealthyAfter: 3, status: "200-299" }
    drain: { timeout: 30s }
`

const SHOP = `services:
  shop:
    routes: [{ path: / }]
    pools:
      blue: { targets: ["http://127.0.0.1:3001"] }
      green: { targets: ["http://127.0.0.1:3002"] }
`

test('the example of the contract loads, with every default filled in', () => {
  const spec = load(CONTRACT, { CI_TOKEN })
  expect(spec.admin.tokens).toEqual([{ name: 'ci', token: CI_TOKEN, role: 'operator' }])
  expect(spec.services.shop.split).toEqual({ blue: 95, green: 5 })
  expect(spec.services.shop.sticky).toMatchObject({ cookie: 'turnout', secure: false, sameSite: 'lax' })
  expect(spec.services.shop.timeouts).toEqual({ connect: '3s', response: '60s', idle: '60s' })
  expect(spec.limits.headBytesMax).toBe(32_768)
})

test('an empty file is a proxy with every default and no services', () => {
  const spec = load('')
  expect(spec.listeners).toEqual([{ address: '0.0.0.0:8080' }])
  expect(spec.admin).toEqual({ address: '127.0.0.1:9900', tokens: [] })
  expect(spec.services).toEqual({})
})

test('what was loaded loads again, as JSON, to the same spec', () => {
  const spec = load(CONTRACT, { CI_TOKEN })
  expect(load(JSON.stringify(spec, null, '\t'))).toEqual(spec)
})

test('live becomes a split, a split names every pool, and one pool needs neither', () => {
  expect(load(`${SHOP}    live: green`).services.shop).toMatchObject({ split: { blue: 0, green: 100 } })
  expect(load(`${SHOP}    live: green`).services.shop).not.toHaveProperty('live')
  expect(load(`${SHOP}    split: { green: 7 }`).services.shop.split).toEqual({ blue: 0, green: 7 })
  const one = 'services: { shop: { routes: [{}], pools: { blue: { targets: ["http://a"] } } } }'
  expect(load(one).services.shop.split).toEqual({ blue: 100 })
})

test('hosts, methods and targets are brought to one form', () => {
  const shop = load(`services:
  shop:
    routes: [{ host: "*.Shop.Example.COM", method: post }]
    pools: { blue: { targets: ["http://One.Example/", "https://two.example", "http://[::1]:81"] } }`).services.shop
  expect(shop.routes).toEqual([{ host: '*.shop.example.com', path: '/', method: 'POST' }])
  expect(shop.pools.blue.targets).toEqual(['http://one.example:80', 'https://two.example:443', 'http://[::1]:81'])
})

test('sticky may be false, or a map whose other keys have defaults', () => {
  expect(load(`${SHOP}    live: blue\n    sticky: false`).services.shop.sticky).toBe(false)
  expect(load(`${SHOP}    live: blue\n    sticky: { target: true }`).services.shop.sticky).toMatchObject({
    pool: true,
    target: true,
    maxAge: '7d',
  })
})

test('a variable may stand for a number or a flag where one is wanted, and stays text elsewhere', () => {
  const text = `workers: "\${N}"\nlog: { access: \${ACCESS:-false} }\nlimits: { headersMax: "\${HEADERS}" }`
  const spec = load(text.replace(`\${ACCESS:-false}`, `"\${ACCESS:-false}"`), { N: '4', HEADERS: '64' })
  expect([spec.workers, spec.log.access, spec.limits.headersMax]).toEqual([4, false, 64])
  const token = load(`admin: { tokens: [{ name: ci, token: "\${CI_TOKEN}" }] }`, { CI_TOKEN: '1234567890123456' })
  expect(token.admin.tokens[0].token).toBe('1234567890123456')
  expect(faults('workers: "4"')).toEqual(['turnout.yaml:1:10: workers: "4" is not auto or a whole number'])
})

test('store: memory may be written without its colon, which YAML would want in quotes', () => {
  expect(load('store: memory').store).toBe('memory:')
  expect(load('store: "memory:"').store).toBe('memory:')
})

test('ten different mistakes are all told at once, in the order of the file, with what was probably meant', () => {
  const text = `listeners:
  - address: 0.0.0.0:80800
admin:
  address: 0.0.0.0:9900
worker: 2
services:
  shop:
    routes:
      - { host: "shop.example.com:80", path: / }
    pools:
      blue:
        version: 1.0
        tragets: ["http://127.0.0.1:3001"]
      green: { version: "1.1", targets: ["http://127.0.0.1:3003/app"] }
    split: { bleu: 95, green: 5 }
    rules:
      - { name: staff, when: { header: { x-internal: "1" } }, to: gren }
      - { name: staff, when: { cidr: [10.0.0.0/33] }, deny: green }
    balance: least-requests
    balance: random
    health: { interval: 2 sec, timeout: 30 }
    constructor: {}
    failover: [green, \${NEXT}]
    drain: { timeout: "\${DRAIN}" }
`.replace(`\${NEXT}`, 'purple')
  expect(faults(text)).toEqual([
    'turnout.yaml:2:14: listeners[0].address: "0.0.0.0:80800" does not end with a port from 0 to 65535',
    'turnout.yaml:4:12: admin.address: 0.0.0.0:9900 can be reached from outside: give admin.tokens, or use 127.0.0.1',
    'turnout.yaml:5:1: unknown key "worker" (did you mean "workers"?)',
    'turnout.yaml:9:17: services.shop.routes[0].host: "shop.example.com:80": a route matches the host without its port',
    'turnout.yaml:12:18: services.shop.pools.blue.version: expected text, found 1 (put it in quotes)',
    'turnout.yaml:13:9: services.shop.pools.blue: unknown key "tragets" (did you mean "targets"?)',
    'turnout.yaml:14:42: services.shop.pools.green.targets[0]: "http://127.0.0.1:3003/app" is not a target such as http://127.0.0.1:3001 or srv+http://_web._tcp.example.com, without a path',
    'turnout.yaml:15:14: services.shop.split: unknown pool "bleu" (did you mean "blue"?)',
    'turnout.yaml:17:67: services.shop.rules[0].to: unknown pool "gren" (did you mean "green"?)',
    'turnout.yaml:18:17: services.shop.rules[1].name: rule 1 has the name "staff" already',
    'turnout.yaml:18:39: services.shop.rules[1].when.cidr[0]: "10.0.0.0/33" is not a network such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7',
    'turnout.yaml:19:14: services.shop.balance: "least-requests" is not least-request, least-latency, round-robin, random, hash or a map (did you mean "least-request"?)',
    'turnout.yaml:20:5: services.shop: repeated key "balance" (first on line 19)',
    'turnout.yaml:21:25: services.shop.health.interval: "2 sec" is not a duration such as 500ms, 2s, 5m, 1h or 7d',
    'turnout.yaml:21:41: services.shop.health.timeout: expected a duration such as 500ms, 2s, 5m, 1h or 7d, found 30',
    'turnout.yaml:22:5: services.shop: the key "constructor" is reserved and cannot be used',
    'turnout.yaml:23:23: services.shop.failover[1]: unknown pool "purple" (pools here: blue, green)',
    `turnout.yaml:24:23: services.shop.drain.timeout: environment variable DRAIN is not set (\${DRAIN:-default} gives a default)`,
  ])
})

test('each fault has its line, column, JSON pointer and suggestion for programs', () => {
  const result = parseSpec('workres: 2', { env: {}, source: 'a.yaml' })
  expect(result).toEqual({
    faults: [
      {
        source: 'a.yaml',
        line: 1,
        column: 1,
        pointer: '/workres',
        path: '',
        message: 'unknown key "workres" (did you mean "workers"?)',
        meant: 'workers',
      },
    ],
  })
})

test('a union gives one fault, for the branch that was meant', () => {
  expect(faults(`${SHOP}    live: blue\n    sticky: { pool: maybe }`)).toEqual([
    'turnout.yaml:8:21: services.shop.sticky.pool: expected true or false, found "maybe"',
  ])
  expect(faults(`${SHOP}    live: blue\n    sticky: true`)).toEqual([
    'turnout.yaml:8:13: services.shop.sticky: true is not a map or false',
  ])
  expect(faults('workers: 1.5')).toEqual(['turnout.yaml:1:10: workers: expected auto or a whole number, found 1.5'])
  expect(faults('workers: 0')).toEqual(['turnout.yaml:1:10: workers: must be at least 1, found 0'])
})

test('a misspelt key is one fault, not also a missing one', () => {
  expect(faults(`${SHOP}    splt: { blue: 1 }`)).toEqual([
    'turnout.yaml:7:5: services.shop: unknown key "splt" (did you mean "split"?)',
  ])
})

test('names that are none are refused where they stand', () => {
  const text = 'services: { "my shop": { routes: [{}], pools: { "a/b": { targets: [] }, c: { targets: [] } } } }'
  expect(faults(text)).toEqual([expect.stringContaining('turnout.yaml:1:13: services: "my shop" is not a name')])
})

test('a file that is no map is one fault', () => {
  expect(faults('- a\n- b')).toEqual(['turnout.yaml:1:1: expected a map, found a list'])
  expect(faults('hello')).toEqual(['turnout.yaml:1:1: expected a map, found "hello"'])
  expect(faults('services: []')).toEqual(['turnout.yaml:1:1: services: expected a map, found a list'])
  expect(faults('services:')).toEqual(['turnout.yaml:1:10: services: expected a map, found nothing'])
})

test('whoever writes a word where a map or a list belongs is shown one', () => {
  const text = `listeners: [8080]
admin: 9090
store: 7
services:
  shop:
    routes: shop.example.com
    pools: { blue: { targets: http://localhost:3000 }, green: [http://localhost:3001], grey: { targets: ["localhost:3002"] } }
    split: blue
    sticky: blue`
  const targets = '["http://127.0.0.1:3001"]'
  expect(faults(text).map((line) => line.replace(/^\S+ /, ''))).toEqual([
    'listeners[0]: expected a map such as { address: ":8080" }, found 8080',
    'admin: expected a map such as { address: "127.0.0.1:9900" }, found 9090',
    'store: expected text or a map, such as "sqlite:./turnout.db", found 7',
    'services.shop.routes: expected a list such as [{ host: "shop.example.com", path: "/" }], found "shop.example.com"',
    `services.shop.pools.blue.targets: expected a list such as ${targets}, found "http://localhost:3000"`,
    `services.shop.pools.green: expected a map such as { targets: ${targets} }, found a list`,
    'services.shop.pools.grey.targets[0]: "localhost:3002" is not a target such as http://127.0.0.1:3001 or srv+http://_web._tcp.example.com, without a path',
    'services.shop.split: expected a map such as { blue: 90, green: 10 }, found "blue"',
    'services.shop.sticky: expected a map or false, such as { target: true, maxAge: "7d" }, found "blue"',
  ])
})

test('every example in the schema is one', () => {
  let count = 0
  const visit = (schema: unknown): void => {
    if (Array.isArray(schema)) return schema.forEach(visit)
    if (!isRecord(schema)) return
    const { examples, ...rest } = schema
    for (const example of Array.isArray(examples) ? examples : []) {
      expect([example, validate(schema as never, example).refused]).toEqual([example, []])
      count++
    }
    Object.values(rest).forEach(visit)
  }
  visit(SpecSchema)
  expect(count).toBeGreaterThan(10)
})

test('a secret is never in a message', () => {
  const text = `admin: { tokens: [{ name: a, token: 12345678 }, { name: b, token: hunter2 }] }
store: mysql://root:hunter2@db`
  const told = faults(text)
  expect(told).toHaveLength(3)
  expect(told.join('\n')).not.toMatch(/hunter2|12345678/)
})

test('a file with any part cut out or overwritten is loaded or refused with places inside it, never with an exception', () => {
  const piece = fc.oneof(
    fc.string({ maxLength: 4 }),
    fc.constantFrom('', ':', '{', '}', '[', '&a ', '*a', '\n', '- ', '\t', '"'),
  )
  const lines = CONTRACT.split('\n').length
  fc.assert(
    fc.property(fc.nat(CONTRACT.length), fc.nat(12), piece, (at, length, inserted) => {
      const text = CONTRACT.slice(0, at) + inserted + CONTRACT.slice(at + length)
      const result = parseSpec(text, { env: { CI_TOKEN }, source: 'turnout.yaml' })
      if (!('faults' in result)) return
      expect(result.faults.length).toBeGreaterThan(0)
      for (const { line, column } of result.faults) {
        expect(line).toBeLessThanOrEqual(lines + 4)
        expect(Math.min(line, column)).toBeGreaterThanOrEqual(1)
      }
    }),
    { numRuns: bulk(150, 500) },
  )
})
