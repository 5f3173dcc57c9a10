/** A list of visitors in shared memory finds exactly those that are in its file. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { halfSipHash } from '../../src/table/half-sip-hash.ts'
import { octetsOfText } from '../../src/table/octets.ts'
import { KEY_LENGTH_MAX } from '../../src/table/visitor.ts'
import { VISITORS_MAX, VisitorList } from '../../src/table/visitor-list.ts'
import { packed } from './make.ts'

const listOf = (text: string | Uint8Array) => new VisitorList(packed(text))

test('HalfSipHash-2-4 gives the results that its authors have published', () => {
  const octets = Uint8Array.from({ length: 64 }, (_, at) => at)
  const hashes = Array.from({ length: 8 }, (_, length) => halfSipHash(octets, length, [0x03020100, 0x07060504], 2, 4))
  expect(hashes.map((hash) => hash.toString(16).padStart(8, '0'))).toEqual(
    '5b9f35a9 b85a4727 03a662fa 04e7fe8a 89466e2a 69b6fac5 23fc6358 c563cf8b'.split(' '),
  )
})

test('a line is a key: without blanks around it, comments, empty lines and a mark of the byte order', () => {
  const list = listOf('\ufeffu-1\n# u-2\n\n  u 3\t\r\nu#4\r\n #5\n   \nu-1\nŽofie')
  expect(list.count).toBe(5)
  for (const key of ['u-1', 'u 3', 'u#4', '#5', octetsOfText('Žofie')])
    expect([key, list.has(key)]).toEqual([key, true])
  for (const key of ['', 'u-2', '# u-2', 'u', 'u-1 ', 'U-1', 'Žofie', '\u0161ofie', 'u-1\0', 'u-'])
    expect([key, list.has(key)]).toEqual([key, false])
})

test('nobody is in a file of comments alone', () => {
  expect([listOf('# none\n').count, listOf('# none\n').has('')]).toEqual([0, false])
})

test('it finds what a set of the same keys finds, whatever the secret', () => {
  const key = fc.string({ unit: fc.constantFrom('a', 'b', 'ä', '0', '-'), minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(fc.array(key, { maxLength: 200 }), fc.array(key), fc.integer(), (keys, others, secret) => {
      const list = new VisitorList(packed(keys.join('\n'), [secret, 1]))
      const set = new Set(keys)
      expect(list.count).toBe(set.size)
      for (const asked of [...keys, ...others]) expect(list.has(octetsOfText(asked))).toBe(set.has(asked))
    }),
  )
})

test('of 100,000 similar keys each is found, and none of as many others', () => {
  const keyOf = (at: number) => `user-${at}@example.com`
  const list = listOf(Array.from({ length: 100_000 }, (_, at) => keyOf(2 * at)).join('\n'))
  let [found, wrong] = [0, 0]
  for (let at = 0; at < 200_000; at++) if (list.has(keyOf(at))) at % 2 === 0 ? found++ : wrong++
  expect([list.count, found, wrong]).toEqual([100_000, 100_000, 0])
})

test.each([
  ['a\n'.repeat(VISITORS_MAX + 1), `has more than ${VISITORS_MAX} visitors`],
  [`a\n${'é'.repeat(KEY_LENGTH_MAX / 2)}b`, `line 2 has more than ${KEY_LENGTH_MAX} bytes`],
  ['a\n\n# c\nb\0c', 'line 4 has a control character, which no visitor key in a line of text has'],
])('what cannot be a list is told by its line, and not what stands there', (text, fault) => {
  expect(() => packed(text)).toThrow(fault)
})

test('a key of the greatest length is found', () => {
  const key = 'k'.repeat(KEY_LENGTH_MAX)
  expect([listOf(key).has(key), listOf(key).has(`${key}k`), listOf(key).has(key.slice(1))]).toEqual([
    true,
    false,
    false,
  ])
})
