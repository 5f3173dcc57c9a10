/**
 * Conditions on what is asked for: method and path. A path is compared as it will be forwarded, and as routes compare it: nothing is
 * decoded or normalised, but that the case of the digits in `%c3` does not count (path.ts).
 */
import { checkMethod } from '../../config/check-condition.ts'
import { child } from '../../config/pointer.ts'
import { Method } from '../../config/schema-parts.ts'
import { Type } from '../../config/type.ts'
import { canonicalPath, withUpperEscapes } from '../path.ts'
import type { Kind } from './kind.ts'
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

/** Methods; one of these. */
export const method = {
  schema: Type.Union([Method(), Type.Array(Method())], { description: 'The method is this, or one of these.' }),
  check(report, at, spec) {
    if (typeof spec === 'string') checkMethod(report, at, spec)
    else for (const [index, name] of spec.entries()) checkMethod(report, child(at, index), name)
  },
  plan: (spec) => [[spec].flat().map((name) => name.toUpperCase())],
  keys: (names) => ({ filings: [{ space: 'method', name: '', values: names }], whole: true }),
  compile: (names) => ({ holds: (view) => names.includes(view.method) }),
  words: (names) => `method ${names.join('|')}`,
  examples: [{ spec: ['post', 'PUT'], held: { method: 'POST' }, failed: { method: 'GET' } }],
} satisfies Kind<string | string[], readonly string[]>

/** What is asked of a path. */
export interface PathAsks {
  readonly asks: TextAsks
  /** The case of the digits of escapes has to be looked away from. */
  readonly isEscaped: boolean
}

const VISIBLE = /^[!-~]*$/
/** Parts of a pattern: an escape of a path, another character behind a backslash, a class. */
const PARTS = /\\?%[0-9A-Fa-f]{2}|\\.|\[(?:\\.|[^\]\\])*\]/g

/** The pattern with `%c3` as `%C3`, which is how it is looked for. In a class each character stands for itself. */
const withUpperParts = (pattern: string): string =>
  pattern.replace(PARTS, (part) => (/^\\?%/.test(part) ? part.toUpperCase() : part))

const paths: Alphabet = {
  noun: 'path',
  never(text) {
    if (!text.startsWith('/')) return 'a path begins with "/"'
    return /[?#]/.test(text) ? 'it ends at "?", and "#" is not sent' : null
  },
  has: (octet) => octet > 32 && octet < 127 && octet !== '?'.charCodeAt(0),
}

/** The path, without the query. */
export const path = {
  schema: Type.Unsafe<TextSpec>({
    ...TextSchema,
    description: 'The path, without the query, is this; or {prefix}, {oneOf} or {pattern}.',
  }),
  check(report, at, spec, context) {
    if (spec === '*') report.add(at, 'every request has a path')
    const pattern = typeof spec === 'string' ? undefined : spec.pattern
    if (pattern === undefined || VISIBLE.test(pattern)) checkText(report, at, spec, paths, context)
    else report.add(child(at, 'pattern'), 'a path has only visible ASCII: write other characters as %XX')
  },
  plan(spec) {
    const text = planText(spec, canonicalPath)
    const asks = text.is === 'pattern' ? { ...text, text: withUpperParts(text.text) } : text
    return [{ asks, isEscaped: JSON.stringify(asks).includes('%') }]
  },
  keys({ asks }) {
    if (asks.is === 'prefix') return { filings: [{ space: 'prefix', name: '', values: [asks.text] }], whole: true }
    const values = valuesOf(asks)
    return values === null ? null : { filings: [{ space: 'path', name: '', values }], whole: true }
  },
  compile({ asks, isEscaped }) {
    const test = compileText(asks)
    return isEscaped
      ? { holds: (view) => test.holds(withUpperEscapes(view.path)) }
      : { holds: (view) => test.holds(view.path) }
  },
  words: ({ asks }) => `path${wordsOfText(asks)}`,
  examples: [
    {
      spec: { prefix: '/caf\u00e9/' },
      held: { path: '/caf%c3%A9/1' },
      failed: { path: '/cafe/1' },
    },
    {
      spec: { pattern: '^/caf%C3%a9/' },
      held: { path: '/caf%c3%a9/1' },
      failed: { path: '/caf%c3%a8/1' },
    },
  ],
} satisfies Kind<TextSpec, PathAsks>
