/** What schemas say against values, held against Ajv: it compiles our schemas with each union written as a choice by type. */
import { Ajv } from 'ajv'
import fc from 'fast-check'
import type { TSchema } from 'typebox'
import { describe, expect, test } from 'vitest'
import { judge, KEYWORDS, type SchemaError } from '../../src/config/judge.ts'
import { PoolSchema, RulesBodySchema, ServiceSchema, SpecSchema, WeightsSchema } from '../../src/config/schema.ts'
import { Type } from '../../src/config/type.ts'
import { isNested, WhenSchema } from '../../src/table/conditions/kinds.ts'
import { bulk } from '../helpers/bulk.ts'

type Json = Readonly<Record<string, unknown>>

/** What no schema of ours has got, and the judge might still be asked for. */
const Everything = Type.Object(
  {
    text: Type.Optional(Type.String({ minLength: 2, maxLength: 4, pattern: '^[a-z\\u{1F600}]*$' })),
    number: Type.Optional(Type.Number({ minimum: 0, maximum: 10 })),
    above: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    integer: Type.Integer({ minimum: 2, default: 7 }),
    one: Type.Optional(Type.Literal('one')),
    words: Type.Union([Type.Literal('a'), Type.Literal('b')], { default: 'a' }),
    mixed: Type.Optional(
      Type.Union([Type.Literal(true), Type.Integer(), Type.Object({ a: Type.Boolean() }), Type.Null()]),
    ),
    list: Type.Array(Type.String({ maxLength: 3 }), { minItems: 1, maxItems: 3, uniqueItems: true, default: ['x'] }),
    map: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-c]+$' }), Type.Integer(), {
        minProperties: 1,
        additionalProperties: false,
      }),
    ),
    any: Type.Optional(Type.Unknown()),
    inner: Type.Object({ deep: Type.Boolean({ default: false }) }, { additionalProperties: false, default: {} }),
  },
  { additionalProperties: false },
)
const SCHEMAS: Readonly<Record<string, TSchema>> = {
  SpecSchema,
  ServiceSchema,
  PoolSchema,
  RulesBodySchema,
  WeightsSchema,
  WhenSchema,
  Everything,
}

/** The schema as Ajv is to judge it. */
function choicesByType(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(choicesByType)
  if (typeof schema !== 'object' || schema === null) return schema
  if (isNested(schema)) return { $ref: '#/definitions/when' }
  const { anyOf, ...rest } = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, key === 'default' ? value : choicesByType(value)]),
  )
  if (anyOf === undefined) return rest
  const byType = Map.groupBy(anyOf as Json[], ({ type }) => String(type))
  let choice: Json = { type: [...byType.keys()] }
  for (const [type, branches] of byType) {
    const constants = branches.map((branch) => branch['const'])
    const judged = constants.includes(undefined) ? branches[0] : { enum: constants }
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema, never awaited
    choice = byType.size === 1 ? { type, ...judged } : { if: { type }, then: judged, else: choice }
  }
  return { ...rest, ...choice }
}

const ajv = new Ajv({ allErrors: true, useDefaults: true, strict: true, allowUnionTypes: true, verbose: true })
const definitions = { when: choicesByType(WhenSchema) }

/** Values that a schema allows, but for one thing in ten. */
function madeFor(schema: Json, g: fc.GeneratorValue, depth: number): unknown {
  const anything = () =>
    g(fc.constantFrom, null, true, -1, 0, 0.5, 1e9, '', 'a', 'blue', '/x', '5s', [], ['a', 'a'], {}, { a: 1 })
  if (depth > 6 || g(fc.nat, 9) === 0) return anything()
  const at = isNested(schema) ? (WhenSchema as unknown as Json) : schema
  if (at['anyOf'] !== undefined) return madeFor(g(fc.constantFrom, ...(at['anyOf'] as Json[])), g, depth + 1)
  if (at['const'] !== undefined) return at['const']
  const some = (most: number) => Array.from({ length: g(fc.nat, most) })
  switch (at['type']) {
    case 'object': {
      const { properties = {}, patternProperties = {}, required = [] } = at as Record<string, Record<string, Json>>
      const always = required as unknown as string[]
      const known = Object.entries(properties).filter(([key]) => g(fc.nat, 9) < (always.includes(key) ? 8 : 3))
      const named = Object.values(patternProperties).flatMap((part) =>
        some(2).map(() => [g(fc.constantFrom, 'blue', 'green', 'a/b', 'x~y', ' ', 'cookie'), part] as const),
      )
      const more = g(fc.nat, 9) === 0 ? [['unknown', {}] as const] : []
      return Object.fromEntries([...known, ...named, ...more].map(([key, part]) => [key, madeFor(part, g, depth + 1)]))
    }
    case 'array':
      return some(2).map(() => madeFor(at['items'] as Json, g, depth + 1))
    case 'string':
      return g(
        fc.constantFrom,
        '',
        'a',
        'ab',
        '😀😀😀',
        'aaaaa',
        'blue',
        '/path',
        '5s',
        '1m',
        'http://127.0.0.1:1',
        '10.0.0.0/8',
        ':80',
      )
    case 'integer':
      return g(fc.constantFrom, -1, 0, 1, 2, 50, 100, 500, 100_000)
    case 'number':
      return g(fc.constantFrom, -1, 0, 0.01, 0.5, 1, 11)
    case 'boolean':
      return g(fc.boolean)
    default:
      return anything()
  }
}

const told = ({
  instancePath,
  keyword,
  params,
  data,
}: Pick<SchemaError, 'instancePath' | 'keyword' | 'params'> & { readonly data?: unknown }) => ({
  instancePath,
  keyword,
  params,
  data,
})

describe.each(Object.keys(SCHEMAS))('%s', (name) => {
  const schema = SCHEMAS[name]
  const check = ajv.compile({ ...(choicesByType(schema) as Json), definitions })

  test('says of any value what Ajv says, and gives it the same defaults', () => {
    const faulty = fc.property(fc.gen(), (g) => {
      const ours = madeFor(schema as unknown as Json, g, 0)
      const theirs = structuredClone(ours)
      const errors = judge(schema, ours)
      check(theirs)
      expect(errors.map(told)).toEqual((check.errors ?? []).filter(({ keyword }) => keyword !== 'if').map(told))
      expect(ours).toEqual(theirs)
    })
    fc.assert(faulty, { numRuns: bulk(100, 500), endOnFailure: true })
  })

  test('uses no keyword that judges and is not known', () => {
    const judging = new Set(Object.keys(ajv.RULES.keywords))
    const unknown = new Set<string>()
    const walk = (part: unknown): void => {
      if (typeof part !== 'object' || part === null) return
      if (Array.isArray(part)) return part.forEach(walk)
      for (const [key, value] of Object.entries(part)) {
        if (judging.has(key) && !KEYWORDS.has(key)) unknown.add(key)
        if (key === 'properties' || key === 'patternProperties') Object.values(value as Json).forEach(walk)
        else if (key === 'items' || key === 'anyOf') walk(value)
      }
    }
    walk(schema)
    expect(
      [...unknown].filter(
        (key) => !['title', 'description', 'writeOnly', '$comment', 'examples', 'format'].includes(key),
      ),
    ).toEqual([])
  })
})
