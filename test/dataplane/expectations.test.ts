/** `Expect: 100-continue`: passed on, answered once, and never a way to lose framing. */
import { expect, test } from 'vitest'
import { service, startProxy } from '../helpers/proxy.ts'
import { rawRequest } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startRaw } from '../helpers/upstream.ts'

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n'
const proxyTo = shareProxy()

/** A client that sends its body only when it was told to. */
function patient(port: number, head = HEAD) {
  return rawRequest(port, [head], { until: (text) => text.includes('100 Continue') && text.includes('200 OK') })
}

test('the 100 of the target reaches the client, and the body then the target', async () => {
  const target = await startRaw((socket, text) => {
    if (text.endsWith('\r\n\r\n')) socket.write(CONTINUE)
    else if (text.endsWith('hello')) socket.write(OK)
  })
  const proxy = await proxyTo(target)
  const { connect } = await import('node:net')
  const text = await new Promise<string>((resolve) => {
    let seen = ''
    const socket = connect(proxy.port, '127.0.0.1', () => socket.write(HEAD))
    socket.on('data', (bytes) => {
      seen += bytes
      if (seen.endsWith('\r\n\r\n') && seen.includes('100 Continue')) socket.write('hello')
    })
    socket.on('close', () => resolve(seen))
  })
  expect(text).toMatch(/^HTTP\/1\.1 100 Continue\r\n/)
  expect(text).toMatch(/\r\n\r\nok$/)
  expect(target.received()[0]).toContain('Expect: 100-continue\r\n')
})

test('several 100s of the target are one for the client', async () => {
  const target = await startRaw((socket) => socket.write(CONTINUE + CONTINUE + OK))
  const proxy = await proxyTo(target)
  const { text } = await patient(proxy.port)
  expect(text.match(/100 Continue/g)?.length).toBe(1)
})

test('a final answer before the body is delivered, and the connection closed', async () => {
  const target = await startRaw((socket) =>
    socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno'),
  )
  const proxy = await proxyTo(target)
  const { text, end } = await rawRequest(proxy.port, HEAD.replace('Connection: close\r\n', ''))
  expect(text).toMatch(/^HTTP\/1\.1 413 [\s\S]*\r\n\r\nno$/)
  expect(text).toContain('Connection: close\r\n')
  expect(end).toBe('closed')
})

test.each([
  { version: '1.1', status: 504, error: 'upstream_timeout' },
  // It knows no 100, so it is the client that does not send.
  { version: '1.0', status: 408, error: 'request_timeout' },
])(
  'a target of HTTP/$version that never says 100: its client gets a $status, and is told that the connection closes',
  async ({ version, status, error }) => {
    const target = await startRaw((socket, text) => {
      if (!text.includes('Expect')) socket.write(OK.replace('1.1', version))
    })
    const timeouts = { response: '200ms' }
    const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }, { timeouts }) } })
    await rawRequest(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    const { text, end } = await rawRequest(proxy.port, HEAD.replace('Connection: close\r\n', ''))
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*X-Turnout-Error: ${error}\r\n`, 'i'))
    expect([text.includes('Connection: close\r\n'), end]).toEqual([true, 'closed'])
  },
)

test('bytes behind such an answer are no request', async () => {
  const target = await startRaw((socket) => socket.write(OK))
  const proxy = await proxyTo(target)
  const head = HEAD.replace('Connection: close\r\n', '')
  await rawRequest(proxy.port, [head, 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'])
  expect(target.received().join('')).not.toMatch(/^GET \/smuggled/m)
  expect(target.connections()).toBe(1)
})

test('a body that comes with its head needs no asking', async () => {
  const target = await startRaw((socket, text) => {
    if (text.endsWith('hello')) socket.write(OK)
  })
  const proxy = await proxyTo(target)
  const { text } = await rawRequest(proxy.port, `${HEAD}hello`)
  expect(text).toMatch(/^HTTP\/1\.1 200 OK/)
  expect(target.received()[0]).not.toContain('Expect')
})

test('HTTP/1.0 cannot ask', async () => {
  const target = await startRaw((socket, text) => {
    socket.write(CONTINUE)
    if (text.endsWith('hello')) socket.write(OK)
  })
  const proxy = await proxyTo(target)
  const head = 'POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n'
  const { text } = await rawRequest(proxy.port, [head, 'hello'])
  expect(text).toMatch(/^HTTP\/1\.1 200 OK/)
  expect(target.received()[0]).not.toContain('Expect')
})
