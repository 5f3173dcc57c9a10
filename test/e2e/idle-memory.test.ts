/**
 * What a connection keeps once its request is answered: a few KiB of its own, however large the request and its answer were.
 * There may be tens of thousands that idle, and the heap of a worker is sized for what they keep.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Probed, startProbed } from '../../bench/probed.ts'
import { MAIN } from '../helpers/built.ts'
import { bulk } from '../helpers/bulk.ts'
import { call, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { closedPort } from '../helpers/upstream.ts'

const CONNECTIONS = 120
/** What a connection may keep, its share of what the worker holds anyway included. */
const KEPT_BYTES_MAX = 8_192
/** A tunnel has two ends, each with what is on its way. */
const TUNNEL_BYTES_MAX = 9_216
/** Connections of a kind before it is measured: what V8 keeps of code that runs for the first time is not theirs. */
const FIRST = 30
/** Tables that are replaced one by one, and what each may leave behind; a table of so many rules takes five times that. */
const TABLES = bulk(8, 40)
const TABLES_FIRST = 2
const RULES = 500
const TABLE_BYTES_MAX = 50_000
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: a-protocol-of-ours\r\n\r\n'
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: a-protocol-of-ours\r\n'

const folder = mkdtempSync(join(tmpdir(), 'turnout-test-'))
const sockets = new Set<net.Socket>()
let proxy: Probed
const target = net.createServer((socket) => {
  sockets.add(socket)
  let text = ''
  socket.on('error', () => {})
  socket.on('data', (bytes) => {
    text = (text + bytes.toString('latin1')).slice(-120_000)
    const isWhole = /\r\n0\r\n(.+\r\n)?\r\n$/.test(text) || !/transfer-encoding/i.test(text)
    if (!text.includes('\r\n\r\n') || !isWhole) return
    if (text.startsWith('GET /tunnel')) socket.write(SWITCH)
    else if (text.startsWith('GET /trailers')) {
      socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: ${'t'.repeat(16_000)}\r\n\r\n`)
    } else if (text.startsWith('GET /names')) {
      const fields = `Connection: x-name-of-some-length\r\nX-Long: ${'h'.repeat(31_000)}\r\n`
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${fields}\r\n`)
    } else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    text = ''
  })
})

beforeAll(async () => {
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
  const { port } = target.address() as net.AddressInfo
  const ports = { blue: port, green: await closedPort() }
  proxy = await startProbed({ ...ports, folder, core: null }, { weights: { blue: 100, green: 0 }, main: MAIN })
  // What the first connections and requests make once is not theirs.
  await keptBytes('GET / HTTP/1.1\r\nHost: a\r\n\r\n', /\r\n\r\n$/)
})
afterAll(async () => {
  await proxy.stop()
  for (const socket of sockets) socket.destroy()
  target.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Bytes that the worker holds when it has collected its garbage. */
async function heldBytes(): Promise<number> {
  const [, { heapUsed, arrayBuffers }] = await proxy.ask('collect')
  return heapUsed + arrayBuffers
}

/** Bytes that the worker holds for each of many connections that have sent `request` and received what ends as `answer` says. */
async function keptBytes(request: string, answer: RegExp): Promise<number> {
  const ask = (i: number) => asked(request.replace('#', String(i).padStart(4, '0')), answer)
  for (let i = 0; i < FIRST; i++) (await ask(i)).destroy()
  const before = await heldBytes()
  const open: net.Socket[] = []
  for (let i = 0; i < CONNECTIONS; i++) open.push(await ask(FIRST + i))
  const bytes = (await heldBytes()) - before
  for (const socket of open) socket.destroy()
  return bytes / CONNECTIONS
}

function asked(request: string, answer: RegExp): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(proxy.port, '127.0.0.1', () => socket.write(request, 'latin1'))
    let text = ''
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      if (/^HTTP\/1\.1 (200|101) /.test(text) && answer.test(text)) resolve(socket)
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed with ${JSON.stringify(text.slice(0, 100))}`)))
  })
}

const LONG = `X-Long: #${'h'.repeat(31_000)}\r\n`
const HEAD_END = /\r\n\r\n$/
const chunked = 'Transfer-Encoding: chunked\r\n'

test.each<[what: string, request: string, answer: RegExp]>([
  ['a short request', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', HEAD_END],
  ['a long head', `GET /a/path/of/some/length HTTP/1.1\r\nHost: a\r\n${LONG}\r\n`, HEAD_END],
  ['a method of its own', `AMETHODOFSOMELENGTH / HTTP/1.1\r\nHost: a\r\n${LONG}\r\n`, HEAD_END],
  ['a request id of its own', `GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: #-of-some-length\r\n${LONG}\r\n`, HEAD_END],
  ['an upgrade that is not taken', `GET / HTTP/1.1\r\nHost: a\r\n${UPGRADE}${LONG}\r\n`, HEAD_END],
  ['a body', `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000\r\n\r\n#${'b'.repeat(7_996)}`, HEAD_END],
  ['trailers', `POST / HTTP/1.1\r\nHost: a\r\n${chunked}\r\n0\r\nX-T: #${'t'.repeat(16_000)}\r\n\r\n`, HEAD_END],
  ['names in Connection', `GET / HTTP/1.1\r\nHost: a\r\nConnection: x-name-of-some-length\r\n${LONG}\r\n`, HEAD_END],
  ['an answer with names in Connection', 'GET /names HTTP/1.1\r\nHost: a\r\n\r\n', HEAD_END],
  ['an answer with trailers', 'GET /trailers HTTP/1.1\r\nHost: a\r\n\r\n', /t\r\n\r\n$/],
  ['an empty line behind a long head', `GET /a/path/of/some/length HTTP/1.1\r\nHost: a\r\n${LONG}\r\n\r\n`, HEAD_END],
  [
    'a tunnel',
    `GET /tunnel/of/some/length HTTP/1.1\r\nHost: a\r\n${UPGRADE}${LONG}\r\n${'e'.repeat(40_000)}`,
    HEAD_END,
  ],
])('%s leaves a connection with no more than it needs', async (what, request, answer) => {
  expect(await keptBytes(request, answer)).toBeLessThan(what === 'a tunnel' ? TUNNEL_BYTES_MAX : KEPT_BYTES_MAX)
})

test('a connection that idles does not keep the table that its last request was decided by', async () => {
  const admin = { admin: `http://127.0.0.1:${proxy.adminPort}` } as TestProxy
  const open: net.Socket[] = []
  const replace = async (first: number, count: number) => {
    for (let i = first; i < first + count; i++) {
      const rules = Array.from({ length: RULES }, (_, n) => ({
        name: `r${n}`,
        when: { header: { x: `${i}-${n}` } },
        to: 'blue',
      }))
      await call(admin, 'PUT', '/v1/services/shop/rules', rules)
      open.push(await asked('GET / HTTP/1.1\r\nHost: a\r\nX-User-Id: a\r\n\r\n', HEAD_END))
    }
  }
  // A table of that size is there in any case.
  await replace(0, TABLES_FIRST)
  const before = await heldBytes()
  await replace(TABLES_FIRST, TABLES)
  const held = (await heldBytes()) - before
  for (const socket of open) socket.destroy()
  expect(held / TABLES).toBeLessThan(TABLE_BYTES_MAX)
})
