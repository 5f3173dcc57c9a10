/**
 * `node bench/profile.ts`: where the CPU time of a small GET goes, in Turnout, nginx, HAProxy, and in a relay that looks at nothing.
 *
 * Three looks at each, one after the other, since each tool disturbs what it looks at: plain rounds for the cost, perf for
 * the shares of the kernel, of the programs and of single functions, strace for the system calls. Those two are used where they are
 * installed (perf is of the package linux-perf), and left out with a remark where they are not.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bestLoad } from './compare.ts'
import { type Contender, costOf, measure, type ScenarioResult, warmUpsOf } from './measure.ts'
import { readOptions, say } from './options.ts'
import { bareRelay } from './peers/bare-relay.ts'
import { haproxy } from './peers/haproxy.ts'
import { nginx } from './peers/nginx.ts'
import type { Running } from './peers/peer.ts'
import { turnoutPeer } from './peers/turnout.ts'
import { findProgram, LOAD_CORE, PROXY_CORE, processTree, startChild } from './process.ts'
import { decimal, occasion, spread, writeSection } from './report.ts'
import { SCENARIOS } from './scenario.ts'
import { startTargets } from './targets.ts'

/** Samples a second; odd, so that they do not fall in step with anything. */
const SAMPLES_HZ = 1_999
const FUNCTIONS = 25
const [small] = SCENARIOS
const perf = findProgram('perf')
const strace = findProgram('strace')

/** Per cent of all samples, by where they fell. */
interface Samples {
  readonly kernel: number
  /** In the program and its libraries. */
  readonly program: number
  /** In JavaScript that was compiled. */
  readonly javascript: number
  readonly functions: readonly (readonly [share: number, name: string])[]
}

async function sample(running: Running, seconds: number, folder: string): Promise<Samples | null> {
  if (perf === null) return null
  const file = join(folder, 'perf.data')
  const pids = processTree(running.pid).join(',')
  const options = ['-q', '-e', 'cpu-clock', '-F', String(SAMPLES_HZ), '-p', pids, '-o', file]
  const recorder = startChild([perf, 'record', ...options, '--', 'sleep', String(seconds)], { core: LOAD_CORE })
  await bestLoad(running.port, small, seconds)
  await recorder.stop()
  const report = (key: string) =>
    parse(
      execFileSync(perf, ['report', '-i', file, '--no-children', '--stdio', '-F', `overhead,${key}`], {
        stdio: ['ignore', 'pipe', 'ignore'],
        maxBuffer: 64e6,
      }).toString(),
    )
  const objects = report('dso')
  const share = (holds: (name: string) => boolean) =>
    objects.reduce((sum, [part, name]) => sum + (holds(name) ? part : 0), 0)
  const kernel = share((name) => name.startsWith('[kernel'))
  const javascript = share((name) => name.startsWith('[JIT]') || name.startsWith('perf-') || name.startsWith('//anon'))
  return { kernel, javascript, program: 100 - kernel - javascript, functions: report('symbol').slice(0, FUNCTIONS) }
}

/** Lines `12.34%  name` of a report. */
function parse(text: string): (readonly [number, string])[] {
  return [...text.matchAll(/^\s*([\d.]+)%\s+(.+?)\s*$/gm)].map(([, share, name]) => [Number(share), readable(name)])
}

/** `[k] name` as `name (kernel)`; a JavaScript function without the folder of its file. */
function readable(name: string): string {
  const [, where, symbol] = /^\[(.)\]\s+(.*?)(?:\s+-)*$/.exec(name) ?? [null, '', name]
  const script = /^JS:\S?(\S+) file:\/\/\S*\/(src\/\S+?):(\d+):\d+$/.exec(symbol)
  if (script !== null) return `${script[1].replace(/^'/, '')} (${script[2]}:${script[3]})`
  return where === 'k' ? `${symbol} (kernel)` : symbol
}

