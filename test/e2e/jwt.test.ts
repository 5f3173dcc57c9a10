/** JWTs of visitors in a running Turnout, verified by the keys of a URL that is away at first and changes them. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ask } from '../helpers/ask.ts'
import { call, service, startProxy } from '../helpers/proxy.ts'
import { startNamed } from '../helpers/upstream.ts'

interface Told {
  readonly lookups: readonly { readonly kind: string; readonly content: string; readonly fault: string | null }[]
}

test('only what is signed by a key of the URL is a visitor, and traffic goes on while that is away', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  let answers = false
  const keys = createServer((_request, response) => {
    response.statusCode = answers ? 200 : 503
    void exportJWK(publicKey).then((jwk) => response.end(JSON.stringify({ keys: [{ ...jwk, kid: 'a' }] })))
  })
  await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void keys.close())
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const rules = [{ name: 'testers', when: { visitor: ['u-17'] }, to: 'green' }]
  const proxy = await startProxy({
    jwt: { jwks: `http://127.0.0.1:${(keys.address() as AddressInfo).port}/jwks`, issuer: 'https://id' },
    services: {
      shop: service(
        { blue: [blue.url], green: [green.url] },
        { split: { blue: 100, green: 0 }, visitor: ['jwt:sub'], rules },
      ),
    },
  })
  const signed = (issuer: string) =>
    new SignJWT({ sub: 'u-17' }).setProtectedHeader({ alg: 'ES256', kid: 'a' }).setIssuer(issuer).sign(privateKey)
  const token = await signed('https://id')
  const poolOf = async (bearer: string) =>
    (await ask(proxy.port, { headers: { authorization: `Bearer ${bearer}` } })).body
  const told = async () => (await call<Told>(proxy, 'GET', '/v1/status')).lookups[0]
  expect(await poolOf(token)).toBe('blue')
  await vi.waitFor(async () => expect(await told()).toMatchObject({ kind: 'keys', content: '', fault: 'answered 503' }))
  answers = true
  await vi.waitFor(async () => expect(await poolOf(token)).toBe('green'), { timeout: 15_000, interval: 50 })
  expect(await told()).toMatchObject({ content: '1 key', fault: null })
  const [head, , signature] = token.split('.')
  const forged = `${head}.${Buffer.from('{"sub":"u-17","iss":"https://id"}').toString('base64url')}.${signature}`
  expect([await poolOf(await signed('https://other')), await poolOf(`${forged}A`)]).toEqual(['blue', 'blue'])
  const headers = { authorization: `Bearer ${token}` }
  const said = await call(proxy, 'POST', '/v1/explain', { url: 'http://a/', headers })
  expect(said).toMatchObject({ pool: 'green', visitor: 'u-17', visitorFrom: 'jwt:sub (verified)' })
  expect(await call(proxy, 'POST', '/v1/explain', { url: 'http://a/' })).toMatchObject({ visitorFrom: null })
})
