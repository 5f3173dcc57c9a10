/**
 * The short form of `npm run fuzz`, and the proof that it can fail: a codec with a fault in it, of each kind, is found out.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { HEX, TARGET, TOKEN, VALUE } from '../../src/dataplane/http1/syntax.ts'
import { REQUESTS, RESPONSES } from '../dataplane/http1/corpus.ts'
import type { Message } from '../dataplane/http1/reading.ts'
import { bulk } from '../helpers/bulk.ts'
import { fuzzCase } from './case.ts'
import { CODECS, type Codecs, compare } from './comparison.ts'
import { escaped, reportLines } from './report.ts'
import { run } from './run.ts'

const MESSAGES = bulk(6_000, 30_000)
const options = { seed: 1, first: 0, messages: MESSAGES, seconds: 0 }

describe('our codec beside llhttp', () => {
  test('has no fault in the first messages of a run, a third of which both accept, and which reach all there is', () => {
    const report = run(options)
    expect(report.fault).toBe(null)
    expect(report.messages).toBe(MESSAGES)
    const { request, response } = report.results
    expect(request.accepted + response.accepted).toBeGreaterThan(MESSAGES * 0.3)
    expect(request.refused + response.refused).toBeGreaterThan(MESSAGES * 0.3)
    for (const [name, times] of report.reached) expect({ name, reached: times > 0 }).toEqual({ name, reached: true })
  })

  test.each(REQUESTS.map(({ name, bytes, error }) => [name, bytes, error] as const))(
    'has no fault in the request of the corpus with %s',
    (_name, bytes, error) => {
      const { fault, result } = compare(CODECS, { side: 'request', bytes, heads: 0 })
      expect(fault).toBe('')
      expect(['refused', 'stricter'].includes(result)).toBe(error !== null)
    },
  )

  test.each(RESPONSES.map(({ name, bytes }) => [name, bytes] as const))(
    'has no fault in the response of the corpus with %s, to GET or to HEAD',
    (_name, bytes) => {
      for (const heads of [0, 1]) expect(compare(CODECS, { side: 'response', bytes, heads }).fault).toBe('')
    },
  )
})

test('a message depends on the seed and its number only', () => {
  const before = fuzzCase(5, 1_000)
  for (let i = 0; i < 100; i++) fuzzCase(6, i)
  expect(fuzzCase(5, 1_000)).toEqual(before)
  const distinct = new Set(Array.from({ length: 2_000 }, (_, i) => fuzzCase(5, i).bytes))
  expect(distinct.size).toBeGreaterThan(1_800)
})

/** A run that comes early to what the first one needs tens of thousands of messages for. */
const SOON = 2

/** Takes the table of the codec's alphabet as it should not be until the test has ended. */
function spoil(table: Uint8Array, letter: string, value: number): void {
  const code = letter.charCodeAt(0)
  const before = table[code]
  table[code] = value
  onTestFinished(() => {
    table[code] = before
  })
}

/** Our codec with another reading of each message. */
const misread = (change: (message: Message) => Partial<Message>): Codecs => ({
  ...CODECS,
  ours: (side, bytes, heads, cuts) => {
    const { messages, verdict, open } = CODECS.ours(side, bytes, heads, cuts)
    const changed = (message: Message) => ({ ...message, ...change(message) })
    return { verdict, messages: messages.map(changed), open: open === null ? null : changed(open) }
  },
})

const firstFault = (codecs: Codecs = CODECS, seed = 1) =>
  run({ ...options, seed, messages: 400_000 }, () => {}, codecs).fault

