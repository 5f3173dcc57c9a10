/** Which octets a field value may hold, wherever they stand in it (long values are read four octets at a time), and how fields are found by name. */
import { expect, test } from 'vitest'
import { Fields } from '../../../src/dataplane/http1/fields.ts'

/** What is refused within a value: control bytes but the tab; CR and LF would end the line, or begin another. */
const refused = Array.from({ length: 256 }, (_, octet) => octet).filter(
  (octet) => (octet < 32 && octet !== 9) || octet === 127,
)

/** Whether a value of 40 octets, with one of them in the place `at`, is read; from memory that begins at an offset. */
function accepts(octet: number, at: number, offset: number): boolean {
  const value = Buffer.alloc(40, 'v')
  value[at] = octet
  const text = `a: ${value.toString('latin1')}\r\nb: c\r\n\r\n`
  const memory = Buffer.allocUnsafeSlow(offset + text.length)
  memory.latin1Write(text, offset)
  const fields = new Fields(10)
  const end = fields.read(text, 0, memory.subarray(offset), 0)
  if (end < 0) return false
  expect(end).toBe(text.length)
  expect([fields.count, fields.value(0)]).toEqual([2, value.toString('latin1').trim()])
  return true
}

test.each([0, 1])('octets of a value, in memory that begins at offset %i', (offset) => {
  for (let at = 1; at < 39; at++) {
    const found = Array.from({ length: 256 }, (_, octet) => octet).filter((octet) => !accepts(octet, at, offset))
    expect([at, found]).toEqual([at, refused])
  }
})

test('a name of any length is found, in any case, and only in the head that was read last', () => {
  const fields = new Fields(100)
  const names = Array.from({ length: 70 }, (_, at) => 'n'.repeat(at + 1))
  const read = (those: readonly string[]) =>
    fields.read(`${those.map((name) => `${name.toUpperCase()}: v\r\n`).join('')}\r\n`, 0)
  read(names)
  expect(names.map((name) => fields.find(name))).toEqual(names.map((_, at) => at))
  for (const name of names) {
    read([name])
    expect(names.filter((other) => fields.find(other) >= 0)).toEqual([name])
  }
})
