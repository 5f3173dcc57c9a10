/**
 * The end of the process: SIGTERM finishes what is under way and closes politely, a deadline ends what does not end, a second
 * signal ends everything at once. And the start that fails: an address that is taken is named, with exit code 1.
 */
import { once } from 'node:events'
import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { bulk } from '../helpers/bulk.ts'
import { failToStart } from '../helpers/failed-start.ts'
import { startLoad } from '../helpers/load.ts'
import { call, service, startProcess, temporaryFolder } from '../helpers/proxy.ts'
import { rawRequest, until } from '../helpers/raw.ts'
import { startNamed, startRaw, startUpstream } from '../helpers/upstream.ts'

const shop = (url: string) => ({ services: { shop: service({ blue: [url] }) } })

test.each(['SIGTERM', 'SIGINT'] as const)('%s under load fails no request, and the exit code is 0', async (signal) => {
  const blue = await startNamed('blue')
  const proxy = await startProcess({ workers: 2, ...shop(blue.url) }, temporaryFolder())
  // Events are watched too: a stream that never ends by itself must not hold the process.
  const events = await fetch(proxy.admin + '/v1/events')
  const load = startLoad(proxy.port, { endsWithProxy: true })
  await until('the load runs', () => load.outcomes.length > bulk(300, 1_000))
  proxy.child.kill(signal)
  expect(await proxy.exited()).toBe(0)
  const outcomes = await load.stop()
  expect(outcomes.filter(({ status }) => status !== 200)).toEqual([])
  // Every connection was told so by its last answer, and by no other.
  const closing = outcomes.filter(({ head }) => head.includes('Connection: close\r\n'))
  expect(new Set(closing.map(({ connection }) => connection)).size).toBe(32)
  expect(closing).toHaveLength(32)
  await events.text().catch(() => {})
})

test('a request under way is finished, its answer closes the connection, and nobody new is let in', async () => {
  const held: (() => void)[] = []
  const target = await startUpstream((_, response) => held.push(() => response.end('finished')))
  const folder = temporaryFolder()
  const proxy = await startProcess({ ...shop(target.url), timeouts: { shutdown: '20s' } }, folder)
  const load = startLoad(proxy.port, { connections: 1, endsWithProxy: true })
  await until('it is under way', () => held.length === 1)
  proxy.child.kill('SIGTERM')
  await until('it is draining', async () => (await fetch(proxy.admin + '/readyz')).status === 503)
  expect((await fetch(proxy.admin + '/healthz')).status).toBe(200)
  await until('nobody is let in', async () => (await rawRequest(proxy.port, 'GET / HTTP/1.1\r\n')).end === 'reset')
  expect(load.outcomes).toHaveLength(0)
  held[0]()
  expect(await proxy.exited()).toBe(0)
  expect(await load.stop()).toMatchObject([{ status: 200, body: 'finished' }])
  expect(load.outcomes[0].head).toContain('Connection: close\r\n')
  const lines = proxy
    .stdout()
    .split('\n')
    .filter((line) => line.includes('"path":"/"'))
  expect(lines).toHaveLength(1)
  expect(JSON.parse(lines[0])).toMatchObject({ status: 200, service: 'shop' })
})

test('a connection that idles is closed, and one that was just served is too', async () => {
  const held: (() => void)[] = []
  const target = await startUpstream((request, response) => {
    if (request.url !== '/held') return response.end('ok')
    // The head is on its way as keep-alive before the end is near.
    response.writeHead(200, { 'content-length': 4 }).flushHeaders()
    held.push(() => response.end('late'))
    return
  })
  const proxy = await startProcess({ ...shop(target.url), timeouts: { shutdown: '20s' } }, temporaryFolder())
  const idle = rawRequest(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { limitMs: 20_000 })
  const served = rawRequest(proxy.port, 'GET /held HTTP/1.1\r\nHost: a\r\n\r\n', { limitMs: 20_000 })
  await until('it is under way', () => held.length === 1)
  proxy.child.kill('SIGTERM')
  expect((await idle).end).toBe('closed')
  held[0]()
  expect((await served).text).toMatch(/late$/)
  expect((await served).end).toBe('closed')
  // Well before the deadline: nothing is left to wait for.
  expect(await proxy.exited()).toBe(0)
})

/** The last event about the end of a process. */
async function told(proxy: { readonly admin: string }): Promise<{ message: string; data: Record<string, unknown> }> {
  const answer = await fetch(`${proxy.admin}/v1/events?type=shutdown`, { headers: { 'last-event-id': '0' } })
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (!text.includes('"shutdown"') || !text.endsWith('\n\n')) text += (await reader.read()).value
  await reader.cancel()
  const lines = text.split('\n').filter((line) => line.startsWith('data: '))
  return JSON.parse(lines.at(-1)!.slice(6))
}

const UPGRADE = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n'
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n'

