/** Ten thousand small files from a real nginx, over keep-alive connections, each compared byte by byte. */

import { mkdirSync, writeFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { bulk } from '../helpers/bulk.ts'
import { http } from '../helpers/http.ts'
import { patternOf } from '../helpers/pattern.ts'
import { program, start } from '../helpers/programs.ts'
import { service, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort } from '../helpers/upstream.ts'

const nginx = program('nginx')
const FOLDERS = 100
const CONNECTIONS = 32

/** Sizes from nothing to 40,000 bytes, most of them small; some around the limits that the proxy has inside. */
const sizeOf = (i: number) => (i % 50 === 0 ? 4_090 + (i % 13) : i % 7 === 0 ? (i * 7_919) % 40_000 : (i * 31) % 3_000)
const contentOf = (i: number) => patternOf(sizeOf(i), i * 97)
const pathOf = (i: number) => `/${i % FOLDERS}/${i}.bin`

function writeFiles(root: string, count: number): void {
  for (let folder = 0; folder < FOLDERS; folder++) mkdirSync(join(root, String(folder)), { recursive: true })
  for (let i = 0; i < count; i++) writeFileSync(join(root, pathOf(i)), contentOf(i))
}

/** nginx with these files below `/` as they are and below `/gz/` compressed on the way, so without a length. */
async function startNginx(root: string, folder: string): Promise<string> {
  const port = await closedPort()
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ')
  const config = `
    ${process.getuid?.() === 0 ? 'user root;' : ''}
    worker_processes 1;
    pid ${folder}/nginx.pid;
    error_log stderr warn;
    events { worker_connections 1024; }
    http {
      access_log off; sendfile on; tcp_nopush on; ${temporary}
      server {
        listen 127.0.0.1:${port};
        root ${root};
        location /gz/ { alias ${root}/; gzip on; gzip_proxied any; gzip_types *; gzip_min_length 1; }
      }
    }`
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, config)
  const running = start(nginx!, ['-c', file, '-p', folder, '-e', 'stderr', '-g', 'daemon off;'])
  const answers = () =>
    new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true))
      socket.on('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
  await until('nginx listens', async () => {
    if (running.child.exitCode !== null) throw new Error(`nginx ended:\n${running.output()}`)
    return answers()
  })
  return `http://127.0.0.1:${port}`
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
}

type Ask = (path: string, method?: string, headers?: Record<string, string>) => Promise<Answer>

/** A client with a fixed number of keep-alive connections; tells how many it had to open. */
function keepAliveClient(port: number): { ask: Ask; opened: () => number } {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const sockets = new Set<unknown>()
  onTestFinished(() => agent.destroy())
  const ask: Ask = (path, method = 'GET', headers = {}) =>
    new Promise((resolve, reject) => {
      const request = http.request({ agent, port, host: '127.0.0.1', path, method, headers }, (answer) => {
        const pieces: Buffer[] = []
        answer.on('data', (piece: Buffer) => pieces.push(piece))
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes: Buffer.concat(pieces) }),
        )
      })
      request.on('socket', (socket) => sockets.add(socket))
      request.on('error', reject)
      request.end()
    })
  return { ask, opened: () => sockets.size }
}

/** Runs `work` for 0 … count-1, as many at a time as there are connections. */
async function forAll(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, lane))
}

async function startAll(count: number, sharedReads: boolean): Promise<TestProxy> {
  const folder = temporaryFolder()
  const root = join(folder, 'files')
  writeFiles(root, count)
  const target = await startNginx(root, folder)
  return startProxy({ services: { files: service({ blue: [target] }) } }, { sharedReads })
}

describe.skipIf(nginx === null)('files of a real nginx', () => {
  test.each([
    { sharedReads: true, count: bulk(800, 10_000) },
    { sharedReads: false, count: bulk(400, 2_000) },
  ])(
    '$count files arrive byte for byte over keep-alive connections, with sharedReads $sharedReads',
    async ({ sharedReads, count }) => {
      const proxy = await startAll(count, sharedReads)
      const { ask, opened } = keepAliveClient(proxy.port)
      const wrong: string[] = []
      await forAll(count, async (i) => {
        const { status, headers, bytes } = await ask(pathOf(i))
        const right = status === 200 && headers['content-length'] === String(sizeOf(i))
        if (!(right && bytes.equals(contentOf(i))) && wrong.length < 20)
          wrong.push(`${pathOf(i)}: ${status} ${bytes.length}`)
      })
      expect(wrong).toEqual([])
      expect(opened()).toBe(CONNECTIONS)
    },
    120_000,
  )

  test('HEAD, ranges, 304, 404 and compressed files share the connections and stay apart', async () => {
    const count = 500
    const proxy = await startAll(count, true)
    const { ask, opened } = keepAliveClient(proxy.port)
    const wrong: string[] = []
    const check = (i: number, what: string, right: boolean) => {
      if (!right && wrong.length < 20) wrong.push(`${pathOf(i)} ${what}`)
    }
    await forAll(count, async (i) => {
      const content = contentOf(i)
      const head = await ask(pathOf(i), 'HEAD')
      check(i, 'head', head.status === 200 && head.headers['content-length'] === String(content.length))
      check(i, 'head body', head.bytes.length === 0)
      const unchanged = await ask(pathOf(i), 'GET', { 'if-none-match': String(head.headers['etag']) })
      check(i, '304', unchanged.status === 304 && unchanged.bytes.length === 0)
      const missing = await ask(`${pathOf(i)}.no`)
      check(i, '404', missing.status === 404 && missing.bytes.includes('404 Not Found'))
      const zipped = await ask(`/gz${pathOf(i)}`, 'GET', { 'accept-encoding': 'gzip' })
      const isZipped = zipped.headers['content-encoding'] === 'gzip'
      check(
        i,
        'compressed',
        isZipped === content.length > 0 && (isZipped ? gunzipSync(zipped.bytes) : zipped.bytes).equals(content),
      )
      if (content.length < 200) return
      const part = await ask(pathOf(i), 'GET', { range: 'bytes=100-199' })
      check(i, 'range', part.status === 206 && part.bytes.equals(content.subarray(100, 200)))
    })
    expect(wrong).toEqual([])
    expect(opened()).toBe(CONNECTIONS)
  })
})
