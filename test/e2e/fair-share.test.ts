/**
 * One client that asks for very much at once, or takes nothing, beside others: everybody has a turn, nothing piles up, and
 * whoever has gone without a word is noticed.
 */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { openLine } from '../helpers/load.ts'
import { service, startProxy } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { startRaw, startTcp } from '../helpers/upstream.ts'

const nowhere = (n: number) => `GET /${n} HTTP/1.1\r\nHost: nowhere\r\n\r\n`
const BLUE = { routes: [{ host: 'test' }] }

function connect(port: number): net.Socket {
  const socket = net.connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  onTestFinished(() => {
    socket.destroy()
  })
  return socket
}

test('a request that comes behind thousands of pipelined ones is answered among them', async () => {
  const target = await startRaw((socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n'))
  const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }, BLUE) } })
  const other = await openLine(proxy.port)
  await other?.ask({ method: 'GET' })
  const flood = connect(proxy.port)
  const requests = 20_000
  let answered = 0
  flood.on('data', (bytes: Buffer) => {
    answered += bytes.toString('latin1').split('HTTP/1.1 404').length - 1
  })
  flood.write(Array.from({ length: requests }, (_, n) => nowhere(n)).join(''))
  const refused = () => metric(proxy, 'turnout_rejected_total', '"no_route"')
  await until('the flood is being answered', () => answered > 0)
  expect(await other?.ask({ method: 'GET' })).toMatchObject({ status: 204 })
  expect(answered).toBeLessThan(requests)
  await until('all are answered', async () => (await refused()) === requests)
  other?.close()
})

test('thousands of pipelined requests are all answered to a client that has ended its side, in both ways of reading', async () => {
  for (const sharedReads of [true, false]) {
    const target = await startRaw((socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n'))
    const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }, BLUE) } }, { sharedReads })
    const requests = Array.from({ length: 5_000 }, (_, n) => nowhere(n))
    requests.push('GET / HTTP/1.1\r\nHost: test\r\n\r\n')
    const { text, end } = await rawRequest(proxy.port, requests.join(''), { end: true, limitMs: 20_000 })
    expect(text.split('HTTP/1.1 404').length - 1).toBe(5_000)
    // In order: what was asked last was answered last.
    expect(text.lastIndexOf('HTTP/1.1 404')).toBeLessThan(text.indexOf('HTTP/1.1 204'))
    expect(end).toBe('closed')
  }
})

test('a tunnel whose client never reads is closed after the send time-out, though the client still sends', async () => {
  const target = await startTcp((socket) => {
    const piece = Buffer.alloc(65_536, 'x')
    const more = () => {
      while (socket.writable && socket.write(piece));
    }
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n')
      socket.resume()
      socket.on('drain', more)
      more()
    })
  })
  const proxy = await startProxy({ timeouts: { send: '500ms' }, services: { shop: service({ blue: [target.url] }) } })
  const client = connect(proxy.port)
  client.pause()
  client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n')
  const pings = setInterval(() => client.writable && client.write('ping'), 50)
  onTestFinished(() => clearInterval(pings))
  await until('it is open', async () => (await metric(proxy, 'turnout_tunnels_opened_total')) === 1)
  await until('it is closed', async () => (await metric(proxy, 'turnout_tunnels')) === 0)
})

test('a tunnel whose client reads after a while, or has nothing to read, stays open', async () => {
  const size = 16 * 1024 * 1024
  const target = await startTcp((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n')
      socket.write(Buffer.alloc(size, 'x'))
      socket.on('data', (bytes) => socket.write(bytes))
    })
    socket.on('end', () => socket.end())
  })
  const proxy = await startProxy({ timeouts: { send: '3s' }, services: { shop: service({ blue: [target.url] }) } })
  const client = connect(proxy.port)
  client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n')
  let bytes = 0
  let last = ''
  client.on('data', (data: Buffer) => {
    bytes += data.length
    last = data.toString('latin1').slice(-4)
    if (bytes >= size) return
    client.pause()
    setTimeout(() => client.resume(), 5)
  })
  await until('all has come', () => bytes > size)
  // Longer than the send time-out without a byte.
  await new Promise((resolve) => setTimeout(resolve, 4_000))
  client.write('ping')
  await until('it still answers', () => last === 'ping')
})

/** Ports of both ends of the sockets of this machine that have a TCP keep-alive timer running (proc(5), /proc/net/tcp). */
function keptAlive(): Set<string> {
  const pairs = new Set<string>()
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, local = '', remote = '', , , timer = ''] = line.trim().split(/\s+/)
    const port = (address: string) => Number.parseInt(address.slice(-4), 16)
    if (timer.startsWith('02:')) pairs.add(`${port(local)}-${port(remote)}`)
  }
  return pairs
}

test.skipIf(process.platform !== 'linux')('connections on both sides are kept alive by TCP', async () => {
  const upstreams: net.Socket[] = []
  const target = await startTcp((socket) => {
    upstreams.push(socket)
    socket.on('data', () => socket.write('HTTP/1.1 204 No Content\r\n\r\n'))
  })
  const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }) } })
  const client = connect(proxy.port)
  client.write(nowhere(1))
  await until('both stand', () => upstreams.length === 1 && client.bytesRead > 0)
  const down = `${proxy.port}-${client.localPort}`
  const up = `${upstreams[0].remotePort}-${target.port}`
  await until('both are kept alive', () => keptAlive().has(down) && keptAlive().has(up))
})
