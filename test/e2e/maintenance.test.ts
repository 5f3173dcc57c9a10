/** A service in maintenance, in whole processes with real sockets. */
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { ask, oneConnection } from '../helpers/ask.ts'
import { WORKERS } from '../helpers/bulk.ts'
import {
  askAdmin,
  call,
  service,
  startProcess,
  startProxy,
  type Proxy as TestProxy,
  temporaryFolder,
} from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { startNamed, startRaw } from '../helpers/upstream.ts'

const turn = (proxy: TestProxy, on: boolean) => call(proxy, 'PUT', '/v1/services/shop/maintenance', { on })
const PAGE = `<h1>Später</h1>${'x'.repeat(20_000)}`
const octets = Buffer.from(PAGE).toString('latin1')
const staff = { 'x-staff': '1' }

test('visitors get the page in place of a pool, staff, previews and other services go on, and off serves all again', async () => {
  const [blue, other] = [await startNamed('blue'), await startNamed('other')]
  const maintenance = { status: 530, body: PAGE, retryAfter: '90s', allow: { header: { 'x-staff': '1' } } }
  const proxy = await startProxy({
    workers: WORKERS,
    services: {
      shop: service({ blue: [blue.url] }, { maintenance, preview: '{pool}.shop.test' }),
      api: { ...service({ blue: [other.url] }), routes: [{ host: 'api', path: '/' }] },
    },
  })
  const bodyOf = async (headers: Record<string, string> = {}) => (await ask(proxy.port, { headers })).body
  expect(await bodyOf()).toBe('blue')
  await turn(proxy, true)
  const agent = oneConnection()
  for (let n = 0; n < 3; n++) {
    const { status, headers, body } = await ask(proxy.port, { agent })
    expect([
      status,
      headers['retry-after'],
      headers['cache-control'],
      headers['x-turnout-error'],
      body === octets,
    ]).toEqual([530, '90', 'no-store', 'maintenance', true])
    expect(headers['content-type']).toBe('text/html; charset=utf-8')
  }
  const head = await rawRequest(proxy.port, 'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  expect([head.text.includes(`Content-Length: ${octets.length}`), head.text.endsWith('\r\n\r\n')]).toEqual([true, true])
  const json = await ask(proxy.port, { headers: { accept: 'application/json' } })
  expect([json.status, JSON.parse(json.body)]).toMatchObject([530, { status: 530, code: 'maintenance' }])
  expect([await bodyOf(staff), await bodyOf({ host: 'blue.shop.test' }), await bodyOf({ host: 'api' })]).toEqual([
    'blue',
    'blue',
    'other',
  ])
  const explained = await call<{ error: string; why: string }>(proxy, 'POST', '/v1/explain', { url: '/' })
  expect([explained.error, explained.why]).toEqual([
    'maintenance',
    'shop is in maintenance; its page answers the request',
  ])
  const status = await call<{ maintenance: { sinceMs: number; answered: number } }>(
    proxy,
    'GET',
    '/v1/services/shop/status',
  )
  expect([status.maintenance.answered, Date.now() - status.maintenance.sinceMs < 60_000]).toEqual([5, true])
  expect(await metric(proxy, 'turnout_maintenance', 'shop')).toBe(1)
  expect(await metric(proxy, 'turnout_maintenance_answers_total', 'shop')).toBe(5)
  expect(await metric(proxy, 'turnout_rejected_total', 'maintenance')).toBe(5)
  expect(await metric(proxy, 'turnout_requests_total', 'shop')).toBe(3)
  await turn(proxy, false)
  expect(await bodyOf()).toBe('blue')
})

test('a body that was not read, an expectation and an upgrade end with the page as with every answer of our own', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProxy({ services: { shop: service({ blue: [blue.url] }) } })
  await turn(proxy, true)
  const whole = await rawRequest(
    proxy.port,
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  )
  expect(whole.text.split('HTTP/1.1 503 Service Unavailable').length).toBe(3)
  const unread = await rawRequest(
    proxy.port,
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n${'x'.repeat(100_000)}`,
  )
  expect([unread.text.includes('Connection: close'), unread.text.endsWith('</html>\n'), unread.end]).toEqual([
    true,
    true,
    'closed',
  ])
  const expecting = await rawRequest(
    proxy.port,
    'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n',
    {
      end: true,
    },
  )
  expect(expecting.text.startsWith('HTTP/1.1 503')).toBe(true)
  const upgrade = await rawRequest(
    proxy.port,
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    { until: (text) => text.endsWith('</html>\n') },
  )
  expect(upgrade.text).toMatch(/^HTTP\/1.1 503 [\s\S]*Retry-After: 120\r\n/)
  expect((await askAdmin(proxy, 'PUT', '/v1/services/none/maintenance', '{"on":true}')).status).toBe(404)
  expect((await askAdmin(proxy, 'PUT', '/v1/services/shop/maintenance', '{"on":1}')).status).toBe(422)
})

test('switched under load each answer is a whole one of either kind, and of the right one from the answer of the call on', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProxy({
    workers: WORKERS,
    services: { shop: service({ blue: [blue.url] }, { maintenance: { body: 'closed' } }) },
  })
  let isEnded = false
  const seen = new Set<string>()
  const load = Array.from({ length: 8 }, async () => {
    while (!isEnded) seen.add((await ask(proxy.port)).body)
  })
  for (let n = 0; n < 20; n++) {
    await turn(proxy, n % 2 === 0)
    expect((await ask(proxy.port)).body).toBe(n % 2 === 0 ? 'closed' : 'blue')
  }
  isEnded = true
  await Promise.all(load)
  expect([...seen].sort()).toEqual(['blue', 'closed'])
})

test('the page of a file is watched, what cannot be used leaves the one before in use, and a restart keeps it on', async () => {
  const blue = await startNamed('blue')
  const folder = temporaryFolder()
  const write = (text: string) => {
    writeFileSync(join(folder, 'new'), text)
    renameSync(join(folder, 'new'), join(folder, 'page.txt'))
  }
  write('first')
  const maintenance = { file: 'page.txt', contentType: 'text/plain' }
  const config = {
    store: `sqlite:${folder}/turnout.db`,
    services: { shop: service({ blue: [blue.url] }, { maintenance }) },
  }
  const proxy = await startProcess(config, folder)
  await turn(proxy, true)
  const bodyOf = async (of: TestProxy) => (await ask(of.port)).body
  expect(await bodyOf(proxy)).toBe('first')
  write('second')
  await until('it is read again', async () => (await bodyOf(proxy)) === 'second')
  rmSync(join(folder, 'page.txt'))
  const faultOf = async () =>
    (await call<{ lookups: { fault: string }[] }>(proxy, 'GET', '/v1/status')).lookups[0].fault
  await until('it is missed', async () => (await faultOf()) === 'cannot be read: there is no such file')
  write('x'.repeat(300_000))
  await until('it is refused', async () => (await faultOf()) === 'has more than 262144 bytes')
  expect(await bodyOf(proxy)).toBe('second')
  const line = proxy
    .stdout()
    .split('\n')
    .find((text) => text.includes('"error":"maintenance"'))
  expect(JSON.parse(line!)).toMatchObject({ service: 'shop', pool: null, status: 503, attempt: null })
  // No other file is read, whoever asks for it.
  const patched = await askAdmin(proxy, 'PATCH', '/v1/services/shop', '{"maintenance":{"file":"/etc/passwd"}}')
  expect([patched.status, JSON.parse(patched.text).errors[0].pointer]).toEqual([422, '/maintenance/file'])
  await proxy.close()
  write('third')
  const again = await startProcess(config, folder)
  expect(await bodyOf(again)).toBe('third')
  await turn(again, false)
  expect(await bodyOf(again)).toBe('blue')
})

test('a request that lost its target while it was let in goes on, though it was held since and the service is in maintenance', async () => {
  const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  let cut: (() => void) | null = null
  const answer = (socket: Socket, text: string) => {
    if (cut === null && text.includes('GET /lost')) cut = () => socket.destroy()
    else socket.write(OK)
  }
  const [a, b] = [await startRaw(answer), await startRaw(answer)]
  const proxy = await startProxy({ services: { shop: service({ blue: [a.url, b.url] }) } })
  // Either has a kept connection by then.
  await until('both are warm', async () => {
    await ask(proxy.port)
    return a.connections() > 0 && b.connections() > 0
  })
  const lost = ask(proxy.port, { path: '/lost' })
  await until('it is there', () => cut !== null)
  await call(proxy, 'POST', '/v1/services/shop/hold', { for: '60s' })
  cut!()
  const waiting = async () =>
    (await call<{ held: { waiting: number } }>(proxy, 'GET', '/v1/services/shop/status')).held.waiting
  await until('it is held', async () => (await waiting()) === 1)
  await turn(proxy, true)
  await call(proxy, 'POST', '/v1/services/shop/release', {})
  expect((await lost).body).toBe('ok')
  expect((await ask(proxy.port)).headers['x-turnout-error']).toBe('maintenance')
})
