/** Which answers a shared cache may keep, so that nothing personal stands beside them. On the wire: test/e2e/sticky.test.ts. */
import { describe, expect, test } from 'vitest'
import { Fields } from '../../../src/dataplane/http1/fields.ts'
import { mayBeShared } from '../../../src/dataplane/http1/shared-caching.ts'

const DATE = 'Date: Fri, 27 Nov 2026 10:00:00 GMT'

function shared(lines: readonly string[], status = 200): boolean {
  const fields = new Fields(16)
  expect(fields.read(`${lines.map((line) => `${line}\r\n`).join('')}\r\n`, 0)).toBeGreaterThan(0)
  return mayBeShared(status, fields)
}

describe('a shared cache may keep', () => {
  test.each([
    ['Cache-Control: public'],
    ['Cache-Control: public, immutable, max-age=31536000'],
    ['cache-control:PUBLIC ,x'],
    ['Cache-Control: max-age=60'],
    ['Cache-Control: max-age="60"'],
    ['Cache-Control: s-maxage=60, max-age=0'],
    ['Cache-Control: max-age=0, stale-while-revalidate=30'],
    ['Cache-Control: max-age=0, stale-if-error=30'],
    ['Cache-Control: immutable'],
    ['Cache-Control: public, no-cache'],
    ['Cache-Control: public, max-age=0, must-revalidate'],
    // About these fields only, RFC 9111 5.2.2.4 and 5.2.2.7.
    ['Cache-Control: max-age=60, private="x-user, y"'],
    ['Cache-Control: max-age=60, no-cache="x-user"'],
    ['Cache-Control: x="private", max-age=60'],
    ['Cache-Control: x="a\\", private, ", max-age=60'],
    ['Cache-Control: must-understand, no-store, max-age=60'],
    ['Cache-Control: x', 'Cache-Control: public'],
    [DATE, 'Expires: Fri, 27 Nov 2026 10:00:01 GMT'],
    [DATE, 'Expires: Tue, 01 Dec 2026 00:00:00 GMT'],
    ['Expires: Tue, 01 Dec 2026 00:00:00 GMT'],
    // The forms of RFC 850 and of asctime, which RFC 9110 5.6.7 has everybody read.
    [DATE, 'Expires: Tuesday, 01-Dec-26 00:00:00 GMT'],
    [DATE, 'Expires: Tue Dec  1 00:00:00 2026'],
    ['Date: Fri Nov 27 10:00:00 2026', 'Expires: Friday, 27-Nov-26 10:00:01 GMT'],
    ['Cache-Control: private', 'CDN-Cache-Control: max-age=60'],
    ['Cache-Control: no-store', 'Cloudflare-CDN-Cache-Control: public'],
    ['Cache-Control: no-store', 'Surrogate-Control: content="ESI/1.0", max-age=60'],
    ['Cache-Control: public', 'CDN-Cache-Control: no-store'],
  ])('%s %s', (...lines) => expect(shared(lines)).toBe(true))
})

describe('no shared cache keeps', () => {
  test.each([
    ['X: 1'],
    ['Cache-Control: private, max-age=60'],
    ['Cache-Control: no-store'],
    ['Cache-Control: public, private'],
    ['Cache-Control: max-age=60', 'Cache-Control: private'],
    ['Cache-Control: max-age=0'],
    ['Cache-Control: no-cache, max-age=60'],
    ['Cache-Control: max-age=x'],
    ['Cache-Control: max-age'],
    ['Cache-Control: publicity, x-public'],
    ['Cache-Control: x="public"'],
    ['X-Cache-Control: public'],
    [DATE, 'Expires: Fri, 27 Nov 2026 10:00:00 GMT'],
    [DATE, 'Expires: Thu, 19 Nov 1981 08:52:00 GMT'],
    [DATE, 'Expires: 0'],
    [DATE, 'Expires: Thursday, 19-Nov-81 08:52:00 GMT'],
    [DATE, 'Expires: Fri Nov 27 10:00:00 2026'],
    ['Date: Friday, 27-Nov-26 10:00:00 GMT', 'Expires: Fri Nov 27 10:00:00 2026'],
    [DATE, 'Expires: Fri Xyz 27 10:00:00 2027'],
    [DATE, 'Expires: Fri, 27 Xyz 2027 10:00:00 GMT'],
    ['Cache-Control: max-age=0', 'Expires: Tue, 01 Dec 2026 00:00:00 GMT'],
    ['Cache-Control: no-cache', 'Expires: Tue, 01 Dec 2026 00:00:00 GMT'],
    ['CDN-Cache-Control: no-store, max-age=60'],
    ['Surrogate-Control: max-age=0'],
  ])('%s %s', (...lines) => expect(shared(lines)).toBe(false))
})

test('a 304 refreshes what is kept, so it counts as kept unless it says that nobody may', () => {
  expect(shared(['ETag: "a"'], 304)).toBe(true)
  expect(shared(['Cache-Control: max-age=0'], 304)).toBe(true)
  expect(shared(['Cache-Control: private'], 304)).toBe(false)
  expect(shared(['Cache-Control: no-store'], 304)).toBe(false)
})

test('a long list is read in linear time', () => {
  for (const piece of [',', '"', '\\', 'a="', ' ', 'a,', '=']) {
    const fields = new Fields(4)
    fields.read(`Cache-Control: ${piece.repeat(1_000_000)}\r\n\r\n`, 0)
    expect(mayBeShared(200, fields)).toBe(false)
  }
})
