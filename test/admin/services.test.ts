/** Calls on services, pools and states, over real HTTP against a control without workers. */
import { expect, test, vi } from 'vitest'
import { TurnoutError } from '../../src/errors.ts'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { SHOP, startAdmin } from './stand-in.ts'

const CHANGED = { revision: 2, epoch: 2, appliedInMs: expect.any(Number), changed: true }

test('a service is read with its spec, its status and the revision as ETag', async () => {
  const { call } = await startAdmin()
  const one = await call('GET', '/v1/services/shop')
  expect(one.status).toBe(200)
  expect(one.headers.get('etag')).toBe('"1"')
  expect(one.body).toMatchObject({ name: 'shop', revision: 1, epoch: 1, spec: { split: SHOP.split } })
  expect(one.body.status.pools.blue.targets['http://127.0.0.1:3001']).toEqual({
    admin: 'ready',
    drainUntilMs: 0,
    health: 'unknown',
    ejectedUntilMs: 0,
    addresses: [{ address: '127.0.0.1', alternate: null, health: 'unknown', ejectedUntilMs: 0 }],
  })
  expect(one.body.status).not.toHaveProperty('slot')
  const all = await call('GET', '/v1/services')
  expect(all.body).toMatchObject({ revision: 1, epoch: 1, services: [{ name: 'shop' }] })
})

test('services are listed by name, in whatever order an instance has heard of them', async () => {
  const { call } = await startAdmin()
  for (const name of ['zoo', 'bar']) {
    await call('PUT', `/v1/services/${name}`, { ...SHOP, routes: [{ host: `${name}.example`, path: '/' }] })
  }
  for (const path of ['/v1/services', '/v1/status']) {
    const { services } = (await call('GET', path)).body
    expect(services.map((its: { name?: string; service?: string }) => its.name ?? its.service)).toEqual([
      'bar',
      'shop',
      'zoo',
    ])
  }
})

test('PUT answers 201 for a new service, 200 for a replaced one, and 200 without a change', async () => {
  const { call } = await startAdmin({}, false)
  const created = await call('PUT', '/v1/services/shop', SHOP)
  expect([created.status, created.body.revision, created.body.changed]).toEqual([201, 1, true])
  expect(created.headers.get('etag')).toBe('"1"')
  const again = await call('PUT', '/v1/services/shop', SHOP)
  expect([again.status, again.body.revision, again.body.changed]).toEqual([200, 1, false])
  const replaced = await call('PUT', '/v1/services/shop', { ...SHOP, split: { green: 1 } })
  expect([replaced.status, replaced.body.revision]).toEqual([200, 2])
})

test('PUT replaces only by If-Match: *, and creates only by If-None-Match: *', async () => {
  const { call, control } = await startAdmin()
  const other = { ...SHOP, routes: [{ host: 'bar.example', path: '/' }] }
  const purple = { targets: ['http://127.0.0.1:3009'] }
  const [there, absent] = [{ 'if-match': '*' }, { 'if-none-match': '*' }]
  for (const [path, body, condition] of [
    ['/v1/services/bar', other, there],
    ['/v1/services/shop', { ...SHOP, balance: 'random' }, absent],
    ['/v1/services/shop/pools/purple', purple, there],
    ['/v1/services/shop/pools/green', { ...SHOP.pools.green, version: '9' }, absent],
    ['/v1/services/shop/split', { weights: { blue: 1, green: 9 } }, absent],
    ['/v1/services/shop/rules', [], absent],
  ] as const) {
    const answer = await call('PUT', path, body, condition)
    expect([answer.status, answer.body.code]).toEqual([412, 'stale_revision'])
  }
  expect(control.snapshot().revision).toBe(1)
  // Of several who create at the same moment one does.
  const many = await Promise.all(
    [1, 2, 3].map((weight) => call('PUT', '/v1/services/bar', { ...other, split: { blue: weight, green: 1 } }, absent)),
  )
  expect(many.map(({ status }) => status).sort()).toEqual([201, 412, 412])
  expect((await call('PUT', '/v1/services/shop', { ...SHOP, balance: 'random' }, there)).status).toBe(200)
  expect((await call('PUT', '/v1/services/shop/split', { weights: { blue: 1, green: 9 } }, there)).status).toBe(200)
  expect((await call('PUT', '/v1/services/shop/pools/purple', purple, absent)).status).toBe(201)
  expect((await call('PUT', '/v1/services/shop/pools/purple', { ...purple, version: '2' }, there)).status).toBe(200)
})

