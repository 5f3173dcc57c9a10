/**
 * Heap snapshots by constructor: how many objects of each there are and how many bytes they have of their own, and what grew
 * from one snapshot to the next.
 *
 * The format is V8's: one flat array of numbers, a row for each node, whose columns `meta.node_fields` names. Objects go by
 * the name of their constructor; what is no object of JavaScript goes by its kind in brackets, as in Chrome's developer tools.
 */
import { readFileSync } from 'node:fs'

export interface Sum {
  readonly count: number
  /** Own bytes, without what they keep alive. */
  readonly bytes: number
}

export interface Growth {
  readonly name: string
  readonly count: number
  readonly bytes: number
}

interface Snapshot {
  readonly snapshot: {
    readonly meta: { readonly node_fields: readonly string[]; readonly node_types: readonly [readonly string[]] }
  }
  readonly nodes: readonly number[]
  readonly strings: readonly string[]
}

/** Kinds whose nodes have a name of their own that tells more than the kind does. */
const NAMED = new Set(['object', 'native'])

/** Sums by constructor of the snapshot in a file. */
export function summarise(file: string): Map<string, Sum> {
  const { snapshot, nodes, strings }: Snapshot = JSON.parse(readFileSync(file, 'utf8'))
  const { node_fields: fields, node_types: types } = snapshot.meta
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field))
  const sums = new Map<string, { count: number; bytes: number }>()
  for (let at = 0; at < nodes.length; at += fields.length) {
    const kind = types[0][nodes[at + type]]
    const key = NAMED.has(kind) ? strings[nodes[at + name]].slice(0, 60) : `(${kind})`
    const sum = sums.get(key) ?? { count: 0, bytes: 0 }
    sum.count++
    sum.bytes += nodes[at + size]
    sums.set(key, sum)
  }
  return sums
}

/** What has changed from one summary to another, what grew most first; what did not change is left out. */
export function growthBetween(before: ReadonlyMap<string, Sum>, after: ReadonlyMap<string, Sum>): Growth[] {
  const nothing: Sum = { count: 0, bytes: 0 }
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((name) => {
      const was = before.get(name) ?? nothing
      const is = after.get(name) ?? nothing
      return { name, count: is.count - was.count, bytes: is.bytes - was.bytes }
    })
    .filter(({ count, bytes }) => count !== 0 || bytes !== 0)
    .sort((a, b) => b.bytes - a.bytes)
}
