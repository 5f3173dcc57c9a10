/** The signature of our own cookie: that it is the HMAC it says it is, and what is refused. */
import { createHmac } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CookieSigner, Mac } from '../../src/dataplane/cookie-signer.ts'
import { anyCodePoint } from '../helpers/code-point.ts'

const OWN = {
  visitor: 'v1',
  service: 'shop',
  pool: 'blue',
  release: 'r1',
  target: '',
  pinned: false,
  endS: 1_800_000_000,
}
const hmac = (key: string, text: string) => createHmac('sha256', key).update(text).digest('base64url').slice(0, 22)

test('the signature is an HMAC-SHA256, whatever the lengths of key and text', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 100 }), fc.string({ maxLength: 400, unit: anyCodePoint }), (key, text) => {
      expect(new Mac(key).of(text)).toBe(hmac(key, text))
    }),
  )
})

test('one signer gives the same for the same text, however long the texts between were', () => {
  const mac = new Mac('key')
  for (const length of [1, 5_000, 3, 0, 900]) expect(mac.of('x'.repeat(length))).toBe(hmac('key', 'x'.repeat(length)))
})

describe('a cookie', () => {
  const signed = new CookieSigner(['first', 'second'], 'abc123').sign('turnout', OWN)

  test('is read back, by the first key and by any other', () => {
    expect(new CookieSigner(['first'], 'abc123').verify('turnout', signed)).toEqual(OWN)
    expect(new CookieSigner(['new', 'first'], 'abc123').verify('turnout', signed)).toEqual(OWN)
  })

  test('is refused under another name, key, or with any character changed', () => {
    expect(new CookieSigner(['first'], 'abc123').verify('other', signed)).toBeNull()
    expect(new CookieSigner(['second'], 'abc123').verify('turnout', signed)).toBeNull()
    const signer = new CookieSigner(['first'], 'abc123')
    for (let at = 0; at < signed.length; at++) {
      const changed = signed.slice(0, at) + (signed[at] === 'A' ? 'B' : 'A') + signed.slice(at + 1)
      expect(signer.verify('turnout', changed)).toBeNull()
      expect(signer.verify('turnout', signed.slice(0, at))).toBeNull()
    }
    expect(signer.verify('turnout', signed + 'A')).toBeNull()
  })

  test('that is remembered keeps no part of the head that it came in', () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const signer = new CookieSigner(['first'], 'abc123')
    const values = Array.from({ length: 1_000 }, (_, n) =>
      signer.sign('turnout', { ...OWN, visitor: `somebody-new-${n}` }),
    )
    collect()
    const before = process.memoryUsage().heapUsed
    for (const value of values) {
      const head = Buffer.from(`${value}; ${'x'.repeat(32_768)}`).toString('latin1')
      expect(signer.verify('turnout', head.slice(0, value.length))?.visitor).toMatch(/^somebody-new-/)
    }
    collect()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(8 * 2 ** 20)
  })
})
