/**
 * Takes out of a value the keys that the schema does not know. For what was stored only: what people write is refused for an
 * unknown key, since it is probably misspelt; what was stored was right once, by a Turnout that knew more keys. Pure.
 */
import type { TSchema } from 'typebox'
import { isNested, WhenSchema } from '../table/conditions/kinds.ts'
import { child } from './pointer.ts'
import { isRecord, own } from './record.ts'

type Json = Readonly<Record<string, unknown>>

/** The value without unknown keys, and the pointers of those that went. */
export function withoutUnknown(schema: TSchema, value: unknown): { readonly value: unknown; readonly gone: string[] } {
  const gone: string[] = []
  return { value: known(schema as unknown as Json, value, '', gone), gone }
}

function known(given: Json, value: unknown, at: string, gone: string[]): unknown {
  const schema = isNested(given) ? (WhenSchema as unknown as Json) : given
  if (Array.isArray(value)) {
    const { items } = schema
    return isRecord(items) ? value.map((item, index) => known(items, item, child(at, index), gone)) : value
  }
  const map = mapOf(schema)
  if (!isRecord(value) || map === undefined) return value
  const entries = Object.entries(value).flatMap(([key, member]): [string, unknown][] => {
    const pointer = child(at, key)
    const rule = ruleOf(map, key)
    if (rule !== undefined) return [[key, known(rule, member, pointer, gone)]]
    gone.push(pointer)
    return []
  })
  return Object.fromEntries(entries)
}

/** The schema of the map that a value may be, where it may be other things too; undefined where it is no map. */
export function mapOf(schema: Json): Json | undefined {
  const { anyOf } = schema
  return Array.isArray(anyOf) ? anyOf.find((each: Json) => each['type'] === 'object') : schema
}

/** The schema of a key; one that allows anything where any name is allowed; undefined where the key is not known. */
export function ruleOf(schema: Json, key: string): Json | undefined {
  const properties = schema['properties']
  if (isRecord(properties)) {
    const property = own(properties, key)
    if (isRecord(property)) return property
    return schema['additionalProperties'] === false ? undefined : {}
  }
  const patterns = isRecord(schema['patternProperties']) ? Object.values(schema['patternProperties']) : []
  const members = [schema['additionalProperties'], ...patterns].find(isRecord)
  return members ?? {}
}