test('PUT of a service with faults answers 422 with a pointer to each', async () => {
  const { call, control } = await startAdmin()
  const { status, body, headers } = await call('PUT', '/v1/services/shop', {
    ...SHOP,
    ballance: 'random',
    split: { blue: -1 },
  })
  expect(status).toBe(422)
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
  expect(body).toMatchObject({ code: 'invalid', status: 422, instance: '/v1/services/shop' })
  expect(body.errors.map((fault: { pointer: string }) => fault.pointer).sort()).toEqual(['/ballance', '/split/blue'])
  expect(control.snapshot().revision).toBe(1)
})

test.each(['__proto__', 'constructor', 'toString', 'a b', '-x', 'a'.repeat(64)])(
  'the name %j is no name for a new service or pool, and finds none',
  async (name) => {
    const { call } = await startAdmin()
    const path = encodeURIComponent(name)
    const why = ['constructor', 'toString'].includes(name) ? 'it is reserved' : 'letters, digits, '
    const put = await call('PUT', `/v1/services/${path}`, SHOP)
    expect([put.status, put.body.detail]).toEqual([422, expect.stringContaining(`is not a name for a service: ${why}`)])
    expect((await call('PUT', `/v1/services/shop/pools/${path}`, SHOP.pools.blue)).status).toBe(422)
    expect((await call('GET', `/v1/services/${path}`)).status).toBe(404)
    expect((await call('GET', `/v1/services/${path}/status`)).status).toBe(404)
    expect((await call('DELETE', `/v1/services/${path}`)).status).toBe(404)
    expect((await call('DELETE', `/v1/services/shop/pools/${path}`)).status).toBe(404)
    expect((await call('POST', `/v1/services/${path}/switch`, { to: 'blue' })).status).toBe(404)
    expect((await call('POST', '/v1/services/shop/switch', { to: name })).status).toBe(404)
    expect((await call('PUT', `/v1/services/shop/split`, `{"weights":{${JSON.stringify(name)}:1}}`)).status).toBeOneOf([
      400, 422,
    ])
    expect((await call('PUT', `/v1/services/${path}/split`, { weights: { blue: 1 } })).status).toBe(404)
    expect(({} as Record<string, unknown>)['blue']).toBeUndefined()
    expect((await call('GET', '/v1/services')).body.services).toHaveLength(1)
  },
)

test('prototype keys in a body are refused before anything reads them', async () => {
  const { call } = await startAdmin()
  const { status, body } = await call('PATCH', '/v1/services/shop', '{"__proto__": {"polluted": true}}')
  expect([status, body.code]).toEqual([422, 'invalid'])
  expect(body.errors[0].message).toMatch(/"__proto__" is reserved/)
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
})

test.each(['application/json', 'application/merge-patch+json', 'application/json; charset=utf-8'])(
  'PATCH as %s merges, and null removes a key',
  async (contentType) => {
    const { call, control } = await startAdmin()
    const patch = { pools: { green: { version: '1.2' } }, balance: 'random' }
    const first = await call('PATCH', '/v1/services/shop', patch, { 'content-type': contentType })
    expect([first.status, first.body.changed]).toEqual([200, true])
    expect(control.snapshot().services['shop']).toMatchObject({
      balance: 'random',
      pools: { green: { version: '1.2', targets: SHOP.pools.green.targets } },
    })
    await call('PATCH', '/v1/services/shop', { balance: null }, { 'content-type': contentType })
    expect(control.snapshot().services['shop'].balance).toBe('least-request')
  },
)

