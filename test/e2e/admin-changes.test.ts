/** Changes through the whole stack: who made them, on which revision, what they did to traffic, and how to undo them. */
import { describe, expect, test } from 'vitest'
import { ask, BROWSER, cookieOf, head, pipeline, tally } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { closedPort, startNamed } from '../helpers/upstream.ts'

const KEYLESS = new Array(100).fill(head('/'))

async function startShop(more: Record<string, unknown> = {}, config: Record<string, unknown> = {}): Promise<TestProxy> {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const services = { shop: service({ blue: [blue.url], green: [green.url] }, more) }
  return startProxy({ workers: WORKERS, services, ...config })
}

interface Reply {
  readonly status: number
  readonly etag: string | null
  readonly body: Record<string, unknown>
}

/** One call of the admin API, refused or not. */
async function request(proxy: TestProxy, method: string, path: string, body?: unknown, headers = {}): Promise<Reply> {
  const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
  const answer = await fetch(proxy.admin + path, {
    method,
    headers: { ...type, ...headers },
    body: body === undefined ? null : JSON.stringify(body),
  })
  return { status: answer.status, etag: answer.headers.get('etag'), body: (await answer.json()) as Reply['body'] }
}

const split = (blue: number, green: number) => ({ weights: { blue, green } })
const shares = async (proxy: TestProxy) => tally(await pipeline(proxy.port, KEYLESS))

describe('If-Match', () => {
  test('a change made on a revision that has moved is refused, and traffic stays as it was', async () => {
    const proxy = await startShop()
    const read = await request(proxy, 'GET', '/v1/services/shop')
    const ifMatch = { 'if-match': read.etag ?? '' }
    const first = await request(proxy, 'PUT', '/v1/services/shop/split', split(75, 25), ifMatch)
    expect(first.status).toBe(200)
    expect(first.etag).toBe(`"${first.body['revision']}"`)
    const second = await request(proxy, 'PUT', '/v1/services/shop/split', split(0, 100), ifMatch)
    expect([second.status, second.body['code']]).toEqual([412, 'stale_revision'])
    expect(await shares(proxy)).toEqual({ blue: 75, green: 25 })
    const third = await request(proxy, 'PUT', '/v1/services/shop/split', split(0, 100), {
      'if-match': first.etag ?? '',
    })
    expect(third.status).toBe(200)
    expect(await shares(proxy)).toEqual({ green: 100 })
  })

  test('of many changes made at once on one revision exactly one is made', async () => {
    const proxy = await startShop()
    const { etag } = await request(proxy, 'GET', '/v1/services/shop')
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        request(proxy, 'PUT', '/v1/services/shop/split', split(99 - n, 1 + n), { 'if-match': etag ?? '' }),
      ),
    )
    const made = replies.flatMap(({ status }, n) => (status === 200 ? [n] : []))
    expect(made.length).toBe(1)
    expect(replies.filter(({ status }) => status === 412).length).toBe(19)
    expect(await shares(proxy)).toEqual({ blue: 99 - made[0], green: 1 + made[0] })
  })
})

