/** A link by which people choose a version for themselves, as a browser follows it. */
import { expect, test } from 'vitest'
import { validateService } from '../../src/config/check.ts'
import { ask, cookieOf } from '../helpers/ask.ts'
import { call, service, startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { begin, current, ROLLOUTS, reached } from '../helpers/rollouts.ts'
import { startNamed } from '../helpers/upstream.ts'

test('?turnout=green pins a client for the life of the release, ?turnout=off lets it go', async () => {
  const pools = { blue: [(await startNamed('blue')).url], green: [(await startNamed('green')).url] }
  const proxy = await startProxy({ services: { shop: service(pools, { link: 'turnout', live: 'blue' }) } })
  let cookie = ''
  const visit = async (path: string, method = 'GET') => {
    const { status, headers, body } = await ask(proxy.port, { path, method, headers: cookie === '' ? {} : { cookie } })
    const [set] = headers['set-cookie'] ?? []
    if (set !== undefined) cookie = set.split(';')[0]
    return { status, location: headers.location, cache: headers['cache-control'], body }
  }
  expect((await visit('/')).body).toBe('blue')
  expect(await visit('/cart?turnout=green&x=1')).toEqual({
    status: 302,
    location: '/cart?x=1',
    cache: 'no-store',
    body: '',
  })
  expect((await visit('/')).body).toBe('green')
  expect((await visit('/?turnout=blue', 'POST')).body).toBe('green')
  expect(await visit('/?turnout=off', 'HEAD')).toMatchObject({ status: 302, location: '/' })
  expect((await visit('/')).body).toBe('blue')
  expect(await call(proxy, 'POST', '/v1/explain', { url: 'http://shop.test/cart?x=1&turnout=green' })).toMatchObject({
    why: 'the link pins the client to green; the client is sent to /cart?x=1',
    reason: 'link',
    error: null,
    setsCookie: true,
  })
  // A pin dies with its release.
  await visit('/?turnout=green')
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'blue' })
  expect((await visit('/')).body).toBe('blue')
})

test('a pin to a version that a rollout tries ends with its rollback, at once', async () => {
  const pools = { blue: [(await startNamed('blue')).url], green: [(await startNamed('green')).url] }
  const proxy = await startProxy({ services: { shop: service(pools, { link: 'turnout', live: 'blue' }) } })
  await begin(proxy, { strategy: 'canary', steps: [{ weight: 1, until: 'promoted', for: '1h' }] })
  await until('it is tried', async () => (await current(proxy)).weight === 1)
  const cookie = cookieOf(await ask(proxy.port, { path: '/?turnout=green' })) ?? ''
  const pinned = async () => (await ask(proxy.port, { headers: { cookie } })).body
  expect(await pinned()).toBe('green')
  await call(proxy, 'POST', `${ROLLOUTS}/current/abort`)
  await reached(proxy, 'rolledBack')
  expect(await pinned()).toBe('blue')
})

test('a link where no cookie is set is refused', () => {
  const shop = { routes: [{}], pools: { blue: { targets: ['http://127.0.0.1:1'] } }, link: 'turnout', sticky: false }
  expect(validateService(shop)).toEqual({
    faults: [{ pointer: '/link', message: 'a link pins people by our cookie, which sticky: false does not give them' }],
  })
})
