/** Who may call: tokens and roles, and without tokens loopback, Host, Origin and Sec-Fetch-Site. */

import { describe, expect, test } from 'vitest'
import { createGuard } from '../../src/admin/auth.ts'
import { isLoopback } from '../../src/config/address.ts'
import { isTurnoutError } from '../../src/errors.ts'
import { http } from '../helpers/http.ts'
import { SHOP, startAdmin } from './stand-in.ts'

const TOKENS = [
  { name: 'watcher', token: 'viewer-token-0123456789', role: 'viewer' as const },
  { name: 'ci', token: 'operator-token-0123456789', role: 'operator' as const },
]
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const VIEWER = bearer(TOKENS[0].token)
const OPERATOR = bearer(TOKENS[1].token)

/** fetch does not let Host, Origin and Sec-Fetch-Site be set freely, so this goes below it. */
function rawStatus(url: string, path: string, headers: Record<string, string>, method = 'GET'): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.request(url + path, { method, headers, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode!)
    })
    request.on('error', reject)
    request.end()
  })
}

describe('with tokens', () => {
  test('a call without a token, or with an unknown one, is 401 with WWW-Authenticate', async () => {
    const { call } = await startAdmin({ tokens: TOKENS })
    for (const headers of [{}, bearer('wrong'), bearer(`${TOKENS[0].token}x`), { authorization: 'Basic Y2k6eA==' }]) {
      const answer = await call('GET', '/v1/services', undefined, headers as Record<string, string>)
      expect([answer.status, answer.body.code]).toEqual([401, 'unauthorized'])
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    }
    expect((await call('GET', '/v1/nowhere')).status).toBe(401)
  })

  test('a token may have other letters, sent as UTF-8', async () => {
    const token = 'žluťoučký-kůň-úpěl-ďábelské-ódy-à'
    const { url } = await startAdmin({ tokens: [{ name: 'ci', token, role: 'operator' as const }] })
    const status = (text: string) => rawStatus(url, '/v1/services', { authorization: `Bearer ${text}` })
    expect(await status(Buffer.from(token).toString('latin1'))).toBe(200)
    expect(await status(Buffer.from(token.replace('à', 'á')).toString('latin1'))).toBe(401)
  })

  test('a viewer reads and explains, and may change nothing', async () => {
    const { call, control } = await startAdmin({ tokens: TOKENS, explain: () => ({}) as never })
    for (const path of ['/v1/services', '/v1/services/shop/status', '/v1/audit', '/metrics', '/openapi.json']) {
      expect((await call('GET', path, undefined, VIEWER)).status).toBe(200)
    }
    expect((await call('POST', '/v1/explain', { url: '/' }, VIEWER)).status).toBe(200)
    for (const [method, path] of [
      ['PUT', '/v1/services/shop'],
      ['PATCH', '/v1/services/shop'],
      ['DELETE', '/v1/services/shop'],
      ['POST', '/v1/services/shop/switch'],
      ['POST', '/v1/services/shop/back'],
      // By its counts one could read what is in the headers of clients.
      ['POST', '/v1/services/shop/dry-run'],
      ['POST', '/v1/revisions/1/restore'],
      ['POST', '/v1/switch'],
    ]) {
      const answer = await call(method, path, SHOP, VIEWER)
      expect([answer.status, answer.body.code]).toEqual([403, 'forbidden'])
    }
    expect(control.snapshot().revision).toBe(1)
  })

  test('a viewer is shown no secret of a hook, nor in the audit or a revision; what an operator is shown can be put back', async () => {
    const { call } = await startAdmin({ tokens: TOKENS })
    const secret = 'of-the-hook-0123456789'
    const rollout = { hooks: [{ at: 'AfterBake', url: 'http://ci/hook', secret }] }
    expect((await call('PATCH', '/v1/services/shop', { rollout }, OPERATOR)).status).toBe(200)
    const paths = [
      '/v1/services',
      '/v1/services/shop',
      '/v1/audit',
      '/v1/revisions',
      '/v1/revisions/2',
      '/v1/events?follow=false',
    ]
    for (const path of paths) {
      const shown = await call('GET', path, undefined, VIEWER)
      expect([path, shown.status, JSON.stringify(shown.body).includes(secret)]).toEqual([path, 200, false])
    }
    const shown = await call('GET', '/v1/services/shop', undefined, OPERATOR)
    expect(shown.body.spec.rollout.hooks[0].secret).toBe(secret)
    expect((await call('PUT', '/v1/services/shop', shown.body.spec, OPERATOR)).body).toMatchObject({ changed: false })
    const hidden = await call('GET', '/v1/services/shop', undefined, VIEWER)
    expect(await call('PUT', '/v1/services/shop', hidden.body.spec, OPERATOR)).toMatchObject({ status: 422 })
  })

  test('an operator changes, and the audit has the name of the token', async () => {
    const { call } = await startAdmin({ tokens: TOKENS })
    expect((await call('POST', '/v1/services/shop/switch', { to: 'green' }, OPERATOR)).status).toBe(200)
    const audit = await call('GET', '/v1/audit', undefined, OPERATOR)
    expect(audit.body.entries[0]).toMatchObject({ revision: 2, actor: 'ci', change: { kind: 'switch' } })
  })

  test('health and readiness need no token, metrics do', async () => {
    const { call } = await startAdmin({ tokens: TOKENS })
    expect((await call('GET', '/healthz')).status).toBe(200)
    expect((await call('GET', '/readyz')).status).toBe(200)
    expect((await call('GET', '/metrics')).status).toBe(401)
  })

  test('the scheme is read in any case', async () => {
    const { call } = await startAdmin({ tokens: TOKENS })
    const headers = { authorization: `bEaReR ${TOKENS[0].token}` }
    expect((await call('GET', '/v1/services', undefined, headers)).status).toBe(200)
  })
})

