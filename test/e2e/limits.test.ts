/**
 * Limits of the data plane: each has its answer, its counter, and harms nobody below it. What is refused never reaches a
 * target.
 */
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { metric, metricIs, targetAtRest } from '../helpers/admin.ts'
import { makeCertificate } from '../helpers/certificate.ts'
import { type Line, openLine, startLoad } from '../helpers/load.ts'
import { program } from '../helpers/programs.ts'
import { service, startProxy, temporaryFolder } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { startNamed, startRaw, startUpstream } from '../helpers/upstream.ts'

const openssl = program('openssl')

const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`

test.each<[what: string, request: string, status: number, code: string]>([
  ['a head above the limit', get('/', `X-Big: ${'x'.repeat(2_000)}\r\n`), 431, 'head_too_large'],
  ['a head above the limit without an end', `GET / HTTP/1.1\r\nX-Big: ${'x'.repeat(2_000)}`, 431, 'head_too_large'],
  ['more fields than the limit', get('/', 'X-A: 1\r\n'.repeat(8)), 431, 'head_too_large'],
  ['a target longer than the limit', get(`/${'x'.repeat(2_000)}`), 414, 'uri_too_long'],
  ['a target longer than the limit without an end', `GET /${'x'.repeat(2_000)}`, 414, 'uri_too_long'],
])('%s is refused and counted', async (_, request, status, code) => {
  const blue = await startNamed('blue')
  const limits = { headBytesMax: 1_024, headersMax: 8 }
  const proxy = await startProxy({ limits, services: { shop: service({ blue: [blue.url] }) } })
  const { text, end } = await rawRequest(proxy.port, request)
  expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(text).toContain(`X-Turnout-Error: ${code}\r\n`)
  expect(text).toContain('Connection: close\r\n')
  expect(end).toBe('closed')
  await metricIs(1, proxy, 'turnout_rejected_total', `code="${code}"`)
  expect(blue.requests()).toBe(0)
})

test('what is just within the limits is served', async () => {
  const blue = await startNamed('blue')
  const limits = { headBytesMax: 1_024, headersMax: 8 }
  const proxy = await startProxy({ limits, services: { shop: service({ blue: [blue.url] }) } })
  const exact = (request: string): string => request.replace('FILL', 'x'.repeat(1_024 - request.length + 4))
  for (const request of [exact(get('/', 'X-Big: FILL\r\n')), exact(get('/FILL')), get('/', 'X-A: 1\r\n'.repeat(7))]) {
    const { text } = await rawRequest(proxy.port, request, { until: (seen) => seen.endsWith('blue') })
    expect(text).toMatch(/^HTTP\/1.1 200 /)
  }
})

test('URIs of 8,000 octets pass with the default limits', async () => {
  const target = await startUpstream((request, response) => response.end(String(request.url?.length)))
  const proxy = await startProxy({ services: { shop: service({ blue: [target.url] }) } })
  const answer = await fetch(`${proxy.url}/${'x'.repeat(8_000)}`)
  expect(await answer.text()).toBe('8001')
})

const BODIES: [how: string, fields: string, body: string][] = [
  ['counted', 'Content-Length: 1001\r\n', 'x'.repeat(1_001)],
  ['chunked', 'Transfer-Encoding: chunked\r\n', `3e9\r\n${'x'.repeat(1_001)}\r\n0\r\n\r\n`],
  ['chunked in small pieces', 'Transfer-Encoding: chunked\r\n', `64\r\n${'x'.repeat(100)}\r\n`.repeat(11)],
]

test.each(BODIES)('a %s body above the limit is answered with 413 and counted', async (_, fields, body) => {
  const blue = await startNamed('blue')
  const limits = { bodyBytesMax: 1_000 }
  const proxy = await startProxy({ limits, services: { shop: service({ blue: [blue.url] }) } })
  const { text, end } = await rawRequest(proxy.port, [`POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`, body])
  expect(text).toMatch(/^HTTP\/1.1 413 /)
  expect(text).toContain('X-Turnout-Error: body_too_large\r\n')
  expect(end).toBe('closed')
  await until('it is counted', async () => (await metric(proxy, 'turnout_rejected_total', '"body_too_large"')) === 1)
  expect((await targetAtRest(proxy, 'shop', blue.url)).failures).toBe(0)
})

test('a body of exactly the limit is served', async () => {
  const target = await startUpstream(async (request, response) => {
    let bytes = 0
    for await (const chunk of request) bytes += chunk.length
    response.end(String(bytes))
  })
  const limits = { bodyBytesMax: 1_000 }
  const proxy = await startProxy({ limits, services: { shop: service({ blue: [target.url] }) } })
  const counted = await fetch(proxy.url, { method: 'POST', body: 'x'.repeat(1_000) })
  expect(await counted.text()).toBe('1000')
  const chunked = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n${'x'.repeat(1_000)}\r\n0\r\n\r\n`
  const { text } = await rawRequest(proxy.port, chunked, { until: (seen) => seen.endsWith('1000') })
  expect(text).toMatch(/^HTTP\/1.1 200 /)
})

