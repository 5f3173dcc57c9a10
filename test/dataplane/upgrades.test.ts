/** A tunnel begins after the 101 to an upgrade that we passed on, and not a byte before. */
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { rawRequest, until } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startRaw } from '../helpers/upstream.ts'

const UPGRADE = 'GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
/** The target ends with its client, so that no tunnel is left half open. */
const endToo = (socket: Socket) => void socket.on('end', () => socket.end())
const proxyTo = shareProxy()

test('bytes behind an upgrade wait for the 101', async () => {
  let mayAnswer = false
  const target = await startRaw((socket, text) => {
    if (text.endsWith('early')) socket.write('late')
    else if (mayAnswer) socket.write(SWITCH)
    else setTimeout(() => socket.write(SWITCH), 50)
    mayAnswer = true
  }, endToo)
  const proxy = await proxyTo(target)
  const pending = rawRequest(proxy.port, [UPGRADE, 'early'], { until: (text) => text.endsWith('late') })
  await until('the upgrade has arrived', () => target.received()[0]?.endsWith('\r\n\r\n'))
  expect(target.received()[0]).not.toContain('early')
  const { text } = await pending
  expect(text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
  expect(text).toContain('Connection: Upgrade\r\nUpgrade: WebSocket\r\n')
})

test('bytes behind an upgrade that is refused are the next request', async () => {
  const target = await startRaw((socket) => socket.write(OK))
  const proxy = await proxyTo(target)
  const next = 'GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  const { text } = await rawRequest(proxy.port, UPGRADE + next)
  expect(text.match(/HTTP\/1\.1 200 OK/g)?.length).toBe(2)
  expect(target.received().join('')).toContain('GET /next HTTP/1.1\r\n')
})

test('bytes behind the 101 reach the client', async () => {
  const target = await startRaw((socket) => socket.write(`${SWITCH}hello`), endToo)
  const proxy = await proxyTo(target)
  const { text } = await rawRequest(proxy.port, UPGRADE, { until: (seen) => seen.endsWith('hello') })
  expect(text).toMatch(/\r\n\r\nhello$/)
})

test.each([
  ['to a protocol that was not offered', SWITCH.replace('WebSocket', 'tls/1.0')],
  ['without Upgrade', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n'],
  ['without Connection', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'],
  ['whose Connection does not name Upgrade', SWITCH.replace('Connection: Upgrade', 'Connection: keep-alive, upgraded')],
])('a 101 %s is a 502', async (_name, answer) => {
  const target = await startRaw((socket) => socket.write(answer))
  const proxy = await proxyTo(target)
  const { text } = await rawRequest(proxy.port, UPGRADE, { until: (seen) => seen.includes('\r\n\r\n5') })
  expect(text).toMatch(/^HTTP\/1\.1 502 /)
})

test.each([
  ['that nobody asked for', 'GET / HTTP/1.1\r\nHost: a\r\n'],
  ['to HTTP/1.0', 'GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'],
  ['where Connection does not name Upgrade', 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n'],
  [
    'where h2c was asked for',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n',
  ],
  [
    'where HTTP/2 was asked for by another name',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: HTTP/2.0\r\n',
  ],
  ['where h2c was among others', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, H2C\r\n'],
])('a 101 %s is a 502, and the upgrade was not passed on', async (_name, head) => {
  const target = await startRaw((socket) => socket.write(SWITCH))
  const proxy = await proxyTo(target)
  const { text } = await rawRequest(proxy.port, `${head}\r\n`, { until: (seen) => seen.includes('\r\n\r\n5') })
  expect(text).toMatch(/^HTTP\/1\.1 502 /)
  expect(target.received()[0]).not.toMatch(/upgrade|h2c|http\/2|http2-settings/i)
})

test.each([
  [
    'that asks for h2c',
    'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n',
  ],
  ['that asks for HTTP/2.0', 'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: HTTP/2.0\r\n'],
  ['whose Connection does not name its Upgrade', 'POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n'],
  ['of HTTP/1.0 with an Upgrade', 'POST / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'],
])('a request with a body %s is served, and the target hears nothing of it', async (_name, head) => {
  const target = await startRaw((socket, text) => text.endsWith('abc') && socket.write(OK))
  const proxy = await proxyTo(target)
  const { text } = await rawRequest(proxy.port, `${head}Content-Length: 3\r\n\r\nabc`, {
    until: (seen) => seen.endsWith('ok'),
  })
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
  expect(target.received()[0]).toMatch(/\r\nContent-Length: 3\r\n(.+\r\n)*\r\nabc$/)
  expect(target.received()[0]).not.toMatch(/upgrade|h2c|http\/2|http2-settings/i)
})

test('the half of a tunnel that ends is ended on the other side', async () => {
  const target = await startRaw((socket, text) => {
    if (text.endsWith('\r\n\r\n')) socket.write(SWITCH)
    socket.once('end', () => socket.end('bye'))
  })
  const proxy = await proxyTo(target)
  const { text, end } = await rawRequest(proxy.port, UPGRADE, { end: true })
  expect(text).toMatch(/\r\n\r\nbye$/)
  expect(end).toBe('closed')
})