test('PATCH with a list, or with faults in what comes out, answers 422', async () => {
  const { call } = await startAdmin()
  expect((await call('PATCH', '/v1/services/shop', [])).status).toBe(422)
  const { status, body } = await call('PATCH', '/v1/services/shop', { routes: [] })
  expect([status, body.errors[0].pointer]).toEqual([422, '/routes'])
})

test('DELETE removes a service, and a second one answers 404', async () => {
  const { call } = await startAdmin()
  expect((await call('DELETE', '/v1/services/shop')).body).toEqual(CHANGED)
  expect((await call('DELETE', '/v1/services/shop')).body.code).toBe('not_found')
  expect((await call('GET', '/v1/services')).body.services).toEqual([])
})

test('the split is shifted, switched and taken back, and each answer shows the split', async () => {
  const { call } = await startAdmin()
  const shifted = await call('PUT', '/v1/services/shop/split', { weights: { blue: 50, green: 50 } })
  expect(shifted.body).toEqual({ ...CHANGED, service: 'shop', split: { blue: 50, green: 50 } })
  expect(shifted.headers.get('etag')).toBe('"2"')
  const switched = await call('POST', '/v1/services/shop/switch', { to: 'green' })
  expect(switched.body).toMatchObject({ revision: 3, split: { blue: 0, green: 100 } })
  const back = await call('POST', '/v1/services/shop/back')
  expect(back.body).toMatchObject({ revision: 4, split: { blue: 50, green: 50 } })
})

test('back answers 409 when there was no other split', async () => {
  const { call } = await startAdmin()
  const { status, body } = await call('POST', '/v1/services/shop/back')
  expect([status, body.code]).toEqual([409, 'conflict'])
})

test.each([
  [{}, '/weights'],
  [{ weights: { blue: 1 }, extra: 1 }, '/extra'],
  [{ weights: { purple: 1 } }, '/weights/purple'],
  [{ weights: { blue: 0.5 } }, '/weights/blue'],
  [{ weights: { blue: 0, green: 0 } }, '/weights'],
  [{ weights: [] }, '/weights'],
])('the split %j is refused with a pointer to %s', async (body, pointer) => {
  const { call } = await startAdmin()
  const answer = await call('PUT', '/v1/services/shop/split', body)
  expect(answer.status).toBe(422)
  expect(answer.body.errors.map((fault: { pointer: string }) => fault.pointer)).toContain(pointer)
})

test('a release group switches several services in one commit, or none', async () => {
  const { call, control } = await startAdmin()
  const api = { ...SHOP, routes: [{ host: 'api.example.com' }] }
  await call('PUT', '/v1/services/api', api)
  const done = await call('POST', '/v1/switch', { to: { shop: 'green', api: 'green' } })
  expect(done.body).toEqual({
    revision: 3,
    epoch: 3,
    appliedInMs: expect.any(Number),
    changed: true,
    to: { shop: 'green', api: 'green' },
  })
  const refused = await call('POST', '/v1/switch', { to: { shop: 'blue', nowhere: 'blue' } })
  expect(refused.status).toBe(404)
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 0, green: 100 })
  expect((await call('POST', '/v1/switch', { to: {} })).status).toBe(422)
  expect((await call('POST', '/v1/switch', { to: { shop: 1 } })).body.errors[0].pointer).toBe('/to/shop')
})

test.each([
  ['of the service alone', '/v1/services/shop/switch', { to: 'blue' }],
  ['in a group of which the others are there', '/v1/switch', { to: { api: 'green', shop: 'blue' } }],
])('a switch to the old pool %s aborts the rollout that runs, at its revision only', async (_how, path, body) => {
  const { call, control } = await startAdmin()
  await call('PUT', '/v1/services/api', { ...SHOP, routes: [{ host: 'api.example.com' }] })
  await call('POST', '/v1/services/api/switch', { to: 'green' })
  await call('POST', '/v1/services/shop/switch', { to: 'blue' })
  await call('POST', '/v1/services/shop/rollouts', { to: 'green', steps: [{ weight: 10, for: '1h' }] })
  await expect.poll(() => control.snapshot().services['shop'].split).toEqual({ blue: 9, green: 1 })
  const refused = await call('POST', path, body, { 'if-match': '"1"' })
  expect([refused.status, refused.body.code]).toEqual([412, 'stale_revision'])
  expect((await call('POST', '/v1/switch', { to: { shop: 'blue', api: 'purple' } })).status).toBe(404)
  expect(control.snapshot().status['shop'].trial).toBeDefined()
  const present = () => ({ 'if-match': `"${control.snapshot().revision}"` })
  await expect.poll(async () => (await call('POST', path, body, present())).status).toBe(200)
  const [ended] = (await call('GET', '/v1/services/shop/rollouts')).body.rollouts
  expect(ended).toMatchObject({ state: expect.stringMatching(/^roll(ingBack|edBack)$/), by: 'local' })
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
})

