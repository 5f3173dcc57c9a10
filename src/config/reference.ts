/**
 * The reference page of the config file, made from the schema: every key with its type, default, bounds and meaning. What a page
 * like this says by hand is wrong some weeks later; here nothing is said by hand but the opening and the examples.
 *
 * An object with at least `SECTION_KEYS_MIN` keys gets a section of its own, with the path of its keys as the heading; smaller ones
 * are told in the table of whoever has them. A `when` stands in several places and is told once.
 *
 * Where a key may be left out and the schema fills nothing in, its description ends with what is so then: `Default 5m.` is a
 * value, `Default: any method.` says it in words. A test holds each value against the plan. Pure.
 */
import { isNested } from '../table/conditions/kinds.ts'
import { isRecord } from './record.ts'
import { EXAMPLES, OPENING } from './reference-words.ts'
import { DURATION_HINT } from './schema-parts.ts'

type Schema = Readonly<Record<string, unknown>>

/** A key of the config, at the path that people would write: `services.NAME.routes[].host`. */
export interface ReferenceKey {
  readonly path: string
  readonly schema: Schema
  /** Whether it must be there whenever the map around it is. */
  readonly isNeeded: boolean
}

const SECTION_KEYS_MIN = 3
/** Where conditions are told, whoever has them. */
const WHEN = 'services.NAME.rules[].when'

/** Every key below a schema, in the order of the schema; conditions within conditions are left to `when`. */
export function keysOfSchema(schema: Schema, path = ''): ReferenceKey[] {
  return formsOf(schema).flatMap((form) => {
    const needed = (form['required'] ?? []) as readonly string[]
    return Object.entries((form['properties'] ?? {}) as Record<string, Schema>).flatMap(([key, member]) => {
      const at = path === '' ? key : `${path}.${key}`
      const isNeeded = needed.includes(key) && defaultOf(member) === null
      return [{ path: at, schema: member, isNeeded }, ...innerKeys(member, at)]
    })
  })
}

/** The keys of whatever maps a value may be, or may have in it. */
function innerKeys(schema: Schema, path: string): ReferenceKey[] {
  if (isNested(schema) || (isWhen(schema) && path !== WHEN)) return []
  return formsOf(schema).flatMap((form) => {
    if (form['properties'] !== undefined) return keysOfSchema(form, path)
    if (isRecord(form['items'])) return innerKeys(form['items'], `${path}[]`)
    const member = memberOf(form)
    return member === null ? [] : innerKeys(member, `${path}.NAME`)
  })
}

/** What each value of a map has whose keys people choose. */
function memberOf({ patternProperties }: Schema): Schema | null {
  return isRecord(patternProperties) ? (Object.values(patternProperties)[0] as Schema) : null
}

/** The forms that a value may have. */
const formsOf = (schema: Schema): readonly Schema[] => (schema['anyOf'] as readonly Schema[] | undefined) ?? [schema]

/** The conditions of a rule, and whatever else has such. */
const isWhen = ({ properties }: Schema): boolean => isRecord(properties) && 'cidr' in properties && 'any' in properties

/** The path below which the keys of a schema stand, with what lists and maps put between. */
function insideOf(schema: Schema, path: string): string {
  const [form] = formsOf(schema).filter((one) => one['type'] === 'object' || isRecord(one['items']))
  if (form === undefined || form['properties'] !== undefined) return path
  if (isRecord(form['items'])) return insideOf(form['items'], `${path}[]`)
  const member = memberOf(form)
  return member === null ? path : insideOf(member, `${path}.NAME`)
}

/** Text of config/REFERENCE.md. */
export function referenceText(schema: Schema): string {
  const keys = keysOfSchema(schema)
  const sections = sectionsOf(keys)
  const parts = sections.map((section) => sectionText(section, keys, sections))
  const contents = sections.map(({ title, depth }) => `${'  '.repeat(depth)}- [${title}](#${anchorOf(title)})`)
  return [OPENING, '## Contents', contents.join('\n'), ...parts].join('\n\n') + '\n'
}

/** A table of keys, at one path or at several that have the same. */
interface Section {
  readonly title: string
  /** How deep it stands in the contents. */
  readonly depth: number
  readonly paths: readonly string[]
}

/** The top, and maps with enough keys, in their order. */
function sectionsOf(keys: readonly ReferenceKey[]): Section[] {
  const inner = [...new Set(keys.map(({ path, schema }) => insideOf(schema, path)))]
  const shapeOf = (section: string) =>
    JSON.stringify(
      keys.flatMap((key) => (parentPath(key.path) === section ? [[nameIn(section, key.path), key.schema]] : [])),
    )
  const isLarge = (section: string) =>
    keys.filter(({ path }) => parentPath(path) === section).length >= SECTION_KEYS_MIN
  const alike = Map.groupBy(inner.filter(isLarge), shapeOf)
  const others = [...alike.values()].map((paths) => ({
    title: paths[0],
    depth: Math.max(0, paths[0].split('.').length - 2),
    paths,
  }))
  return [{ title: 'The whole file', depth: 0, paths: [''] }, ...others]
}

const parentPath = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('.')))
const nameIn = (section: string, path: string): string => (section === '' ? path : path.slice(section.length + 1))

