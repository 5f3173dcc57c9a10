/**
 * `npm run schema`: writes what is made from the schema: config/schema.json, which editors read to complete and check config files,
 * and config/REFERENCE.md, which people read.
 *
 * The first is the one schema with two changes for editors: a key with a default is not required (validation fills it in), and
 * JSON Schema's own head is there. A test compares the files on disk with what this file would write.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isNested, WhenSchema } from '../table/conditions/kinds.ts'
import { referenceText } from './reference.ts'
import { SpecSchema } from './schema.ts'
import { asWritten } from './schema-forms.ts'

/** The text of config/schema.json. */
export function schemaText(): string {
  const head = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: 'urn:turnout:config',
    title: 'Turnout configuration',
    description:
      'The config file of Turnout, a traffic-splitting HTTP reverse proxy. Durations: 500ms, 2s, 5m, 1h, 7d.',
  }
  const definitions = { when: asWritten(WhenSchema) }
  const nested = (_key: string, value: unknown) =>
    typeof value === 'object' && value !== null && isNested(value)
      ? { $ref: '#/definitions/when', description: (value as { description: string }).description }
      : value
  return `${JSON.stringify({ ...head, ...(asWritten(SpecSchema) as object), definitions }, nested, 2)}\n`
}

const inConfig = (name: string): string => fileURLToPath(new URL(`../../config/${name}`, import.meta.url))

/** What is made from the schema: the text of each file by its path. */
export const madeFiles = (): Readonly<Record<string, string>> => ({
  [inConfig('schema.json')]: schemaText(),
  [inConfig('REFERENCE.md')]: referenceText(SpecSchema as unknown as Readonly<Record<string, unknown>>),
})

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(madeFiles())) writeFileSync(path, text)
}
