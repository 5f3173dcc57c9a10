/** Visitors keep their version: the cookie as a browser meets it, on the wire. */
import { expect, test } from 'vitest'
import { ask, BROWSER, cookieOf, oneConnection, tally } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

const HALVES = { blue: 50, green: 50 }

async function startHalves(more: Record<string, unknown> = {}): Promise<TestProxy> {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const services = { shop: service({ blue: [blue.url], green: [green.url] }, { split: HALVES, ...more }) }
  return startProxy({ workers: WORKERS, services })
}

/** A browser's first visit. */
async function firstVisit(port: number): Promise<{ pool: string; cookie: string }> {
  const answer = await ask(port, { headers: BROWSER })
  const cookie = cookieOf(answer)
  if (cookie === undefined) throw new Error('a browser was given no cookie')
  return { pool: answer.body, cookie }
}

/** A browser that was given this pool at its first visit. */
async function visitorOf(port: number, pool: string): Promise<string> {
  for (let tries = 0; tries < 200; tries++) {
    const visit = await firstVisit(port)
    if (visit.pool === pool) return visit.cookie
  }
  throw new Error(`no browser came to ${pool}`)
}

test('a browser gets the cookie once and stays on its pool over 100 requests and any number of connections', async () => {
  const proxy = await startHalves()
  for (let n = 0; n < 4; n++) {
    const { pool, cookie } = await firstVisit(proxy.port)
    const agent = oneConnection()
    for (let request = 0; request < 100; request++) {
      const headers = { ...BROWSER, cookie: `theme=dark; ${cookie}; lang=en` }
      const answer = await ask(proxy.port, { headers, agent: request % 2 === 0 ? agent : undefined })
      expect([answer.body, answer.headers['set-cookie']]).toEqual([pool, undefined])
    }
  }
})

test('browsers come to both pools, and scripts get no cookie', async () => {
  const proxy = await startHalves()
  const pools: string[] = []
  for (let n = 0; n < 60; n++) pools.push((await firstVisit(proxy.port)).pool)
  expect(Object.keys(tally(pools)).sort()).toEqual(['blue', 'green'])
  const script = await ask(proxy.port, { headers: { accept: 'application/json', 'user-agent': 'curl/8' } })
  expect(script.headers['set-cookie']).toBeUndefined()
})

test('a restart keeps every browser where it was, though nothing of its cookie was kept', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const directory = temporaryFolder()
  const config = {
    workers: WORKERS,
    store: 'sqlite:./turnout.db',
    services: { shop: service({ blue: [blue.url], green: [green.url] }, { split: HALVES }) },
  }
  const before = await startProxy(config, { directory, keep: true })
  const visits = [await visitorOf(before.port, 'blue'), await visitorOf(before.port, 'green')]
  await before.close()
  const after = await startProxy(config, { directory })
  for (const [n, pool] of ['blue', 'green'].entries()) {
    for (let request = 0; request < 20; request++) {
      const answer = await ask(after.port, { headers: { ...BROWSER, cookie: visits[n] } })
      expect([answer.body, answer.headers['set-cookie']]).toEqual([pool, undefined])
    }
  }
})

test('a forged or altered cookie is no cookie: the browser is new', async () => {
  const proxy = await startHalves({ split: { blue: 100 } })
  const { cookie } = await firstVisit(proxy.port)
  const value = cookie.slice('turnout='.length)
  const [payload, mac] = [value.slice(0, value.lastIndexOf('.')), value.slice(value.lastIndexOf('.') + 1)]
  expect(payload).toMatch(/^k~[0-9a-f]{20}~shop~blue~r1-[0-9a-f]{5}~~[0-9a-z]+~[0-9a-f]{6}$/)
  const other = mac.startsWith('A') ? 'B' : 'A'
  const forged = [
    `p${payload.slice(1)}.${mac}`,
    `${payload.replace('~blue~', '~green~')}.${mac}`,
    `${payload.replace('k~', 'k~0')}.${mac}`,
    `${payload}.${other}${mac.slice(1)}`,
    `${payload}.${mac}=`,
    `${payload}.${mac.slice(0, -2)}`,
    `${payload}.`,
    payload,
    `p~0123456789abcdef0123~shop~green~r1~.${'A'.repeat(22)}`,
    '',
    '%00',
    'x'.repeat(4_000),
  ]
  for (const sent of forged) {
    const answer = await ask(proxy.port, { headers: { ...BROWSER, cookie: `turnout=${sent}` } })
    expect(answer.body).toBe('blue')
    expect(cookieOf(answer), `sent ${sent}`).toBeDefined()
    expect(cookieOf(answer)).not.toBe(cookie)
  }
  expect(cookieOf(await ask(proxy.port, { headers: { ...BROWSER, cookie } }))).toBeUndefined()
})

