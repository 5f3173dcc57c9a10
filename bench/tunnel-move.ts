/**
 * One move of `bench/tunnels.ts`: clients with WebSockets and event streams on blue, a switch to green, and what status and the clients
 * themselves say of it until all are there.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startTurnout } from './peers/turnout.ts'
import { type Child, firstLine, startChild, waitForPort } from './process.ts'
import type { ClientsAsked, ClientsReport } from './tunnel-clients.ts'
import type { Tally } from './tunnel-targets.ts'

/** Between two messages of a tunnel; 2,000 tunnels have 8,000 a second with that, both ways together. */
export const EVERY_MS = 500
const WORKERS = 2
const LOOK_MS = 500
/** Between two looks at what the proxy has let go. */
const SAMPLE_MS = 200
/** What all have to come back after the time that they are closed over. */
const PATIENCE_MS = 60_000
/** What is on its way arrives meanwhile. */
const SETTLE_MS = 2_000

interface MoveAsked {
  readonly tunnels: number
  readonly readers: number
  readonly overSeconds: number
  /** How long green refuses half of the handshakes after the switch; 0: not at all. */
  readonly refusesMs: number
}

/** What a pool lets go, as status says. */
export interface LetGo {
  readonly before: number
  readonly closed: number
  readonly cut: number
  readonly moved: number
}

export interface Move {
  readonly asked: MoveAsked
  readonly end: ClientsReport
  readonly tally: Tally
  readonly letGo: LetGo
  /** Seconds until nobody was on blue and all were on green, Infinity when that was not so in time. */
  readonly seconds: number
  /** Greatest difference between the share on green by status and by the clients, which are asked one after the other. */
  readonly difference: number
  /** Of what a move is made of, one behind the other: how many in a second. */
  readonly rates: Readonly<Record<Part, Rate>>
  /** Ms of the longest time in which nothing was read by clients, and by targets, meanwhile. */
  readonly stalls: { readonly clients: number; readonly targets: number }
}

/**
 * Closes that the proxy has sent, by its own counters, tunnels and streams; closes of tunnels that clients have read; handshakes that green has
 * read; and tunnels that clients have seen open.
 */
export type Part = 'sent' | 'seen' | 'asked' | 'opened'

export interface Rate {
  /** The most in any second. */
  readonly most: number
  readonly mean: number
}

/** As many connections to one target as a bench may want. */
export const ROOM = { limits: { upstreamConnectionsMax: 20_000 } }

/** Starts the targets; `core` is where they run, null for anywhere. */
export async function startTunnelTargets(core: number | null) {
  const file = fileURLToPath(new URL('./tunnel-targets.ts', import.meta.url))
  const child = startChild([process.execPath, file, String(EVERY_MS)], { core })
  const { blue, green }: { blue: number; green: number } = JSON.parse(await firstLine(child))
  return { blue, green, stop: () => child.stop() }
}

function ask(clients: Child, what: ClientsAsked): Promise<ClientsReport> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error(`the clients have ended: ${clients.errors()}`))
    clients.process.once('exit', gone)
    clients.process.once('message', (report) => {
      clients.process.off('exit', gone)
      resolve(report as ClientsReport)
    })
    clients.process.send(what)
  })
}

interface PoolStatus {
  readonly name: string
  readonly tunnels: number
  readonly letGo: LetGo | null
}

