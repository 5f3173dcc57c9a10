/**
 * Bodies of 1 GiB (of less, unless all is tested), up and down, in every framing and in all ways of moving them, compared byte by byte as they pass.
 * Both ends are bare sockets, so that the test is not slower than what it tests.
 */
import net from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { bulk } from '../helpers/bulk.ts'
import { patternOf, readPattern, sendPattern } from '../helpers/pattern.ts'
import type { Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startTcp, type Upstream } from '../helpers/upstream.ts'

const MIB = 2 ** 20
/** Many times the buffers of both sides, and several periods of the pattern. */
const LARGE = bulk(32, 1_024) * MIB
const LARGE_COPIED = bulk(12, 256) * MIB
const LESS = bulk(12, 64) * MIB
const ONE_OF_FOUR = bulk(6, 64) * MIB

type Framing = 'length' | 'chunked' | 'close'

const framingLine = (framing: Framing, bytes: number) =>
  framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : framing === 'length' ? `Content-Length: ${bytes}\r\n` : ''

/** A connection to the proxy, closed with the test. */
function connect(proxy: TestProxy, allowHalfOpen = false): net.Socket {
  const socket = net.connect({ port: proxy.port, host: '127.0.0.1', noDelay: true, allowHalfOpen })
  onTestFinished(() => {
    socket.destroy()
  })
  return socket
}

/** A target that answers every request with a body of the pattern. */
function startGiver(bytes: number, framing: Framing, version = '1.1'): Promise<Upstream> {
  return startTcp(async (socket) => {
    await readPattern(socket)
    socket.write(`HTTP/${version} 200 OK\r\n${framingLine(framing, bytes)}\r\n`)
    await sendPattern(socket, bytes, framing === 'chunked')
    if (framing === 'close') socket.end()
  })
}

