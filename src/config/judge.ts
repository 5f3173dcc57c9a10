/**
 * What a schema says against a value, and the defaults that it gives.
 *
 * It goes through the schema beside the value. A compiler of schemas (Ajv) makes code that is faster at large values, but to load it
 * and to have it compile ours took a fifth of every start. A test holds this against Ajv, so it reports what that does, in its words.
 *
 * Two things differ, on purpose. A union is judged by its branches of the type that the value has, so one fault comes out instead of
 * those of every branch, and defaults apply within it. And only the keywords that our schemas use are known; a test looks for others.
 * Pure.
 */
import type { TSchema } from 'typebox'
import { isNested, WhenSchema } from '../table/conditions/kinds.ts'
import { child } from './pointer.ts'

type Json = Readonly<Record<string, unknown>>

/** What one keyword of a schema says against the part of the value at `instancePath` (a JSON pointer), with the names of Ajv. */
export interface SchemaError {
  readonly instancePath: string
  readonly keyword: string
  readonly params: Json
  readonly data: unknown
  /** The schema that the keyword is of. */
  readonly parentSchema: Json
}

/** The keywords that judge. Any other one says nothing of a value (title, description, writeOnly …). */
export const KEYWORDS: ReadonlySet<string> = new Set([
  ...['type', 'anyOf', 'const', 'enum', 'properties', 'patternProperties', 'required', 'additionalProperties'],
  ...['minProperties', 'items', 'minItems', 'maxItems', 'uniqueItems', 'minLength', 'maxLength', 'pattern'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'default'],
])

export const TYPE_WORDS: Readonly<Record<string, string>> = {
  object: 'a map',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  null: 'nothing',
}

/** All that the schema says against `value`, whose missing members are given their defaults. */
export function judge(schema: TSchema, value: unknown): SchemaError[] {
  const errors: SchemaError[] = []
  look(schema as unknown as Json, value, '', errors)
  return errors
}

function look(given: Json, data: unknown, at: string, errors: SchemaError[]): void {
  const schema = isNested(given) ? (WhenSchema as unknown as Json) : given
  if (schema.anyOf !== undefined) return lookAtUnion(schema, data, at, errors)
  const place: Place = { errors, at, schema, data }
  const { type, const: allowedValue, enum: allowedValues } = schema
  if (type !== undefined && !isOf(type as string, data)) say(place, 'type', { type })
  if (typeof data === 'number') lookAtNumber(place, data)
  if (typeof data === 'string') lookAtText(place, data)
  if (allowedValue !== undefined && data !== allowedValue) say(place, 'const', { allowedValue })
  if (allowedValues !== undefined && !(allowedValues as unknown[]).includes(data)) say(place, 'enum', { allowedValues })
  if (Array.isArray(data)) lookAtList(place, data)
  else if (typeof data === 'object' && data !== null) lookAtMap(place, data as Record<string, unknown>)
}

/** A schema beside a value, and where what it says against that is put down. */
interface Place {
  readonly errors: SchemaError[]
  readonly at: string
  readonly schema: Json
  readonly data: unknown
}

function say({ errors, at, schema, data }: Place, keyword: string, params: Json): void {
  errors.push({ instancePath: at, keyword, params, data, parentSchema: schema })
}

function isOf(type: string, data: unknown): boolean {
  switch (type) {
    case 'object':
      return typeof data === 'object' && data !== null && !Array.isArray(data)
    case 'array':
      return Array.isArray(data)
    case 'integer':
      return Number.isInteger(data)
    case 'number':
      return Number.isFinite(data)
    case 'null':
      return data === null
    default:
      return typeof data === type
  }
}

function lookAtNumber(place: Place, data: number): void {
  const { maximum, minimum, exclusiveMinimum } = place.schema
  if (maximum !== undefined && data > (maximum as number)) say(place, 'maximum', { comparison: '<=', limit: maximum })
  if (minimum !== undefined && data < (minimum as number)) say(place, 'minimum', { comparison: '>=', limit: minimum })
  if (exclusiveMinimum !== undefined && data <= (exclusiveMinimum as number))
    say(place, 'exclusiveMinimum', { comparison: '>', limit: exclusiveMinimum })
}

function lookAtText(place: Place, data: string): void {
  const { maxLength, minLength, pattern } = place.schema
  if (maxLength !== undefined && isLonger(data, maxLength as number)) say(place, 'maxLength', { limit: maxLength })
  if (minLength !== undefined && !isLonger(data, (minLength as number) - 1))
    say(place, 'minLength', { limit: minLength })
  if (pattern !== undefined && !patternOf(pattern as string).test(data)) say(place, 'pattern', { pattern })
}

/** Whether a text has more characters than that: code points, of which some take two places. */
function isLonger(text: string, length: number): boolean {
  if (text.length <= length || text.length > 2 * length) return text.length > length
  return [...text].length > length
}

const patterns = new Map<string, RegExp>()

/** Made once; there are as many as schemas name. */
function patternOf(source: string): RegExp {
  let pattern = patterns.get(source)
  if (pattern === undefined) {
    pattern = new RegExp(source, 'u')
    patterns.set(source, pattern)
  }
  return pattern
}

