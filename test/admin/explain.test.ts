/** Explain: what a posted request becomes, and how a decision is told. */
import { expect, test } from 'vitest'
import { type ExplainInput, explanationOf, refusalOf } from '../../src/admin/explain.ts'
import type { Decision } from '../../src/table/types.ts'
import { startAdmin } from './stand-in.ts'

const NOWHERE: Decision = {
  target: null,
  pool: null,
  service: null,
  error: 'no_route',
  reason: null,
  rule: null,
  visitor: null,
  fresh: false,
  bucket: -1,
  visitorHash: -1,
  aimed: null,
  panic: false,
  setCookie: null,
  redirect: null,
  waitsFor: null,
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
    authority: 'Shop.Example.com:8080',
    path: '/a/../b%20c?q=1',
    headers: new Map(),
    ip: '127.0.0.1',
  })
})

test.each([
  [{ url: '/x?y', headers: { HOST: 'Shop.Example.com:80' } }, null, '/x?y'],
  [{ url: 'http://a.example', headers: { host: 'b.example' } }, 'a.example', '/'],
  [{ url: 'https://[::1]:8443/p' }, '[::1]:8443', '/p'],
  [{ url: '/x' }, null, '/x'],
  [{ url: 'http://größe.example:80/č%c3' }, 'xn--gre-6ka8i.example:80', '/%C4%8D%c3'],
])('%j is a request for %j and path and query %j', async (body, authority, path) => {
  expect(await inputOf(body)).toMatchObject({ authority, path })
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
  { url: '/', headers: { a: 'b\r\nc: d' } },
])('%j is refused', async (body) => {
  const { call } = await startAdmin()
  expect((await call('POST', '/v1/explain', body)).body).toMatchObject({ status: 422, code: 'invalid' })
})

test('an address has one form', async () => {
  expect((await inputOf({ url: '/', ip: '::FFFF:10.0.0.7' })).ip).toBe('10.0.0.7')
})

test('what traffic refuses is told with its code', () => {
  expect(refusalOf('bad_host', { epoch: 4, revision: 3 })).toMatchObject({
    error: 'bad_host',
    why: 'the request is refused as it is: The Host header is missing, repeated or malformed.',
    service: null,
    epoch: 4,
    revision: 3,
  })
})

test('a header may come more than once', async () => {
  const { headers } = await inputOf({ url: '/x', headers: { 'X-A': ['1', '2'], 'x-b': '3' } })
  expect([...headers]).toEqual([
    ['x-a', ['1', '2']],
    ['x-b', ['3']],
  ])
})