test('a cookie that another Turnout signed is not believed, and is left to it', async () => {
  const theirs = await startHalves({ split: { green: 100 } })
  const { cookie } = await firstVisit(theirs.port)
  const ours = await startHalves({ split: { blue: 100 } })
  const answer = await ask(ours.port, { headers: { ...BROWSER, cookie } })
  expect(answer.body).toBe('blue')
  expect(answer.headers['set-cookie']).toEqual([expect.stringMatching(/^turnout-shop-[0-9a-f]{6}=k~/)])
})

test('the flags of the cookie are as configured', async () => {
  const flags = async (sticky?: Record<string, unknown>) => {
    const proxy = await startHalves(sticky === undefined ? {} : { sticky })
    const line = (await ask(proxy.port, { headers: BROWSER })).headers['set-cookie']?.[0] ?? ''
    return [line.slice(0, line.indexOf('=')), ...line.split('; ').slice(1)]
  }
  expect(await flags()).toEqual(['turnout', 'Path=/', 'Max-Age=604800', 'HttpOnly', 'SameSite=Lax'])
  const sticky = { cookie: 'version', maxAge: '90s', secure: true, sameSite: 'none' }
  expect(await flags(sticky)).toEqual(['version', 'Path=/', 'Max-Age=90', 'HttpOnly', 'SameSite=None', 'Secure'])
})

test('cookies of the app pass beside ours, in both directions', async () => {
  let sent: string | undefined
  const target = await startUpstream((request, response) => {
    sent = request.headers.cookie
    response.setHeader('set-cookie', ['session=1; Path=/', 'turnout_like=2']).end('blue')
  })
  const proxy = await startProxy({ workers: WORKERS, services: { shop: service({ blue: [target.url] }) } })
  const cookie = 'session=1; turnout=x; b="2"'
  const answer = await ask(proxy.port, { headers: { ...BROWSER, cookie } })
  expect(sent).toBe(cookie)
  expect(answer.headers['set-cookie']).toEqual([
    'session=1; Path=/',
    'turnout_like=2',
    expect.stringMatching(/^turnout=k~/),
  ])
})

test('with sticky off nobody gets a cookie, and the picker splits browsers too', async () => {
  const proxy = await startHalves({ sticky: false })
  const answers = []
  for (let n = 0; n < 20; n++) answers.push(await ask(proxy.port, { headers: BROWSER }))
  expect(answers.every((answer) => answer.headers['set-cookie'] === undefined)).toBe(true)
  expect(tally(answers.map((answer) => answer.body))).toEqual({ blue: 10, green: 10 })
})

test('sticky by target keeps a browser at one target of the pool, and gives it another when that is gone', async () => {
  const [one, two, three] = [await startNamed('one'), await startNamed('two'), await startNamed('three')]
  const pools = { blue: [one.url, two.url, three.url] }
  const proxy = await startProxy({
    workers: WORKERS,
    services: { shop: service(pools, { sticky: { pool: true, target: true } }) },
  })
  const seen = new Set<string>()
  let last = { pool: '', cookie: '' }
  for (let n = 0; n < 40 && seen.size < 3; n++) {
    last = await firstVisit(proxy.port)
    seen.add(last.pool)
    for (let request = 0; request < 20; request++) {
      expect((await ask(proxy.port, { headers: { cookie: last.cookie } })).body).toBe(last.pool)
    }
  }
  expect(seen.size).toBe(3)
  expect(last.cookie).not.toContain('127.0.0.1')

  const targets = { one, two, three }
  const gone = new URL(targets[last.pool as 'one'].url).host
  await call(proxy, 'PUT', `/v1/services/shop/pools/blue/targets/${gone}/state`, { state: 'maint' })
  const moved = await ask(proxy.port, { headers: { cookie: last.cookie } })
  expect(moved.body).not.toBe(last.pool)
  const cookie = cookieOf(moved)
  for (let request = 0; request < 20; request++) {
    const answer = await ask(proxy.port, { headers: { cookie: cookie ?? '' } })
    expect([answer.body, cookieOf(answer)]).toEqual([moved.body, undefined])
  }
})

