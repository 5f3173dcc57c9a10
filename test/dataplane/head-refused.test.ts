/** No answer to HEAD has a body, ours neither: a client would take it for the answer to its next request. */
import { expect, test } from 'vitest'
import { service, startProxy } from '../helpers/proxy.ts'
import { rawRequest } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startAnswering } from '../helpers/upstream.ts'

const ROUTES = { routes: [{ host: 'a', path: '/' }] }
const proxyTo = shareProxy(ROUTES)
const startTarget = () => startAnswering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
/** Status, length that is told, and what stands behind the head. */
const parts = (text: string) => {
  const [, status, length, body] = /^HTTP\/1\.1 (\d+).*?\r\nContent-Length: (\d+).*?\r\n\r\n(.*)$/s.exec(text) ?? []
  return { status: Number(status), length: Number(length), body }
}

test.each([
  [417, 'with another expectation', ['HEAD / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n']],
  [501, 'with another coding', ['HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n']],
  [400, 'without Host', ['HEAD / HTTP/1.1\r\n\r\n']],
  [400, 'behind an empty line', ['\r\nHEAD / HTTP/1.1\r\n\r\n']],
  [400, 'with a bad target', ['HEAD \0 HTTP/1.1\r\nHost: a\r\n\r\n']],
  [505, 'of another version', ['HEAD / HTTP/2.0\r\n\r\n']],
  [400, 'in several pieces', ['HE', 'AD', ' / HTTP/1.1\r\n', '\r\n']],
])('HEAD is refused with %i and no body, %s', async (status, _what, pieces) => {
  const proxy = await proxyTo(await startTarget())
  const { text, end } = await rawRequest(proxy.port, pieces)
  expect(end).toBe('closed')
  expect(parts(text)).toEqual({ status, length: expect.any(Number), body: '' })
  expect(parts(text).length).toBeGreaterThan(0)
})

test.each(['GET / HTTP/1.1\r\n\r\n', 'HEADER / HTTP/1.1\r\n\r\n', 'head / HTTP/1.1\r\n\r\n'])(
  'another method is refused with a body: %j',
  async (request) => {
    const proxy = await proxyTo(await startTarget())
    const { status, length, body } = parts((await rawRequest(proxy.port, request)).text)
    expect({ status, length }).toEqual({ status: 400, length: body.length })
    expect(length).toBeGreaterThan(0)
  },
)

test('a HEAD that does not come to its end gets 408 without a body', async () => {
  const { url } = await startTarget()
  const proxy = await startProxy({ services: { shop: service({ blue: [url] }, ROUTES) }, timeouts: { head: '200ms' } })
  const { text } = await rawRequest(proxy.port, 'HEAD / HTTP/1.1\r\nHost: a\r\n')
  expect(parts(text)).toMatchObject({ status: 408, body: '' })
})

test('behind the error that a HEAD is answered with comes the next answer, and nothing between', async () => {
  const proxy = await proxyTo(await startTarget())
  const next = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  const { text } = await rawRequest(proxy.port, `HEAD / HTTP/1.1\r\nHost: b\r\n\r\n${next}`)
  expect(parts(text)).toMatchObject({ status: 404, body: expect.stringMatching(/^HTTP\/1\.1 200 OK\r\n/) })
  expect(parts(text).length).toBeGreaterThan(0)
})
