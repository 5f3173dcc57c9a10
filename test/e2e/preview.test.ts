/** A preview host shows one pool as it is: what everybody else is spared is seen there. */
import { expect, test } from 'vitest'
import { ask } from '../helpers/ask.ts'
import { call, service, startProxy } from '../helpers/proxy.ts'
import { startUpstream } from '../helpers/upstream.ts'

const startPool = (name: string, status: () => number) =>
  startUpstream((request, response) => {
    response.writeHead(request.url === '/assets/a.js' ? 404 : status()).end(name)
  })

test('its failures and missing files are seen, its host is forwarded, and it sets no cookie', async () => {
  let status = 200
  const hosts: (string | undefined)[] = []
  const blue = await startPool('blue', () => 200)
  const green = await startUpstream((request, response) => {
    hosts.push(request.headers.host)
    response.writeHead(request.url === '/assets/a.js' ? 404 : status).end('green')
  })
  const more = {
    preview: { host: '{pool}.shop.test', from: ['127.0.0.1'] },
    rescue: true,
    skew: ['/assets/*'],
    live: 'blue',
  }
  const proxy = await startProxy({ services: { shop: service({ blue: [blue.url], green: [green.url] }, more) } })
  const onHost = async (host: string, path = '/', from?: string) => {
    const { status, body, headers } = await ask(proxy.port, { path, from, headers: { host, accept: 'text/html' } })
    return { told: `${status} ${body.trim()}`, cookie: headers['set-cookie'] }
  }
  expect(await onHost('green.shop.test:8080')).toEqual({ told: '200 green', cookie: undefined })
  expect(hosts).toEqual(['green.shop.test:8080'])
  expect((await onHost('blue.shop.test')).told).toBe('200 blue')
  expect((await onHost('shop.test')).told).toBe('200 blue')
  status = 502
  expect((await onHost('green.shop.test')).told).toBe('502 green')
  expect((await onHost('green.shop.test', '/assets/a.js')).told).toBe('404 green')
  // The route of everybody's host takes what has no other, so it is the live pool that answers.
  await call(proxy, 'PATCH', '/v1/services/shop', { routes: [{ host: 'shop.test', path: '/' }] })
  expect((await onHost('green.shop.test')).told).toBe('502 green')
  expect((await onHost('green.shop.test', '/', '127.0.0.2')).told).toMatch(/^404 /)
  const explained = await call(proxy, 'POST', '/v1/explain', { url: 'http://green.shop.test/' })
  expect(explained).toMatchObject({ pool: 'green', reason: 'preview' })
})

test('a canary that fails is seen as it is by whoever previews it, while all others are rescued', async () => {
  const blue = await startPool('blue', () => 200)
  const green = await startPool('green', () => 503)
  const spec = service(
    { blue: [blue.url], green: [green.url] },
    { preview: '{pool}.shop.test', rescue: true, split: { blue: 2, green: 1 }, sticky: false, visitor: [] },
  )
  const proxy = await startProxy({ services: { shop: spec } })
  const seen = { preview: new Set<number>(), others: new Set<number>() }
  for (let n = 0; n < 8; n++) {
    seen.preview.add((await ask(proxy.port, { headers: { host: 'green.shop.test' } })).status)
    seen.others.add((await ask(proxy.port, { headers: { host: 'shop.test' } })).status)
  }
  expect(seen).toEqual({ preview: new Set([503]), others: new Set([200]) })
})
