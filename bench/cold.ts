/**
 * `node bench/cold.ts`: p99 in the first seconds after a start, at full load, for Turnout, nginx and HAProxy.
 *
 * The other benches warm up first. V8 runs a program slowly at first and compiles what is used often while it runs, on the one
 * core that the proxy has here; this is what clients of a new process notice of it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bestLoad } from './compare.ts'
import { median } from './measure.ts'
import { readOptions, say } from './options.ts'
import { haproxy } from './peers/haproxy.ts'
import { nginx } from './peers/nginx.ts'
import type { Peer } from './peers/peer.ts'
import { turnout } from './peers/turnout.ts'
import { LOAD_CORE, PROXY_CORE } from './process.ts'
import { decimal, occasion, writeSection } from './report.ts'
import { SCENARIOS } from './scenario.ts'
import { startTargets, type Targets } from './targets.ts'

const WINDOWS = 6
const options = readOptions('usage: node bench/cold.ts [options]', { rounds: 5, seconds: 2 })

/** p99 in ms of each window from the start on. */
async function startOnce(peer: Peer, { blue, green }: Targets): Promise<number[]> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-cold-'))
  const running = await peer.start({ blue, green, folder, core: PROXY_CORE })
  const windows: number[] = []
  for (let i = 0; i < WINDOWS; i++) {
    const { errors, p99Ms } = await bestLoad(running.port, SCENARIOS[0], options.seconds)
    if (errors > 0) throw new Error(`${peer.name}: ${errors} requests failed`)
    windows.push(p99Ms)
  }
  await running.stop()
  rmSync(folder, { recursive: true, force: true })
  return windows
}

const peers = [turnout, nginx, haproxy].filter((peer) => peer.version() !== null)
const starts = new Map<Peer, number[][]>(peers.map((peer) => [peer, []]))
const targets = await startTargets(LOAD_CORE)
for (let round = 0; round < options.rounds; round++) {
  for (const peer of peers) {
    const windows = await startOnce(peer, targets)
    starts.get(peer)!.push(windows)
    say(`${round + 1}/${options.rounds} ${peer.name}: ${windows.map((p99) => decimal(p99, 1)).join(', ')} ms`)
  }
}
await targets.stop()

const seconds = Array.from({ length: WINDOWS }, (_, i) => `${i * options.seconds}–${(i + 1) * options.seconds} s`)
const rows = [...starts].map(([{ name }, all]) => [
  name,
  ...seconds.map((_, i) => decimal(median(all.map((windows) => windows[i])), 1)),
])
const text = [
  '## The first seconds after a start',
  '',
  occasion(new Date()),
  '',
  peers.map((peer) => `${peer.name} ${peer.version()}`).join(' · '),
  '',
  `p99 in ms of a small GET at full load, since the proxy answers; medians of ${options.rounds} starts:`,
  '',
  `| | ${seconds.join(' | ')} |`,
  `| --- |${' ---: |'.repeat(WINDOWS)}`,
  ...rows.map((cells) => `| ${cells.join(' | ')} |`),
].join('\n')
if (options.json) console.log(JSON.stringify([...starts].map(([{ name }, all]) => [name, all])))
else {
  if (!options.quick) writeSection('cold', text)
  console.log(text)
}
