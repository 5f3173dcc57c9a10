/** One name, many spellings, on the wire: hosts, addresses and paths are the same however they are written. */
import { describe, expect, test } from 'vitest'
import { ask, see, startSeeing } from '../helpers/ask.ts'
import { call, service, startProxy } from '../helpers/proxy.ts'
import { rawRequest } from '../helpers/raw.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

describe('a route is found by every spelling of its host', () => {
  test.each([
    ['shop.example.com', 'shop.example.com.'],
    ['SHOP.example.com.', 'shop.EXAMPLE.com:8080'],
    ['*.Example.com.', 'shop.example.com.:80'],
    ['größe.example', 'xn--gre-6ka8i.example'],
    ['größe.example', 'XN--GRE-6KA8I.example.'],
    ['[::1]', '[0:0:0:0:0:0:0:1]:80'],
    ['[2001:DB8:0::1]', '[2001:db8::0:1]'],
    ['127.0.0.1', '127.0.0.1.'],
  ])('%s by Host: %s', async (host, sent) => {
    const blue = await startSeeing('blue')
    const proxy = await startProxy({ services: { shop: service({ blue: [blue.url] }, { routes: [{ host }] }) } })
    const { headers } = await see(proxy.port, { headers: { host: sent } })
    expect(headers['host']).toEqual([sent])
    expect(await call(proxy, 'POST', '/v1/explain', { url: '/', headers: { host: sent } })).toMatchObject({
      pool: 'blue',
    })
    expect(await call(proxy, 'POST', '/v1/explain', { url: `http://${host.replace('*', 'www')}/` })).toMatchObject({
      pool: 'blue',
    })
    expect((await ask(proxy.port, { headers: { host: `x${sent}` } })).status).not.toBe(host.startsWith('*') ? 404 : 200)
  })
})

test('other letters in a Host are refused, as A-labels are what clients send', async () => {
  const blue = await startNamed('blue')
  const routes = [{ host: '*' }, { host: 'größe.example' }]
  const proxy = await startProxy({ services: { shop: service({ blue: [blue.url] }, { routes }) } })
  const host = Buffer.from('größe.example').toString('latin1')
  const { text } = await rawRequest(proxy.port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, {
    until: (seen) => seen.includes('\r\n\r\n'),
  })
  expect(text).toMatch(/^HTTP\/1\.1 400 /)
})

test('a target with the dot of a complete name is reached, probed and named without it', async () => {
  const hosts = new Set<string | undefined>()
  const blue = await startUpstream((request, response) => {
    hosts.add(request.headers.host)
    response.end('blue')
  })
  const health = { path: '/', interval: '100ms' }
  const pools = { blue: [`http://LOCALHOST.:${blue.port}`] }
  const proxy = await startProxy({ services: { shop: service(pools, { health }) } })
  const answer = await rawRequest(proxy.port, 'GET / HTTP/1.0\r\n\r\n')
  expect(answer.text).toMatch(/blue$/)
  expect([...hosts]).toEqual([`localhost:${blue.port}`])
  for (const name of [
    `localhost:${blue.port}`,
    `LOCALHOST.:${blue.port}`,
    encodeURIComponent(`http://localhost:${blue.port}/`),
  ]) {
    for (const state of ['maint', 'ready']) {
      // It is the only target, so nobody would be left.
      const path = `/v1/services/shop/pools/blue/targets/${name}/state?force=true`
      expect(await call(proxy, 'PUT', path, { state })).toMatchObject({ changed: true })
    }
  }
})

test('a route with a slash at its end is the route without it, and a path of other letters is found as it is sent', async () => {
  const [one, two] = [await startSeeing('one'), await startSeeing('two')]
  const proxy = await startProxy({
    services: {
      one: service({ blue: [one.url] }, { routes: [{ path: '/api/' }, { path: '/café' }] }),
      two: service({ blue: [two.url] }, { routes: [{ path: '/' }, { path: '/caf%c3%a9/x' }] }),
    },
  })
  const named = async (path: string) => {
    const { name, path: forwarded } = await see(proxy.port, { path })
    expect(forwarded).toBe(path)
    const { target } = await call<{ target: string }>(proxy, 'POST', '/v1/explain', { url: path })
    expect(target).toBe({ one, two }[name]?.url)
    return name
  }
  for (const path of ['/api', '/api/', '/api/x', '/caf%C3%A9', '/caf%c3%a9?x=%c3', '/caf%c3%A9/y'])
    expect(await named(path)).toBe('one')
  for (const path of ['/apis', '/caf%C3%A9/x', '/caf%c3%a9/x/y', '/cafe', '/cafe%CC%81', '/caf%E9'])
    expect(await named(path)).toBe('two')
  const { target } = await call<{ target: string }>(proxy, 'POST', '/v1/explain', { url: 'http://h/café' })
  expect(target).toBe(one.url)
})

test('a visitor by address is one, however the proxy before us spells it', async () => {
  const blue = await startSeeing('blue')
  const proxy = await startProxy({
    trustedProxies: ['127.0.0.0/8'],
    services: {
      shop: service(
        { blue: [blue.url] },
        { visitor: ['address'], rules: [{ name: 'a', when: { visitor: ['10.0.0.1', '2001:db8::1'] }, deny: 'blue' }] },
      ),
    },
  })
  for (const address of ['10.0.0.1', '::ffff:10.0.0.1', '2001:DB8:0::1', '[2001:db8::1]:80']) {
    expect((await ask(proxy.port, { headers: { 'x-forwarded-for': address } })).status).toBe(503)
    if (address.startsWith('[')) continue
    expect(await call(proxy, 'POST', '/v1/explain', { url: '/', ip: address })).toMatchObject({
      error: 'no_healthy_target',
    })
  }
  expect((await ask(proxy.port, { headers: { 'x-forwarded-for': '10.0.0.2' } })).status).toBe(200)
})
