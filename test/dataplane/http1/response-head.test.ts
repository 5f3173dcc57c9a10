/** What a response head is understood to say. What is refused is in corpus.ts. */
import { describe, expect, test } from 'vitest'
import { ResponseHead } from '../../../src/dataplane/http1/response-head.ts'

const read = (text: string) => {
  const head = new ResponseHead(2_000, 8)
  return { head, end: head.parse(text) }
}
const withFields = (...lines: string[]) =>
  read(`HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`).head

test('status and reason', () => {
  const { head, end } = read('HTTP/1.1 404 Not  Here\r\n\r\n')
  expect({ status: head.status, reason: head.reason, minor: head.minor, end }).toEqual({
    status: 404,
    reason: 'Not  Here',
    minor: 1,
    end: 26,
  })
  expect(read('HTTP/1.0 200\r\n\r\n').head.reason).toBe('')
})

test('what begins as no response is refused before its line has ended', () => {
  for (const text of ['S', 'SSH-2.0-OpenSSH', 'HTTPS', 'HTTP/2', '\r', '<']) expect(read(text).end).toBe(-1)
  for (const text of ['H', 'HTTP', 'HTTP/1.', 'HTTP/1.1 200 O']) expect(read(text).end).toBe(0)
})

describe('a connection stays open', () => {
  test.each([
    ['1.1', [], true],
    ['1.1', ['Connection: close'], false],
    ['1.1', ['Connection: keep-alive, Close'], false],
    ['1.0', [], false],
    ['1.0', ['Connection: keep-alive'], true],
    ['1.0', ['Connection: keep-alive', 'Connection: close'], false],
    ['1.0', ['Connection: \t keep-alive , x'], true],
    ['1.0', ['Connection: keep-alive\xa0'], false],
  ])('HTTP/%s with %j: %s', (version, lines, expected) => {
    const { head } = read(`HTTP/${version} 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`)
    expect(head.keepAlive).toBe(expected)
  })
})

test.each([
  ['timeout=5', 5, Infinity],
  ['max=100, Timeout=60', 60, 100],
  ['timeout=5,max=7', 5, 7],
  ['timeout=5 MAX="0"', 5, 0],
  ['timeout=0', 0, Infinity],
  ['timeout=5;x', 5, Infinity],
  ['timeout=x, max', Infinity, Infinity],
  ['timeout\t= 5,\tmax = 7', 5, 7],
  ['timeout\u00a0=5,\u00a0max=7', Infinity, Infinity],
  ['timeout=, max=-1', Infinity, Infinity],
  ['xtimeout=3, climax=4', Infinity, Infinity],
  ['timeout=99999999999', 999_999_999, Infinity],
  ['', Infinity, Infinity],
])('the hint %j is %d seconds and %d requests', (value, seconds, requests) => {
  const head = withFields(`Keep-Alive: ${value}`)
  expect([head.keepAliveTimeoutS, head.keepAliveMax]).toEqual([seconds, requests])
})

test('of many hints the smallest counts, and none is left over for the next answer', () => {
  const head = withFields('Keep-Alive: timeout=9, max=3', 'Keep-Alive: timeout=7, max=4')
  expect([head.keepAliveTimeoutS, head.keepAliveMax]).toEqual([7, 3])
  head.parse('HTTP/1.1 200 OK\r\n\r\n')
  expect([head.keepAliveTimeoutS, head.keepAliveMax]).toEqual([Infinity, Infinity])
  head.parse('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=7, max=4\r\n\r\n')
  expect([head.keepAliveTimeoutS, head.keepAliveMax]).toEqual([7, 4])
})

test('a date that Connection takes away has to be said anew', () => {
  expect(withFields('Date: x').hasDate).toBe(true)
  expect(withFields('Date: x', 'Connection: date').hasDate).toBe(false)
})

test.each([
  [['WWW-Authenticate: NTLM'], true],
  [['WWW-Authenticate: Basic realm="x"', 'www-authenticate: Negotiate'], true],
  [['WWW-Authenticate: Digest realm="a, b", qop="auth" ,\tnegotiate'], true],
  [['WWW-Authenticate: , NTLM TlRMTVNTUAACAAAA'], true],
  [['Proxy-Authenticate: Kerberos'], true],
  [['WWW-Authenticate: Basic realm="x", Negotiate'], true],
  [['WWW-Authenticate: Basic realm="NTLM"'], false],
  [['WWW-Authenticate: Bearer, DPoP algs="ES256 Negotiate"'], false],
  [['WWW-Authenticate:'], false],
  [['WWW-Authenticate: ,'], false],
  [['Authorization: NTLM x', 'X-Authenticate: NTLM'], false],
])('a challenge of %j is one of a connection: %s', (lines, expected) => {
  const head = withFields(...lines)
  expect(head.bindsConnection).toBe(expected)
  head.parse('HTTP/1.1 200 OK\r\n\r\n')
  expect(head.bindsConnection).toBe(false)
})

test('a head of exactly the limit is read, one more byte is too many', () => {
  const sized = (bytes: number) => `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(bytes - 24)}\r\n\r\n`
  expect(read(sized(2_000)).end).toBe(2_000)
  expect(read(sized(2_001)).end).toBe(-1)
  expect(read(sized(3_000).slice(0, 2_000)).end).toBe(0)
  expect(read(sized(3_000).slice(0, 2_001)).end).toBe(-1)
})
