/** The builders of schemas beside those of typebox, whose types they have. */
import Typebox from 'typebox'
import { expect, test } from 'vitest'
import { Type } from '../../src/config/type.ts'

/** A schema of everything there is, by these builders. */
function everything(type: typeof Type) {
  const described = { title: 'a title', description: 'Words.', default: 1 }
  const text = type.String({ pattern: '^a$' })
  const shared = type.Object({ a: type.Optional(text), b: text }, { additionalProperties: false })
  return type.Object(
    {
      array: type.Array(type.Boolean(described), { maxItems: 2, default: [] }),
      integer: type.Integer({ minimum: 1 }),
      literals: type.Union([type.Literal('a'), type.Literal(1), type.Literal(false), type.Null()], described),
      number: type.Optional(type.Number(described)),
      none: type.Object({}),
      onlyOptional: type.Object({ text: type.Optional(text) }),
      records: type.Object({
        any: type.Record(type.String(), type.Unknown(described), { minProperties: 1 }),
        named: type.Record(text, shared),
        optional: type.Optional(shared),
        needed: shared,
      }),
      own: type.Unsafe<'a'>({ ...text, default: 'a' }),
      ownOptional: type.Optional(type.Unsafe<'a'>(text)),
    },
    described,
  )
}

test('what is built is what typebox builds, down to the order of its keys', () => {
  expect(JSON.stringify(everything(Type))).toBe(JSON.stringify(everything(Typebox)))
})

test('a schema that is optional in one place is needed in another', () => {
  const text = Type.String()
  expect(Type.Object({ a: Type.Optional(text), b: text }).required).toEqual(['b'])
})
