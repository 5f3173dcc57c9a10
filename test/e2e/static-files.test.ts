/** Ten thousand small files from a real nginx, over keep-alive connections, each compared byte by byte. */
import { mkdirSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { Agent, type Dispatcher } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { patternOf } from '../helpers/pattern.ts'
import { program, start } from '../helpers/programs.ts'
import { type Proxy, service, startProxy, temporaryFolder } from '../helpers/proxy.ts'
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
        location /gz/ { alias ${root}/; gzip on; gzip_types *; gzip_min_length 1; }
      }
    }`
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, config)
  const running = start(nginx!, ['-c', file, '-p', folder, '-e', 'stderr', '-g', 'daemon off;'])
  const answers = () =>
    new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
      socket.once('close', () => {}).unref()
      socket.once('connect', () => socket.destroy())
    })
  await until('nginx listens', async () => {
    if (running.child.exitCode !== null) throw new Error(`nginx ended:\n${running.output()}`)
    return answers()
  })
  return `http://127.0.0.1:${port}`
}

/** A client with a fixed number of keep-alive connections; tells how many it had to open. */
function keepAliveClient(): { agent: Agent; opened: () => number } {
  let opened = 0
  const agent = new Agent({ connections: CONNECTIONS, pipelining: 1, keepAliveTimeout: 60_000 })
  agent.on('connect', () => {
    opened++
  })
  onTestFinished(() => agent.destroy())
  return { agent, opened: () => opened }
}

/** Runs `work` for 0 … count-1, as many at a time as there are connections. */
async function forAll(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, lane))
}

async function startAll(count: number, sharedReads: boolean): Promise<Proxy> {
  const folder = temporaryFolder()
  const root = join(folder, 'files')
  writeFiles(root, count)
  const target = await startNginx(root, folder)
  return startProxy({ services: { files: service({ blue: [target] }) } }, { sharedReads })
}

async function bytesOf(answer: Dispatcher.ResponseData): Promise<Buffer> {
  return Buffer.from(await answer.body.arrayBuffer())
}

describe.skipIf(nginx === null)('files of a real nginx', () => {
  test.each([
    { sharedReads: true, count: 10_000 },
    { sharedReads: false, count: 2_000 },
  ])('$count files arrive byte for byte over keep-alive connections, with sharedReads $sharedReads', async ({
    sharedReads,
    count,
  }) => {
    const proxy = await startAll(count, sharedReads)
    const { agent, opened } = keepAliveClient()
    const wrong: string[] = []
    await forAll(count, async (i) => {
      const answer = await agent.request({ origin: proxy.url, path: pathOf(i), method: 'GET' })
      const bytes = await bytesOf(answer)
      const right = answer.statusCode === 200 && answer.headers['content-length'] === String(sizeOf(i))
      if (!right || !bytes.equals(contentOf(i))) wrong.push(`${pathOf(i)}: ${answer.statusCode} ${bytes.length}`)
    })
    expect(wrong).toEqual([])
    expect(opened()).toBe(CONNECTIONS)
  }, 120_000)

  test('HEAD, ranges, 304, 404 and compressed files share the connections and stay apart', async () => {
    const count = 500
    const proxy = await startAll(count, true)
    const { agent, opened } = keepAliveClient()
    const wrong: string[] = []
    const check = (i: number, what: string, right: boolean) => {
      if (!right) wrong.push(`${pathOf(i)} ${what}`)
    }
    const ask = (path: string, method: 'GET' | 'HEAD' = 'GET', headers: Record<string, string> = {}) =>
      agent.request({ origin: proxy.url, path, method, headers })
    await forAll(count, async (i) => {
      const content = contentOf(i)
      const head = await ask(pathOf(i), 'HEAD')
      check(i, 'head', head.statusCode === 200 && head.headers['content-length'] === String(content.length))
      check(i, 'head body', (await bytesOf(head)).length === 0)
      const unchanged = await ask(pathOf(i), 'GET', { 'if-none-match': String(head.headers['etag']) })
      check(i, '304', unchanged.statusCode === 304 && (await bytesOf(unchanged)).length === 0)
      const missing = await ask(`${pathOf(i)}.no`)
      check(i, '404', missing.statusCode === 404 && (await bytesOf(missing)).includes('404 Not Found'))
      const zipped = await ask(`/gz${pathOf(i)}`, 'GET', { 'accept-encoding': 'gzip' })
      const body = await bytesOf(zipped)
      const isZipped = zipped.headers['content-encoding'] === 'gzip'
      check(i, 'compressed', isZipped === content.length > 0 && (isZipped ? gunzipSync(body) : body).equals(content))
      if (content.length < 200) return
      const part = await ask(pathOf(i), 'GET', { range: 'bytes=100-199' })
      check(i, 'range', part.statusCode === 206 && (await bytesOf(part)).equals(content.subarray(100, 200)))
    })
    expect(wrong).toEqual([])
    expect(opened()).toBe(CONNECTIONS)
  }, 60_000)
})
