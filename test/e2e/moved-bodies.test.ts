/** Long bodies that pass through the kernel (splicer.ts), at their ends: what comes behind them, cuts, and many at a time. */
import { createHash } from 'node:crypto'
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { metric, metricIs } from '../helpers/admin.ts'
import { bulk } from '../helpers/bulk.ts'
import { patternOf, readPattern } from '../helpers/pattern.ts'
import { service, startProxy } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { startRaw, startTcp, startUpstream } from '../helpers/upstream.ts'

const KIB = 1_024
const LONG = 1_000 * KIB
const head = (bytes: number) => `HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: shop\r\n\r\n`
const proxyTo = (url: string) => startProxy({ services: { shop: service({ blue: [url] }) } })

function connect(port: number): net.Socket {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  socket.on('error', () => {})
  onTestFinished(() => {
    socket.destroy()
  })
  return socket
}

test.each([
  { behind: 'x', connections: 2 },
  { behind: 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil', connections: 2 },
  { behind: '', connections: 1 },
])(
  'a target that says $behind behind a long body answers $connections connections',
  async ({ behind, connections }) => {
    const body = patternOf(LONG).toString('latin1')
    const target = await startRaw((socket, text) => {
      if (!text.endsWith('\r\n\r\n')) return
      if (text.includes('/long') && !text.includes('/next'))
        socket.write(Buffer.from(head(LONG) + body + behind, 'latin1'))
      else socket.write(head(4) + 'next')
    })
    const proxy = await proxyTo(target.url)
    // The second request waits already when the first answer ends, so it is asked before a stray byte could be read.
    const both = get('/long') + get('/next')
    const { text } = await rawRequest(proxy.port, both, { until: (text) => text.endsWith('next') })
    expect(text.slice(text.indexOf('\r\n\r\n') + 4).startsWith(body)).toBe(true)
    expect(text).not.toContain('evil')
    expect(target.connections()).toBe(connections)
  },
)

test.each([true, false])(
  'connections to a target are kept in every way of reading, sharedReads %s',
  async (sharedReads) => {
    const target = await startRaw((socket, text) => {
      if (text.endsWith('\r\n\r\n')) socket.write(head(4) + 'next')
    })
    const proxy = await startProxy(
      { services: { shop: service({ blue: [target.url] }) } },
      { sharedReads, splices: false },
    )
    for (let turn = 0; turn < 3; turn++) {
      const { text } = await rawRequest(proxy.port, get('/'), { until: (text) => text.endsWith('next') })
      expect(text).toContain('200 OK')
    }
    expect(target.connections()).toBe(1)
  },
)

test('a request right behind a long upload is answered in its turn', async () => {
  const target = await startUpstream((request, response) => {
    const hash = createHash('sha256')
    request.on('data', (bytes) => hash.update(bytes))
    request.on('end', () => response.end(`${request.url} ${hash.digest('hex').slice(0, 8)};`))
  })
  const proxy = await proxyTo(target.url)
  const body = patternOf(LONG).toString('latin1')
  const post = (path: string) => `POST ${path} HTTP/1.1\r\nHost: shop\r\nContent-Length: ${LONG}\r\n\r\n${body}`
  const all = post('/a') + get('/b') + post('/c') + get('/d')
  const answer = await rawRequest(proxy.port, all, { until: (text) => text.includes('/d ') && text.endsWith(';') })
  const digest = (text: string) => createHash('sha256').update(Buffer.from(text, 'latin1')).digest('hex').slice(0, 8)
  const found = [...answer.text.matchAll(/(\/[abcd]) ([0-9a-f]{8});/g)].map(([, path, hash]) => `${path} ${hash}`)
  expect(found).toEqual([`/a ${digest(body)}`, `/b ${digest('')}`, `/c ${digest(body)}`, `/d ${digest('')}`])
})

test.each(['FIN', 'RST'])(
  'a long answer that the target breaks off by %s is broken off for the client',
  async (how) => {
    const target = await startTcp((socket) => {
      socket.once('data', () =>
        socket.write(Buffer.concat([Buffer.from(head(4 * LONG)), patternOf(LONG)]), () => {
          if (how === 'FIN') socket.end()
          else setTimeout(() => socket.resetAndDestroy(), 50)
        }),
      )
    })
    const proxy = await proxyTo(target.url)
    const socket = connect(proxy.port)
    socket.write(get('/'))
    const { bytes, fault, done } = await readPattern(socket)
    expect(done).toBe(false)
    expect(fault).toMatch(/the connection ended after|ECONNRESET/)
    expect(bytes).toBeLessThanOrEqual(LONG)
  },
)

test('a long upload that the client breaks off reaches the target cut, and the target is told', async () => {
  const got: { bytes: number; complete: boolean }[] = []
  let begun = 0
  const target = await startUpstream((request, response) => {
    let bytes = 0
    request.on('data', (piece: Buffer) => {
      bytes += piece.length
      begun = bytes
    })
    request.on('error', () => {})
    request.on('close', () => got.push({ bytes, complete: request.complete }))
    request.on('end', () => response.end())
  })
  const proxy = await proxyTo(target.url)
  const socket = connect(proxy.port)
  socket.write(`POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: ${4 * LONG}\r\n\r\n`)
  socket.write(patternOf(LONG))
  await until('much of it is there', () => begun > LONG / 2)
  socket.resetAndDestroy()
  await until('the target has noticed', () => got.length === 1)
  expect(got[0].complete).toBe(false)
  expect(got[0].bytes).toBeLessThanOrEqual(LONG)
})

test('a client that resets a long upload has aborted it, and was not malformed', async () => {
  // It reads slowly, so that the reset comes while there is still something to move in front of it.
  let begun = 0
  const target = await startTcp((socket) => {
    socket.once('data', () => begun++)
    socket.on('data', () => {
      socket.pause()
      setTimeout(() => socket.resume(), 3)
    })
  })
  const proxy = await proxyTo(target.url)
  for (let turn = 1; turn <= 4; turn++) {
    const socket = connect(proxy.port)
    socket.write(`POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: ${90 * LONG}\r\n\r\n`)
    // Before that the reset could come before the request was read, and there would be none.
    socket.write('x')
    await until('the target has some of it', () => begun === turn)
    await new Promise<void>((resolve) => socket.write(patternOf(3 * LONG), () => resolve()))
    socket.resetAndDestroy()
  }
  await until('all are aborted', async () => (await metric(proxy, 'turnout_aborted_total')) === 4)
  expect(await metric(proxy, 'turnout_spliced_bytes_total')).toBeGreaterThan(0)
})

test('a hundred at a time, up and down, fast, slow and cut off, never mix', async () => {
  const SIZE = 600 * KIB
  // Every body is one letter, which the path names: a byte of another exchange is seen wherever it is.
  const target = await startTcp((socket) => {
    let text = ''
    let missing = 0
    let letter = ''
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => {
      if (missing > 0) {
        const body = bytes.subarray(0, missing)
        missing -= body.length
        if (body.some((octet) => octet !== letter.charCodeAt(0))) letter = '!'
        if (missing === 0) socket.write(head(1) + letter)
        return
      }
      text += bytes.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      letter = text[text.indexOf('/') + 1]
      const isUpload = text.startsWith('POST')
      const body = text.slice(end + 4)
      text = ''
      if (!isUpload) socket.write(head(SIZE) + letter.repeat(SIZE))
      else {
        if (body.replaceAll(letter, '') !== '') letter = '!'
        missing = SIZE - body.length
      }
    })
  })
  const proxy = await proxyTo(target.url)
  const visit = async (index: number): Promise<string> => {
    const letter = String.fromCharCode(97 + (index % 26))
    const socket = connect(proxy.port)
    const isUpload = index % 3 === 0
    let text = ''
    let bytes = 0
    let wrong = false
    const finished = new Promise<void>((resolve) => {
      socket.on('close', () => resolve())
      socket.on('data', (piece: Buffer) => {
        let body = piece
        if (!text.includes('\r\n\r\n')) {
          const before = text.length
          text += piece.toString('latin1')
          const end = text.indexOf('\r\n\r\n')
          if (end < 0) return
          body = piece.subarray(end + 4 - before)
        }
        bytes += body.length
        wrong ||= body.some((octet) => octet !== letter.charCodeAt(0))
        if (index % 7 === 0) {
          socket.pause()
          setTimeout(() => socket.resume(), 5)
        }
        if (index % 11 === 0 && bytes > 200_000) socket.resetAndDestroy()
        if (bytes >= (isUpload ? 1 : SIZE)) socket.end()
      })
    })
    if (isUpload) {
      socket.write(`POST /${letter} HTTP/1.1\r\nHost: shop\r\nContent-Length: ${SIZE}\r\n\r\n`)
      socket.write(Buffer.alloc(SIZE, letter))
    } else socket.write(get(`/${letter}`))
    await finished
    return wrong ? `${index}: bytes of another` : 'right'
  }
  for (let round = 0; round < bulk(1, 3); round++) {
    const found = await Promise.all(Array.from({ length: 100 }, (_, index) => visit(index)))
    expect(found.filter((one) => one !== 'right')).toEqual([])
  }
})

