/** Another process takes the place of the one that runs: under load, with other numbers of workers, with a rollout under way, and when it cannot. */
import { spawn } from 'node:child_process'
import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { stringify } from 'yaml'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { MAIN } from '../helpers/built.ts'
import { http } from '../helpers/http.ts'
import { ask, PACE_MS, startLoad } from '../helpers/load.ts'
import { lock } from '../helpers/lock.ts'
import {
  askAdmin,
  call,
  type ProxyProcess,
  service,
  startProcess,
  temporaryFolder,
  testConfig,
} from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { closedPort, startNamed, startUpstream } from '../helpers/upstream.ts'

interface Done {
  readonly pid: number
  readonly from: { readonly pid: number }
  readonly listeners: readonly string[]
  readonly held: object | null
}
interface Status {
  readonly pid: number
  readonly workers: { readonly count: number }
}

/** A process that can be upgraded, with fixed ports, so that a changed config still names the same addresses. */
async function start(more: Record<string, unknown> = {}, services?: Record<string, unknown>) {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const shop = service({ blue: [blue.url], green: [green.url] }, { debugHeaders: true })
  const folder = temporaryFolder()
  const base = { store: 'sqlite:./turnout.db', log: { level: 'info', access: false }, services: services ?? { shop } }
  const proxy = await startProcess({ ...base, ...more }, folder)
  const pids: number[] = []
  onTestFinished(() => {
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended.
      }
    }
  })
  return {
    proxy,
    folder,
    pids,
    services: base.services,
    write: (changes: object) =>
      writeFileSync(join(folder, 'turnout.yaml'), stringify(testConfig({ ...base, ...more, ...changes }))),
    async upgrade(): Promise<Done> {
      const done = await call<Done>(proxy, 'POST', '/v1/upgrade')
      pids.push(done.pid)
      return done
    },
  }
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** What was told of ends of processes, oldest first. */
async function ends(proxy: ProxyProcess): Promise<readonly string[]> {
  const path = '/v1/events?follow=false&type=shutdown'
  const { events } = await call<{ events: { message: string }[] }>(proxy, 'GET', path)
  return events.map(({ message }) => message)
}

/** Requests without a pause on connections that are kept, and on one for each. */
function load(proxy: ProxyProcess) {
  const pauseMs = () => PACE_MS
  const kept = startLoad(proxy.port, { connections: 8, pauseMs })
  const single = startLoad(proxy.port, {
    connections: 8,
    pauseMs,
    next: () => ({ method: 'GET', headers: { Connection: 'close' } }),
  })
  return async () => {
    const outcomes = [...(await kept.stop()), ...(await single.stop())]
    return { count: outcomes.length, failed: outcomes.filter(({ status }) => status !== 200) }
  }
}

test('under load, from two workers to one and back to two, with a listener that comes and goes, no request is lost, and what was changed is there', {
  timeout: 90_000,
}, async () => {
  const { proxy, upgrade, write } = await start({ workers: 2 })
  const first = proxy.child.pid!
  const stop = load(proxy)
  const pids = [first]
  const port = await closedPort()
  for (const workers of [1, 2]) {
    const more = workers === 1 ? [`127.0.0.1:${port}`] : []
    write({ workers, listeners: ['127.0.0.1:0', ...more].map((address) => ({ address })) })
    await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: workers, green: 3 } })
    const done = await upgrade()
    expect(done).toMatchObject({ from: { pid: pids.at(-1) } })
    expect(done.listeners).toEqual([proxy.url, ...more.map((address) => `http://${address}`)])
    const isThere = async () => (await ask(port, { method: 'GET' })).status === 200
    if (more.length > 0) expect(await isThere()).toBe(true)
    else await until('the process before has let go of its listener', async () => !(await isThere()))
    pids.push(done.pid)
    expect(await call<Status>(proxy, 'GET', '/v1/status')).toMatchObject({ pid: done.pid, workers: { count: workers } })
    const { spec } = await call<{ spec: object }>(proxy, 'GET', '/v1/services/shop')
    expect(spec).toMatchObject({ split: { blue: workers, green: 3 } })
  }
  const { count, failed } = await stop()
  expect(failed).toEqual([])
  expect(count).toBeGreaterThan(100)
  const { events } = await call<{ events: { type: string; message: string }[] }>(
    proxy,
    'GET',
    '/v1/events?follow=false',
  )
  // What the processes before have told is still there.
  expect(events.filter(({ type }) => type === 'upgrade').map(({ message }) => message)).toEqual([
    expect.stringMatching(`process ${pids[1]} .* has taken the place of process ${pids[0]} `),
    expect.stringMatching(`process ${pids[2]} .* has taken the place of process ${pids[1]} `),
  ])
  // The second one is over; the first is still there for who started it, and ends with the last.
  await until('the second has ended', () => !isAlive(pids[1]))
  expect(isAlive(first)).toBe(true)
  await proxy.close()
  expect(await proxy.exited()).toBe(0)
  await until('the last has ended', () => !isAlive(pids[2]))
})

