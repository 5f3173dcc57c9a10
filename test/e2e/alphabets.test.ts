/** Text of the config and octets of the wire: other letters are the same wherever they stand, and explain finds what traffic finds. */
import net from 'node:net'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { parseSpec } from '../../src/config/load.ts'
import { WORKERS } from '../helpers/bulk.ts'
import { call, service, startProxy, testConfig } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

/** Sends these lines as UTF-8, as curl and browsers do, and gives the body. */
function askLines(
  port: number,
  lines: readonly string[],
  encoding: 'utf8' | 'latin1' = 'utf8',
  path = '/',
): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', reject)
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
    })
    socket.on('end', () => resolve(text.slice(text.indexOf('\r\n\r\n') + 4)))
    socket.end(
      Buffer.from(
        `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`,
        encoding,
      ),
    )
  })
}

const token = (payload: string) => `x.${Buffer.from(payload).toString('base64url')}.y`

async function start(more: Record<string, unknown>) {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  return startProxy({ workers: WORKERS, services: { shop: service({ blue: [blue.url], green: [green.url] }, more) } })
}

interface Explanation {
  readonly pool: string
  readonly visitor: string | null
  readonly bucket: number
  readonly why: string
}

test('rules on other letters match what clients send, in headers, cookies, visitors, tokens and queries', async () => {
  const proxy = await start({
    visitor: ['header:x-user', 'jwt:sub', 'cookie:uid', 'query:u'],
    rules: [
      { name: 'header', when: { header: { 'x-size': 'größe' } }, to: 'green' },
      { name: 'cookie', when: { cookie: { size: 'größe' } }, to: 'green' },
      { name: 'visitor', when: { visitor: ['Žofie'] }, to: 'green' },
    ],
  })
  const headers = [
    { 'X-Size': 'größe' },
    { Cookie: 'a=1; size=größe' },
    { Cookie: 'size="größe"' },
    { 'X-User': 'Žofie' },
    { Cookie: 'uid=Žofie' },
    { Authorization: `Bearer ${token('{"sub":"\\u017dofie"}')}` },
    { Authorization: `Bearer ${token('{"sub":"Žofie"}')}` },
  ]
  for (const sent of headers) {
    const [[name, value]] = Object.entries(sent)
    expect([sent, await askLines(proxy.port, [`${name}: ${value}`])]).toEqual([sent, 'green'])
    const said = await call<Explanation>(proxy, 'POST', '/v1/explain', { url: '/', headers: { host: 'a', ...sent } })
    expect([sent, said.pool]).toEqual([sent, 'green'])
    if (name === 'X-Size') expect(said.why).toBe('rule header sends header x-size=größe to green')
    if (name === 'X-User') expect(said.visitor).toBe('Žofie')
  }
  for (const query of ['?u=%C5%BDofie', '?a=1&u=Žofie', '?%75=%c5%bdofie&u=x']) {
    expect([query, await askLines(proxy.port, [], 'utf8', `/${query.replace('Ž', '%c5%bd')}`)]).toEqual([
      query,
      'green',
    ])
    const said = await call<Explanation>(proxy, 'POST', '/v1/explain', { url: `http://a/${query}` })
    expect([query, said.pool, said.visitor]).toEqual([query, 'green', 'Žofie'])
  }
  // In ISO 8859-1 it is another text, as a target would see it.
  expect(await askLines(proxy.port, ['X-Size: größe'], 'latin1')).toBe('blue')
})

test('a visitor is the same by a token, a header and a cookie, and numbers of 64 bits are not rounded', async () => {
  const proxy = await start({ visitor: ['header:x-user', 'jwt:sub', 'cookie:uid'], split: { blue: 50, green: 50 } })
  for (const [id, json] of [
    ['Žofie 1', '"Žofie 1"'],
    ['ÿ€😀', '"\\u00ff€\\ud83d\\ude00"'],
    ['9007199254740993', '9007199254740993'],
    ['18446744073709551615', '18446744073709551615'],
    ['17', '17.0'],
  ]) {
    const ways = [{ 'X-User': id }, { Cookie: `uid=${id}` }, { Authorization: `Bearer ${token(`{"sub":${json}}`)}` }]
    const said = await Promise.all(
      ways.map((headers) =>
        call<Explanation>(proxy, 'POST', '/v1/explain', { url: '/', headers: { host: 'a', ...headers } }),
      ),
    )
    expect(said.map(({ visitor }) => visitor)).toEqual([id, id, id])
    expect(new Set(said.map(({ bucket }) => bucket)).size).toBe(1)
    for (const headers of ways) {
      const [[name, value]] = Object.entries(headers)
      expect(await askLines(proxy.port, [`${name}: ${value}`])).toBe(said[0].pool)
    }
  }
})

test('routes by a header of other letters are found', async () => {
  const [one, two] = [await startNamed('one'), await startNamed('two')]
  const proxy = await startProxy({
    services: {
      one: service({ blue: [one.url] }),
      two: service({ blue: [two.url] }, { routes: [{ header: { 'x-city': 'Brno-střed' } }] }),
    },
  })
  expect(await askLines(proxy.port, ['X-City: Brno-střed'])).toBe('two')
  expect(await askLines(proxy.port, ['X-City: Brno-stred'])).toBe('one')
})

test('a health path of other letters is asked for as a browser would', async () => {
  const paths = new Set<string | undefined>()
  const blue = await startUpstream((request, response) => {
    paths.add(request.url)
    response.end()
  })
  const health = { path: '/čau?ž=1', interval: '100ms', healthyAfter: 1 }
  const proxy = await startProxy({ services: { shop: service({ blue: [blue.url] }, { health }) } })
  await until('a probe', () => paths.size > 0)
  expect([...paths]).toEqual(['/%C4%8Dau?%C5%BE=1'])
  await until('a healthy target', async () => {
    const { pools } = await call<{ pools: { targets: { health: string }[] }[] }>(
      proxy,
      'GET',
      '/v1/services/shop/status',
    )
    return JSON.stringify(pools).includes('"healthy"')
  })
})

test('a rule that can never hold does not pass the check of a file', () => {
  const rules = [{ name: 'a', when: { header: { 'x-a': 'a\nb' } }, to: 'blue' }]
  const text = stringify(testConfig({ services: { shop: service({ blue: ['http://a'] }, { rules }) } }))
  const loaded = parseSpec(text, { env: {}, source: 'x' })
  expect('faults' in loaded && loaded.faults.map(({ pointer }) => pointer)).toEqual([
    '/services/shop/rules/0/when/header/x-a',
  ])
})
