/**
 * Validation by the one schema: fills in defaults and turns what the schema says against a value (judge.ts) into faults that people
 * understand. An unknown key that was probably meant to be a missing one silences the fault about the missing one.
 */
import type { Static, TSchema } from 'typebox'
import { keyCalledSo } from './foreign-keys.ts'
import { judge, type SchemaError, TYPE_WORDS } from './judge.ts'
import { didYouMean, nearest } from './nearest.ts'
import { child, type Finding, isReservedKey, parentOf, pointerKeys, reservedKey } from './pointer.ts'
import { NAME_TITLE } from './schema-parts.ts'

type Json = Record<string, unknown>

const SHOWN_LENGTH_MAX = 60
const DEPTH_MAX = 64

/** A validated copy of `value` with defaults, and what is wrong with it; `value` is of the schema's type when nothing is. */
export interface Validated<S extends TSchema> {
  readonly value: Static<S>
  /** What to tell. */
  readonly findings: readonly Finding[]
  /** What of the value cannot be relied on: the findings, and those that another finding explains. */
  readonly refused: readonly Finding[]
}

/**
 * Validates a plain value and never changes it. Strings at `fromEnvironment` (pointers) may stand for numbers and
 * booleans, since a variable is always text.
 */
export function validate<S extends TSchema>(
  schema: S,
  input: unknown,
  fromEnvironment: ReadonlySet<string> = new Set(),
): Validated<S> {
  const reserved: Finding[] = []
  const value = plainCopy(input, '', 0, reserved)
  let errors = judge(schema, value)
  if (fromEnvironment.size > 0 && errors.filter((error) => retyped(value, error, fromEnvironment)).length > 0) {
    errors = judge(schema, value)
  }
  const refused = [...reserved, ...errors.map(findingOf)]
  return { value: value as Static<S>, findings: withoutExplained(refused), refused }
}

/** A copy without reserved keys, which become findings; too deep values become null. */
function plainCopy(value: unknown, pointer: string, depth: number, findings: Finding[]): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth >= DEPTH_MAX) {
    findings.push({ pointer, message: `nested more than ${DEPTH_MAX} deep` })
    return null
  }
  if (Array.isArray(value)) {
    return value.map((item, index) => plainCopy(item, child(pointer, index), depth + 1, findings))
  }
  const copy: Json = {}
  for (const [key, member] of Object.entries(value)) {
    const at = child(pointer, key)
    if (isReservedKey(key)) findings.push(reservedKey(at, key))
    else copy[key] = plainCopy(member, at, depth + 1, findings)
  }
  return copy
}

/** Puts a number or boolean in the place of the text of a variable, where the schema wants one. */
function retyped(root: unknown, error: SchemaError, fromEnvironment: ReadonlySet<string>): boolean {
  const { instancePath, keyword, data } = error
  if (typeof data !== 'string' || !['type', 'enum'].includes(keyword) || !fromEnvironment.has(instancePath))
    return false
  if (!/^(-?[0-9]+(\.[0-9]+)?|true|false)$/.test(data)) return false
  const parent = pointerKeys(parentOf(instancePath)).reduce((at, key) => (at as Json)[key], root) as Json
  parent[pointerKeys(instancePath).at(-1)!] = data === 'true' || data === 'false' ? data === 'true' : Number(data)
  return true
}

/** Drops what is said to be missing where a misspelt key was probably meant to be it. */
function withoutExplained(findings: readonly Finding[]): Finding[] {
  const meant = new Set(findings.flatMap(({ pointer, meant }) => (meant ? [child(parentOf(pointer), meant)] : [])))
  const isExplained = ({ pointer, about, meant: own }: Finding): boolean =>
    about === 'key' && own === undefined && meant.has(pointer)
  return findings.filter((finding) => !isExplained(finding))
}

function findingOf(error: SchemaError): Finding {
  const { instancePath: pointer, params, data, keyword } = error
  const schema = error.parentSchema as Json
  switch (keyword) {
    case 'additionalProperties':
      return unknownKey(pointer, String(params.additionalProperty), schema)
    case 'required': {
      const key = String(params.missingProperty)
      return { pointer: child(pointer, key), message: `missing key ${JSON.stringify(key)}`, about: 'key' }
    }
    case 'enum': {
      const allowed = (params.allowedValues as unknown[]).map(String)
      const meant = typeof data === 'string' ? nearest(data, allowed) : null
      const message = `${shown(data, schema)} is not ${schema.title ?? allowed.join(', ')}`
      return { pointer, message: message + didYouMean(meant), ...(meant === null ? {} : { meant }) }
    }
    case 'uniqueItems':
      return {
        pointer: child(pointer, Math.max(Number(params.i), Number(params.j))),
        message: 'the same entry stands here twice',
      }
    default:
      return { pointer, message: messageOf(keyword, params, data, schema) }
  }
}