test('a new one that cannot start is told with its reason, and changes nothing', async () => {
  const { proxy, services, upgrade, write } = await start()
  const more = service({ blue: ['http://127.0.0.1:1'] }, { routes: [{ host: 'more', path: '/' }] })
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void taken.close())
  const { port } = taken.address() as { port: number }
  const stop = load(proxy)
  const faults: [object, RegExp][] = [
    [
      {
        listeners: [{ address: '127.0.0.1:0' }, { address: `127.0.0.1:${port}` }],
        services: { ...services, more },
      },
      /is taken: another process listens/,
    ],
    [{ admin: { address: `127.0.0.1:${port}` } }, /is taken: another process listens/],
    [{ store: 'sqlite:./other.db' }, /another store.*restart to change it/],
    [
      { services: { shop: service({ blue: ['http://127.0.0.1:1'] }, { rules: [{ name: 'x', when: {}, to: 'no' }] }) } },
      /upgrade_failed/,
    ],
  ]
  for (const [changes, reason] of faults) {
    write(changes)
    await expect(call(proxy, 'POST', '/v1/upgrade')).rejects.toThrow(reason)
    expect(await call<Status>(proxy, 'GET', '/v1/status')).toMatchObject({ pid: proxy.child.pid })
    expect((await askAdmin(proxy, 'GET', '/v1/services/more')).status).toBe(404)
    await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 1, green: 0 } })
  }
  expect((await stop()).failed).toEqual([])
  // As soon as the file is right, it can, and what else the file says comes with it.
  write({ services: { ...services, more } })
  expect(await upgrade()).toMatchObject({ from: { pid: proxy.child.pid } })
  expect((await askAdmin(proxy, 'GET', '/v1/services/more')).status).toBe(200)
})

/** A program that says this to the process that has started it, and then what it answers to `yours`. */
const saying = (first: readonly object[], answer: object) => `
  process.on('message', () => process.send(${JSON.stringify(answer)}))
  for (const message of ${JSON.stringify(first)}) process.send(message)
`

test('a new version that breaks once everything was handed over is ended, and what was handed over is taken back; by a link another version is tried', {
  timeout: 120_000,
}, async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const [folder, versions] = [temporaryFolder(), temporaryFolder()]
  const link = join(versions, 'main.js')
  symlinkSync(MAIN, link)
  const services = {
    shop: service({ blue: [blue.url], green: [green.url] }),
    api: service({ blue: [blue.url] }, { routes: [{ host: 'api', path: '/' }] }),
  }
  const proxy = await startProcess({ store: 'sqlite:./turnout.db', services }, folder, [], {}, link)
  const path = '/v1/services/shop/rollouts'
  await call(proxy, 'POST', path, { to: 'green', steps: [{ weight: 50, for: '1h' }], advance: 'time' })
  const current = () => call<ToldRollout>(proxy, 'GET', `${path}/current`)
  await until('it has its share', async () => (await current()).weight === 50)
  const stop = load(proxy)
  const of = (protocol: number, ...types: string[]) => types.map((type) => ({ protocol, type }))
  rmSync(link)
  for (const [program, reason] of [
    [
      saying(of(1, 'built', 'probed', 'asks'), { protocol: 1, type: 'failed', message: 'out of luck' }),
      /500.*says: out of luck/,
    ],
    [saying(of(1, 'built', 'probed', 'asks'), { protocol: 1, type: 'tada' }), /500.*does not understand/],
    [saying(of(2, 'built'), {}), /500.*does not understand/],
    ['process.exit(7)', /500.*has ended with exit code 7/],
  ] as const) {
    writeFileSync(link, program)
    await expect(call(proxy, 'POST', '/v1/upgrade')).rejects.toThrow(reason)
    expect(await current()).toMatchObject({ weight: 50, runsElsewhere: false })
    await call(proxy, 'PUT', '/v1/services/api/rules', [])
  }
  expect(await call(proxy, 'POST', `${path}/current/pause`)).toMatchObject({ state: 'paused' })
  rmSync(link)
  symlinkSync(MAIN, link)
  const { pid } = await call<Done>(proxy, 'POST', '/v1/upgrade')
  onTestFinished(() => {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  })
  expect(await current()).toMatchObject({ state: 'paused', weight: 50, runsElsewhere: false })
  expect((await stop()).failed).toEqual([])
})

