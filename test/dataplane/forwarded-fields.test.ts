/** Whom we believe about the client, and what the target is told of it: at the level of fields. Over sockets: test/e2e. */
import { describe, expect, test } from 'vitest'
import { TrustedProxies } from '../../src/dataplane/downstream/trust.ts'
import { Fields } from '../../src/dataplane/http1/fields.ts'
import { extendedLines, forwardedLines, tellsOfClient } from '../../src/dataplane/http1/forwarded.ts'

const fieldsOf = (...lines: string[]) => {
  const fields = new Fields(64)
  expect(fields.read(`${lines.map((line) => `${line}\r\n`).join('')}\r\n`, 0)).toBeGreaterThan(0)
  return fields
}

describe('the client behind trusted proxies', () => {
  const trusted = new TrustedProxies(['10.0.0.0/8', '192.168.1.1', 'fd00::/8'])

  test.each([
    ['none', [], '10.0.0.1'],
    ['one', ['X-Forwarded-For: 1.2.3.4'], '1.2.3.4'],
    ['the rightmost that is no proxy', ['X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.9.9.9'], '1.2.3.4'],
    [
      'over several fields',
      ['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-For: 1.2.3.4', 'x-forwarded-for: 10.2.3.4'],
      '1.2.3.4',
    ],
    ['all proxies: the first', ['X-Forwarded-For: 10.1.1.1, 10.2.2.2'], '10.1.1.1'],
    ['with a port', ['X-Forwarded-For: 1.2.3.4:5678'], '1.2.3.4'],
    ['IPv6', ['X-Forwarded-For: 2001:db8::1, fd00::2'], '2001:db8::1'],
    ['IPv6 in brackets with a port', ['X-Forwarded-For: [2001:db8::1]:80'], '2001:db8::1'],
    ['no address: the last known', ['X-Forwarded-For: 1.2.3.4, unknown, 10.2.2.2'], '10.2.2.2'],
    ['an odd blank: the last known', ['X-Forwarded-For: 1.2.3.4,\u00a010.3.3.3, \t10.2.2.2\t '], '10.2.2.2'],
    ['an empty element: the last known', ['X-Forwarded-For: 1.2.3.4, , 10.2.2.2'], '10.2.2.2'],
    ['broken brackets', ['X-Forwarded-For: [::1'], '10.0.0.1'],
    ['a chain without end: nobody', [`X-Forwarded-For: ${'1.2.3.4,'.repeat(40)}1.2.3.4`], '10.0.0.1'],
  ])('%s', (_name, lines, expected) => {
    expect(trusted.clientOf(fieldsOf(...lines), '10.0.0.1')).toBe(expected)
  })

  test('nobody is trusted unless told', () => {
    expect(new TrustedProxies([]).has('127.0.0.1')).toBe(false)
    expect(trusted.has('10.255.0.1')).toBe(true)
    expect(trusted.has('11.0.0.1')).toBe(false)
    expect(trusted.has('no address')).toBe(false)
  })
})

test('a connection tells its own facts', () => {
  expect(forwardedLines('1.2.3.4', false, 'a:80')).toBe(
    'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a:80\r\n' +
      'Forwarded: for=1.2.3.4;host="a:80";proto=http\r\n',
  )
  expect(forwardedLines('2001:db8::1', true, '')).toBe(
    'X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: https\r\nForwarded: for="[2001:db8::1]";proto=https\r\n',
  )
})

test('what a trusted proxy says is extended', () => {
  const fields = fieldsOf(
    'X-Forwarded-For: 6.6.6.6',
    'X-Forwarded-For: 1.2.3.4',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: shop.example',
    'Forwarded: for=1.2.3.4',
  )
  expect(extendedLines(fields, '10.0.0.1', false, 'a')).toBe(
    'X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n' +
      'Forwarded: for=1.2.3.4, for=10.0.0.1;host="a";proto=http\r\n',
  )
})

test('of a trusted proxy that tells of nobody, the connection tells the same as of any client', () => {
  const fields = fieldsOf('Host: a', 'X-Real-IP: 6.6.6.6', 'Accept: */*')
  expect(tellsOfClient(fields)).toBe(false)
  expect(extendedLines(fields, '10.0.0.1', true, 'a')).toBe(forwardedLines('10.0.0.1', true, 'a'))
})

test.each(['Forwarded: for=1.2.3.4', 'X-Forwarded-For: 1.2.3.4', 'X-Forwarded-Proto: https', 'x-forwarded-host: b'])(
  'a proxy tells of a client by any of the four fields: %s',
  (line) => {
    const fields = fieldsOf('Host: a', line)
    expect(tellsOfClient(fields)).toBe(true)
    expect(extendedLines(fields, '10.0.0.1', false, 'a')).not.toBe(forwardedLines('10.0.0.1', false, 'a'))
  },
)

test('what it does not say is what the connection shows', () => {
  expect(extendedLines(fieldsOf(), '10.0.0.1', true, 'a')).toBe(forwardedLines('10.0.0.1', true, 'a'))
})

describe('Forwarded of a trusted proxy', () => {
  const OWN = 'for=10.0.0.1;host="a";proto=http'
  const forwardedOf = (...values: string[]) => {
    const lines = extendedLines(fieldsOf(...values.map((value) => `Forwarded: ${value}`)), '10.0.0.1', false, 'a')
    return /^Forwarded: (.*)\r$/m.exec(lines)?.[1]
  }

  test.each([
    'for=1.2.3.4',
    'For="[2001:db8::1]:80";proto=https;by=_x',
    'for=1.2.3.4, for="_a, b;c"',
    'for="a\\"b"',
    'for=""',
    'for=a;;proto=http ; host=b\t,, for=c,',
    'for=[::1]:80',
    'for=1.2.3.4:80',
    ',',
    'a="\xe4"',
  ])('is extended when it is well-formed: %s', (value) => {
    expect(forwardedOf(value)).toBe(`${value}, ${OWN}`)
  })

  test.each([
    'for="1.1.1.1',
    'for="1.1.1.1\\"',
    'for="1.1.1.1\\',
    'for=1.1.1.1, for="',
    'for="a"b',
    'for=a"b"',
    'for=a b',
    'for = a',
    'for= a',
    'for=',
    'for',
    '=a',
    '"for"=a',
    'for=a\\',
    'for=\xe4',
    'for=a=b',
  ])('is replaced when it is malformed: %s', (value) => {
    expect(forwardedOf(value)).toBe(OWN)
    expect(forwardedOf('for=b', value)).toBe(OWN)
  })

  test('is not well-formed by what stands in another field', () => {
    expect(forwardedOf('for="a', 'b"')).toBe(OWN)
  })

  test('is read in linear time', () => {
    for (const piece of ['a', 'for=a,', 'for="a\\"', ' ', ';', 'a="', 'a=[']) {
      const fields = new Fields(8)
      fields.read(`Forwarded: ${piece.repeat(1_000_000)}\r\n\r\n`, 0)
      expect(extendedLines(fields, '10.0.0.1', false, 'a')).toContain(OWN)
    }
  })
})
