/**
 * Whom we believe about a client. Requests come from 127.0.0.1, which each test trusts or not, and, where the system has more
 * than one loopback address, from 127.0.0.2.
 */
import { expect, test } from 'vitest'
import { type Asking, see, startSeeing } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { rawRequest } from '../helpers/raw.ts'

const CHAIN = {
  'x-forwarded-for': '203.0.113.7, 10.1.2.3',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'www.shop.test',
  forwarded: 'for=203.0.113.7;proto=https',
}

async function startTrusting(
  trustedProxies: readonly string[],
  more: Record<string, unknown> = {},
): Promise<TestProxy> {
  const [blue, green] = [await startSeeing('blue'), await startSeeing('green')]
  const shop = service({ blue: [blue.url], green: [green.url] }, more)
  return startProxy({ workers: WORKERS, trustedProxies, services: { shop } })
}

/** The forwarded fields that the target sees: for, proto, host, and Forwarded. */
async function forwarded(proxy: TestProxy, asking: Asking): Promise<(string | undefined)[]> {
  const { headers } = await see(proxy.port, asking)
  const names = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded']
  return names.map((name) => headers[name]?.join(' | '))
}

const OWN = ['127.0.0.1', 'http', 'shop.test', 'for=127.0.0.1;host="shop.test";proto=http']

test('from anybody the forwarded fields are replaced by what the connection shows', async () => {
  const proxy = await startTrusting([])
  expect(await forwarded(proxy, { headers: { host: 'shop.test' } })).toEqual(OWN)
  expect(await forwarded(proxy, { headers: { host: 'shop.test', ...CHAIN } })).toEqual(OWN)
  const twice = { host: 'shop.test', 'X-Forwarded-For': ['1.1.1.1', '2.2.2.2'] }
  expect(await forwarded(proxy, { headers: twice })).toEqual(OWN)
})

const CLAIMS = {
  'x-forwarded': 'for=6.6.6.6',
  'x-forwarded-port': '6',
  'X-Forwarded-Server': 'evil',
  'x-forwarded-Prefix': '/evil',
  'x-forwarded-ssl': 'on',
  'x-forwarded-scheme': 'https',
  'x-forwarded-client-cert': 'evil',
  'x-forwarded-the-longest-that-anybody-has-seen': 'evil',
  'x-real-ip': '6.6.6.6',
  'X-Client-IP': '6.6.6.6',
  'x-cluster-client-ip': '6.6.6.6',
  'true-client-ip': '6.6.6.6',
  'cf-connecting-ip': '6.6.6.6',
  'fastly-client-ip': '6.6.6.6',
  'x-original-url': '/evil',
  'x-rewrite-url': '/evil',
}
const ORDINARY = { 'x-forward': '1', 'x-forwards-it': '1', 'x-reach-ip': '1', 'true-client-id': '1' }

test('other fields that tell of the client are dropped from anybody, and passed on from a trusted proxy', async () => {
  const names = [...Object.keys(CLAIMS), ...Object.keys(ORDINARY)].map((name) => name.toLowerCase())
  const seen = async (proxy: TestProxy, more = {}) => {
    const { headers } = await see(proxy.port, { headers: { host: 'shop.test', ...CLAIMS, ...ORDINARY, ...more } })
    return Object.keys(headers).filter((name) => names.includes(name.replaceAll('_', '-')))
  }
  expect(await seen(await startTrusting([]))).toEqual(Object.keys(ORDINARY))
  // A target may not tell `_` from `-`, so it is not told by them, whoever says it.
  const alike = { 'x_real-ip': '1', 'x-forwarded_port': '1', x_forwarded_whatever: '1' }
  expect(await seen(await startTrusting(['127.0.0.0/8']), alike)).toEqual(names)
  expect(await seen(await startTrusting([]), alike)).toEqual(Object.keys(ORDINARY))
})

test('from a trusted proxy they are extended by its address, and its word on scheme and host is kept', async () => {
  const proxy = await startTrusting(['127.0.0.0/8'])
  expect(await forwarded(proxy, { headers: { host: 'shop.test', ...CHAIN } })).toEqual([
    '203.0.113.7, 10.1.2.3, 127.0.0.1',
    'https',
    'www.shop.test',
    'for=203.0.113.7;proto=https, for=127.0.0.1;host="shop.test";proto=http',
  ])
  expect(await forwarded(proxy, { headers: { host: 'shop.test' } })).toEqual(OWN)
  const lines = { host: 'shop.test', 'X-Forwarded-For': ['1.1.1.1', '2.2.2.2'] }
  expect((await forwarded(proxy, { headers: lines }))[0]).toBe('1.1.1.1, 2.2.2.2, 127.0.0.1')
})

