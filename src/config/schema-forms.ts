/**
 * Other forms of the one schema, for descriptions. The schema itself tells of a spec whose defaults are filled in, so every key
 * with a default is there; people may leave such keys away, and a merge patch may leave away any key, or remove it by null.
 *
 * What a patch makes of a spec is judged as a whole, too: its form only tells early, and of its own keys.
 */

import { isNested } from '../table/conditions/kinds.ts'
import { isRecord } from './record.ts'

type Json = Readonly<Record<string, unknown>>

/** The schema of what people write, before defaults are filled in: a key with a default is not required. */
export function asWritten(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(asWritten)
  if (!isRecord(schema)) return schema
  const { required, ...rest } = schema
  const written = mapValues(rest, asWritten)
  if (!Array.isArray(required)) return written
  const needed = required.filter((key) => !hasDefault((rest['properties'] as Json)[key]))
  return needed.length > 0 ? { ...written, required: needed } : written
}

/**
 * The schema of a merge patch (RFC 7386): objects are merged, so none of their keys is required, and null removes a key that
 * may be absent. Whatever else a patch holds stands in place of what was there, so it is as people write it.
 */
export function asPatch(schema: unknown): unknown {
  if (!isRecord(schema)) return schema
  const { required, minProperties: _merged, properties, patternProperties, anyOf, ...rest } = schema
  const needed: readonly unknown[] = Array.isArray(required) ? required : []
  if (isRecord(properties)) {
    const member = (value: unknown, key: string): unknown =>
      needed.includes(key) && !hasDefault(value) ? asPatch(value) : orNull(asPatch(value))
    return { ...rest, properties: mapValues(properties, member) }
  }
  if (isRecord(patternProperties)) {
    return { ...rest, patternProperties: mapValues(patternProperties, (value) => orNull(asPatch(value))) }
  }
  if (Array.isArray(anyOf)) return { ...rest, anyOf: anyOf.map(asPatch) }
  return asWritten(schema)
}

const hasDefault = (schema: unknown): boolean => isRecord(schema) && schema['default'] !== undefined

/** Without its default, which null would bring back. */
function orNull(schema: unknown): unknown {
  if (!isRecord(schema)) return schema
  const { description, default: _default, anyOf, ...rest } = schema
  // Conditions within conditions are judged with the whole.
  if (isNested(schema)) return { description, type: ['object', 'null'] }
  // A schema that says nothing of the type lets null pass anyway.
  if (anyOf === undefined && Object.keys(rest).length === 0) return schema
  const branches = Array.isArray(anyOf) ? anyOf : [rest]
  return { ...(description === undefined ? {} : { description }), anyOf: [...branches, { type: 'null' }] }
}

const mapValues = (json: Json, each: (value: unknown, key: string) => unknown): Json =>
  Object.fromEntries(Object.entries(json).map(([key, value]) => [key, each(value, key)]))
