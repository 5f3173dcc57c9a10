import { expect, test } from 'vitest'
import { expandEnvironment } from '../../src/config/environment.ts'

const env = { HOST: 'shop.example.com', PORT: '3001', EMPTY: '', NESTED: `\${HOST}` }

test.each([
  ['plain', 'plain'],
  [`\${HOST}`, 'shop.example.com'],
  [`http://\${HOST}:\${PORT}`, 'http://shop.example.com:3001'],
  [`\${NONE:-a default}`, 'a default'],
  [`\${NONE:-}`, ''],
  [`\${EMPTY:-x}`, 'x'],
  [`\${EMPTY}`, ''],
  [`$\${HOST}`, `\${HOST}`],
  [`$\${A:-\${HOST}}`, `\${A:-shop.example.com}`],
  [`$\${a ? \`$\${b}\` : ''}`, `\${a ? \`\${b}\` : ''}`],
  [`$\${HOST`, `\${HOST`],
  ['$HOST costs 5$', '$HOST costs 5$'],
])('%s becomes %s', (text, expected) => {
  expect(expandEnvironment(text, env)).toMatchObject({ text: expected, faults: [] })
})

test('what a variable holds is not expanded again', () => {
  expect(expandEnvironment(`\${NESTED}`, env).text).toBe(`\${HOST}`)
})

test('every missing variable is named', () => {
  expect(expandEnvironment(`\${A}\${B}\${HOST}`, env).faults).toEqual([
    `environment variable A is not set (\${A:-default} gives a default)`,
    `environment variable B is not set (\${B:-default} gives a default)`,
  ])
})

test('names that every object inherits are no variables', () => {
  expect(expandEnvironment(`\${constructor}`, env).faults).toHaveLength(1)
})

test.each([`\${}`, `\${1A}`, `\${A B}`, `\${HOST`, `\${HOST-x}`])('%s is a malformed reference', (text) => {
  expect(expandEnvironment(text, env).faults).toEqual([expect.stringContaining('not a reference')])
})
