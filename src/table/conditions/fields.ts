/**
 * Conditions on header fields, cookies and the query. What is sent more than once is looked at in full: any of it will do, and of
 * header lines also all of them joined (RFC 9110 5.3), since proxies on the way may join them.
 */
import { checkNames, neverIn } from '../../config/check-condition.ts'
import type { Report } from '../../config/check-service.ts'
import { child } from '../../config/pointer.ts'
import { Type } from '../../config/type.ts'
import { octetsOfText, textOfOctets } from '../octets.ts'
import { someParameter } from '../query.ts'
import type { CheckContext, Filing, Keys, Kind } from './kind.ts'
import {
  type Alphabet,
  checkText,
  compileText,
  planText,
  type TextAsks,
  TextSchema,
  type TextSpec,
  valuesOf,
  wordsOfText,
} from './texts.ts'

type FieldsSpec = Record<string, TextSpec>

/** A field that is asked for; its name and text as octets. */
interface FieldAsks {
  readonly name: string
  readonly asks: TextAsks
}

const fieldsSchema = (description: string) =>
  Type.Record(Type.String(), Type.Unsafe<TextSpec>(TextSchema), {
    description: `${description}; * means present, and {prefix}, {oneOf} or {pattern} more than one text.`,
  })

/** How an index finds a field with one of these values; null: any value. */
const fieldKeys = (space: Filing['space'], name: string, values: Filing['values']): Keys => ({
  filings: [{ space, name, values }],
  whole: false,
})

function checkFields(report: Report, at: string, fields: FieldsSpec, alphabet: Alphabet, context: CheckContext): void {
  for (const [name, spec] of Object.entries(fields)) checkText(report, child(at, name), spec, alphabet, context)
}

const plan = (fields: FieldsSpec, nameOf: (name: string) => string): FieldAsks[] =>
  Object.entries(fields).map(([name, spec]) => ({ name: nameOf(name), asks: planText(spec) }))

const words = (noun: string, { name, asks }: FieldAsks): string => `${noun} ${textOfOctets(name)}${wordsOfText(asks)}`

const TAB = 9
const isInField = (octet: number): boolean => octet === TAB || (octet >= 32 && octet !== 127)
const headers: Alphabet = {
  noun: 'header',
  never: (text, isPrefix) => neverIn(text, 'header', isPrefix),
  has: isInField,
}
const cookies: Alphabet = {
  noun: 'cookie',
  never: (text, isPrefix) => neverIn(text, 'cookie', isPrefix),
  has: (octet) => isInField(octet) && octet !== ';'.charCodeAt(0),
}
/** Whatever is percent-encoded. */
const parameters: Alphabet = { noun: 'query', never: () => null, has: () => true }

/** Header fields, by name. */
export const header = {
  schema: fieldsSchema('All of these headers have these values'),
  check(report, at, spec, context) {
    checkNames(report, at, spec, 'header')
    checkFields(report, at, spec, headers, context)
  },
  plan: (spec) => plan(spec, (name) => name.toLowerCase()),
  keys: ({ name, asks }) => fieldKeys('header', name, valuesOf(asks)),
  compile({ name, asks }) {
    const test = compileText(asks)
    return { holds: (view) => view.headerPasses(name, test) }
  },
  words: (asks) => words('header', asks),
  examples: [
    {
      spec: { 'X-Internal': 'größe' },
      held: { headers: { 'x-internal': 'größe' } },
      failed: { headers: { 'x-internal': 'gr' } },
    },
  ],
} satisfies Kind<FieldsSpec, FieldAsks>

/** Cookies, by name. */
export const cookie = {
  schema: fieldsSchema('All of these cookies have these values'),
  check(report, at, spec, context) {
    checkNames(report, at, spec, 'cookie')
    checkFields(report, at, spec, cookies, context)
  },
  plan: (spec) => plan(spec, (name) => name),
  keys: ({ name, asks }) => fieldKeys('cookie', name, valuesOf(asks)),
  compile({ name, asks }) {
    const test = compileText(asks)
    return { holds: (view) => view.cookiePasses(name, test) }
  },
  words: (asks) => words('cookie', asks),
  examples: [
    {
      spec: { beta: { prefix: 'on' } },
      held: { headers: { cookie: 'beta=off; beta=on-2' } },
      failed: { headers: { cookie: 'beta=off; alpha=on' } },
    },
  ],
} satisfies Kind<FieldsSpec, FieldAsks>

/** Parameters of the query, by name. */
export const query = {
  schema: fieldsSchema('All of these parameters of the query have these values, percent-decoded'),
  check(report, at, spec, context) {
    for (const name of Object.keys(spec)) {
      if (name === '' || !name.isWellFormed())
        report.add(child(at, name), `${JSON.stringify(name)} is not the name of a parameter`, { about: 'key' })
    }
    checkFields(report, at, spec, parameters, context)
  },
  plan: (spec) => plan(spec, octetsOfText),
  keys: ({ name, asks }) => fieldKeys('query', name, valuesOf(asks)),
  compile({ name, asks }) {
    const test = compileText(asks)
    return { holds: (view) => someParameter(view.query, name, test) }
  },
  words: (asks) => words('query', asks),
  examples: [
    {
      spec: { größe: { oneOf: ['a b', 'ä'] }, v: { pattern: '^[2-9]$' } },
      held: { path: '/?v=1&gr%C3%B6%c3%9fe=a+b&v=%33' },
      failed: { path: '/?v=1&gr%C3%B6%c3%9fe=a' },
    },
  ],
} satisfies Kind<FieldsSpec, FieldAsks>
