/**
 * `node bench/steering.ts`: what the levers between a request and a pool cost: all of them configured and none at work, many rules, each
 * lever alone, and what clients feel of copies that are made of their requests.
 *
 * Each part writes a section of its own as soon as it is through, so what is cut short has lost nothing; `--only all,many` measures some
 * of them. Together they take some ten minutes.
 *
 * CPU per request is compared side by side (pair.ts). For what clients feel, a Turnout without copies, one that copies a tenth to a
 * target that answers, and one whose copies hang, take turns at the same rate (latency-load.ts).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LatencyRound } from './latency-load.ts'
import { median } from './measure.ts'
import { readOptions, say } from './options.ts'
import { measurePair, pairPlan } from './pair.ts'
import { startTurnout, type TurnoutOptions, turnoutPeer } from './peers/turnout.ts'
import { LOAD_CORE, PROXY_CORE, runChild } from './process.ts'
import { decimal, occasion, type Section, spread, writeSection } from './report.ts'
import { SCENARIOS, type Scenario } from './scenario.ts'
import { startTargets } from './targets.ts'

const PARTS = ['all', 'many', 'felt', 'alone'] as const
const options = readOptions(
  `usage: node bench/steering.ts [options]

  --only PARTS        of ${PARTS.join(', ')} (default all of them)`,
  { rounds: 3, seconds: 2 },
  { only: { type: 'string' } },
)
const only = String(options.values['only'] ?? PARTS).split(',')
for (const part of only)
  if (!PARTS.includes(part as (typeof PARTS)[number])) throw new Error(`there is no part ${part}`)

/** What is configured and finds nothing to do under this load. */
const IDLE = {
  rescue: true,
  skew: ['/assets/*', '/favicon.ico'],
  preview: '{pool}.preview.example.com',
  mirror: { pool: 'green', share: 0.0001, compare: true },
  link: 'turnout',
  capacity: { requestsPerTarget: 1_000_000 },
  slowStart: '1s',
  balance: 'least-latency',
  visitor: ['jwt:sub', 'query:uid', 'header:x-user-id', 'cookie'],
  rules: [
    {
      name: 'night',
      when: { time: { days: ['sun'], from: '03:00', until: '03:01', timezone: 'Europe/Berlin' } },
      to: 'green',
    },
    { name: 'abroad', when: { country: ['AQ'] }, to: 'green' },
    { name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' },
  ],
}
/** What of it is set for the process. */
const PROCESS = {
  trustedProxies: ['127.0.0.0/8'],
  country: { header: 'cf-ipcountry' },
  jwt: { secret: 'a secret of the bench, long enough for HS256' },
}
/** Of the others, the one that looks at the requests of all. */
const NO_SAMPLES = { limits: { requestsPerConnectionMax: 1_000_000_000, sampleBytesMax: 0 } }
const ALONE: readonly (readonly [title: string, service: object, process?: object])[] = [
  ['`rescue: true`', { rescue: IDLE.rescue }],
  ['`skew`, two paths', { skew: IDLE.skew }],
  ['`preview`', { preview: IDLE.preview }],
  ['`mirror`, a millionth', { mirror: IDLE.mirror }],
  ['`capacity`, never reached', { capacity: IDLE.capacity }],
  ['`slowStart`, warm', { slowStart: IDLE.slowStart }],
  ['`balance: least-latency`', { balance: IDLE.balance }],
  ['`visitor` by JWT and query first', { visitor: IDLE.visitor }, { jwt: PROCESS.jwt }],
  ['rules by time and country', { rules: IDLE.rules }, PROCESS],
  ['without the sample for dry runs', {}, NO_SAMPLES],
  ['`mirror`, a tenth', { mirror: { pool: 'green', share: 10 } }],
  ['`mirror`, a tenth, compared', { mirror: { pool: 'green', share: 10, compare: true } }],
]

async function costs(
  name: string,
  settings: TurnoutOptions,
  scenarios: readonly Scenario[],
  starts = options.rounds,
  seconds = options.seconds,
): Promise<string[]> {
  const plan = pairPlan({ quick: options.quick, rounds: starts, seconds })
  say(name)
  const found = await measurePair([turnoutPeer('Turnout', {}), turnoutPeer(name, settings)], scenarios, plan)
  return [...found.values()].map(
    (ratios) => `${decimal(median(ratios), 3)} (${ratios.map((ratio) => decimal(ratio, 3)).join(', ')})`,
  )
}

const PER_SECOND = 2_000
const FEELING = ['none', 'a tenth, compared', 'all, to a target that hangs'] as const

/** What clients wait for, in ms: by variant, of each round. */
async function feelings(rounds: number, seconds: number): Promise<ReadonlyMap<string, readonly LatencyRound[]>> {
  const targets = await startTargets(LOAD_CORE)
  const hanging = createServer((socket) => void socket.on('error', () => {}).resume())
  await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve))
  const hung = { version: '0', targets: [`http://127.0.0.1:${(hanging.address() as AddressInfo).port}`] }
  const pools = (green: number, blue: number) => ({
    blue: { version: '1.0', targets: [`http://127.0.0.1:${blue}`] },
    green: { version: '1.1', targets: [`http://127.0.0.1:${green}`] },
    hung,
  })
  const services = [
    {},
    { mirror: { pool: 'green', share: 10, compare: true } },
    // Probes would find it ill, and an ill pool gets no copies.
    {
      pools: pools(targets.green, targets.blue),
      health: undefined,
      mirror: { pool: 'hung', share: 100, compare: true },
    },
  ]
  const folder = mkdtempSync(join(tmpdir(), 'turnout-steering-'))
  const found = new Map<string, LatencyRound[]>(FEELING.map((name) => [name, []]))
  // One at a time, or they would share the core.
  const script = fileURLToPath(new URL('./latency-load.ts', import.meta.url))
  const running = []
  for (const service of services) {
    const own = mkdtempSync(join(folder, 'peer-'))
    running.push(
      await startTurnout({ blue: targets.blue, green: targets.green, folder: own, core: PROXY_CORE }, { service }),
    )
  }
  for (let round = -1; round < rounds; round++) {
    for (let turn = 0; turn < services.length; turn++) {
      const which = (round + 1 + turn) % services.length
      const command = [process.execPath, script, ...[running[which].port, PER_SECOND, seconds].map(String)]
      const result: LatencyRound = JSON.parse(await runChild(command, { core: LOAD_CORE }))
      if (result.failed > 0) throw new Error(`${FEELING[which]}: ${result.failed} requests failed`)
      if (round >= 0) found.get(FEELING[which])!.push(result)
    }
  }
  for (const peer of running) await peer.stop()
  await targets.stop()
  hanging.close()
  rmSync(folder, { recursive: true, force: true })
  return found
}

