/**
 * A worker thread that dies or jams: a new one takes its place, the others serve on, nothing of it goes on being counted, and
 * changes are acknowledged as before. The worker is broken from within by the inspector, as a bug would break it.
 */
import { expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { metric, targetStatus } from '../helpers/admin.ts'
import { type Line, openLine } from '../helpers/load.ts'
import { call, service, startProcess, startProxy, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'
import { followWorkers } from '../helpers/worker-inspector.ts'

const DIE = 'process.exit(1)'
const JAM = 'for (;;) {}'

/** Connections to each of two workers: `lines[0]` are those of worker 0. The kernel spreads them, so it takes a few. */
async function linesByWorker(proxy: TestProxy, each: number): Promise<[Line[], Line[]]> {
  const lines: [Line[], Line[]] = [[], []]
  while (lines.some((some) => some.length < each)) {
    const before = await metric(proxy, 'turnout_client_connections', 'worker="0"')
    const line = await openLine(proxy.port)
    expect(await line?.ask({ method: 'GET', path: '/at-once' })).toMatchObject({ status: 200 })
    const after = await metric(proxy, 'turnout_client_connections', 'worker="0"')
    lines[after > before ? 0 : 1].push(line!)
  }
  return lines
}

/** Workers that were lost and replaced, by a part of the labels. */
const restarts = (proxy: TestProxy, labels = ''): Promise<number> =>
  metric(proxy, 'turnout_worker_restarts_total', labels)
const isReady = async (proxy: TestProxy): Promise<boolean> => (await fetch(proxy.admin + '/readyz')).ok
const lossEvents = async (proxy: TestProxy): Promise<string> => {
  const abort = new AbortController()
  const answer = await fetch(proxy.admin + '/v1/events', { headers: { 'last-event-id': '0' }, signal: abort.signal })
  const reader = answer.body!.getReader()
  let text = ''
  while (!text.includes('"worker"')) text += new TextDecoder().decode((await reader.read()).value)
  abort.abort()
  return text
}

test('a worker that dies takes only its own connections along, is replaced, and is no longer counted', async () => {
  const threads = followWorkers()
  const held: (() => void)[] = []
  const target = await startUpstream((request, response) => {
    if (request.url === '/at-once') response.end('ok')
    else held.push(() => response.end('held'))
  })
  const proxy = await startProxy({ workers: 2, services: { shop: service({ blue: [target.url] }) } })
  const [doomed, spared] = await linesByWorker(proxy, 3)
  const lost = doomed.map((line) => line.ask({ method: 'GET' }))
  const kept = spared.map((line) => line.ask({ method: 'GET' }))
  await until('all are under way', () => held.length === lost.length + kept.length)
  expect((await targetStatus(proxy, 'shop', target.url)).inFlight).toBe(held.length)

  threads.run(0, DIE)
  expect(await Promise.all(lost)).toEqual(lost.map(() => null))
  await until('it is not counted', async () => {
    return (await targetStatus(proxy, 'shop', target.url)).inFlight === kept.length
  })
  await until('it is replaced', async () => threads.seen(0) === 2 && (await isReady(proxy)))
  for (const answer of held) answer()
  for (const answer of await Promise.all(kept)) expect(answer).toMatchObject({ status: 200, body: 'held' })
  expect(await metric(proxy, 'turnout_in_flight')).toBe(0)
  expect(await metric(proxy, 'turnout_client_connections', 'worker="0"')).toBe(0)

  const [young, old] = await linesByWorker(proxy, 2)
  for (const line of [...young, ...old, ...spared]) {
    expect(await line.ask({ method: 'GET', path: '/at-once' })).toMatchObject({ status: 200 })
    line.close()
  }
  expect(await lossEvents(proxy)).toContain('worker 0')
})

test('changes before, during and after the loss of a worker are acknowledged, and the new one routes by them', async () => {
  const threads = followWorkers()
  const blue = await startNamed('blue')
  const green = await startNamed('green')
  const pools = { blue: [blue.url], green: [green.url] }
  const proxy = await startProxy({ workers: 2, services: { shop: service(pools) } })
  const to = (pool: string) => call(proxy, 'POST', '/v1/services/shop/switch', { to: pool })
  await to('green')
  threads.run(0, DIE)
  // Whatever moment of the loss each of these meets, all are answered.
  for (let i = 0; i < 20; i++) await to(i % 2 ? 'green' : 'blue')
  await until('it is replaced', async () => threads.seen(0) === 2 && (await isReady(proxy)))
  const lines = (await linesByWorker(proxy, 2)).flat()
  for (const pool of ['blue', 'green']) {
    await to(pool)
    for (const line of lines) expect(await line.ask({ method: 'GET' })).toMatchObject({ body: pool })
  }
  for (const line of lines) line.close()
})

test('a worker that fails again and again is started again each time', async () => {
  const threads = followWorkers()
  const blue = await startNamed('blue')
  const proxy = await startProxy({ workers: 2, services: { shop: service({ blue: [blue.url] }) } })
  for (let times = 1; times <= 3; times++) {
    threads.run(1, `setImmediate(() => { throw new Error('broken ${times}') })`)
    await until('it is replaced', async () => threads.seen(1) === times + 1 && (await isReady(proxy)))
  }
  const lines = (await linesByWorker(proxy, 1)).flat()
  for (const line of lines) line.close()
  expect(await lossEvents(proxy)).toContain('broken 1')
  expect(await restarts(proxy, 'worker="1",reason="crash"')).toBe(3)
  expect(await restarts(proxy)).toBe(3)
})

test('a worker that jams holds up a change only until it is replaced, and nobody is served by it afterwards', async () => {
  const threads = followWorkers()
  const blue = await startNamed('blue')
  const green = await startNamed('green')
  const pools = { blue: [blue.url], green: [green.url] }
  const proxy = await startProxy({ workers: 2, services: { shop: service(pools) } })
  const [jammed, free] = await linesByWorker(proxy, 2)
  threads.run(0, JAM)
  const stuck = jammed.map((line) => line.ask({ method: 'GET' }))
  const change = call<{ appliedInMs: number }>(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  let answered = false
  void change.then(() => {
    answered = true
  })
  // The other worker serves on meanwhile, by the old table: nothing is half applied.
  for (let i = 0; i < 20; i++) {
    const answer = await free[0].ask({ method: 'GET' })
    if (!answered) expect(answer).toMatchObject({ body: 'blue' })
  }
  await change
  for (const line of free) expect(await line.ask({ method: 'GET' })).toMatchObject({ body: 'green' })
  expect(await Promise.all(stuck)).toEqual(stuck.map(() => null))
  await until('it is replaced', async () => threads.seen(0) === 2 && (await isReady(proxy)))
  for (const line of (await linesByWorker(proxy, 2)).flat()) {
    expect(await line.ask({ method: 'GET' })).toMatchObject({ body: 'green' })
    line.close()
  }
  for (const line of free) line.close()
})

test('a worker that jams is replaced even when nothing is changed, and the connections of the other never notice', async () => {
  const threads = followWorkers()
  const blue = await startNamed('blue')
  const proxy = await startProxy({ workers: 2, services: { shop: service({ blue: [blue.url] }) } })
  const [jammed, free] = await linesByWorker(proxy, 4)
  let over = false
  const served = free.map(async (line) => {
    let count = 0
    for (; !over; count++) expect(await line.ask({ method: 'GET' })).toMatchObject({ status: 200, body: 'blue' })
    return count
  })
  threads.run(0, JAM)
  expect(await jammed[0].ask({ method: 'GET' })).toBe(null)
  await until('it is replaced', async () => threads.seen(0) === 2 && (await isReady(proxy)))
  over = true
  for (const count of await Promise.all(served)) expect(count).toBeGreaterThan(0)
  for (const line of [...free, ...(await linesByWorker(proxy, 1)).flat()]) {
    expect(await line.ask({ method: 'GET' })).toMatchObject({ status: 200 })
    line.close()
  }
  expect(await restarts(proxy)).toBe(1)
  expect(await restarts(proxy, 'worker="0",reason="loop"')).toBe(1)
})

test('the only worker is lost amid a stream of switches: all are answered, and its successor routes by the last', async () => {
  const threads = followWorkers()
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const pools = { blue: [blue.url], green: [green.url] }
  const proxy = await startProxy({ workers: 1, services: { shop: service(pools) } })
  for (const code of [DIE, JAM, DIE]) {
    const seen = threads.seen(0)
    threads.run(0, code)
    let last = ''
    for (let i = 0; i < 20 || threads.seen(0) === seen; i++) {
      last = i % 2 ? 'green' : 'blue'
      await call(proxy, 'POST', '/v1/services/shop/switch', { to: last })
    }
    await until('it is replaced', () => isReady(proxy))
    const line = await openLine(proxy.port)
    expect(await line?.ask({ method: 'GET' })).toMatchObject({ body: last })
    line?.close()
  }
  expect(await restarts(proxy)).toBe(3)
})

test('a process that was stopped for a while, as a paused container is, goes on with the workers it has', async () => {
  const blue = await startNamed('blue')
  const proxy = await startProcess({ workers: 2, services: { shop: service({ blue: [blue.url] }) } }, temporaryFolder())
  const lines = (await linesByWorker(proxy, 2)).flat()
  const stoppedAtMs = systemClock.monotonicMs()
  proxy.child.kill('SIGSTOP')
  // Longer than any worker may be silent.
  await until('it is long', () => systemClock.monotonicMs() - stoppedAtMs > 4_000)
  proxy.child.kill('SIGCONT')
  for (let i = 0; i < 20; i++) {
    for (const line of lines) expect(await line.ask({ method: 'GET' })).toMatchObject({ status: 200, body: 'blue' })
  }
  for (const line of lines) line.close()
  expect(await restarts(proxy)).toBe(0)
})
