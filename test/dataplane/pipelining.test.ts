/** Requests that come before the answer to the one before: answered in order, and not at all behind the end. */
import { expect, test } from 'vitest'
import { rawRequest } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startAnswering, startUpstream } from '../helpers/upstream.ts'

const get = (path: string, ...lines: string[]) =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`

/** A target that echoes the path and body, the slower the smaller the number in the path. */
const startEcho = () =>
  startUpstream((request, response) => {
    let body = ''
    request.on('data', (bytes) => {
      body += bytes
    })
    request.on('end', () => {
      const delayMs = Math.max(0, 20 - Number(request.url?.slice(1)))
      setTimeout(() => response.end(`<${request.method} ${request.url} ${body}>`), delayMs)
    })
  })
const proxyTo = shareProxy()
const echoes = (text: string) => text.match(/<[^>]*>/g)

test('answers come in the order of the requests, bodies of any framing between them', async () => {
  const proxy = await proxyTo(await startEcho())
  const requests = Array.from({ length: 30 }, (_, i) => {
    if (i % 3 === 0) return get(`/${i}`)
    if (i % 3 === 1) return `POST /${i} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET `
    return `PUT /${i} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2;x\r\ncd\r\n0\r\nX: y\r\n\r\n`
  })
  const { text, end } = await rawRequest(proxy.port, requests.join('') + get('/30', 'Connection: close'))
  const expected = Array.from({ length: 31 }, (_, i) =>
    i % 3 === 0 ? `<GET /${i} >` : i % 3 === 1 ? `<POST /${i} GET >` : `<PUT /${i} abcd>`,
  )
  expect(echoes(text)).toEqual(expected)
  expect(end).toBe('closed')
})

test.each([1, 7, 50])('in pieces of %i bytes they are answered the same way', async (size) => {
  const proxy = await proxyTo(await startEcho())
  const all =
    get('/20') +
    'POST /21 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello' +
    'PUT /22 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n0\r\n\r\n' +
    get('/23', 'Connection: close')
  const pieces = Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))
  const { text } = await rawRequest(proxy.port, pieces)
  expect(echoes(text)).toEqual(['<GET /20 >', '<POST /21 hello>', '<PUT /22 hello>', '<GET /23 >'])
})

test.each([
  ['a request that closes', get('/20', 'Connection: close')],
  ['HTTP/1.0', 'GET /20 HTTP/1.0\r\n\r\n'],
])('behind %s nothing is answered or sent on', async (_name, request) => {
  const target = await startAnswering('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ok>')
  const proxy = await proxyTo(target)
  const { text, end } = await rawRequest(proxy.port, request + get('/behind'))
  expect(echoes(text)).toEqual(['<ok>'])
  expect(end).toBe('closed')
  expect(target.received().join('')).not.toContain('/behind')
})

test('a client that has ended its side still gets all answers', async () => {
  const proxy = await proxyTo(await startEcho())
  const { text, end } = await rawRequest(proxy.port, get('/1') + get('/2') + get('/3'), { end: true })
  expect(echoes(text)).toEqual(['<GET /1 >', '<GET /2 >', '<GET /3 >'])
  expect(end).toBe('closed')
})

test.each([
  ['a head', 'GET /cut HTTP/1.1\r\nHo'],
  ['a counted body', 'POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab'],
  ['a chunk', 'POST /cut HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab'],
])('a client that ends within %s gets the answers before it, and its connection is closed', async (_name, cut) => {
  const proxy = await proxyTo(await startEcho())
  for (const pieces of [[get('/1') + cut], [get('/1'), cut], [get('/1') + get('/2') + cut]]) {
    const { text, end } = await rawRequest(proxy.port, pieces, { end: true })
    expect(text).toContain('<GET /1 >')
    expect(text).not.toContain('/cut')
    expect(end).not.toBe('open')
  }
})
