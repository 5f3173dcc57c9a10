/**
 * `node bench/upgrade.ts`: upgrades under full load, one after the other, with two workers, one, and two again; then some in which the old
 * process is killed (`kill -9`) at a moment by chance, and some in which the new one cannot start. Must be: not one connection
 * refused or reset and not one request failed; of a killed process nothing lost but what was under way in it. Fails when that is not so.
 * The load is bench/upgrade-load.ts.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'
import built from '../rolldown.config.ts'
import { median } from './measure.ts'
import { positive, readOptions } from './options.ts'
import { CONNECTIONS } from './peers/peer.ts'
import { freePort } from './ports.ts'
import { type Child, startChild } from './process.ts'
import { decimal, occasion, writeSection } from './report.ts'
import { startTargets } from './targets.ts'
import type { UpgradeLoad } from './upgrade-load.ts'

const WORKERS = [1, 2]
/** What is shipped: its start takes a third of the time that the sources take, and that is most of the time of an upgrade. */
const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url))
/** A new process has so long. */
const LIMIT_MS = 60_000

interface Done {
  readonly pid: number
  readonly tookMs: number
}

/** The process that serves, with others before it; the first of them stays. */
class Serving {
  readonly folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  readonly port: number
  readonly admin: string
  readonly #adminPort: number
  readonly #target: number
  readonly #pids = new Set<number>()
  #first: Child | null = null

  constructor(port: number, adminPort: number, target: number) {
    this.port = port
    this.#adminPort = adminPort
    this.admin = `http://127.0.0.1:${adminPort}`
    this.#target = target
    this.configure(2)
  }

  configure(workers: unknown): void {
    const shop = {
      routes: [{ host: '*' }],
      pools: { blue: { targets: [`http://127.0.0.1:${this.#target}`] } },
      live: 'blue',
      health: { path: '/small', interval: '2s' },
    }
    const config = {
      listeners: [{ address: `127.0.0.1:${this.port}` }],
      admin: { address: `127.0.0.1:${this.#adminPort}` },
      workers,
      store: 'sqlite:./turnout.db',
      log: { level: 'error', access: false },
      services: { shop },
    }
    writeFileSync(join(this.folder, 'turnout.yaml'), JSON.stringify(config))
  }

  async start(): Promise<void> {
    const command = [
      'sh',
      '-c',
      'cd "$0" && exec "$@"',
      this.folder,
      process.execPath,
      MAIN,
      'serve',
      '--config',
      'turnout.yaml',
    ]
    this.#first = startChild(command, { core: null })
    await this.#until(async () => (await fetch(`${this.admin}/readyz`)).ok)
  }

  async pid(): Promise<number> {
    const { pid } = (await (await fetch(`${this.admin}/v1/status`)).json()) as Done
    this.#pids.add(pid)
    return pid
  }

  async upgrade(): Promise<Done> {
    const answer = await fetch(`${this.admin}/v1/upgrade`, { method: 'POST' })
    if (!answer.ok) throw new Error(`the upgrade was answered ${answer.status}: ${await answer.text()}`)
    const done = (await answer.json()) as Done
    this.#pids.add(done.pid)
    return done
  }

  /** Begins an upgrade, kills the old process after so long, and gives how long it was until another one served. */
  async killWithin(ms: number): Promise<number> {
    const old = await this.pid()
    const asked = fetch(`${this.admin}/v1/upgrade`, { method: 'POST' }).then(
      ({ ok }) => ok,
      () => false,
    )
    await sleep(ms)
    const killedMs = performance.now()
    process.kill(old, 'SIGKILL')
    await asked
    await this.#until(async () => (await this.pid()) !== old)
    return performance.now() - killedMs
  }

  async stop(): Promise<void> {
    await this.#first?.stop()
    for (const pid of this.#pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended.
      }
    }
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #until(holds: () => Promise<boolean>): Promise<void> {
    const untilMs = performance.now() + LIMIT_MS
    while (!(await holds().catch(() => false))) {
      if (performance.now() > untilMs) throw new Error(`nobody serves after ${LIMIT_MS} ms`)
      await sleep(20)
    }
  }
}

/** The numbers of one part of the bench, with those of it that must be 0. */
interface Part {
  readonly load: UpgradeLoad
  readonly tookMs: readonly number[]
}

const failedOf = ({ refused, reset, cut, wrong }: UpgradeLoad): number => refused + reset + cut + wrong