test.each([
  ['of one address', { connectionsPerAddressMax: 3 }, 'connections_per_address'],
  ['in all', { connectionsMax: 3 }, 'connections'],
])(
  'connections %s above the limit are closed and counted, and there is room again when one goes',
  async (_, limits, reason) => {
    const blue = await startNamed('blue')
    const proxy = await startProxy({ limits, services: { shop: service({ blue: [blue.url] }) } })
    const lines = await Promise.all([1, 2, 3].map(() => openLine(proxy.port)))
    for (const line of lines) expect(await line?.ask({ method: 'GET' })).toMatchObject({ status: 200 })
    const { text, end } = await rawRequest(proxy.port, get('/'))
    expect(text).toBe('')
    expect(end).not.toBe('open')
    await metricIs(1, proxy, 'turnout_rejected_total', 'code="overloaded"')
    await metricIs(1, proxy, 'turnout_shed_total', `reason="${reason}"`)
    await metricIs(1, proxy, 'turnout_shed_total')
    await metricIs(3, proxy, 'turnout_client_connections')
    // Those that are there are not disturbed, and their places come free.
    for (const line of lines) expect(await line?.ask({ method: 'GET' })).toMatchObject({ status: 200 })
    lines[0]?.close()
    await until('the place is free', async () => (await metric(proxy, 'turnout_client_connections')) === 2)
    const again = await openLine(proxy.port)
    expect(await again?.ask({ method: 'GET' })).toMatchObject({ status: 200 })
    for (const line of [...lines, again]) line?.close()
  },
)

// Elsewhere there is one worker only.
test.skipIf(process.platform !== 'linux')('the limits on connections hold for all workers together', async () => {
  const blue = await startNamed('blue')
  const limits = { connectionsMax: 12, connectionsPerAddressMax: 8 }
  const proxy = await startProxy({ workers: 3, limits, services: { shop: service({ blue: [blue.url] }) } })
  const lines: (Line | null)[] = []
  // One after the other, so that each is counted before the next comes.
  const open = async (count: number, from: string) => {
    for (let i = 0; i < count; i++) {
      const line = await openLine(proxy.port, from)
      const answer = await line?.ask({ method: 'GET' })
      if (typeof answer === 'object' && answer !== null) lines.push(line)
    }
    return lines.length
  }
  expect(await open(10, '127.0.0.1')).toBe(8)
  expect(await open(10, '127.0.0.2')).toBe(12)
  await metricIs(2, proxy, 'turnout_shed_total', 'reason="connections_per_address"')
  await metricIs(6, proxy, 'turnout_shed_total', 'reason="connections"')
  for (const line of lines) line?.close()
})

test('a trusted proxy may have more connections than an address, since it stands for many', async () => {
  const blue = await startNamed('blue')
  const limits = { connectionsPerAddressMax: 2 }
  const services = { shop: service({ blue: [blue.url] }) }
  const proxy = await startProxy({ trustedProxies: ['127.0.0.1'], limits, services })
  const lines = await Promise.all([1, 2, 3, 4].map(() => openLine(proxy.port)))
  for (const line of lines) expect(await line?.ask({ method: 'GET' })).toMatchObject({ status: 200 })
  for (const line of lines) line?.close()
})

