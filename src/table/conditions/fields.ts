/**
 * Conditions on header fields and cookies. Values are compared as octets (octets.ts), `*` means that the field must only be there.
 * Of a header that comes more than once any line will do, and all of them joined (RFC 9110 5.3), since proxies on the way may join
 * them.
 */
import type { Static } from 'typebox'
import { checkPairs } from '../../config/check-condition.ts'
import { Type } from '../../config/type.ts'
import { octetsOfText, textOfOctets } from '../octets.ts'
import type { Condition, Filing, Keys, Kind } from './kind.ts'

/** A field that is asked for; its value as octets. */
interface FieldAsks {
  readonly name: string
  readonly value: string
}

const PRESENT = '*'

const words = (noun: string, { name, value }: FieldAsks): string => `${noun} ${name}=${textOfOctets(value)}`

/** How an index finds a field with this value. */
export const fieldKeys = (space: Filing['space'], name: string, value: string): Keys => ({
  filings: [{ space, name, values: value === PRESENT ? null : [value] }],
  // Of a field that comes twice an index may mark too much.
  whole: false,
})

const headerSchema = Type.Record(Type.String(), Type.String(), {
  description: 'All of these headers have these values; * means present.',
})

/** Header fields, by name. */
export const header = {
  schema: headerSchema,
  check: (report, at, spec) => checkPairs(report, at, spec, 'header'),
  plan: (spec) =>
    Object.entries(spec).map(([name, value]) => ({ name: name.toLowerCase(), value: octetsOfText(value) })),
  keys: ({ name, value }) => fieldKeys('header', name, value),
  compile: ({ name, value }): Condition => ({ holds: (view) => view.headerHas(name, value) }),
  words: (asks) => words('header', asks),
  example: {
    spec: { 'X-Internal': 'größe' },
    held: { headers: { 'x-internal': 'größe' } },
    failed: { headers: { 'x-internal': 'gr' } },
  },
} satisfies Kind<Static<typeof headerSchema>, FieldAsks>

const cookieSchema = Type.Record(Type.String(), Type.String(), {
  description: 'All of these cookies have these values; * means present.',
})

/** Cookies, by name. */
export const cookie = {
  schema: cookieSchema,
  check: (report, at, spec) => checkPairs(report, at, spec, 'cookie'),
  plan: (spec) => Object.entries(spec).map(([name, value]) => ({ name, value: octetsOfText(value) })),
  keys: ({ name, value }) => fieldKeys('cookie', name, value),
  compile: ({ name, value }) =>
    value === PRESENT
      ? { holds: (view) => view.cookie(name) !== undefined }
      : { holds: (view) => view.cookie(name) === value },
  words: (asks) => words('cookie', asks),
  example: {
    spec: { beta: 'on' },
    held: { headers: { cookie: 'a=1; beta=on' } },
    failed: { headers: { cookie: 'beta=off' } },
  },
} satisfies Kind<Static<typeof cookieSchema>, FieldAsks>
