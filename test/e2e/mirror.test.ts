/** Copies of requests to another pool: what is copied, what is told of it, and that no client ever feels it. */
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import net, { type Socket } from 'node:net'
import { expect, test } from 'vitest'
import type { ControlEvent } from '../../src/change.ts'
import { metric, metricIs } from '../helpers/admin.ts'
import { ask } from '../helpers/ask.ts'
import { startLoad } from '../helpers/load.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort, startNamed, startRaw, startUpstream } from '../helpers/upstream.ts'

interface Told {
  readonly sent: number
  readonly failed: number
  readonly compared: number
  readonly differing: { readonly status: number; readonly body: number; readonly slower: number }
  readonly examples: readonly { readonly path: string; readonly live: object; readonly copy: object }[]
}

const told = async (proxy: TestProxy): Promise<Told> =>
  (await call<{ mirror: Told }>(proxy, 'GET', '/v1/services/shop/status')).mirror

const BIG = 'x'.repeat(1_000_000)

/** Answers alike for both pools, but for what is planted at some paths of green. */
const answers =
  (pool: string): RequestListener =>
  (request, response) => {
    const isOther = pool === 'green'
    if (request.url === '/big') return void response.end(BIG)
    if (request.url === '/slow' && !isOther) return void response.write('the ')
    if (request.url === '/chunked') response.write('a')
    if (request.url === '/status' && isOther) return void response.writeHead(500).end('the same')
    if (request.url === '/body' && isOther) return void response.end('tHe same')
    if (request.url === '/big-other') return void response.end(isOther ? `${BIG.slice(1)}y` : BIG)
    response.end('the same')
  }

/** A shop whose blue pool has all the traffic, which is copied to this target. */
async function startShop(
  green: string,
  mirror: object = {},
  more: object = {},
  process: object = {},
): Promise<TestProxy> {
  const blue = await startUpstream(answers('blue'))
  const shop = service({ blue: [blue.url], green: [green] }, { mirror: { pool: 'green', ...mirror }, ...more })
  return startProxy({ services: { shop }, ...process })
}

/** Resolves once nothing of a copy is under way. */
const settled = (proxy: TestProxy) =>
  until('no copy is under way', async () => (await metric(proxy, 'turnout_in_flight', 'pool="green"')) === 0)

test('every difference that is planted is counted by what differs, and some are told', async () => {
  const seen: string[] = []
  const green = await startUpstream((request, response) => {
    seen.push(
      `${request.method} ${request.url} ${request.headers['x-turnout-mirror']} ${request.headers['x-turnout-pool']}`,
    )
    answers('green')(request, response)
  })
  const proxy = await startShop(green.url, { compare: true })
  const paths = ['/', '/big', '/chunked', '/status', '/body', '/big-other']
  for (let round = 0; round < 5; round++) {
    for (const path of paths) {
      const { status, body } = await ask(proxy.port, { path, headers: { 'x-turnout-mirror': 'mine' } })
      expect([status, body.length]).toEqual([200, path.startsWith('/big') ? BIG.length : path === '/chunked' ? 9 : 8])
    }
  }
  await ask(proxy.port, { method: 'HEAD', path: '/big' })
  await until('all is compared', async () => (await told(proxy)).compared === 31)
  expect(await told(proxy)).toMatchObject({ sent: 31, failed: 0, differing: { status: 5, body: 10 } })
  expect(seen).toHaveLength(31)
  expect(new Set(seen.map((line) => line.replace(/^\S+ \S+ /, '')))).toEqual(new Set(['1 green']))
  const [example] = (await told(proxy)).examples
  expect(example).toMatchObject({
    method: 'GET',
    path: '/status',
    live: { status: 200, bytes: 8 },
    copy: { status: 500, bytes: 8 },
  })
  const { events } = await call<{ events: ControlEvent[] }>(proxy, 'GET', '/v1/events?follow=false')
  expect(events.filter(({ type }) => type === 'mirror').map(({ message }) => message)).toEqual([
    'a copy of GET /status was answered by pool green with 500, not 200',
  ])
  await metricIs(10, proxy, 'turnout_mirrors_differing_total', 'by="body"')
  // Whoever gets copies is judged by those whom it serves.
  expect(await metric(proxy, 'turnout_attempts_started_total', 'pool="green"')).toBe(0)
  expect(await metric(proxy, 'turnout_requests_total', 'pool="green"')).toBe(0)
})

