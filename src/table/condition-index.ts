/**
 * Which of many rules (or routes) may match a request, without asking each: an index over their conditions.
 *
 * Every entry is filed under one of its conditions, all of which must hold anyway: the one that fewest others share, and one
 * that asks for a value before one that asks only for presence. Those without any that an index can find are always candidates. A
 * request marks the entries filed under what it has; they come back in the order of the list, and the caller checks the
 * rest of each. So what is found is what a scan of the list finds, and a request that has none of the headers, cookies,
 * visitor or address asked for pays for a look at its own fields, not for the list.
 *
 * The fields of the request are gone over, not the names that rules ask for, since those may be thousands. A hint of length and
 * two letters tells most fields apart before any string is made. Of a field that comes twice, each line is looked at and all of
 * them joined. A mark may say too much, never too little: the caller checks what is not `whole` (conditions/kind.ts).
 *
 * The index never changes, but for its marks: they belong to the one look that is going on, and looks do not overlap.
 */

import { BitSet, type Positions } from './bit-set.ts'
import type { Filing, Keys } from './conditions/kind.ts'
import { CookieWalk } from './cookie-header.ts'
import { knownNetwork, type Network } from './network.ts'
import { indexNetworks, markNetworks, type NetworkIndex } from './network-index.ts'
import { withUpperEscapes } from './path.ts'
import { QueryWalk } from './query.ts'
import type { RequestView } from './types.ts'

export interface ConditionIndex {
  /** The place of the condition, in each entry, that a mark says all of; -1 where all are to be checked. */
  readonly checked: readonly number[]
  readonly always: Positions
  /** A bit for each hint of a header name that is asked for, `cookie` among them when there are cookies. */
  readonly fieldHints: Uint32Array
  readonly headers: ReadonlyMap<string, Values>
  readonly cookieHints: Uint32Array
  readonly cookies: ReadonlyMap<string, Values>
  /** By name, as octets. */
  readonly parameters: ReadonlyMap<string, Values>
  readonly methods: ReadonlyMap<string, Positions>
  readonly paths: ReadonlyMap<string, Positions>
  readonly prefixes: ReadonlyMap<string, Positions>
  /** The different lengths of `prefixes`, ascending. */
  readonly prefixLengths: readonly number[]
  /** Whether a path or prefix among them has `%` in it. */
  readonly isEscaped: boolean
  readonly visitors: ReadonlyMap<string, Positions>
  /** Files of visitors, each looked up once, and who asks for them. */
  readonly files: readonly (readonly [file: string, positions: Positions])[]
  readonly countries: ReadonlyMap<string, Positions>
  readonly networks: NetworkIndex | null
  readonly marks: BitSet
}

/** Entries that ask for a header, cookie or parameter of one name. */
interface Values {
  /** Those that ask only for presence. */
  readonly present: number[]
  readonly byValue: Map<string, number[]>
}

const HINTS = 1 << 15
/** Values of a list that are looked at to see how many share it: lists may be long. */
const SAMPLE = 8
const COOKIE = 'cookie'
const walk = new CookieWalk()
const parameters = new QueryWalk()

/** Length, first and last letter of a name, in any case, as a number below 32768. */
export function nameHint(text: string, start: number, end: number): number {
  return ((end - start) & 31) | ((text.charCodeAt(start) & 31) << 5) | ((text.charCodeAt(end - 1) & 31) << 10)
}

function setHint(hints: Uint32Array, name: string): void {
  const hint = nameHint(name, 0, name.length)
  hints[hint >>> 5] |= 1 << (hint & 31)
}

const isHinted = (hints: Uint32Array, hint: number) => ((hints[hint >>> 5] >>> (hint & 31)) & 1) === 1

/** The index over a list of entries: how each of their conditions is found. Throws (a bug) when a network does not parse. */
export function indexConditions(entries: readonly (readonly (Keys | null)[])[]): ConditionIndex {
  const chosen = choose(entries)
  const fieldHints = new Uint32Array(HINTS >>> 5)
  const cookieHints = new Uint32Array(HINTS >>> 5)
  const fields = {
    header: new Map<string, Values>(),
    cookie: new Map<string, Values>(),
    query: new Map<string, Values>(),
  }
  const lists = newLists()
  const networks = new Map<number, readonly Network[]>()
  const always: number[] = []
  for (const [position, place] of chosen.entries()) {
    const alone = [position]
    const keys = place === -1 ? null : entries[position][place]
    if (keys === null) always.push(position)
    for (const filing of keys?.filings ?? []) {
      const values = filing.values ?? []
      if (filing.space === 'network')
        networks.set(position, [...(networks.get(position) ?? []), ...values.map(knownNetwork)])
      else if (filing.space === 'header' || filing.space === 'cookie' || filing.space === 'query')
        fileField(fields[filing.space], filing, alone)
      else for (const value of values) file(lists[filing.space], value, alone)
    }
  }
  for (const name of fields.header.keys()) setHint(fieldHints, name)
  for (const name of fields.cookie.keys()) setHint(cookieHints, name)
  if (fields.cookie.size > 0) setHint(fieldHints, COOKIE)
  const paths = [...lists.path.keys(), ...lists.prefix.keys()]
  return {
    checked: chosen.map((place, position) => (place !== -1 && entries[position][place]?.whole === true ? place : -1)),
    always,
    fieldHints,
    headers: fields.header,
    cookieHints,
    cookies: fields.cookie,
    parameters: fields.query,
    methods: lists.method,
    paths: lists.path,
    prefixes: lists.prefix,
    prefixLengths: [...new Set([...lists.prefix.keys()].map(({ length }) => length))].sort((a, b) => a - b),
    isEscaped: paths.some((path) => path.includes('%')),
    visitors: lists.visitor,
    files: [...lists.file],
    countries: lists.country,
    networks: networks.size === 0 ? null : indexNetworks(networks),
    marks: new BitSet(entries.length),
  }
}