describe('a codec is found out that', () => {
  test.each([
    ['takes a space in a name', TOKEN, ' ', 1, ''],
    ['takes a byte above ASCII in a name', TOKEN, '\x80', 1, 'accepts'],
    ['takes NUL in a name', TOKEN, '\0', 1, 'accepts'],
    ['takes NUL in a value', VALUE, '\0', 1, 'accepts'],
    ['takes a bare CR in a value', VALUE, '\r', 1, ''],
    ['takes DEL in a value', VALUE, '\x7f', 1, 'accepts'],
    ['takes bytes above ASCII in a target', TARGET, '\x80', 1, 'accepts', SOON],
    ['takes a tab in a target', TARGET, '\t', 1, 'accepts'],
    ['takes a fragment, as llhttp does', TARGET, '#', 1, 'accepts'],
    ['takes a sign in a chunk size', HEX, '+', 1, 'accepts'],
    ['takes a space in a chunk size', HEX, ' ', 1, 'accepts'],
    ['takes the digit 5 of a chunk size for 4', HEX, '5', 5, ''],
    ['refuses bytes above ASCII in a value', VALUE, '\xff', 0, 'refuses'],
    ['refuses an underscore in a name', TOKEN, '_', 0, 'refuses'],
    ['refuses capitals in a chunk size', HEX, 'E', 0, 'refuses', SOON],
    ['refuses a query', TARGET, '?', 0, 'refuses'],
  ] as const)('%s', (_name, table, letter, value, kind, seed?: number) => {
    spoil(table, letter, value)
    const fault = firstFault(CODECS, seed)
    expect(fault?.what).toMatch(new RegExp(`^${kind || '(accepts|framing|refuses)'}:`))
    expect(fault?.shortest.bytes.length).toBeLessThan(200)
  })

  test.each([
    ['keeps every connection open', () => ({ keepAlive: true })],
    ['loses the last byte of a body', ({ body }: Message) => ({ body: body.slice(0, -1) })],
    ['loses trailers', () => ({ trailers: [] })],
    ['loses the second of two fields of one name', ({ fields }: Message) => ({ fields: [...new Set(fields)] })],
    ['sees every upgrade', () => ({ upgrade: true })],
    ['is a byte off behind a message that closes', (m: Message) => ({ end: m.keepAlive ? m.end : m.end + 1 })],
    ['reads bytes above ASCII as something else', (m: Message) => ({ body: m.body.replace(/[\x80-\xff]/g, '?') })],
  ])('%s', (_name, change) => {
    expect(firstFault(misread(change))?.what).toMatch(/^framing:/)
  })

  test('takes responses to HEAD for others', () => {
    const codecs: Codecs = { ...CODECS, ours: (side, bytes, _heads, cuts) => CODECS.ours(side, bytes, 0, cuts) }
    expect(firstFault(codecs)).not.toBe(null)
  })

  test('reads a message in another way when it comes in pieces', () => {
    const ours: Codecs['ours'] = (side, bytes, heads, cuts = []) =>
      CODECS.ours(side, cuts.length > 8 ? bytes.slice(0, -1) : bytes, heads, cuts)
    const fault = firstFault({ ...CODECS, ours })
    expect(fault?.what).toMatch(/^cut:/)
    expect(fault!.shortest.bytes.length).toBeLessThan(30)
  })

  test('refuses what is right', () => {
    const ours: Codecs['ours'] = (side, bytes, heads, cuts) => {
      const reading = CODECS.ours(side, bytes, heads, cuts)
      const refused = reading.messages.some(({ trailers }) => trailers.length > 1)
      return refused ? { messages: [], verdict: 'bad_body', open: null } : reading
    }
    expect(firstFault({ ...CODECS, ours })?.what).toMatch(/^refuses: bad_body/)
  })
})

describe('npm run fuzz', () => {
  const main = fileURLToPath(new URL('main.ts', import.meta.url))
  const fuzz = (args: readonly string[], nodeOptions: readonly string[] = []) => {
    const { status, stdout } = spawnSync(process.execPath, [...nodeOptions, main, ...args], { encoding: 'utf8' })
    return { status, stdout }
  }

  test('tells what came of its messages, and ends with 0', () => {
    const { status, stdout } = fuzz(['--messages', '3,000', '--seed', '4'])
    expect(stdout).toContain('3,000 messages in')
    expect(stdout).toContain('seed 4')
    expect(stdout).toMatch(/ 0 {3}0\.0 % {2}fault/)
    expect(stdout).toContain('[RFC 9112 3.2]')
    expect(stdout).toMatch(/no fault\n$/)
    expect(status).toBe(0)
  })

  test('ends with 1 when there is a fault, and says how to see it again', () => {
    const syntax = new URL('../../src/dataplane/http1/syntax.ts', import.meta.url)
    const broken = `data:text/javascript,import{VALUE}from"${syntax}";VALUE[0]=1`
    const { status, stdout } = fuzz(['--seed', '4'], ['--import', broken])
    expect(status).toBe(1)
    const [, index, shortest] =
      /FAULT in message (\d+) of seed 4: accepts: [\s\S]*as short as it gets:\n {2}\w+, \d+ bytes: '(.*)'\n/.exec(
        stdout,
      ) ?? []
    expect(shortest).toContain('\\x00')
    const again = `--seed 4 --first ${index} --messages 1`
    expect(stdout).toContain(`again: npm run fuzz -- ${again}\n`)
    expect(fuzz(again.split(' '), ['--import', broken]).status).toBe(1)
  })

  test('ends with 2 for an option that is none', () => {
    expect(fuzz(['--messages', 'many']).status).toBe(2)
  })

  test('stops when its time is over', () => {
    const report = run({ seed: 1, first: 0, messages: Number.MAX_SAFE_INTEGER, seconds: 0.01 })
    expect(report.messages).toBeLessThan(1_000_000)
    expect(reportLines(report, 1)).toContain('no fault')
  })

  test('writes bytes so that they can be pasted', () => {
    expect(escaped("a\r\n\t\0\x7f\xff'\\")).toBe("'a\\r\\n\\t\\x00\\x7f\\xff\\'\\\\'")
  })
})
