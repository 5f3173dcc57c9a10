/**
 * `node bench/hold.ts`: switches under a hold, with a hook that takes its time, while one service is asked 500 times a second and another one
 * beside it as often. Must be: not one failed request, and every connection answered in its order; once the answer to the switch has come, all
 * at the new pool; with a hook that says no nothing has moved; with a queue that is too short 503 with Retry-After, as often as the counter
 * says. Fails when that is not so; never because of a time.
 *
 * What the other service notices is in the table: before, while the first is held, in the second from the release on, after that, and in a second in
 * which as many requests more come at about the pace of the release, and none is held: what both of these have in common is the price of the requests. Its
 * target is asked directly at the same moments, by a process of its own, since load and targets share a core: what both notice is not the
 * proxy's. The loads are bench/hold-load.ts, one process each.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { HoldLoad } from './hold-load.ts'
import { quantile } from './measure.ts'
import { positive, readOptions, say } from './options.ts'
import { startPeer } from './peers/peer.ts'
import { MAIN } from './peers/turnout.ts'
import { freePort } from './ports.ts'
import { type Child, LOAD_CORE, PROXY_CORE, startChild } from './process.ts'
import { decimal, occasion, writeSection } from './report.ts'
import { startTargets } from './targets.ts'

const PER_SECOND = 500
const CONNECTIONS = 2_000
const OTHER_CONNECTIONS = 64
/** Of the hold that is too short for all. */
const QUEUE = 100
const HOLD_MS = 10_000
const PHASES = ['before', 'held', 'released', 'after', 'burst'] as const
type Phase = (typeof PHASES)[number]

interface Counted {
  readonly shop: HoldLoad
  readonly other: HoldLoad
  readonly direct: HoldLoad
}
type Round = Readonly<Record<Phase, Counted>> & { readonly status: number; readonly body: Record<string, unknown> }

const { values, ...options } = readOptions(
  'usage: node bench/hold.ts [options]\n  --hook MS           how long the hook takes (default 3,000)',
  { rounds: 5, seconds: 3 },
  { hook: { type: 'string' } },
)
const hookMs = positive('--hook', values['hook'] ?? (options.quick ? 500 : 3_000))

function startLoad(port: number, host: string, connections: number): Child {
  const script = fileURLToPath(new URL('./hold-load.ts', import.meta.url))
  const words = [port, host, PER_SECOND, connections].map(String)
  return startChild([process.execPath, script, ...words], { core: LOAD_CORE, messages: true })
}

async function countedBy(child: Child): Promise<HoldLoad> {
  const answer = once(child.process, 'message')
  child.process.send('count')
  return (await answer)[0] as HoldLoad
}

const pool = (port: number) => ({ targets: [`http://127.0.0.1:${port}`] })
const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
const [targets, others] = [await startTargets(LOAD_CORE), await startTargets(LOAD_CORE)]
const [port, adminPort] = [await freePort(), await freePort()]
const admin = `http://127.0.0.1:${adminPort}`
const file = join(folder, 'turnout.yaml')
writeFileSync(
  file,
  JSON.stringify({
    listeners: [{ address: `127.0.0.1:${port}` }],
    admin: { address: `127.0.0.1:${adminPort}` },
    workers: 1,
    store: `sqlite:${join(folder, 'turnout.db')}`,
    log: { level: 'error', access: false },
    services: {
      shop: {
        routes: [{ host: 'shop' }],
        pools: { blue: pool(targets.blue), green: pool(targets.green) },
        live: 'blue',
        health: { path: '/health', interval: '1s' },
      },
      other: { routes: [{ host: 'other' }], pools: { blue: pool(others.blue) }, live: 'blue' },
    },
  }),
)
let hookStatus = 200
const hook = createServer((request, response) => {
  request.resume()
  setTimeout(() => response.writeHead(hookStatus).end(), hookMs)
}).listen(0, '127.0.0.1')
await once(hook, 'listening')
const hookUrl = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/migrate`

let present: 'blue' | 'green' = 'blue'
const running: { stop(): Promise<void> }[] = [targets, others]
const loads: Child[] = []

async function counted(): Promise<Counted> {
  const [shop, other, direct] = await Promise.all(loads.map(countedBy))
  return { shop, other, direct }
}

/** How many requests were held at the end, if the answer to the switch says so. */
const waitedOf = (body: Record<string, unknown>): number | undefined =>
  (body['held'] as { requests: number } | undefined)?.requests

/** One switch to the pool that has nothing, with what happened before, while it was held, and after. */
async function round(hold: object = {}): Promise<Round> {
  const to = present === 'blue' ? 'green' : 'blue'
  await counted()
  await sleep(options.seconds * 1_000)
  const before = await counted()
  const answer = await fetch(`${admin}/v1/services/shop/switch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ to, hold: { for: `${HOLD_MS}ms`, ...hold }, hook: { url: hookUrl } }),
  })
  const body = (await answer.json()) as Record<string, unknown>
  const held = await counted()
  await sleep(1_000)
  const released = await counted()
  await sleep(options.seconds * 1_000)
  const after = await counted()
  loads[0].process.send(`burst ${waitedOf(body) ?? QUEUE}`)
  await sleep(1_000)
  const burst = await counted()
  if (answer.ok) present = to
  return { before, held, released, after, burst, status: answer.status, body }
}

