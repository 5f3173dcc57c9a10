/** One name, many spellings: what people write in the config has one form, and what has none is refused in words. */
import { describe, expect, test } from 'vitest'
import { parseListenAddress, parseRouteHost, parseTarget } from '../../src/config/address.ts'
import { checkServices, validateService } from '../../src/config/check.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'

const target = (text: string) => {
  const parsed = parseTarget(text)
  return 'bad' in parsed ? parsed.bad : parsed.url
}
const routeHost = (text: string) => {
  const parsed = parseRouteHost(text)
  return 'bad' in parsed ? parsed.bad : parsed.host
}

function spec(changes: object): ServiceSpec {
  const checked = validateService({ routes: [{}], pools: { blue: { targets: ['http://a'] } }, ...changes })
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  return checked.spec
}

const faults = (changes: object): string[] => {
  const checked = validateService({ routes: [{}], pools: { blue: { targets: ['http://a'] } }, ...changes })
  return 'faults' in checked ? checked.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []
}

describe('a target', () => {
  test.each([
    ['http://x.svc.cluster.local.:80', 'http://x.svc.cluster.local.:80'],
    ['http://X.Svc.Cluster.Local.', 'http://x.svc.cluster.local.:80'],
    ['http://größe.example', 'http://xn--gre-6ka8i.example:80'],
    ['http://größe.example.:81', 'http://xn--gre-6ka8i.example.:81'],
    ['https://a', 'https://a:443'],
    ['https://a:443/', 'https://a:443'],
    ['http://a:0080', 'http://a:80'],
    ['http://[0:0:0:0:0:0:0:1]:81', 'http://[::1]:81'],
    ['http://[::FFFF:127.0.0.1]', 'http://[::ffff:7f00:1]:80'],
    ['http://127.0.0.1.:80', 'http://127.0.0.1:80'],
  ])('%s is %s', (text, expected) => {
    expect(target(text)).toBe(expected)
    expect(target(expected)).toBe(expected)
  })

  test.each([
    ['http://127.1:80', '"127.1" is not a host name or address: write 127.0.0.1'],
    ['http://0x7f.1', '"0x7f.1" is not a host name or address: write 127.0.0.1'],
    ['http://0x7f000001', '"0x7f000001" is not a host name or address: write 127.0.0.1'],
    ['http://2130706433', '"2130706433" is not a host name or address: write 127.0.0.1'],
    ['http://010.0.0.1', '"010.0.0.1" is not a host name or address: write 8.0.0.1'],
    ['http://127.0.0.0x1', '"127.0.0.0x1" is not a host name or address: write 127.0.0.1'],
    ['http://a..', '"a.." is not a host name or address'],
    ['http://.', '"." is not a host name or address'],
    ['http://gr%C3%B6%C3%9Fe', '"gr%C3%B6%C3%9Fe" is not a host name or address'],
  ])('%s is refused', (text, expected) => {
    expect(target(text)).toBe(`${JSON.stringify(text)}: ${expected}`)
  })

  test('is one with and without the dot of a complete name', () => {
    const pools = { blue: { targets: ['http://a.'] }, green: { targets: ['http://A:80'] } }
    expect(faults({ pools, live: 'blue' })).toEqual([
      '/pools/green/targets/0 target http://a:80 is already in pool "blue"',
    ])
  })
})

describe('the host of a route', () => {
  test.each([
    ['EXAMPLE.com', 'example.com'],
    ['example.com.', 'example.com'],
    ['*.Example.com.', '*.example.com'],
    ['größe.example', 'xn--gre-6ka8i.example'],
    ['*.GRÖSSE.example', '*.xn--grsse-kua.example'],
    ['XN--GRE-6KA8I.example', 'xn--gre-6ka8i.example'],
    ['[0:0:0:0:0:0:0:1]', '[::1]'],
    ['127.0.0.1', '127.0.0.1'],
    ['*', '*'],
  ])('%s is %s', (text, expected) => {
    expect(routeHost(text)).toBe(expected)
    expect(routeHost(expected)).toBe(expected)
  })

  test.each([
    ['example.com:80', '"example.com:80": a route matches the host without its port'],
    ['::1', 'an IPv6 address needs brackets: [::1]'],
    ['127.1', '"127.1" is not a host: write 127.0.0.1'],
    ['0x7f.1', '"0x7f.1" is not a host: write 127.0.0.1'],
    ['*.127.0.0.1', '"*.127.0.0.1" is not a host: write a name, *.example.com, or * for any'],
    ['größe/x', '"größe/x" is not a host: write a name, *.example.com, or * for any'],
    ['http://a', '"http://a" is not a host: write a name, *.example.com, or * for any'],
  ])('%s is refused', (text, expected) => expect(routeHost(text)).toBe(expected))
})

test('a listener is on one address however it is written', () => {
  expect(parseListenAddress('[0:0:0:0:0:0:0:1]:80')).toEqual({ host: '::1', port: 80 })
  expect(parseListenAddress('LOCALHOST.:80')).toEqual({ host: 'localhost', port: 80 })
  expect(parseListenAddress(':80')).toEqual({ host: '', port: 80 })
})

test.each([
  [{ path: '/api' }, { path: '/api/' }],
  [{ path: '/api' }, { path: '/api//' }],
  [{ path: '/café' }, { path: '/caf%c3%a9/' }],
  [{ host: 'größe.example' }, { host: 'XN--GRE-6KA8I.example.' }],
  [{ host: '[::1]' }, { host: '[0:0::1]' }],
  [
    { host: '*.a', path: '/' },
    { host: '*.A.', path: '//' },
  ],
])('%j and %j are one route, and in two services a fault that names both', (one, other) => {
  const first = spec({ routes: [one] })
  expect(checkServices({ first, second: spec({ routes: [other] }) })).toEqual([
    { pointer: '/second/routes/0', message: 'service "first" has the same route already' },
  ])
  // As they were before they had one form.
  expect(
    checkServices({ first: { ...first, routes: [{ host: '*', path: '/', ...other }] }, second: first }),
  ).toHaveLength(1)
})

test('paths of probes are as they are sent, and so is their Host', () => {
  const { health } = spec({ health: { path: '/č?x=ž', host: 'größe.example:80' } })
  expect([health?.path, health?.host]).toEqual(['/%C4%8D?x=%C5%BE', 'xn--gre-6ka8i.example:80'])
})
