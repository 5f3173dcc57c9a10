/** A request posted to explain is read as traffic is. */
import { expect, test } from 'vitest'
import { CookieSigner } from '../../src/dataplane/cookie-signer.ts'
import { type Posted, PostedRequest } from '../../src/dataplane/posted-request.ts'
import { EMPTY_ROUTER, match, updateRouter } from '../../src/table/match.ts'
import type { VisitorSource } from '../../src/table/plan.ts'
import { visitorKey } from '../../src/table/visitor.ts'
import { makeRoute } from '../table/make.ts'

function read(given: Omit<Partial<Posted>, 'headers'> & { readonly headers?: Record<string, string[]> }) {
  const posted = new PostedRequest(2_000, 8, new CookieSigner(['a key of the test'], 'abc123'), () => 0)
  const { headers = {}, ...rest } = given
  const request = { method: 'GET', authority: 'a', path: '/', ip: '10.0.0.7', ...rest }
  return { error: posted.read({ ...request, headers: new Map(Object.entries(headers)) }), view: posted.view }
}

test('the view is that of the octets which a client would send', () => {
  const headers = { host: ['b'], 'x-name': ['größe', '2'], cookie: ['a=1', 'b=č'] }
  const { error, view } = read({ method: 'POST', authority: 'Shop.Example.com.:80', path: '/x', headers })
  expect(error).toBe(null)
  expect([view.method, view.host, view.path, view.address]).toEqual(['POST', 'shop.example.com', '/x', '10.0.0.7'])
  expect([view.header('x-name'), view.header('host')]).toEqual(['gr\xc3\xb6\xc3\x9fe, 2', 'Shop.Example.com.:80'])
  const has = (value: string) => view.headerPasses('x-name', { holds: (given) => given === value })
  expect([has('2'), has('größe')]).toEqual([true, false])
  expect([view.cookie('b'), view.cookie('none')]).toEqual(['\xc4\x8d', undefined])
})

test('a header that comes twice is one value, as if a proxy had joined it; a token that does is none, whichever stands first', () => {
  const keyOf = (headers: Record<string, string[]>) => {
    const sources: VisitorSource[] = [
      { from: 'header', name: 'x-user-id' },
      { from: 'jwt', claim: 'sub' },
      { from: 'address' },
    ]
    return visitorKey(read({ headers }).view, sources, null)
  }
  const bearer = (sub: string) => `Bearer x.${Buffer.from(JSON.stringify({ sub })).toString('base64url')}.y`
  expect(keyOf({ 'x-user-id': ['a'] })).toBe('a')
  expect(keyOf({ 'x-user-id': ['a', 'b'] })).toBe('a, b')
  expect(keyOf({ 'x-user-id': ['a, b'] })).toBe('a, b')
  expect(keyOf({ authorization: [bearer('a')] })).toBe('a')
  expect(keyOf({ authorization: [bearer('a'), bearer('b')] })).toBe('10.0.0.7')
})

test('a route by a header is that of any of its lines, and of all of them together', () => {
  for (const others of [0, 50]) {
    const plans = Array.from({ length: others }, (_, n) => makeRoute({ header: [['x-other', String(n)]] }))
    const plan = (...header: [string, string][]) => makeRoute({ header })
    const services = { two: [plan(['x-api', '2'])], both: [plan(['x-list', '1, 2'])], any: [...plans, makeRoute()] }
    const router = updateRouter(EMPTY_ROUTER, new Map(Object.entries(services)))
    const serviceOf = (headers: Record<string, string[]>) => match(router, read({ headers }).view)?.service
    expect(['1', '2'].map((first) => serviceOf({ 'x-api': [first, '2'] }))).toEqual(['two', 'two'])
    expect([serviceOf({ 'x-api': ['1', '3'] }), serviceOf({ 'x-api': ['2'] })]).toEqual(['any', 'two'])
    expect([serviceOf({ 'x-list': ['1', '2'] }), serviceOf({ 'x-list': ['2', '1'] })]).toEqual(['both', 'any'])
  }
})

test('a request may have no host, as in HTTP/1.0, or that of its Host header', () => {
  expect(read({ authority: null }).error).toBe(null)
  expect(read({ authority: null }).view.host).toBe('')
  expect(read({ authority: null, headers: { host: ['B:80'] } }).view.host).toBe('b')
})

test.each([
  ['bad_host', { authority: 'größe.example' }],
  ['bad_host', { authority: 'a b' }],
  ['bad_host', { authority: null, headers: { host: ['a', 'b'] } }],
  ['bad_request', { path: '/é' }],
  ['bad_request', { headers: { 'a b': ['1'] } }],
  ['bad_request', { headers: { a: ['\0'] } }],
  ['bad_request', { headers: { a: ['1\r\n\r\nGET / HTTP/1.1'] } }],
  ['bad_request', { headers: { a: ['1\n'] } }],
  ['head_too_large', { headers: { a: Array.from({ length: 9 }, () => '1') } }],
  ['expectation_failed', { headers: { expect: ['more'] } }],
  ['method_not_allowed', { method: 'CONNECT' }],
])('what traffic refuses is refused with %s: %j', (code, request) => {
  expect(read(request as Parameters<typeof read>[0]).error).toBe(code)
})
