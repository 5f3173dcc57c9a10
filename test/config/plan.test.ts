import { expect, test } from 'vitest'
import { validateService } from '../../src/config/check.ts'
import { parseSpec } from '../../src/config/load.ts'
import { planHealth, planLimits, planService, planTimeouts } from '../../src/config/plan.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { isSkewed } from '../../src/table/skew.ts'

function spec(changes: object = {}): ServiceSpec {
  const checked = validateService({
    routes: [{ host: 'Shop.Example' }],
    pools: { blue: { version: '1.0', targets: ['http://a'] }, green: { targets: ['https://b:8443'] } },
    live: 'blue',
    ...changes,
  })
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  return checked.spec
}

const plan = (changes: object = {}) => planService('shop', spec(changes))

test('a plan has every default with its unit resolved', () => {
  expect(plan()).toEqual({
    name: 'shop',
    routes: [{ host: 'shop.example', path: '/', method: null, header: [], preview: null }],
    pools: [
      { name: 'blue', version: '1.0', targets: ['http://a:80'] },
      { name: 'green', version: '', targets: ['https://b:8443'] },
    ],
    weights: { blue: 100, green: 0 },
    rules: [],
    visitor: [{ from: 'own' }],
    sticky: {
      pool: true,
      target: false,
      cookie: 'turnout',
      maxAgeS: 604_800,
      attributes: '; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax',
    },
    balance: 'least-request',
    hashOn: null,
    slowStartMs: 0,
    failover: null,
    probed: false,
    timeouts: { connectMs: 3_000, responseMs: 60_000, idleMs: 60_000 },
    rescue: { always: false, statuses: [502, 503], bodyBytesMax: 65_536 },
    skew: [],
    mirror: null,
    link: null,
    capacity: null,
    maintenance: null,
    drain: {
      timeoutMs: 30_000,
      tunnels: { overMs: 30_000, perSecond: 100, message: null, close: 1_012 },
      rebalance: false,
    },
    debugHeaders: false,
  })
})

test.each(['/café/*', '/caf%c3%a9/*', '/caf%C3%A9/*', '/café/a.js'])(
  'the case of the digits of escapes does not count for skew: %s',
  (path) => {
    const { skew } = plan({ skew: [path] })
    const asked = ['/caf%c3%a9/a.js', '/caf%C3%a9/a.js', '/caf%C3%A9/a.js', '/caf%c3%a8/a.js']
    expect(asked.map((path) => isSkewed(skew, path))).toEqual([true, true, true, false])
  },
)

test('tunnels are closed as a service says, or never', () => {
  const tunnels = { over: '1m', perSecond: 0.5, message: 'reconnect', close: 4_000 }
  expect(plan({ drain: { timeout: '5s', tunnels } }).drain).toEqual({
    timeoutMs: 5_000,
    tunnels: { overMs: 60_000, perSecond: 0.5, message: 'reconnect', close: 4_000 },
    rebalance: false,
  })
  expect(plan({ drain: { tunnels: false } }).drain.tunnels).toBe(null)
})

test('plans are plain data that a thread can be sent', () => {
  const whole = plan({ rules: [{ name: 'a', when: { cookie: { B: '1' } }, to: 'blue' }], health: {} })
  expect(structuredClone(whole)).toEqual(whole)
  expect(JSON.parse(JSON.stringify(whole))).toEqual(whole)
})

test('names of headers are lower-case, names of cookies stay, and a plain address is a network of one', () => {
  const when = {
    header: { 'X-Staff': 'Yes' },
    cookie: { Beta: '*' },
    cidr: ['10.0.0.0/8', '192.0.2.7', '::1'],
    visitor: ['u'],
  }
  const { rules, routes } = plan({
    routes: [{ header: { 'X-API': 'V2' }, method: 'get' }],
    rules: [
      { name: 'a', when, to: 'green', pin: true },
      { name: 'b', when: { visitor: ['x'] }, deny: 'green' },
    ],
  })
  expect(routes).toEqual([{ host: '*', path: '/', method: 'GET', header: [['x-api', 'V2']], preview: null }])
  expect(rules).toEqual([
    {
      name: 'a',
      when: [
        { kind: 'header', asks: { name: 'x-staff', asks: { is: 'exact', text: 'Yes' } } },
        { kind: 'cookie', asks: { name: 'Beta', asks: { is: 'present' } } },
        { kind: 'visitor', asks: ['u'] },
        { kind: 'cidr', asks: ['10.0.0.0/8', '192.0.2.7/32', '::1/128'] },
      ],
      to: 'green',
      deny: null,
      pin: true,
    },
    { name: 'b', when: [{ kind: 'visitor', asks: ['x'] }], to: null, deny: 'green', pin: false },
  ])
})

test('every visitor source is understood', () => {
  expect(
    plan({ visitor: ['header:X-User-Id', 'cookie:Uid', 'jwt:Sub', 'query:größe', 'cookie', 'address'] }).visitor,
  ).toEqual([
    { from: 'header', name: 'x-user-id' },
    { from: 'cookie', name: 'Uid' },
    { from: 'jwt', claim: 'Sub' },
    { from: 'query', name: 'gr\u00c3\u00b6\u00c3\u009fe' },
    { from: 'own' },
    { from: 'address' },
  ])
})

test('sticky false is null, and flags of the cookie are written out', () => {
  expect(plan({ sticky: false }).sticky).toBeNull()
  expect(plan({ sticky: { secure: true, sameSite: 'none', maxAge: '1.5s' } }).sticky?.attributes).toBe(
    '; Path=/; Max-Age=1; HttpOnly; SameSite=None; Secure',
  )
  expect(plan({ sticky: { sameSite: 'strict' } }).sticky?.attributes).toContain('; SameSite=Strict')
})

test('without health nothing is probed', () => {
  expect(planHealth(spec())).toBeNull()
  expect(plan().probed).toBe(false)
})

test('a health plan has milliseconds and ranges', () => {
  const health = {
    interval: '500ms',
    status: '200-299,304',
    json: { 'db.ok': true },
    expectVersion: 'version',
    host: 'a',
  }
  expect(planHealth(spec({ health }))).toEqual({
    path: '/health',
    intervalMs: 500,
    timeoutMs: 2_000,
    healthyAfter: 2,
    unhealthyAfter: 3,
    statuses: [
      [200, 299],
      [304, 304],
    ],
    host: 'a',
    json: [['db.ok', true]],
    expectVersion: 'version',
  })
  expect(planHealth(spec({ health: {} }))).toMatchObject({
    intervalMs: 5_000,
    host: null,
    json: [],
    expectVersion: null,
  })
  expect(plan({ health }).probed).toBe(true)
})

test('limits and time-outs of the whole process are numbers', () => {
  const result = parseSpec('limits: { headersMax: 99 }\ntimeouts: { head: 1.5s }', { env: {}, source: '' })
  if ('faults' in result) throw new Error('unexpected')
  expect(planLimits(result.spec.limits)).toMatchObject({ headersMax: 99, headBytesMax: 32_768 })
  expect(planTimeouts(result.spec.timeouts)).toEqual({
    headMs: 1_500,
    bodyMs: 30_000,
    keepAliveMs: 75_000,
    sendMs: 30_000,
    upstreamKeepAliveMs: 60_000,
    shutdownMs: 30_000,
  })
})
