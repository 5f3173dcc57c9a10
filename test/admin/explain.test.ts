/** Explain: what a posted request becomes, and how a decision is told. */
import { expect, test } from 'vitest'
import { type ExplainInput, explanationOf, requestView } from '../../src/admin/explain.ts'
import type { Decision, OwnCookie } from '../../src/table/types.ts'
import { startAdmin } from './stand-in.ts'

const NOWHERE: Decision = {
  target: null,
  pool: null,
  service: null,
  error: 'no_route',
  reason: null,
  rule: null,
  visitor: null,
  bucket: -1,
  aimed: null,
  panic: false,
  setCookie: null,
}

async function inputOf(body: unknown): Promise<ExplainInput> {
  let seen: ExplainInput | null = null
  const { call } = await startAdmin({
    explain: (input) => {
      seen = input
      return explanationOf(NOWHERE, { epoch: 1, revision: 1 })
    },
  })
  expect((await call('POST', '/v1/explain', body)).status).toBe(200)
  return seen!
}

test('the answer is the explanation', async () => {
  const explanation = explanationOf(NOWHERE, { epoch: 4, revision: 3 })
  const { call } = await startAdmin({ explain: async () => explanation })
  const answer = await call('POST', '/v1/explain', { url: 'http://nowhere.example/' })
  expect(answer.body).toEqual(explanation)
  expect(answer.body).toMatchObject({ error: 'no_route', bucket: -1, pool: null, epoch: 4, revision: 3 })
})

test('an absolute URL gives host and path, and defaults fill in the rest', async () => {
  expect(await inputOf({ url: 'http://Shop.Example.com:8080/a/../b%20c?q=1#f' })).toEqual({
    method: 'GET',
    url: 'http://Shop.Example.com:8080/a/../b%20c?q=1#f',
    host: 'shop.example.com',
    path: '/a/../b%20c',
    headers: new Map(),
    ip: '127.0.0.1',
  })
})

test.each([
  [{ url: '/x?y', headers: { HOST: 'Shop.Example.com:80' } }, 'shop.example.com', '/x'],
  [{ url: 'http://a.example', headers: { host: 'b.example' } }, 'a.example', '/'],
  [{ url: 'https://[::1]:8443/p' }, '[::1]', '/p'],
  [{ url: '/x' }, '', '/x'],
])('%j is a request for host %j and path %j', async (body, host, path) => {
  expect(await inputOf(body)).toMatchObject({ host, path })
})

test.each([
  {},
  { url: '' },
  { url: 'ftp://x/' },
  { url: 'x y' },
  { url: '/', ipp: '1' },
  { url: '/', headers: { a: 1 } },
  { url: '/', method: 'B D' },
  { url: '/', ip: 'nonsense' },
])('%j is refused', async (body) => {
  const { call } = await startAdmin()
  expect((await call('POST', '/v1/explain', body)).body).toMatchObject({ status: 422, code: 'invalid' })
})

test('the view reads headers by name, cookies, and our own cookie when it verifies', async () => {
  const input = await inputOf({
    method: 'POST',
    url: '/x',
    headers: { 'X-User': 'u-1', cookie: 'a=1; uid=u=2;turnout=signed; bad=unsigned' },
    ip: '10.0.0.7',
  })
  const own: OwnCookie = { visitor: 'v' } as OwnCookie
  const view = requestView(input, (name, value) => (name === 'turnout' && value === 'signed' ? own : null))
  expect([view.method, view.path, view.address]).toEqual(['POST', '/x', '10.0.0.7'])
  expect([view.header('x-user'), view.header('x-none')]).toEqual(['u-1', undefined])
  expect([view.headerHas('x-user', 'u-1'), view.headerHas('x-user', 'u-2'), view.headerHas('x-none', '*')]).toEqual([
    ...[true, false, false],
  ])
  expect([view.cookie('uid'), view.cookie('none'), view.cookie('constructor')]).toEqual(['u=2', undefined, undefined])
  expect([view.ownCookie('turnout'), view.ownCookie('bad'), view.ownCookie('none')]).toEqual([own, null, null])
})

test('a header may come more than once', async () => {
  const input = await inputOf({ url: '/x', headers: { 'X-A': ['1', '2'], 'x-b': '3', Cookie: ['a=1', 'b=2'] } })
  const view = requestView(input, () => null)
  for (const value of ['1', '2', '1, 2', '*']) expect([value, view.headerHas('x-a', value)]).toEqual([value, true])
  for (const value of ['', '3', '1,2']) expect([value, view.headerHas('x-a', value)]).toEqual([value, false])
  const joined = Array.from({ length: view.fieldCount }, (_, at) => view.joinedAt(at))
  expect(joined).toEqual([null, '1, 2', null, null, 'a=1, b=2'])
  expect([view.header('x-a'), view.cookie('b')]).toEqual(['1', '2'])
})
