/** Max-Forwards (RFC 9110 7.6.2): OPTIONS and TRACE end at the server that their sender has counted out. */
import { expect, test } from 'vitest'
import { hopsLeft, MALFORMED, UNLIMITED } from '../../../src/dataplane/http1/max-forwards.ts'
import { RequestHead } from '../../../src/dataplane/http1/request-head.ts'
import { metric, metricIs } from '../../helpers/admin.ts'
import { service, startProxy } from '../../helpers/proxy.ts'
import { rawRequest } from '../../helpers/raw.ts'
import { shareProxy } from '../../helpers/shared-proxy.ts'
import { closedPort, startAnswering, startRaw } from '../../helpers/upstream.ts'

const proxyTo = shareProxy()

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const WELL = 'GET /well HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

async function setUp() {
  const target = await startAnswering(OK)
  const proxy = await proxyTo(target)
  /** Sends a request and a good one behind it; gives all answers, and what the target got. */
  const send = async (start: string, ...fields: string[]) => {
    const { text } = await rawRequest(proxy.port, `${[start, 'Host: a', ...fields].join('\r\n')}\r\n\r\n${WELL}`)
    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status))
    return { text, statuses, received: target.received().join('') }
  }
  return { target, proxy, send }
}

test('OPTIONS that may go no further is answered here', async () => {
  const { send } = await setUp()
  for (const start of ['OPTIONS /a HTTP/1.1', 'OPTIONS * HTTP/1.1']) {
    const { text, statuses, received } = await send(start, 'Max-Forwards: 0')
    expect(statuses).toEqual([200, 200])
    const own = text.slice(0, text.indexOf('\r\n\r\n') + 4)
    expect(own).toMatch(/^Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r$/m)
    expect(own).toMatch(/^Content-Length: 0\r$/m)
    expect(own).toMatch(/^X-Request-Id: \S+\r$/m)
    expect(own).toMatch(/^Date: .+ GMT\r$/m)
    expect(received).not.toContain('OPTIONS')
    expect(received).toMatch(/^GET \/well /)
  }
})

test('TRACE that may go no further is refused and not reflected', async () => {
  const { send } = await setUp()
  const { text, statuses, received } = await send('TRACE /a HTTP/1.1', 'max-forwards: 000', 'X-Secret: s3cret')
  expect(statuses).toEqual([405, 200])
  expect(text).toContain('X-Turnout-Error: method_not_allowed\r\n')
  expect(text).toMatch(/^Allow: /m)
  expect(text).not.toContain('s3cret')
  expect(received).toMatch(/^GET \/well /)
})

test('what may pass more servers may pass one less behind this one', async () => {
  const { send } = await setUp()
  const values = { 1: '0', 10: '9', '007': '6', ['9'.repeat(40)]: '999' }
  for (const [value, next] of Object.entries(values)) {
    for (const method of ['OPTIONS', 'TRACE']) {
      const { statuses, received } = await send(`${method} /a HTTP/1.1`, `MAX-Forwards: ${value}`, 'X-Kept: 1')
      expect(statuses).toEqual([200, 200])
      const seen = received.slice(received.lastIndexOf(`${method} /a `), received.lastIndexOf('GET /well'))
      expect(seen.match(/max-forwards: .*/gi), value).toEqual([`Max-Forwards: ${next}`])
      expect(seen).toContain('X-Kept: 1\r\n')
    }
  }
})

test('what is not one whole number is refused and nothing behind it is read', async () => {
  const { send, proxy } = await setUp()
  const wrong = [[''], ['-1'], ['+1'], ['1.0'], ['0x1'], ['1, 1'], ['one'], ['1 1'], ['1', '1'], ['0', '5']]
  for (const values of wrong) {
    const { statuses, received } = await send('OPTIONS /a HTTP/1.1', ...values.map((value) => `Max-Forwards: ${value}`))
    expect([values, statuses, received]).toEqual([values, [400], ''])
  }
  await metricIs(wrong.length, proxy, 'turnout_rejected_total', 'code="bad_request"')
})

test('Connection cannot take the count away', async () => {
  const { send } = await setUp()
  const list = 'Connection: max-forwards, x-a'
  expect((await send('OPTIONS /a HTTP/1.1', list, 'Max-Forwards: 0')).received).toMatch(/^GET \/well /)
  const { received } = await send('OPTIONS /b HTTP/1.1', list, 'Max-Forwards: 3', 'X-A: 1')
  const seen = received.slice(received.indexOf('OPTIONS /b '))
  expect(seen).toContain('Max-Forwards: 2\r\n')
  expect(seen).not.toMatch(/^x-a:/im)
})

test('with other methods it means nothing and is passed on as it is', async () => {
  const { send } = await setUp()
  for (const method of ['GET', 'POST', 'options', 'PATCH']) {
    const { statuses, received } = await send(`${method} /a HTTP/1.1`, 'Max-Forwards: 0', 'Max-Forwards: x')
    expect(statuses).toEqual([200, 200])
    const seen = received.slice(received.indexOf(`${method} /a `))
    expect(seen).toContain('Max-Forwards: 0\r\nMax-Forwards: x\r\n')
  }
})

test('an unfinished body of what is answered here ends the connection', async () => {
  const { proxy, target } = await setUp()
  const head = 'OPTIONS /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nContent-Length: 50\r\n\r\n'
  const { text, end } = await rawRequest(proxy.port, head + WELL.slice(0, 40))
  expect([text.slice(0, 15), text.includes('Connection: close\r\n'), end]).toEqual(['HTTP/1.1 200 OK', true, 'closed'])
  expect(target.connections()).toBe(0)
})

test('a request that is tried again is counted down once', async () => {
  const gone = `http://127.0.0.1:${await closedPort()}`
  const target = await startRaw((socket, text) => {
    if (text.endsWith('\r\n\r\n')) socket.end(OK)
  })
  const proxy = await startProxy({ services: { shop: service({ blue: [gone, target.url] }) } })
  while ((await metric(proxy, 'turnout_retries_total')) === 0) {
    await rawRequest(proxy.port, 'OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 5\r\nConnection: close\r\n\r\n')
  }
  const counts = target.received().map((text) => /max-forwards: (\d+)/i.exec(text)?.[1])
  expect(counts).toEqual(counts.map(() => '4'))
})

test('the field is not even looked for with other methods', () => {
  const head = new RequestHead(1_000, 8)
  const of = (method: string, ...lines: string[]) => {
    head.parse(`${method} / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`)
    return hopsLeft(head.method, head.fields)
  }
  expect(of('GET', 'Max-Forwards: x')).toBe(UNLIMITED)
  expect(of('OPTIONS')).toBe(UNLIMITED)
  expect(of('TRACE', 'Max-Forwards: x')).toBe(MALFORMED)
})
