/** A client that ends its side while the end of an answer still waits for it: it has asked for all of it, and gets all of it. */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { targetStatus } from '../helpers/admin.ts'
import { service, startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startUpstream } from '../helpers/upstream.ts'

const SIZE = 12_000_000

test.each(['HTTP/1.1', 'HTTP/1.0'])(
  'a FIN after the request cuts nothing off an answer that is on its way (%s)',
  async (version) => {
    const target = await startUpstream((_request, response) => {
      response.writeHead(200, version === 'HTTP/1.1' ? { 'Content-Length': SIZE } : {})
      response.end(Buffer.alloc(SIZE, 'x'))
    })
    const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }) } })
    const inFlight = async () => (await targetStatus(proxy, 'shop', target.url)).inFlight
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
    let size = 0
    let head = 0
    const readSome = () => {
      const bytes: Buffer | null = socket.read()
      if (bytes === null) return
      if (size === 0) head = bytes.indexOf('\r\n\r\n') + 4
      size += bytes.length
    }
    let ended = false
    socket.on('end', () => {
      ended = true
    })
    socket.write(`GET / ${version}\r\nHost: a\r\nConnection: close\r\n\r\n`)
    await until('it is under way', async () => (await inFlight()) === 1)
    // Reads so slowly that something still waits at the proxy when the target has no more to say.
    const reading = setInterval(readSome, 5)
    onTestFinished(() => clearInterval(reading))
    await until('the proxy has all', async () => (await inFlight()) === 0)
    expect(size).toBeLessThan(SIZE)
    socket.end()
    await until('the answer has ended', () => ended)
    expect(size - head).toBe(SIZE)
  },
)
