/** What a request asks for: the forms of a target, the host that it is for, and how both are said to the chosen target. */
import { expect, test } from 'vitest'
import { service, startProxy } from '../helpers/proxy.ts'
import { rawRequest } from '../helpers/raw.ts'
import { closedPort, startAnswering } from '../helpers/upstream.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

async function setUp() {
  const [any, shop] = [await startAnswering(OK), await startAnswering(OK)]
  const proxy = await startProxy({
    services: {
      any: service({ blue: [any.url] }),
      shop: service({ blue: [shop.url] }, { routes: [{ host: 'shop.example', path: '/' }] }),
    },
  })
  /** The request line and Host that arrive, and where. */
  const arrives = async (start: string, ...fields: string[]) => {
    const before = [any, shop].map((target) => target.received().join('').length)
    await rawRequest(proxy.port, `${[start, ...fields, 'Connection: close'].join('\r\n')}\r\n\r\n`)
    const text = [any, shop].map((target, i) => target.received().join('').slice(before[i]))
    const name = text[1] === '' ? 'any' : 'shop'
    const [line, host] = text.join('').split('\r\n')
    return `${name}: ${line} ${host}`
  }
  return { arrives, any, shop }
}

test.each([
  ['origin-form', 'GET /a?b=c HTTP/1.1', 'x', 'any: GET /a?b=c HTTP/1.1 Host: x'],
  [
    'absolute-form, which wins over Host',
    'GET http://shop.example/a?b HTTP/1.1',
    'x',
    'shop: GET /a?b HTTP/1.1 Host: shop.example',
  ],
  [
    'absolute-form for another host than Host',
    'GET http://x/a HTTP/1.1',
    'shop.example',
    'any: GET /a HTTP/1.1 Host: x',
  ],
  [
    'absolute-form with port',
    'GET http://SHOP.example:81/ HTTP/1.1',
    'x',
    'shop: GET / HTTP/1.1 Host: SHOP.example:81',
  ],
  ['absolute-form without path', 'GET http://shop.example HTTP/1.1', 'x', 'shop: GET / HTTP/1.1 Host: shop.example'],
  [
    'absolute-form with a query only',
    'GET http://shop.example?q HTTP/1.1',
    'x',
    'shop: GET /?q HTTP/1.1 Host: shop.example',
  ],
  ['asterisk-form', 'OPTIONS * HTTP/1.1', 'shop.example', 'shop: OPTIONS * HTTP/1.1 Host: shop.example'],
  [
    'asterisk-form of a host',
    'OPTIONS http://shop.example HTTP/1.1',
    'x',
    'shop: OPTIONS * HTTP/1.1 Host: shop.example',
  ],
  ['two slashes', 'GET //evil/x HTTP/1.1', 'x', 'any: GET //evil/x HTTP/1.1 Host: x'],
  [
    'dots and escapes, which stay as they are',
    'GET /a/../%2e%2E//b HTTP/1.1',
    'x',
    'any: GET /a/../%2e%2E//b HTTP/1.1 Host: x',
  ],
  [
    'a URL in the query',
    'GET /?u=http://shop.example/ HTTP/1.1',
    'x',
    'any: GET /?u=http://shop.example/ HTTP/1.1 Host: x',
  ],
])('%s', async (_name, start, host, expected) => {
  const { arrives } = await setUp()
  expect(await arrives(start, `Host: ${host}`)).toBe(expected)
})

test('HTTP/1.0 without Host gets that of the target', async () => {
  const { arrives, any } = await setUp()
  expect(await arrives('GET / HTTP/1.0')).toBe(`any: GET / HTTP/1.1 Host: 127.0.0.1:${any.port}`)
})

test('HTTP/1.0 without Host gets that of the target that it goes to in the end', async () => {
  const target = await startAnswering(OK)
  const dead = `http://127.0.0.1:${await closedPort()}`
  const proxy = await startProxy({
    services: { shop: service({ blue: [dead, target.url] }, { balance: 'round-robin' }) },
  })
  // One of two in turn goes to the dead one first.
  for (let i = 0; i < 2; i++) expect((await rawRequest(proxy.port, 'GET / HTTP/1.0\r\n\r\n')).text).toMatch(/ok$/)
  const hosts = target
    .received()
    .join('')
    .match(/^Host: .*$/gm)
  expect(hosts).toEqual([1, 2].map(() => `Host: 127.0.0.1:${target.port}`))
})

test('an unknown method and one in lower case are passed on as they are', async () => {
  const { arrives } = await setUp()
  expect(await arrives('BREW /pot HTTP/1.1', 'Host: x')).toBe('any: BREW /pot HTTP/1.1 Host: x')
  expect(await arrives('get / HTTP/1.1', 'Host: x')).toBe('any: get / HTTP/1.1 Host: x')
})
