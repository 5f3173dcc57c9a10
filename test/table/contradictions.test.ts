/** Conditions that never hold together: only what is proven is told, and what is told is so. */
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { checkServices, completeService, validateService } from '../../src/config/check.ts'
import { neverTogether } from '../../src/table/conditions/contradictions.ts'
import { planWhen, type WhenSpec } from '../../src/table/conditions/kinds.ts'
import { Automaton } from '../../src/table/patterns/automaton.ts'

const PATHS = Array.from({ length: 500 }, (_, n) => `/p${n}`)

const why = (when: WhenSpec) => neverTogether(planWhen(when, 'r'), { left: 300_000 })

describe('never', () => {
  test.each<[WhenSpec, string]>([
    [{ all: [{ method: 'GET' }, { method: ['post', 'PUT'] }] }, 'method GET and method POST|PUT never hold at once'],
    [{ path: '/a', all: [{ path: { prefix: '/b' } }] }, 'path=/a and path=/b… never hold at once'],
    [{ path: { prefix: '/a/' }, all: [{ path: { prefix: '/b' } }] }, 'path=/a/… and path=/b… never hold at once'],
    [
      { path: { oneOf: ['/a', '/b'] }, all: [{ path: { pattern: '^/c' } }] },
      'path=/a|/b and path like ^/c never hold at once',
    ],
    [{ path: { prefix: '/a' }, all: [{ path: { pattern: '^/b' } }] }, 'path=/a… and path like ^/b never hold at once'],
    [
      { path: { pattern: '^/a+$' }, all: [{ path: { pattern: 'b' } }] },
      'path like ^/a+$ and path like b never hold at once',
    ],
    [
      { visitor: ['u-1'], all: [{ visitor: ['u-2', 'u-3'] }] },
      '1 named visitors and 2 named visitors never hold at once',
    ],
    [
      { cidr: ['10.0.0.0/8'], all: [{ cidr: ['11.0.0.0/8', '2001:db8::/32'] }] },
      'addresses in 10.0.0.0/8 and addresses in 11.0.0.0/8, 2001:db8::/32 never hold at once',
    ],
    [
      { time: { until: '2030-01-01' }, all: [{ time: { from: '2030-01-01' } }] },
      'time until 2030-01-01 and time from 2030-01-01 never hold at once',
    ],
    [{ header: { a: '1' }, not: { header: { A: { prefix: '1' } } } }, 'not (header a=1…) never holds beside the rest'],
    [
      { cookie: { a: { oneOf: ['1', '2'] } }, not: { cookie: { a: '*' } } },
      'not (cookie a=*) never holds beside the rest',
    ],
    [{ not: { path: { prefix: '/' } } }, 'not (path=/…) never holds beside the rest'],
    [{ not: { cidr: ['::/0'] } }, 'not (addresses in ::/0) never holds beside the rest'],
    [{ method: 'GET', not: { method: ['GET', 'HEAD'] } }, 'not (method GET|HEAD) never holds beside the rest'],
    [{ share: 10, not: { share: 50 } }, 'not (50 % of the visitors) never holds beside the rest'],
    [
      { method: 'GET', query: { a: '1' }, not: { method: 'GET', query: { a: '*' } } },
      'not (method GET and query a=*) never holds beside the rest',
    ],
    [
      { method: 'GET', any: [{ method: 'PUT' }, { all: [{ method: 'POST' }] }] },
      'no entry of any can hold beside the rest',
    ],
    [
      { header: { a: '1' }, not: { any: [{ header: { b: '2' } }, { header: { a: '*' } }] } },
      'not ((header b=2 or header a=*)) never holds beside the rest',
    ],
    [{ method: 'GET', not: { not: { method: 'PUT' } } }, 'not (not (method PUT)) never holds beside the rest'],
  ])('%j', (when, expected) => expect(why(when)).toBe(expected))
})

