import { readdirSync, readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { madeFiles, schemaText } from '../../src/config/schema-file.ts'

const schema = JSON.parse(schemaText())
const configFolder = new URL('../../config/', import.meta.url)

test.each(Object.entries(madeFiles()))('%s is what the schema says; otherwise run npm run schema', (path, text) => {
  expect(readFileSync(path, 'utf8')).toBe(text)
})

test('an editor finds no fault in any example', () => {
  const check = new Ajv().compile(schema)
  for (const name of readdirSync(configFolder).filter((name) => name.endsWith('.yaml'))) {
    check(parse(readFileSync(new URL(name, configFolder), 'utf8')))
    expect([name, check.errors]).toEqual([name, null])
  }
})

test('a key with a default is never required, and every key is described', () => {
  const undescribed: string[] = []
  const walk = (part: Record<string, unknown>, path: string): void => {
    const properties = (part.properties ?? {}) as Record<string, Record<string, unknown>>
    for (const key of (part.required ?? []) as string[]) expect(properties[key]).not.toHaveProperty('default')
    for (const [key, value] of Object.entries(properties)) {
      const isMap = value.type === 'object' || value.type === 'array'
      if (value.description === undefined && !isMap) undescribed.push(`${path}.${key}`)
    }
    for (const [key, value] of Object.entries(part)) {
      if (typeof value === 'object' && value !== null) walk(value as Record<string, unknown>, `${path}.${key}`)
    }
  }
  walk(schema, '')
  expect(undescribed).toEqual([])
})
