/** A condition that can never hold is a fault: else it would be there, and nobody would see that it does nothing. */
import { describe, expect, test } from 'vitest'
import { validateService } from '../../src/config/check.ts'
import { parseSpec } from '../../src/config/load.ts'

const POOLS = { blue: { targets: ['http://a'] } }

function faults(changes: object): string[] {
  const checked = validateService({ routes: [{}], pools: POOLS, ...changes })
  return 'faults' in checked ? checked.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []
}

const when = (conditions: object, more: object = {}): string[] =>
  faults({ rules: [{ name: 'a', when: conditions, to: 'blue' }], ...more })

const NOT_IN_FIELD = 'control characters are refused, and blanks around it are not part of it'

describe('a rule asks in vain', () => {
  test.each([
    [{ header: { 'x-a': 'a ' } }, `header/x-a no header has the value "a ": ${NOT_IN_FIELD}`],
    [{ header: { 'x-a': '\ta' } }, `header/x-a no header has the value "\\ta": ${NOT_IN_FIELD}`],
    [{ header: { 'x-a': 'a\nb' } }, `header/x-a no header has the value "a\\nb": ${NOT_IN_FIELD}`],
    [{ header: { 'x-a': 'a\u007f' } }, `header/x-a no header has the value "a\u007f": ${NOT_IN_FIELD}`],
    [{ cookie: { a: ' 1' } }, `cookie/a no cookie has the value " 1": ${NOT_IN_FIELD}`],
    [
      { cookie: { a: '1;2' } },
      'cookie/a no cookie has the value "1;2": it ends at a semicolon, and quotes around it are not part of it',
    ],
    [
      { cookie: { a: '"1"' } },
      'cookie/a no cookie has the value "\\"1\\"": it ends at a semicolon, and quotes around it are not part of it',
    ],
    [{ visitor: ['u', ''] }, 'visitor/1 no visitor has the key "": an empty key is none'],
    [{ visitor: ['u '] }, `visitor/0 no visitor has the key "u ": ${NOT_IN_FIELD}`],
    [
      { visitor: ['é'.repeat(513)] },
      `visitor/0 no visitor has the key "${'é'.repeat(79)}…": more than 1024 bytes are not taken`,
    ],
    [{ header: { 'x-a': { prefix: ' a' } } }, `header/x-a/prefix no header begins with " a": ${NOT_IN_FIELD}`],
    [{ cookie: { a: { prefix: 'a;' } } }, 'cookie/a/prefix no cookie begins with "a;": it ends at a semicolon'],
    [{ header: { 'x-a': { oneOf: ['a', 'b '] } } }, `header/x-a/oneOf/1 no header has the value "b ": ${NOT_IN_FIELD}`],
    [{ header: { 'x-a': { pattern: 'a$b' } } }, 'header/x-a/pattern no header has "a$b" in it'],
    [{ header: { 'x-a': { pattern: 'a\\nb' } } }, 'header/x-a/pattern no header has "a\\\\nb" in it'],
    [{ cookie: { a: { pattern: '^;' } } }, 'cookie/a/pattern no cookie has "^;" in it'],
    [{ header: { 'x-a': { pattern: '(a' } } }, 'header/x-a/pattern "(a" is no pattern: "(" is not closed'],
    [{ header: { 'x-a': { prefix: 'a', pattern: 'a' } } }, 'header/x-a give one of prefix, oneOf and pattern'],
    [{ header: { 'x-a': '\ud800' } }, 'header/x-a no header has the value "\\ud800": half a character cannot be sent'],
    [{ visitor: ['\ud800'] }, 'visitor/0 no visitor has the key "\\ud800": half a character cannot be sent'],
    [{ path: 'a' }, 'path no path has the value "a": a path begins with "/"'],
    [{ path: '/a?b' }, 'path no path has the value "/a?b": it ends at "?", and "#" is not sent'],
    [{ path: { pattern: 'é' } }, 'path/pattern a path has only visible ASCII: write other characters as %XX'],
    [{ path: { pattern: 'a b' } }, 'path/pattern a path has only visible ASCII: write other characters as %XX'],
    [{ path: '*' }, 'path every request has a path'],
    [{ query: { '': '1' } }, 'query/ "" is not the name of a parameter'],
    [{ method: ['GET', 'CONNECT'] }, 'method/1 requests by "CONNECT" are refused'],
    [{ time: { from: '2030-02-30' } }, 'time/from "2030-02-30" is not a date such as 2026-12-24T18:00:00+01:00'],
    [
      { time: { from: '2030-01-02', until: '2030-01-02' } },
      'time/until this is not after from, so the time never comes',
    ],
    [{ share: 0 }, 'share must be at least 1, found 0'],
    [{ not: { header: {} } }, 'not this asks for nothing'],
    [{ any: [] }, 'any needs at least one entry'],
    [
      { any: [{ cookie: { a: '1' } }, { not: { path: 'x' } }] },
      'any/1/not/path no path has the value "x": a path begins with "/"',
    ],
    [
      { any: [{ not: { all: [{ cokie: {} }] } }] },
      'any/0/not/all/0/cokie unknown key "cokie" (did you mean "cookie"?)',
    ],
  ])('%j', (conditions, expected) => expect(when(conditions)).toEqual([`/rules/0/when/${expected}`]))
})

