/**
 * `node bench/latency.ts`: what Turnout adds to a request, at half of the load that it can take, beside the targets alone.
 *
 * The load is open: requests leave at fixed moments whether or not earlier ones were answered, and each is timed from the
 * moment at which it should have left, so a stall counts for everyone who would have been waiting. Rounds go directly to
 * the targets and through Turnout in turn; the difference of the quantiles is what is added. The load process is this file
 * again (`--load`), on the load core with the targets, as in the other benches.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Client } from './client.ts'
import { median, quantile } from './measure.ts'
import { CONNECTIONS } from './peers/peer.ts'
import { turnout } from './peers/turnout.ts'
import { LOAD_CORE, PROXY_CORE, pinned, runChild } from './process.ts'
import { decimal, occasion, writeSection } from './report.ts'
import { startTargets } from './targets.ts'

interface LatencyRound {
  readonly requests: number
  readonly failed: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly perSecond: number
}

/** Sends `perSecond` requests a second (0: as many as go) for a while and times each. */
async function load(port: number, perSecond: number, seconds: number): Promise<LatencyRound> {
  // A set, since a connection that was closed while idle announces itself again.
  const idle = new Set<Client>()
  const dueAt = new Map<Client, number>()
  const times: number[] = []
  let failed = 0
  let sent = 0
  const startMs = performance.now()
  const endMs = startMs + seconds * 1000
  const pump = () => {
    const nowMs = performance.now()
    for (const client of idle) {
      const dueMs = perSecond === 0 ? nowMs : startMs + (sent * 1000) / perSecond
      if (dueMs > nowMs || nowMs >= endMs) return
      idle.delete(client)
      dueAt.set(client, dueMs)
      sent++
      client.send()
    }
  }
  const clients = Array.from(
    { length: CONNECTIONS },
    () =>
      new Client(port, '/small', {
        ready(client) {
          idle.add(client)
          pump()
        },
        answer(client, { status }) {
          times.push(performance.now() - dueAt.get(client)!)
          if (status !== 200) failed++
        },
        failed: () => void failed++,
      }),
  )
  const ticks = setInterval(pump, 1)
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000 + 200))
  clearInterval(ticks)
  for (const client of clients) client.end()
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length
  return {
    requests: times.length,
    failed,
    meanMs: mean,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    perSecond: times.length / seconds,
  }
}

async function loadChild(port: number, perSecond: number, seconds: number): Promise<LatencyRound> {
  const command = [process.execPath, fileURLToPath(import.meta.url), '--load', [port, perSecond, seconds].join()]
  return JSON.parse(await runChild(command, { core: LOAD_CORE }))
}

interface Outcome {
  readonly perSecond: number
  readonly direct: readonly LatencyRound[]
  readonly through: readonly LatencyRound[]
}

async function measureLatency(rounds: number, seconds: number): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const targets = await startTargets(LOAD_CORE)
  const proxy = await turnout.start({ blue: targets.blue, green: targets.green, folder, core: PROXY_CORE })
  await loadChild(proxy.port, 0, seconds)
  const perSecond = Math.floor((await loadChild(proxy.port, 0, seconds)).perSecond / 2)
  const direct: LatencyRound[] = []
  const through: LatencyRound[] = []
  for (let round = 0; round < rounds; round++) {
    direct.push(await loadChild(targets.blue, perSecond, seconds))
    through.push(await loadChild(proxy.port, perSecond, seconds))
  }
  await proxy.stop()
  await targets.stop()
  rmSync(folder, { recursive: true, force: true })
  return { perSecond, direct, through }
}

function render({ perSecond, direct, through }: Outcome): string {
  const row = (name: string, rounds: readonly LatencyRound[]) => {
    const figures = (['meanMs', 'p50Ms', 'p99Ms'] as const).map((key) =>
      decimal(median(rounds.map((round) => round[key])), 3),
    )
    return `| ${[name, ...figures, rounds.reduce((sum, round) => sum + round.failed, 0)].join(' | ')} |`
  }
  const added = (['meanMs', 'p50Ms', 'p99Ms'] as const).map((key) =>
    decimal(median(through.map((round) => round[key])) - median(direct.map((round) => round[key])), 3),
  )
  return [
    '## Added latency',
    '',
    occasion(new Date()),
    '',
    `At ${decimal(perSecond, 0)} requests/s, half of what went through with one worker:`,
    '',
    '| | mean ms | p50 ms | p99 ms | failed |',
    '| --- | ---: | ---: | ---: | ---: |',
    row('direct', direct),
    row('through Turnout', through),
    `| **added** | ${added.map((value) => `**${value}**`).join(' | ')} | |`,
    '',
    `**How it was measured.** \`node bench/latency.ts\`: ${CONNECTIONS} keep-alive connections, requests at fixed moments and timed`,
    `from them, in bursts a millisecond apart; medians of ${direct.length} rounds in turn. ${
      pinned ? `Proxy on core ${PROXY_CORE}, load and targets on core ${LOAD_CORE}.` : 'Nothing was pinned to a core.'
    }`,
  ].join('\n')
}

const { values } = parseArgs({
  options: {
    load: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
  },
})
if (values.load === undefined) {
  const text = render(await measureLatency(Number(values.rounds), Number(values.seconds)))
  writeSection('latency', text)
  console.log(text)
} else {
  const [port, perSecond, seconds] = values.load.split(',').map(Number)
  process.stdout.write(`${JSON.stringify(await load(port, perSecond, seconds))}\n`)
  process.exit(0)
}
