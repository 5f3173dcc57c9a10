/** The names that Connection lists: which fields they take away, and that looking every field up costs linear time. */
import { describe, expect, test } from 'vitest'
import { copyAllBut, KIND } from '../../src/dataplane/http1/field-kinds.ts'
import { RequestHead } from '../../src/dataplane/http1/request-head.ts'
import { ResponseHead } from '../../src/dataplane/http1/response-head.ts'

const COPY = copyAllBut(KIND.connection)
const BYTES_MAX = 2 ** 23
const FIELDS_MAX = 2 ** 17

describe.each([
  ['request', RequestHead, 'GET / HTTP/1.1\r\nHost: a\r\n'],
  ['response', ResponseHead, 'HTTP/1.1 200 OK\r\n'],
])('the Connection fields of a %s', (_what, Head, start) => {
  /** The lines that are left of these. */
  const left = (lines: readonly string[]): string => {
    const head = new Head(BYTES_MAX, FIELDS_MAX)
    const text = `${start}${lines.map((line) => `${line}\r\n`).join('')}\r\n`
    expect(head.parse(text)).toBe(text.length)
    return head.fields.copyLines(COPY, head.dropped).replace('Host: a\r\n', '')
  }

  test('take away what they name and nothing else, names of one length and of any', () => {
    const long = 'x'.repeat(40)
    expect(left(['Connection: ab, X-B', 'Connection: cd', 'AB: 1', 'ac: 2', 'x-b: 3', 'cd: 4', 'abc: 5'])).toBe(
      'ac: 2\r\nabc: 5\r\n',
    )
    // Lengths are told apart modulo 32.
    expect(left([`Connection: ${long}`, `${long}: 1`, `${'x'.repeat(8)}: 2`, `${'y'.repeat(40)}: 3`])).toBe(
      `${'x'.repeat(8)}: 2\r\n${'y'.repeat(40)}: 3\r\n`,
    )
    expect(left([`Connection: ${'x'.repeat(32)}`, `${'x'.repeat(32)}: 1`, 'y: 2'])).toBe('y: 2\r\n')
  })

  test.each([
    ['that repeat the beginning of one', 'aa,'.repeat(340), 'a:'],
    ['that repeat the end of one', 'ba,'.repeat(340), 'a:'],
    ['that are all alike', `${'a'.repeat(9)},`.repeat(100), `${'a'.repeat(8)}b:`],
    ['in one piece', 'a'.repeat(1_020), 'a:'],
    ['that differ in the last letter', Array.from({ length: 24 }, (_, i) => `${'a'.repeat(30)}${i + 10}`).join(), 'a:'],
  ])('take about the time of a list of one, with names %s', (_how, list, line) => {
    const lines = new Array<string>(FIELDS_MAX - 2).fill(line)
    const timeOf = (names: string) => {
      const before = process.cpuUsage()
      expect(left([`Connection: ${names}`, ...lines])).toHaveLength((line.length + 2) * lines.length)
      return process.cpuUsage(before).user
    }
    timeOf(list)
    const [one, many] = [timeOf('z'.repeat(line.length - 1)), timeOf(list)]
    // A walk through the list for every field takes a hundred times as long. CPU time, so that others on the machine hardly count.
    expect(many).toBeLessThan(one * 4 + 100_000)
  })
})