test('a switch ends stickiness to the old pool, and back returns every browser to where it was', async () => {
  const proxy = await startHalves()
  const [blue, green] = [await visitorOf(proxy.port, 'blue'), await visitorOf(proxy.port, 'green')]
  const release = async () =>
    (await call<{ status: { release: string } }>(proxy, 'GET', '/v1/services/shop')).status.release
  const before = await release()

  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  expect(await release()).not.toBe(before)
  const switched = await ask(proxy.port, { headers: { ...BROWSER, cookie: blue } })
  expect(switched.body).toBe('green')
  const renewed = cookieOf(switched) ?? ''
  expect(renewed.split('~')[1]).toBe(blue.split('~')[1])

  const back = await call(proxy, 'POST', '/v1/services/shop/back')
  expect(back).toMatchObject({ split: HALVES })
  expect(await release()).toBe(before)
  for (const [cookie, pool] of [
    [blue, 'blue'],
    [renewed, 'blue'],
    [green, 'green'],
  ]) {
    expect((await ask(proxy.port, { headers: { ...BROWSER, cookie } })).body).toBe(pool)
  }
  // Back from back is the switch again.
  await call(proxy, 'POST', '/v1/services/shop/back')
  expect((await ask(proxy.port, { headers: { ...BROWSER, cookie: blue } })).body).toBe('green')
})

test('a service that is removed and made again is another one: what was signed for the first is honoured no more', async () => {
  const proxy = await startHalves()
  const cookies = await Promise.all(Array.from({ length: 20 }, () => visitorOf(proxy.port, 'blue')))
  const { spec } = await call<{ spec: object }>(proxy, 'GET', '/v1/services/shop')
  await call(proxy, 'DELETE', '/v1/services/shop')
  await call(proxy, 'PUT', '/v1/services/shop', { ...spec, split: { blue: 10, green: 90 } })
  const answers = await Promise.all(cookies.map((cookie) => ask(proxy.port, { headers: { ...BROWSER, cookie } })))
  expect(answers.map((answer) => answer.body)).toContain('green')
  for (const [n, answer] of answers.entries()) {
    const cookie = cookieOf(answer) ?? ''
    expect(cookie.split('~')[1], 'the same visitor').toBe(cookies[n].split('~')[1])
    const again = await ask(proxy.port, { headers: { ...BROWSER, cookie } })
    expect([again.body, cookieOf(again)]).toEqual([answer.body, undefined])
  }
})

test('no cookie of ours stands beside an answer that shared caches may keep, and the next other answer brings it', async () => {
  const target = await startUpstream((request, response) => {
    response.setHeader('set-cookie', 'session=1')
    if (request.url === '/app.js') response.setHeader('cache-control', 'public, max-age=31536000, immutable')
    if (request.url === '/page') response.setHeader('cache-control', 's-maxage=60')
    if (request.url === '/mine') response.setHeader('cache-control', 'private, max-age=60')
    if (request.url === '/same') response.statusCode = 304
    response.end()
  })
  const debugged = service({ blue: [target.url] }, { debugHeaders: true })
  const proxy = await startProxy({ services: { shop: debugged } })
  for (const [path, expected] of Object.entries({ '/app.js': false, '/page': false, '/same': false, '/mine': true })) {
    const answer = await ask(proxy.port, { path, headers: BROWSER })
    expect([path, cookieOf(answer) !== undefined]).toEqual([path, expected])
    expect(answer.headers['set-cookie']?.[0]).toBe('session=1')
    expect(answer.headers['x-turnout-pool']).toBe('blue')
  }
  expect(cookieOf(await ask(proxy.port, { headers: BROWSER }))).toBeDefined()
})
