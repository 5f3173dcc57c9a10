/** `explain` says what really happens: 200 random requests are explained first and sent then. */
import { expect, test } from 'vitest'
import { ask, BROWSER, cookieOf, type Sighting, startSeeing } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy } from '../helpers/proxy.ts'
import { makeDraw } from '../table/make.ts'

interface Explanation {
  readonly service: string | null
  readonly pool: string | null
  readonly target: string | null
  readonly release: string | null
  readonly reason: string | null
  readonly error: string | null
  readonly why: string
  readonly setsCookie: boolean
}

test('explain agrees with what happens to 200 random requests, down to the target', async () => {
  const names = ['blue-1', 'blue-2', 'green-1', 'green-2', 'red-1']
  const targets = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, (await startSeeing(name)).url] as const)),
  )
  const pools = {
    blue: [targets['blue-1'], targets['blue-2']],
    green: [targets['green-1'], targets['green-2']],
    red: [targets['red-1']],
  }
  const more = {
    split: { blue: 60, green: 40 },
    // So that the target follows from the request too.
    balance: 'hash',
    visitor: ['header:x-user-id', 'cookie:uid', 'cookie'],
    rules: [
      { name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' },
      { name: 'dark', when: { cookie: { dark: '*' } }, to: 'red', pin: true },
      { name: 'bots', when: { header: { 'user-agent': 'bot' } }, deny: 'green' },
      { name: 'local', when: { cidr: ['127.0.0.0/8'], header: { 'x-local': '*' } }, to: 'blue' },
    ],
  }
  const proxy = await startProxy({
    workers: WORKERS,
    services: {
      shop: service(pools, { ...more, routes: [{ host: 'shop.test' }, { host: '*.shop.test', path: '/a' }] }),
      api: service({ live: [targets['red-1']], next: [targets['blue-1']] }, { routes: [{ host: '*', path: '/api' }] }),
    },
  })
  const ownCookies = []
  for (let n = 0; n < 6; n++) {
    const headers = { ...BROWSER, host: 'shop.test', ...(n < 2 ? { cookie: 'dark=1' } : {}) }
    ownCookies.push(cookieOf(await ask(proxy.port, { headers })) ?? '')
  }
  expect(ownCookies.every((cookie) => cookie !== '')).toBe(true)
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 50, green: 30, red: 20 } })

  const { random } = makeDraw(11)
  const oneOf = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]
  const seen = new Set<string>()
  for (let n = 0; n < 200; n++) {
    const host = oneOf(['shop.test', 'shop.test', 'SHOP.test:80', 'eu.shop.test', 'other.test'])
    const path = oneOf(['/', '/a', '/a/b?c=d', '/api', '/api/x', '/apis', '/%41'])
    const method = oneOf(['GET', 'POST', 'DELETE'])
    const cookies = [oneOf(['', oneOf(ownCookies)]), oneOf(['', 'uid=u-' + n]), oneOf(['', '', 'dark=1'])]
    const cookie = cookies.filter((part) => part !== '').join('; ')
    const headers: Record<string, string> = {}
    if (cookie !== '') headers['cookie'] = cookie
    if (random() < 0.3) headers['x-user-id'] = 'user-' + Math.floor(random() * 1000)
    if (random() < 0.15) headers['x-internal'] = oneOf(['1', '0'])
    // With a visitor, because the share of a denied pool is spread by chance over requests that have none.
    if (random() < 0.15) Object.assign(headers, { 'user-agent': 'bot', 'x-user-id': 'bot-' + n })
    if (random() < 0.1) headers['x-local'] = 'yes'
    const what = `${method} http://${host}${path} ${JSON.stringify(headers)}`
    const body = { method, url: `http://${host}${path}`, headers }
    const said = await call<Explanation>(proxy, 'POST', '/v1/explain', body)
    const answer = await ask(proxy.port, { method, path, headers: { ...headers, host } })
    seen.add(said.reason ?? said.error ?? '')
    if (said.error !== null) {
      expect([what, answer.status, said.error]).toEqual([what, 404, 'no_route'])
      continue
    }
    const sighting = JSON.parse(answer.body) as Sighting
    const happened = {
      service: sighting.headers['x-turnout-service']?.[0],
      pool: sighting.headers['x-turnout-pool']?.[0],
      release: sighting.headers['x-turnout-release']?.[0],
      target: targets[sighting.name],
      setsCookie: answer.headers['set-cookie'] !== undefined,
    }
    const { service: name, pool, release, target, setsCookie, why } = said
    expect({ what, why, ...happened }).toEqual({ what, why, service: name, pool, release, target, setsCookie })
  }
  expect([...seen].sort()).toEqual(['bucket', 'no_route', 'picker', 'pin', 'rule'])
})

test('explain says in a sentence why, and knows the epoch it speaks of', async () => {
  const [blue, green] = [await startSeeing('blue'), await startSeeing('green')]
  const rules = [{ name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' }]
  const proxy = await startProxy({
    workers: WORKERS,
    services: { shop: service({ blue: [blue.url], green: [green.url] }, { rules }) },
  })
  const { epoch } = await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  const explain = (headers: Record<string, string>) => call(proxy, 'POST', '/v1/explain', { url: 'http://x/', headers })
  expect(await explain({ 'x-internal': '1' })).toMatchObject({
    epoch,
    why: 'rule staff sends header x-internal=1 to green',
    rule: 'staff',
  })
  await call(proxy, 'PUT', '/v1/services/shop/pools/green/state', { state: 'maint' })
  expect(await explain({ 'x-internal': '1' })).toMatchObject({ pool: 'blue', reason: 'failover' })
  await call(proxy, 'PUT', '/v1/services/shop/pools/blue/state?force=true', { state: 'maint' })
  expect(await explain({ 'x-internal': '1' })).toMatchObject({ pool: null, error: 'no_healthy_target' })
})
