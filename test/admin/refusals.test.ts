/** What is refused whatever the route: bodies, content types, sizes, paths, methods, broken HTTP. */
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { buildAdmin } from '../../src/admin/server.ts'
import { rawRequest } from '../helpers/raw.ts'
import { SHOP, startAdmin } from './stand-in.ts'

const SWITCH = '/v1/services/shop/switch'

test.each([
  ['{"to":', 400],
  ['', 400],
  ['{"to":"green"} x', 400],
])('the body %j is malformed', async (body, status) => {
  const { call, control } = await startAdmin()
  const answer = await call('POST', SWITCH, body)
  expect([answer.status, answer.body.code]).toEqual([status, 'malformed'])
  expect(control.snapshot().revision).toBe(1)
})

test('a missing body is malformed', async () => {
  const { call } = await startAdmin()
  for (const [method, path] of [
    ['POST', SWITCH],
    ['PUT', '/v1/services/shop'],
    ['PUT', '/v1/services/shop/rules'],
    ['PATCH', '/v1/services/shop'],
  ]) {
    const answer = await call(method, path)
    expect([answer.status, answer.body.code]).toEqual([400, 'malformed'])
  }
})

test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonx'])(
  'a body of type %s is answered 415, so no form of another page can post',
  async (contentType) => {
    const { call, control } = await startAdmin()
    for (const path of [SWITCH, '/v1/services/shop/back']) {
      const answer = await call('POST', path, '{"to":"green"}', { 'content-type': contentType })
      expect([answer.status, answer.body.code]).toEqual([415, 'malformed'])
      expect(answer.body.detail).toBe(`The body is "${contentType}"; this call takes application/json.`)
      expect(answer.headers.get('accept')).toBe('application/json')
    }
    expect(control.snapshot().revision).toBe(1)
  },
)

test.each([
  ['PATCH', '/v1/services/shop', 'application/merge-patch+json or application/json'],
  ['POST', '/v1/apply', 'application/json or application/yaml'],
])('the refusal of a type by %s %s names what it takes', async (method, path, taken) => {
  const { call } = await startAdmin()
  const { status, body } = await call(method, path, '{}', { 'content-type': 'text/plain' })
  expect([status, body.detail]).toEqual([415, `The body is "text/plain"; this call takes ${taken}.`])
})

test('a merge patch where none is taken is refused, so that it is never taken for the whole', async () => {
  const { call, control } = await startAdmin()
  const answer = await call('PUT', '/v1/services/shop', SHOP, { 'content-type': 'application/merge-patch+json' })
  expect(answer.status).toBe(415)
  expect(control.snapshot().revision).toBe(1)
})

test.each([
  [SWITCH, '{"to":"green","to":"blue"}', ['/to']],
  ['/v1/switch', '{"to":{"shop":"green","sh\\u006fp":"blue"}}', ['/to/shop']],
  ['/v1/explain', '{"url":"/","headers":{"a/b":"1","a/b":"2","c":"\\"{,","c":""}}', ['/headers/a~1b', '/headers/c']],
  ['/v1/apply', '{"text":"x","env":{},"env":{}}', ['/env']],
])('%s refuses %s, whose first value would be lost', async (path, body, pointers) => {
  const { call, control } = await startAdmin()
  const answer = await call('POST', path, body)
  expect([answer.status, answer.body.code]).toEqual([422, 'invalid'])
  expect(answer.body.errors.map((fault: { pointer: string }) => fault.pointer)).toEqual(pointers)
  expect(answer.body.errors[0].message).toMatch(/stands here twice/)
  expect(control.snapshot().revision).toBe(1)
})

const STATE = { state: 'drain' }
/** What calls take that check their body before their query. */
const BODIES: Readonly<Record<string, object>> = {
  'POST /v1/services/shop/switch': { to: 'green' },
  'POST /v1/services/shop/hold': {},
  'PUT /v1/services/shop/maintenance': { on: true },
  'PUT /v1/services/shop/pools/green/state': STATE,
  'PUT /v1/services/shop/pools/green/targets/127.0.0.1:3002/state': STATE,
  'POST /v1/switch': { to: { shop: 'green' } },
  'POST /v1/explain': { url: '/' },
}
const NAMES: Readonly<Record<string, string>> = {
  service: 'shop',
  pool: 'green',
  target: '127.0.0.1:3002',
  id: 'current',
  revision: '1',
}

test('a parameter that a call does not know is refused by each that is no reading, so none does what was not to be done', async () => {
  const { call, control, deps } = await startAdmin()
  const { app, routes, end } = await buildAdmin(deps)
  end()
  await app.close()
  await call('POST', '/v1/services/shop/rollouts', { to: 'green', steps: [{ weight: 10, for: '1h' }] })
  const asked = [...routes].flatMap(([url, methods]) =>
    [...methods].map((method) => [method, url.replace(/:(\w+)/g, (_, name: string) => NAMES[name])] as const),
  )
  for (const [method, path] of asked.filter(([method]) => method !== 'GET' && method !== 'HEAD')) {
    const { status, body } = await call(method, `${path}?dryRnu=true`, BODIES[`${method} ${path}`] ?? {})
    const faults = [{ pointer: '/dryRnu', message: expect.stringMatching(/known/) }]
    expect([method, path, status, body.errors]).toEqual([method, path, 422, faults])
  }
  expect(control.snapshot().status['shop'].trial).toBeDefined()
  const { errors } = (await call('POST', '/v1/services/shop/rollouts?dryRun=true', { to: 'green' })).body
  expect(errors).toEqual([{ pointer: '/dryRun', message: 'unknown key "dryRun" (none is known here)' }])
})