test.each<WhenSpec>([
  // Each of these may be sent twice.
  { header: { a: '1' }, all: [{ header: { a: '2' } }] },
  { cookie: { a: '1' }, all: [{ cookie: { a: '2' } }] },
  { query: { a: '1' }, all: [{ query: { a: { pattern: '^2' } } }] },
  { header: { a: '1' }, not: { header: { a: '2' } } },
  { header: { a: { prefix: '1' } }, not: { header: { a: '1' } } },
  { method: ['GET', 'PUT'], all: [{ method: ['PUT', 'POST'] }] },
  { path: { prefix: '/a' }, all: [{ path: { prefix: '/a/b' } }] },
  { path: { pattern: 'a' }, all: [{ path: { pattern: 'b' } }] },
  { path: { prefix: '/a' }, not: { path: { prefix: '/a/b' } } },
  // The path may come as /%c3, which the pattern sees as it is.
  { path: '/Ã', all: [{ path: { pattern: 'c3$' } }] },
  { cidr: ['10.0.0.0/8'], all: [{ cidr: ['10.1.0.0/16'] }] },
  { cidr: ['10.0.0.0/8'], not: { cidr: ['10.1.0.0/16'] } },
  { time: { until: '2030-01-02' }, all: [{ time: { from: '2030-01-01' } }] },
  { share: 50, not: { share: 10 } },
  { visitor: ['a', 'b'], not: { visitor: ['b'] } },
  { method: 'GET', not: { method: 'GET', query: { a: '1' } } },
  { method: 'GET', any: [{ method: 'PUT' }, { path: '/a' }] },
])('%j may hold', (when) => expect(why(when)).toBe(null))

test('patterns that have a text in common meet, others do not, and where it takes too long nobody says so', () => {
  const meets = (a: string, b: string, workMax = 100_000) => new Automaton(a).meets(new Automaton(b), workMax).meets
  expect(meets('^a*b$', '^aab')).toBe(true)
  expect(meets('^(ab)+$', '^(ba)+$')).toBe(false)
  expect(meets('^[0-9]{3}$', '^[0-9]{4}$')).toBe(false)
  expect(meets('^[0-9]{3}$', '^[0-9]{4}$', 3)).toBe(true)
  expect(meets('^v[2-9]', 'é$')).toBe(true)
  const begins = (pattern: string, prefix: string) => new Automaton(pattern).canBegin(prefix)
  expect([begins('^/api/v[12]$', '/api/'), begins('^/api/v[12]$', '/apis'), begins('x$', '/a')]).toEqual([
    true,
    false,
    true,
  ])
})

test.each<WhenSpec>([
  { path: { oneOf: PATHS }, all: [{ path: { pattern: '^/q' } }] },
  { path: { oneOf: PATHS }, not: { path: { pattern: '^/p' } } },
  { query: { a: { oneOf: PATHS } }, not: { query: { a: { pattern: '^/p' } } } },
])('a pattern that many texts are held against is made once, and what it and they take is counted (%#)', (when) => {
  const holds = vi.spyOn(Automaton.prototype, 'holds')
  onTestFinished(() => holds.mockRestore())
  const budget = { left: 300_000 }
  expect(neverTogether(planWhen(when, 'r'), budget)).toContain('never hold')
  const [pattern, ...more] = new Set(holds.mock.contexts)
  expect([more, holds.mock.calls.length]).toEqual([[], PATHS.length])
  const spent = 300_000 - budget.left - PATHS.length - (pattern as Automaton).work
  expect(spent).toBeGreaterThanOrEqual(0)
  expect(spent).toBeLessThan(10)
})

test('a rule that never holds is a fault with its place, and so is an entry of any', () => {
  const faults = (when: WhenSpec) => {
    const rules = [{ name: 'a', when, to: 'blue' }]
    const checked = validateService({ routes: [{}], pools: { blue: { targets: ['http://a'] } }, rules })
    return 'faults' in checked ? checked.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []
  }
  expect(faults({ method: 'GET', all: [{ method: 'PUT' }] })).toEqual([
    '/rules/0/when method GET and method PUT never hold at once',
  ])
  const vain: WhenSpec = { path: '/a', all: [{ path: '/b' }] }
  expect(faults({ any: [{ path: '/a' }, vain] })).toEqual([
    '/rules/0/when/any/1 path=/a and path=/b never hold at once',
  ])
  expect(faults({ any: [{ path: '/a' }, { path: '/b' }] })).toEqual([])
})

test('a rule that never holds, and that an earlier Turnout has let pass, is still served', () => {
  const vain = { name: 'vain', when: { method: 'GET', all: [{ method: 'PUT' }] }, to: 'blue' }
  const body = { routes: [{}], pools: { blue: { targets: ['http://a'] } }, rules: [vain] }
  const stored = completeService(body)
  if ('faults' in stored) throw new Error(JSON.stringify(stored.faults))
  expect(stored.spec.rules).toHaveLength(1)
  expect(checkServices({ shop: stored.spec })).toEqual([])
  expect(validateService(body)).toHaveProperty('faults')
})