test.each([
  ['in a group of which others go elsewhere', '/v1/switch', { to: { api: 'green', shop: 'blue' } }],
  ['under a hold', '/v1/services/shop/switch', { to: 'blue', hold: { for: '10s' } }],
])(
  'a switch to the old pool %s moves all at once or nothing, so a rollout that runs refuses it',
  async (_how, path, body) => {
    const { call, control } = await startAdmin()
    await call('PUT', '/v1/services/api', { ...SHOP, routes: [{ host: 'api.example.com' }] })
    await call('POST', '/v1/services/shop/switch', { to: 'blue' })
    await call('POST', '/v1/services/shop/rollouts', { to: 'green', steps: [{ weight: 10, for: '1h' }] })
    await expect.poll(() => control.snapshot().services['shop'].split).toEqual({ blue: 9, green: 1 })
    const refused = await call('POST', path, body)
    expect([refused.status, refused.body.code]).toEqual([409, 'conflict'])
    expect(refused.body.detail).toContain('Abort it first')
    const { services, status } = control.snapshot()
    expect([services['shop'].split, services['api'].split]).toEqual([{ blue: 9, green: 1 }, SHOP.split])
    expect([status['shop'].trial?.pool, status['shop'].hold]).toEqual(['green', undefined])
  },
)

test('a switch under a hold that is called off is refused without a further wait for the instances that do not follow', async () => {
  const { call, deps } = await startAdmin()
  vi.spyOn(deps.instances, 'quieted').mockResolvedValue(['elsewhere:7'])
  const change = vi.spyOn(deps.control, 'change')
  const refused = await call('POST', '/v1/services/shop/switch', { to: 'green', hold: { for: '10s' } })
  expect([refused.status, refused.body.detail]).toEqual([409, expect.stringContaining('still under way')])
  const released = change.mock.calls.find(([{ kind }]) => kind === 'release')
  expect(released?.[1]).toMatchObject({ everywhere: false })
})

test('a back that comes when the rollout is just done is no abort any more, and goes back itself', async () => {
  const { call, deps } = await startAdmin()
  await call('POST', '/v1/services/shop/switch', { to: 'green' })
  vi.spyOn(deps.rollouts, 'isLeftBy').mockReturnValue(true)
  vi.spyOn(deps.rollouts, 'command').mockResolvedValue({ state: 'done' } as ToldRollout)
  expect((await call('POST', '/v1/services/shop/back')).body.split).toEqual(SHOP.split)
})

test('rules are replaced as a whole and checked against the pools', async () => {
  const { call, control } = await startAdmin()
  const rules = [{ name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' }]
  expect((await call('PUT', '/v1/services/shop/rules', rules)).body).toEqual(CHANGED)
  expect(control.snapshot().services['shop'].rules).toEqual(rules)
  const refused = await call('PUT', '/v1/services/shop/rules', [{ ...rules[0], to: 'purple' }])
  expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, '/0/to'])
  expect((await call('PUT', '/v1/services/nowhere/rules', rules)).status).toBe(404)
})

