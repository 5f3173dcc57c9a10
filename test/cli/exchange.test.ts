/** How the command line asks the admin API: what keeps an answer from coming is said in words, and a connection serves many calls. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { openConnections } from '../../src/cli/exchange.ts'
import { MAIN } from '../helpers/built.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { http } from '../helpers/http.ts'
import { program } from '../helpers/programs.ts'
import { temporaryFolder } from '../helpers/proxy.ts'
import { turnout } from './scripted.ts'

async function bound(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as { port: number }).port
}

it.each<[why: string, does: (socket: Socket) => void]>([
  ['the connection was closed before an answer', (socket) => socket.end()],
  ['connection reset', (socket) => socket.resetAndDestroy()],
  ['what came is no answer of HTTP/1.1', (socket) => socket.end('220 mail.example.com ESMTP\r\n')],
  [
    'the head of the answer is too large',
    (socket) => socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
  ],
  [
    'the connection was closed before an answer',
    (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{'),
  ],
])('says that %s', async (why, does) => {
  const port = await bound(createServer((socket) => void socket.on('error', () => {}).once('data', () => does(socket))))
  const { code, err } = await turnout(`http://127.0.0.1:${port}`, 'back', 'shop')
  expect([code, err.split('\n')[0]]).toEqual([
    3,
    `turnout: The admin API at http://127.0.0.1:${port} is out of reach: ${why}.`,
  ])
})

const openssl = program('openssl')

it.skipIf(openssl === null)(
  'asks over TLS whoever has a certificate that somebody vouches for, and nobody else',
  async () => {
    const { key, cert, certFile } = makeCertificate(openssl!, temporaryFolder())
    const asked: unknown[] = []
    const https = process.getBuiltinModule('node:https')
    const server = https.createServer({ key, cert }, (request, response) => {
      asked.push(request.url)
      response.end('{"entries":[]}')
    })
    const url = `https://127.0.0.1:${await bound(server)}`
    const { code, err } = await turnout(url, 'history')
    expect([code, asked, err]).toEqual([3, [], expect.stringContaining('out of reach: self-signed certificate')])
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: certFile, TURNOUT_ADMIN: url }
    await promisify(execFile)(process.execPath, [MAIN, 'history'], { env })
    expect(asked).toEqual([expect.stringContaining('/v1/audit?')])
  },
)

it('loads no other client of HTTP than it needs, which would take half of the time of a verb', async () => {
  const port = await bound(http.createServer((_request, response) => response.end('{"entries":[]}')))
  const told = join(temporaryFolder(), 'told.cjs')
  writeFileSync(told, "process.on('exit', () => process.stderr.write(process.moduleLoadList.join('\\n')))")
  const env = { ...process.env, TURNOUT_ADMIN: `http://127.0.0.1:${port}` }
  const { stderr } = await promisify(execFile)(process.execPath, ['--require', told, MAIN, 'history'], { env })
  expect(stderr).toContain('NativeModule http')
  expect(stderr).not.toContain('undici')
})

it('asks all over one connection, says how long each body is, and leaves the path as it was given', async () => {
  const asked: string[] = []
  const listener: RequestListener = async (request, response) => {
    let body = ''
    for await (const piece of request) body += piece
    asked.push(
      [request.method, request.url, request.headers['content-length'], body, request.socket.remotePort].join(' '),
    )
    response.end('{}')
  }
  const port = await bound(http.createServer(listener))
  const connections = openConnections(`http://127.0.0.1:${port}/below/`)
  onTestFinished(connections.close)
  const ask = async (method: string, body?: string) => {
    const answer = await connections.ask('/v1/services/..', { method, headers: {}, body, answerMs: 60_000 })
    answer.resume()
    await new Promise((resolve) => answer.once('close', resolve))
  }
  await ask('PUT', '{"é":1}')
  await ask('DELETE', '{}')
  await ask('POST')
  await ask('GET')
  const from = asked[0].split(' ').at(-1)
  expect(asked).toEqual([
    `PUT /below/v1/services/.. 8 {"é":1} ${from}`,
    `DELETE /below/v1/services/.. 2 {} ${from}`,
    `POST /below/v1/services/.. 0  ${from}`,
    `GET /below/v1/services/..   ${from}`,
  ])
})

it('waits no longer than it is told for an answer, and not at all once it is aborted', async () => {
  const port = await bound(createServer((socket) => void socket.on('error', () => {})))
  const connections = openConnections(`http://127.0.0.1:${port}`)
  onTestFinished(connections.close)
  const asked = { method: 'GET', headers: {} }
  await expect(connections.ask('/', { ...asked, answerMs: 50 })).rejects.toThrow('no answer in time')
  const ended = new AbortController()
  const waits = connections.ask('/', { ...asked, answerMs: 60_000, signal: ended.signal })
  ended.abort()
  await expect(waits).rejects.toMatchObject({ name: 'AbortError' })
  await expect(connections.ask('/', { ...asked, answerMs: 60_000, signal: ended.signal })).rejects.toMatchObject({
    name: 'AbortError',
  })
})

it('ends an answer that is under way with what has aborted it', async () => {
  const port = await bound(http.createServer((_request, response) => void response.write('a')))
  const connections = openConnections(`http://127.0.0.1:${port}`)
  onTestFinished(connections.close)
  const ended = new AbortController()
  const answer = await connections.ask('/', { method: 'GET', headers: {}, answerMs: 60_000, signal: ended.signal })
  const pieces: string[] = []
  const read = async () => {
    for await (const piece of answer) {
      pieces.push(String(piece))
      ended.abort()
    }
  }
  await expect(read()).rejects.toMatchObject({ name: 'AbortError' })
  expect(pieces).toEqual(['a'])
})