function unknownKey(map: string, key: string, schema: Json): Finding {
  const pointer = child(map, key)
  // Only maps of named things are closed and have patterns.
  if (schema.patternProperties !== undefined) {
    return { pointer, message: `${JSON.stringify(key)} is not ${NAME_TITLE}`, about: 'key' }
  }
  const known = Object.keys(schema.properties as Json)
  const meant = keyCalledSo(key, known) ?? nearest(key, known)
  const all = known.length === 0 ? 'none is known here' : `known here: ${known.join(', ')}`
  const instead = meant === null ? ` (${all})` : didYouMean(meant)
  const message = `unknown key ${JSON.stringify(key)}${instead}`
  return { pointer, message, about: 'key', ...(meant === null ? {} : { meant }) }
}

function messageOf(keyword: string, params: Json, data: unknown, schema: Json): string {
  const limit = Number(params.limit)
  const many = (noun: string): string => `${limit} ${noun}`
  switch (keyword) {
    case 'type':
      return typeMessage(params.type, data, schema)
    case 'pattern':
      return `${shown(data, schema)} is not ${schema.title ?? `of the form ${schema.pattern}`}`
    case 'minimum':
      return `must be at least ${limit}, found ${shown(data, schema)}`
    case 'exclusiveMinimum':
      return `must be above ${limit}, found ${shown(data, schema)}`
    case 'const':
      return `must be ${shown(params.allowedValue, schema)}, found ${shown(data, schema)}`
    case 'maximum':
      return `must be at most ${limit}, found ${shown(data, schema)}`
    case 'minItems':
    case 'minProperties':
      return limit === 1 ? 'needs at least one entry' : `needs at least ${many('entries')}`
    case 'maxItems':
      return `has more than ${many('entries')}`
    case 'minLength':
      return limit === 1 ? 'must not be empty' : `needs at least ${many('characters')}`
    case 'maxLength':
      return `has more than ${many('characters')}`
    default:
      throw new Error(`no words for the schema keyword ${keyword}`)
  }
}

function typeMessage(type: unknown, data: unknown, schema: Json): string {
  const types = (Array.isArray(type) ? type : [type]).map(String)
  const wanted = `${schema.title ?? types.map((each) => TYPE_WORDS[each]).join(' or ')}${exampleOf(schema, types.length > 1)}`
  const isNumber = typeof data === 'number' || typeof data === 'boolean'
  const fits = schema.pattern === undefined || new RegExp(String(schema.pattern)).test(String(data))
  const hint = type === 'string' && isNumber && fits ? ' (put it in quotes)' : ''
  return `expected ${wanted}, found ${shown(data, schema)}${hint}`
}

/** ` such as { address: ":8080" }`, as YAML and nearly JSON: for what may be a map or list, whose form nobody can guess; or nothing. */
function exampleOf({ examples, items }: Json, isUnion: boolean): string {
  const ofItems = (items as Json | undefined)?.examples as readonly unknown[] | undefined
  const [example] = (examples ?? (ofItems === undefined ? [] : [ofItems.slice(0, 1)])) as readonly unknown[]
  if (isUnion && example !== undefined) return `, such as ${inFlow(example)}`
  return typeof example === 'object' ? ` such as ${inFlow(example)}` : ''
}

function inFlow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inFlow).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).map(([key, member]) => `${key}: ${inFlow(member)}`)
  return `{ ${entries.join(', ')} }`
}

/** A value for people: short, and never a secret. */
function shown(data: unknown, schema: Json): string {
  if (data === null) return 'nothing'
  if (typeof data === 'object') return Array.isArray(data) ? 'a list' : 'a map'
  if (schema.writeOnly === true) return 'this (hidden) value'
  const text = typeof data === 'string' ? data : String(data)
  const short = text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text
  return typeof data === 'string' ? JSON.stringify(short) : short
}