test('a rule that asks for nothing is for nobody, and a fault', () => {
  expect(when({ header: {}, query: {} })).toEqual(['/rules/0/when this asks for nothing'])
})

test.each([
  { header: { 'x-a': 'größe' } },
  { header: { 'x-a': '' } },
  { header: { 'x-a': 'a\tb, "c"; d' } },
  { header: { 'x-a': '*' } },
  { header: { 'x-a': '\u00a0' } },
  { cookie: { a: 'größe', b: 'a"b', c: '"', d: '' } },
  { visitor: ['größe', 'a b', 'é'.repeat(512)] },
  { path: { pattern: '^/caf(%c3|%C3)%a9/' } },
])('%j may well hold', (conditions) => expect(when(conditions)).toEqual([]))

test('a key out of a token or a query may be any text, and that of an address is in its one form', () => {
  expect(when({ visitor: [' u\n'] }, { visitor: ['cookie', 'jwt:sub'] })).toEqual([])
  expect(when({ visitor: [' u\n'] }, { visitor: ['cookie', 'query:uid'] })).toEqual([])
  expect(when({ visitor: [''] }, { visitor: ['jwt:sub'] })).toHaveLength(1)
  const addresses = { visitor: ['2001:DB8:0::1', '::ffff:10.0.0.1', '10.0.0.1', '2001:db8::1', 'u-1'] }
  expect(when(addresses, { visitor: ['cookie', 'address'] })).toEqual([
    '/rules/0/when/visitor/0 no visitor has the key "2001:DB8:0::1": write 2001:db8::1',
    '/rules/0/when/visitor/1 no visitor has the key "::ffff:10.0.0.1": write 10.0.0.1',
  ])
  expect(when(addresses)).toEqual([])
})

test('what rules may hold is looked at again when the visitor is found elsewhere', () => {
  const checked = validateService({
    routes: [{}],
    pools: POOLS,
    visitor: ['jwt:sub'],
    rules: [{ name: 'a', when: { visitor: ['u '] }, to: 'blue' }],
  })
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  expect(faults(checked.spec)).toEqual([])
  expect(faults({ ...checked.spec, visitor: ['cookie:uid'] })).toHaveLength(1)
})

test('a route asks in vain', () => {
  expect(faults({ routes: [{ header: { 'x-a': ' a' } }] })).toEqual([
    `/routes/0/header/x-a no header has the value " a": ${NOT_IN_FIELD}`,
  ])
  expect(faults({ routes: [{ method: 'connect' }] })).toEqual(['/routes/0/method requests by "connect" are refused'])
  expect(faults({ routes: [{ method: 'M'.repeat(33) }] })).toHaveLength(1)
})

test('a token that nobody can send is a fault', () => {
  const tokens = ['a secret of sixteen', 'sixteen-characters\n', 'sixteen-charactérs'].map((token, n) => ({
    name: `t${n}`,
    token,
  }))
  const loaded = parseSpec(JSON.stringify({ admin: { tokens } }), { env: {}, source: 'x' })
  expect('faults' in loaded && loaded.faults.map(({ pointer }) => pointer)).toEqual([
    '/admin/tokens/0/token',
    '/admin/tokens/1/token',
  ])
})

