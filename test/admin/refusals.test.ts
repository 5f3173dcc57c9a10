/** What is refused whatever the route: bodies, content types, sizes, paths, methods, broken HTTP. */
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { startAdmin } from './stand-in.ts'

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
    }
    expect(control.snapshot().revision).toBe(1)
  },
)

test('a body of more than 1 MiB is answered 413', async () => {
  const { call } = await startAdmin()
  const answer = await call('POST', SWITCH, JSON.stringify({ to: 'x'.repeat(1024 * 1024) }))
  expect([answer.status, answer.body.code]).toEqual([413, 'too_large'])
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

test.each(['/v1/services/%', '/v1/services/%E0%A4%A'])('the path %s is malformed', async (path) => {
  const { call } = await startAdmin()
  const answer = await call('GET', path)
  expect([answer.status, answer.body.code]).toEqual([400, 'malformed'])
})

test('a parameter of more than 512 characters is refused', async () => {
  const { call } = await startAdmin()
  const answer = await call('GET', `/v1/services/${'x'.repeat(600)}`)
  expect(answer.status).toBeOneOf([404, 414])
  expect(answer.body.code).toBeOneOf(['not_found', 'malformed'])
})

test('what is not HTTP is answered 400 as a problem, and the connection ends', async () => {
  const { url } = await startAdmin()
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write('NONSENSE\r\n\r\n'))
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString()
    })
    socket.on('end', () => resolve(received))
    socket.on('error', reject)
  })
  expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
  expect(JSON.parse(text.split('\r\n\r\n')[1])).toMatchObject({ code: 'bad_request', status: 400 })
})

test('a port that is taken rejects, and leaves nothing behind', async () => {
  const { url } = await startAdmin()
  await expect(startAdmin({ address: new URL(url).host })).rejects.toMatchObject({ code: 'EADDRINUSE' })
})