test.each(['127.0.0.1', '::1:9900', '*:9900', '127.0.0.1:99999'])(
  'an address is read as that of a listener: %s is none',
  async (address) => {
    await expect(startAdmin({ address })).rejects.toThrow(/^The admin API cannot listen: .*(port|brackets|write)/)
  },
)

describe('without tokens', () => {
  test.each([
    [{ host: '127.0.0.1' }, 200],
    [{ host: 'localhost:9900' }, 200],
    [{ host: 'LOCALHOST' }, 200],
    [{ host: '127.1.2.3:80' }, 200],
    [{ host: '[::1]:9900' }, 200],
    [{ host: 'evil.example' }, 403],
    [{ host: 'localhost.evil.example' }, 403],
    [{ host: '127.0.0.1.evil.example' }, 403],
    [{ host: '10.0.0.1' }, 403],
    [{ host: '127.0.0.1@evil.example' }, 403],
    [{ host: '127.0.0.256' }, 403],
    [{ host: 'localhost:9900', origin: 'http://localhost:9900' }, 200],
    [{ host: 'localhost:9900', origin: 'http://localhost:3000' }, 403],
    [{ host: 'localhost:9900', origin: 'http://evil.example' }, 403],
    [{ host: 'localhost:9900', origin: 'null' }, 403],
    [{ host: 'localhost', 'sec-fetch-site': 'same-origin' }, 200],
    [{ host: 'localhost', 'sec-fetch-site': 'none' }, 200],
    [{ host: 'localhost', 'sec-fetch-site': 'cross-site' }, 403],
    [{ host: 'localhost', 'sec-fetch-site': 'same-site' }, 403],
  ])('a request with %j is answered %i', async (headers, status) => {
    const { url } = await startAdmin()
    expect(await rawStatus(url, '/v1/services', headers as unknown as Record<string, string>)).toBe(status)
  })

  test('a refused page may not even use a call without a body', async () => {
    const { url, control } = await startAdmin()
    const headers = { host: 'localhost', origin: 'http://evil.example' }
    expect(await rawStatus(url, '/v1/services/shop', headers, 'DELETE')).toBe(403)
    expect(control.snapshot().revision).toBe(1)
  })

  test('health and readiness answer any host', async () => {
    const { url } = await startAdmin()
    expect(await rawStatus(url, '/healthz', { host: 'pod.example' })).toBe(200)
    expect(await rawStatus(url, '/metrics', { host: 'pod.example' })).toBe(403)
  })

  test('the actor in the audit is local', async () => {
    const { call } = await startAdmin()
    await call('POST', '/v1/services/shop/switch', { to: 'green' })
    expect((await call('GET', '/v1/audit')).body.entries[0].actor).toBe('local')
  })

  test.each(['10.0.0.7', '::ffff:10.0.0.7', '128.0.0.1', undefined])('the peer %s is refused', (remoteAddress) => {
    const guard = createGuard([])
    const approach = { headers: { host: 'localhost' }, remoteAddress, needs: 'viewer' as const }
    expect(() => guard(approach)).toThrowError(expect.toSatisfy((error) => isTurnoutError(error, 'forbidden')))
  })

  test('a request without a Host is refused', () => {
    const approach = { headers: {}, remoteAddress: '127.0.0.1', needs: 'viewer' as const }
    expect(() => createGuard([])(approach)).toThrowError(/Host/)
  })

  test('an address off loopback is refused at the start', async () => {
    for (const address of ['0.0.0.0:0', ':0', '[::]:0']) {
      await expect(startAdmin({ address })).rejects.toMatchObject({ code: 'invalid' })
    }
  })
})

test.each(['localhost', '127.0.0.1', '127.255.255.254', '::1', '[::1]', '::ffff:127.0.0.1'])('%s is loopback', (host) =>
  expect(isLoopback(host)).toBe(true),
)

test.each(['', '127.0.0', '1.127.0.0.1', '0.0.0.0', '::', 'localhost.'])('%j is not loopback', (host) =>
  expect(isLoopback(host)).toBe(false),
)
