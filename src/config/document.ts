/**
 * From YAML text to a plain value, with the place of every part kept, so that any later fault can be shown by line and
 * column. JSON is YAML, so this reads both.
 *
 * We walk the syntax tree ourselves instead of asking the package for a value, because of what the walk promises:
 * - all faults at once (repeated keys, bad aliases, missing variables), not the first one;
 * - a bound on size, depth and expanded values, so a file of nested aliases ends with a message and not without memory;
 * - keys that objects inherit (`__proto__`, `constructor`) are refused and never assigned;
 * - keys are text exactly as written (`1.0` stays `1.0`), and merge keys (`<<: *anchor`) work.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  type YAMLMap,
} from 'yaml'
import { type Environment, expandEnvironment } from './environment.ts'
import { child, type Finding, isReservedKey, parentOf, reservedKey } from './pointer.ts'

const TEXT_LENGTH_MAX = 8 * 1024 * 1024
const DEPTH_MAX = 48
const VALUES_MAX = 250_000
const TOO_MANY = `more than ${VALUES_MAX} values, counting what aliases stand for`

/** 1-based. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** The value of a config text and where its parts stand. */
export interface ConfigDocument {
  /** False when the text is no YAML at all; then there is nothing else to say about it. */
  readonly readable: boolean
  readonly value: unknown
  readonly findings: readonly Finding[]
  /** Pointers of strings that came, wholly or partly, from the environment. */
  readonly fromEnvironment: ReadonlySet<string>
  /** Where a finding points; parts that are not in the text (defaults) stand where their nearest part does. */
  placeOf(finding: Finding): Place
}

interface Offsets {
  readonly key: number | null
  readonly value: number
  readonly scalar: boolean
}

interface Entry {
  readonly key: string
  readonly at: number
  readonly value: Node | null
}

class Excess extends Error {}

class Walk {
  readonly findings: Finding[] = []
  readonly fromEnvironment = new Set<string>()
  readonly offsets = new Map<string, Offsets>()
  /** Findings that stand elsewhere than the value at their pointer. */
  readonly elsewhere = new Map<Finding, number>()
  readonly #env: Environment
  readonly #lines: LineCounter
  readonly #anchors = new Map<string, Node>()
  readonly #seen = new Set<Node>()
  readonly #open = new Set<Node>()
  readonly #faulted = new Set<number>()
  #values = 0

  constructor(env: Environment, lines: LineCounter) {
    this.#env = env
    this.#lines = lines
  }

  /** The plain value of a node; what is wrong with it becomes findings. */
  value(node: Node | null, pointer: string, keyAt: number | null): unknown {
    this.#values += 1
    if (this.#values > VALUES_MAX) throw new Excess(TOO_MANY)
    const resolved = this.#resolve(node, pointer)
    if (resolved === null) {
      this.offsets.set(pointer, { key: keyAt, value: keyAt ?? node?.range?.[0] ?? 0, scalar: node !== null })
      return null
    }
    this.offsets.set(pointer, { key: keyAt, value: resolved.range?.[0] ?? 0, scalar: isScalar(resolved) })
    if (isScalar(resolved)) return this.#scalar(resolved.value, pointer)
    if (this.#open.size >= DEPTH_MAX) throw new Excess(`nested more than ${DEPTH_MAX} deep`)
    this.#open.add(resolved)
    const value = isMap(resolved) ? this.#map(resolved, pointer) : this.#list(resolved, pointer)
    this.#open.delete(resolved)
    return value
  }

  #scalar(value: unknown, pointer: string): unknown {
    if (typeof value === 'bigint') return Number(value)
    if (typeof value !== 'string' || !value.includes('${')) return value
    const expansion = expandEnvironment(value, this.#env)
    if (expansion.replaced) this.fromEnvironment.add(pointer)
    for (const message of expansion.faults) this.findings.push({ pointer, message })
    return expansion.text
  }

  #list(node: Node, pointer: string): unknown[] {
    const items = isSeq(node) ? node.items : []
    return items.map((item, index) => this.value(item as Node | null, child(pointer, index), null))
  }

  #map(node: YAMLMap, pointer: string): Record<string, unknown> {
    const value: Record<string, unknown> = {}
    for (const entry of this.#entries(node, pointer).values()) {
      const at = child(pointer, entry.key)
      if (isReservedKey(entry.key)) {
        this.offsets.set(at, { key: entry.at, value: entry.at, scalar: false })
        this.findings.push(reservedKey(at, entry.key))
      } else {
        value[entry.key] = this.value(entry.value, at, entry.at)
      }
    }
    return value
  }