test('nothing is made twice that is not safe, unless that is said; and of that only what is at hand', async () => {
  const green: string[] = []
  const target = await startUpstream((request, response) => {
    let body = ''
    request.on('data', (piece: Buffer) => (body += piece))
    request.on('end', () => {
      green.push(`${request.method} ${body.length}`)
      response.end('the same')
    })
  })
  const proxy = await startShop(target.url)
  const send = async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'GET']) {
      await ask(proxy.port, { method, body: 'abc', headers: { 'content-length': '3' } })
    }
    await ask(proxy.port, { method: 'OPTIONS' })
    await ask(proxy.port, { method: 'TRACE' })
    await ask(proxy.port, { method: 'POST', body: 'x'.repeat(300_000) })
  }
  await send()
  await settled(proxy)
  expect(green.toSorted()).toEqual(['OPTIONS 0', 'TRACE 0'])
  await call(proxy, 'PATCH', '/v1/services/shop', { mirror: { writes: true } })
  green.length = 0
  await send()
  await settled(proxy)
  expect(green.toSorted()).toEqual(['DELETE 3', 'GET 3', 'OPTIONS 0', 'PATCH 3', 'POST 3', 'PUT 3', 'TRACE 0'])
  await metricIs(1, proxy, 'turnout_not_mirrored_total')
})

test('a copy that the target may have carried out is not made again, unless that is safe', async () => {
  const seen: string[] = []
  const target = await startRaw((socket, text, index) => {
    const [method] = text.split('\r\n\r\n').at(-2)!.split(' ')
    seen.push(`${method} ${index}`)
    // Whatever comes second on a connection is taken, and not answered.
    if (text.split('\r\n\r\n').length > 2) socket.destroy()
    else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })
  const proxy = await startShop(target.url, { writes: true })
  const send = async (method: string) => {
    await ask(proxy.port, { method })
    await settled(proxy)
  }
  for (const method of ['GET', 'POST', 'GET', 'GET']) await send(method)
  expect(seen).toEqual(['GET 0', 'POST 0', 'GET 1', 'GET 1', 'GET 2'])
  expect((await told(proxy)).failed).toBe(1)
})

test('a connection on which a copy was asked to log in is kept for nobody, since nobody will', async () => {
  const target = await startRaw((socket) => {
    socket.write('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n')
  })
  const proxy = await startShop(target.url)
  for (let n = 0; n < 3; n++) await ask(proxy.port)
  await settled(proxy)
  await metricIs(0, proxy, 'turnout_tied_connections')
  expect(target.connections()).toBe(3)
})