test('the same key in two objects, in a list or as a value is no repetition', async () => {
  const { call } = await startAdmin()
  const rule = (name: string) => ({ name, when: { header: { name: 'name' } }, to: 'blue' })
  const answer = await call('PUT', '/v1/services/shop/rules', [rule('a'), rule('b')])
  expect(answer.status).toBe(200)
})

test('bytes that are not UTF-8 are malformed, and not replaced', async () => {
  const { url } = await startAdmin()
  for (const type of ['application/json', 'application/yaml']) {
    const body = Buffer.from('{"text":"gr\xfcn"}', 'latin1')
    const answer = await fetch(`${url}/v1/apply`, { method: 'POST', headers: { 'content-type': type }, body })
    expect([answer.status, ((await answer.json()) as { detail: string }).detail]).toEqual([
      400,
      'The body is not UTF-8.',
    ])
  }
})

test('a body of more than 1 MiB is answered 413', async () => {
  const { call } = await startAdmin()
  const answer = await call('POST', SWITCH, JSON.stringify({ to: 'x'.repeat(1024 * 1024) }))
  expect([answer.status, answer.body.code]).toEqual([413, 'too_large'])
})

test('a service, its rules and what is tried of them may have as many bytes as a file', async () => {
  const { call } = await startAdmin()
  const many = 'x'.repeat(2 * 1024 * 1024)
  for (const [method, path] of [
    ['PUT', ''],
    ['PATCH', ''],
    ['PUT', '/rules'],
    ['POST', '/dry-run'],
  ] as const) {
    const refused = await call(method, `/v1/services/shop${path}`, JSON.stringify({ [many]: 1 }))
    expect([path, refused.status, refused.body.code]).toEqual([path, 422, 'invalid'])
  }
})

test('small bodies are checked strictly: unknown keys, types, all faults at once', async () => {
  const { call } = await startAdmin()
  const answer = await call('POST', SWITCH, { too: 'green', 'a/b': 1 })
  expect(answer.status).toBe(422)
  expect(answer.body.errors.map((fault: { pointer: string }) => fault.pointer).sort()).toEqual(['/a~1b', '/to', '/too'])
  expect((await call('POST', SWITCH, { to: 7 })).body.errors).toEqual([{ pointer: '/to', message: 'must be string' }])
})

test('an unknown path is a problem with the code not_found', async () => {
  const { call } = await startAdmin()
  const { status, body, headers } = await call('GET', '/v1/nowhere?x=1')
  expect(status).toBe(404)
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
  expect(body).toEqual({
    type: 'urn:turnout:error:not_found',
    title: 'There is no such thing.',
    status: 404,
    code: 'not_found',
    detail: 'There is no such thing.',
    instance: '/v1/nowhere',
    errors: [],
  })
})

test.each([
  ['POST', '/v1/services/shop', 'DELETE, GET, HEAD, PATCH, PUT'],
  ['GET', SWITCH, 'POST'],
  ['DELETE', '/healthz', 'GET, HEAD'],
  ['HEAD', '/v1/events', 'GET'],
  ['OPTIONS', '/v1/services/shop/pools/blue/targets/127.0.0.1:3001/state', 'PUT'],
])('%s %s is answered 405 and names %s', async (method, path, allow) => {
  const { call } = await startAdmin()
  const answer = await call(method, path)
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, allow])
})

test.each([
  ['QUERY', '/v1/services', 405],
  ['QUERY', '/v1/nowhere', 404],
  ['POST', '/v1/nowhere', 404],
  ['POST', '/healthz', 405],
])('%s %s is answered %i whatever its body is', async (method, path, status) => {
  const { call } = await startAdmin()
  expect((await call(method, path)).status).toBe(status)
  expect((await call(method, path, '{"a', { 'content-type': 'application/json' })).status).toBe(status)
  expect((await call(method, path, 'a=b', { 'content-type': 'text/plain' })).status).toBe(status)
})

test.each(['/v1/services/%', '/v1/services/%E0%A4%A'])('the path %s is malformed', async (path) => {
  const { call } = await startAdmin()
  const answer = await call('GET', path)
  expect([answer.status, answer.body.code]).toEqual([400, 'malformed'])
})

test('a parameter of more than 512 characters is found nowhere', async () => {
  const { call } = await startAdmin()
  const answer = await call('GET', `/v1/services/${'x'.repeat(600)}`)
  expect([answer.status, answer.body.code]).toEqual([404, 'not_found'])
})

const HEAD = 'GET /healthz HTTP/1.1\r\n'