test.skipIf(openssl === null)(
  'a TLS connection counts from the moment it is accepted, before any handshake',
  async () => {
    const blue = await startNamed('blue')
    const { certFile, keyFile } = makeCertificate(openssl!, temporaryFolder())
    const listeners = [{ address: '127.0.0.1:0', tls: { cert: certFile, key: keyFile } }]
    const services = { shop: service({ blue: [blue.url] }) }
    const proxy = await startProxy({ listeners, limits: { connectionsMax: 2 }, services })
    const silent = [1, 2].map(() => net.connect({ port: proxy.port, host: '127.0.0.1' }))
    onTestFinished(() => {
      for (const socket of silent) socket.destroy()
    })
    await until('they are counted', async () => (await metric(proxy, 'turnout_client_connections')) === 2)
    expect((await rawRequest(proxy.port, '')).end).not.toBe('open')
    await metricIs(1, proxy, 'turnout_shed_total', 'reason="connections"')
    silent[0].destroy()
    await until('the place is free', async () => (await metric(proxy, 'turnout_client_connections')) === 1)
    // A handshake that fails frees its place too.
    expect((await rawRequest(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).end).not.toBe('open')
    await until('the place is free', async () => (await metric(proxy, 'turnout_client_connections')) === 1)
  },
)

test('a connection is closed politely after its last allowed request', async () => {
  const blue = await startNamed('blue')
  const limits = { requestsPerConnectionMax: 3 }
  const proxy = await startProxy({ limits, services: { shop: service({ blue: [blue.url] }) } })
  const { text, end } = await rawRequest(proxy.port, get('/').repeat(5))
  expect(text.match(/HTTP\/1.1 200 /g)).toHaveLength(3)
  expect(text.match(/Connection: close/g)).toHaveLength(1)
  expect(text.lastIndexOf('HTTP/1.1')).toBeLessThan(text.indexOf('Connection: close'))
  expect(end).toBe('closed')
  expect(blue.requests()).toBe(3)
  await metricIs(1, proxy, 'turnout_shed_total', 'reason="requests_per_connection"')
  await metricIs(1, proxy, 'turnout_shed_total')
})

test('above the connections that a target may have, requests get 503 with Retry-After, which is not the fault of the target', async () => {
  const held: (() => void)[] = []
  const target = await startUpstream((_, response) => held.push(() => response.end('late')))
  const other = await startUpstream((_, response) => held.push(() => response.end('late')))
  const limits = { upstreamConnectionsMax: 2 }
  const blue = [target.url, other.url]
  const proxy = await startProxy({ limits, services: { shop: service({ blue }, { balance: 'round-robin' }) } })
  const load = startLoad(proxy.port, { connections: 4, next: (_, n) => (n === 0 ? { method: 'GET' } : null) })
  await until('all are full', () => held.length === 4)
  for (let i = 0; i < 20; i++) {
    const answer = await fetch(proxy.url)
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(answer.headers.get('x-turnout-error')).toBe('overloaded')
  }
  for (const answer of held) answer()
  await until('all are answered', () => load.outcomes.length === 4)
  expect(load.outcomes.map(({ status }) => status)).toEqual([200, 200, 200, 200])
  await metricIs(20, proxy, 'turnout_rejected_total', 'code="overloaded"')
  await metricIs(20, proxy, 'turnout_shed_total', 'reason="target_connections"')
  for (const url of blue) {
    const { failures, ejectedUntilMs, requests } = await targetAtRest(proxy, 'shop', url)
    expect({ failures, ejectedUntilMs, requests }).toEqual({ failures: 0, ejectedUntilMs: 0, requests: 2 })
  }
})

// Elsewhere the system has one loopback address only.
test.skipIf(process.platform !== 'linux')(
  'the last quarter of the connections to a target is kept from an address that has many of them',
  async () => {
    const held: (() => void)[] = []
    const target = await startUpstream((request, response) => {
      if (request.url === '/') response.end('blue')
      else held.push(() => response.end('late'))
    })
    const limits = { upstreamConnectionsMax: 64 }
    const proxy = await startProxy({ limits, services: { shop: service({ blue: [target.url] }) } })
    const shot = { method: 'GET', path: '/slow' }
    const load = startLoad(proxy.port, { connections: 64, next: (_, n) => (n === 0 ? shot : null) })
    await until('some are refused', () => load.outcomes.length === 16 && held.length === 48)
    expect(load.outcomes.map(({ status }) => status)).toEqual(new Array(16).fill(503))
    await metricIs(16, proxy, 'turnout_shed_total', 'reason="target_connections_per_address"')
    const others = await Promise.all(Array.from({ length: 48 }, () => openLine(proxy.port, '127.0.0.2')))
    expect(await others[0]?.ask({ method: 'GET' })).toMatchObject({ status: 200 })
    for (const answer of held.splice(0)) answer()
    await until('all are answered', () => load.outcomes.length === 64)
    // What has ended is no longer held against the address.
    const asked = others.map((line) => line?.ask(shot))
    await until('the others crowd the target', () => held.length === 48)
    // More than there may be idle ones left for.
    const again = await Promise.all([1, 2, 3, 4].map(() => openLine(proxy.port)))
    asked.push(...again.map((line) => line?.ask(shot)))
    await until('it is not refused', () => held.length === 52)
    for (const answer of held) answer()
    for (const answer of await Promise.all(asked)) expect(answer).toMatchObject({ status: 200 })
    for (const line of [...others, ...again]) line?.close()
  },
)

test('a target with room is used while another has as many connections as it may', async () => {
  const held: (() => void)[] = []
  const busy = await startUpstream((_, response) => held.push(() => response.end('late')))
  const free = await startNamed('free')
  const limits = { upstreamConnectionsMax: 1 }
  const blue = [busy.url, free.url]
  const proxy = await startProxy({ limits, services: { shop: service({ blue }, { balance: 'round-robin' }) } })
  const stuck = startLoad(proxy.port, { connections: 1, next: (_, n) => (n < 2 ? { method: 'GET' } : null) })
  await until('one is full', () => held.length === 1)
  const line = await openLine(proxy.port)
  for (let i = 0; i < 10; i++) expect(await line?.ask({ method: 'POST', body: 'x' })).toMatchObject({ status: 200 })
  for (const answer of held) answer()
  await until('it is answered', () => stuck.outcomes.length > 0)
  line?.close()
})

test('only so many idle connections to a target are kept', async () => {
  const held: (() => void)[] = []
  const target = await startRaw((socket) =>
    held.push(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')),
  )
  const limits = { upstreamIdleMax: 2 }
  const proxy = await startProxy({ limits, services: { shop: service({ blue: [target.url] }) } })
  const load = startLoad(proxy.port, { connections: 8, next: (_, n) => (n === 0 ? { method: 'GET' } : null) })
  await until('all wait', () => held.length === 8)
  for (const answer of held) answer()
  await until('all are answered', () => load.outcomes.length === 8)
  await until('only two are kept', async () => (await metric(proxy, 'turnout_upstream_connections')) === 2)
})