test('an upgrade by the command line prints what serves now, or why not, with its exit code', async () => {
  const { proxy, pids, write } = await start()
  const cli = (...args: string[]) =>
    new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
      const child = spawn(process.execPath, [MAIN, 'upgrade', '--admin', proxy.admin, ...args])
      let [out, err] = ['', '']
      child.stdout.on('data', (bytes) => (out += bytes))
      child.stderr.on('data', (bytes) => (err += bytes))
      child.once('close', (code) => resolve({ code, out, err }))
    })
  write({ workers: 0 })
  expect(await cli()).toMatchObject({ code: 1, out: '', err: /The new process, \d+, says: .*workers/ })
  write({})
  const { code, out } = await cli('--json', '--timeout', '30s')
  const done = JSON.parse(out) as Done
  pids.push(done.pid)
  expect(code).toBe(0)
  expect(done.held).toBeNull()
  const last = await fetch(`${proxy.admin}/v1/upgrade`, { method: 'POST' })
  pids.push(((await last.json()) as Done).pid)
  // The next call on a kept connection would meet the process that ends.
  expect(last.headers.get('connection')).toBe('close')
  const again = await cli()
  expect(again).toMatchObject({
    code: 0,
    out: expect.stringMatching(`^process \\d+ .* serves .*process ${pids.at(-1)} .* finishes`),
  })
  pids.push(Number(/^process (\d+)/.exec(again.out)![1]))
  await call(proxy, 'POST', '/v1/services/shop/hold', { for: '10m' })
  const held = [ask(proxy.port, { method: 'GET' }), ask(proxy.port, { method: 'GET' })]
  await until('they are held', async () =>
    (await askAdmin(proxy, 'GET', '/metrics')).text.includes('turnout_held{service="shop"} 2'),
  )
  const { out: told } = await cli()
  pids.push(Number(/^process (\d+)/.exec(told)![1]))
  expect(told).toMatch(
    / finishes what is under way\n2 requests that are held there are refused in 30 s.*, unless released before\n$/,
  )
  await call(proxy, 'POST', '/v1/services/shop/release')
  expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200])
})

test('SIGUSR2 is an upgrade too, and goes to the one that serves; a rollout goes on where it was', {
  timeout: 120_000,
}, async () => {
  const { proxy, pids } = await start()
  const path = '/v1/services/shop/rollouts'
  const sent = { to: 'green', steps: [{ weight: 50, for: '1h' }], advance: 'time' }
  const { id } = await call<ToldRollout>(proxy, 'POST', path, sent)
  const current = () => call<ToldRollout>(proxy, 'GET', `${path}/current`)
  await until('it has its share', async () => (await current()).weight === 50)
  const pid = async () => (await call<Status>(proxy, 'GET', '/v1/status').catch(() => null))?.pid
  for (let n = 0; n < 2; n++) {
    const before = await pid()
    proxy.child.kill('SIGUSR2')
    await until('another one serves', async () => ![before, undefined].includes(await pid()))
    pids.push((await pid())!)
    await until('the old one knows', () => proxy.output().split('this one finishes').length === n + 2)
    await until('the rollout goes on there', async () => (await current().catch(() => null))?.runsElsewhere === false)
    expect(await current()).toMatchObject({ id, state: 'shifting', weight: 50 })
  }
  await call(proxy, 'POST', `${path}/current/abort`)
  await until('it is back', async () => (await current()).state === 'rolledBack')
})

