/**
 * `node bench/change.ts`: what a change costs where there is much: splits of one service after the other, by the admin API, with 500
 * services and 3,000 targets and with 2,000 and 12,000, and the store that is the default.
 *
 * Told are the time that Turnout itself says (from the validated change to the commit in every worker), that of the whole
 * call, how much the process has caused to be written to disk (whole pages, with what SQLite checkpoints meanwhile), and its
 * CPU time; and what it takes to read all: `/v1/status` and `/metrics`. There is no traffic. Rows are without health checks, and one with a
 * probe of each target every 10 s.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { quantile } from './measure.ts'
import { positive, readOptions, say } from './options.ts'
import { startPeer } from './peers/peer.ts'
import { MAIN } from './peers/turnout.ts'
import { freePort } from './ports.ts'
import { cpuMicros, PROXY_CORE } from './process.ts'
import { decimal, occasion, writeSection } from './report.ts'

const TARGETS_PER_POOL = 3
/** Changes before those that are measured: V8 compiles. */
const WARM_UPS = 100
/** How often all is read. */
const READS = 20
/** Between two probes of a target. */
const PROBES_MS = 10_000

interface Measured {
  readonly title: string
  /** By change, in ms. */
  readonly applied: readonly number[]
  readonly called: readonly number[]
  readonly storedBytes: number
  readonly cpuMs: number
  readonly status: Read
  readonly metrics: Read
}

interface Read {
  readonly bytes: number
  /** By call. */
  readonly ms: readonly number[]
}

async function measureRead(admin: Pool, path: string): Promise<Read> {
  const ms: number[] = []
  let bytes = 0
  for (let n = 0; n < READS; n++) {
    const startedMs = performance.now()
    const answer = await admin.request({ method: 'GET', path })
    bytes = (await answer.body.arrayBuffer()).byteLength
    ms.push(performance.now() - startedMs)
  }
  return { bytes, ms }
}

/** Every address of 127.0.0.0/8 is this machine, so one server is as many targets as needed. */
const targetUrl = (n: number, port: number) => `http://127.1.${n >> 8}.${n & 255}:${port}`

function configuration(
  services: number,
  target: number,
  ports: readonly number[],
  folder: string,
  probes: boolean,
): string {
  const pool = (at: number) =>
    Array.from({ length: TARGETS_PER_POOL }, (_, n) => targetUrl(at * TARGETS_PER_POOL + n, target))
  const list = Array.from({ length: services }, (_, n) => {
    const pools = { blue: { targets: pool(2 * n) }, green: { targets: pool(2 * n + 1) } }
    const health = probes ? { health: { path: '/health', interval: `${PROBES_MS}ms` } } : {}
    const routes = [{ host: `shop${n}.example`, path: '/' }]
    return [`shop${n}`, { routes, pools, split: { blue: 90, green: 10 }, ...health }]
  })
  return JSON.stringify({
    listeners: [{ address: `127.0.0.1:${ports[0]}` }],
    admin: { address: `127.0.0.1:${ports[1]}` },
    workers: 1,
    store: `sqlite:${folder}/turnout.db`,
    log: { level: 'warn', access: false },
    services: Object.fromEntries(list),
  })
}

/** Bytes that the process has caused to be written to disk so far; NaN where the system does not tell. */
function writtenBytes(pid: number): number {
  try {
    return Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? Number.NaN)
  } catch {
    return Number.NaN
  }
}

