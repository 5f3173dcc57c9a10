/** Fields that belong to one connection end there, in both directions, and no list of a client takes ours or framing away. */
import { expect, test } from 'vitest'
import { rawRequest } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startAnswering } from '../helpers/upstream.ts'

const proxyTo = shareProxy()

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const HOP_BY_HOP = [
  'Keep-Alive: timeout=5',
  'Proxy-Connection: keep-alive',
  'TE: trailers',
  'Upgrade: h2c',
  'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
]

/** Sends a request with these fields through the proxy; gives the head that the target got, and the client's answer. */
async function exchange(fields: readonly string[], answer = OK, body = '') {
  const target = await startAnswering(answer)
  const proxy = await proxyTo(target)
  const lines = [`${body === '' ? 'GET' : 'POST'} / HTTP/1.1`, 'Host: a', ...fields]
  const { text } = await rawRequest(proxy.port, `${lines.join('\r\n')}\r\n\r\n${body}`, {
    until: (seen) => /\r\n\r\nok$/.test(seen) || seen.includes(' 40'),
  })
  return { received: target.received()[0] ?? '', text }
}

test('the fields of one connection are not passed on', async () => {
  const { received } = await exchange(['Connection: keep-alive', ...HOP_BY_HOP, 'X-Kept: 1'])
  for (const line of HOP_BY_HOP) expect(received).not.toContain(line)
  expect(received).not.toMatch(/^connection:/im)
  expect(received).toContain('X-Kept: 1\r\n')
})

test('nor is what Connection names, in whatever case and wherever it stands', async () => {
  const { received } = await exchange([
    'X-Foo: 1',
    'x-bar: 2',
    'Connection: close, X-FOO ,\tx-bar',
    'X-Foobar: 3',
    'X-Fo: 4',
    'Connection: X-Third',
    'x-THIRD: 5',
    'X-Foo: 6',
  ])
  expect(received).not.toMatch(/^x-(foo|bar|third):/im)
  expect(received).toContain('X-Foobar: 3\r\n')
  expect(received).toContain('X-Fo: 4\r\n')
})

test('the list of Connection takes away neither framing, nor Host, nor what we say', async () => {
  const list =
    'Connection: Host, Content-Length, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, Via, X-Request-Id, traceparent, X-Turnout-Pool, X-Turnout-Service'
  const { received } = await exchange([list, 'Content-Length: 3', 'traceparent: 00-1-2-00'], OK, 'abc')
  const names = [
    'Host: a',
    'Content-Length: 3',
    'X-Forwarded-For: 127.0.0.1',
    'X-Forwarded-Proto: http',
    'X-Forwarded-Host: a',
    'Forwarded: for=127.0.0.1',
    'Via: 1.1 turnout',
    'X-Request-Id: ',
    'traceparent: 00-',
    'X-Turnout-Pool: blue',
    'X-Turnout-Service: shop',
  ]
  for (const name of names) expect(received).toContain(`\r\n${name}`)
  expect(received).toMatch(/\r\n\r\nabc$/)
  expect(received).not.toContain('00-1-2-00')
})

test('chunks stay chunks when Connection names their coding', async () => {
  const { received } = await exchange(
    ['Connection: Transfer-Encoding', 'Transfer-Encoding: chunked'],
    OK,
    '3\r\nabc\r\n0\r\n\r\n',
  )
  expect(received).toContain('Transfer-Encoding: chunked\r\n')
  expect(received).toMatch(/\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/)
})

test('names that a target could take for ours or for framing are not passed on', async () => {
  const { received } = await exchange([
    'X_Forwarded_For: 6.6.6.6',
    'X-Forwarded_For: 6.6.6.6',
    'Transfer_Encoding: chunked',
    'content_length: 99',
    'X_Turnout_Pool: evil',
    'x_other: kept',
    'hosts: kept',
  ])
  expect(received).not.toMatch(/6\.6\.6\.6|chunked|: 99\r|evil/)
  expect(received).toContain('x_other: kept\r\n')
  expect(received).toContain('hosts: kept\r\n')
})

test('the framing of a request is rebuilt, never copied', async () => {
  const { received } = await exchange(['content-LENGTH:\t3 \t'], OK, 'abc')
  expect(received.match(/content-length/gi)).toEqual(['Content-Length'])
  expect(received).toContain('\r\nContent-Length: 3\r\n')
})

