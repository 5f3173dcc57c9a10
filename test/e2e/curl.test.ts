/** curl as the client, in HTTP/1.0 and HTTP/1.1: what people paste into a terminal works, and reports what really passed. */
import { readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { patternOf } from '../helpers/pattern.ts'
import { program, run } from '../helpers/programs.ts'
import { service, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { startTcp, startUpstream, type Upstream } from '../helpers/upstream.ts'

const curl = program('curl')
const BIG = patternOf(3_000_000)

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

/** A target that says what it got, or gives what the path names. */
function startTarget(): Promise<Upstream> {
  return startUpstream(async (request, response) => {
    const path = request.url ?? ''
    const body = await bodyOf(request)
    response.setHeader('x-method', request.method ?? '')
    if (path === '/big') return response.setHeader('content-length', BIG.length).end(BIG)
    if (path === '/chunks') {
      response.write(BIG.subarray(0, 1_000_000))
      return response.end(BIG.subarray(1_000_000))
    }
    if (path === '/gzip') return response.setHeader('content-encoding', 'gzip').end(gzipSync(BIG))
    if (path === '/moved') return response.writeHead(302, { location: '/big' }).end()
    if (path === '/nothing') return response.writeHead(204).end()
    if (path === '/missing') return response.writeHead(404).end('not here')
    if (path === '/upload') return response.end(body.equals(BIG) ? 'all right' : `wrong: ${body.length} bytes`)
    const { method, httpVersion, headers } = request
    const facts = { method, path, httpVersion, headers, body: body.toString('latin1') }
    response.setHeader('content-type', 'application/json').end(JSON.stringify(facts))
  })
}

describe.skipIf(curl === null).each([{ sharedReads: true }, { sharedReads: false }])(
  'curl, with sharedReads $sharedReads',
  ({ sharedReads }) => {
    const proxyTo = shareProxy({}, { sharedReads })
    const start = async () => {
      const proxy = await proxyTo(await startTarget())
      const { host } = new URL(proxy.url)
      const say = async (...args: string[]) => {
        const { code, stdout, stderr } = await run(curl!, ['-sS', '--max-time', '20', ...args])
        if (code !== 0) throw new Error(`curl ended with ${code}: ${stderr}`)
        return stdout
      }
      return { url: proxy.url, host, say }
    }

    test.each(['--http1.0', '--http1.1'])('%s: GET, POST and DELETE arrive as they were sent', async (version) => {
      const { url, host, say } = await start()
      const get = JSON.parse(String(await say(version, `${url}/a?b=c`)))
      expect(get).toMatchObject({ method: 'GET', path: '/a?b=c', body: '', httpVersion: '1.1' })
      expect(get.headers).toMatchObject({ host, 'x-forwarded-host': host, 'x-forwarded-for': '127.0.0.1' })
      const post = JSON.parse(String(await say(version, '-d', 'name=value&x=y', `${url}/form`)))
      expect(post).toMatchObject({ method: 'POST', body: 'name=value&x=y' })
      expect(post.headers['content-length']).toBe('14')
      const remove = JSON.parse(String(await say(version, '-X', 'DELETE', '-d', 'why', `${url}/item`)))
      expect(remove).toMatchObject({ method: 'DELETE', body: 'why' })
    })

    test.each(['--http1.0', '--http1.1'])(
      '%s: bodies with a length, in chunks and compressed arrive byte for byte',
      async (version) => {
        const { url, say } = await start()
        for (const path of ['/big', '/chunks']) expect((await say(version, url + path)).equals(BIG)).toBe(true)
        expect((await say(version, '--compressed', `${url}/gzip`)).equals(BIG)).toBe(true)
      },
    )

    test('-I shows the head that GET would have', async () => {
      const { url, say } = await start()
      const head = String(await say('-I', `${url}/big`))
      expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(head).toMatch(/^content-length: 3000000\r$/im)
      expect(head).toMatch(/^x-method: HEAD\r$/im)
    })

    test('an upload with Expect: 100-continue is asked for and arrives', async () => {
      const { url, say } = await start()
      const file = join(temporaryFolder(), 'big')
      writeFileSync(file, BIG)
      const trace = ['--trace-ascii', `${file}.trace`, '--expect100-timeout', '60', '-H', 'Expect: 100-continue']
      expect(String(await say(...trace, '-T', file, `${url}/upload`))).toBe('all right')
      expect(readFileSync(`${file}.trace`, 'latin1')).toContain('HTTP/1.1 100 Continue')
    })

    test('an upload of unknown length goes in chunks, and as HTTP/1.0 with a length', async () => {
      const { url } = await start()
      const args = ['-sS', '--max-time', '20', '-H', 'Expect:']
      const piped = await run(curl!, [...args, '-T', '-', '-X', 'POST', `${url}/upload`], BIG)
      expect(String(piped.stdout)).toBe('all right')
      const counted = await run(curl!, [...args, '--http1.0', '--data-binary', '@-', `${url}/upload`], BIG)
      expect(String(counted.stdout)).toBe('all right')
    })

    test.each(['--http1.0', '--http1.1'])('%s: several requests share one connection', async (version) => {
      const { url, say } = await start()
      const keepAlive = version === '--http1.0' ? ['-H', 'Connection: keep-alive'] : []
      const urls = Array.from({ length: 5 }, () => ['-o', '/dev/null', `${url}/big`]).flat()
      const connects = String(await say(version, ...keepAlive, '-w', '%{num_connects} %{http_code}\n', ...urls))
      expect(connects).toBe('1 200\n0 200\n0 200\n0 200\n0 200\n')
    })

    test('answers without a body, redirects and errors share the connection too', async () => {
      const { url, say } = await start()
      const urls = ['/nothing', '/missing', '/moved', '/nothing'].flatMap((path) => ['-o', '/dev/null', url + path])
      const lines = String(await say('-L', '-w', '%{http_code} %{size_download}\n', ...urls)).trim()
      expect(lines).toBe('204 0\n404 8\n200 3000000\n204 0')
    })

    test('curl through Turnout as its proxy (absolute-form) is routed by the host of the URL', async () => {
      const { url, say } = await start()
      const facts = JSON.parse(String(await say('-x', url, 'http://shop.example.com/path?q')))
      expect(facts).toMatchObject({ path: '/path?q' })
      expect(facts.headers.host).toBe('shop.example.com')
    })

    test('an offer to go to HTTP/2 in the clear is not passed on', async () => {
      const { url, say } = await start()
      const facts = JSON.parse(String(await say('--http2', url)))
      expect(facts.headers).not.toHaveProperty('upgrade')
      expect(facts.headers).not.toHaveProperty('http2-settings')
    })

    test('OPTIONS * is passed on as it is', async () => {
      const { url, say } = await start()
      const facts = JSON.parse(String(await say('--request-target', '*', '-X', 'OPTIONS', url)))
      expect(facts).toMatchObject({ method: 'OPTIONS', path: '*' })
    })

    test('the range that is asked for reaches the target', async () => {
      const { url, say } = await start()
      const facts = JSON.parse(String(await say('-r', '100-199', url)))
      expect(facts.headers.range).toBe('bytes=100-199')
    })
  },
)

describe.skipIf(curl === null)('HTTP/0.9', () => {
  test('an answer without a head is refused, though curl would take it', async () => {
    const old = await startTcp((socket) => socket.once('data', () => socket.end('<p>just a page</p>')))
    const proxy = await startProxy({ services: { shop: service({ blue: [old.url] }) } })
    const args = ['-s', '--http0.9', '--max-time', '20', '-w', '\n%{http_code}']
    const { stdout } = await run(curl!, [...args, proxy.url])
    expect(String(stdout)).toContain('upstream_bad_response')
    expect(String(stdout)).toMatch(/\n502$/)
    expect(String((await run(curl!, [...args, old.url])).stdout)).toContain('just a page')
  })

  test('a request without a version is answered 400', async () => {
    const target = await startTarget()
    const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }) } })
    // `-X` goes on the wire as it is: a request line that ends behind its target.
    const args = ['-s', '--http0.9', '--max-time', '20', '-X', 'GET /\r\nIgnored:']
    const { stdout } = await run(curl!, [...args, '-w', '%{http_code}', '-o', '/dev/null', proxy.url])
    expect(String(stdout)).toBe('400')
  })
})