async function measureChanges(services: number, changes: number, probes: boolean): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-change-'))
  const server = createServer((_, response) => response.end('ok')).listen(0, '0.0.0.0')
  await new Promise((resolve) => server.once('listening', resolve))
  const ports = [await freePort(), await freePort()]
  const file = join(folder, 'turnout.yaml')
  writeFileSync(file, configuration(services, (server.address() as AddressInfo).port, ports, folder, probes))
  const running = await startPeer([process.execPath, MAIN, 'serve', '--config', file], ports[1], { core: PROXY_CORE })
  const admin = new Pool(`http://127.0.0.1:${ports[1]}`, { connections: 1 })
  // What the first probes find out is news of every target; after that there is none.
  if (probes) await sleep(1.5 * PROBES_MS)
  const applied: number[] = []
  const called: number[] = []
  let [bytes, cpu] = [0, 0]
  for (let n = -WARM_UPS; n < changes; n++) {
    if (n === 0) [bytes, cpu] = [writtenBytes(running.pid), cpuMicros(running.pid) ?? Number.NaN]
    const green = 10 + (Math.floor((n + WARM_UPS) / services) % 2 === 0 ? 5 : 0)
    const body = JSON.stringify({ weights: { blue: 100 - green, green } })
    const startedMs = performance.now()
    const path = `/v1/services/shop${(n + WARM_UPS) % services}/split`
    const headers = { 'content-type': 'application/json' }
    const answer = await admin.request({ method: 'PUT', path, headers, body })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.statusCode} ${text}`)
    const result = JSON.parse(text) as { readonly appliedInMs: number; readonly changed: boolean }
    if (!result.changed) throw new Error(`${path} has changed nothing`)
    if (n < 0) continue
    called.push(performance.now() - startedMs)
    applied.push(result.appliedInMs)
  }
  const storedBytes = (writtenBytes(running.pid) - bytes) / changes
  const cpuMs = ((cpuMicros(running.pid) ?? Number.NaN) - cpu) / changes / 1000
  const status = await measureRead(admin, '/v1/status')
  const metrics = await measureRead(admin, '/metrics')
  await admin.close()
  await running.stop()
  server.close()
  server.closeAllConnections()
  rmSync(folder, { recursive: true })
  const title = `${decimal(services, 0)}, ${probes ? 'each target probed every 10 s' : 'no health checks'}`
  say(`${title}: p50 ${quantile(applied, 0.5).toFixed(2)} ms, ${Math.round(storedBytes)} bytes`)
  return { title, applied, called, storedBytes, cpuMs, status, metrics }
}

function render(rows: readonly Measured[]): string {
  const cells = rows.map(({ title, applied, called, storedBytes, cpuMs, status, metrics }) => {
    const times = [applied, called].flatMap((values) => [0.5, 0.99].map((share) => decimal(quantile(values, share), 2)))
    const reads = [status, metrics].flatMap(({ bytes, ms }) => [
      decimal(quantile(ms, 0.5), 0),
      decimal(bytes / 1_000_000, 2),
    ])
    return [title, ...times, decimal(storedBytes / 1000, 1), decimal(cpuMs, 2), ...reads]
  })
  return [
    '## What a change costs',
    '',
    occasion(new Date()),
    '',
    `Splits of one service after the other, each with two pools of ${TARGETS_PER_POOL} targets, and what it takes to read all:`,
    '',
    '| services | applied p50 ms | p99 ms | whole call p50 ms | p99 ms | stored KB | CPU ms | `/v1/status` p50 ms | MB | `/metrics` p50 ms | MB |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...cells.map((row) => `| ${row.join(' | ')} |`),
    '',
    `**How it was measured.** \`node bench/change.ts\`: ${rows[0].applied.length} calls of PUT …/split after ${WARM_UPS} for the warm-up, one at a time; a`,
    'worker with one thread, SQLite in a file, `applied` as the answer tells it, `stored` by what the process has caused to be',
    `written to disk (whole pages, checkpoints included), \`CPU\` of the whole process; then ${READS} reads of each.`,
  ].join('\n')
}

const { values, ...options } = readOptions(
  `usage: node bench/change.ts [options]
  --services N        services, with six targets each (default 500, and once more with 2,000)
  --changes N         changes that are measured (default 1000)`,
  null,
  { services: { type: 'string' }, changes: { type: 'string' } },
)
const sizes = values['services'] === undefined ? (options.quick ? [20, 40] : [500, 2_000]) : [values['services']]
const [services, ...more] = sizes.map((size) => positive('--services', size))
const changes = positive('--changes', values['changes'] ?? (options.quick ? 50 : 1000))
const rows = [await measureChanges(services, changes, false), await measureChanges(services, changes, true)]
for (const size of more) rows.push(await measureChanges(size, changes, false))
if (options.json) console.log(JSON.stringify(rows))
else {
  const text = render(rows)
  if (!options.quick) writeSection('change', text)
  console.log(text)
}