  /** Own entries of a map in their order, then what its merge keys bring and it does not have. */
  #entries(node: YAMLMap, pointer: string): Map<string, Entry> {
    const entries = new Map<string, Entry>()
    const merged: Node[] = []
    for (const pair of node.items) {
      this.#values += 1
      const key = pair.key as Node | null
      const at = key?.range?.[0] ?? node.range?.[0] ?? 0
      if (!isScalar(key) || key.value === null) {
        this.#fault(child(pointer, key === null ? '' : String(key)), 'keys must be plain text', at, true)
      } else if (key.value === '<<' && key.type === 'PLAIN' && pair.value !== null) {
        merged.push(pair.value as Node)
      } else {
        this.#remember(key)
        const name = typeof key.value === 'string' ? key.value : (key.source ?? String(key.value))
        const first = entries.get(name)
        if (first === undefined) entries.set(name, { key: name, at, value: pair.value as Node | null })
        else this.#repeated(pointer, first, at)
      }
    }
    for (const source of merged) this.#merge(entries, source, pointer)
    return entries
  }

  #merge(entries: Map<string, Entry>, source: Node, pointer: string): void {
    const resolved = this.#resolve(source, pointer)
    const maps = isSeq(resolved) ? resolved.items.map((item) => this.#resolve(item as Node, pointer)) : [resolved]
    for (const map of maps) {
      if (!isMap(map)) {
        this.#fault(pointer, 'a merge key (<<) takes a map or a list of maps', source.range?.[0] ?? 0)
        continue
      }
      if (this.#values > VALUES_MAX) throw new Excess(TOO_MANY)
      this.#open.add(map)
      for (const [name, entry] of this.#entries(map, pointer)) {
        if (!entries.has(name)) entries.set(name, entry)
      }
      this.#open.delete(map)
    }
  }

  #repeated(map: string, first: Entry, at: number): void {
    const line = this.#lines.linePos(first.at).line
    this.#fault(child(map, first.key), `repeated key ${JSON.stringify(first.key)} (first on line ${line})`, at, true)
  }

  /** A finding that is shown at `at`, once, however often aliases lead there. */
  #fault(pointer: string, message: string, at: number, aboutKey = false): void {
    if (this.#faulted.has(at)) return
    this.#faulted.add(at)
    const finding: Finding = aboutKey ? { pointer, message, about: 'key' } : { pointer, message }
    this.elsewhere.set(finding, at)
    this.findings.push(finding)
  }

  #remember(node: Node): void {
    if (isAlias(node) || this.#seen.has(node)) return
    this.#seen.add(node)
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node)
  }

  /** The node that an alias stands for, or the node itself; null when there is nothing. */
  #resolve(node: Node | null, pointer: string): Node | null {
    if (node === null) return null
    if (!isAlias(node)) {
      this.#remember(node)
      return node
    }
    const target = this.#anchors.get(node.source)
    if (target !== undefined && !this.#open.has(target)) return target
    const why = target === undefined ? 'names no anchor above it' : 'stands inside its own anchor'
    this.#fault(pointer, `the alias *${node.source} ${why}`, node.range?.[0] ?? 0)
    return null
  }
}

const syntaxFault = (message: string) => ({ pointer: '', message })

/** Reads YAML or JSON; syntax errors, repeated keys and missing variables are findings, never thrown. */
export function readDocument(text: string, env: Environment): ConfigDocument {
  const lines = new LineCounter()
  const walk = new Walk(env, lines)
  const syntax = new Map<Finding, number>()
  let value: unknown = {}
  try {
    if (text.length > TEXT_LENGTH_MAX) throw new Excess(`longer than ${TEXT_LENGTH_MAX} characters`)
    const parsed = parseDocument<ParsedNode>(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false })
    for (const error of [...parsed.errors, ...parsed.warnings]) {
      // The parser's own words are for whoever calls it.
      const why = error.code === 'MULTIPLE_DOCS' ? 'a second document begins here, and a config is one' : error.message
      syntax.set(syntaxFault(`not valid YAML: ${why}`), error.pos[0])
    }
    if (syntax.size === 0 && parsed.contents !== null) value = walk.value(parsed.contents, '', null)
  } catch (error) {
    // The parser recurses, so text nested without end shows as a full stack.
    if (!(error instanceof Excess) && !(error instanceof RangeError)) throw error
    syntax.set(syntaxFault(`too large: ${error instanceof Excess ? error.message : 'nested too deep'}`), 0)
  }
  return {
    readable: syntax.size === 0,
    value,
    findings: syntax.size > 0 ? [...syntax.keys()] : walk.findings,
    fromEnvironment: walk.fromEnvironment,
    placeOf(finding) {
      const { line, col } = lines.linePos(
        syntax.get(finding) ?? walk.elsewhere.get(finding) ?? offsetOf(walk.offsets, finding),
      )
      return { line: Math.max(1, line), column: Math.max(1, col) }
    },
  }
}

/** A scalar is shown where it stands, a map or list at its key, what is missing at the key of the map around it. */
function offsetOf(offsets: ReadonlyMap<string, Offsets>, finding: Finding): number {
  let pointer = finding.pointer
  let found = offsets.get(pointer)
  const missing = found === undefined
  while (found === undefined && pointer !== '') {
    pointer = parentOf(pointer)
    found = offsets.get(pointer)
  }
  if (found === undefined) return 0
  const atKey = missing || finding.about === 'key' || !found.scalar
  return atKey ? (found.key ?? found.value) : found.value
}