test('a pool is created with 201, replaced with 200 and removed', async () => {
  const { call, control } = await startAdmin()
  const path = '/v1/services/shop/pools/canary'
  expect((await call('PUT', path, { version: '2', targets: ['http://127.0.0.1:3003'] })).status).toBe(201)
  expect((await call('PUT', path, { version: '3', targets: ['http://127.0.0.1:3003'] })).status).toBe(200)
  expect(control.snapshot().services['shop'].pools['canary'].version).toBe('3')
  expect((await call('DELETE', path)).status).toBe(200)
  expect((await call('DELETE', path)).status).toBe(404)
  expect((await call('DELETE', '/v1/services/shop/pools/blue')).body.code).toBe('conflict')
  expect((await call('PUT', '/v1/services/nowhere/pools/x', SHOP.pools.blue)).status).toBe(404)
  expect((await call('PUT', path, { targets: ['ftp://x'] })).body.errors[0].pointer).toBe('/targets/0')
})

test.each(['127.0.0.1:3001', '127.0.0.1%3A3001', 'http%3A%2F%2F127.0.0.1%3A3001'])(
  'the target %s is found in its pool, and only there',
  async (target) => {
    const { call, control } = await startAdmin()
    const path = `/v1/services/shop/pools/blue/targets/${target}/state`
    expect((await call('PUT', path, { state: 'maint' })).body).toEqual(CHANGED)
    expect(control.snapshot().status['shop'].pools['blue'].targets['http://127.0.0.1:3001'].admin).toBe('maint')
    const elsewhere = `/v1/services/shop/pools/green/targets/${target}/state`
    expect((await call('PUT', elsewhere, { state: 'maint' })).status).toBe(404)
  },
)

test('a pool takes each admin state, and nothing else', async () => {
  const { call, control } = await startAdmin()
  const path = '/v1/services/shop/pools/blue/state'
  for (const state of ['drain', 'standby', 'maint', 'ready']) {
    expect((await call('PUT', path, { state })).status).toBe(200)
    expect(control.snapshot().status['shop'].pools['blue'].admin).toBe(state)
  }
  expect((await call('PUT', path, { state: 'off' })).body.errors[0].pointer).toBe('/state')
  expect((await call('PUT', '/v1/services/shop/pools/nope/state', { state: 'drain' })).status).toBe(404)
})

test.each(['"1"', '1', ' "1" ', '*'])('If-Match %s lets the change of revision 1 through', async (ifMatch) => {
  const { call } = await startAdmin()
  const answer = await call('POST', '/v1/services/shop/switch', { to: 'green' }, { 'if-match': ifMatch })
  expect(answer.status).toBe(200)
})

test.each(['"7"', '0'])('If-Match %s is answered 412 at revision 1, and nothing changes', async (ifMatch) => {
  const { call, control } = await startAdmin()
  for (const [method, path, body] of [
    ['POST', '/v1/services/shop/switch', { to: 'green' }],
    ['PATCH', '/v1/services/shop', { balance: 'random' }],
    ['DELETE', '/v1/services/shop', undefined],
    ['POST', '/v1/services/shop/rollouts', { to: 'green' }],
    ['POST', '/v1/services/shop/rollouts', { to: 'green', dryRun: true }],
  ] as const) {
    const answer = await call(method, path, body, { 'if-match': ifMatch })
    expect([answer.status, answer.body.code]).toEqual([412, 'stale_revision'])
  }
  expect(control.snapshot().revision).toBe(1)
})

test.each(['W/"1"', '\u00a0"1"', '\u00a0*', '"1", "2"', 'abc', '-1', '1e3'])(
  'If-Match %s is malformed',
  async (ifMatch) => {
    const { call } = await startAdmin()
    const answer = await call('POST', '/v1/services/shop/back', undefined, { 'if-match': ifMatch })
    expect([answer.status, answer.body.code]).toEqual([400, 'malformed'])
  },
)

test('a store that is away answers 503 store_unavailable with Retry-After', async () => {
  const { call, control } = await startAdmin()
  control.failNext = new TurnoutError('store_unavailable')
  const answer = await call('POST', '/v1/services/shop/switch', { to: 'green' })
  expect([answer.status, answer.body.code, answer.headers.get('retry-after')]).toEqual([503, 'store_unavailable', '1'])
})