function lookAtList(place: Place, data: unknown[]): void {
  const { maxItems, minItems, uniqueItems, items } = place.schema
  if (maxItems !== undefined && data.length > (maxItems as number)) say(place, 'maxItems', { limit: maxItems })
  if (minItems !== undefined && data.length < (minItems as number)) say(place, 'minItems', { limit: minItems })
  if (items === undefined) return
  for (let n = 0; n < data.length; n++) look(items as Json, data[n], child(place.at, n), place.errors)
  if (uniqueItems === true) lookForTwins(place, (items as Json).type as string, data)
}

/** Says where an item of this type, none of which is made of others, stands again; from the end, as Ajv does. */
function lookForTwins(place: Place, type: string, data: readonly unknown[]): void {
  const seen = new Map<unknown, number>()
  for (let i = data.length - 1; i >= 0; i--) {
    if (!isOf(type, data[i])) continue
    const j = seen.get(data[i])
    if (j !== undefined) return say(place, 'uniqueItems', { i, j })
    seen.set(data[i], i)
  }
}

/** What the schema of a map says, as it is gone through. */
interface MapShape {
  readonly parts: ReadonlyMap<string, Json>
  readonly defaults: readonly (readonly [key: string, value: unknown])[]
  readonly patterns: readonly (readonly [pattern: RegExp, part: Json])[]
  readonly required: readonly string[]
  readonly isClosed: boolean
  readonly minProperties: number
}
const shapes = new WeakMap<Json, MapShape>()

function shapeOf(schema: Json): MapShape {
  let shape = shapes.get(schema)
  if (shape === undefined) {
    const parts = new Map(Object.entries((schema.properties ?? {}) as Readonly<Record<string, Json>>))
    const patterned = Object.entries((schema.patternProperties ?? {}) as Readonly<Record<string, Json>>)
    shape = {
      parts,
      defaults: [...parts].flatMap(([key, part]) => (part.default === undefined ? [] : [[key, part.default] as const])),
      patterns: patterned.map(([pattern, part]) => [patternOf(pattern), part]),
      required: (schema.required ?? []) as readonly string[],
      isClosed: schema.additionalProperties === false,
      minProperties: (schema.minProperties ?? 0) as number,
    }
    shapes.set(schema, shape)
  }
  return shape
}

function lookAtMap(place: Place, data: Record<string, unknown>): void {
  const { at, schema, errors } = place
  const { parts, defaults, patterns, required, isClosed, minProperties } = shapeOf(schema)
  for (const [key, value] of defaults) if (data[key] === undefined) data[key] = copyOf(value)
  const keys = Object.keys(data)
  if (keys.length < minProperties) say(place, 'minProperties', { limit: minProperties })
  for (const missingProperty of required) {
    if (data[missingProperty] === undefined) say(place, 'required', { missingProperty })
  }
  for (const key of isClosed ? keys : []) {
    if (parts.has(key) || patterns.some(([pattern]) => pattern.test(key))) continue
    say(place, 'additionalProperties', { additionalProperty: key })
  }
  for (const [key, part] of parts) if (data[key] !== undefined) look(part, data[key], child(at, key), errors)
  for (const [pattern, part] of patterns) {
    for (const key of keys) if (pattern.test(key)) look(part, data[key], child(at, key), errors)
  }
}

const copyOf = (value: unknown): unknown => (typeof value === 'object' ? structuredClone(value) : value)

/** A union as what is judged by the type of the value; `one` alone where all branches are of one. */
interface Choice {
  readonly one: Json | null
  readonly byType: ReadonlyMap<string, Json>
  /** What says that the value is of none of these types. */
  readonly none: Json
}
const choices = new WeakMap<Json, Choice>()

function lookAtUnion(union: Json, data: unknown, at: string, errors: SchemaError[]): void {
  const { one, byType, none } = choiceOf(union)
  if (one !== null) return look(one, data, at, errors)
  for (const [type, part] of byType) if (isOf(type, data)) return look(part, data, at, errors)
  errors.push({ instancePath: at, keyword: 'type', params: { type: none.type }, data, parentSchema: none })
}

function choiceOf(union: Json): Choice {
  let choice = choices.get(union)
  if (choice === undefined) {
    choice = choose(union)
    choices.set(union, choice)
  }
  return choice
}

function choose({ anyOf, ...rest }: Json): Choice {
  const groups = Map.groupBy(anyOf as Json[], (branch) => String(branch.type))
  const words = [...groups].map(([type, branches]) => constantsOf(branches)?.join(', ') ?? TYPE_WORDS[type])
  const title = `${groups.size === 1 ? 'one of ' : ''}${words.join(' or ')}`
  const byType = new Map<string, Json>()
  for (const [type, branches] of groups) {
    const constants = constantsOf(branches)
    byType.set(type, constants === null ? branches[0] : { enum: constants, title })
  }
  const [[type, part]] = byType
  const one = groups.size === 1 ? { ...rest, type, ...part } : null
  const examples = rest.examples ?? groups.get('object')?.[0].examples
  return { one, byType, none: { type: [...groups.keys()], title, ...(examples !== undefined && { examples }) } }
}

/** The values of branches that are constants, or null when one is not. */
function constantsOf(branches: readonly Json[]): unknown[] | null {
  const constants = branches.map((branch) => branch.const)
  return constants.includes(undefined) ? null : constants
}