test('when the new one is killed in the middle, the old one serves on; when the old one is, the new one does, and what waits is not lost', {
  timeout: 120_000,
}, async () => {
  const blue = await startNamed('blue')
  // A probe that is not answered keeps the new one from asking.
  const silent = await startUpstream(() => {})
  const health = { path: '/', interval: '1h', timeout: '3s' }
  const slow = service({ blue: [silent.url] }, { routes: [{ host: 'slow', path: '/' }], health })
  const { proxy, pids } = await start({}, { shop: service({ blue: [blue.url] }), slow })
  /** Begins an upgrade, and comes back while the new process probes. */
  const begin = async (n: number) => {
    const asked = askAdmin(proxy, 'POST', '/v1/upgrade').catch(() => 'cut')
    await until('it probes', () => proxy.output().split('"phase":"built"').length === n + 1)
    pids[0] = Number([...proxy.output().matchAll(/an upgrade begins: process (\d+) is started/g)].at(-1)![1])
    return { asked }
  }
  const first = await begin(1)
  process.kill(pids[0], 'SIGKILL')
  expect(await first.asked).toMatchObject({ status: 500, text: expect.stringContaining('was ended by SIGKILL') })
  expect(await ask(proxy.port, { method: 'GET' })).toMatchObject({ status: 200, body: 'blue' })
  const { asked } = await begin(2)
  await expect(call(proxy, 'POST', '/v1/upgrade')).rejects.toThrow(/409.*An upgrade is under way/)
  proxy.child.kill('SIGKILL')
  expect(await asked).toBe('cut')
  // Its socket is there, so nobody is refused.
  expect(await ask(proxy.port, { method: 'GET' })).toMatchObject({ status: 200, body: 'blue' })
  expect(await call<Status>(proxy, 'GET', '/v1/status')).toMatchObject({ pid: pids[0] })
})

test('what the old one tells while the new one starts is told by the new one, in order', async () => {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  // A probe that is not answered keeps the new one from asking.
  const silent = await startUpstream(() => {})
  const health = { path: '/', interval: '1h', timeout: '2s' }
  const slow = service({ blue: [silent.url] }, { routes: [{ host: 'slow', path: '/' }], health })
  const { proxy, upgrade } = await start({}, { shop: service({ blue: [blue.url], green: [green.url] }), slow })
  const upgraded = upgrade()
  await until('it probes', () => proxy.output().includes('"phase":"built"'))
  await call(proxy, 'PUT', '/v1/services/shop/split', { weights: { blue: 1, green: 3 } })
  await upgraded
  const path = '/v1/events?follow=false'
  const { events } = await call<{ events: { id: number; type: string; data: object }[] }>(proxy, 'GET', path)
  const ids = events.map(({ id }) => id)
  expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b))
  const told = events.filter(({ data }) => 'kind' in data && data.kind === 'split')
  expect(told).toHaveLength(1)
  expect(told[0].id).toBeLessThan(events.find(({ type }) => type === 'upgrade')!.id)
})

test('whoever asks whether it is ready is told so all through an upgrade, by the old one or the new one', async () => {
  const { proxy, upgrade } = await start({ workers: 2 })
  const told: Record<string, number> = {}
  let isOver = false
  const look = async () => {
    while (!isOver) {
      const { status } = await askAdmin(proxy, 'GET', '/readyz').catch(() => ({ status: 'cut' }))
      told[status] = (told[status] ?? 0) + 1
    }
  }
  const looking = Array.from({ length: 4 }, look)
  for (let n = 0; n < 3; n++) await upgrade()
  isOver = true
  await Promise.all(looking)
  expect(told).toEqual({ 200: expect.any(Number) })
})

