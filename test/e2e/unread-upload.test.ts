/**
 * Targets that answer an upload without reading it and close a moment later, as gunicorn does: what comes next on that connection
 * is lost, so nothing that cannot be repeated is given to it while that is to be feared.
 */
import type net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { service, startProxy } from '../helpers/proxy.ts'
import { rawRequest } from '../helpers/raw.ts'
import { startTcp } from '../helpers/upstream.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const SIZE = 40_000
const UPLOAD = `POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n` + 'x'.repeat(SIZE)
const NEXT = 'POST /next HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'
/** Within what `reuse.ts` waits. */
const CLOSES_AFTER_MS = 5

/** Answers each head at once; a connection that has had an upload closes a moment later, whatever comes meanwhile. */
function startLazy(): Promise<{ readonly url: string }> {
  return startTcp((socket: net.Socket) => {
    let seen = ''
    let isOver = false
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      if (isOver) return
      seen += bytes.toString('latin1')
      if (seen.startsWith('POST /up')) {
        if (seen.length < SIZE) return
        isOver = true
        socket.write(OK)
        const timer = setTimeout(() => socket.destroy(), CLOSES_AFTER_MS)
        onTestFinished(() => clearTimeout(timer))
      } else if (seen.includes('\r\n\r\n')) {
        seen = ''
        socket.write(OK)
      }
    })
  })
}

test('the request behind such an upload goes on another connection, and none is lost', {
  timeout: 60_000,
}, async () => {
  const target = await startLazy()
  const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }) } })
  for (let i = 0; i < 20; i++) {
    const { text } = await rawRequest(proxy.port, UPLOAD + NEXT, { until: (seen) => seen.split('ok').length > 2 })
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200'])
  }
})
