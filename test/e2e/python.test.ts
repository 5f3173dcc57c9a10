/** Python's own `http.server` as the target: HTTP/1.0, one connection a request, and answers that end with the connection. */

import { writeFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { http } from '../helpers/http.ts'
import { patternOf } from '../helpers/pattern.ts'
import { program, start as startProgram } from '../helpers/programs.ts'
import { service, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'

const python = program('python3')
const FILES = 200
const contentOf = (i: number) => patternOf((i * 7_919) % 300_000, i)

/** A handler that never says how long its answer is, and one that sends back what it was sent. */
const SCRIPT = `
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = open(sys.argv[1] + self.path, 'rb').read()
        self.send_response(200)
        self.end_headers()
        for at in range(0, len(data), 10000):
            self.wfile.write(data[at:at + 10000])
    def do_POST(self):
        data = self.rfile.read(int(self.headers['content-length']))
        self.send_response(200, 'Fine')
        self.send_header('X-Request-Version', self.request_version)
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print('port', server.server_address[1], flush=True)
server.serve_forever()
`

async function startPython(args: string[], port: RegExp): Promise<string> {
  const running = startProgram(python!, ['-u', ...args])
  await until('python listens', () => {
    if (running.child.exitCode !== null) throw new Error(`python ended:\n${running.output()}`)
    return port.test(running.output())
  })
  return `http://127.0.0.1:${port.exec(running.output())?.[1]}`
}

describe.skipIf(python === null).each([{ sharedReads: true }, { sharedReads: false }])(
  'python http.server, with sharedReads $sharedReads',
  ({ sharedReads }) => {
    const start = async (kind: 'files' | 'close') => {
      const folder = temporaryFolder()
      for (let i = 0; i < FILES; i++) writeFileSync(join(folder, `${i}.bin`), contentOf(i))
      const script = join(temporaryFolder(), 'target.py')
      writeFileSync(script, SCRIPT)
      const target =
        kind === 'files'
          ? await startPython(['-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', folder], /port (\d+) /)
          : await startPython([script, folder], /port (\d+)\n/)
      const proxy = await startProxy({ services: { files: service({ blue: [target] }) } }, { sharedReads })
      const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
      onTestFinished(() => agent.destroy())
      const sockets = new Set<unknown>()
      const ask = (path: string, method = 'GET', body?: Buffer) =>
        new Promise<{ status: number; reason: string; headers: IncomingHttpHeaders; bytes: Buffer }>(
          (resolve, reject) => {
            const request = http.request(proxy.url + path, { agent, method }, (answer) => {
              const pieces: Buffer[] = []
              answer.on('data', (piece: Buffer) => pieces.push(piece))
              answer.on('error', reject)
              const { statusCode = 0, statusMessage = '', headers } = answer
              answer.on('end', () =>
                resolve({ status: statusCode, reason: statusMessage, headers, bytes: Buffer.concat(pieces) }),
              )
            })
            request.on('socket', (socket) => sockets.add(socket))
            request.on('error', reject)
            request.end(body)
          },
        )
      return { ask, connections: () => sockets.size }
    }

    test('files arrive byte for byte, and clients keep their connections though the target keeps none', async () => {
      const { ask, connections } = await start('files')
      const wrong: string[] = []
      const all = Array.from({ length: FILES }, async (_, i) => {
        const { status, bytes } = await ask(`/${i}.bin`)
        if (status !== 200 || !bytes.equals(contentOf(i))) wrong.push(`${i}: ${status} ${bytes.length}`)
      })
      await Promise.all(all)
      expect(wrong).toEqual([])
      expect(connections()).toBe(8)
      const listing = await ask('/')
      expect(String(listing.bytes)).toContain('<a href="17.bin">')
      expect(await ask('/none')).toMatchObject({ status: 404, reason: 'File not found' })
      expect((await ask('/17.bin', 'HEAD')).headers['content-length']).toBe(String(contentOf(17).length))
    })

    test('answers that end with the connection come in chunks, over connections that stay', async () => {
      const { ask, connections } = await start('close')
      const wrong: string[] = []
      const all = Array.from({ length: FILES }, async (_, i) => {
        const { headers, bytes } = await ask(`/${i}.bin`)
        if (headers['transfer-encoding'] !== 'chunked' || !bytes.equals(contentOf(i)))
          wrong.push(`${i}: ${bytes.length}`)
      })
      await Promise.all(all)
      expect(wrong).toEqual([])
      expect(connections()).toBe(8)
      const big = patternOf(2_000_000)
      const echoed = await ask('/echo', 'POST', big)
      expect(echoed).toMatchObject({ status: 200, reason: 'Fine', headers: { 'x-request-version': 'HTTP/1.1' } })
      expect(echoed.bytes.equals(big)).toBe(true)
    })
  },
)