test('a process that was told to end and finishes what is under way is not replaced any more, and leaves nobody behind', async () => {
  const { promise: may, resolve: answer } = Promise.withResolvers<void>()
  let asked = 0
  const slow = await startUpstream((_request, response) => {
    asked++
    void may.then(() => response.end('slow'))
  })
  const { proxy } = await start({}, { shop: service({ blue: [slow.url] }) })
  const late = ask(proxy.port, { method: 'GET' })
  await until('it is under way', () => asked === 1)
  proxy.child.kill('SIGTERM')
  await until('it ends', () => proxy.output().includes('finishing what is under way'))
  const { status, text } = await askAdmin(proxy, 'POST', '/v1/upgrade')
  expect([status, text]).toEqual([409, expect.stringContaining('This process ends.')])
  answer()
  expect((await late).body).toBe('slow')
  expect(await proxy.exited()).toBe(0)
  expect(proxy.output()).not.toContain('an upgrade begins')
})

test('while its workers die again and again, another one can take the place of the one that has them', async () => {
  const folder = temporaryFolder()
  const [preload, loop] = [join(folder, 'preload.mjs'), join(folder, 'loop-')]
  // Each worker of the process that the file names dies a moment after it listens.
  writeFileSync(
    preload,
    `import { existsSync } from 'node:fs'
    import { isMainThread } from 'node:worker_threads'
    const die = () => existsSync(${JSON.stringify(loop)} + process.pid) && process.exit(1)
    if (!isMainThread) setInterval(die, 200)`,
  )
  const blue = await startNamed('blue')
  const listeners = [{ address: `127.0.0.1:${await closedPort()}` }]
  const config = { listeners, store: 'sqlite:./turnout.db', services: { shop: service({ blue: [blue.url] }) } }
  const proxy = await startProcess(config, folder, ['--import', preload])
  writeFileSync(loop + proxy.child.pid, '')
  await until('they die again and again', () => proxy.output().includes('a new one is started in 400 ms'))
  let pid = 0
  onTestFinished(() => void (pid !== 0 && isAlive(pid) && process.kill(pid, 'SIGKILL')))
  await until('another one serves', async () => {
    const { status, text } = await askAdmin(proxy, 'POST', '/v1/upgrade')
    if (status === 200) pid = (JSON.parse(text) as Done).pid
    else expect(text).toMatch(/a worker was replaced meanwhile|is taken: another process listens/)
    return pid !== 0
  })
  expect(await ask(proxy.port, { method: 'GET' })).toMatchObject({ status: 200, body: 'blue' })
})

test('what a store in memory has cannot be handed over', async () => {
  const { proxy } = await start({ store: 'memory' })
  await expect(call(proxy, 'POST', '/v1/upgrade')).rejects.toThrow(/409.*a store in memory ends with its process/)
})

test('what a replaced one still has under way keeps its pool from being told drained, and a switch under a hold waiting, also when the one between is killed', async () => {
  const { promise: may, resolve: answer } = Promise.withResolvers<void>()
  let asked = 0
  const slow = await startUpstream((request, response) => {
    if (request.url !== '/slow') return response.end('old')
    asked++
    void may.then(() => response.end('slow'))
  })
  const other = await startNamed('green')
  const drain = { timeout: '100ms' }
  const { proxy, upgrade } = await start({}, { shop: service({ blue: [slow.url], green: [other.url] }, { drain }) })
  const late = ask(proxy.port, { method: 'GET', path: '/slow' })
  await until('it is under way', () => asked === 1)
  const { from } = await upgrade()
  interface Told {
    predecessor: number | null
    pools: { name: string; drained: boolean }[]
  }
  const told = () => call<Told>(proxy, 'GET', '/v1/services/shop/status')
  const hold = { to: 'green', hold: { for: '2500ms' } }
  const refused = await askAdmin(proxy, 'POST', '/v1/services/shop/switch', JSON.stringify(hold))
  expect(refused.status).toBe(409)
  expect(refused.text).toContain(`process ${from.pid}, which was replaced, still finishes`)
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green' })
  await call(proxy, 'PUT', '/v1/services/shop/pools/blue/state', { state: 'standby' })
  const busy = (pid: number) => ({ predecessor: pid, pools: [{ name: 'blue', drained: false }, {}] })
  expect(await told()).toMatchObject(busy(from.pid))
  // The second has nothing under way itself, and is not over before the first is.
  const { from: second } = await upgrade()
  for (let looks = 0; looks < 50; looks++) expect(await told()).toMatchObject(busy(second.pid))
  process.kill(second.pid, 'SIGKILL')
  await until('the one between is gone', async () => (await told()).predecessor !== second.pid)
  for (let looks = 0; looks < 50; looks++) expect(await told()).toMatchObject(busy(from.pid))
  // And so it is for the one after that, which has never met it.
  const { from: third } = await upgrade()
  await until('the third is over', async () => (await told()).predecessor === from.pid)
  for (let looks = 0; looks < 50; looks++) expect(await told()).toMatchObject(busy(from.pid))
  const removed = await call(proxy, 'DELETE', '/v1/services/shop/pools/blue')
  expect(removed).toMatchObject({ draining: { inFlight: 0, drained: false } })
  answer()
  expect((await late).body).toBe('slow')
  await until('it is over', async () => (await told()).predecessor === null)
  expect(await ends(proxy)).toEqual([
    `process ${second.pid} is gone, and has not said what it still had under way`,
    `process ${third.pid} has ended: nothing was cut`,
    `process ${from.pid} has ended: nothing was cut`,
  ])
})

