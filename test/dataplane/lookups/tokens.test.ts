/** JWTs are verified as jose signs them, and nothing else is believed. */
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import {
  LEEWAY_S,
  publicKeysOf,
  TOKENS_KEPT_MAX,
  type TokenPlan,
  Tokens,
} from '../../../src/dataplane/lookups/tokens.ts'

const SECRET = 'a secret of more than 32 characters, as it should be'
const NOW_S = 1_800_000_000
const NOTHING: TokenPlan = { secret: null, issuer: null, audience: null }

function tokens(plan: Partial<TokenPlan>, keys: readonly unknown[] = []): Tokens {
  const made = new Tokens({ ...NOTHING, ...plan })
  made.take(bytesOf({ keys }))
  return made
}

type SigningKey = Parameters<SignJWT['sign']>[0]
const sign = (key: SigningKey, header: { alg: string; kid?: string }, claims: JWTPayload = { sub: 'u-17' }) =>
  new SignJWT(claims).setProtectedHeader(header).sign(key)
const subject = (made: Tokens, token: string, nowMs = NOW_S * 1_000): unknown => {
  const text = made.claims(`Bearer ${token}`, nowMs)
  return text === null ? null : JSON.parse(text).sub
}
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('by a secret', () => {
  const key = new TextEncoder().encode(SECRET)
  const made = tokens({ secret: SECRET })

  test.each(['HS256', 'HS384', 'HS512'])('%s is verified', async (alg) => {
    const token = await sign(key, { alg })
    expect([subject(made, token), subject(made, token)]).toEqual(['u-17', 'u-17'])
    expect(subject(tokens({ secret: `${SECRET}!` }), token)).toBe(null)
    const [head, , signature] = token.split('.')
    expect(subject(made, `${head}.${part({ sub: 'u-18' })}.${signature}`)).toBe(null)
    expect(subject(made, token.slice(0, -4))).toBe(null)
  })

  test('what is not signed by it is not believed', async () => {
    const { privateKey } = await generateKeyPair('RS256')
    expect(subject(made, await sign(privateKey, { alg: 'RS256' }))).toBe(null)
    for (const alg of ['none', 'None', 'constructor', '', 'HS1', null, 256]) {
      expect([alg, subject(made, `${part({ alg })}.${part({ sub: 'u' })}.AAAA`)]).toEqual([alg, null])
      expect([alg, subject(made, `${part({ alg })}.${part({ sub: 'u' })}.`)]).toEqual([alg, null])
    }
    const token = await sign(key, { alg: 'HS256' })
    for (const bad of [
      '',
      'a',
      'a.b',
      'a.b.c',
      `${token}.x`,
      ` ${token} `,
      token.replace('.', '!.'),
      'x'.repeat(9_000),
    ])
      expect(subject(made, bad)).toBe(null)
    expect([made.claims(undefined, 0), made.claims(token, 0), made.claims(`Basic ${token}`, 0)]).toEqual([
      null,
      null,
      null,
    ])
  })

  test('a token that says what must be understood is refused', async () => {
    const token = await new SignJWT({ sub: 'u' })
      .setProtectedHeader({ alg: 'HS256', crit: ['exp'], exp: 1 } as { alg: string })
      .sign(key, { crit: { exp: true } } as never)
      .catch(() => null)
    expect(token === null ? null : subject(made, token)).toBe(null)
    const [, body] = (await sign(key, { alg: 'HS256' })).split('.')
    const head = part({ alg: 'HS256', crit: [] })
    const { createHmac } = await import('node:crypto')
    const signature = createHmac('sha256', SECRET).update(`${head}.${body}`).digest('base64url')
    expect(subject(made, `${head}.${body}.${signature}`)).toBe(null)
  })

  test('it holds from nbf to exp, with some seconds for clocks that differ, also once it is kept', async () => {
    const token = await sign(key, { alg: 'HS256' }, { sub: 'u', nbf: NOW_S, exp: NOW_S + 60 })
    const at = (second: number) => subject(made, token, (NOW_S + second) * 1_000)
    expect([at(-LEEWAY_S - 1), at(-LEEWAY_S), at(0), at(59 + LEEWAY_S), at(60 + LEEWAY_S)]).toEqual([
      null,
      'u',
      'u',
      'u',
      null,
    ])
    for (const exp of ['1', null, true]) {
      const odd = await sign(key, { alg: 'HS256' }, { sub: 'u', exp: exp as unknown as number }).catch(() => '')
      expect(subject(made, odd)).toBe(null)
    }
  })

  test('it is that of its issuer, for us, where the config says so', async () => {
    const strict = tokens({ secret: SECRET, issuer: 'https://id', audience: 'shop' })
    const of = async (claims: JWTPayload) => subject(strict, await sign(key, { alg: 'HS256' }, { sub: 'u', ...claims }))
    expect(await of({ iss: 'https://id', aud: 'shop' })).toBe('u')
    expect(await of({ iss: 'https://id', aud: ['a', 'shop'] })).toBe('u')
    for (const claims of [
      {},
      { iss: 'https://id' },
      { aud: 'shop' },
      { iss: 'https://id/', aud: 'shop' },
      { iss: 'https://id', aud: 'shops' },
    ])
      expect(await of(claims)).toBe(null)
  })

  test('the oldest of those that are kept go, and are verified again', async () => {
    const all = await Promise.all(
      Array.from({ length: TOKENS_KEPT_MAX + 2 }, (_, at) => sign(key, { alg: 'HS256' }, { sub: `u-${at}` })),
    )
    const own = tokens({ secret: SECRET })
    for (const round of [1, 2])
      expect([round, all.every((token, at) => subject(own, token) === `u-${at}`)]).toEqual([round, true])
  })
})

