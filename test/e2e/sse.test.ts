/**
 * Server-sent events pass one by one: the target sends event n+1 only once the client has told it, past the proxy, that event
 * n has arrived. A proxy that waits for more to come before it passes on would stop here for good.
 */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startTcp, startUpstream } from '../helpers/upstream.ts'

const EVENTS = 500
const eventOf = (n: number) => `id: ${n}\ndata: ${'x'.repeat(n % 40)}${n}\n\n`
const ALL = Array.from({ length: EVENTS }, (_, n) => eventOf(n)).join('')

/** What the target and the client tell each other past the proxy. */
class SideChannel {
  #arrived = -1
  #wake = () => {}

  /** The client has all of event n. */
  tell(n: number): void {
    this.#arrived = n
    this.#wake()
  }

  /** Resolves once the client has event n. */
  async arrived(n: number): Promise<void> {
    while (this.#arrived < n) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

/** Reads the stream to its end, telling of each event as soon as it is complete. Gives the payload. */
function readEvents(proxy: TestProxy, version: string, side: SideChannel): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1' })
    onTestFinished(() => {
      socket.destroy()
    })
    let text = ''
    let payload = ''
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      payload = payloadOf(text)
      side.tell(payload.split('\n\n').length - 2)
    })
    socket.on('end', () => resolve(payload))
    socket.on('error', reject)
    socket.write(`GET /events HTTP/${version}\r\nHost: shop\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n`)
  })
}

/** The body so far, without chunk framing if there is one. */
function payloadOf(text: string): string {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return ''
  const body = text.slice(end + 4)
  if (!/\r\ntransfer-encoding: chunked/i.test(text.slice(0, end))) return body
  let payload = ''
  for (let at = 0; at < body.length; ) {
    const lineEnd = body.indexOf('\r\n', at)
    if (lineEnd < 0) break
    const size = Number.parseInt(body.slice(at, lineEnd), 16)
    payload += body.slice(lineEnd + 2, lineEnd + 2 + size)
    at = lineEnd + 2 + size + 2
  }
  return payload
}

/** Writes all events, each after the one before has arrived. */
async function writeEvents(write: (text: string) => void, side: SideChannel): Promise<void> {
  for (let n = 0; n < EVENTS; n++) {
    write(eventOf(n))
    await side.arrived(n)
  }
}

const chunkedTarget = (side: SideChannel) =>
  startUpstream(async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    await writeEvents((text) => response.write(text), side)
    response.end()
  })

const closingTarget = (side: SideChannel) =>
  startTcp((socket) => {
    socket.once('data', async () => {
      socket.write('HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n')
      await writeEvents((text) => socket.write(text), side)
      socket.end()
    })
  })

test.each([
  { target: 'chunked', version: '1.1', sharedReads: true },
  { target: 'chunked', version: '1.1', sharedReads: false },
  { target: 'chunked', version: '1.0', sharedReads: true },
  { target: 'closing', version: '1.1', sharedReads: true },
  { target: 'closing', version: '1.0', sharedReads: false },
])(
  'each event of a $target target reaches an HTTP/$version client before the next is sent, with sharedReads $sharedReads',
  async ({ target, version, sharedReads }) => {
    const side = new SideChannel()
    const { url } = await (target === 'chunked' ? chunkedTarget(side) : closingTarget(side))
    const proxy = await startProxy({ services: { shop: service({ blue: [url] }) } }, { sharedReads })
    expect(await readEvents(proxy, version, side)).toBe(ALL)
  },
)

test('the head of a stream arrives before its first event', async () => {
  const side = new SideChannel()
  const { url } = await startUpstream(async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    await side.arrived(0)
    response.end('data: first\n\n')
  })
  const proxy = await startProxy({ services: { shop: service({ blue: [url] }) } })
  const answer = await fetch(proxy.url)
  expect(answer.headers.get('content-type')).toBe('text/event-stream')
  side.tell(0)
  expect(await answer.text()).toBe('data: first\n\n')
})

test('a client that leaves a stream ends it at the target, at its next event', async () => {
  let isOver = false
  let send = () => {}
  const { url } = await startUpstream((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    send = () => response.write('data: another\n\n')
    send()
    response.on('close', () => {
      isOver = true
    })
  })
  const proxy = await startProxy({ services: { shop: service({ blue: [url] }) } })
  const leaving = new AbortController()
  const answer = await fetch(proxy.url, { signal: leaving.signal })
  await answer.body?.getReader().read()
  leaving.abort()
  await until('the stream is over', () => {
    send()
    return isOver
  })
})
