/**
 * `node bench/idle.ts`: what an idle keep-alive connection of a client costs in memory, for Turnout, nginx and HAProxy.
 *
 * A fresh proxy is warmed up by the load of the other benches, garbage is collected where there is any, and its resident
 * memory is read; then 10,000 connections from several loopback addresses send one request each and idle, and it is read
 * again. The difference by the number of connections is the figure. What the kernel keeps for a socket is in nobody's
 * resident memory; what a proxy sets aside at its start, before the first connection (nginx does), is not in the difference.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { bestLoad } from './compare.ts'
import type { Held } from './idle-clients.ts'
import { median } from './measure.ts'
import { positive, readOptions, say } from './options.ts'
import { haproxy } from './peers/haproxy.ts'
import { nginx } from './peers/nginx.ts'
import type { PeerConfig, Running } from './peers/peer.ts'
import type { ThreadMemory } from './probe.ts'
import { type Probed, startProbed } from './probed.ts'
import { firstLine, LOAD_CORE, PROXY_CORE, residentBytes, startChild } from './process.ts'
import { decimal, occasion, spread, writeSection } from './report.ts'
import { SCENARIOS } from './scenario.ts'
import { startTargets } from './targets.ts'
import { installedVersion } from './versions.ts'

/** Descriptors that a proxy needs besides those of its clients. */
const SPARE_DESCRIPTORS = 1_000

interface IdleRound {
  readonly held: number
  /** Bytes of a connection, resident. */
  readonly resident: number
  /** Bytes of a connection in the worker's JavaScript heap, and outside of it; null for who has none. */
  readonly heap: number | null
  readonly external: number | null
}

interface Subject {
  readonly name: string
  readonly version: string | null
  start(config: PeerConfig): Promise<Running | Probed>
}

const SUBJECTS: readonly Subject[] = [
  { name: 'Turnout', version: installedVersion('turnout'), start: (config) => startProbed(config, {}) },
  ...[nginx, haproxy].map((peer) => ({ ...peer, version: peer.version() })),
]

/** The main thread has no connections, so the worker is what is looked at. */
async function workerMemory(running: Running | Probed): Promise<ThreadMemory | null> {
  return 'ask' in running ? ((await running.ask('collect')).at(-1) ?? null) : null
}

async function measureIdle(subject: Subject, connections: number, seconds: number): Promise<IdleRound> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const targets = await startTargets(LOAD_CORE)
  const { blue, green } = targets
  const clients = connections + 100
  const running = await subject.start({ blue, green, folder, core: PROXY_CORE, clients })
  try {
    await bestLoad(running.port, SCENARIOS[0], seconds)
    // The connections of the load are gone for the proxy too.
    await sleep(1_000)
    const workerBefore = await workerMemory(running)
    const before = residentBytes(running.pid) ?? Number.NaN
    const script = fileURLToPath(new URL('./idle-clients.ts', import.meta.url))
    const holder = startChild([process.execPath, script, String(running.port), String(connections)], {
      core: LOAD_CORE,
    })
    const { held, failure }: Held = JSON.parse(await firstLine(holder))
    if (failure !== null) say(`${subject.name}: ${failure}`)
    const workerAfter = await workerMemory(running)
    const after = residentBytes(running.pid) ?? Number.NaN
    await holder.stop()
    const each = (part: 'heapUsed' | 'external') =>
      workerBefore === null || workerAfter === null ? null : (workerAfter[part] - workerBefore[part]) / held
    return { held, resident: (after - before) / held, heap: each('heapUsed'), external: each('external') }
  } finally {
    await running.stop()
    await targets.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** As many as were asked for, or as the limit of open files allows. */
function allowed(connections: number): number {
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -n']).toString())
  return Number.isFinite(limit) ? Math.min(connections, limit - SPARE_DESCRIPTORS) : connections
}

function render(results: ReadonlyMap<Subject, readonly IdleRound[]>): string {
  const kilobytes = (values: readonly (number | null)[], digits = 1) =>
    spread(
      values.map((value) => (value === null ? null : value / 1024)),
      digits,
    )
  const rows = [...results].map(([{ name }, rounds]) =>
    [
      name,
      kilobytes(rounds.map(({ resident }) => resident)),
      kilobytes(rounds.map(({ heap }) => heap)),
      kilobytes(
        rounds.map(({ external }) => external),
        2,
      ),
      decimal(median(rounds.map(({ held }) => held)), 0),
    ].join(' | '),
  )
  return [
    '## Idle connections',
    '',
    occasion(new Date()),
    '',
    [...results.keys()].map(({ name, version }) => `${name} ${version}`).join(' · '),
    '',
    '| | resident KiB | JavaScript heap KiB | external KiB | connections |',
    '| --- | ---: | ---: | ---: | ---: |',
    ...rows.map((row) => `| ${row} |`),
    '',
    `**How it was measured.** Memory of one idle keep-alive connection: resident memory of the proxy's processes with and`,
    'without the connections, by their number; each has sent one request. Garbage of Turnout was collected before both. A',
    `fresh, warmed-up proxy each round, in turn; medians of ${[...results.values()][0].length} rounds, least and greatest in brackets. nginx sets its`,
    "connections' table aside at its start; that is not in its figure. The kernel's own memory for sockets is in none.",
  ].join('\n')
}

const { values, ...options } = readOptions(
  'usage: node bench/idle.ts [options]\n  --connections N     how many (default 10,000; fewer where the system allows fewer)',
  { rounds: 3, seconds: 2 },
  { connections: { type: 'string' } },
)
const connections = allowed(positive('--connections', values['connections'] ?? (options.quick ? 200 : 10_000)))
const results = new Map<Subject, IdleRound[]>()
for (const subject of SUBJECTS) {
  if (subject.version === null) say(`${subject.name}: not installed here`)
  else results.set(subject, [])
}
for (let round = 0; round < options.rounds; round++) {
  for (const [subject, rounds] of results) {
    const result = await measureIdle(subject, connections, options.seconds)
    rounds.push(result)
    say(
      `${subject.name} ${round + 1}/${options.rounds}: ${Math.round(result.resident)} bytes, ${result.held} connections`,
    )
  }
}
if (options.json) console.log(JSON.stringify([...results].map(([{ name }, rounds]) => [name, rounds])))
else {
  const text = render(results)
  if (!options.quick) writeSection('idle', text)
  console.log(text)
}
process.exitCode = [...results].every(([, rounds], i) => i > 0 || rounds.every(({ held }) => held === connections))
  ? 0
  : 1
