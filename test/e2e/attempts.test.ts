/**
 * What is counted of each kind of traffic, at the target that it concerns: attempts, requests and tunnels, each by itself. The
 * books must always balance: started = good + failed + void + in flight + tunnels that are open in their place.
 */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { ask, oneConnection } from '../helpers/ask.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort, type RawUpstream, startNamed, startRaw, startUpstream } from '../helpers/upstream.ts'

const FAMILIES = {
  decided: 'turnout_decided_total{}',
  started: 'turnout_attempts_started_total{}',
  good: 'turnout_attempts_total{good}',
  failed: 'turnout_attempts_total{failed}',
  void: 'turnout_attempts_total{void}',
  inFlight: 'turnout_in_flight{}',
  requests: 'turnout_request_duration_seconds_count{}',
  aborted: 'turnout_aborted_total{}',
  tunnels: 'turnout_tunnels{}',
  opened: 'turnout_tunnels_opened_total{}',
  closed: 'turnout_tunnels_closed_total{}',
}
type Counted = Partial<Record<keyof typeof FAMILIES, number>>

/** What is not zero of the counters of a target. */
async function countedAt(proxy: TestProxy, url: string): Promise<Counted> {
  const text = await (await fetch(proxy.admin + '/metrics')).text()
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = /^([a-z_]+)\{(.*)\} (\S+)$/.exec(line) ?? []
    if (!labels.includes(`target="${url.slice('http://'.length)}"`)) continue
    samples.set(`${name}{${/outcome="(\w+)"/.exec(labels)?.[1] ?? ''}}`, Number(value))
  }
  const entries = Object.entries(FAMILIES).map(([name, family]) => [name, samples.get(family) ?? 0] as const)
  return Object.fromEntries(entries.filter(([, value]) => value !== 0))
}

const expectCounted = (proxy: TestProxy, url: string, counted: Counted) =>
  expect.poll(() => countedAt(proxy, url)).toEqual(counted)

interface TargetFigures {
  url: string
  requests: number
  failures: number
  failureShare: number | null
  p50Ms: number | null
}

async function figuresOf(proxy: TestProxy, url: string): Promise<TargetFigures> {
  const { pools } = await call<{ pools: { targets: TargetFigures[] }[] }>(proxy, 'GET', '/v1/services/shop/status')
  return pools.flatMap(({ targets }) => targets).find((target) => target.url === url)!
}

/** A proxy over targets of one pool that are taken in turn; the first request goes to the first. */
const startOver = (blue: string[], more = {}) =>
  startProxy({ services: { shop: service({ blue }, { balance: 'round-robin', ...more }) } })

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** A client that sends a request, and stays until the test has ended. */
function hold(proxy: TestProxy, text: string): net.Socket {
  const socket = net.connect(proxy.port, '127.0.0.1', () => socket.write(text))
  socket.on('error', () => {})
  socket.resume()
  onTestFinished(() => void socket.resetAndDestroy())
  return socket
}

/** Whether a target has so many requests in its hands. */
const isHeld = (target: RawUpstream, count = 1): boolean =>
  target.received().filter((text) => text !== '').length === count

test('an attempt that another target made good is failed at the first and good at the second', async () => {
  const gone = `http://127.0.0.1:${await closedPort()}`
  const closing = await startRaw((socket) => socket.destroy())
  const steady = await startNamed('steady')
  const proxy = await startOver([gone, closing.url, steady.url])
  await until('both were tried', async () => {
    expect((await ask(proxy.port)).status).toBe(200)
    const tried = await Promise.all([gone, closing.url].map((url) => countedAt(proxy, url)))
    return tried.every(({ failed }) => failed !== undefined)
  })
  let decidedElsewhere = 0
  for (const url of [gone, closing.url]) {
    const { decided = 0, ...counted } = await countedAt(proxy, url)
    decidedElsewhere += decided
    expect(counted).toEqual({ started: counted.started, failed: counted.started })
    expect(await figuresOf(proxy, url)).toMatchObject({ requests: 0, failures: counted.started, failureShare: 1 })
  }
  const { requests = 0, decided = 0, ...rest } = await countedAt(proxy, steady.url)
  expect(decided + decidedElsewhere).toBe(requests)
  expect(rest).toEqual({ started: requests, good: requests })
})

test('a target that hangs shows what it holds at once, and the failures when the time-out strikes', async () => {
  const hung = await startRaw(() => {})
  const proxy = await startOver([hung.url], { timeouts: { response: '1s' } })
  for (let i = 0; i < 4; i++) hold(proxy, GET)
  await until('all are held', () => isHeld(hung, 4))
  expect(await countedAt(proxy, hung.url)).toEqual({ decided: 4, started: 4, inFlight: 4 })
  await expectCounted(proxy, hung.url, { decided: 4, started: 4, failed: 4, requests: 4 })
})

