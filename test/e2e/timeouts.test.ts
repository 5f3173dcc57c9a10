/**
 * Time-outs between clients and the proxy: each phase has its own, and only the one of the body and of idleness start again
 * at a byte. (Those towards targets: hung-target.test.ts; of clients that do not read: slow-clients.test.ts.)
 */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { metric, metricIs, targetAtRest, targetStatus } from '../helpers/admin.ts'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { service, startProxy } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { startNamed, startRaw } from '../helpers/upstream.ts'

/** A client that sends `first` and then one byte of `more`, round and round, every few ms; what it got, once it is closed. */
function drip(port: number, first: string, more: string, everyMs = 20): Promise<{ text: string; sent: number }> {
  return new Promise((resolve) => {
    let text = ''
    let sent = 0
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    socket.write(first)
    const timer = setInterval(() => socket.write(more[sent++ % more.length]), everyMs)
    const finish = () => {
      clearInterval(timer)
      socket.destroy()
      resolve({ text, sent })
    }
    onTestFinished(finish)
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
    })
    socket.on('end', finish)
    socket.on('error', finish)
  })
}

test('a head that drips is answered with 408 at its deadline, whatever comes meanwhile', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProxy({ timeouts: { head: '600ms' }, services: { shop: service({ blue: [blue.url] }) } })
  const { text, sent } = await drip(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\n', 'X-A: 1\r\n')
  expect(text).toMatch(/^HTTP\/1.1 408 /)
  expect(text).toContain('X-Turnout-Error: request_timeout\r\n')
  expect(text).toContain('Connection: close\r\n')
  expect(sent).toBeGreaterThan(3)
  await metricIs(1, proxy, 'turnout_rejected_total', 'code="request_timeout"')
  expect(blue.requests()).toBe(0)
})

test('hundreds of slow heads harm nobody', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProxy({ timeouts: { head: '1s' }, services: { shop: service({ blue: [blue.url] }) } })
  let isOver = false
  const answers: string[] = []
  // Each comes again until it is over, so there are hundreds at any time, however long the others take.
  const comeAgain = async () => {
    do answers.push((await drip(proxy.port, 'GET / HTTP/1.1\r\n', 'X-A: 1\r\n', 50)).text)
    while (!isOver)
  }
  const slow = Array.from({ length: 300 }, comeAgain)
  await until('many are there', async () => (await metric(proxy, 'turnout_client_connections')) >= 100)
  const load = startLoad(proxy.port, { connections: 4, pauseMs: () => PACE_MS })
  await until('others are served', () => load.outcomes.length > 100)
  isOver = true
  await Promise.all(slow)
  const refused = answers.filter((text) => text.startsWith('HTTP/1.1 408 '))
  expect(refused.length).toBeGreaterThan(100)
  // A client that gets no core for a second after it has connected has asked nothing, and gets no answer.
  expect(answers.filter((text) => text !== '' && !refused.includes(text))).toEqual([])
  expect((await load.stop()).filter(({ status }) => status !== 200)).toEqual([])
  await until('all have gone', async () => (await metric(proxy, 'turnout_client_connections')) === 0)
})

test('the second head on a connection has its own deadline', async () => {
  const blue = await startNamed('blue')
  const timeouts = { head: '400ms', keepAlive: '10s' }
  const proxy = await startProxy({ timeouts, services: { shop: service({ blue: [blue.url] }) } })
  const { text } = await drip(
    proxy.port,
    'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n',
    'X-A: 1\r\n',
  )
  expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 408'])
})

test('a connection on which nothing is ever asked is closed without an answer', async () => {
  const proxy = await startProxy({ timeouts: { head: '300ms' }, services: {} })
  expect(await rawRequest(proxy.port, '')).toEqual({ text: '', end: 'closed' })
})

test.each([
  ['alone', [], 0],
  ['behind an answer', ['GET / HTTP/1.1\r\nHost: a\r\n\r\n'], 1],
])(
  'an empty line %s begins no request: the connection stays idle, and is closed without a word',
  async (_, before, answers) => {
    const blue = await startNamed('blue')
    const timeouts = { head: '300ms', keepAlive: '700ms' }
    const proxy = await startProxy({ timeouts, services: { shop: service({ blue: [blue.url] }) } })
    const { text, end } = await rawRequest(proxy.port, [...before, '\r', '\n'])
    expect(end).toBe('closed')
    expect(text.match(/HTTP\/1\.1 \d+/g) ?? []).toEqual(new Array(answers).fill('HTTP/1.1 200'))
    expect(await metric(proxy, 'turnout_rejected_total')).toBe(0)
  },
)

test('a request that begins behind an empty line and does not end gets 408', async () => {
  const proxy = await startProxy({ timeouts: { head: '300ms' }, services: {} })
  const { text } = await rawRequest(proxy.port, ['\r\n', 'GE'])
  expect(text).toMatch(/^HTTP\/1\.1 408 /)
})

test('an idle connection is closed without an answer', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProxy({
    timeouts: { keepAlive: '300ms' },
    services: { shop: service({ blue: [blue.url] }) },
  })
  const { text, end } = await rawRequest(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  expect(text.match(/^HTTP\/1.1 \d+/gm)).toEqual(['HTTP/1.1 200'])
  expect(end).toBe('closed')
})

test.each([
  ['counted', 'Content-Length: 10', 'half'],
  ['chunked', 'Transfer-Encoding: chunked', '4\r\nhalf\r\n'],
])('a %s body that stops is answered with 408, counted, and costs the target nothing', async (_, field, body) => {
  const target = await startRaw(() => {})
  const proxy = await startProxy({ timeouts: { body: '400ms' }, services: { shop: service({ blue: [target.url] }) } })
  const { text, end } = await rawRequest(proxy.port, [`POST / HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`, body])
  expect(text).toMatch(/^HTTP\/1.1 408 /)
  expect(text).toContain('Connection: close\r\n')
  expect(end).toBe('closed')
  await until('it is counted', async () => (await metric(proxy, 'turnout_rejected_total', '"request_timeout"')) === 1)
  expect((await targetAtRest(proxy, 'shop', target.url)).failures).toBe(0)
  await until('the target sees the end', async () => (await metric(proxy, 'turnout_upstream_connections')) === 0)
})

test('a body that comes slowly but steadily is passed on', async () => {
  const target = await startRaw((socket, text) => {
    if (text.endsWith('\r\n\r\n' + 'x'.repeat(30))) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })
  const proxy = await startProxy({ timeouts: { body: '500ms' }, services: { shop: service({ blue: [target.url] }) } })
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 30\r\n\r\n'
  // 1.2 s in all, far more than the limit between two bytes.
  const { text } = await drip(proxy.port, head, 'x', 40)
  expect(text).toMatch(/^HTTP\/1.1 200 /)
})

test('a target that does not take the body gets 504, not the client 408', async () => {
  const target = await startRaw(
    () => {},
    (socket) => socket.pause(),
  )
  const timeouts = { body: '500ms' }
  const proxy = await startProxy({ timeouts, services: { shop: service({ blue: [target.url] }) } })
  const size = 64 * 1024 * 1024
  const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`
  const piece = 'x'.repeat(1024 * 1024)
  const { text } = await rawRequest(proxy.port, [head, ...new Array(64).fill(piece)], {
    until: (seen) => seen.includes('\r\n\r\n'),
    limitMs: 10_000,
  })
  expect(text).toMatch(/^HTTP\/1.1 504 /)
  // Counted right behind the answer.
  await until('it is counted', async () => (await targetStatus(proxy, 'shop', target.url)).failures === 1)
})
