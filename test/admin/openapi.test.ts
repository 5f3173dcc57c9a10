/** The description is the API: every route, every body, every answer. */
import { Ajv } from 'ajv'
import { expect, test } from 'vitest'
import { explanationOf } from '../../src/admin/explain.ts'
import { buildAdmin } from '../../src/admin/server.ts'
import { ServiceSchema } from '../../src/config/schema.ts'
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

test('every route has a summary and a described answer, and every change with a body describes it', async () => {
  const { call } = await startAdmin()
  const { body } = await call('GET', '/openapi.json')
  expect(body.openapi).toMatch(/^3\.1/)
  for (const [path, methods] of Object.entries<Loose>(body.paths)) {
    for (const [method, operation] of Object.entries<Loose>(methods)) {
      const name = `${method} ${path}`
      expect(operation.summary, name).toBeTruthy()
      expect(Object.values<Loose>(operation.responses['200'].content)[0].schema, name).toBeTruthy()
      expect(operation.responses.default.content['application/problem+json'].schema, name).toBeTruthy()
      const hasBody = ['put', 'patch'].includes(method) || /switch$|explain$|apply$/.test(path)
      expect(operation.requestBody !== undefined, name).toBe(hasBody)
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter)
      const inPath = (operation.parameters ?? []).filter((parameter: Loose) => parameter.in === 'path')
      expect(inPath.map((parameter: Loose) => parameter.name).sort(), name).toEqual(named.sort())
    }
  }
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
        bucket: -1,
        aimed: null,
        panic: false,
        setCookie: null,
      },
      { epoch: 1, revision: 1 },
    )
  const { call } = await startAdmin({ explain })
  const { body: document } = await call('GET', '/openapi.json')
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
    ['put', '/v1/services/{service}/pools/{pool}/state', '/v1/services/shop/pools/green/state', { state: 'drain' }],
    ['get', '/v1/services/{service}', '/v1/services/shop'],
    ['get', '/v1/services/{service}/status', '/v1/services/shop/status'],
    ['post', '/v1/explain', '/v1/explain', { url: '/' }],
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
