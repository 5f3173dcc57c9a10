/** Trailers stay trailers: passed on behind the last chunk, never merged into the head, and none that means anything there. */
import { expect, test } from 'vitest'
import { rawRequest } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startAnswering, startRaw } from '../helpers/upstream.ts'
import { ENDING_TRAILERS, MEANINGLESS_TRAILERS } from './http1/corpus.ts'

const proxyTo = shareProxy()

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const POST = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nConnection: close\r\n\r\n'

test.each([
  ['small', '3\r\nabc\r\n'],
  ['large', `${(70_000).toString(16)}\r\n${'x'.repeat(70_000)}\r\n`],
  ['empty', ''],
])('trailers of a %s request reach the target behind the last chunk', async (_name, chunks) => {
  const target = await startRaw((socket, text) => {
    if (text.endsWith('x-sum: 1\r\nY: z\r\n\r\n')) socket.write(OK)
  })
  const proxy = await proxyTo(target)
  const { text } = await rawRequest(proxy.port, `${POST}${chunks}0\r\nx-sum:  1 \r\nY: z\r\n\r\n`.replace('  1 ', ' 1'))
  expect(text).toMatch(/ok$/)
  const [received] = target.received()
  expect(received).toMatch(/\r\n0\r\nx-sum: 1\r\nY: z\r\n\r\n$/)
  expect(received.slice(0, received.indexOf('\r\n\r\n'))).not.toContain('x-sum: 1')
  expect(received).toContain('Trailer: x-sum\r\n')
})

test('trailers of a response reach the client behind the last chunk', async () => {
  const answer = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n'
  const target = await startAnswering(answer)
  const proxy = await proxyTo(target)
  const { text } = await rawRequest(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  expect(text).toMatch(/\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n$/)
})

test.each([
  ['small', '3\r\nabc\r\n'],
  ['kept for a moment', `2328\r\n${'x'.repeat(0x2328)}\r\n`],
  ['large', `${(70_000).toString(16)}\r\n${'x'.repeat(70_000)}\r\n`],
])('trailers of a %s request that its Connection names end here', async (_name, chunks) => {
  const target = await startRaw((socket, text) => {
    if (text.endsWith('X-Kept: 3\r\n\r\n')) socket.write(OK)
  })
  const proxy = await proxyTo(target)
  const named = POST.replace('Connection: close', 'Connection: close, X-Hop, x-sum')
  const { text } = await rawRequest(proxy.port, `${named}${chunks}0\r\nx-hop: 1\r\nX-Sum: 2\r\nX-Kept: 3\r\n\r\n`)
  expect(text).toMatch(/ok$/)
  expect(target.received()[0]).toMatch(/[cx]\r\n0\r\nX-Kept: 3\r\n\r\n$/)
})

test('trailers of a response that its Connection names end here, and the next response has its own', async () => {
  const answer = (connection: string) =>
    `HTTP/1.1 200 OK\r\n${connection}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-hop: 1\r\nX-Kept: 2\r\n\r\n`
  const target = await startRaw((socket, text) => {
    socket.write(answer(text.includes('GET /second') ? '' : 'Connection: X-Hop\r\n'))
  })
  const proxy = await proxyTo(target)
  const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`
  const { text } = await rawRequest(proxy.port, get('/') + get('/second', 'Connection: close\r\n'))
  const trailers = [...text.matchAll(/\r\n0\r\n(.*?)\r\n\r\n/gs)].map(([, lines]) => lines)
  expect(trailers).toEqual(['X-Kept: 2', 'x-hop: 1\r\nX-Kept: 2'])
})

test('trailers that mean nothing, or are ours to say, end here, in both directions', async () => {
  const lines = (names: readonly string[]) => names.map((name) => `${name}: 1\r\n`).join('')
  const trailers = `X-A: 2\r\n${lines(ENDING_TRAILERS)}grpc-status: 0\r\n`
  const answer = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${trailers}\r\n`
  const target = await startRaw((socket, text) => {
    if (text.endsWith('X-Z: 3\r\n\r\n')) socket.write(answer)
  })
  const proxy = await proxyTo(target)
  const sent = `X-Y: 1\r\n${lines(MEANINGLESS_TRAILERS)}X-Z: 3\r\n`
  const { text } = await rawRequest(proxy.port, `${POST}3\r\nabc\r\n0\r\n${sent}\r\n`)
  expect(target.received()[0]).toMatch(/\r\n0\r\nX-Y: 1\r\nX-Z: 3\r\n\r\n$/)
  expect(text).toMatch(/\r\n\r\n2\r\nok\r\n0\r\nX-A: 2\r\ngrpc-status: 0\r\n\r\n$/)
})

test('extensions of chunks are not passed on', async () => {
  const target = await startAnswering(OK)
  const proxy = await proxyTo(target)
  await rawRequest(proxy.port, `${POST}3;a=b;c="d"\r\nabc\r\n2\r\nde\r\n0;e\r\n\r\n`)
  expect(target.received()[0]).toMatch(/\r\n\r\n5\r\nabcde\r\n0\r\n\r\n$/)
})