test('a request that the old one holds goes on by a release, also when that could not be stored', async () => {
  const { proxy, upgrade, folder } = await start()
  const hold = () => call(proxy, 'POST', '/v1/services/shop/hold', { for: '60s' })
  const waiting = async () =>
    (await call<{ held: { waiting: number } }>(proxy, 'GET', '/v1/services/shop/status')).held.waiting
  await hold()
  const held = ask(proxy.port, { method: 'GET' })
  await until('it is held', async () => (await waiting()) === 1)
  // The hold is longer than this process may last.
  expect(await upgrade()).toMatchObject({ held: { requests: 1, refusedInMs: 30_000 } })
  const free = await lock(join(folder, 'turnout.db'))
  const released = await askAdmin(proxy, 'POST', '/v1/services/shop/release')
  expect([released.status, released.text]).toEqual([503, expect.stringContaining('The requests go on all the same')])
  expect(await held).toMatchObject({ status: 200, body: 'blue' })
  // The new one would hold again, since the store says so.
  await expect(call(proxy, 'POST', '/v1/upgrade')).rejects.toThrow(/409.*served of shop is not stored yet/)
  await free()
  // And over two upgrades.
  await call(proxy, 'POST', '/v1/services/shop/release')
  await hold()
  const again = ask(proxy.port, { method: 'GET' })
  await until('it is held', async () => (await waiting()) === 1)
  const [second, third] = [await upgrade(), await upgrade()].map(({ from }) => from.pid)
  await call(proxy, 'POST', '/v1/services/shop/release')
  expect(await again).toMatchObject({ status: 200, body: 'blue' })
  // Each tells the next of whom it has outlived, and nobody is told of twice.
  const over = [
    `process ${proxy.child.pid} has ended: nothing was cut`,
    `process ${third} has ended: nothing was cut; process ${second} has ended: nothing was cut`,
  ]
  await expect.poll(() => ends(proxy)).toEqual(over)
})

const CLIENTS = 60
interface LetGo {
  predecessor: number | null
  pools: { name: string; letGo: { before: number; closed: number; moved: number; left: number } | null }[]
}

