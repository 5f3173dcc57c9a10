/**
 * Validation by the one schema: fills in defaults and turns what Ajv reports into faults that people understand.
 *
 * Ajv reports a union by the errors of every branch, and ignores defaults inside it. So before compiling, each union is
 * rewritten as a choice by type (`if object then … else …`): one branch judges, its defaults apply, and one fault comes
 * out. An unknown key that was probably meant to be a missing one silences the fault about the missing one.
 *
 * Parts that a value may do without are compiled when the first value has them: half of a service's schema is about rollouts.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { Static, TSchema } from 'typebox'
import { isNested, WhenSchema } from '../table/conditions/kinds.ts'
import { didYouMean, nearest } from './nearest.ts'
import { child, type Finding, isReservedKey, parentOf, pointerKeys, reservedKey } from './pointer.ts'
import { NAME_TITLE } from './schema-parts.ts'

type Json = Record<string, unknown>

const SHOWN_LENGTH_MAX = 60
const DEPTH_MAX = 64
const TYPE_WORDS: Record<string, string> = {
  object: 'a map',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  null: 'nothing',
}

// The schemas are ours, and a test holds each against the meta-schema: to do that at every start takes as long as all else here.
const ajv = new Ajv({
  allErrors: true,
  useDefaults: true,
  strict: true,
  allowUnionTypes: true,
  verbose: true,
  validateSchema: false,
  // To make the code of the checks shorter takes longer than they ever run.
  code: { optimize: false },
})
const compiled = new WeakMap<TSchema, ValidateFunction>()

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
  let errors = errorsOf(schema, value)
  if (fromEnvironment.size > 0 && errors.filter((error) => retyped(value, error, fromEnvironment)).length > 0) {
    errors = errorsOf(schema, value)
  }
  const refused = [...reserved, ...errors.map(findingOf)]
  return { value: value as Static<S>, findings: withoutExplained(refused), refused }
}

function errorsOf(schema: TSchema, value: unknown): ErrorObject[] {
  late = []
  const check = compile(schema)
  check(value)
  // `if` only says that the branch below it failed, which has said so itself.
  return [...(check.errors ?? []), ...late].filter((error) => error.keyword !== 'if')
}

function compile(schema: TSchema): ValidateFunction {
  let check = compiled.get(schema)
  if (check === undefined) {
    check = ajv.compile(unionsByType(schema) as Json)
    compiled.set(schema, check)
  }
  return check
}

/** Keyword whose value is a schema that is compiled on its own, when there is a value for it. */
const LATER = 'later'
/** What such schemas report: of errors that a keyword gives, Ajv would change the data that they are about. */
let late: ErrorObject[] = []

ajv.addKeyword({
  keyword: LATER,
  schemaType: 'object',
  modifying: true,
  validate(schema: TSchema, value: unknown, _parent: unknown, place?: Parameters<ValidateFunction>[1]) {
    const check = compile(schema)
    check(value, place)
    late.push(...(check.errors ?? []))
    return true
  },
})

function unionsByType(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(unionsByType)
  if (typeof schema !== 'object' || schema === null) return schema
  if (isNested(schema)) return { [LATER]: WhenSchema }
  const needed = (schema as Json).required as readonly string[] | undefined
  const { anyOf, ...rest } = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      if (key === 'default') return [key, value]
      if (key === 'properties') return [key, partsOf(value, (name) => needed?.includes(name) !== true)]
      return [key, key === 'patternProperties' ? partsOf(value, () => true) : unionsByType(value)]
    }),
  )
  if (anyOf === undefined) return rest
  const byType = Map.groupBy(anyOf as Json[], (branch) => String(branch.type))
  const words = [...byType].map(([type, branches]) => constantsOf(branches)?.join(', ') ?? TYPE_WORDS[type])
  const title = `${byType.size === 1 ? 'one of ' : ''}${words.join(' or ')}`
  let choice: Json = { type: [...byType.keys()], title }
  for (const [type, branches] of byType) {
    const constants = constantsOf(branches)
    const judge = constants === null ? branches[0] : { enum: constants, title }
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema, never awaited
    choice = byType.size === 1 ? { type, ...judge } : { if: { type }, then: judge, else: choice }
  }
  return { ...rest, ...choice }
}

/** The schemas of members; of those that may be absent, objects are left for later. */
function partsOf(schemas: Json, mayBeAbsent: (name: string) => boolean): Json {
  const part = (schema: unknown, name: string) =>
    mayBeAbsent(name) && (schema as Json).properties !== undefined ? { [LATER]: schema } : unionsByType(schema)
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, part(schema, name)]))
}

/** The values of branches that are constants, or null when one is not. */
function constantsOf(branches: readonly Json[]): unknown[] | null {
  const constants = branches.map((branch) => branch.const)
  return constants.includes(undefined) ? null : constants
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
function retyped(root: unknown, error: ErrorObject, fromEnvironment: ReadonlySet<string>): boolean {
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

function findingOf(error: ErrorObject): Finding {
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
      return { pointer: child(pointer, Math.max(params.i, params.j)), message: 'the same entry stands here twice' }
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
  const meant = nearest(key, known)
  const instead = meant === null ? ` (known here: ${known.join(', ')})` : didYouMean(meant)
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
  const wanted = schema.title ?? types.map((each) => TYPE_WORDS[each]).join(' or ')
  const isNumber = typeof data === 'number' || typeof data === 'boolean'
  const fits = schema.pattern === undefined || new RegExp(String(schema.pattern)).test(String(data))
  const hint = type === 'string' && isNumber && fits ? ' (put it in quotes)' : ''
  return `expected ${wanted}, found ${shown(data, schema)}${hint}`
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
