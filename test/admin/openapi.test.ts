/** The description is the API: every route, every body, every answer. */
import { Ajv, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { expect, test } from 'vitest'
import type { Compare } from '../../src/admin/dry-run.ts'
import { explanationOf, refusalOf } from '../../src/admin/explain.ts'
import { buildAdmin } from '../../src/admin/server.ts'
import { ServiceSchema } from '../../src/config/schema.ts'
import { Comparison } from '../../src/table/comparison.ts'
import { decideOne, makePlan, makeRule, makeTable, makeView } from '../table/make.ts'
import { SHOP, startAdmin } from './stand-in.ts'

// biome-ignore lint/suspicious/noExplicitAny: an OpenAPI document of any shape is looked into.
type Loose = any

test('/openapi.json lists exactly the registered routes', async () => {
  const { call, deps } = await startAdmin()
  const { app, routes, end } = await buildAdmin(deps)
  end()
  await app.close()
  const { body } = await call('GET', '/openapi.json')
  const listed = Object.entries<Loose>(body.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const registered = [...routes].flatMap(([url, methods]) =>
    [...methods].filter((method) => method !== 'HEAD').map((method) => `${method} ${url.replace(/:(\w+)/g, '{$1}')}`),
  )
  expect(listed.sort()).toEqual(registered.sort())
  expect(listed).toContain('PUT /v1/services/{service}/pools/{pool}/targets/{target}/state')
})

let described: Promise<Loose> | null = null

/** What an admin API without tokens says of itself, asked once: to write it takes longer than all else here. */
async function description(): Promise<Loose> {
  described ??= startAdmin().then(async ({ call }) => (await call('GET', '/openapi.json')).body)
  return described
}

test('every route has a summary and a described answer, and every change with a body describes it', async () => {
  const body = await description()
  expect(body.openapi).toMatch(/^3\.1/)
  for (const [path, methods] of Object.entries<Loose>(body.paths)) {
    for (const [method, operation] of Object.entries<Loose>(methods)) {
      const name = `${method} ${path}`
      expect(operation.summary, name).toMatch(/^[A-Z].+/)
      expect(operation.operationId, name).toMatch(/^[a-zA-Z]+$/)
      const { 200: done, 201: created, default: bad } = operation.responses
      const good = done ?? created
      for (const { schema } of [Object.values<Loose>(good.content)[0], bad.content['application/problem+json']]) {
        expect(Object.keys(schema), name).not.toEqual([])
      }
      const hasBody =
        ['put', 'patch'].includes(method) ||
        (method === 'post' && /switch$|hold$|explain$|dry-run$|apply$|rollouts$|metrics$/.test(path))
      expect(operation.requestBody !== undefined, name).toBe(hasBody)
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter)
      const inPath = (operation.parameters ?? []).filter((parameter: Loose) => parameter.in === 'path')
      expect(inPath.map((parameter: Loose) => parameter.name).sort(), name).toEqual(named.sort())
    }
  }
})

const compiled = new Map<string, { readonly text: string; readonly check: ValidateFunction }>()

/** The schema of the JSON body of a call, compiled once. */
async function bodySchema(document: Loose, path: string, method: string, type = 'application/json') {
  const { schema } = document.paths[path][method].requestBody.content[type]
  const [key, text] = [`${method} ${path}`, JSON.stringify(schema)]
  const before = compiled.get(key)
  if (before?.text === text) return before.check
  const ajv = new Ajv2020({ strict: false })
  formats.default(ajv)
  const check = ajv.compile(schema)
  compiled.set(key, { text, check })
  return check
}

test('every schema of what is sent is a JSON Schema', async () => {
  const body = await description()
  const ajv = new Ajv2020()
  for (const [path, methods] of Object.entries<Loose>(body.paths)) {
    for (const { parameters = [], requestBody = { content: {} } } of Object.values<Loose>(methods)) {
      for (const { schema } of [...parameters, ...Object.values<Loose>(requestBody.content)]) {
        expect([path, ajv.validateSchema(schema), ajv.errors]).toEqual([path, true, null])
      }
    }
  }
})

test('nothing that has a default is required of a caller', async () => {
  const { call } = await startAdmin()
  const body = await description()
  const put = await bodySchema(body, '/v1/services/{service}', 'put')
  const bare = { routes: [{}], pools: { blue: { targets: ['http://127.0.0.1:3001'] } } }
  expect(put(bare)).toBe(true)
  expect((await call('PUT', '/v1/services/bare', { ...bare, routes: [{ path: '/bare' }] })).status).toBe(201)
  for (const methods of Object.values<Loose>(body.paths)) {
    for (const { parameters = [] } of Object.values<Loose>(methods)) {
      for (const { name, required, schema } of parameters) {
        expect([name, required === true && schema.default !== undefined]).toEqual([name, false])
      }
    }
  }
})

test.each([
  ['a name with a space', { 'a b': { targets: [] } }],
  ['a name of 64 letters', { ['x'.repeat(64)]: { targets: [] } }],
  ['a pool without targets', { blue: {} }],
])('the description refuses %s, as the API does', async (_what, pools) => {
  const { call } = await startAdmin()
  const body = await description()
  const put = await bodySchema(body, '/v1/services/{service}', 'put')
  expect(put({ routes: [{}], pools })).toBe(false)
  expect((await call('PUT', '/v1/services/new', { routes: [{ path: '/new' }], pools })).status).toBe(422)
})

test.each<[patch: object, status: number]>([
  [{}, 200],
  [{ pools: { blue: { version: '2' } } }, 200],
  [{ rules: null, sticky: false, health: null }, 200],
  [{ health: { path: '/up' } }, 200],
  [{ routes: null }, 422],
  [{ pools: { blue: { targets: null } } }, 422],
  [{ colour: 'red' }, 422],
  [{ balance: 'by-mood' }, 422],
  [{ rules: [{ name: 'no when' }] }, 422],
  [{ pools: { 'a b': null } }, 422],
  [{ helth: null }, 422],
  [{ rules: [{ name: 'r', when: { visitor: null }, to: 'blue' }] }, 422],
  [{ sticky: { maxAge: null, pool: false } }, 200],
])('the patch %j is described as it is answered: %i', async (patch, status) => {
  const { call } = await startAdmin()
  const body = await description()
  const check = await bodySchema(body, '/v1/services/{service}', 'patch', 'application/merge-patch+json')
  expect(check(patch)).toBe(status === 200)
  expect((await call('PATCH', '/v1/services/shop', patch)).status).toBe(status)
})

test.each<[body: object, status: number]>([
  [{ url: '/' }, 200],
  [
    { url: 'http://shop.example.com:80/a?b#c', method: 'DELETE', ip: '2001:db8::1', headers: { a: 'b', c: ['d'] } },
    200,
  ],
  [{ url: 'HTTPS://grün.example' }, 200],
  [{}, 422],
  [{ url: '' }, 422],
  [{ url: 'shop.example.com/' }, 422],
  [{ url: '/a b' }, 422],
  [{ url: '/', method: '' }, 422],
  [{ url: '/', method: 'G T' }, 422],
  [{ url: '/', ip: 'here' }, 422],
  [{ url: '/', headers: { a: 'b\r\nc: d' } }, 422],
  [{ url: '/', headers: { 'a\n': 'b' } }, 422],
  [{ url: '/', headers: { a: 7 } }, 422],
  [{ url: '/', colour: 'red' }, 422],
])('explain describes %j as it answers it: %i', async (posted, status) => {
  const { call } = await startAdmin({ explain: () => refusalOf('no_route', { epoch: 1, revision: 1 }) })
  const body = await description()
  const check = await bodySchema(body, '/v1/explain', 'post')
  expect(check(posted)).toBe(status === 200)
  expect((await call('POST', '/v1/explain', posted)).status).toBe(status)
})

test('numbers beyond what is described are told so', async () => {
  const { call } = await startAdmin()
  const body = await description()
  const of = (path: string, name: string) =>
    body.paths[path].get.parameters.find((parameter: Loose) => parameter.name === name).schema
  expect(of('/v1/revisions', 'before').maximum).toBe(999_999_999_999_999)
  expect(of('/v1/events', 'after').maximum).toBe(999_999_999_999_999)
  expect((await call('GET', '/v1/revisions?before=999999999999999')).status).toBe(200)
  const refused = await call('GET', '/v1/revisions?before=1000000000000000')
  expect([refused.status, refused.body.errors[0].message]).toEqual([422, 'must be at most 999999999999999'])
})

test('a name that stands twice in a query is refused, for one of the values would be lost', async () => {
  const { call } = await startAdmin()
  expect((await call('GET', '/v1/audit?limit=1&limit=2')).status).toBe(422)
})

test('a token is wanted where there are some, and never for the probes of a machine', async () => {
  const open = await description()
  expect([open.security, open.components.securitySchemes]).toEqual([undefined, undefined])
  const token = 'a-token-of-a-viewer'
  const guarded = await startAdmin({ tokens: [{ name: 'ci', token, role: 'viewer' }] })
  const { body } = await guarded.call('GET', '/openapi.json', undefined, { authorization: `Bearer ${token}` })
  expect(body.security).toEqual([{ token: [] }])
  for (const [path, methods] of Object.entries<Loose>(body.paths)) {
    for (const [method, { security }] of Object.entries<Loose>(methods)) {
      const isOpen = path === '/healthz' || path === '/readyz'
      expect([method, path, security]).toEqual([method, path, isOpen ? [] : undefined])
    }
  }
})

test('every operation has a name of its own, and what was put links to what is for it', async () => {
  const body = await description()
  const names = Object.values<Loose>(body.paths).flatMap((methods) =>
    Object.values<Loose>(methods).map(({ operationId }) => operationId),
  )
  expect(names.every((name) => /^[a-z][A-Za-z]+$/.test(name))).toBe(true)
  expect(new Set(names).size).toBe(names.length)
  const { links } = body.paths['/v1/services/{service}'].put.responses['201']
  expect(links.switch).toEqual({ operationId: 'switch', parameters: { service: '$request.path.service' } })
  const pool = body.paths['/v1/services/{service}/pools/{pool}'].put.responses['200'].links
  expect(Object.keys(pool).sort()).toEqual(['deletePool', 'setPoolState', 'setTargetState'])
  expect(pool.setTargetState.parameters.target).toBe('$request.body#/targets/0')
})

test('describing the API leaves the one schema as it was', async () => {
  const before = JSON.stringify(ServiceSchema)
  const { call } = await startAdmin()
  await call('GET', '/openapi.json')
  expect(JSON.stringify(ServiceSchema)).toBe(before)
})

test('answers are what their schemas say', async () => {
  const explain = () =>
    explanationOf(
      {
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
      },
      { epoch: 1, revision: 1 },
    )
  // One request, which a rule would catch.
  const compare: Compare = async (_name, spec) => {
    const before = makeTable(makePlan())
    const after = makeTable(
      makePlan({ weights: spec.split, rules: [makeRule({ name: 'r', header: [['x-a', '1']], to: 'green' })] }),
    )
    const [now, proposed] = [before, after].map((table) => table.services.get('shop')!)
    const comparison = new Comparison(proposed)
    comparison.note(makeView(), 2, decideOne(before), decideOne(after), 'v')
    return { comparison, kept: 1, effective: 1, sinceMs: 1_800_000_000_000, before: now, after: proposed }
  }
  const { call } = await startAdmin({ explain, compare })
  const document = await description()
  const ajv = new Ajv({ strict: false })
  const calls: [string, string, string, unknown?][] = [
    ['get', '/healthz', '/healthz'],
    ['get', '/readyz', '/readyz'],
    ['put', '/v1/services/{service}', '/v1/services/api', { ...SHOP, routes: [{ host: 'api.example.com' }] }],
    ['get', '/v1/services', '/v1/services'],
    ['put', '/v1/services/{service}/split', '/v1/services/shop/split', { weights: { blue: 1, green: 1 } }],
    ['post', '/v1/services/{service}/switch', '/v1/services/shop/switch', { to: 'green' }],
    ['post', '/v1/services/{service}/back', '/v1/services/shop/back'],
    ['post', '/v1/switch', '/v1/switch', { to: { shop: 'blue' } }],
    ['post', '/v1/services/{service}/rollouts', '/v1/services/shop/rollouts', { to: 'green' }],
    ['get', '/v1/services/{service}/rollouts/{id}', '/v1/services/shop/rollouts/current'],
    ['post', '/v1/services/{service}/rollouts/{id}/pause', '/v1/services/shop/rollouts/r-1/pause'],
    ['get', '/v1/services/{service}/status', '/v1/services/shop/status'],
    ['get', '/v1/status', '/v1/status'],
    ['post', '/v1/services/{service}/rollouts/{id}/abort', '/v1/services/shop/rollouts/r-1/abort'],
    ['get', '/v1/services/{service}/rollouts', '/v1/services/shop/rollouts'],
    ['put', '/v1/services/{service}/pools/{pool}/state', '/v1/services/shop/pools/green/state', { state: 'drain' }],
    ['get', '/v1/services/{service}', '/v1/services/shop'],
    ['get', '/v1/services/{service}/status', '/v1/services/shop/status'],
    ['get', '/v1/status', '/v1/status'],
    ['post', '/v1/explain', '/v1/explain', { url: '/' }],
    ['post', '/v1/services/{service}/dry-run', '/v1/services/shop/dry-run', { weights: { blue: 1, green: 1 } }],
    ['get', '/v1/events', '/v1/events?follow=false'],
    ['get', '/v1/audit', '/v1/audit'],
    ['get', '/v1/revisions', '/v1/revisions'],
    ['get', '/v1/revisions/{revision}', '/v1/revisions/1'],
  ]
  for (const [method, pattern, path, body] of calls) {
    const answer = await call(method.toUpperCase(), path, body)
    const { schema } = document.paths[pattern][method].responses[answer.status].content['application/json']
    const check = ajv.compile(schema)
    check(answer.body)
    expect(check.errors, `${method} ${path}`).toBeNull()
  }
  const refused = await call('GET', '/v1/services/nowhere')
  const { schema } = document.paths['/v1/services'].get.responses.default.content['application/problem+json']
  expect(ajv.validate(schema, refused.body)).toBe(true)
})

test('readiness is 503 not_ready until every worker routes by a table', async () => {
  let ready = false
  const { call } = await startAdmin({ isReady: () => ready })
  const before = await call('GET', '/readyz')
  expect([before.status, before.body.code]).toEqual([503, 'not_ready'])
  expect((await call('GET', '/healthz')).body).toEqual({ status: 'live' })
  ready = true
  expect((await call('GET', '/readyz')).body).toEqual({ status: 'ready', revision: 1, epoch: 1 })
})
