/** Bodies: what was chunked comes out as it went in, whatever the cuts, and floods end. Refusals are in corpus.ts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BodyReader, CHUNK_HEADER_MAX, type Framing, writeChunkHeader } from '../../../src/dataplane/http1/body.ts'
import { bulk } from '../../helpers/bulk.ts'

/** Reads a body in pieces; gives payload, what is left behind it, and the reader. */
function read(framing: Framing, length: number, pieces: readonly Buffer[]) {
  const reader = new BodyReader('request')
  reader.start(framing, length)
  let payload = ''
  let behind = ''
  for (const piece of pieces) {
    const sink = Buffer.alloc(piece.length)
    const until = reader.done ? 0 : reader.decode(piece, 0, piece.length, sink, 0)
    payload += sink.latin1Slice(0, until)
    if (reader.malformed) break
    behind += piece.latin1Slice(reader.consumed, piece.length)
  }
  return { reader, payload, behind }
}

const bytes = (text: string) => Buffer.from(text, 'latin1')
const chunk = fc.record({
  data: fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 300 }),
  extension: fc.constantFrom('', ';a', ';a=b', ';a="b;\\"c"', ';a;b=c'),
  zeros: fc.nat(3),
  upper: fc.boolean(),
})
const trailers = fc.constantFrom('', 'X-A: b\r\n', 'X-A: b\r\nETag:\t"c" \r\n')

test('chunks of any size, extension and cut give their data, their trailers and nothing of what is behind', () => {
  fc.assert(
    fc.property(
      fc.array(chunk, { maxLength: 5 }),
      trailers,
      fc.array(fc.nat(2_000), { maxLength: 6 }),
      (chunks, end, cuts) => {
        const text = chunks
          .map(({ data, extension, zeros, upper }) => {
            const size = data.length.toString(16)
            return `${'0'.repeat(zeros)}${upper ? size.toUpperCase() : size}${extension}\r\n${data}\r\n`
          })
          .join('')
        const whole = bytes(`${text}0\r\n${end}\r\n`)
        const places = [...new Set(cuts.map((cut) => cut % whole.length))].sort((a, b) => a - b)
        const pieces = [...places, whole.length].map((to, i) => whole.subarray(places[i - 1] ?? 0, to))
        const { reader, payload } = read('chunked', 0, pieces)
        expect({ done: reader.done, malformed: reader.malformed }).toEqual({ done: true, malformed: false })
        expect(payload).toBe(chunks.map(({ data }) => data).join(''))
        expect(reader.bytes).toBe(payload.length)
        expect(reader.trailers).toBe(end)
      },
    ),
    { numRuns: bulk(600, 2_000), seed: 21 },
  )
})

test('reading stops at the end of the body', () => {
  const next = 'GET / HTTP/1.1\r\n\r\n'
  for (const [framing, length, text] of [
    ['chunked', 0, '3\r\nabc\r\n0\r\nX: y\r\n\r\n'],
    ['chunked', 0, '3\r\nabc\r\n0\r\n\r\n'],
    ['length', 3, 'abc'],
  ] as const) {
    const { reader, payload, behind } = read(framing, length, [bytes(text + next)])
    expect({ done: reader.done, payload, behind }).toEqual({ done: true, payload: 'abc', behind: next })
  }
})

test('an empty body is done before a byte has come', () => {
  const reader = new BodyReader('request')
  reader.start('length', 0)
  expect(reader.done).toBe(true)
  reader.start('none', -1)
  expect(reader.done).toBe(true)
  reader.start('close', -1)
  expect(reader.done).toBe(false)
  reader.start('chunked', -1)
  expect(reader.done).toBe(false)
})

describe('floods', () => {
  test('extensions end at 16 KB of one body, however they are spread', () => {
    const spread = (chunks: number, each: number) => `1;${'x'.repeat(each)}\r\na\r\n`.repeat(chunks)
    expect(read('chunked', 0, [bytes(spread(100, 100))]).reader.malformed).toBe(false)
    expect(read('chunked', 0, [bytes(spread(200, 100))]).reader.malformed).toBe(true)
    expect(read('chunked', 0, [bytes(spread(1, 20_000))]).reader.malformed).toBe(true)
  })

  test('a trailer section ends at 16 KB and 64 fields, also when its end never comes', () => {
    expect(read('chunked', 0, [bytes(`0\r\n${'X: y\r\n'.repeat(64)}\r\n`)]).reader.done).toBe(true)
    expect(read('chunked', 0, [bytes(`0\r\n${'X: y\r\n'.repeat(65)}`)]).reader.malformed).toBe(true)
    const drip = Array.from({ length: 20_000 }, () => bytes('x'))
    expect(read('chunked', 0, [bytes('0\r\n'), ...drip]).reader.malformed).toBe(true)
  })

  test('what follows a short trailer section does not count for it', () => {
    const { reader } = read('chunked', 0, [bytes(`0\r\nX: y\r\n\r\n${'z'.repeat(30_000)}`)])
    expect(reader.done).toBe(true)
  })
})

test('a chunk size has at most 13 digits, and those are counted exactly', () => {
  const { reader } = read('chunked', 0, [bytes('fffffffffffff\r\n')])
  expect(reader.malformed).toBe(false)
  expect(reader.remaining).toBe(0xfffffffffffff)
  expect(read('chunked', 0, [bytes('10000000000000\r\n')]).reader.malformed).toBe(true)
})

test('the header of a chunk ends where it is told to, and says the size', () => {
  for (const size of [1, 9, 10, 15, 16, 255, 256, 65_535, 65_536, 1_000_000]) {
    const sink = Buffer.alloc(CHUNK_HEADER_MAX + 2, 'x')
    const start = writeChunkHeader(sink, CHUNK_HEADER_MAX, size)
    expect(sink.latin1Slice(start, CHUNK_HEADER_MAX + 2)).toBe(`${size.toString(16)}\r\nxx`)
  }
})
