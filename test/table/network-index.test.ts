import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BitSet } from '../../src/table/bit-set.ts'
import { inNetworks, knownNetwork, type Network } from '../../src/table/network.ts'
import { indexNetworks, markNetworks } from '../../src/table/network-index.ts'
import { bulk } from '../helpers/bulk.ts'

const ALL = 2 ** 32 - 1

function found(lists: readonly (readonly Network[])[], address: string): number[] {
  const marks = new BitSet(lists.length)
  markNetworks(indexNetworks(new Map(lists.entries())), address, marks)
  const positions: number[] = []
  for (let at = marks.take(); at !== -1; at = marks.take()) positions.push(at)
  return positions
}

const word = fc.constantFrom(0, 1, 2, 0x0a000000, 0x0a000001, 0x7fffffff, 0x80000000, ALL - 1, ALL)
const words = fc.tuple(word, word, word, word)
const networkOf = fc.record({ words, bits: fc.oneof(fc.constantFrom(0, 1, 31, 32, 96, 127, 128), fc.nat(128)) })
const textOf = (of: readonly number[]) =>
  of.map((each) => `${(each >>> 16).toString(16)}:${(each & 0xffff).toString(16)}`).join(':')

test('finds what asking each network finds, however they nest', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(networkOf, { maxLength: 4 }), { maxLength: 12 }),
      fc.array(words, { maxLength: 10 }),
      (lists, addresses) => {
        const edges = lists.flat().map((network) => network.words)
        for (const address of [...addresses, ...edges].map(textOf)) {
          const expected = [...lists.keys()].filter((at) => inNetworks(lists[at], address))
          expect(found(lists, address)).toEqual(expected)
        }
      },
    ),
    { numRuns: bulk(300, 1_000) },
  )
})

test('the first and the last address of a network are in it, their neighbours are not', () => {
  const lists = [[knownNetwork('10.0.0.0/8')], [knownNetwork('10.0.0.0/24'), knownNetwork('10.255.255.0/24')]]
  expect(
    ['9.255.255.255', '10.0.0.0', '10.0.0.255', '10.0.1.0', '10.255.255.255', '11.0.0.0'].map((at) => found(lists, at)),
  ).toEqual([[], [0, 1], [0, 1], [0], [0, 1], []])
  expect(found(lists, 'unknown')).toEqual([])
  expect(found([], '10.0.0.0')).toEqual([])
})

test('ten thousand rules for everybody beside ten thousand networks take no more room than that', () => {
  const lists = Array.from({ length: 20_000 }, (_, n) => [
    knownNetwork(n % 2 === 0 ? '0.0.0.0/0' : `10.${n >> 8}.${n & 255}.0/24`),
  ])
  const index = indexNetworks(new Map(lists.entries()))
  expect(index.positions.reduce((sum, positions) => sum + positions.length, 0)).toBe(20_000)
  expect(index.innermost.length).toBeLessThan(40_000)
})
