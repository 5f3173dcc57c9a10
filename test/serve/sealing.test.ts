/** Secrets in the store, encrypted by a key that is not there. */
import { describe, expect, test } from 'vitest'
import { cookieSecretsOf } from '../../src/serve/cookie-secrets.ts'
import { Sealing } from '../../src/serve/sealing.ts'
import { memoryStore } from '../../src/store/memory.ts'

const [ONE, TWO] = ['1'.repeat(32), '2'.repeat(40)]
const ENCRYPTED = /are encrypted: set TURNOUT_SECRET_KEY/
const ANOTHER = /TURNOUT_SECRET_KEY is not the key/

describe('a secret', () => {
  test('is read back with its key, under its name only, and never twice the same in the store', () => {
    const sealing = new Sealing(ONE)
    const [a, b] = [sealing.seal('name', 'täxt'), sealing.seal('name', 'täxt')]
    expect(a).not.toBe(b)
    expect(a).not.toContain('xt')
    expect(sealing.open('name', a)).toEqual({ text: 'täxt', isStale: false })
    expect(() => sealing.open('other', a)).toThrow(ANOTHER)
    expect(() => new Sealing(TWO).open('name', a)).toThrow(ANOTHER)
    expect(() => new Sealing(undefined).open('name', a)).toThrow(ENCRYPTED)
    expect(() => new Sealing('').open('name', a)).toThrow(ENCRYPTED)
  })

  test('that was changed anywhere, or cut off, is not opened', () => {
    const sealing = new Sealing(ONE)
    const sealed = sealing.seal('name', 'text')
    for (let at = 'sealed:1:'.length; at < sealed.length; at++) {
      const other = sealed[at] === 'A' ? 'Q' : 'A'
      expect(() => sealing.open('name', sealed.slice(0, at) + other + sealed.slice(at + 1))).toThrow(ANOTHER)
      expect(() => sealing.open('name', sealed.slice(0, at))).toThrow(ANOTHER)
    }
  })

  test('needs a key that is long enough', () => {
    expect(() => new Sealing('short')).toThrow(/at least 32 characters/)
    expect(() => new Sealing(`${ONE},short`)).toThrow(/at least 32 characters/)
  })
})

test('the cookie keys are the same for all that begin at the same time', async () => {
  const store = memoryStore()
  const all = await Promise.all(Array.from({ length: 5 }, () => cookieSecretsOf(store, new Sealing(ONE))))
  for (const secrets of all) expect(secrets).toEqual(all[0])
  expect(await store.get('cookieKeys')).toMatch(/^sealed:1:/)
})

test('the keys that the config names come in its order, and stored is that of the store', async () => {
  const store = memoryStore()
  const sealing = new Sealing(undefined)
  const { cookieKeys: stored, cookieLayer } = await cookieSecretsOf(store, sealing, [ONE])
  expect(stored).toEqual([ONE])
  const [made] = (await cookieSecretsOf(store, sealing)).cookieKeys
  expect(await cookieSecretsOf(store, sealing, [TWO, 'stored', ONE])).toEqual({
    cookieKeys: [TWO, made, ONE],
    cookieLayer,
  })
})

test('the cookie keys stay the same when a key comes, is replaced, and the old one goes', async () => {
  const store = memoryStore()
  const before = await cookieSecretsOf(store, new Sealing(undefined))
  expect(await store.get('cookieKeys')).toContain(before.cookieKeys[0])
  expect(await cookieSecretsOf(store, new Sealing(ONE))).toEqual(before)
  expect(await store.get('cookieKeys')).toMatch(/^sealed:1:/)
  await expect(cookieSecretsOf(store, new Sealing(undefined))).rejects.toThrow(ENCRYPTED)
  await expect(cookieSecretsOf(store, new Sealing(TWO))).rejects.toThrow(ANOTHER)
  expect(await cookieSecretsOf(store, new Sealing(`${TWO},${ONE}`))).toEqual(before)
  expect(await cookieSecretsOf(store, new Sealing(TWO))).toEqual(before)
})