/** System calls per request, by name. */
async function trace(running: Running, seconds: number, folder: string): Promise<ReadonlyMap<string, number> | null> {
  if (strace === null) return null
  const file = join(folder, 'strace.txt')
  const pids = processTree(running.pid).flatMap((pid) => ['-p', String(pid)])
  const tracer = startChild([strace, '-f', '-c', '-o', file, ...pids], { core: LOAD_CORE })
  await sleep(500)
  const { requests } = await bestLoad(running.port, small, seconds)
  tracer.process.kill('SIGINT')
  await new Promise((resolve) => tracer.process.once('exit', resolve))
  const lines = readFileSync(file, 'utf8').matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/gm)
  const calls = [...lines]
    .filter(([, , name]) => name !== 'total')
    .map(([, count, name]) => [name, Number(count) / requests] as const)
  return new Map(calls.filter(([, each]) => each >= 0.005))
}

interface Look {
  readonly name: string
  readonly samples: Samples | null
  readonly calls: ReadonlyMap<string, number> | null
}

function render(result: ScenarioResult, looks: readonly Look[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rows = looks.map(({ name, samples, calls }) => {
    const rounds = result.get(name)!
    const cost = costOf(rounds)
    const part = (share: number | undefined) => (share === undefined ? '–' : decimal((cost * share) / 100, 1))
    const called = calls === null ? '–' : [...calls].map(([call, each]) => `${call} ${decimal(each, 2)}`).join(', ')
    const micros = rounds.map((round) => round.cpuMicros)
    return line([
      name,
      spread(micros, 1),
      part(samples?.kernel),
      part(samples?.program),
      part(samples?.javascript),
      called,
    ])
  })
  const functions = looks.flatMap(({ name, samples }) => {
    if (samples === null || name !== 'Turnout') return []
    const listed = samples.functions.map(([share, symbol]) => line([decimal(share, 2) + ' %', '`' + symbol + '`']))
    return [
      '',
      `Where the samples of ${name} fell, the ${FUNCTIONS} most frequent functions:`,
      '',
      line(['share', 'function']),
      line(['---:', '---']),
      ...listed,
    ]
  })
  const head = ['', 'CPU µs/request', 'kernel µs', 'program µs', 'JavaScript µs', 'system calls per request']
  return [line(head), line(['---', '---:', '---:', '---:', '---:', '---']), ...rows, ...functions]
}

const USAGE = 'usage: node bench/profile.ts [options]'
const options = readOptions(USAGE, { rounds: 3, seconds: 4 })
const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
const targets = await startTargets(LOAD_CORE)
const contenders: Contender[] = []
for (const peer of [
  turnoutPeer('Turnout', { nodeOptions: perf === null ? [] : ['--perf-basic-prof'] }),
  nginx,
  haproxy,
  bareRelay,
]) {
  if (peer.version() === null) continue
  const { blue, green } = targets
  contenders.push({ peer, running: await peer.start({ blue, green, folder, core: PROXY_CORE }) })
}
const { rounds, seconds } = options
const plan = { rounds, seconds, warmUps: warmUpsOf(options), load: bestLoad, report: say }
const result = await measure(contenders, small, plan)
const looks: Look[] = []
for (const { peer, running } of contenders) {
  say(`${peer.name}: perf and strace`)
  const samples = await sample(running, seconds, folder)
  looks.push({ name: peer.name, samples, calls: await trace(running, seconds, folder) })
}
for (const { running } of contenders) await running.stop()
await targets.stop()
rmSync(folder, { recursive: true, force: true })

const missing = [perf === null ? 'perf' : '', strace === null ? 'strace' : ''].filter((name) => name !== '')
const text = [
  '## Where the time of a small GET goes',
  '',
  occasion(new Date()),
  '',
  ...missing.map((name) => `- ${name} is not installed here: its columns are empty`),
  ...render(result, looks),
  '',
  'The relay that looks at nothing is Node with fixed texts: two reads and two writes a request by the handles below node:net, and',
  'no HTTP (bench/peers/bare-relay.ts). What Turnout costs more than it is all that Turnout does; what it costs itself is what no proxy on',
  'Node can save. The shares are those of perf, applied to the cost that was measured without it; for nginx and HAProxy `program` is all',
  'of their own code.',
].join('\n')
if (options.json)
  console.log(JSON.stringify(looks.map(({ name, samples, calls }) => ({ name, samples, calls: calls && [...calls] }))))
else if (!options.quick) writeSection('profile', text)
if (!options.json) console.log(text)