/** Whether a key is told at this path: of all sections around it this is the nearest. */
function isToldAt(path: string, section: string, sections: readonly Section[]): boolean {
  let at = parentPath(path)
  while (!sections.some(({ paths }) => paths.includes(at))) at = parentPath(at)
  return at === section
}

/** As GitHub makes them of headings. */
const anchorOf = (title: string): string =>
  title
    .toLowerCase()
    .replace(/[^a-z0-9 _-]/g, '')
    .replaceAll(' ', '-')

function sectionText(
  { title, depth, paths }: Section,
  keys: readonly ReferenceKey[],
  sections: readonly Section[],
): string {
  const [path] = paths
  const about = keys.find((key) => insideOf(key.schema, key.path) === path)
  const rows = keys.filter((key) => isToldAt(key.path, path, sections)).map((key) => rowOf(key, path, sections))
  const also = paths.slice(1).map((other) => `\`${other}\``)
  const words = [
    about === undefined ? '' : meaningOf(about.schema),
    also.length > 0 ? `The same keys: ${also.join(', ')}.` : '',
  ]
  const opening = words.filter(Boolean).join(' ')
  const example = EXAMPLES[path] === undefined ? '' : `\`\`\`yaml\n${EXAMPLES[path]}\`\`\``
  const table = ['| key | type | default | bounds | meaning |', '| --- | --- | --- | --- | --- |', ...rows].join('\n')
  return [`${depth === 0 ? '##' : '###'} ${title}`, opening, table, example].filter(Boolean).join('\n\n')
}

function rowOf({ path, schema, isNeeded }: ReferenceKey, section: string, sections: readonly Section[]): string {
  const inside = isWhen(schema) ? WHEN : insideOf(schema, path)
  const told = sections.find(({ paths }) => paths.includes(inside) && !paths.includes(section))
  const more = told === undefined ? '' : ` [More](#${anchorOf(told.title)})`
  const shown = isNeeded ? '*needed*' : shownDefault(schema)
  const cells = [`\`${nameIn(section, path)}\``, typeOf(schema), shown, boundsOf(schema), meaningOf(schema) + more]
  return `| ${cells.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
}

/** What a value is, in a few words. */
export function typeOf(schema: Schema): string {
  if (isNested(schema) || isWhen(schema)) return 'conditions'
  const { anyOf, items, title, type } = schema
  if (schema['const'] !== undefined) return `\`${schema['const']}\``
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map(typeOf))].join(' or ')
  if (isRecord(items)) return `list of ${typeOf(items).replace(/^(map|name|text)$/, '$1s')}`
  const member = memberOf(schema)
  if (member !== null) return `map of ${typeOf(member)}`
  if (typeof title === 'string')
    return title.startsWith('a duration') ? 'duration' : title.replace(/ \(.*/, '').replace(/^an? /, '')
  return typeof type === 'string' ? WORDS[type] : 'anything'
}

const WORDS: Readonly<Record<string, string>> = {
  object: 'map',
  string: 'text',
  integer: 'whole number',
  number: 'number',
  boolean: '`true` or `false`',
}

const DEFAULT = / Default( |: )(\S.*)\.$/

/** The description without what the page tells elsewhere. */
function meaningOf(schema: Schema): string {
  const description = String(schema['description'] ?? '').replace(` ${DURATION_HINT}`, '')
  return description.replace(DEFAULT, '')
}

/** What is so when the key is left out: what the schema fills in, else what its description ends with; null where neither is. */
export function defaultOf(schema: Schema): { readonly value: unknown } | { readonly words: string } | null {
  if (schema['default'] !== undefined) return { value: schema['default'] }
  const told = DEFAULT.exec(String(schema['description'] ?? '').replace(` ${DURATION_HINT}`, ''))
  if (told === null) return null
  const [, sign, text] = told
  return sign === ' ' ? { value: readValue(text) } : { words: text }
}

/** `5m` and `json` are texts, all else is what JSON makes of it. */
function readValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function shownDefault(schema: Schema): string {
  const known = defaultOf(schema)
  if (known === null) return ''
  if ('words' in known) return known.words
  const { value } = known
  if (isRecord(value) && Object.keys(value).length === 0) return 'as its keys'
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

/** What numbers, texts and lists are kept to. */
function boundsOf(schema: Schema): string {
  return [...new Set(formsOf(schema).map(boundsOfForm).filter(Boolean))].join('; ')
}

function boundsOfForm(schema: Schema): string {
  const of = (key: string) => (typeof schema[key] === 'number' ? shown(schema[key]) : null)
  const [least, most, above, below] = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'].map(of)
  const from = above === null ? least : `more than ${above}`
  const to = below === null ? most : `less than ${below}`
  if (from !== null || to !== null)
    return from === null ? `up to ${to}` : to === null ? `from ${from}` : `${from} to ${to}`
  const [fewest, longest] = [of('minItems') ?? of('minLength'), of('maxItems') ?? of('maxLength')]
  const what = schema['type'] === 'array' ? 'entries' : 'characters'
  if (longest !== null) return `${fewest === null ? 'up to' : `${fewest} to`} ${longest} ${what}`
  return fewest === null || fewest === '1' ? (fewest === null ? '' : 'not empty') : `at least ${fewest} ${what}`
}

const shown = (value: unknown): string => Number(value).toLocaleString('en-US')