/** A target that compares the body of a request with the pattern and answers what it found. */
function startTaker(): Promise<Upstream> {
  return startTcp(async (socket) => {
    const { fault, bytes } = await readPattern(socket)
    const found = fault ?? `${bytes} bytes, all right`
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${found.length}\r\nConnection: close\r\n\r\n${found}`)
  })
}

async function download(proxy: TestProxy, version = '1.1') {
  const socket = connect(proxy)
  socket.write(`GET /big HTTP/${version}\r\nHost: shop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
  return readPattern(socket)
}

async function upload(proxy: TestProxy, bytes: number, framing: Framing): Promise<string> {
  const socket = connect(proxy)
  let answer = ''
  const answered = new Promise<void>((resolve) => socket.on('close', resolve))
  socket.on('data', (read) => {
    answer += read
  })
  socket.write(`POST /big HTTP/1.1\r\nHost: shop\r\n${framingLine(framing, bytes)}Connection: close\r\n\r\n`)
  await sendPattern(socket, bytes, framing === 'chunked')
  await answered
  return answer.slice(answer.indexOf('\r\n\r\n') + 4)
}

describe.each([
  { sharedReads: true, splices: true, total: LARGE },
  { sharedReads: true, splices: false, total: LARGE },
  { sharedReads: false, splices: false, total: LARGE_COPIED },
])('with sharedReads $sharedReads, splices $splices', ({ sharedReads, splices, total }) => {
  const proxyFor = shareProxy({}, { sharedReads, splices })

  test.each<Framing>(['length', 'chunked'])(
    `${total / MIB} MiB come down unchanged, framing: %s`,
    async (framing) => {
      const proxy = await proxyFor(await startGiver(total, framing))
      const { fault, bytes, head } = await download(proxy)
      expect(fault).toBe(null)
      expect(bytes).toBe(total)
      expect(head).toContain(framingLine(framing, total))
    },
    120_000,
  )

  test.each<Framing>(['length', 'chunked'])(
    `${total / MIB} MiB go up unchanged, framing: %s`,
    async (framing) => {
      const proxy = await proxyFor(await startTaker())
      expect(await upload(proxy, total, framing)).toBe(`${total} bytes, all right`)
    },
    120_000,
  )

  test('an HTTP/1.0 target whose answer ends with the connection comes down unchanged, in chunks', async () => {
    const proxy = await proxyFor(await startGiver(LESS, 'close', '1.0'))
    const { fault, bytes, head } = await download(proxy)
    expect(fault).toBe(null)
    expect(bytes).toBe(LESS)
    expect(head).toContain('Transfer-Encoding: chunked')
  })

  test('an HTTP/1.0 client gets chunks as a body that ends with the connection', async () => {
    const proxy = await proxyFor(await startGiver(LESS, 'chunked'))
    const { fault, bytes, head } = await download(proxy, '1.0')
    expect(fault).toBe(null)
    expect(bytes).toBe(LESS)
    expect(head).not.toMatch(/transfer-encoding|content-length/i)
  })

  test('a target that answers before the request is complete still gets all of it, and the connection goes on', async () => {
    const taken: (string | number)[] = []
    const target = await startTcp(async (socket) => {
      const reading = readPattern(socket)
      socket.once('data', () => socket.write('HTTP/1.1 202 Accepted\r\nContent-Length: 6\r\n\r\nthanks'))
      const { fault, bytes } = await reading
      taken.push(fault ?? bytes)
    })
    const proxy = await proxyFor(target)
    const socket = connect(proxy)
    let text = ''
    socket.on('data', (read) => {
      text += read
    })
    const bytes = bulk(8, 32) * MIB
    for (let turn = 1; turn <= 3; turn++) {
      socket.write(`POST /${turn} HTTP/1.1\r\nHost: shop\r\nContent-Length: ${bytes}\r\n\r\n`)
      // The first bytes make the target answer; what follows is sent only once that has arrived.
      await sendPattern(socket, MIB, false)
      await until('the answer is here', () => text.split('thanks').length > turn)
      socket.write(patternOf(bytes - MIB, MIB))
      await until('the target has all', () => taken.length === turn)
    }
    expect(taken).toEqual([bytes, bytes, bytes])
    expect(text).not.toMatch(/connection: close/i)
  })

  test('bodies go up and come down at the same time without a word getting into the other', async () => {
    const bytes = ONE_OF_FOUR
    const target = await startTcp(async (socket) => {
      const taken = readPattern(socket)
      await new Promise((resolve) => socket.once('data', resolve))
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      await sendPattern(socket, bytes, true)
      uploads.push((await taken).fault ?? (await taken).bytes)
    })
    const uploads: (string | number)[] = []
    const proxy = await proxyFor(target)
    const exchanges = Array.from({ length: 4 }, async () => {
      const socket = connect(proxy)
      const taken = readPattern(socket)
      socket.write(`POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: ${bytes}\r\nConnection: close\r\n\r\n`)
      await sendPattern(socket, bytes, false)
      return (await taken).fault ?? (await taken).bytes
    })
    expect(await Promise.all(exchanges)).toEqual([bytes, bytes, bytes, bytes])
    await expect.poll(() => uploads).toEqual([bytes, bytes, bytes, bytes])
  })

  test('tunnels carry bulk both ways at once, and each side may end before the other', async () => {
    const bytes = ONE_OF_FOUR
    const taken: (string | number)[] = []
    const target = await startTcp(async (socket) => {
      const reading = readPattern(socket)
      await new Promise((resolve) => socket.once('data', resolve))
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bulk\r\n\r\n')
      await sendPattern(socket, bytes, false)
      socket.end()
      const { fault, bytes: got } = await reading
      taken.push(fault ?? got)
    })
    const proxy = await proxyFor(target)
    const tunnels = Array.from({ length: 4 }, async () => {
      const socket = connect(proxy, true)
      const reading = readPattern(socket)
      socket.write('GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: bulk\r\n\r\n')
      await sendPattern(socket, bytes, false)
      socket.end()
      const { fault, bytes: got } = await reading
      return fault ?? got
    })
    const all = [bytes, bytes, bytes, bytes]
    expect(await Promise.all(tunnels)).toEqual(all)
    await until('the target has all', () => taken.length === 4)
    expect(taken).toEqual(all)
  })
})
