/**
 * Settings as people give them on the command line: `health.path=/ok`, `version=1.10`, `steps=5,25,100`, or a YAML or JSON map by `--file`,
 * over which the words lie.
 *
 * What a value is, text or number or list, follows from the schema of its key, so nobody has to quote `1.10` twice. A key that the schema
 * does not know is sent as it is: the admin API says what was probably meant. `null` takes a key away.
 */
import { readDocument } from '../config/document.ts'
import { mapOf, ruleOf } from '../config/known.ts'
import { pathOf } from '../config/pointer.ts'
import { isRecord } from '../config/record.ts'
import { isNested, WhenSchema } from '../table/conditions/kinds.ts'
import { textOfFile } from './config-file.ts'
import { CliFailure, usageFailure } from './failure.ts'
import type { Call } from './verb.ts'

type Json = Readonly<Record<string, unknown>>

/** Settings of something with this schema, from `--file` and words `KEY=VALUE`. Throws when there are none. */
export async function settingsOf(call: Call, schema: object, words: readonly string[]): Promise<Json> {
  const { file } = call.options
  let settings = typeof file === 'string' ? await settingsIn(file, call) : {}
  const seen = new Set<string>()
  for (const word of words) {
    const [, key, text] = /^([^=]+)=(.*)$/s.exec(word) ?? []
    if (key === undefined) throw usageFailure(`A setting is KEY=VALUE, such as version=1.2, not "${word}".`)
    if (seen.has(key)) throw usageFailure(`The setting "${key}" is given twice.`)
    seen.add(key)
    const keys = key.split('.')
    const value = typedValue(key, text, keys.reduce(memberOf, schema as Json | undefined))
    settings = overlaid(settings, keys, value)
  }
  if (seen.size === 0 && file === undefined) throw usageFailure('no settings are given: KEY=VALUE, or --file FILE.')
  return settings
}

async function settingsIn(file: string, { env }: Call): Promise<Json> {
  const { value, findings, placeOf } = readDocument(await textOfFile(file), env)
  const lines = findings.map((finding) => {
    const { line, column } = placeOf(finding)
    return `${file}:${line}:${column}: ${finding.pointer === '' ? '' : `${pathOf(finding.pointer)}: `}${finding.message}`
  })
  if (findings.length > 0) throw new CliFailure(1, `${file} cannot be used; nothing has changed.`, lines)
  if (!isRecord(value)) throw new CliFailure(1, `${file} holds no map of settings; nothing has changed.`)
  return value
}

/** A null stays: it takes the key away where the settings are sent. */
function overlaid(settings: Json, [key, ...rest]: readonly string[], value: unknown): Json {
  const member = Object.hasOwn(settings, key) ? settings[key] : undefined
  const next = rest.length === 0 ? value : overlaid(isRecord(member) ? member : {}, rest, value)
  return { ...settings, [key]: next }
}

/** The keys that there may be at a dotted place, those of maps with a dot behind and others with `=`. */
export function keysAt(schema: object, place: readonly string[]): string[] {
  const map = mapAt(place.reduce(memberOf, schema as Json | undefined))
  const properties = (map?.['properties'] ?? {}) as Readonly<Record<string, Json>>
  return Object.entries(properties).map(([key, member]) => {
    const isMap = isNested(member) || mapOf(member)?.['properties'] !== undefined
    return [...place, key].join('.') + (isMap ? '.' : '=')
  })
}

/** The schema of a key; undefined where it is not known. */
function memberOf(schema: Json | undefined, key: string): Json | undefined {
  const map = mapAt(schema)
  return map === undefined ? undefined : ruleOf(map, key)
}

function mapAt(schema: Json | undefined): Json | undefined {
  if (schema === undefined) return undefined
  return mapOf(isNested(schema) ? (WhenSchema as unknown as Json) : schema)
}

const typesOf = ({ type, anyOf }: Json): string[] =>
  Array.isArray(anyOf)
    ? anyOf.flatMap((each: Json) => typesOf(each))
    : [type]
        .flat()
        .filter((each) => each !== undefined)
        .map(String)

function typedValue(key: string, text: string, schema: Json | undefined): unknown {
  const types = new Set(schema === undefined ? [] : typesOf(schema))
  if (text === 'null') return null
  const isText = types.has('string')
  if (isText && types.size === 1) return text
  if (text.trim() === '') throw usageFailure(`The setting "${key}" is empty; null takes it away.`)
  if (types.has('array') && !isText && !/^\s*[[{]/.test(text)) {
    const items = schema?.['items'] as Json | undefined
    return text.split(',').map((part) => typedValue(key, part.trim(), items))
  }
  const { value, findings } = readDocument(text, {})
  if (findings.length > 0) {
    if (isText) return text
    throw usageFailure(`The setting "${key}" cannot be read: ${findings[0].message}.`)
  }
  return isText && !types.has(typeOf(value)) && !(typeof value === 'number' && types.has('integer')) ? text : value
}

const typeOf = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value)