describe('by public keys', () => {
  test.each(['RS256', 'PS384', 'ES256', 'ES384', 'ES512', 'EdDSA'])('%s is verified by its key alone', async (alg) => {
    const [ours, others] = [await generateKeyPair(alg, { extractable: true }), await generateKeyPair(alg)]
    const jwk = await exportJWK(ours.publicKey)
    const token = await sign(ours.privateKey, { alg, kid: 'a' })
    expect(subject(tokens({}, [{ ...jwk, kid: 'a' }]), token)).toBe('u-17')
    expect(subject(tokens({}, [{ ...jwk, kid: 'a', alg, use: 'sig', key_ops: ['verify'] }]), token)).toBe('u-17')
    expect(subject(tokens({}, [{ ...jwk, kid: 'a' }]), await sign(others.privateKey, { alg, kid: 'a' }))).toBe(null)
    for (const more of [
      { kid: 'b' },
      { kid: 'a', alg: 'RS512' },
      { kid: 'a', use: 'enc' },
      { kid: 'a', key_ops: ['sign'] },
    ])
      expect([more, subject(tokens({}, [{ ...jwk, ...more }]), token)]).toEqual([more, null])
    // New keys: what was verified by the old ones is not believed any more.
    const made = tokens({}, [{ ...jwk, kid: 'a' }])
    expect(subject(made, token)).toBe('u-17')
    made.take(bytesOf({ keys: [] }))
    expect(subject(made, token)).toBe(null)
  })

  test('a public key is no secret: a token that takes it for one is not believed', async () => {
    const { publicKey } = await generateKeyPair('RS256', { extractable: true })
    const jwk = await exportJWK(publicKey)
    const { createPublicKey } = await import('node:crypto')
    const pem = createPublicKey({ key: jwk as never, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
    const forged = await sign(new TextEncoder().encode(String(pem)), { alg: 'HS256' })
    expect(subject(tokens({}, [jwk]), forged)).toBe(null)
    expect(
      subject(
        tokens({}, [jwk, { kty: 'oct', k: Buffer.from(SECRET).toString('base64url') }]),
        await sign(new TextEncoder().encode(SECRET), { alg: 'HS256' }),
      ),
    ).toBe(null)
  })

  test('without a kid one key must be meant, and small RSA keys are none', async () => {
    const [one, two] = [
      await generateKeyPair('ES256', { extractable: true }),
      await generateKeyPair('ES256', { extractable: true }),
    ]
    const [a, b] = [await exportJWK(one.publicKey), await exportJWK(two.publicKey)]
    const token = await sign(one.privateKey, { alg: 'ES256' })
    expect([subject(tokens({}, [a]), token), subject(tokens({}, [a, b]), token)]).toEqual(['u-17', null])
    const { generateKeyPairSync } = await import('node:crypto')
    const small = generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey.export({ format: 'jwk' })
    expect(publicKeysOf([{ ...small }, { kty: 'oct', k: 'AAAA' }, { kty: 'EC' }, { ...a }])).toHaveLength(1)
  })
})

function bytesOf(value: unknown): SharedArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(value))
  const memory = new SharedArrayBuffer(text.length)
  new Uint8Array(memory).set(text)
  return memory
}
