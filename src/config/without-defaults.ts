/**
 * A value without what its schema fills in by itself, so that a file that is written holds only what somebody has chosen. Pure. What is
 * left loads as the same value again, which a test holds for every default there is.
 */
import type { TSchema } from 'typebox'
import { mapOf, ruleOf } from './known.ts'
import { equalJson, isRecord } from './record.ts'

type Json = Readonly<Record<string, unknown>>

/** The value without the keys that have their defaults. */
export const withoutDefaults = (schema: TSchema, value: unknown): unknown => spare(schema as unknown as Json, value)

function spare(schema: Json, value: unknown): unknown {
  if (Array.isArray(value)) {
    const { items } = schema
    return isRecord(items) ? value.map((item) => spare(items, item)) : value
  }
  const map = mapOf(schema)
  if (!isRecord(value) || map === undefined) return value
  const entries = Object.entries(value).flatMap(([key, member]): [string, unknown][] => {
    const rule = ruleOf(map, key)
    if (rule === undefined) return [[key, member]]
    const [left, filled] = [spare(rule, member), rule['default']]
    if (filled !== undefined && (equalJson(member, filled) || equalJson(left, filled))) return []
    return [[key, left]]
  })
  return Object.fromEntries(entries)
}
