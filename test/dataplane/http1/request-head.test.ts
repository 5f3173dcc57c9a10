/** What a request head is understood to say. What is refused, and why, is in corpus.ts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RequestHead } from '../../../src/dataplane/http1/request-head.ts'
import { bulk } from '../../helpers/bulk.ts'
import { anyCodePoint } from '../../helpers/code-point.ts'

const parsed = (text: string, bytesMax = 32_768, fieldsMax = 128) => {
  const head = new RequestHead(bytesMax, fieldsMax)
  const end = head.parse(text)
  return { head, end }
}
const withFields = (version: string, ...lines: string[]) =>
  parsed(`GET / HTTP/${version}\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`).head

test.each([
  ['GET /a/b?c=d HTTP/1.1', 'Shop.Example:81', '/a/b?c=d', '/a/b', 'Shop.Example:81', 'shop.example'],
  ['GET http://X.y:82/p?q HTTP/1.1', 'a', '/p?q', '/p', 'X.y:82', 'x.y'],
  ['GET https://x HTTP/1.1', 'a', '/', '/', 'x', 'x'],
  ['OPTIONS * HTTP/1.1', 'a', '*', '*', 'a', 'a'],
  ['OPTIONS http://x HTTP/1.1', 'a', '*', '*', 'x', 'x'],
  ['GET / HTTP/1.1', '[2001:DB8::1]:8080', '/', '/', '[2001:DB8::1]:8080', '[2001:db8::1]'],
  ['GET /? HTTP/1.1', 'a', '/?', '/', 'a', 'a'],
])('%s of %s', (line, host, target, path, authority, name) => {
  const { head, end } = parsed(`${line}\r\nHost: ${host}\r\n\r\n`)
  expect(end).toBeGreaterThan(0)
  expect({ target: head.target, path: head.path }).toEqual({ target, path })
  expect({ authority: head.authority, host: head.host }).toEqual({ authority, host: name })
})

describe('a connection stays open', () => {
  test.each([
    ['1.1', [], true],
    ['1.1', ['Connection: close'], false],
    ['1.1', ['Connection: keep-alive'], true],
    ['1.1', ['Connection: Keep-Alive, CLOSE'], false],
    ['1.1', ['Connection: x', 'Connection: close'], false],
    ['1.1', ['Connection: closed'], true],
    ['1.1', ['Connection: "close"'], true],
    ['1.0', [], false],
    ['1.0', ['Connection: keep-alive'], true],
    ['1.0', ['Connection: keep-alive, close'], false],
    ['1.0', ['Connection: close', 'Connection: keep-alive'], false],
    ['1.0', ['Connection: x,\t keep-alive \t'], true],
    ['1.0', ['Connection: \xa0keep-alive'], false],
    ['1.0', ['Connection: keep-alive\xa0, x'], false],
    ['1.0', ['Keep-Alive: timeout=5'], false],
  ])('HTTP/%s with %j: %s', (version, lines, expected) => {
    expect(withFields(version, ...lines).keepAlive).toBe(expected)
  })
})

describe('an upgrade', () => {
  test.each([
    [['Connection: upgrade', 'Upgrade: websocket'], 'websocket'],
    [['Connection: keep-alive, Upgrade', 'Upgrade: websocket'], 'websocket'],
    [['Connection: upgrade', 'Upgrade: a/1', 'Upgrade: b/2'], 'a/1,b/2'],
    [['Upgrade: websocket'], ''],
    [['Connection: upgrade\xa0', 'Upgrade: websocket'], ''],
    [['Connection: upgrade'], ''],
    [['Connection: upgrade', 'Upgrade: h2c'], ''],
    [['Connection: upgrade', 'Upgrade: websocket, H2C'], ''],
    [['Connection: upgrade', 'Upgrade: xh2cx'], ''],
    [['Connection: upgrade', 'Upgrade: h2'], ''],
    [['Connection: upgrade', 'Upgrade: H2-16'], ''],
    [['Connection: upgrade', 'Upgrade: HTTP/2.0'], ''],
    [['Connection: upgrade', 'Upgrade: websocket', 'Upgrade: http/2'], ''],
    [['Connection: upgrade', 'Upgrade: TLS/1.0, HTTP/1.1'], ''],
    [['Connection: upgrade', 'Upgrade: tcp'], 'tcp'],
  ])('of %j is %j', (lines, expected) => {
    expect(withFields('1.1', ...lines).upgrade).toBe(expected)
  })

  test('is not for HTTP/1.0', () => {
    expect(withFields('1.0', 'Connection: upgrade', 'Upgrade: websocket').upgrade).toBe('')
  })
})

describe('credentials', () => {
  test.each([
    ['Authorization: NTLM TlRMTVNTUAABAAAA', true],
    ['authorization:\tnegotiate YII=', true],
    ['Authorization: NEGOTIATE', true],
    ['Proxy-Authorization: Ntlm x', true],
    ['Authorization: Kerberos YII=', true],
    ['Authorization: CredSSP x', true],
    ['Authorization: Basic TlRMTQ==', false],
    ['Authorization: Bearer Negotiate', false],
    ['Authorization: NTLMv3 x', false],
    ['Authorization: Negotiat e', false],
    ['Authorization:', false],
    ['X-Authorization: NTLM x', false],
    ['WWW-Authenticate: NTLM', false],
  ])('of %j are those of a connection: %s', (line, expected) => {
    expect(withFields('1.1', line).bindsConnection).toBe(expected)
  })
})

test('one object reads one head after the other, and keeps nothing of the last', () => {
  const head = new RequestHead(32_768, 128)
  head.parse(
    'POST /x HTTP/1.0\r\nHost: b\r\nConnection: x-a, upgrade\r\nUpgrade: q\r\nAuthorization: NTLM x\r\nContent-Length: 5\r\n\r\n',
  )
  expect(head.dropped?.has('x-a')).toBe(true)
  head.parse('PUT /y HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n')
  expect(head.chunked && head.expectContinue).toBe(true)
  expect(head.parse('GET / HTTP/1.1\r\nHost : a\r\n\r\n')).toBe(-1)
  expect(head.parse('GET / HTTP/1.1\r\nHost: a\r\n\r\n')).toBe(27)
  const { error, dropped, upgrade, contentLength, chunked, expectContinue, bindsConnection, keepAlive, minor } = head
  expect({
    error,
    dropped,
    upgrade,
    contentLength,
    chunked,
    expectContinue,
    bindsConnection,
    keepAlive,
    minor,
  }).toEqual({
    error: null,
    dropped: null,
    upgrade: '',
    contentLength: -1,
    chunked: false,
    expectContinue: false,
    bindsConnection: false,
    keepAlive: true,
    minor: 1,
  })
})

describe('limits', () => {
  const sized = (bytes: number) => {
    const frame = 'GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n'
    return frame.replace('X: ', `X: ${'x'.repeat(bytes - frame.length)}`)
  }

  test('a head of exactly the limit is read, one more byte is too many', () => {
    expect(parsed(sized(2_000), 2_000).end).toBe(2_000)
    expect(parsed(`${sized(2_000)}GET / HTTP/1.1\r\n`, 2_000).end).toBe(2_000)
    expect(parsed(sized(2_001), 2_000).head.error).toBe('head_too_large')
  })

  test('a head that is not complete is refused as soon as it can only be too large', () => {
    expect(parsed(sized(3_000).slice(0, 2_000), 2_000).end).toBe(0)
    expect(parsed(sized(3_000).slice(0, 2_001), 2_000).head.error).toBe('head_too_large')
    expect(parsed(`GET /${'x'.repeat(2_000)}`, 2_000).head.error).toBe('uri_too_long')
    expect(parsed('x'.repeat(2_001), 2_000).head.error).toBe('bad_request')
  })

  test('so many fields are read, one more is too many', () => {
    const fields = (count: number) => `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(count - 1)}\r\n`
    expect(parsed(fields(8), 2_000, 8).end).toBeGreaterThan(0)
    expect(parsed(fields(9), 2_000, 8).head.error).toBe('head_too_large')
  })

  test('what has too many names in Connection is refused, because every field is compared with them', () => {
    expect(withFields('1.0', `Connection: ${'keep-alive,'.repeat(90)}`).error).toBe(null)
    expect(withFields('1.0', `Connection: ${'keep-alive,'.repeat(100)}`).error).toBe('head_too_large')
    expect(withFields('1.1', ...Array(100).fill('Connection: x-abcdefgh')).error).toBe('head_too_large')
  })
})

test('no text makes it throw, or say that it has read more than there is', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'GET ',
      '/',
      ' HTTP/1.1',
      '\r\n',
      'Host: a',
      ':',
      ' ',
      '\r',
      '\n',
      'Connection: ',
      'http://',
      '[',
      ']',
    ),
    fc.string({ unit: anyCodePoint, maxLength: 5 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const text = Buffer.from(pieces.join(''), 'latin1').toString('latin1')
      const { head, end } = parsed(text)
      expect(end).toBeLessThanOrEqual(text.length)
      if (end < 0) expect(head.error).not.toBe(null)
      if (end > 0) expect(text.slice(end - 4, end)).toBe('\r\n\r\n')
    }),
    { numRuns: bulk(1_500, 5_000), seed: 11 },
  )
})
