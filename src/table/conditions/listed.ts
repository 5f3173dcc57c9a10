/**
 * Conditions by lists: visitors by their key, as the service's sources find it, and client addresses (after trusted proxies) by
 * networks and by country. An empty list has nobody in it. Of a file only the name stands in a plan: whoever has the request in view looks it up.
 */
import type { Static } from 'typebox'
import { networkOf } from '../../config/address.ts'
import { checkNetworks, checkVisitors } from '../../config/check-condition.ts'
import { child } from '../../config/pointer.ts'
import { closed } from '../../config/schema-parts.ts'
import { Type } from '../../config/type.ts'
import { countryOf } from '../country.ts'
import { inNetworks, knownNetwork } from '../network.ts'
import { octetsOfText } from '../octets.ts'
import type { Kind } from './kind.ts'

/** Visitors by name, or by a file with many of them. */
type VisitorSpec = string[] | { file: string }
type VisitorAsks = readonly string[] | { readonly file: string }

const FILE_LENGTH_MAX = 1_024
const isList = (spec: VisitorAsks): spec is readonly string[] => Array.isArray(spec)

/** Visitors by name. */
export const visitor = {
  schema: Type.Union(
    [
      Type.Array(Type.String(), { description: 'The visitor key is one of these.' }),
      closed(
        {
          file: Type.String({
            pattern: '^[^\\0]+$',
            title: 'the path of a file',
            maxLength: FILE_LENGTH_MAX,
            description:
              'File with a key in each line, relative to the config file, which has to name it; read again when it changes.',
          }),
        },
        { description: 'The visitor key stands in this file.' },
      ),
    ],
    { description: 'The visitor key is one of these, or stands in this file.' },
  ),
  check(report, at, spec, { sources }) {
    if (isList(spec)) checkVisitors(report, at, spec, sources)
  },
  plan: (spec) => [isList(spec) ? spec.map(octetsOfText) : spec],
  keys: (asks) => ({
    filings: [
      isList(asks) ? { space: 'visitor', name: '', values: asks } : { space: 'file', name: '', values: [asks.file] },
    ],
    whole: true,
  }),
  compile(asks) {
    if (!isList(asks)) {
      const { file } = asks
      return { holds: (view, key) => key !== null && view.isListed(file, key) }
    }
    const visitors = new Set(asks)
    return { holds: (_view, key) => key !== null && visitors.has(key) }
  },
  words: (asks) => (isList(asks) ? `${asks.length} named visitors` : `visitor in ${asks.file}`),
  needs: (spec) => (isList(spec) ? [] : [{ pointer: '/file', kind: 'visitors', name: spec.file }]),
  examples: [
    { spec: ['u-1', 'u-17'], held: { headers: { 'x-user': 'u-17' } }, failed: { headers: { 'x-user': 'u-2' } } },
    {
      spec: { file: './testers.txt' },
      held: { headers: { 'x-user': 'Žofie 3' } },
      failed: { headers: { 'x-user': 'Žofie' } },
      files: { './testers.txt': '# testers\nu-3\r\n  Žofie 3' },
    },
  ],
} satisfies Kind<VisitorSpec, VisitorAsks>

const cidrSchema = Type.Array(Type.String(), { description: 'The client address is in one of these networks.' })

/** Client addresses by network. */
export const cidr = {
  schema: cidrSchema,
  check: (report, at, spec) => checkNetworks(report, at, spec),
  plan: (spec) => [spec.map(networkOf)],
  keys: (list) => ({ filings: [{ space: 'network', name: '', values: list }], whole: true }),
  compile(list) {
    const networks = list.map(knownNetwork)
    return { holds: ({ address }) => inNetworks(networks, address) }
  },
  words: (list) => `addresses in ${list.join(', ')}`,
  examples: [{ spec: ['10.0.0.0/8', '2001:db8::/32'], held: { ip: '10.1.2.3' }, failed: { ip: '11.1.2.3' } }],
} satisfies Kind<Static<typeof cidrSchema>, readonly string[]>

const countrySchema = Type.Array(
  Type.String({ pattern: '^[A-Za-z][A-Za-z0-9]$', title: 'a country by its two letters, such as DE' }),
  {
    description:
      'The client is in one of these countries, by ISO 3166-1 alpha-2; one whose country is not known is in none.',
  },
)

/** Countries of client addresses, as a trusted proxy or a database tells. */
export const country = {
  schema: countrySchema,
  check(report, at, spec) {
    for (const [index, text] of spec.entries()) {
      if (report.sound(child(at, index)) && countryOf(text) === null)
        report.add(
          child(at, index),
          `no client is in ${JSON.stringify(text)}, which stands for a country that is not known`,
        )
    }
  },
  plan: (spec) => [spec.map((text) => text.toUpperCase())],
  keys: (list) => ({ filings: [{ space: 'country', name: '', values: list }], whole: true }),
  compile(list) {
    const countries = new Set(list)
    return {
      holds(view) {
        const country = view.country()
        return country !== null && countries.has(country)
      },
    }
  },
  words: (list) => `a client in ${list.join(', ')}`,
  needs: () => [{ pointer: '', kind: 'countries', name: '' }],
  examples: [
    { spec: ['at', 'DE'], held: { headers: { 'x-country': 'de' } }, failed: { headers: { 'x-country': 'FR' } } },
    {
      spec: ['AT'],
      held: { ip: '198.51.100.7' },
      failed: { ip: '203.0.113.7' },
      countries: { '198.51.100.0/24': 'AT', '203.0.113.0/24': 'FR' },
    },
  ],
} satisfies Kind<Static<typeof countrySchema>, readonly string[]>
