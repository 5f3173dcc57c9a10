/**
 * No proxy, but the floor below one: what Node itself costs when nothing is read, chosen, checked or counted.
 *
 * Whatever a client sends is answered by one request to a target and one answer, both of them fixed texts as long as those
 * of Turnout, over kept connections and the handles below node:net. It does no job, so it is in no comparison; the
 * profile sets the others beside it, to show what is left for them to save.
 */
import { connect, createServer, type Socket } from 'node:net'
import { installedVersion } from '../versions.ts'
import { type Peer, scriptPorts, startScript } from './peer.ts'

export const bareRelay: Peer = {
  name: 'a relay that looks at nothing',
  ours: false,
  always: false,
  setup: 'fixed texts both ways',
  version: () => installedVersion('turnout'),
  start: (config) => startScript(import.meta.url, config),
}

interface Handle {
  onread: (bytes: unknown) => void
  useUserBuffer(buffer: Buffer): void
  readStart(): number
  writeLatin1String(request: object, text: string): number
  close(): void
}
interface Line {
  readonly handle: Handle
  /** Who waits for the answer. */
  client: Handle | null
}

const BODY = 'x'.repeat(100)
const ID = '0123456789abcdef'.repeat(2)
const REQUEST = [
  'GET /small HTTP/1.1',
  'Host: 127.0.0.1:12345',
  `X-Request-Id: ${ID}`,
  'X-Forwarded-For: 127.0.0.1',
  'X-Forwarded-Proto: http',
  'X-Forwarded-Host: 127.0.0.1:12345',
  'Forwarded: for=127.0.0.1;proto=http;host="127.0.0.1:12345"',
  'Via: 1.1 turnout',
  '\r\n',
].join('\r\n')
const ANSWER = [
  'HTTP/1.1 200 OK',
  'Content-Type: text/plain',
  'Via: 1.1 turnout',
  `X-Request-Id: ${ID}`,
  'X-Turnout-Version: 1.0',
  'Date: Sat, 21 Nov 2026 00:00:00 GMT',
  'Content-Length: 100',
  `\r\n${BODY}`,
].join('\r\n')

function serve(): void {
  const { port, blue } = scriptPorts()
  // The binding is Node's own; what is measured here is what it costs at the least.
  const find = (process as unknown as { binding(name: string): Record<string, never> }).binding
  const { WriteWrap, streamBaseState, kReadBytesOrError } = find('stream_wrap') as unknown as {
    WriteWrap: new () => object
    streamBaseState: Int32Array
    kReadBytesOrError: number
  }
  const shared = Buffer.allocUnsafeSlow(65_536)
  const spare = new WriteWrap()
  const idle: Line[] = []

  function take(socket: Socket, onBytes: () => void): Handle {
    const { _handle: handle } = socket as unknown as { _handle: Handle }
    ;(socket as unknown as { _handle: null })._handle = null
    handle.useUserBuffer(shared)
    handle.onread = () => {
      const length = streamBaseState[kReadBytesOrError]
      if (length > 0) onBytes()
      else if (length < 0) handle.close()
    }
    handle.readStart()
    return handle
  }

  function ask(client: Handle): void {
    const line = idle.pop()
    if (line !== undefined) {
      line.client = client
      line.handle.writeLatin1String(spare, REQUEST)
      return
    }
    const socket = connect({ port: blue, host: '127.0.0.1', noDelay: true }, () => {
      const opened: Line = { handle: take(socket, () => answered(opened)), client }
      opened.handle.writeLatin1String(spare, REQUEST)
    })
  }

  function answered(line: Line): void {
    idle.push(line)
    line.client?.writeLatin1String(spare, ANSWER)
  }

  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    const handle = take(socket, () => ask(handle))
  })
  server.listen(port, '127.0.0.1')
}

if (import.meta.main) serve()