const scenarios = SCENARIOS.slice(0, options.quick ? 1 : 2)
const HOW = 'CPU per request, both at once on the one core (bench/pair.ts), by start in brackets'

function write(section: Section, title: string, text: string): void {
  const body = `${title}\n\n${occasion(new Date())}\n\n${text}\n`
  if (!options.quick) writeSection(section, body)
  console.log(body)
}

const byScenario = (ratios: readonly string[]) =>
  scenarios.map(({ title }, at) => `- ${title}: ${ratios[at]}`).join('\n')

/** All configured, none at work. */
async function measureAll(): Promise<void> {
  const ratios = await costs('all, idle', { service: IDLE, process: PROCESS }, scenarios)
  write(
    'steering',
    '## Levers between a request and a pool',
    `All configured, none at work (rescue, skew, preview, link, a mirror of a millionth, capacity, slow start, least latency, visitors by
JWT and query, rules by time and country), of what it is without any of them. ${HOW}:

${byScenario(ratios)}`,
  )
}

async function measureMany(): Promise<void> {
  const ratios = await costs('1,000 rules, 100,000 visitors', { rules: 1_000, visitors: 100_000 }, scenarios)
  write(
    'steering-many',
    '### 1,000 rules and 100,000 visitors',
    `Rules by header, cookie, visitor and network, and one by a file of 100,000 visitors, none of which matches, against one rule (more under
"Many routes, many rules"). ${HOW}:

${byScenario(ratios)}`,
  )
}

async function measureFelt(): Promise<void> {
  const felt = await feelings(options.quick ? 1 : 5, options.quick ? 1 : 3)
  const cells = (rounds: readonly LatencyRound[]) =>
    [rounds.map(({ p50Ms }) => p50Ms), rounds.map(({ p99Ms }) => p99Ms)].map((ms) => spread(ms, 3)).join(' | ')
  write(
    'steering-felt',
    '### What clients feel of copies',
    `At ${decimal(PER_SECOND, 0)} requests/s, in ms, median of rounds in turn, least and greatest in brackets; none failed:

| copies | p50 | p99 |
| --- | ---: | ---: |
${[...felt].map(([name, rounds]) => `| ${name} | ${cells(rounds)} |`).join('\n')}`,
  )
}

/** By many starts of short rounds: what differs, differs from start to start. */
async function measureAlone(): Promise<void> {
  const lines: string[] = []
  for (const [title, service, process = {}] of options.quick ? ALONE.slice(0, 1) : ALONE) {
    const [ratio] = await costs(title, { service, process }, SCENARIOS.slice(0, 1), Math.ceil(options.rounds / 2), 1)
    lines.push(`- ${title}: ${ratio}`)
    write(
      'steering-alone',
      '### Each lever alone',
      `Small GET, of what it is without. A tenth of the requests copied is a tenth more requests to the targets, by the same process. ${HOW};
rounds are short, so a few per cent here are noise:

${lines.join('\n')}`,
    )
  }
}

const MEASURES = { all: measureAll, many: measureMany, felt: measureFelt, alone: measureAlone }
for (const part of PARTS) if (only.includes(part)) await MEASURES[part]()
process.exit(0)