test.each([
  ['what is not HTTP', 'NONSENSE\r\n\r\n', 400, 'bad_request'],
  ['a head of more than 16 KiB', `${HEAD}Host: 127.0.0.1\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`, 431, 'head_too_large'],
  ['a missing Host', `${HEAD}\r\n`, 400, 'bad_host'],
  ['a second Host', `${HEAD}Host: 127.0.0.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`, 400, 'bad_host'],
  ['an expectation', `${HEAD}Host: 127.0.0.1\r\nExpect: miracles\r\n\r\n`, 417, 'expectation_failed'],
  ['CONNECT', 'CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 405, 'method_not_allowed'],
  ['an unknown method', 'BREW /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 405, 'method_not_allowed'],
])('%s is answered as a problem, and the connection ends', async (_what, bytes, status, code) => {
  const { url } = await startAdmin()
  const { text, end } = await rawRequest(Number(new URL(url).port), bytes, { end: true })
  expect(end).toBe('closed')
  expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [A-Z]`))
  expect(text).toMatch(/^content-type: application\/problem\+json/im)
  expect(JSON.parse(text.split('\r\n\r\n')[1])).toMatchObject({ code, status })
  if (status === 405) expect(text).toMatch(/^allow: .*GET/im)
})

test('HTTP/1.0 needs no Host', async () => {
  const { url } = await startAdmin()
  const { text } = await rawRequest(Number(new URL(url).port), 'GET /healthz HTTP/1.0\r\n\r\n')
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
})

test.each([
  ['its head', 'POST /v1/services/shop/switch HTTP/1.1\r\nHost: 127.0.0.1\r\n', '\r\n'],
  [
    'its body',
    'POST /v1/services/shop/switch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{',
    '"to":"green"}',
  ],
])(
  'a client that is too slow with %s gets its 408, and what comes after that changes nothing',
  async (_what, first, rest) => {
    const { url, control } = await startAdmin({ requestTimeoutMs: 300 })
    const answer = await new Promise<string>((resolve) => {
      let text = ''
      const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true }, () =>
        socket.write(first),
      )
      socket.on('data', (bytes) => {
        text += bytes
      })
      // It never closes its side and goes on to send, until it is told that nobody is there any more.
      socket.on('end', () => {
        const sending = setInterval(() => socket.write(rest), 50)
        socket.on('close', () => clearInterval(sending))
      })
      socket.on('error', () => resolve(text))
    })
    expect(answer).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/)
    expect(JSON.parse(answer.split('\r\n\r\n')[1]).code).toBe('request_timeout')
    expect(answer.match(/^HTTP/gm)).toHaveLength(1)
    expect(control.snapshot().revision).toBe(1)
  },
)

test('an event stream is not written into when its client sends what is no HTTP', async () => {
  const { url } = await startAdmin()
  const bytes = [`GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`, 'NONSENSE\r\n\r\n']
  const { text } = await rawRequest(Number(new URL(url).port), bytes)
  expect(text).not.toMatch(/bad_request/)
})

test('a port that is taken rejects, and leaves nothing behind', async () => {
  const { url } = await startAdmin()
  await expect(startAdmin({ address: new URL(url).host })).rejects.toMatchObject({ code: 'EADDRINUSE' })
})

test('a rollout brings any version that a pool may have, and none that is empty', async () => {
  const admin = await startAdmin()
  await admin.call('POST', SWITCH, { to: 'blue' })
  const begin = (version: string) => admin.call('POST', '/v1/services/shop/rollouts', { to: 'green', version })
  expect(await begin('')).toMatchObject({ status: 422, body: { errors: [{ pointer: '/version' }] } })
  expect(await begin('v'.repeat(129))).toMatchObject({ status: 422, body: { errors: [{ pointer: '/version' }] } })
  expect(await begin('v'.repeat(128))).toMatchObject({ status: 201 })
})

test('while another process is about to take over, whatever changes something is answered 503 for a moment, and reading is not', async () => {
  const { call, control } = await startAdmin({ isYielded: () => true })
  const { revision } = control.snapshot()
  for (const [method, path, body] of [
    ['PUT', '/v1/services/shop/split', { weights: { blue: 1, green: 1 } }],
    ['POST', '/v1/services/shop/rollouts', { to: 'green' }],
    ['POST', '/v1/upgrade', undefined],
  ] as const) {
    const { status, headers, body: problem } = await call(method, path, body)
    expect([status, headers.get('retry-after'), problem.code]).toEqual([503, '1', 'not_ready'])
  }
  expect((await call('GET', '/v1/services/shop')).status).toBe(200)
  expect(control.snapshot().revision).toBe(revision)
})

test('what was not started by the command line cannot be upgraded, and how long it may take is checked', async () => {
  const { call } = await startAdmin()
  expect((await call('POST', '/v1/upgrade')).body).toMatchObject({ status: 409, code: 'conflict' })
  for (const timeout of ['0s', '11m', '60', '601s']) {
    expect((await call('POST', `/v1/upgrade?timeout=${timeout}`)).body).toMatchObject({ status: 422, code: 'invalid' })
  }
})
