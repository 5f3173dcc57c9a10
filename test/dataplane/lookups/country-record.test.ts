/** What a record of a database of countries says, read in place: as its own decoder reads it, and in bounded time whatever is damaged. */
import fc from 'fast-check'
import { type CountryResponse, Reader } from 'maxmind'
import { expect, test } from 'vitest'
import { Countries, loadCountries } from '../../../src/dataplane/lookups/countries.ts'
import { CountryRecords } from '../../../src/dataplane/lookups/country-record.ts'
import { mmdbOf } from '../../helpers/mmdb.ts'

const octets = (...parts: readonly (number | string | Uint8Array)[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'number' ? Buffer.from([part]) : Buffer.from(part as string & Uint8Array))),
  )
const text = (value: string): Buffer => octets((2 << 5) | value.length, value)
const long = (value: string): Buffer => octets((2 << 5) | 29, value.length - 29, value)
const map = (...entries: readonly (readonly [key: Buffer, value: Buffer])[]): Buffer =>
  octets((7 << 5) | entries.length, ...entries.flat())
/** To an offset below 2048. */
const pointer = (to: number): Buffer => octets((1 << 5) | (to >> 8), to & 255)
const wide = (to: number): Buffer => octets((1 << 5) | (3 << 3), 0, 0, to >> 8, to & 255)
const extended = (type: number, size: number, ...content: number[]): Buffer => octets(size, type - 7, ...content)

const codeIn = (...values: readonly Buffer[]) => new CountryRecords(Buffer.concat(values), 0).codeAt(0)

const iso = (value: Buffer) => map([text('iso_code'), value])

test.each<[string, string | null, Buffer]>([
  ['a country', 'DE', map([text('country'), iso(text('DE'))])],
  ['a flat code', 'AT', map([text('country'), text('Austria')], [text('country_code'), text('AT')])],
  [
    'what stands before it, of every type',
    'FR',
    map(
      [text('city'), map([text('names'), map([text('en'), long('x'.repeat(40))])])],
      [text('location'), map([text('latitude'), octets((3 << 5) | 8, new Uint8Array(8))])],
      [text('geoname_id'), octets((6 << 5) | 3, 1, 2, 3)],
      [text('eu'), extended(14, 1)],
      [text('subdivisions'), extended(11, 2, ...text('a'), ...map([text('b'), text('c')]))],
      [text('country'), map([text('names'), map([text('de'), text('Frankreich')])], [text('iso_code'), text('FR')])],
    ),
  ],
  ['a country that is empty', null, map([text('country'), map()], [text('country_code'), text('AT')])],
  ['a code that is a number', null, map([text('country'), iso(octets((6 << 5) | 2, 65, 66))])],
  ['a code that is longer', null, map([text('country'), iso(text('DEU'))])],
  ['no map', null, text('DE')],
  ['nothing', null, Buffer.alloc(0)],
])('of %s the code is %s', (_, code, record) => {
  expect(codeIn(record)).toBe(code)
})

test('pointers lead to keys and values, narrow and wide', () => {
  const country = map([wide(60), text('SE')])
  const record = octets((7 << 5) | 2, text('x'), text('y'), pointer(70), pointer(80))
  const all = Buffer.alloc(120)
  record.copy(all)
  text('iso_code').copy(all, 60)
  text('country').copy(all, 70)
  country.copy(all, 80)
  expect(codeIn(all)).toBe('SE')
})

/** Each would cost a decoder seconds, all memory, or its stack. */
test.each<[string, Buffer]>([
  ['a pointer to itself', pointer(0)],
  ['pointers in a ring', octets(pointer(2), pointer(0))],
  ['a map that is its own country', octets((7 << 5) | 1, text('country'), pointer(0))],
  ['16 million pairs', octets((7 << 5) | 31, 0xff, 0xff, 0xff, new Uint8Array(1_000_000).fill(0x40))],
  ['arrays within arrays', Buffer.alloc(1_000_000, octets(31, 4, 0xff, 0xff, 0xff))],
  ['maps within maps', Buffer.alloc(1_000_000, (7 << 5) | 28)],
  ['keys that lead to each other', Buffer.alloc(1_000_000, octets((7 << 5) | 28, pointer(0)))],
])('of a record that is %s nothing is known, at once', (_, record) => {
  const times = Array.from({ length: 5 }, () => {
    const began = performance.now()
    expect(codeIn(record)).toBeNull()
    return performance.now() - began
  })
  expect(Math.min(...times)).toBeLessThan(50)
})

test('whatever the octets are, there is a code of two octets or none', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(220), fc.nat(220), (bytes, start, offset) => {
      const code = new CountryRecords(bytes, start).codeAt(offset)
      expect(code === null || code.length === 2).toBe(true)
    }),
  )
})

test('a database with any octet changed answers as its own decoder does, or as before it was changed, or knows nothing', async () => {
  await loadCountries()
  const whole = mmdbOf({ '198.51.100.0/24': 'AT', '2001:db8::/32': 'FR', '10.0.0.0/8': 'DE' })
  const addresses = ['198.51.100.7', '10.2.3.4', '192.0.2.1', '2001:db8::1', '::1']
  const damaged = (at: number, octet: number) => {
    const bytes = Buffer.from(new SharedArrayBuffer(whole.length))
    whole.copy(bytes)
    bytes[at] = octet
    return bytes
  }
  const decoded = (bytes: Buffer, address: string): unknown => {
    try {
      const found = new Reader<CountryResponse>(bytes).get(address)?.country?.iso_code as unknown
      return typeof found === 'string' && /^[A-Za-z][A-Za-z0-9]$/.test(found) ? found.toUpperCase() : null
    } catch {
      return null
    }
  }
  const dataEnd = whole.lastIndexOf(Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'))
  fc.assert(
    fc.property(fc.nat(dataEnd - 1), fc.nat(255), (at, octet) => {
      const bytes = damaged(at, octet)
      const countries = new Countries(bytes.buffer as unknown as SharedArrayBuffer)
      for (const address of addresses) {
        const code = countries.of(address)
        // The decoder reads all of a record, also what is broken behind the code.
        if (code !== null && code !== 'XX') expect([decoded(bytes, address), decoded(whole, address)]).toContain(code)
      }
    }),
  )
})
