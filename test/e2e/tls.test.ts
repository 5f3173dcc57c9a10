/** TLS on both sides: a listener that terminates it, and targets that are spoken to through it, with real certificates. */
import { readFileSync } from 'node:fs'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { Agent, request } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { metric } from '../helpers/admin.ts'
import { bulk } from '../helpers/bulk.ts'
import { type Certificate, makeCertificate } from '../helpers/certificate.ts'
import { readPattern, sendPattern } from '../helpers/pattern.ts'
import { program } from '../helpers/programs.ts'
import { service, startProcess, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { startNamed, startTcp, startUpstream } from '../helpers/upstream.ts'

const openssl = program('openssl')
const MIB = 2 ** 20
const SIZE = bulk(12, 48) * MIB
const GROWTH_MAX = 64 * MIB

const listening = ({ certFile, keyFile }: Certificate) => [
  { address: '127.0.0.1:0', tls: { cert: certFile, key: keyFile } },
]

/** Turnout with a TLS listener before these targets, and the certificate to trust. */
async function startTls(target: string, config: Record<string, unknown> = {}) {
  const certificate = makeCertificate(openssl!, temporaryFolder())
  const services = { shop: service({ blue: [target] }) }
  const proxy = await startProxy({ listeners: listening(certificate), services, ...config })
  return { proxy, certificate }
}

/** A TLS connection that trusts this certificate, closed with the test. */
async function connect(port: number, ca: string): Promise<tls.TLSSocket> {
  const socket = tls.connect({ port, host: '127.0.0.1', ca, ALPNProtocols: ['h2', 'http/1.1'] })
  socket.on('error', () => {})
  onTestFinished(() => {
    socket.destroy()
  })
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  return socket
}

function clientOf(ca: string, connections = 1): Agent {
  const agent = new Agent({ connect: { ca }, connections })
  onTestFinished(() => agent.destroy())
  return agent
}

describe.skipIf(openssl === null)('a TLS listener', () => {
  test('serves HTTP/1.1 over it and tells the target that it was https', async () => {
    const target = await startUpstream(({ headers }, response) => response.end(JSON.stringify(headers)))
    const { proxy, certificate } = await startTls(target.url)
    expect(proxy.url).toMatch(/^https:/)
    const dispatcher = clientOf(certificate.cert)
    for (let turn = 0; turn < 3; turn++) {
      const answer = await request(proxy.url, { dispatcher })
      const headers = (await answer.body.json()) as Record<string, string>
      expect(headers).toMatchObject({ 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' })
      expect(headers['forwarded']).toContain('proto=https')
    }
    expect((await connect(proxy.port, certificate.cert)).alpnProtocol).toBe('http/1.1')
  })

  test('answers a client that has ended its side behind the request', async () => {
    const answers: (() => void)[] = []
    const target = await startUpstream((_, response) => answers.push(() => response.end('late')))
    const { proxy, certificate } = await startTls(target.url)
    const socket = await connect(proxy.port, certificate.cert)
    let text = ''
    socket.on('data', (bytes) => {
      text += bytes
    })
    socket.end('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('the target has it', () => answers.length === 1)
    await new Promise((resolve) => setTimeout(resolve, 100))
    answers[0]()
    await until('it is answered', () => text.endsWith('late'))
    await until('it is gone', async () => (await metric(proxy, 'turnout_client_connections')) === 0)
  })

  test.each(['length', 'chunked'])(
    'large bodies pass byte for byte in both directions, framing: %s',
    async (framing) => {
      const line = framing === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${SIZE}`
      const target = await startTcp(async (socket) => {
        const { fault, bytes } = await readPattern(socket)
        found.push(fault ?? bytes)
        socket.write(`HTTP/1.1 200 OK\r\n${line}\r\n\r\n`)
        await sendPattern(socket, SIZE, framing === 'chunked')
      })
      const found: (string | number)[] = []
      const { proxy, certificate } = await startTls(target.url)
      const socket = await connect(proxy.port, certificate.cert)
      const answer = readPattern(socket)
      socket.write(`POST / HTTP/1.1\r\nHost: a\r\n${line}\r\n\r\n`)
      await sendPattern(socket, SIZE, framing === 'chunked')
      const { fault, bytes } = await answer
      expect(found).toEqual([SIZE])
      expect(fault ?? bytes).toBe(SIZE)
    },
  )

  test('tunnels WebSockets', async () => {
    const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    onTestFinished(() => {
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
    })
    sockets.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })))
    await until('it listens', () => sockets.address() !== null)
    const { proxy, certificate } = await startTls(`http://127.0.0.1:${(sockets.address() as AddressInfo).port}`)
    const socket = new WebSocket(proxy.url.replace('https', 'wss'), { ca: certificate.cert })
    onTestFinished(() => socket.terminate())
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    for (let i = 0; i < 100; i++) {
      const message = 'x'.repeat(i * 700) + i
      const back = new Promise<string>((resolve) => socket.once('message', (data) => resolve(String(data))))
      socket.send(message)
      expect(await back).toBe(message)
    }
    const closed = new Promise<number>((resolve) => socket.once('close', resolve))
    socket.close(4000)
    expect(await closed).toBe(4000)
  })

  test('closes what is not TLS, and goes on serving the others', async () => {
    const blue = await startNamed('blue')
    const { proxy, certificate } = await startTls(blue.url)
    const { end } = await rawRequest(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(end).not.toBe('open')
    const answer = await request(proxy.url, { dispatcher: clientOf(certificate.cert) })
    expect(await answer.body.text()).toBe('blue')
    expect(blue.requests()).toBe(1)
  })

  test.skipIf(process.platform !== 'linux')('a slow reader behind it does not grow the process by 64 MB', async () => {
    const certificate = makeCertificate(openssl!, temporaryFolder())
    const { url } = await startTcp(async (socket) => {
      await readPattern(socket)
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 ** 31}\r\n\r\n`)
      await sendPattern(socket, 2 ** 31, false)
    })
    const config = { listeners: listening(certificate), services: { shop: service({ blue: [url] }) } }
    const proxy = await startProcess(config, temporaryFolder())
    const residentBytes = () => {
      const line = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${proxy.child.pid}/status`, 'utf8'))
      return Number(line?.[1]) * 1024
    }
    const before = residentBytes()
    const socket = await connect(proxy.port, certificate.cert)
    let taken = 0
    let most = before
    socket.on('data', (bytes) => {
      taken += bytes.length
      socket.pause()
      setTimeout(() => socket.resume(), 2)
    })
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
    await until('enough was read', () => {
      most = Math.max(most, residentBytes())
      return taken > 12 * MIB
    })
    expect(most - before).toBeLessThan(GROWTH_MAX)
  })
})

/** An https target that gives back what it is sent; tells how many connections it has seen. */
async function startHttps({ cert, key }: Certificate): Promise<{ port: number; connections: () => number }> {
  let connections = 0
  const server = https.createServer({ cert, key }, (incoming, response) => {
    response.setHeader('x-host', incoming.headers.host ?? '')
    incoming.pipe(response)
  })
  server.on('secureConnection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, connections: () => connections }
}

describe.skipIf(openssl === null)('an https target', () => {
  const start = async (names: string, host: string, trusted: boolean) => {
    const certificate = makeCertificate(openssl!, temporaryFolder(), names)
    const target = await startHttps(certificate)
    const services = { shop: service({ blue: [`https://${host}:${target.port}`] }) }
    const env: Record<string, string> = trusted ? { NODE_EXTRA_CA_CERTS: certificate.certFile } : {}
    const proxy = await startProcess({ services }, temporaryFolder(), [], env)
    return { proxy, target }
  }

  test.each([
    ['DNS:localhost', 'localhost'],
    ['IP:127.0.0.1', '127.0.0.1'],
  ])('with a certificate for %s gets requests over connections that are kept', async (names, host) => {
    const { proxy, target } = await start(names, host, true)
    for (let turn = 0; turn < 5; turn++) {
      const answer = await fetch(proxy.url, { method: 'POST', body: `turn ${turn}` })
      expect([answer.status, await answer.text()]).toEqual([200, `turn ${turn}`])
    }
    expect(target.connections()).toBe(1)
  })

  test('gets and gives large bodies byte for byte', async () => {
    const { proxy } = await start('IP:127.0.0.1', '127.0.0.1', true)
    const socket = net.connect(proxy.port, '127.0.0.1')
    onTestFinished(() => {
      socket.destroy()
    })
    const answer = readPattern(socket)
    socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n`)
    await sendPattern(socket, SIZE, false)
    const { fault, bytes } = await answer
    expect(fault ?? bytes).toBe(SIZE)
  })

  test.each([
    ['that nobody vouches for', 'IP:127.0.0.1', false],
    ['for another name', 'DNS:elsewhere.example', true],
  ])('with a certificate %s is not spoken to', async (_what, names, trusted) => {
    const { proxy } = await start(names, '127.0.0.1', trusted)
    const answer = await fetch(proxy.url, { method: 'POST', body: 'secret' })
    expect(answer.status).toBe(502)
    expect(answer.headers.get('x-turnout-error')).toBe('upstream_connect_failed')
  })
})
