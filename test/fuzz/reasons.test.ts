/** Each row of the table of differences is met by its own example, and none is an excuse for what it is not about. */
import { describe, expect, test } from 'vitest'
import { brokenChunking, chunkingOf } from './chunking.ts'
import { CODECS, compare } from './comparison.ts'
import { REASONS, reasonOf } from './reasons.ts'
import { shrink } from './shrink.ts'

describe('a listed difference', () => {
  test.each(REASONS.map((reason) => [reason.what, reason] as const))('is there: %s', (_what, reason) => {
    const side = reason.example.startsWith('HTTP/') || reason.side === 'response' ? 'response' : 'request'
    const { fault, reasons, result } = compare(CODECS, { side, bytes: reason.example, heads: 0 })
    expect(fault).toBe('')
    expect(reasons).toEqual([reason])
    expect(result).toBe(reason.kind === 'refuse' ? 'stricter' : 'accepted')
  })

  test('has a source and a reason, and is told once', () => {
    for (const { source, because } of REASONS) {
      expect(source).toMatch(/RFC \d{4} \d/)
      expect(because).not.toBe('')
    }
    expect(new Set(REASONS.map(({ what, side }) => what + side)).size).toBe(REASONS.length)
  })

  test('is no excuse for refusing what is right, whatever the code', () => {
    const right = [
      'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      '\r\nGET http://a:80/?b HTTP/1.1\r\nHost: a\r\nConnection: x\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a="b"\r\nx\r\n0;c\r\nX-T: y\r\n\r\n',
      'HTTP/1.1 204 No Content\r\nUpgrade: x\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789',
    ]
    const codes = new Set(REASONS.flatMap(({ errors }) => errors))
    for (const text of right) {
      const side = text.startsWith('HTTP/') ? 'response' : 'request'
      const theirs = CODECS.theirs(side, text, 0).messages[0]
      for (const error of codes) {
        expect(reasonOf({ kind: 'refuse', side, error, text, ours: null, theirs })).toBe(null)
      }
    }
  })
})

test.each([
  ['3;a=b;c="\\""\r\nabc\r\n0\r\nX-T: y\r\n\r\n', ''],
  ['3\r\nabc\r\n00000000000003\r\nabc', 'size'],
  ['3;a=\r\nabc\r\n0\r\n\r\n', 'extension'],
  ['3;a="b\r\nabc\r\n0\r\n\r\n', 'extension'],
  [`1;${'a'.repeat(17_000)}\r\nx\r\n0\r\n\r\n`, 'flood'],
  [`0\r\n${'A: b\r\n'.repeat(65)}\r\n`, 'flood'],
  ['0\r\nX_Forwarded_For: y\r\n\r\n', 'trailer'],
])('what is wrong with the chunks %j of a request is %j', (body, expected) => {
  expect(brokenChunking(chunkingOf(body), 'request')).toBe(expected)
})

test('only framing is wrong in the trailers of a response', () => {
  const faultOf = (name: string) => brokenChunking(chunkingOf(`0\r\n${name}: 1\r\n\r\n`), 'response')
  for (const name of ['Content-Length', 'transfer_encoding', 'Connection']) expect(faultOf(name)).toBe('trailer')
  for (const name of ['Host', 'Set-Cookie', 'X-Turnout-Pool']) expect(faultOf(name)).toBe('')
})

test('a text is made as short as what is wrong with it allows', () => {
  expect(shrink(`${'x'.repeat(500)}#${'y'.repeat(700)}!zzz`, (text) => /#.*!/.test(text))).toBe('#!')
  expect(shrink('0123456789', (text) => text.length === 10)).toBe('aaaaaaaaaa')
})
