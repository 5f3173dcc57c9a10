/**
 * Builders of JSON Schemas whose TypeScript types come out of them. The types are typebox's, and so is what they build, which
 * a test compares; only its module is not loaded at run time: 370 files for these few lines, a fifth of the start of the process.
 * Pure.
 */
import type { Type as Typebox } from 'typebox'

type Json = Readonly<Record<string, unknown>>
type Builders = Pick<
  typeof Typebox,
  | 'Array'
  | 'Boolean'
  | 'Integer'
  | 'Literal'
  | 'Null'
  | 'Number'
  | 'Object'
  | 'Optional'
  | 'Record'
  | 'String'
  | 'Union'
  | 'Unknown'
  | 'Unsafe'
>

const optional = new WeakSet<object>()

const plain = (type: string) => (options: Json) => ({ type, ...options })

const built = {
  Array: (items: Json, options: Json) => ({ type: 'array', items, ...options }),
  Boolean: plain('boolean'),
  Integer: plain('integer'),
  Literal: (value: unknown, options: Json) => ({ type: typeof value, const: value, ...options }),
  Null: plain('null'),
  Number: plain('number'),
  Object(properties: Readonly<Record<string, Json>>, options: Json) {
    const required = Object.keys(properties).filter((key) => !optional.has(properties[key]))
    return { type: 'object', ...(required.length > 0 ? { required } : {}), properties, ...options }
  },
  /** A copy, so that the schema itself may be needed elsewhere. */
  Optional(schema: Json) {
    const copy = { ...schema }
    optional.add(copy)
    return copy
  },
  Record: ({ pattern = '^.*$' }: Json, value: Json, options: Json) => ({
    type: 'object',
    patternProperties: { [String(pattern)]: value },
    ...options,
  }),
  String: plain('string'),
  Union: (anyOf: readonly Json[], options: Json) => ({ anyOf, ...options }),
  Unknown: (options: Json) => ({ ...options }),
  Unsafe: (schema: Json) => schema,
}

/** Builds schemas, as typebox does. */
export const Type = built as unknown as Builders
