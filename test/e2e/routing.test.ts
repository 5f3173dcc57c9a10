/** Several services behind one listener: hosts, wildcards, paths, methods and headers, as they reach targets. */
import { expect, test } from 'vitest'
import { ask, see, startSeeing } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy } from '../helpers/proxy.ts'
import { rawRequest } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'

/** A service of one pool for each name, with its routes. */
async function startServices(routes: Record<string, Record<string, unknown>[]>) {
  const services: Record<string, unknown> = {}
  for (const [name, list] of Object.entries(routes)) {
    services[name] = service({ live: [(await startNamed(name)).url] }, { routes: list })
  }
  return startProxy({ workers: WORKERS, services })
}

test('the host decides, exact before wildcard before any; then the longest path on segment boundaries', async () => {
  const proxy = await startServices({
    shop: [{ host: 'shop.test' }],
    cart: [
      { host: 'shop.test', path: '/cart' },
      { host: 'shop.test', path: '/basket/' },
    ],
    checkout: [{ host: 'shop.test', path: '/cart/checkout' }],
    tenants: [{ host: '*.tenants.test' }],
    acme: [{ host: 'acme.tenants.test' }],
    deep: [{ host: '*.eu.tenants.test' }],
    rest: [{ host: '*', path: '/api' }],
  })
  const cases: [host: string, path: string, service: string | null][] = [
    ['shop.test', '/', 'shop'],
    ['SHOP.Test', '/', 'shop'],
    ['shop.test:8080', '/', 'shop'],
    ['shop.test', '/cart', 'cart'],
    ['shop.test', '/cart/', 'cart'],
    ['shop.test', '/cart?x=/cart/checkout', 'cart'],
    ['shop.test', '/cart/1/2', 'cart'],
    ['shop.test', '/cartoon', 'shop'],
    ['shop.test', '/Cart', 'shop'],
    ['shop.test', '/basket', 'cart'],
    ['shop.test', '/cart/checkout/now', 'checkout'],
    ['shop.test', '/api', 'shop'],
    ['a.tenants.test', '/', 'tenants'],
    ['a.b.tenants.test', '/', 'tenants'],
    ['acme.tenants.test', '/', 'acme'],
    ['x.eu.tenants.test', '/', 'deep'],
    ['eu.tenants.test', '/', 'tenants'],
    ['tenants.test', '/', null],
    ['xtenants.test', '/', null],
    ['other.test', '/api/v1', 'rest'],
    ['tenants.test', '/api', 'rest'],
    ['other.test', '/', null],
    ['127.0.0.1', '/apis', null],
    ['[::1]:8080', '/api', 'rest'],
  ]
  for (const [host, path, expected] of cases) {
    const answer = await ask(proxy.port, { path, headers: { host, accept: 'application/json' } })
    const got = answer.status === 404 ? null : answer.body
    expect([host, path, got]).toEqual([host, path, expected])
    if (expected === null) expect(JSON.parse(answer.body).code).toBe('no_route')
  }
})

test('a method and headers narrow a route, and the narrower one wins', async () => {
  const proxy = await startServices({
    read: [{ path: '/' }],
    write: [{ path: '/', method: 'POST' }],
    v2: [{ path: '/', header: { 'x-api-version': '2' } }],
  })
  const at = async (method: string, headers = {}) => (await ask(proxy.port, { method, headers })).body
  expect(await at('GET')).toBe('read')
  expect(await at('POST')).toBe('write')
  expect(await at('GET', { 'x-api-version': '2' })).toBe('v2')
  expect(await at('GET', { 'x-api-version': '3' })).toBe('read')
})

test('the authority of an absolute URL is stronger than Host, and what is matched is what is forwarded', async () => {
  const [shop, other] = [await startSeeing('shop'), await startSeeing('other')]
  const proxy = await startProxy({
    workers: WORKERS,
    services: {
      shop: service({ live: [shop.url] }, { routes: [{ host: 'shop.test' }] }),
      other: service({ live: [other.url] }, { routes: [{ host: '*' }] }),
    },
  })
  const send = async (target: string, host: string) => {
    const last = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
    const { text } = await rawRequest(proxy.port, last)
    const { name, path, headers } = JSON.parse(text.slice(text.indexOf('{')))
    return [name, path, headers.host[0]]
  }
  expect(await send('http://shop.test/a?b=c', 'other.test')).toEqual(['shop', '/a?b=c', 'shop.test'])
  expect(await send('http://SHOP.test', 'other.test')).toEqual(['shop', '/', 'SHOP.test'])
  expect(await send('/%2e%2e/x', 'shop.test')).toEqual(['shop', '/%2e%2e/x', 'shop.test'])
})

test('a service put by the API is routed from the answer on, and one deleted no more', async () => {
  const proxy = await startServices({ shop: [{ host: 'shop.test' }] })
  const late = await startSeeing('late')
  const body = service({ live: [late.url] }, { routes: [{ host: 'late.test' }] })
  const headers = { host: 'late.test' }
  expect((await ask(proxy.port, { headers })).status).toBe(404)
  await call(proxy, 'PUT', '/v1/services/late', body)
  expect((await see(proxy.port, { headers })).headers['x-turnout-service']).toEqual(['late'])
  await call(proxy, 'DELETE', '/v1/services/late')
  expect((await ask(proxy.port, { headers })).status).toBe(404)
  expect((await ask(proxy.port, { headers: { host: 'shop.test' } })).body).toBe('shop')
})

test('two services under one host have one visitor, and each a cookie of its own', async () => {
  const [shop, api] = [await startNamed('shop'), await startNamed('api')]
  const proxy = await startProxy({
    workers: WORKERS,
    services: {
      shop: service({ live: [shop.url] }, { routes: [{ host: 'shop.test' }] }),
      api: service({ live: [api.url] }, { routes: [{ host: 'shop.test', path: '/api' }] }),
    },
  })
  const browser = { host: 'shop.test', accept: 'text/html' }
  const first = await ask(proxy.port, { headers: browser })
  const cookie = first.headers['set-cookie']?.[0].split(';')[0] ?? ''
  const second = await ask(proxy.port, { path: '/api', headers: { ...browser, cookie } })
  expect(second.body).toBe('api')
  const visitor = cookie.split('~')[1]
  const own = second.headers['set-cookie']?.[0] ?? ''
  expect([own.split('=')[0] === cookie.split('=')[0], own.split('~')[1]]).toEqual([false, visitor])
  const said = await call(proxy, 'POST', '/v1/explain', { url: 'http://shop.test/api', headers: { cookie } })
  expect(said).toMatchObject({ service: 'api', visitor })
})