test('a client that stops reading a long body is given up, and one that reads slowly is not', async () => {
  const target = await startUpstream((_request, response) => response.end(patternOf(30_000 * KIB)))
  const proxy = await startProxy({
    services: { shop: service({ blue: [target.url] }, { timeouts: { idle: '1s' } }) },
    timeouts: { send: '1s' },
  })
  const [stopped, slow] = [connect(proxy.port), connect(proxy.port)]
  stopped.write(get('/'))
  stopped.once('data', () => stopped.pause())
  slow.write(get('/'))
  slow.on('data', () => {
    slow.pause()
    setTimeout(() => slow.resume(), 4)
  })
  const { bytes, fault } = await readPattern(slow)
  expect({ bytes, fault }).toEqual({ bytes: 30_000 * KIB, fault: null })
  const ended = new Promise<void>((resolve) => {
    stopped.once('end', resolve).once('close', resolve)
  })
  stopped.resume()
  await ended
  expect(stopped.bytesRead).toBeLessThan(30_000 * KIB)
})

test('what is moved is counted, up and down, once as bytes of the target and once as moved', async () => {
  const target = await startUpstream((request, response) => {
    request.resume()
    request.on('end', () => response.end(patternOf(request.method === 'GET' ? LONG : 0)))
  })
  const proxy = await proxyTo(target.url)
  const answer = await rawRequest(proxy.port, get('/'), { until: (text) => text.length > LONG })
  expect(answer.text.length).toBeGreaterThan(LONG)
  const down = await metric(proxy, 'turnout_spliced_bytes_total')
  expect(down).toBeGreaterThan(LONG / 2)
  const post = `POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: ${2 * LONG}\r\n\r\n`
  await rawRequest(proxy.port, post + patternOf(2 * LONG).toString('latin1'), {
    until: (text) => text.includes('200 OK'),
  })
  expect(await metric(proxy, 'turnout_spliced_bytes_total')).toBeGreaterThan(down + LONG)
  await metricIs(LONG, proxy, 'turnout_sent_bytes_total')
  await metricIs(2 * LONG, proxy, 'turnout_received_bytes_total')
})
