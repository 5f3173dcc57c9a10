import { expect, test } from 'vitest'
import { readDocument } from '../../src/config/document.ts'

const read = (text: string) => readDocument(text, {})
const messages = (text: string) => {
  const document = read(text)
  return document.findings.map((finding) => {
    const { line, column } = document.placeOf(finding)
    return `${line}:${column} ${finding.pointer} ${finding.message}`
  })
}

test('keys and strings are text exactly as written', () => {
  expect(read('1.0: a\n"2": b\ntrue: c\n0x10: d').value).toEqual({ '1.0': 'a', '2': 'b', true: 'c', '0x10': 'd' })
})

test('JSON is read, with tabs too', () => {
  const value = { a: [1, 2.5, null, true, 'x'], b: { c: {} } }
  expect(read(JSON.stringify(value, null, '\t')).value).toEqual(value)
})

test('an empty file is an empty map', () => {
  expect(read('').value).toEqual({})
  expect(read('# only a comment\n').value).toEqual({})
})

test('a byte order mark and Windows line ends do not matter', () => {
  expect(read('\uFEFFa: 1\r\nb: 2\r\n').value).toEqual({ a: 1, b: 2 })
})

test('anchors stand for what they name, and merge keys bring in what the map does not have', () => {
  const document = read('a: &a { x: 1, y: 2 }\nb: *a\nc: { <<: *a, y: 3 }\nd: { <<: [{ x: 5 }, *a] }')
  expect(document.findings).toEqual([])
  expect(document.value).toMatchObject({ b: { x: 1, y: 2 }, c: { x: 1, y: 3 }, d: { x: 5, y: 2 } })
})

test('every repeated key is told at its place, with the line of the first', () => {
  expect(messages('a: 1\nb: { c: 1, c: 2 }\na: 2\n')).toEqual([
    '3:1 /a repeated key "a" (first on line 1)',
    '2:12 /b/c repeated key "c" (first on line 2)',
  ])
})

test('syntax errors are told by line and column, and nothing else is', () => {
  expect(messages('a: [1, 2\nb: 3\n')[0]).toMatch(/^2:\d+ {2}not valid YAML: /)
  expect(messages('a: "x\n')[0]).toContain('not valid YAML')
  const second = 'not valid YAML: a second document begins here, and a config is one'
  expect(messages('a: 1\n---\nb: 2\n')[0]).toBe(`2:1  ${second}`)
  expect(messages('a: !secret x\n')[0]).toContain('not valid YAML')
})

test('an alias without an anchor above it is a fault, and so is one inside its own anchor', () => {
  expect(messages('a: *b\n')).toEqual(['1:4 /a the alias *b names no anchor above it'])
  expect(messages('a: &a [1, *a]\n')).toEqual(['1:11 /a/1 the alias *a stands inside its own anchor'])
  expect(messages('a: &a { <<: *a }\n')).toEqual([expect.stringContaining('stands inside its own anchor')])
})

test('keys that are no text are faults', () => {
  expect(messages('? [a]\n: 1\n')[0]).toContain('keys must be plain text')
})

test('inherited keys are refused and never assigned', () => {
  for (const key of ['__proto__', 'constructor', 'toString']) {
    const document = read(`a: { ${key}: { polluted: 1 }, b: 1 }`)
    expect(document.findings).toEqual([
      { pointer: `/a/${key}`, message: `the key "${key}" is reserved and cannot be used`, about: 'key' },
    ])
    expect(document.value).toEqual({ a: { b: 1 } })
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  }
})

test('inherited keys cannot come in by a merge key either', () => {
  const document = read('a: &a { __proto__: { polluted: 1 } }\nb: { <<: *a }')
  expect(Object.getPrototypeOf((document.value as { b: object }).b)).toBe(Object.prototype)
  expect(document.findings).toHaveLength(2)
})

test('a bomb of aliases ends quickly with a message', () => {
  const levels = Array.from({ length: 40 }, (_, level) => `a${level + 1}: &a${level + 1} [*a${level}, *a${level}]`)
  expect(messages(['a0: &a0 x', ...levels].join('\n'))).toEqual([
    expect.stringContaining('too large: more than 250000'),
  ])
})

test('a bomb of merge keys ends quickly with a message', () => {
  const levels = Array.from(
    { length: 40 },
    (_, level) => `a${level + 1}: &a${level + 1} {<<: [*a${level}, *a${level}]}`,
  )
  expect(messages(['a0: &a0 {x: 1}', ...levels].join('\n'))).toEqual([expect.stringContaining('too large')])
})

test('text that is nested without end, or endless, is refused', () => {
  expect(messages('['.repeat(100_000))[0]).toMatch(/too large|not valid YAML/)
  expect(messages(`${'['.repeat(60)}${']'.repeat(60)}`)).toEqual([expect.stringContaining('nested more than 48 deep')])
  expect(messages('#'.repeat(9_000_000))).toEqual([expect.stringContaining('too large')])
})

test('a map of many keys is read in good time', () => {
  const text = Array.from({ length: 50_000 }, (_, index) => `k${index}: 1`).join('\n')
  expect(Object.keys(read(text).value as object)).toHaveLength(50_000)
}, 60_000)
