/**
 * Many networks, each with positions, and one question: which positions have a network that an address lies in.
 *
 * Networks are nested or apart, never half over each other. So the edges of all cut the addresses into ranges, each range has
 * one innermost network, and the networks around that are its parents: one binary search, then a walk outwards of at most
 * 129 steps. Nothing is written down once per range and network, so the size is that of the input, however they nest.
 */
import type { BitSet, Positions } from './bit-set.ts'
import { type Network, wordsOf } from './network.ts'

const BITS = 128n
const WORD = 32n
const WORDS = 4

export interface NetworkIndex {
  /** First address of each range, four words each, ascending. */
  readonly starts: Uint32Array
  /** Number of the innermost network of each range; -1 for none. */
  readonly innermost: Int32Array
  /** Number of the network around each network; -1 for none. */
  readonly parents: Int32Array
  readonly positions: readonly Positions[]
}

interface Node {
  readonly first: bigint
  readonly last: bigint
  readonly positions: number[]
}

/** The index over these networks; a list of networks belongs to each position. */
export function indexNetworks(lists: ReadonlyMap<number, readonly Network[]>): NetworkIndex {
  const nodes = nodesOf(lists)
  const starts: bigint[] = []
  const innermost: number[] = []
  const parents = new Int32Array(nodes.length)
  const open: number[] = []
  const outer = () => open.at(-1) ?? -1
  const startRange = (first: bigint) => {
    if (starts.at(-1) === first) innermost[innermost.length - 1] = outer()
    else {
      starts.push(first)
      innermost.push(outer())
    }
  }
  const closeBefore = (first: bigint) => {
    for (let inner = outer(); inner !== -1 && nodes[inner].last < first; inner = outer()) {
      open.pop()
      startRange(nodes[inner].last + 1n)
    }
  }
  for (const [number, node] of nodes.entries()) {
    closeBefore(node.first)
    parents[number] = outer()
    open.push(number)
    startRange(node.first)
  }
  closeBefore(1n << BITS)
  return {
    starts: wordsOfAll(starts),
    innermost: Int32Array.from(innermost),
    parents,
    positions: nodes.map(({ positions }) => positions),
  }
}

/** The different networks, outer ones before those in them. */
function nodesOf(lists: ReadonlyMap<number, readonly Network[]>): Node[] {
  const nodes = new Map<string, Node>()
  for (const [position, networks] of lists) {
    for (const { words, bits } of networks) {
      const rest = BITS - BigInt(bits)
      const first = (words.reduce((sum, word) => (sum << WORD) + BigInt(word), 0n) >> rest) << rest
      const key = `${first}/${bits}`
      const node = nodes.get(key) ?? { first, last: first + (1n << rest) - 1n, positions: [] }
      if (node.positions.at(-1) !== position) node.positions.push(position)
      nodes.set(key, node)
    }
  }
  return [...nodes.values()].sort((a, b) => compare(a.first, b.first) || compare(b.last, a.last))
}

const compare = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0)

/** A last start may be 2^128, behind all addresses: it is left out, and with it the range that it would begin. */
function wordsOfAll(starts: readonly bigint[]): Uint32Array {
  const addresses = starts.filter((start) => start < 1n << BITS)
  const words = new Uint32Array(addresses.length * WORDS)
  for (const [at, address] of addresses.entries()) {
    for (let word = 0; word < WORDS; word++) {
      words[at * WORDS + word] = Number(BigInt.asUintN(32, address >> (WORD * BigInt(WORDS - 1 - word))))
    }
  }
  return words
}

/** BitSet every position that has a network which the address lies in. */
export function markNetworks(index: NetworkIndex, address: string, marks: BitSet): void {
  const words = wordsOf(address)
  if (words === null) return
  const { starts, innermost, parents, positions } = index
  let low = 0
  let high = starts.length / WORDS
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isAfter(starts, middle * WORDS, words)) high = middle
    else low = middle + 1
  }
  if (low === 0) return
  for (let number = innermost[low - 1]; number !== -1; number = parents[number]) marks.add(positions[number])
}

function isAfter(starts: Uint32Array, at: number, words: readonly [number, number, number, number]): boolean {
  if (starts[at] !== words[0]) return starts[at] > words[0]
  if (starts[at + 1] !== words[1]) return starts[at + 1] > words[1]
  if (starts[at + 2] !== words[2]) return starts[at + 2] > words[2]
  return starts[at + 3] > words[3]
}