/** Of the requests that the proxy's counter says were refused at a full queue. */
async function shedByCounter(): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`)).text()
  return Number(/^turnout_held_shed_total\{[^}]*reason="full"[^}]*\} (\d+)/m.exec(text)?.[1] ?? 0)
}

const faults: string[] = []
/** Notes what must not be. */
function judge(name: string, made: Round, status: number): void {
  if (made.status !== status) faults.push(`${name}: answered ${made.status}, ${JSON.stringify(made.body)}`)
  for (const phase of PHASES) {
    for (const [who, load] of Object.entries(made[phase])) {
      if (load.failed > 0) faults.push(`${name}, ${phase}: ${load.failed} of ${who} failed: ${load.reasons.join('; ')}`)
    }
  }
  const old = present === 'blue' ? 'green' : 'blue'
  if (made.after.shop[old] > 0) faults.push(`${name}: ${made.after.shop[old]} answers of ${old} after all that`)
  if (made.after.shop.owed > CONNECTIONS) faults.push(`${name}: ${made.after.shop.owed} wait without an answer`)
}

const switched: Round[] = []
let refusedHook: Round
let full: Round
let shed = 0
try {
  const proxy = await startPeer([process.execPath, MAIN, 'serve', '--config', file], port, { core: PROXY_CORE })
  running.push(proxy)
  while (!(await fetch(`${admin}/readyz`).catch(() => null))?.ok) await sleep(20)
  loads.push(
    startLoad(port, 'shop', CONNECTIONS),
    startLoad(port, 'other', OTHER_CONNECTIONS),
    startLoad(others.blue, 'other', OTHER_CONNECTIONS),
  )
  running.push(...loads)
  await sleep(2_000)
  for (let n = 0; n < options.rounds; n++) {
    const made = await round()
    judge(`switch ${n + 1}`, made, 200)
    switched.push(made)
    say(`${n + 1}/${options.rounds}: ${JSON.stringify(made.body['held'])}`)
  }
  hookStatus = 422
  refusedHook = await round()
  judge('a hook that says no', refusedHook, 409)
  hookStatus = 200
  full = await round({ queue: QUEUE })
  judge('a full queue', full, 200)
  shed = await shedByCounter()
  const refused = PHASES.reduce((sum, phase) => sum + full[phase].shop.refused, 0)
  if (refused !== shed || refused === 0)
    faults.push(`a full queue: ${refused} were refused, and the counter says ${shed}`)
} finally {
  for (const one of running.reverse()) await one.stop()
  hook.close()
  hook.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
}

const timesOf = (rounds: readonly Round[], phase: Phase, who: keyof Counted): readonly number[] =>
  rounds.flatMap((made) => made[phase][who].timesMs)
const figures = (times: readonly number[]): string =>
  [quantile(times, 0.5), quantile(times, 0.99), Math.max(...times)].map((ms) => decimal(ms, 1)).join(' / ')
const sum = (rounds: readonly Round[], of: (load: HoldLoad) => number): number =>
  rounds.reduce((all, made) => all + PHASES.reduce((some, phase) => some + of(made[phase].shop), 0), 0)
const row = (name: string, rounds: readonly Round[]): string => {
  const answered = sum(rounds, ({ blue, green }) => blue + green)
  const waits = rounds.map(({ body }) => waitedOf(body) ?? '–')
  const cells = [answered, sum(rounds, ({ failed }) => failed), sum(rounds, ({ refused }) => refused)]
  return `| ${[name, ...cells.map((count) => decimal(count, 0)), waits.join(', ')].join(' | ')} |`
}
const text = [
  '## Switches under a hold',
  '',
  occasion(new Date()),
  '',
  `| ${PER_SECOND} requests/s, a hook of ${decimal(hookMs, 0)} ms | answered | failed or out of order | 503 with Retry-After | waited at the end |`,
  '| --- | ---: | ---: | ---: | ---: |',
  row(`${switched.length} switches`, switched),
  row('a hook that says no', [refusedHook]),
  row(`room for ${QUEUE} (the counter says ${decimal(shed, 0)})`, [full]),
  '',
  `| another service, ${PER_SECOND} requests/s, ms, median / p99 / max | through the proxy | its target directly |`,
  '| --- | ---: | ---: |',
  ...PHASES.map((phase) => {
    const told = {
      before: 'before',
      held: 'while the first is held',
      released: 'in the second from the release on',
      after: 'after that',
      burst: 'in a second with as many requests more, none held',
    }
    return `| ${told[phase]} | ${figures(timesOf(switched, phase, 'other'))} | ${figures(timesOf(switched, phase, 'direct'))} |`
  }),
  '',
  '**How it was measured.** `node bench/hold.ts`: one worker on a core of its own; three loads and the targets on the other one, a process each. Requests leave at',
  'fixed moments, answered or not, and are timed from there, half of them writes; nine of ten over 2,000 connections, the others over ten that ask on before they are answered.',
  'They are numbered, and each answer must be that of the first request of its connection that waits.',
  'The service is held as a whole; a switch is good when all that is asked after its answer is with the new pool, and with a hook that says no nothing has moved.',
].join('\n')
if (options.json) console.log(JSON.stringify({ switched, refusedHook, full, shed }))
else {
  if (!options.quick) writeSection('hold', text)
  console.log(text)
}
for (const fault of faults) console.error(fault)
process.exitCode = faults.length === 0 ? 0 : 1