test.skipIf(process.platform !== 'linux')('on the same listener one peer is believed and another is not', async () => {
  const proxy = await startTrusting(['127.0.0.1/32'])
  const headers = { host: 'shop.test', 'x-forwarded-for': '203.0.113.7' }
  expect((await forwarded(proxy, { headers }))[0]).toBe('203.0.113.7, 127.0.0.1')
  expect((await forwarded(proxy, { headers, from: '127.0.0.2' }))[0]).toBe('127.0.0.2')
})

test('rules by network see the rightmost address of the chain that is no trusted proxy', async () => {
  const rules = [{ name: 'office', when: { cidr: ['203.0.113.0/24', '2001:db8::/32'] }, to: 'green' }]
  const proxy = await startTrusting(['127.0.0.0/8', '10.0.0.0/8'], { rules })
  const pool = async (chain?: string | string[]) => {
    const headers = chain === undefined ? undefined : { 'x-forwarded-for': chain }
    return (await see(proxy.port, { headers })).name
  }
  const office = [
    '203.0.113.7',
    '203.0.113.7, 10.1.2.3',
    '198.51.100.1, 203.0.113.7, 10.1.2.3, 127.0.0.9',
    '203.0.113.7:4711',
    '2001:db8::1',
    '[2001:db8::1]:443, 10.0.0.1',
    '::ffff:203.0.113.9',
    'garbage, 203.0.113.7',
  ]
  for (const chain of office) expect([chain, await pool(chain)]).toEqual([chain, 'green'])
  expect(await pool(['203.0.113.7', '10.0.0.1'])).toBe('green')
  const elsewhere = [
    // Whoever adds addresses on the left is not believed.
    '203.0.113.7, 198.51.100.1',
    '203.0.113.7, 198.51.100.1, 10.1.2.3',
    '203.0.113.7, garbage',
    '203.0.113.7, unknown, 10.1.2.3',
    '203.0.113.256',
    '',
    ',',
    '203.0.113.7,' + ' 10.0.0.1,'.repeat(40) + '10.0.0.1',
  ]
  for (const chain of elsewhere) expect([chain, await pool(chain)]).toEqual([chain, 'blue'])
  expect(await pool()).toBe('blue')
})

test('from an untrusted peer a rule by network sees the peer itself', async () => {
  const rules = [
    { name: 'office', when: { cidr: ['203.0.113.0/24'] }, to: 'green' },
    { name: 'here', when: { cidr: ['127.0.0.0/8'], header: { 'x-here': '*' } }, to: 'green' },
  ]
  const proxy = await startTrusting([], { rules })
  expect((await see(proxy.port, { headers: { 'x-forwarded-for': '203.0.113.7' } })).name).toBe('blue')
  expect((await see(proxy.port, { headers: { 'x-here': '1', 'x-forwarded-for': '9.9.9.9' } })).name).toBe('green')
})

test('a visitor by address is the client behind the trusted proxy, not the proxy', async () => {
  const proxy = await startTrusting(['127.0.0.0/8'], { split: { blue: 50, green: 50 }, visitor: ['address'] })
  const byAddress = new Map<string, string>()
  for (let n = 0; n < 40; n++) {
    const address = `198.51.100.${n}`
    byAddress.set(address, (await see(proxy.port, { headers: { 'x-forwarded-for': address } })).name)
  }
  expect(new Set(byAddress.values()).size).toBe(2)
  for (const [address, pool] of byAddress) {
    expect((await see(proxy.port, { headers: { 'x-forwarded-for': `1.2.3.4, ${address}` } })).name).toBe(pool)
  }
})

test('an HTTP/1.0 client that names no host is forwarded without one', async () => {
  const proxy = await startTrusting([])
  const { text } = await rawRequest(proxy.port, 'GET / HTTP/1.0\r\n\r\n')
  const { headers } = JSON.parse(text.slice(text.indexOf('{')))
  expect(headers['x-forwarded-host']).toBeUndefined()
  expect(headers['forwarded']).toEqual(['for=127.0.0.1;proto=http'])
  expect(headers['host']).toEqual([expect.stringMatching(/^127\.0\.0\.1:\d+$/)])
})