describe('who changed what', () => {
  const tokens = [
    { name: 'ci', token: 'ci-secret-of-the-test', role: 'operator' },
    { name: 'anna', token: 'anna-secret-of-the-test', role: 'operator' },
    { name: 'screen', token: 'screen-secret-of-the-test', role: 'viewer' },
  ]
  const as = (name: string) => ({ authorization: `Bearer ${name}-secret-of-the-test` })

  test('the audit has every change with the name of its token, newest first, and no refused one', async () => {
    const proxy = await startShop({}, { admin: { address: '127.0.0.1:0', tokens } })
    const path = '/v1/services/shop'
    expect((await request(proxy, 'PUT', `${path}/split`, split(90, 10), as('ci'))).status).toBe(200)
    expect((await request(proxy, 'PUT', `${path}/split`, split(90, 10), as('anna'))).body['changed']).toBe(false)
    expect((await request(proxy, 'POST', `${path}/switch`, { to: 'green' }, as('anna'))).status).toBe(200)
    expect((await request(proxy, 'POST', `${path}/switch`, { to: 'blue' }, as('screen'))).status).toBe(403)
    expect((await request(proxy, 'POST', `${path}/switch`, { to: 'blue' })).status).toBe(401)
    expect((await request(proxy, 'POST', `${path}/switch`, { to: 'red' }, as('anna'))).status).toBe(404)
    const state = await request(proxy, 'PUT', `${path}/pools/blue/state`, { state: 'standby' }, as('ci'))
    expect(state.status).toBe(200)

    interface Audit {
      entries: { revision: number; actor: string; atMs: number; change: Record<string, unknown> }[]
    }
    const { body } = await request(proxy, 'GET', '/v1/audit', undefined, as('screen'))
    const { entries } = body as unknown as Audit
    expect(entries.map(({ actor, change }) => [actor, change['kind'], change['service']])).toEqual([
      ['ci', 'pool.state', 'shop'],
      ['anna', 'switch', 'shop'],
      ['ci', 'split', 'shop'],
      ['file', 'file', undefined],
    ])
    expect(entries.map(({ revision }) => revision)).toEqual([4, 3, 2, 1])
    expect(entries[0].atMs).toBeGreaterThanOrEqual(entries[3].atMs)
    expect(JSON.stringify(body)).not.toContain('secret')
    expect(await shares(proxy)).toEqual({ green: 100 })
  })

  test('without tokens it was somebody local, and events tell the same', async () => {
    const proxy = await startShop()
    await call(proxy, 'PUT', '/v1/services/shop/split', split(1, 1))
    const { entries } = await call<{ entries: { actor: string }[] }>(proxy, 'GET', '/v1/audit?limit=1')
    expect(entries.map(({ actor }) => actor)).toEqual(['local'])
    interface Events {
      events: { type: string; data: Record<string, unknown> }[]
    }
    const { events } = await call<Events>(proxy, 'GET', '/v1/events?follow=false')
    expect(events.at(-1)).toMatchObject({ type: 'change', data: { actor: 'local', kind: 'split', services: ['shop'] } })
  })
})

describe('going back', () => {
  test('restoring a revision brings its split, rules, pools and visitors back, as a new revision', async () => {
    const proxy = await startShop({ split: { blue: 50, green: 50 } })
    const visits: [cookie: string, pool: string][] = []
    for (let n = 0; n < 10; n++) {
      const answer = await ask(proxy.port, { headers: BROWSER })
      visits.push([cookieOf(answer) ?? '', answer.body])
    }
    const before = await call<{ revision: number; spec: object }>(proxy, 'GET', '/v1/services/shop')
    const staff = { name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'blue' }
    await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
    await call(proxy, 'PUT', '/v1/services/shop/rules', [staff])
    await call(proxy, 'PATCH', '/v1/services/shop', { debugHeaders: true })
    expect(await shares(proxy)).toEqual({ green: 100 })

    const restored = await call(proxy, 'POST', `/v1/revisions/${before.revision}/restore`)
    expect(restored).toMatchObject({ revision: before.revision + 4, changed: true })
    expect((await call(proxy, 'GET', '/v1/services/shop'))['spec']).toEqual(before.spec)
    expect(await shares(proxy)).toEqual({ blue: 50, green: 50 })
    for (const [cookie, pool] of visits) {
      expect((await ask(proxy.port, { headers: { ...BROWSER, cookie } })).body).toBe(pool)
    }
    const again = await call(proxy, 'POST', `/v1/revisions/${before.revision}/restore`)
    expect(again).toMatchObject({ revision: before.revision + 4, changed: false })
    await expect(call(proxy, 'POST', '/v1/revisions/99/restore')).rejects.toThrow('404')
  })

  test('a deleted service comes back with its revision, and its routes answer again', async () => {
    const proxy = await startShop()
    const { revision } = await call<{ revision: number }>(proxy, 'GET', '/v1/services')
    await call(proxy, 'DELETE', '/v1/services/shop')
    expect((await ask(proxy.port)).status).toBe(404)
    await call(proxy, 'POST', `/v1/revisions/${revision}/restore`)
    expect(await shares(proxy)).toEqual({ blue: 100 })
  })

  test('back undoes a split, and back again redoes it; a service that never had another split has none', async () => {
    const proxy = await startShop()
    await expect(call(proxy, 'POST', '/v1/services/shop/back')).rejects.toThrow('409')
    await call(proxy, 'PUT', '/v1/services/shop/split', split(80, 20))
    await call(proxy, 'POST', '/v1/services/shop/back')
    expect(await shares(proxy)).toEqual({ blue: 100 })
    await call(proxy, 'POST', '/v1/services/shop/back')
    expect(await shares(proxy)).toEqual({ blue: 80, green: 20 })
  })
})