test('the patterns of a service are few', () => {
  const rules = Array.from({ length: 101 }, (_, n) => ({
    name: `r${n}`,
    when: { any: [{ path: { pattern: `^/a${n}` } }] },
    to: 'blue',
  }))
  expect(faults({ rules })).toEqual([
    '/rules/100/when/any/0/path/pattern the rules of a service have at most 100 patterns',
  ])
  expect(faults({ rules: rules.slice(1) })).toEqual([])
})

test('the patterns of a service take no longer than one may, and those beyond that are not even looked at', () => {
  const asks = (pattern: (n: number) => string, count: number) =>
    faults({
      rules: Array.from({ length: count }, (_, n) => ({
        name: `r${n}`,
        when: { header: { 'x-a': { pattern: pattern(n) } } },
        to: 'blue',
      })),
    })
  const [first, ...others] = asks((n) => `${n}|.{0,30}b.{0,30}`, 90)
  expect(first).toMatch(/^.rules.[0-9]+.when.header.x-a.pattern the patterns of the rules have too many ways to match/)
  expect(others).toEqual([])
  expect(asks((n) => `${n}|(a|b)*a(a|b){40}`, 90).length).toBeLessThan(60)
  expect(asks((n) => `(?i)(googlebot|bingbot|yandexbot) ${n}`, 60)).toEqual([])
})

test('a country is one by its letters, and needs somebody who is believed to tell it', () => {
  expect(when({ country: ['DE', 'at', 'T1'] })).toEqual([])
  expect(when({ country: ['xx', 'Austria'] })).toEqual([
    '/rules/0/when/country/1 "Austria" is not a country by its two letters, such as DE',
    '/rules/0/when/country/0 no client is in "xx", which stands for a country that is not known',
  ])
  const of = (spec: object) => {
    const loaded = parseSpec(JSON.stringify(spec), { env: {}, source: 'x' })
    return 'faults' in loaded ? loaded.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []
  }
  expect(of({ country: { header: 'cf-ipcountry' } })).toEqual([
    '/country/header no proxy is trusted (trustedProxies), so nobody is believed to know the country',
  ])
  expect(of({ country: { header: 'cf-ipcountry' }, trustedProxies: ['10.0.0.0/8'] })).toEqual([])
  expect(of({ country: { file: 'geo.mmdb' } })).toEqual([])
  expect(of({ country: {} })).toHaveLength(1)
})

test('JWTs are verified by a secret that is long enough, or by keys', () => {
  const of = (jwt: object) => {
    const loaded = parseSpec(JSON.stringify({ jwt }), { env: {}, source: 'x' })
    return 'faults' in loaded ? loaded.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []
  }
  const secret = 's'.repeat(32)
  expect([of({ secret }), of({ jwks: './jwks.json', issuer: 'a' })]).toEqual([[], []])
  const either = '/jwt give either secret or jwks: tokens are verified by one of them'
  expect([of({ secret, jwks: 'a' }), of({ issuer: 'a' })]).toEqual([[either], [either]])
  for (const jwks of ['http://%zz/', 'HTTPS://%zz/']) {
    expect(of({ jwks })).toEqual([`/jwt/jwks "${jwks}" is not an http or https URL`])
  }
  expect(of({ secret: 'short' })).toEqual(['/jwt/secret needs at least 32 characters'])
})

test('keys of our cookies are long enough, each once, or the one of the store, and no fault tells one', () => {
  const of = (cookieKeys: unknown) => {
    const loaded = parseSpec(JSON.stringify({ cookieKeys }), { env: {}, source: 'x' })
    return 'faults' in loaded ? loaded.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []
  }
  const key = 'k'.repeat(32)
  expect([of([key]), of(['stored', key])]).toEqual([[], []])
  expect(of([key, 'k3y', key])).toEqual([
    '/cookieKeys/1 needs at least 32 characters (openssl rand -hex 32), or is stored',
    '/cookieKeys/2 stands here twice',
  ])
  expect(of([])).toHaveLength(1)
})