const row = (name: string, { load, tookMs }: Part): string =>
  `| ${[
    name,
    decimal(load.requests, 0),
    decimal(load.connections, 0),
    ...[load.refused, load.reset, load.cut, load.wrong].map(String),
    decimal(load.slowestMs, 0),
    tookMs.length === 0 ? '–' : `${decimal(median(tookMs), 0)} / ${decimal(Math.max(...tookMs), 0)}`,
  ].join(' | ')} |`

const { values, ...options } = readOptions(
  'usage: node bench/upgrade.ts [options]\n  --upgrades N        how many (default 50)\n  --kills N           in how many of further ones the old process is killed (default 10)',
  null,
  { upgrades: { type: 'string' }, kills: { type: 'string' } },
)
const upgrades = positive('--upgrades', values['upgrades'] ?? (options.quick ? 3 : 50))
const kills = positive('--kills', values['kills'] ?? (options.quick ? 2 : 10))

await build(built)
const targets = await startTargets(null)
const serving = new Serving(await freePort(), await freePort(), targets.blue)
let load: Child | null = null
const parts: { upgraded: Part; broken: Part; killed: Part[] } = { upgraded: null!, broken: null!, killed: [] }
try {
  await serving.start()
  load = startChild([process.execPath, new URL('./upgrade-load.ts', import.meta.url).pathname, String(serving.port)], {
    core: null,
    messages: true,
  })
  const child = load.process
  const counted = async (): Promise<UpgradeLoad> => {
    const answer = once(child, 'message')
    child.send('count')
    return (await answer)[0] as UpgradeLoad
  }
  await sleep(1_000)
  await counted()
  const tookMs: number[] = []
  for (let n = 0; n < upgrades; n++) {
    serving.configure(WORKERS[n % WORKERS.length])
    tookMs.push((await serving.upgrade()).tookMs)
  }
  // Until the last of the old ones has ended what was under way.
  await sleep(2_000)
  parts.upgraded = { load: await counted(), tookMs }
  serving.configure('none')
  for (let n = 0; n < 3; n++)
    await serving.upgrade().then(
      () => Promise.reject(new Error('it could start')),
      () => {},
    )
  parts.broken = { load: await counted(), tookMs: [] }
  serving.configure(2)
  for (let n = 0; n < kills; n++) {
    const withinMs = 50 + Math.random() * median(tookMs)
    const servedMs = await serving.killWithin(withinMs)
    await sleep(500)
    parts.killed.push({ load: await counted(), tookMs: [servedMs] })
  }
} finally {
  await load?.stop()
  await serving.stop()
  await targets.stop()
}

const sum = (of: (load: UpgradeLoad) => number): number =>
  parts.killed.reduce((total, part) => total + of(part.load), 0)
const killed: Part = {
  tookMs: parts.killed.flatMap((part) => part.tookMs),
  load: {
    requests: sum((part) => part.requests),
    connections: sum((part) => part.connections),
    refused: sum((part) => part.refused),
    reset: sum((part) => part.reset),
    cut: sum((part) => part.cut),
    wrong: sum((part) => part.wrong),
    slowestMs: Math.max(...parts.killed.map((part) => part.load.slowestMs)),
    reasons: parts.killed.flatMap((part) => part.load.reasons).slice(0, 5),
  },
}
/** Of a killed process what was under way in it may be lost: no more than there were connections. */
const isLost = ({ load }: Part): boolean => load.refused > 0 || load.wrong > 0 || load.reset + load.cut > CONNECTIONS
const isGood = failedOf(parts.upgraded.load) === 0 && failedOf(parts.broken.load) === 0 && !parts.killed.some(isLost)
const text = [
  '## Upgrades under load',
  '',
  occasion(new Date()),
  '',
  '| | requests | connections | refused | reset | cut | wrong | slowest answer, ms | until it served, median / max ms |',
  '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
  row(`${upgrades} upgrades, 2 → 1 → 2 workers`, parts.upgraded),
  row('3 whose new process cannot start', parts.broken),
  row(`${kills} in which the old process is killed`, killed),
  '',
  `**How it was measured.** \`node bench/upgrade.ts\`: ${CONNECTIONS} connections that ask without pause, half of them kept and half opened`,
  'for each request; load, targets and proxies share the machine, and it is the build that starts. Of a killed process what was under way in it is cut, one request for each',
  'of its connections at most.',
].join('\n')
if (options.json) console.log(JSON.stringify({ ...parts, killed }))
else {
  if (!options.quick) writeSection('upgrade', text)
  console.log(text)
}
for (const { load } of [parts.upgraded, parts.broken, killed]) for (const reason of load.reasons) console.error(reason)
process.exitCode = isGood ? 0 : 1