test('tunnels and requests that do not end are closed at the deadline, with exit code 0, and the restart tells how many', async () => {
  const target = await startRaw((socket, text) => {
    if (text.includes('Upgrade: echo') && text.endsWith('\r\n\r\n')) socket.write(SWITCH)
  })
  const folder = temporaryFolder()
  const capacity = { requestsPerPool: 1, queue: { for: '1m' } }
  const services = { shop: service({ blue: [target.url] }, { capacity }) }
  const config = { services, workers: 2, store: 'sqlite:./turnout.db', timeouts: { shutdown: '1s' } }
  const proxy = await startProcess(config, folder)
  const limitMs = 20_000
  const tunnel = rawRequest(proxy.port, UPGRADE, { limitMs })
  await until('the tunnel is there', () => target.connections() === 1)
  const hanging = rawRequest(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { limitMs })
  await until('both are there', () => target.connections() === 2)
  await call(proxy, 'POST', '/v1/services/shop/hold', { for: '1m', only: 'writes' })
  const refused = rawRequest(proxy.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', { limitMs })
  await until('one is held', async () => {
    const { held } = await call<{ held: { waiting: number } }>(proxy, 'GET', '/v1/services/shop/status')
    return held.waiting === 1
  })
  const queued = rawRequest(proxy.port, 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', { limitMs })
  await until('one waits for room', async () => {
    const { pools } = await call<{ pools: { queue: { depth: number } }[] }>(proxy, 'GET', '/v1/services/shop/status')
    return pools[0].queue.depth === 1
  })
  proxy.child.kill('SIGTERM')
  expect(await proxy.exited()).toBe(0)
  expect((await tunnel).text).toMatch(/^HTTP\/1.1 101 /)
  expect((await tunnel).end).not.toBe('open')
  expect(await hanging).toMatchObject({ text: '' })
  expect((await hanging).end).not.toBe('open')
  for (const { text } of [await refused, await queued]) {
    expect(text).toMatch(/^HTTP\/1.1 503 /)
    expect(text).toContain('\r\nConnection: close\r\n')
  }
  const logged = proxy
    .stdout()
    .split('\n')
    .filter((line) => line.includes('"error":'))
  const ends = logged.map((line) => JSON.parse(line) as { method: string; status: number; error: string })
  expect(ends.map(({ method, status, error }) => `${method} ${status} ${error}`).toSorted()).toEqual([
    'GET 101 drain_ended',
    'GET 499 drain_ended',
    'HEAD 503 overloaded',
    'POST 503 held',
  ])
  const { message, data } = await told(await startProcess(config, folder))
  expect(message).toBe(
    `process ${proxy.child.pid} has ended: 1 request cut, 1 tunnel cut, 2 waiting requests refused (shop): not over within 1 s (timeouts.shutdown)`,
  )
  const shopCut = { requests: 1, tunnels: 1, refused: 2 }
  expect(data).toMatchObject({ ...shopCut, silent: 0, services: ['shop'], byService: { shop: shopCut } })
})

test('who has sent half a head by then is cut, and counted', async () => {
  const folder = temporaryFolder()
  const more = { timeouts: { shutdown: '1s' }, store: 'sqlite:./turnout.db' }
  const config = { ...shop((await startNamed('blue')).url), ...more }
  const proxy = await startProcess(config, folder)
  const client = net.connect(proxy.port, '127.0.0.1')
  client.on('error', () => {})
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /half HTTP/1.1\r\nHo')
  await once(client, 'data')
  proxy.child.kill('SIGTERM')
  expect(await proxy.exited()).toBe(0)
  expect(await told(await startProcess(config, folder))).toMatchObject({ data: { requests: 1, services: [] } })
})

test('an end that cuts nothing says so, and kill -9 has nothing to say', async () => {
  const folder = temporaryFolder()
  const config = { ...shop((await startNamed('blue')).url), store: 'sqlite:./turnout.db' }
  const first = await startProcess(config, folder)
  await first.close()
  const second = await startProcess(config, folder)
  expect(await told(second)).toMatchObject({ message: `process ${first.child.pid} has ended: nothing was cut` })
  second.child.kill('SIGKILL')
  await second.exited()
  expect(await told(await startProcess(config, folder))).toMatchObject({ data: { pid: first.child.pid } })
})

test('a second signal ends it at once', async () => {
  const target = await startRaw(() => {})
  const proxy = await startProcess({ ...shop(target.url), timeouts: { shutdown: '1h' } }, temporaryFolder())
  const hanging = rawRequest(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { limitMs: 20_000 })
  await until('it hangs', () => target.connections() === 1)
  proxy.child.kill('SIGTERM')
  await until('it is finishing', () => proxy.output().includes('finishing what is under way'))
  // Two in quick succession count as one: npm passes on what the terminal has sent already.
  await until('it has ended', () => {
    proxy.child.kill('SIGTERM')
    return proxy.child.exitCode !== null
  })
  expect(await proxy.exited()).toBe(1)
  expect((await hanging).end).not.toBe('open')
})

/** A port that somebody listens on. */
async function takenPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
  })
  return (server.address() as net.AddressInfo).port
}

test.each([1, 2])('with %i worker(s) a listener on a taken port is named, and the exit code is 1', async (workers) => {
  const address = `127.0.0.1:${await takenPort()}`
  const { code, output } = await failToStart({ workers, listeners: [{ address }] }, temporaryFolder())
  expect(code).toBe(1)
  expect(output).toContain(`${address} is taken: another process listens there`)
  expect(output).not.toContain('    at ')
})

test('an admin address on a taken port is named, and the exit code is 1', async () => {
  const address = `127.0.0.1:${await takenPort()}`
  const { code, output } = await failToStart({ admin: { address } }, temporaryFolder())
  expect(code).toBe(1)
  expect(output).toContain(`${address} is taken: another process listens there`)
  expect(output).not.toContain('    at ')
})