describe('a deployment by the API alone', () => {
  test('a new version is put into the idle pool, tried by a header, given a share, and switched to', async () => {
    const proxy = await startShop()
    const next = await startNamed('next')
    await call(proxy, 'PUT', '/v1/services/shop/pools/green', { version: '2.0', targets: [next.url] })
    await call(proxy, 'PUT', '/v1/services/shop/rules', [
      { name: 'staff', when: { header: { 'x-try': '*' } }, to: 'green' },
    ])
    expect((await ask(proxy.port, { headers: { 'x-try': '1' } })).body).toBe('next')
    expect(await shares(proxy)).toEqual({ blue: 100 })
    await call(proxy, 'PUT', '/v1/services/shop/split', split(95, 5))
    expect(await shares(proxy)).toEqual({ blue: 95, next: 5 })
    await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
    expect(await shares(proxy)).toEqual({ next: 100 })
    await call(proxy, 'PUT', '/v1/services/shop/rules', [])
    await call(proxy, 'DELETE', '/v1/services/shop/pools/blue')
    await expect(call(proxy, 'DELETE', '/v1/services/shop/pools/green')).rejects.toThrow('409')
    expect(await shares(proxy)).toEqual({ next: 100 })
  })

  test('targets that come and go under load fail no request', async () => {
    const [one, two] = [await startNamed('one'), await startNamed('two')]
    const proxy = await startProxy({ workers: WORKERS, services: { shop: service({ blue: [one.url] }) } })
    let over = false
    let rounds = 0
    const load = Array.from({ length: 4 }, async () => {
      for (; !over; rounds++) await pipeline(proxy.port, KEYLESS, 4)
    })
    const failed = Promise.all(load)
    for (let n = 0; n < 10; n++) {
      const targets = [[one.url, two.url], [two.url], [one.url]][n % 3]
      const before = rounds
      await call(proxy, 'PUT', '/v1/services/shop/pools/blue', { version: 'blue-version', targets })
      await expect.poll(() => rounds).toBeGreaterThan(before)
    }
    over = true
    await failed
    expect(two.requests()).toBeGreaterThan(0)
  })
})

test('a change that does not hold together is refused with every fault, and nothing is changed', async () => {
  const proxy = await startShop()
  const { revision } = await call<{ revision: number }>(proxy, 'GET', '/v1/services')
  const bad = {
    routes: [{ host: '*', path: 'no-slash' }],
    pools: { blue: { targets: [`http://127.0.0.1:${await closedPort()}/path`] } },
    split: { blue: -1 },
    colour: 'red',
  }
  const { status, body } = await request(proxy, 'PUT', '/v1/services/shop', bad)
  expect([status, body['code']]).toEqual([422, 'invalid'])
  const pointers = (body['errors'] as { pointer: string }[]).map(({ pointer }) => pointer)
  for (const pointer of ['/routes/0/path', '/pools/blue/targets/0', '/split/blue', '/colour']) {
    expect(pointers).toContain(pointer)
  }
  expect((await call(proxy, 'GET', '/v1/services'))['revision']).toBe(revision)
  expect(await shares(proxy)).toEqual({ blue: 100 })
})