async function poolsOf(adminPort: number): Promise<{ readonly blue: PoolStatus; readonly green: PoolStatus }> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/v1/services/shop/status`)
  const { pools } = (await answer.json()) as { pools: readonly PoolStatus[] }
  const of = (name: string) => pools.find((pool) => pool.name === name)!
  return { blue: of('blue'), green: of('green') }
}

const shareOf = (blue: number, green: number) => (green + blue === 0 ? 0 : green / (green + blue))

/** The most in one second, and how many there are in a second on average, of these times. */
export function perSecond(timesMs: readonly number[]): Rate {
  const sorted = timesMs.toSorted((a, b) => a - b)
  let most = 0
  let first = 0
  for (const [i, ms] of sorted.entries()) {
    while (sorted[first] <= ms - 1_000) first++
    most = Math.max(most, i - first + 1)
  }
  const seconds = Math.max(1, (sorted[sorted.length - 1] - sorted[0]) / 1_000)
  return { most, mean: sorted.length / seconds }
}

/** Moves them once, with a Turnout, targets and clients of its own. */
export async function measureMove(asked: MoveAsked): Promise<Move> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const targets = await startTunnelTargets(null)
  const over = `${asked.overSeconds}s`
  const service = { drain: { timeout: '30s', tunnels: { over, perSecond: 10_000 } }, visitor: ['header:x-user-id'] }
  const config = { blue: targets.blue, green: targets.green, folder, core: null }
  const proxy = await startTurnout(config, { workers: WORKERS, weights: { blue: 1, green: 0 }, service, process: ROOM })
  const script = fileURLToPath(new URL('./tunnel-clients.ts', import.meta.url))
  const words = [proxy.port, asked.tunnels, asked.readers, EVERY_MS].map(String)
  const clients = startChild([process.execPath, script, ...words], { core: null, messages: true })
  try {
    // Clients are served before the admin API is there.
    await waitForPort(proxy.adminPort, proxy.child)
    await allOnBlue(clients, asked.tunnels)
    if (asked.refusesMs > 0) await fetch(`http://127.0.0.1:${targets.green}/refuse?ms=${asked.refusesMs}`)
    const tallyOf = async () => (await (await fetch(`http://127.0.0.1:${targets.green}/tally`)).json()) as Tally
    await Promise.all([ask(clients, 'report'), tallyOf()])
    const [wallMs, startMs] = [Date.now(), performance.now()]
    const sampler = new Sampler(proxy.adminPort)
    await switchTo(proxy.adminPort, 'green')
    const { seconds, difference, stallMs } = await watch(clients, proxy.adminPort, asked, startMs)
    const sent = await sampler.end()
    const stalls = { clients: stallMs, targets: (await tallyOf()).stallMs }
    await ask(clients, 'quiet')
    await sleep(SETTLE_MS)
    const end = await ask(clients, 'report')
    const tally = await tallyOf()
    const { letGo } = (await poolsOf(proxy.adminPort)).blue
    const since = (timesMs: readonly number[]) => perSecond(timesMs.filter((ms) => ms >= wallMs))
    const rates = { sent, seen: since(end.closedMs), asked: since(tally.handshakesMs), opened: since(end.againMs) }
    return { asked, end, tally, letGo: letGo!, seconds, difference, rates, stalls }
  } finally {
    await clients.stop()
    await proxy.stop()
    await targets.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function allOnBlue(clients: Child, tunnels: number): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS
  for (
    let { blue, reasons } = await ask(clients, 'report');
    blue < tunnels;
    { blue, reasons } = await ask(clients, 'report')
  ) {
    if (performance.now() > endMs) throw new Error(`only ${blue} of ${tunnels} are on blue: ${reasons}`)
    await sleep(LOOK_MS)
  }
}

async function switchTo(adminPort: number, to: string): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/v1/services/shop/switch`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ to, wait: '0s' }),
  })
  if (answer.status !== 200) throw new Error(`the switch was answered ${answer.status}: ${await answer.text()}`)
}

/** Looks often at how many the proxy has let go. */
class Sampler {
  readonly #adminPort: number
  readonly #samples: { readonly atMs: number; readonly count: number }[] = []
  readonly #whenOver: Promise<void>
  #isOver = false

  constructor(adminPort: number) {
    this.#adminPort = adminPort
    this.#whenOver = this.#run()
    // Whoever ends it hears of it.
    this.#whenOver.catch(() => {})
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const text = await (await fetch(`http://127.0.0.1:${this.#adminPort}/metrics`)).text()
      const counts = [...text.matchAll(/^turnout_tunnels_let_go_total\{[^}]*\} (\d+)/gm)]
      this.#samples.push({ atMs: performance.now(), count: counts.reduce((sum, [, count]) => sum + Number(count), 0) })
      await sleep(SAMPLE_MS)
    }
  }

  /** The most in a second, between samples that are at least so far apart; and the mean from the first to the last. */
  async end(): Promise<Rate> {
    this.#isOver = true
    await this.#whenOver
    const samples = this.#samples
    const last = samples.findIndex(({ count }) => count === samples[samples.length - 1].count)
    const first = samples.findLastIndex(({ count }) => count === 0)
    const rate = (from: number, to: number) =>
      ((samples[to].count - samples[from].count) * 1_000) / (samples[to].atMs - samples[from].atMs)
    let most = 0
    for (let from = 0, to = 0; to < samples.length; to++) {
      while (samples[from + 1]?.atMs <= samples[to].atMs - 1_000) from++
      if (samples[from].atMs <= samples[to].atMs - 1_000) most = Math.max(most, rate(from, to))
    }
    return { most, mean: rate(Math.max(0, first), last) }
  }
}

async function watch(clients: Child, adminPort: number, { tunnels, readers, overSeconds }: MoveAsked, startMs: number) {
  const endMs = startMs + overSeconds * 1_000 + PATIENCE_MS
  let difference = 0
  let stallMs = 0
  while (performance.now() < endMs) {
    const [{ blue, green }, own] = await Promise.all([poolsOf(adminPort), ask(clients, 'report')])
    difference = Math.max(difference, Math.abs(shareOf(blue.tunnels, green.tunnels) - shareOf(own.blue, own.green)))
    stallMs = Math.max(stallMs, own.stallMs)
    const isThere = own.green === tunnels && own.readersOnGreen === readers && blue.tunnels === 0
    if (isThere) return { seconds: (performance.now() - startMs) / 1_000, difference, stallMs }
    await sleep(LOOK_MS)
  }
  return { seconds: Infinity, difference, stallMs }
}
