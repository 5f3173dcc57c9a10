/** The one form of hosts, addresses and paths. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { asciiHost, canonicalHost } from '../../src/table/host.ts'
import { canonicalAddress, canonicalIPv6, wordsOf } from '../../src/table/network.ts'
import { canonicalPath, canonicalRoutePath, withUpperEscapes } from '../../src/table/path.ts'

test.each([
  ['Shop.Example.COM', 'shop.example.com'],
  ['shop.example.com.', 'shop.example.com'],
  ['localhost.', 'localhost'],
  ['127.0.0.1.', '127.0.0.1'],
  ['[0:0:0:0:0:0:0:1]', '[::1]'],
  ['[2001:DB8::0:1]', '[2001:db8::1]'],
  ['[::ffff:1.2.3.4]', '[::ffff:102:304]'],
  // Not names: they stay, and no route has them.
  ['.', '.'],
  ['a..', 'a..'],
  ['', ''],
  ['[::1', '[::1'],
])('the host %j is %j', (text, expected) => {
  expect(canonicalHost(text)).toBe(expected)
  expect(canonicalHost(expected)).toBe(expected)
})

test.each([
  ['größe.example', 'xn--gre-6ka8i.example'],
  ['GRÖSSE.example', 'xn--grsse-kua.example'],
  ['例え。テスト', 'xn--r8jz45g.xn--zckzah'],
  ['ASCII.example', 'ASCII.example'],
  ['größe/x', null],
  ['größe@x', null],
  ['größe:80', null],
  ['gr öße', null],
  ['größe\\x', null],
  ['\u00ad', null],
])('a client sends the host %j as %j', (text, expected) => {
  expect(asciiHost(text)).toBe(expected)
})

test('an IPv6 address has one spelling, whatever it is', () => {
  expect(canonicalIPv6('1:0:0:2:0:0:0:3')).toBe('1:0:0:2::3')
  expect(canonicalIPv6('1:0:2:0:3:0:4:0')).toBe('1:0:2:0:3:0:4:0')
  expect(canonicalIPv6('::')).toBe('::')
  expect(canonicalIPv6('1::')).toBe('1::')
  expect(canonicalIPv6('fe80::1%eth0')).toBe(null)
  expect(canonicalIPv6('1.2.3.4')).toBe(null)
  const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(groups, (parts) => {
      const long = parts.map((part) => part.toString(16).padStart(4, '0')).join(':')
      const short = canonicalIPv6(long) ?? ''
      expect(wordsOf(short)).toEqual(wordsOf(long))
      expect(`[${short}]`).toBe(new URL(`http://[${long}]/`).hostname)
    }),
  )
})

test('a client address has one spelling', () => {
  for (const text of ['10.0.0.1', '::ffff:10.0.0.1', '::FFFF:a00:1', '0:0:0:0:0:ffff:10.0.0.1']) {
    expect(canonicalAddress(text)).toBe('10.0.0.1')
  }
  expect(canonicalAddress('2001:DB8:0::1')).toBe('2001:db8::1')
  expect(canonicalAddress('fe80::1%eth0')).toBe('fe80::1')
  expect(canonicalAddress('255.255.255.255')).toBe('255.255.255.255')
  expect(canonicalAddress('none')).toBe('none')
})

test.each([
  ['/café', '/caf%C3%A9'],
  ['/caf%c3%a9', '/caf%C3%A9'],
  ['/a b\x01\x7f', '/a%20b%01%7F'],
  ['/%41%zz%', '/%41%zz%'],
  ['/x?q=č', '/x?q=%C4%8D'],
  ['/\ud800', '/%EF%BF%BD'],
])('a client sends the path %j as %j', (text, expected) => {
  expect(canonicalPath(text)).toBe(expected)
  expect(canonicalPath(expected)).toBe(expected)
  expect(withUpperEscapes(expected)).toBe(expected)
})

test.each([
  ['/', '/'],
  ['/api/', '/api'],
  ['/api//', '/api'],
  ['//', '/'],
  ['/a//b/', '/a//b'],
])('the route %j is %j', (text, expected) => expect(canonicalRoutePath(text)).toBe(expected))
