import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { VisitorSource } from '../../src/table/plan.ts'
import {
  bearerToken,
  claimIn,
  claimsText,
  KEY_LENGTH_MAX,
  TOKEN_LENGTH_MAX,
  visitorKey,
} from '../../src/table/visitor.ts'
import { makeOwn, makeView, type ViewOptions } from './make.ts'

const tokenClaim = (authorization: string | undefined, claim: string) =>
  claimIn(claimsText(bearerToken(authorization)), claim)
const token = (payload: unknown) => `Bearer x.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.y`

const all: readonly VisitorSource[] = [
  { from: 'header', name: 'x-user-id' },
  { from: 'cookie', name: 'uid' },
  { from: 'jwt', claim: 'sub' },
  { from: 'own' },
  { from: 'address' },
]

describe('visitor key', () => {
  const given: ViewOptions = {
    headers: { 'x-user-id': 'h', authorization: token({ sub: 'j' }) },
    cookies: { uid: 'c' },
    own: makeOwn({ visitor: 'o' }),
    address: 'a',
  }
  const key = (options: ViewOptions, sources = all) => visitorKey(makeView(options), sources, options.own ?? null)

  test('is the first found in the order of the sources', () => {
    expect(key(given)).toBe('h')
    expect(key(given, all.slice(1))).toBe('c')
    expect(key(given, all.slice(2))).toBe('j')
    expect(key(given, all.slice(3))).toBe('o')
    expect(key(given, all.slice(4))).toBe('a')
    expect(key(given, all.toReversed())).toBe('a')
    expect(key(given, [])).toBeNull()
  })

  test('is the first value of a parameter of the query, decoded as rules have it', () => {
    const sources: readonly VisitorSource[] = [{ from: 'query', name: 'uid' }, { from: 'own' }]
    const { own } = given
    const of = (path: string) => key({ path, own }, sources)
    expect(of('/?a=1&uid=u-17&uid=u-18')).toBe('u-17')
    expect(of('/?u%69d=%c5%bdofie+1')).toBe(`${Buffer.from('Žofie').toString('latin1')} 1`)
    for (const path of ['/', '/?', '/?UID=u', '/?xuid=u', '/?uid', '/?uid=', '/?uid=&uid=u', '/uid=u'])
      expect([path, of(path)]).toEqual([path, 'o'])
  })

  test('passes over what is absent, empty or too long', () => {
    const { own, address } = given
    expect(key({ own, address })).toBe('o')
    expect(key({ own, address, headers: { 'x-user-id': '' }, cookies: { uid: '' } })).toBe('o')
    expect(key({ own, address, headers: { 'x-user-id': 'x'.repeat(KEY_LENGTH_MAX + 1) } })).toBe('o')
    expect(key({ address: 'x'.repeat(KEY_LENGTH_MAX) })).toHaveLength(KEY_LENGTH_MAX)
    expect(key({ address: '' })).toBeNull()
  })
})

describe('claim of a token', () => {
  test('is text or a number of the payload, in any alphabet', () => {
    expect(tokenClaim(token({ sub: 'u-17' }), 'sub')).toBe('u-17')
    expect(tokenClaim(token({ sub: 17 }), 'sub')).toBe('17')
    expect(tokenClaim(token({ sub: 'Žofie ÿ?>' }), 'sub')).toBe(Buffer.from('Žofie ÿ?>').toString('latin1'))
    expect(tokenClaim(token({ 'https://x/id': 'u' }).replace('Bearer', 'bearer '), 'https://x/id')).toBe('u')
  })

  test.each([
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Bearer a.b',
    'Bearer .',
    'Bearer ..',
    'Bearer a.!!!.c',
    'Bearer a.e30.c',
    'Basic dTpw',
    'Basic a.eyJzdWIiOiJ1In0.c',
    'Bearer a.bnVsbA.c',
    'Bearer a.W10.c',
    'Bearer a._____w.c',
    token({ sub: null }),
    token({ sub: true }),
    token({ sub: ['u'] }),
    token({ sub: { id: 'u' } }),
    token({ Sub: 'u' }),
    token('sub'),
  ])('%j has none', (authorization) => {
    expect(tokenClaim(authorization, 'sub')).toBeNull()
  })

  test('is not looked for in the prototype, nor in long tokens', () => {
    for (const claim of ['constructor', 'toString', '__proto__']) expect(tokenClaim(token({}), claim)).toBeNull()
    expect(tokenClaim(token({ sub: 'u', pad: 'x'.repeat(TOKEN_LENGTH_MAX) }), 'sub')).toBeNull()
  })

  test('never throws', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        (text, claim) => void [tokenClaim(text, claim), tokenClaim(`Bearer a.${text}.b`, claim)],
      ),
    )
  })
})
