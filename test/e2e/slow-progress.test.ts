/**
 * Time-outs look at progress: who takes bytes slowly and steadily is not cut off, whatever the kernel still holds for him; who
 * takes nothing is, and the log says so.
 */
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { libc } from '../../src/dataplane/socket/libc.ts'
import { type Certificate, makeCertificate } from '../helpers/certificate.ts'
import { program } from '../helpers/programs.ts'
import { service, startProcess, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startTcp } from '../helpers/upstream.ts'

const SIZE = 30_000_000
/** Of what the kernel holds for a peer, it tells no progress before megabytes are gone: at this rate that takes much longer than a second. */
const READ_EVERY_MS = 100
const READS = 60
const BODY = Buffer.alloc(SIZE, 'x')
/** So much the kernel takes at once of an upload, and not all of it does the kernel of a target that reads nothing. */
const HELD = 1_000_000
const TIMEOUTS = { send: '1s', body: '1s' }

/** Reads a piece now and then; `taken()` is how many pieces. */
function readSlowly(socket: net.Socket, everyMs = READ_EVERY_MS): () => number {
  let taken = 0
  socket.on('data', () => {
    taken++
    socket.pause()
    const timer = setTimeout(() => socket.resume(), everyMs)
    onTestFinished(() => clearTimeout(timer))
  })
  return () => taken
}

function connect(port: number, ca?: string): net.Socket {
  const to = { port, host: '127.0.0.1' }
  const socket = ca === undefined ? net.connect(to) : tls.connect({ ...to, ca })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}

const openssl = program('openssl')

const startSlow = (target: string, listeners: Record<string, unknown> = {}, env: Record<string, string> = {}) =>
  startProcess(
    {
      ...listeners,
      services: { shop: service({ blue: [target] }, { timeouts: { idle: '1s', response: '1s' } }) },
      timeouts: TIMEOUTS,
    },
    temporaryFolder(),
    [],
    env,
  )

/** As `startTcp`, over TLS. */
async function startTls({ cert, key }: Certificate, onOpen: (socket: net.Socket) => void): Promise<{ url: string }> {
  const sockets = new Set<net.Socket>()
  const server = tls.createServer({ cert, key }, (socket) => {
    sockets.add(socket)
    onOpen(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

test.skipIf(libc === null || openssl === null).each(['in the clear', 'over TLS'])(
  'a download that is read slowly and steadily is not cut off (%s)',
  async (how) => {
    const target = await startTcp((socket) => {
      socket.once(
        'data',
        () => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`) && socket.write(BODY),
      )
      socket.on('error', () => {})
    })
    const certificate = how === 'over TLS' ? makeCertificate(openssl!, temporaryFolder()) : null
    const file = certificate && { cert: certificate.certFile, key: certificate.keyFile }
    const listeners = file === null ? {} : { listeners: [{ address: '127.0.0.1:0', tls: file }] }
    const proxy = await startSlow(target.url, listeners)
    const client = connect(proxy.port, certificate?.cert)
    let isClosed = false
    client.on('close', () => (isClosed = true))
    client.write('GET / HTTP/1.1\r\nHost: shop\r\n\r\n')
    // A record is a quarter of what is read at once in the clear.
    const parts = certificate === null ? 1 : 4
    const taken = readSlowly(client, READ_EVERY_MS / parts)
    await until('enough was read', () => taken() >= READS * parts || isClosed)
    expect({ isClosed, log: proxy.stdout() }).toEqual({ isClosed: false, log: expect.not.stringContaining('client_') })
  },
)

test.skipIf(libc === null || openssl === null).each(['in the clear', 'over TLS'])(
  'an upload that the target takes slowly and steadily is no time-out (%s)',
  async (how) => {
    const certificate = how === 'over TLS' ? makeCertificate(openssl!, temporaryFolder()) : null
    // A record is a quarter of what is read at once in the clear.
    const parts = certificate === null ? 1 : 4
    let taken = () => 0
    const onOpen = (socket: net.Socket) => {
      taken = readSlowly(socket, READ_EVERY_MS / parts)
      socket.on('error', () => {})
    }
    const target = certificate === null ? await startTcp(onOpen) : await startTls(certificate, onOpen)
    const env: Record<string, string> = certificate === null ? {} : { NODE_EXTRA_CA_CERTS: certificate.certFile }
    const proxy = await startSlow(target.url, {}, env)
    const client = connect(proxy.port)
    let answer = ''
    client.on('data', (bytes) => (answer += bytes.toString('latin1')))
    client.write(`POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: ${SIZE}\r\n\r\n`)
    client.write(BODY)
    await until('enough was read', () => taken() >= READS * parts || answer !== '')
    expect(answer).toBe('')
  },
)

test('a target that takes nothing of what the kernel holds for it is a time-out when its time to answer is over', {
  timeout: 60_000,
}, async () => {
  // It reads a little and, as nobody listens to that, nothing more.
  const target = await startTcp(() => {})
  const services = { shop: service({ blue: [target.url] }, { timeouts: { response: '1s' } }) }
  const proxy = await startProxy({ services, timeouts: { send: '1h' } })
  const client = connect(proxy.port)
  let answer = ''
  client.on('data', (bytes) => (answer += bytes.toString('latin1')))
  client.write(`POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: ${HELD}\r\n\r\n`)
  client.write(BODY.subarray(0, HELD))
  await until('it is answered', () => answer !== '')
  expect(answer).toMatch(/^HTTP\/1\.1 504 /)
})

test('a client that takes nothing is cut off, and the log says that it was the client', {
  timeout: 60_000,
}, async () => {
  const target = await startTcp((socket) => {
    socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`) && socket.write(BODY))
    socket.on('error', () => {})
  })
  const proxy = await startSlow(target.url)
  const client = connect(proxy.port)
  client.write('GET / HTTP/1.1\r\nHost: shop\r\n\r\n')
  client.once('data', () => client.pause())
  await until('it is logged', () => proxy.stdout().includes('"status":200'))
  expect(proxy.stdout()).toContain('"error":"client_stalled"')
})