test('an unexpected error is logged in full and shown without any of it', async () => {
  const { call, control, logged } = await startAdmin()
  control.failNext = new Error('secret of the inside')
  const answer = await call('POST', '/v1/services/shop/switch', { to: 'green' })
  expect([answer.status, answer.body.code]).toEqual([500, 'internal'])
  expect(JSON.stringify(answer.body)).not.toMatch(/secret|at |\.ts/)
  expect(logged.join()).toContain('secret of the inside')
})

test.each(['force=banana', 'force=no', 'force=true&force=false', 'forse=true'])(
  'the query ?%s is refused, and not taken for insistence',
  async (query) => {
    const { call, control } = await startAdmin()
    for (const [method, path, body] of [
      ['PUT', '/v1/services/shop/split', { weights: { green: 1 } }],
      ['POST', '/v1/services/shop/switch', { to: 'green' }],
      ['PATCH', '/v1/services/shop', { balance: 'random' }],
      ['DELETE', '/v1/services/shop', undefined],
    ] as const) {
      const answer = await call(method, `${path}?${query}`, body)
      expect([answer.status, answer.body.code]).toEqual([422, 'invalid'])
    }
    expect(control.snapshot().revision).toBe(1)
  },
)

test.each([
  ['0s', 200],
  ['9.5m', 200],
  ['10m', 200],
  ['601s', 422],
  ['11m', 422],
  ['1h', 422],
])('a switch may wait %s: %i', async (wait, status) => {
  const { call } = await startAdmin()
  expect((await call('POST', '/v1/services/shop/switch', { to: 'green', wait })).status).toBe(status)
})

test('a service that is not there is told with the nearest one that is', async () => {
  const { call } = await startAdmin()
  for (const path of ['/v1/services/shp', '/v1/services/shp/status']) {
    const { status, body } = await call('GET', path)
    expect([status, body.detail]).toEqual([404, 'There is no service shp (did you mean "shop"?).'])
  }
  expect((await call('GET', '/v1/services/else')).body.detail).toBe('There is no service else.')
  const { status, body } = await call('POST', '/v1/switch', { to: { shp: 'green' } })
  expect([status, body.detail]).toEqual([404, 'There is no service shp (did you mean "shop"?).'])
})

test('a refused body is told all its faults at once, each by a pointer into that body', async () => {
  const { call, control } = await startAdmin()
  const pointers = async (method: string, path: string, sent: unknown) => {
    const { status, body } = await call(method, path, sent)
    expect([path, status]).toEqual([path, 422])
    return body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()
  }
  const taken = { targets: ['http://127.0.0.1:3002'] }
  expect(
    await pointers('PUT', '/v1/services/shop/split', { weights: { blue: -1, gren: 1 }, wait: 'long', x: 1 }),
  ).toEqual(['/wait', '/weights/blue', '/weights/gren', '/x'])
  expect(await pointers('PUT', '/v1/services/shop/split', { x: 1 })).toEqual(['/weights', '/x'])
  expect(await pointers('PUT', '/v1/services/shop/pools/canary', taken)).toEqual(['/targets/0'])
  expect(await pointers('PUT', '/v1/services/web', SHOP)).toEqual(['/routes/0'])
  expect(
    await pointers('POST', '/v1/services/shop/rollouts', { strategy: 'nope', steps: [9, 5], keep: 51, x: 1 }),
  ).toEqual(['/keep', '/steps', '/strategy', '/to', '/x'])
  expect(await pointers('POST', '/v1/services/shop/rollouts', '"canary"')).toEqual([''])
  expect(await pointers('PUT', '/v1/services/shop/split', '"blue"')).toEqual(['/weights'])
  const rule = { name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'red' }
  const patch = { split: { blue: -1, gren: 1 }, rules: [rule] }
  for (const [method, path] of [
    ['PATCH', '/v1/services/shop'],
    ['POST', '/v1/services/shop/dry-run'],
  ])
    expect(await pointers(method, path, { ...patch, x: null })).toEqual([
      '/rules/0/to',
      '/split/blue',
      '/split/gren',
      '/x',
    ])
  expect(control.snapshot().revision).toBe(1)
})