test.each([
  ['a 4xx is good', 404, { good: 1 }],
  ['a 501 is good, for it is the client who chose the method', 501, { good: 1 }],
  ['a 505 is failed, for it is we who chose the version', 505, { failed: 1 }],
  ['a 503 is failed', 503, { failed: 1 }],
])('an answer of the target: %s', async (_, status, outcome) => {
  const target = await startUpstream((_request, response) => response.writeHead(status).end())
  const proxy = await startOver([target.url])
  expect((await ask(proxy.port)).status).toBe(status)
  await expectCounted(proxy, target.url, { decided: 1, started: 1, requests: 1, ...outcome })
})

test.each([
  ['broken off in its body', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'],
  ['malformed in its body', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n'],
  ['malformed in its head', 'nonsense\r\n\r\n'],
])('an answer that is %s is failed, once', async (_, answer) => {
  const target = await startRaw((socket) => socket.end(answer))
  const proxy = await startOver([target.url])
  await ask(proxy.port, { method: 'POST' }).catch(() => {})
  await expectCounted(proxy, target.url, { decided: 1, started: 1, failed: 1, requests: 1 })
})

test('a client that goes away before an answer says nothing of the target, and is not answered', async () => {
  const hung = await startRaw(() => {})
  const proxy = await startOver([hung.url])
  const socket = hold(proxy, GET)
  await until('it is held', () => isHeld(hung))
  socket.resetAndDestroy()
  await expectCounted(proxy, hung.url, { decided: 1, started: 1, void: 1, aborted: 1 })
  expect(await figuresOf(proxy, hung.url)).toMatchObject({ failures: 0, failureShare: null, p50Ms: null })
})

test('a stream that its client ends is a good attempt and an aborted request', async () => {
  const target = await startUpstream((_request, response) => response.write('data: first\n\n'))
  const proxy = await startOver([target.url])
  const socket = hold(proxy, GET)
  await new Promise((resolve) => socket.once('data', resolve))
  socket.resetAndDestroy()
  await expectCounted(proxy, target.url, { decided: 1, started: 1, good: 1, requests: 1, aborted: 1 })
})

test('a request that its client breaks says nothing of the target', async () => {
  const target = await startRaw(() => {})
  const proxy = await startOver([target.url])
  const socket = hold(proxy, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
  await until('it is held', () => isHeld(target))
  socket.write('nonsense\r\n')
  await expectCounted(proxy, target.url, { decided: 1, started: 1, void: 1, requests: 1 })
})

test('a kept connection that closes as the request comes is nobody’s failure', async () => {
  const forgetful = await startRaw((socket, text) => {
    if (text.split('\r\n\r\n').length === 2) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    else socket.destroy()
  })
  const proxy = await startOver([forgetful.url])
  const agent = oneConnection()
  for (let i = 0; i < 2; i++) expect((await ask(proxy.port, { agent })).status).toBe(200)
  await expectCounted(proxy, forgetful.url, { decided: 2, started: 3, good: 2, void: 1, requests: 2 })
})

test('a request that finds no room at a target is no attempt', async () => {
  const hung = await startRaw(() => {})
  const services = { shop: service({ blue: [hung.url] }) }
  const proxy = await startProxy({ services, limits: { upstreamConnectionsMax: 1 } })
  hold(proxy, GET)
  await until('it is full', () => isHeld(hung))
  expect((await ask(proxy.port)).status).toBe(503)
  await expectCounted(proxy, hung.url, { decided: 2, started: 1, inFlight: 1 })
})

test('a tunnel is a good attempt and no request, so the time it is open is no time of an answer', async () => {
  const target = await startRaw((socket, text) => {
    const isUpgrade = text.includes('Upgrade: echo')
    if (isUpgrade && text.endsWith('\r\n\r\n')) {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    } else if (isUpgrade) socket.end('bye')
    else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  const proxy = await startOver([target.url])
  expect((await ask(proxy.port)).status).toBe(200)
  const socket = hold(proxy, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
  await expectCounted(proxy, target.url, { decided: 2, started: 2, good: 2, requests: 1, tunnels: 1, opened: 1 })
  const openedMs = performance.now()
  await until('it was open for a while', () => performance.now() - openedMs > 700)
  socket.end('hello')
  await expectCounted(proxy, target.url, { decided: 2, started: 2, good: 2, requests: 1, opened: 1, closed: 1 })
  expect((await figuresOf(proxy, target.url)).p50Ms).toBeLessThan(500)
})