/** How a target hangs, in turn by connection. */
const HANGS: readonly ((socket: Socket) => void)[] = [
  () => {},
  (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-'),
  (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nthe '),
]

test('a target that hangs costs its copies, as many as may be under way, and no client anything', async () => {
  let open = 0
  let most = 0
  const green = await startRaw(
    (socket, _, index) => HANGS[index % HANGS.length](socket),
    (socket) => {
      most = Math.max(most, ++open)
      socket.on('end', () => socket.destroy())
      socket.on('close', () => open--)
    },
  )
  const limits = { limits: { mirrorsMax: 5 }, workers: 1 }
  // No room is left beside the clients: a copy that took any would keep one of them waiting.
  const capacity = { requestsPerTarget: 4, queue: { requests: 0 } }
  const proxy = await startShop(
    green.url,
    { compare: true },
    { timeouts: { response: '2s', idle: '2s' }, capacity },
    limits,
  )
  const load = startLoad(proxy.port, { connections: 4 })
  await until('the cap is met', async () => (await metric(proxy, 'turnout_not_mirrored_total')) > 500)
  const answers = await load.stop()
  expect(answers.every(({ status, body }) => status === 200 && body === 'the same')).toBe(true)
  // Whoever waited for a copy would have waited until it was given up.
  expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(1_500)
  expect((await told(proxy)).sent).toBeGreaterThanOrEqual(5)
  // Five, and those that were given up just before, whose end was not read yet.
  expect(most).toBeGreaterThanOrEqual(5)
  expect(most).toBeLessThanOrEqual(10)
  await settled(proxy)
  await until('the connections of the copies are gone', () => open === 0)
  const { sent, failed, compared } = await told(proxy)
  expect({ failed, compared }).toEqual({ failed: sent, compared: 0 })
})

test.each<[string, (socket: Socket) => void]>([
  ['resets', (raw) => raw.destroy()],
  ['breaks in the body', (raw) => raw.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc') && raw.end()],
  ['answers what is none', (raw) => raw.write('SSH-2.0-x\r\n\r\n')],
])('a copy whose target %s has failed, and its client is none the wiser', async (_, answer) => {
  const green = await startRaw(answer)
  const proxy = await startShop(green.url, { compare: true })
  for (let n = 0; n < 3; n++) expect((await ask(proxy.port)).body).toBe('the same')
  await until('all have failed', async () => (await told(proxy)).failed === 3)
  expect(await told(proxy)).toMatchObject({ sent: 3, compared: 0 })
  expect(await metric(proxy, 'turnout_in_flight', 'pool="green"')).toBe(0)
})

test('an answer whose copy has failed is not looked at any longer: the kernel moves the rest of it', async () => {
  let more = () => {}
  const blue = await startUpstream((_, response) => {
    response.writeHead(200, { 'content-length': 4 * BIG.length }).write(BIG)
    more = () => void response.end(BIG.repeat(3))
  })
  const mirror = { pool: 'green', compare: true }
  const green = `http://127.0.0.1:${await closedPort()}`
  const shop = service({ blue: [blue.url], green: [green] }, { mirror })
  const proxy = await startProxy({ services: { shop } })
  const answer = ask(proxy.port)
  await until('the copy has failed', async () => (await told(proxy)).failed === 1)
  const before = await metric(proxy, 'turnout_spliced_bytes_total')
  more()
  expect((await answer).body.length).toBe(4 * BIG.length)
  expect((await metric(proxy, 'turnout_spliced_bytes_total')) - before).toBeGreaterThan(BIG.length)
})

test('a copy whose answer has no end is given up after 16 MiB, whether it is compared or not', async () => {
  const chunk = 'x'.repeat(1_000_000)
  let sent = 0
  const green = await startRaw((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    const pour = () => {
      while (!socket.destroyed && socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`)) sent += chunk.length
      sent += chunk.length
    }
    socket.on('drain', pour)
    pour()
  })
  for (const compare of [false, true]) {
    sent = 0
    const proxy = await startShop(green.url, { compare })
    const socket = net.connect(proxy.port, '127.0.0.1')
    socket.write('GET /slow HTTP/1.1\r\nHost: test\r\n\r\n')
    await until('it is given up', async () => (await told(proxy)).failed === 1)
    socket.resetAndDestroy()
    expect(sent).toBeGreaterThan(16_000_000)
    expect(sent).toBeLessThan(64_000_000)
    await settled(proxy)
  }
})

test('a copy that is much longer than what its client was given is given up at once, and differs', async () => {
  const green = await startRaw((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n${'x'.repeat(400_000)}`)
  })
  for (const compare of [false, true]) {
    const proxy = await startShop(green.url, { compare })
    expect((await ask(proxy.port)).body).toBe('the same')
    await settled(proxy)
    const { sent, failed, compared, differing } = await told(proxy)
    const expected = compare ? { failed: 0, compared: 1, body: 1 } : { failed: 1, compared: 0, body: 0 }
    expect({ sent, failed, compared, body: differing.body }).toEqual({ sent: 1, ...expected })
  }
})

test('a target that accepts nobody fails its copies', async () => {
  const proxy = await startShop(`http://127.0.0.1:${await closedPort()}`)
  for (let n = 0; n < 3; n++) expect((await ask(proxy.port)).body).toBe('the same')
  await until('all have failed', async () => (await told(proxy)).failed === 3)
})

test('a share is drawn, and neither what goes to that pool anyway nor a preview is copied', async () => {
  const green = await startNamed('green')
  const rules = [{ name: 'staff', when: { header: { 'x-staff': '1' } }, to: 'green' }]
  const proxy = await startShop(green.url, { share: 20 }, { rules, preview: '{pool}.test' })
  const load = startLoad(proxy.port, { connections: 8, next: (_, n) => (n < 125 ? { method: 'GET' } : null) })
  await until('all were sent', async () => load.outcomes.length === 1_000)
  await settled(proxy)
  const { sent } = await told(proxy)
  // Four standard deviations of 1,000 draws.
  expect(Math.abs(sent - 200)).toBeLessThan(51)
  await call(proxy, 'PATCH', '/v1/services/shop', { mirror: { share: 100 } })
  await ask(proxy.port, { headers: { 'x-staff': '1' } })
  await ask(proxy.port, { headers: { host: 'blue.test' } })
  await ask(proxy.port, { headers: { host: 'green.test' } })
  await settled(proxy)
  expect((await told(proxy)).sent).toBe(sent)
})

test('a client that goes away is compared with nothing, and a pool that gets copies is not removed', async () => {
  const green = await startUpstream(answers('green'))
  const proxy = await startShop(green.url, { compare: true })
  const client = net.connect(proxy.port, '127.0.0.1', () => client.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n'))
  await once(client, 'data')
  client.resetAndDestroy()
  await settled(proxy)
  await until('it is gone', async () => (await metric(proxy, 'turnout_in_flight', 'pool="blue"')) === 0)
  expect(await told(proxy)).toMatchObject({ sent: 1, failed: 0, compared: 0 })
  await expect(call(proxy, 'DELETE', '/v1/services/shop/pools/green')).rejects.toThrow(/requests are mirrored to it/)
  await expect(call(proxy, 'PATCH', '/v1/services/shop', { mirror: { pool: 'gren' } })).rejects.toThrow(/unknown pool/)
})

test('a copy that another Turnout has made is passed on with its mark, and not copied again', async () => {
  const marks: string[] = []
  const note =
    (pool: string): RequestListener =>
    (request, response) => {
      marks.push(`${pool} ${request.url} ${request.headers['x-turnout-mirror']}`)
      response.end(pool)
    }
  const [blue, green, outer] = await Promise.all([
    startUpstream(note('blue')),
    startUpstream(note('green')),
    startUpstream(note('outer')),
  ])
  const mirror = { pool: 'green' }
  const inner = await startProxy({
    trustedProxies: ['127.0.0.0/8'],
    services: { shop: service({ blue: [blue.url], green: [green.url] }, { mirror }) },
  })
  // In front of it another one, which copies to it.
  const front = await startProxy({ services: { shop: service({ blue: [outer.url], green: [inner.url] }, { mirror }) } })
  const copy = await ask(front.port, { path: '/copied', headers: { 'x-turnout-mirror': '1' } })
  expect(copy.body).toBe('outer')
  await until('the copy has arrived', () => marks.length === 2)
  const own = await ask(inner.port, { path: '/own' })
  expect(own.body).toBe('blue')
  await until('all have arrived', () => marks.length === 4)
  expect(marks.toSorted()).toEqual(['blue /copied 1', 'blue /own undefined', 'green /own 1', 'outer /copied undefined'])
})