/** Targets that take WebSockets. */
function socketTargets() {
  const sockets = new WebSocketServer({ noServer: true })
  const startTarget = async () => {
    const server = http.createServer()
    server.on('upgrade', (...given) => sockets.handleUpgrade(...given, () => {}))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      for (const socket of sockets.clients) socket.terminate()
      server.close()
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  return { sockets, startTarget }
}

/** Opens tunnels that come back whenever they are closed, until `end`. */
async function clientsOf(proxy: ProxyProcess): Promise<{ came: () => number; end: () => void }> {
  let [came, isOver] = [0, false]
  const present = new Set<WebSocket>()
  const open = (id: string): void => {
    const socket = new WebSocket(proxy.url.replace('http', 'ws'), { headers: { 'x-user-id': id } })
    present.add(socket)
    socket.on('open', () => came++)
    socket.on('error', () => {})
    socket.on('close', () => {
      present.delete(socket)
      if (!isOver) open(id)
    })
  }
  const end = () => {
    isOver = true
    for (const socket of present) socket.terminate()
  }
  onTestFinished(end)
  for (let n = 0; n < CLIENTS; n++) open(`u${n}`)
  await until('all are there', () => came === CLIENTS)
  return { came: () => came, end }
}

test('tunnels that the old one closes are counted by the new one, with all that was closed before, and so are those who come back', async () => {
  const setting = { visitor: ['header:x-user-id'], drain: { tunnels: { over: '60s' } } }
  const { sockets, startTarget } = socketTargets()
  const shop = service({ blue: [await startTarget()], green: [await startTarget()] }, setting)
  const { proxy, upgrade } = await start({ workers: 2, timeouts: { shutdown: '4s' } }, { shop })
  const { came } = await clientsOf(proxy)
  await call(proxy, 'POST', '/v1/services/shop/switch', { to: 'green', wait: '0s' })
  await until('some have left', () => came() > CLIENTS + 3)
  await upgrade()
  const told = async () => await call<LetGo>(proxy, 'GET', '/v1/services/shop/status')
  let last = await told()
  const look = async () => {
    last = await told()
    return last.predecessor === null
  }
  await until('it is over', look)
  expect(last.pools.map((pool) => pool.letGo?.left)).toEqual([0, 0])
  expect(last.pools[0].letGo).toMatchObject({ before: CLIENTS, closed: CLIENTS })
  await until('all are back', () => sockets.clients.size === CLIENTS)
  const all = { before: CLIENTS, closed: CLIENTS, moved: CLIENTS, left: 0 }
  await expect.poll(async () => (await told()).pools[0].letGo).toMatchObject(all)
  // Those who had come to green before are let go by the old one, too.
  const more = came() - 2 * CLIENTS
  expect(more).toBeGreaterThan(0)
  const those = { before: more, closed: more, moved: more, left: 0 }
  await expect.poll(async () => (await told()).pools[1].letGo).toMatchObject(those)
  const series = (name: string) => new RegExp(`^${name}{.*pool="blue".*} ${CLIENTS}$`, 'm')
  const metrics = (await askAdmin(proxy, 'GET', '/metrics')).text
  for (const name of ['let_go', 'moved']) expect(metrics).toMatch(series(`turnout_tunnels_${name}_total`))
})

test('what a replaced one closes is told on when the one between is killed, and only what was left in that is left no more', async () => {
  const { startTarget } = socketTargets()
  const shop = service({ blue: [await startTarget()] }, { visitor: ['header:x-user-id'] })
  const { proxy, upgrade } = await start({ timeouts: { shutdown: '60s' } }, { shop })
  const { came, end } = await clientsOf(proxy)
  const told = () => call<LetGo>(proxy, 'GET', '/v1/services/shop/status')
  const { from: first } = await upgrade()
  const { from: second } = await upgrade()
  await until('what the first has left is known', async () => (await told()).pools[0].letGo !== null)
  process.kill(second.pid, 'SIGKILL')
  await until('the one between is gone', async () => (await told()).predecessor === first.pid)
  const { letGo: before } = (await told()).pools[0]
  expect(before!.left).toBeGreaterThan(0)
  await until('more is told while it is not over', async () => {
    const { predecessor, pools } = await told()
    expect(predecessor).toBe(first.pid)
    return pools[0].letGo!.closed > before!.closed + 5 && pools[0].letGo!.left < before!.left - 4
  })
  // And so it is by the one after that, whatever the one before that knew last.
  await upgrade()
  let closed = 0
  await until('more is told there, and none twice', async () => {
    const { letGo } = (await told()).pools[0]
    if (letGo === null) return false
    expect(letGo.closed).toBeGreaterThanOrEqual(closed)
    expect(letGo.before).toBeLessThanOrEqual(came())
    closed = letGo.closed
    return closed > before!.closed + 12
  })
  end()
  await until('it is over', async () => (await told()).predecessor === null)
  const { letGo } = (await told()).pools[0]
  expect(letGo!.before).toBeGreaterThanOrEqual(CLIENTS)
  expect(letGo!.left).toBe(0)
})
