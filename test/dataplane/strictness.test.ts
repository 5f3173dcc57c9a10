/**
 * Every message of the corpus over real sockets: what is refused gets its status and a closed connection, and neither a byte
 * of it nor the request behind it reaches a target. One proxy and one target serve the whole file.
 */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { ERRORS } from '../../src/errors.ts'
import { rawRequest } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startAnswering } from '../helpers/upstream.ts'
import { GAPS, REQUESTS } from './http1/corpus.ts'

const proxyTo = shareProxy()

const BEHIND = 'GET /behind HTTP/1.1\r\nHost: a\r\n\r\n'
const GOOD = 'GET /good HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
/** What is longer may come in two reads, and then the head is on its way before the fault shows. */
const ONE_READ_BYTES = 16_000

async function setUp() {
  const target = await startAnswering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  const proxy = await proxyTo(target)
  return { proxy, received: () => target.received().join('') }
}

const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]))

test('a refused request gets its status, and nothing of it or behind it goes upstream', async () => {
  const { proxy, received } = await setUp()
  for (const { name, bytes, error } of REQUESTS) {
    if (error === null || bytes.length > ONE_READ_BYTES) continue
    const { text, end } = await rawRequest(proxy.port, bytes + BEHIND)
    expect({ name, statuses: statuses(text), end }).toEqual({ name, statuses: [ERRORS[error].status], end: 'closed' })
    expect(text).toContain('\r\nConnection: close\r\n')
    expect(text).toContain(`\r\nX-Turnout-Error: ${error}\r\n`)
    expect({ name, received: received() }).toEqual({ name, received: '' })
  }
  await rawRequest(proxy.port, GOOD)
  expect(received().match(/ HTTP\/1\.1\r\n/g)).toEqual([' HTTP/1.1\r\n'])
})

test('behind a refused request that is larger than a read, nothing goes upstream', async () => {
  const { proxy, received } = await setUp()
  for (const { name, bytes, error } of REQUESTS) {
    if (error === null || bytes.length <= ONE_READ_BYTES) continue
    const { text, end } = await rawRequest(proxy.port, bytes + BEHIND)
    expect({ name, statuses: statuses(text), end }).toEqual({ name, statuses: [ERRORS[error].status], end: 'closed' })
  }
  await rawRequest(proxy.port, GOOD)
  expect(received()).not.toContain('/behind')
})

test('a refused request loses no answer to the requests before it', async () => {
  const { proxy, received } = await setUp()
  const first = 'GET /first HTTP/1.1\r\nHost: a\r\n\r\n'
  for (const { name, bytes, error } of REQUESTS) {
    if (error === null || bytes.length > ONE_READ_BYTES) continue
    const { text, end } = await rawRequest(proxy.port, first + bytes + BEHIND)
    const { status } = ERRORS[error]
    // An empty line is allowed once before a request.
    expect({ name, statuses: statuses(text), end }).toEqual({ name, statuses: [200, status], end: 'closed' })
  }
  expect(received()).not.toContain('/behind')
  expect(received()).not.toContain('POST')
})

test.each([
  ['at once', ['\x16']],
  ['behind an empty line', ['\r', '\n', '\x16']],
  ['behind a CR', ['\r', 'G']],
])('what can become no request is refused before its line ends, %s', async (_where, pieces) => {
  const { proxy } = await setUp()
  const socket = net.connect({ port: proxy.port, host: '127.0.0.1', noDelay: true })
  onTestFinished(() => void socket.destroy())
  let answer = ''
  socket.on('data', (bytes) => {
    answer += bytes.toString('latin1')
  })
  const ended = new Promise((resolve) => socket.on('end', resolve))
  for (const piece of pieces) {
    socket.write(piece, 'latin1')
    // Once the one worker has answered another client, it has read this piece.
    await rawRequest(proxy.port, GOOD)
  }
  await ended
  expect(statuses(answer)).toEqual([400])
})

test('what is right is answered, and so is the request behind it', async () => {
  const { proxy, received } = await setUp()
  const last = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  for (const { name, bytes, error } of REQUESTS) {
    if (error !== null) continue
    const { text, end } = await rawRequest(proxy.port, bytes + last)
    const seen = statuses(text)
    expect({ name, end, seen: [...new Set(seen)] }).toEqual({ name, end: 'closed', seen: [200] })
  }
  expect(received()).toContain('/last')
})

test('a list of codings that comes to one chunked goes on as just that', async () => {
  const { proxy, received } = await setUp()
  const lists = [
    ...GAPS.map((list) => `Transfer-Encoding: ${list}`),
    'Transfer-Encoding:\r\ntransfer-encoding: chunked',
  ]
  for (const lines of lists) {
    const post = `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n3\r\nabc\r\n0\r\n\r\n`
    const { text } = await rawRequest(proxy.port, post + GOOD)
    expect({ lines, statuses: statuses(text) }).toEqual({ lines, statuses: [200, 200] })
  }
  expect(received().match(/transfer-encoding.*/gi)).toEqual(lists.map(() => 'Transfer-Encoding: chunked'))
  expect(received().match(/\r\n\r\n3\r\nabc\r\n0\r\n\r\n/g)?.length).toBe(lists.length)
})

test('a coding that we do not know is 501 before chunked, and 400 in the last place', async () => {
  const { proxy, received } = await setUp()
  const statusOf = async (coding: string) => {
    const post = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ${coding}\r\n\r\n0\r\n\r\n`
    return statuses((await rawRequest(proxy.port, post + GOOD)).text)
  }
  expect(await statusOf('gzip, chunked')).toEqual([501])
  expect(await statusOf('gzip')).toEqual([400])
  expect(received()).toBe('')
})
