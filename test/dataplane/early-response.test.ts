/** A target that answers before it has the whole request: the answer arrives, and nothing of the upload becomes a request. */
import { connect } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { service, startProxy } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startRaw } from '../helpers/upstream.ts'

const REFUSAL = 'HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const BYTES = 4_000_000
/** What an attacker would have in the body, so that a proxy that loses its place sends it on. */
const PIECE = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'.padEnd(100, 'x')
const proxyTo = shareProxy()

/** Uploads `BYTES` bytes of pieces, as fast as they are taken, until all is sent or the connection ends; gives the answer. */
function upload(port: number, head: string): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    let sent = 0
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const more = () => {
      while (sent < BYTES && !socket.destroyed && socket.writable) {
        sent += PIECE.length * 100
        if (!socket.write(PIECE.repeat(100))) return
      }
    }
    socket.on('connect', () => {
      socket.write(head)
      more()
    })
    socket.on('drain', more)
    socket.on('data', (bytes) => {
      text += bytes
    })
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(text))
  })
}

const POST = `POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${BYTES}\r\n\r\n`

test('an answer with close in the middle of an upload is delivered', async () => {
  const target = await startRaw((socket, text) => {
    if (text.length < 50_000 || socket.writableEnded) return
    socket.end(REFUSAL)
  })
  const proxy = await proxyTo(target)
  for (let i = 0; i < 10; i++) {
    const text = await upload(proxy.port, POST)
    expect(text).toMatch(/^HTTP\/1\.1 413 Content Too Large\r\n[\s\S]*\r\n\r\nno$/)
  }
  expect(target.connections()).toBe(10)
  for (const text of target.received()) expect(text.startsWith('POST /up HTTP/1.1\r\n')).toBe(true)
})

test.each([true, false])(
  'so is one whose target is gone at once, with the upload unread (shared reads: %s)',
  async (sharedReads) => {
    const target = await startRaw((socket) => {
      if (socket.writableEnded) return
      socket.pause()
      socket.end(REFUSAL, () => socket.destroy())
    })
    const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }) } }, { sharedReads })
    for (let i = 0; i < 10; i++) {
      const text = await upload(proxy.port, POST)
      expect(text).toMatch(/^HTTP\/1\.1 413 Content Too Large\r\n[\s\S]*\r\n\r\nno$/)
    }
  },
)

test('the connection to a target that answered early carries no other request', async () => {
  const answered = new Set<number>()
  const target = await startRaw((socket, text, index) => {
    if (answered.has(index) || text.length < 1_000) return
    answered.add(index)
    socket.write(OK)
  })
  const proxy = await proxyTo(target)
  const text = await upload(proxy.port, POST)
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nok$/)
  const [received] = target.received()
  expect(received.indexOf('\r\n\r\n')).toBeGreaterThan(0)
  expect(received.match(/^POST \/up/gm)?.length).toBe(1)
  expect(received.length - received.indexOf('\r\n\r\n') - 4).toBeLessThanOrEqual(BYTES)
  expect(received.slice(received.indexOf('\r\n\r\n') + 4).startsWith(PIECE)).toBe(true)
})

describe('to a client that would stay, an early answer', () => {
  const STAYS = POST.replace('Connection: close\r\n', '')

  test.each([
    ['says that it closes', REFUSAL],
    ['speaks HTTP/1.0', REFUSAL.replace('HTTP/1.1', 'HTTP/1.0').replace('Connection: close\r\n', '')],
    ['ends its answer with the connection', 'HTTP/1.1 413 Content Too Large\r\n\r\nno'],
  ])('of a target that %s announces that the connection closes', async (_how, answer) => {
    const target = await startRaw((socket, text) => {
      if (text.length >= 50_000 && !socket.writableEnded) socket.end(answer)
    })
    const proxy = await proxyTo(target)
    // The rest would come after the answer: else all may have been sent before, and the connection stays.
    const { text } = await rawRequest(proxy.port, STAYS + 'x'.repeat(60_000))
    expect(text).toMatch(/^HTTP\/1\.1 413 [\s\S]*\r\nConnection: close\r\n/)
  })

  test('that announces no such thing leaves the connection open, though its target is gone before the rest has come', async () => {
    let isGone = false
    const target = await startRaw((socket, text) => {
      if (text.endsWith('half')) socket.end(OK)
      else if (text.startsWith('GET /next')) socket.write(OK)
      socket.on('close', () => (isGone = true))
    })
    const proxy = await proxyTo(target)
    const socket = connect({ port: proxy.port, host: '127.0.0.1', noDelay: true })
    onTestFinished(() => void socket.destroy())
    let seen = ''
    socket.on('data', (bytes) => {
      seen += bytes.toString('latin1')
    })
    socket.write('POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf')
    await until('it is answered, and the target gone', () => seen.endsWith('ok') && isGone)
    expect(seen).not.toContain('Connection: close')
    socket.write('half' + 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('so is the next', () => seen.split('HTTP/1.1 200').length === 3)
  })
})

test('a target that says more than its early answer gets nothing more of the upload, and the client is not kept waiting', async () => {
  let ended = false
  let more = () => {}
  const target = await startRaw(
    (socket, text) => {
      if (text.includes('x'.repeat(50)) && socket.bytesWritten === 0) socket.write(OK)
      more = () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison')
    },
    (socket) => void socket.on('end', () => socket.end()).on('close', () => (ended = true)),
  )
  const proxy = await proxyTo(target)
  // It says this behind its answer, while it still gets the rest of a request that is never all sent.
  const { text, end } = await rawRequest(proxy.port, POST.replace('Connection: close\r\n', '') + PIECE, {
    until: (seen) => {
      if (seen.endsWith('\r\n\r\nok')) more()
      return false
    },
  })
  expect(text).toMatch(/\r\n\r\nok$/)
  expect(end).toBe('closed')
  await until('the connection to the target is closed', () => ended)
})