type Lists = Record<'method' | 'path' | 'prefix' | 'visitor' | 'file' | 'country', Map<string, number[]>>
const newLists = (): Lists => ({
  method: new Map(),
  path: new Map(),
  prefix: new Map(),
  visitor: new Map(),
  file: new Map(),
  country: new Map(),
})

function fileField(names: Map<string, Values>, { name, values: wanted }: Filing, alone: number[]) {
  const values: Values = names.get(name) ?? { present: [], byValue: new Map() }
  names.set(name, values)
  if (wanted === null) values.present.push(...alone)
  else for (const value of wanted) file(values.byValue, value, alone)
}

/** A list of one is shared by all keys of its entry, since lists of visitors are long; so it is not grown in place. */
function file(lists: Map<string, number[]>, key: string, alone: number[]): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, alone)
  else if (list.at(-1) === alone[0]) return
  else if (list.length === 1) lists.set(key, [...list, ...alone])
  else list.push(...alone)
}

/** The place of the condition that each entry is filed under, or -1: see the head of this file. */
function choose(entries: readonly (readonly (Keys | null)[])[]): number[] {
  const shared = new Map<string, number>()
  const found = (entry: readonly (Keys | null)[]) => entry.filter((keys) => keys !== null)
  for (const entry of entries) if (found(entry).length > 1) for (const keys of found(entry)) count(shared, keys)
  const costOf = (keys: Keys | null) => {
    if (keys === null) return Infinity
    let most = 0
    for (const text of textsOf(keys)) most = Math.max(most, shared.get(text) ?? 0)
    return keys.filings.some(({ values }) => values === null) ? most + entries.length : most
  }
  return entries.map((entry) => {
    const only = found(entry).length < 2
    const costs = entry.map((keys) => (only && keys !== null ? 0 : costOf(keys)))
    const least = Math.min(...costs)
    return least === Infinity ? -1 : costs.indexOf(least)
  })
}

function count(shared: Map<string, number>, keys: Keys): void {
  for (const text of textsOf(keys)) shared.set(text, (shared.get(text) ?? 0) + 1)
}

/** A text for each thing that a condition is found by, equal where those are. */
function textsOf({ filings }: Keys): readonly string[] {
  return filings.flatMap(({ space, name, values }) =>
    values === null ? [`${space} ${name}`] : values.slice(0, SAMPLE).map((value) => `${space} ${name}=${value}`),
  )
}

/** BitSet the entries that may match a request. They are to be taken, or cleared, before the next look at this index. */
export function markCandidates(index: ConditionIndex, view: RequestView, visitor: string | null): BitSet {
  const marks = index.marks
  marks.clear()
  marks.add(index.always)
  if (index.headers.size > 0 || index.cookies.size > 0) markFields(index, view)
  if (visitor !== null) markVisitor(index, view, visitor)
  if (index.parameters.size > 0) markParameters(index, view.query)
  markList(marks, index.methods, view.method)
  if (index.paths.size > 0 || index.prefixes.size > 0) markPaths(index, view.path)
  if (index.countries.size > 0) markList(marks, index.countries, view.country() ?? '')
  if (index.networks !== null) markNetworks(index.networks, view.address, marks)
  return marks
}

function markList(marks: BitSet, lists: ReadonlyMap<string, Positions>, value: string): void {
  const positions = lists.size === 0 ? undefined : lists.get(value)
  if (positions !== undefined) marks.add(positions)
}

function markVisitor({ marks, visitors, files }: ConditionIndex, view: RequestView, visitor: string): void {
  markList(marks, visitors, visitor)
  for (let at = 0; at < files.length; at++) if (view.isListed(files[at][0], visitor)) marks.add(files[at][1])
}

function markPaths(index: ConditionIndex, given: string): void {
  const path = index.isEscaped ? withUpperEscapes(given) : given
  markList(index.marks, index.paths, path)
  for (const length of index.prefixLengths) {
    if (length > path.length) return
    markList(index.marks, index.prefixes, path.slice(0, length))
  }
}

function markParameters(index: ConditionIndex, query: string): void {
  parameters.begin(query)
  while (parameters.next()) {
    const values = index.parameters.get(parameters.name())
    if (values !== undefined) markValue(index.marks, values, parameters.value())
  }
}

function markFields(index: ConditionIndex, view: RequestView): void {
  const hints = index.fieldHints
  const count = view.fieldCount
  for (let at = 0; at < count; at++) {
    if (!isHinted(hints, view.fieldHint(at))) continue
    const name = view.fieldName(at)
    const values = index.headers.get(name)
    if (values !== undefined) {
      markValue(index.marks, values, view.fieldValue(at))
      const joined = view.joinedAt(at)
      if (joined !== null) markValue(index.marks, values, joined)
    }
    if (name === COOKIE && index.cookies.size > 0) markCookies(index, view.fieldValue(at))
  }
}

function markCookies(index: ConditionIndex, header: string): void {
  walk.begin(header)
  while (walk.next()) {
    if (!isHinted(index.cookieHints, nameHint(header, walk.nameStart, walk.nameEnd))) continue
    const values = index.cookies.get(header.slice(walk.nameStart, walk.nameEnd))
    if (values !== undefined) markValue(index.marks, values, walk.value())
  }
}

function markValue(marks: BitSet, { present, byValue }: Values, value: string): void {
  marks.add(present)
  const positions = byValue.get(value)
  if (positions !== undefined) marks.add(positions)
}
