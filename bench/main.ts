/**
 * `npm run bench`: Turnout beside a plain node:http proxy, load by autocannon; needs nothing that npm does not install.
 * `npm run bench:peers`: the same beside nginx, HAProxy and two Node proxies, load by wrk.
 *
 * Order: start the targets and every proxy, prove each one correct, measure those that are, write the report. A proxy that
 * answers wrongly is named with what was wrong and is not measured; when it is one of ours, the bench fails. Nothing here
 * ever fails because of a time.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checkPeer } from './check.ts'
import { autocannon, wrk, wrkInstalled } from './load.ts'
import { type Contender, measure, type ScenarioResult } from './measure.ts'
import { fastifyProxy } from './peers/fastify.ts'
import { haproxy } from './peers/haproxy.ts'
import { httpProxy3 } from './peers/http-proxy-3.ts'
import { nginx } from './peers/nginx.ts'
import { nodeHttp } from './peers/node-http.ts'
import { CONNECTIONS, GREEN_PERCENT, type Peer } from './peers/peer.ts'
import { turnout } from './peers/turnout.ts'
import { LOAD_CORE, PROXY_CORE, pinned } from './process.ts'
import { renderReport, writeSection } from './report.ts'
import { SCENARIOS, type Scenario } from './scenario.ts'
import { startTargets } from './targets.ts'

const PEERS: readonly Peer[] = [turnout, nginx, haproxy, nodeHttp, httpProxy3, fastifyProxy]
const QUICK_SECONDS = 1

const USAGE = `usage: node bench/main.ts [options]
  --peers             beside nginx, HAProxy, http-proxy-3 and @fastify/http-proxy, load by wrk
  --rounds N          rounds of each proxy and scenario (default 5)
  --seconds N         length of a round and of the warm-up before (default 2)
  --only A,B          only proxies whose name contains one of these
  --scenario A,B      only these scenarios: ${SCENARIOS.map(({ name }) => name).join(', ')}
  --quick             one short round, small GET only, no report: fails when one of ours is not correct
  --json              print the rounds as JSON instead of writing bench/RESULTS.md`

interface Options {
  readonly peers: boolean
  readonly rounds: number
  readonly seconds: number
  readonly only: readonly string[] | null
  readonly scenarios: readonly Scenario[]
  readonly quick: boolean
  readonly json: boolean
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      peers: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '2' },
      only: { type: 'string' },
      scenario: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    process.exit(0)
  }
  const wanted = values.quick ? ['small'] : values.scenario?.split(',')
  return {
    peers: values.peers,
    rounds: values.quick ? 1 : positive('--rounds', values.rounds),
    seconds: values.quick ? QUICK_SECONDS : positive('--seconds', values.seconds),
    only: values.only?.toLowerCase().split(',') ?? null,
    scenarios: SCENARIOS.filter(({ name }) => wanted?.includes(name) ?? true),
    quick: values.quick,
    json: values.json,
  }
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} must be a whole number from 1`)
  return value
}

/** Progress and remarks go to standard error, so that `--json` can be piped. */
const say = (line: string) => void process.stderr.write(`${line}\n`)

interface Field {
  readonly contenders: readonly Contender[]
  readonly left: readonly string[]
  /** True when one of our own proxies did not start or is not correct. */
  readonly failed: boolean
}

async function prepare(options: Options, ports: { blue: number; green: number }, folder: string): Promise<Field> {
  const contenders: Contender[] = []
  const left: string[] = []
  let failed = false
  for (const peer of PEERS) {
    if (!options.peers && !peer.always) continue
    if (options.only !== null && !options.only.some((part) => peer.name.toLowerCase().includes(part))) continue
    if (peer.version() === null) {
      left.push(`${peer.name}: not installed here`)
      continue
    }
    const own = join(folder, String(contenders.length + left.length))
    mkdirSync(own)
    try {
      const running = await peer.start({ blue: ports.blue, green: ports.green, folder: own, core: PROXY_CORE })
      const faults = await checkPeer(running.port, [ports.blue, ports.green])
      if (faults.length === 0) contenders.push({ peer, running })
      else await running.stop()
      left.push(...faults.map((fault) => `${peer.name}: not measured, since this does not hold: ${fault}`))
      failed ||= faults.length > 0 && peer.ours
    } catch (error) {
      left.push(`${peer.name}: ${error instanceof Error ? error.message.trim() : String(error)}`)
      failed ||= peer.ours
    }
    say(`${peer.name}: ${contenders.at(-1)?.peer === peer ? 'correct' : 'left out'}`)
  }
  for (const line of left) say(line)
  return { contenders, left, failed }
}

function method(options: Options, load: string): string {
  const place = pinned
    ? `Proxy on core ${PROXY_CORE}, load and targets on core ${LOAD_CORE}.`
    : 'Nothing was pinned to a core here.'
  return [
    `${place} ${CONNECTIONS} keep-alive connections by ${load}; ${options.rounds} rounds of ${options.seconds} s each after`,
    `a warm-up as long; the proxies take turns. All do the same job: two pools ${100 - GREEN_PERCENT} : ${GREEN_PERCENT} by weight, a header`,
    'rule, request id, X-Forwarded-For, -Proto, -Host (nginx, HAProxy and Turnout also Forwarded and Via, and the id to the client), keep-alive to the targets, no access log, one worker with one',
    'thread. Turnout also keeps visitors, counts per target and probes health. Each had passed the checks in',
    'bench/check.ts before it was measured. The targets are one small raw-socket process (bench/upstream.ts).',
  ].join('\n')
}

async function run(options: Options): Promise<boolean> {
  const useWrk = options.peers && wrkInstalled()
  const load = useWrk ? wrk : autocannon
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const targets = await startTargets(LOAD_CORE)
  const { contenders, left, failed } = await prepare(options, targets, folder)
  const results: (readonly [Scenario, ScenarioResult])[] = []
  const plan = { rounds: options.rounds, seconds: options.seconds, load, report: say }
  for (const scenario of options.scenarios) results.push([scenario, await measure(contenders, scenario, plan)])
  for (const { running } of contenders) await running.stop()
  await targets.stop()
  rmSync(folder, { recursive: true, force: true })

  const wrong = contenders.filter(
    ({ peer }) => peer.ours && results.some(([, result]) => result.get(peer.name)!.some((round) => round.errors > 0)),
  )
  for (const { peer } of wrong) say(`${peer.name}: requests failed under load`)
  if (options.json) {
    const plain = results.map(([scenario, result]) => [scenario.name, Object.fromEntries(result)])
    console.log(JSON.stringify({ left, results: Object.fromEntries(plain) }, null, 2))
  } else {
    const text = renderReport({
      title: options.peers ? 'Beside its peers' : 'Beside plain node:http',
      date: new Date(),
      versions: contenders.map(({ peer }) => [peer.name, peer.version() ?? '?'] as const),
      results,
      left,
      method: method(options, useWrk ? 'wrk' : 'autocannon'),
      yardsticks: options.peers ? ['nginx', 'HAProxy'] : [nodeHttp.name],
    })
    if (!options.quick) writeSection(options.peers ? 'peers' : 'own', text)
    console.log(text)
  }
  return !failed && wrong.length === 0
}

process.exitCode = (await run(readOptions())) ? 0 : 1
