/**
 * A small database of countries in the public format .mmdb (MaxMind DB 2.0): a tree over the bits of addresses, the records it leads
 * to, and at the end what says what it is.
 */
import { networkOf } from '../../src/config/address.ts'
import { parseNetwork } from '../../src/table/network.ts'

const SEPARATOR_BYTES = 16

interface Options {
  /** Of the addresses; 4 has IPv4 only. Default 6. */
  readonly version?: 4 | 6
  /** By `country_code`, as IPinfo has it; default by `country.iso_code`. */
  readonly isFlat?: boolean
}

/** Left and right of a node: another node, the place of a record, or nothing. */
type Side = Node | number | null
type Node = [Side, Side]

/** The database in which these networks are in these countries; the longer network wins when it comes later. */
export function mmdbOf(
  countries: Readonly<Record<string, string>>,
  { version = 6, isFlat = false }: Options = {},
): Buffer {
  const root: Node = [null, null]
  const records: Buffer[] = []
  let size = 0
  for (const [cidr, code] of Object.entries(countries)) {
    const record = isFlat ? map({ country_code: text(code) }) : map({ country: map({ iso_code: text(code) }) })
    put(root, bitsOf(cidr, version), size)
    records.push(record)
    size += record.length
  }
  const nodes = numbered(root)
  const tree = Buffer.alloc(nodes.size * 6)
  for (const [node, at] of nodes) {
    for (const side of [0, 1]) {
      const to = node[side]
      const value =
        to === null ? nodes.size : typeof to === 'number' ? nodes.size + SEPARATOR_BYTES + to : nodes.get(to)!
      tree.writeUIntBE(value, at * 6 + side * 3, 3)
    }
  }
  const about = map({
    node_count: unsigned(6, nodes.size),
    record_size: unsigned(5, 24),
    ip_version: unsigned(5, version),
    database_type: text('Test-Country'),
    languages: Buffer.from([0, 4]),
    binary_format_major_version: unsigned(5, 2),
    binary_format_minor_version: unsigned(5, 0),
    build_epoch: Buffer.concat([Buffer.from([4, 2]), number(Date.UTC(2026, 0, 1) / 1_000)]),
    description: map({}),
  })
  const marker = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1')
  return Buffer.concat([tree, Buffer.alloc(SEPARATOR_BYTES), ...records, marker, about])
}

/** IPv4 stands below 96 bits of 0 in a tree of IPv6. */
function bitsOf(cidr: string, version: 4 | 6): number[] {
  const { words, bits } = parseNetwork(networkOf(cidr))!
  const isIPv4 = words[0] === 0 && words[1] === 0 && words[2] === 0xffff
  const all = [words[0], words[1], isIPv4 ? 0 : words[2], words[3]].flatMap((word) =>
    Array.from({ length: 32 }, (_, at) => (word >>> (31 - at)) & 1),
  )
  return all.slice(version === 4 ? 96 : 0, bits)
}

function put(root: Node, bits: readonly number[], record: number): void {
  let node = root
  for (const bit of bits.slice(0, -1)) {
    const next = node[bit]
    // A longer network within: both halves of the node begin with what the shorter one has.
    node[bit] = next === null || typeof next === 'number' ? [next, next] : next
    node = node[bit] as Node
  }
  node[bits.at(-1)!] = record
}

function numbered(root: Node): Map<Node, number> {
  const nodes = new Map<Node, number>()
  const visit = (side: Side) => {
    if (side === null || typeof side === 'number') return
    nodes.set(side, nodes.size)
    side.forEach(visit)
  }
  visit(root)
  return nodes
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const unsigned = (type: 5 | 6, value: number): Buffer =>
  type === 6
    ? Buffer.concat([Buffer.from([(6 << 5) | 4]), number(value)])
    : Buffer.from([(5 << 5) | 2, value >> 8, value & 255])

const text = (value: string): Buffer => Buffer.concat([Buffer.from([(2 << 5) | value.length]), Buffer.from(value)])

const map = (entries: Readonly<Record<string, Buffer>>): Buffer =>
  Buffer.concat([
    Buffer.from([(7 << 5) | Object.keys(entries).length]),
    ...Object.entries(entries).flatMap(([key, value]) => [text(key), value]),
  ])