test('what a target says of its connection is not passed on, nor what its Connection names', async () => {
  const fields = [
    'Connection: keep-alive, X-Secret, Date',
    'X-Secret: 1',
    'X-Open: 2',
    'Keep-Alive: timeout=5',
    'Proxy-Connection: keep-alive',
    'Upgrade: h2c',
    'Date: Thu, 01 Jan 1970 00:00:00 GMT',
    'X-Request-Id: theirs',
    'X-Turnout-Pool: evil',
    'content-LENGTH: 2',
  ]
  const { text } = await exchange(['X-Request-Id: mine'], `HTTP/1.1 200 OK\r\n${fields.join('\r\n')}\r\n\r\nok`)
  expect(text).not.toMatch(/x-secret|keep-alive|proxy-connection|upgrade|theirs|evil|1970/i)
  expect(text).toContain('X-Open: 2\r\n')
  expect(text).toContain('X-Request-Id: mine\r\n')
  expect(text.match(/content-length/gi)).toEqual(['Content-Length'])
  expect(text.match(/\r\nDate: /g)?.length).toBe(1)
})

const TOO_OLD = 'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n'

test.each([
  ['Upgrade: HTTP/3.0\r\nConnection: Upgrade', 'HTTP/3.0'],
  ['connection: keep-alive, upgrade\r\nupgrade: websocket, TLS/1.3', 'websocket, TLS/1.3'],
  ['Upgrade: a/1\r\nConnection: upgrade\r\nUpgrade: b/2', 'a/1,b/2'],
  ['Upgrade: websocket', 'websocket'],
  ['Connection: upgrade\r\nUpgrade: h2c', 'h2c'],
])('an answer of 426 with %j names what it demands, and Connection names that', async (fields, upgrade) => {
  const target = await startAnswering(`${TOO_OLD}${fields}\r\n\r\nok`)
  const proxy = await proxyTo(target)
  const connectionOf = async (version: string, connection = '') => {
    const head = `GET / HTTP/${version}\r\nHost: a\r\n${connection}\r\n`
    const { text } = await rawRequest(proxy.port, head, { until: (seen) => seen.endsWith('\r\n\r\nok') })
    expect(text).toMatch(/^HTTP\/1\.1 426 /)
    return text.match(/^(connection|upgrade):.*(?=\r)/gim)
  }
  expect(await connectionOf('1.1')).toEqual(['Connection: Upgrade', `Upgrade: ${upgrade}`])
  expect(await connectionOf('1.1', 'Connection: close\r\n')).toEqual([
    'Connection: close, Upgrade',
    `Upgrade: ${upgrade}`,
  ])
  expect(await connectionOf('1.0', 'Connection: keep-alive\r\n')).toEqual([
    'Connection: keep-alive, Upgrade',
    `Upgrade: ${upgrade}`,
  ])
})

test.each([
  ['200 OK', 'Upgrade: h2\r\nConnection: upgrade'],
  ['400 Bad Request', 'Upgrade: websocket\r\nConnection: upgrade'],
  ['426 Upgrade Required', 'Connection: upgrade'],
  ['426 Upgrade Required', 'Upgrade: "websocket"\r\nConnection: upgrade'],
])('an answer of %s with %j names no protocol', async (status, fields) => {
  const { text } = await exchange([], `HTTP/1.1 ${status}\r\nContent-Length: 2\r\n${fields}\r\n\r\nok`)
  expect(text).not.toMatch(/^(connection|upgrade):/im)
})

test('what is between two proxies and says so by its name passes, as it does through nginx and HAProxy', async () => {
  const { text, received } = await exchange(
    ['Proxy-Authorization: Basic YTpi', 'Trailer: x-sum'],
    'HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm="a"\r\nProxy-Authentication-Info: b\r\nTrailer: c\r\nContent-Length: 2\r\n\r\nok',
  )
  for (const line of ['Proxy-Authorization: Basic YTpi', 'Trailer: x-sum'])
    expect(received).toContain(`\r\n${line}\r\n`)
  for (const line of ['Proxy-Authenticate: Basic realm="a"', 'Proxy-Authentication-Info: b', 'Trailer: c']) {
    expect(text).toContain(`\r\n${line}\r\n`)
  }
})

test('nor names that a client could take for framing or for ours', async () => {
  const fields = ['Transfer_Encoding: chunked', 'content_length: 99', 'X_Request_Id: theirs', 'x_turnout_pool: evil']
  const { text } = await exchange(
    [],
    `HTTP/1.1 200 OK\r\n${fields.join('\r\n')}\r\nx_other: kept\r\nContent-Length: 2\r\n\r\nok`,
  )
  expect(text).not.toMatch(/chunked|: 99\r|theirs|evil/)
  expect(text).toContain('x_other: kept\r\n')
})

test('Via tells the version of the message that came', async () => {
  const target = await startAnswering('HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok')
  const proxy = await proxyTo(target)
  const { text } = await rawRequest(proxy.port, 'GET / HTTP/1.0\r\nVia: 1.1 other\r\n\r\n')
  expect(text).toContain('Via: 1.0 turnout\r\n')
  expect(target.received()[0]).toContain('Via: 1.1 other\r\n')
  expect(target.received()[0]).toContain('Via: 1.0 turnout\r\n')
})
