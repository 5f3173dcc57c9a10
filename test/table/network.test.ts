import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { contains, inNetworks, parseAddress, parseNetwork } from '../../src/table/network.ts'

const inside = (network: string, address: string) => inNetworks([parseNetwork(network)!], address)

describe('addresses', () => {
  test.each([
    ['1.2.3.4', [0, 0, 0xffff, 0x01020304]],
    ['255.255.255.255', [0, 0, 0xffff, 0xffffffff]],
    ['::ffff:1.2.3.4', [0, 0, 0xffff, 0x01020304]],
    ['::FFFF:102:304', [0, 0, 0xffff, 0x01020304]],
    ['::', [0, 0, 0, 0]],
    ['::1', [0, 0, 0, 1]],
    ['1::', [0x10000, 0, 0, 0]],
    ['2001:db8::8a2e:370:7334', [0x20010db8, 0, 0x8a2e, 0x03707334]],
    ['1:2:3:4:5:6:7:8', [0x10002, 0x30004, 0x50006, 0x70008]],
    ['fe80::1%eth0', [0xfe800000, 0, 0, 1]],
  ])('%s is read', (text, words) => {
    expect(parseAddress(text)).toEqual(words)
  })

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    '1.2.3.-4',
    '1.2.3.4e0',
    '0x1.2.3.4',
    ':',
    ':::',
    '1:2',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '12345::',
    'g::',
    '1.2.3.4::',
    '::1.2.3',
    '[::1]',
    'localhost',
    ':'.repeat(1_000),
  ])('%j is no address', (text) => {
    expect(parseAddress(text)).toBeNull()
  })

  test('any text is read or refused, never thrown at', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...':.%/0123456789afAFg ') }),
        (text) => void [parseAddress(text), parseNetwork(text)],
      ),
    )
  })
})

describe('networks', () => {
  test.each([
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.1.2.3/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['192.168.4.0/22', '192.168.7.255', true],
    ['192.168.4.0/22', '192.168.8.0', false],
    ['0.0.0.0/0', '8.8.8.8', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '8.8.8.8', true],
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', '127.0.0.2', false],
    ['127.0.0.1/32', '::ffff:127.0.0.1', true],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['::1', '::1', true],
    ['10.0.0.0/8', 'unknown', false],
  ])('%s and %s: %s', (network, address, expected) => {
    expect(inside(network, address)).toBe(expected)
  })

  test.each([
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    'fe80::%eth0/64',
    '/8',
    'shop',
  ])('%s is no network', (text) => {
    expect(parseNetwork(text)).toBeNull()
  })

  test('membership is equality of the first bits', () => {
    const word = fc.integer({ min: 0, max: 0xffffffff })
    const words = fc.tuple(word, word, word, word)
    const bitsOf = (of: readonly number[]) => of.map((w) => w.toString(2).padStart(32, '0')).join('')
    fc.assert(
      fc.property(
        words,
        words,
        fc.integer({ min: 0, max: 128 }),
        fc.integer({ min: 0, max: 128 }),
        (a, other, bits, shared) => {
          const merged = bitsOf(a).slice(0, shared) + bitsOf(other).slice(shared)
          const b = [0, 32, 64, 96].map((at) => Number.parseInt(merged.slice(at, at + 32), 2)) as [
            number,
            number,
            number,
            number,
          ]
          expect(contains({ words: a, bits }, b)).toBe(bitsOf(a).slice(0, bits) === merged.slice(0, bits))
        },
      ),
    )
  })
})
