/**
 * Clients that ask and do not read: they are dropped once they have taken nothing for the send time-out, what they asked for
 * does not pile up meanwhile, and nobody else waits for them.
 */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { metric, metricIs, targetStatus } from '../helpers/admin.ts'
import { PACE_MS, startLoad } from '../helpers/load.ts'
import { service, startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startRaw, startUpstream } from '../helpers/upstream.ts'

const GET = 'GET /big HTTP/1.1\r\nHost: a\r\n\r\n'

/** A client that sends these bytes and never reads. */
function deaf(port: number, bytes: string): net.Socket {
  const socket = net.connect({ port, host: '127.0.0.1' })
  socket.pause()
  socket.on('error', () => {})
  socket.write(bytes)
  onTestFinished(() => {
    socket.destroy()
  })
  return socket
}

test('a client that never reads is dropped after the send time-out, while others are served', async () => {
  let sent = 0
  const piece = Buffer.alloc(65_536, 'x')
  const target = await startUpstream((request, response) => {
    if (request.url !== '/big') return response.end('small')
    const more = (): void => {
      while (!response.destroyed && response.write(piece)) sent += piece.length
      sent += piece.length
    }
    response.on('drain', more)
    return more()
  })
  const proxy = await startProxy({ timeouts: { send: '1s' }, services: { shop: service({ blue: [target.url] }) } })
  for (let i = 0; i < 8; i++) deaf(proxy.port, GET)
  await until('all are there', async () => (await targetStatus(proxy, 'shop', target.url)).inFlight === 8)
  const load = startLoad(proxy.port, { connections: 4, pauseMs: () => PACE_MS })
  await until('others are served', () => load.outcomes.length > 100)
  await until('all are dropped', async () => (await targetStatus(proxy, 'shop', target.url)).inFlight === 0)
  expect((await load.stop()).filter(({ status }) => status !== 200)).toEqual([])
  // Kernel buffers take some megabytes each; an endless answer that piled up would be far beyond.
  expect(sent).toBeLessThan(8 * 32 * 1024 * 1024)
  await metricIs(8, proxy, 'turnout_aborted_total')
  await until('all have gone', async () => (await metric(proxy, 'turnout_client_connections')) === 0)
  // Not the fault of the target.
  expect((await targetStatus(proxy, 'shop', target.url)).failures).toBe(0)
})

test('a client that reads slowly but steadily gets everything, however long it takes', async () => {
  const size = 32 * 1024 * 1024
  const target = await startUpstream((_, response) => response.end(Buffer.alloc(size, 'x')))
  const proxy = await startProxy({ timeouts: { send: '500ms' }, services: { shop: service({ blue: [target.url] }) } })
  const socket = net.connect({ port: proxy.port, host: '127.0.0.1' })
  onTestFinished(() => {
    socket.destroy()
  })
  let bytes = 0
  const startedMs = performance.now()
  socket.on('data', (data: Buffer) => {
    bytes += data.length
    if (bytes >= size) return
    // At a rate that needs several times the send time-out.
    const dueMs = startedMs + (bytes / size) * 2_500
    socket.pause()
    setTimeout(() => socket.resume(), Math.max(0, dueMs - performance.now()))
  })
  socket.write(GET)
  await until('all has come', () => bytes > size)
})

test('answers to pipelined requests do not pile up for a client that does not read', async () => {
  const size = 50_000
  let asked = 0
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`
  const target = await startRaw((socket, text) => {
    if (!text.endsWith('\r\n\r\n')) return
    asked++
    socket.write(answer)
  })
  const proxy = await startProxy({ timeouts: { send: '1s' }, services: { shop: service({ blue: [target.url] }) } })
  const requests = 2_000
  const client = deaf(proxy.port, GET.repeat(requests))
  await until('it is dropped', async () => (await metric(proxy, 'turnout_client_connections')) === 0)
  client.destroy()
  // What the kernel takes for a client that does not read is some megabytes; all answers together are a hundred.
  expect(asked * size).toBeLessThan(32 * 1024 * 1024)
})

test('pipelined requests of a client that reads late are all answered', async () => {
  const size = 50_000
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`
  const target = await startRaw((socket, text) => {
    if (text.endsWith('\r\n\r\n')) socket.write(answer)
  })
  const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }) } })
  const requests = 400
  const client = deaf(proxy.port, GET.repeat(requests))
  const asked = () => metric(proxy, 'turnout_worker_requests_total')
  let before = -1
  await until('nothing more is asked for', async () => {
    await new Promise((resolve) => setTimeout(resolve, 200))
    const stuck = (await asked()) === before
    before = await asked()
    return stuck && before > 1
  })
  expect(before).toBeLessThan(requests)
  const pieces: Buffer[] = []
  let bodyBytes = 0
  client.on('data', (bytes: Buffer) => {
    pieces.push(bytes)
    for (const octet of bytes) if (octet === 120) bodyBytes++
  })
  client.resume()
  await until('all are answered', () => bodyBytes >= requests * size)
  const text = Buffer.concat(pieces).toString('latin1')
  expect(text.split('HTTP/1.1 200 OK').length - 1).toBe(requests)
  expect(text.endsWith('x')).toBe(true)
})
