/**
 * Turnout against itself, one thing changed: `node bench/variants.ts size`, `log` or `workers`.
 *
 *   size     1 route and 1 rule, against 10,000 routes, against 1,000 rules, against these and a file of 100,000 visitors
 *   log      access log off, against on, written to a file by standard output, and nginx and HAProxy that write theirs
 *   workers  1 worker against 2
 *
 * The variants take turns as the peers do in bench/main.ts, and CPU per request is compared in the same way: it is that of
 * the whole process, so what the main thread does for the log is in it.
 */
import { createReadStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bestLoad, type Compared, type Comparison, compare, methodOf } from './compare.ts'
import { costOf, type ScenarioResult } from './measure.ts'
import { readOptions } from './options.ts'
import { haproxy } from './peers/haproxy.ts'
import { nginx } from './peers/nginx.ts'
import { logged, type Peer, type Running } from './peers/peer.ts'
import { turnoutPeer } from './peers/turnout.ts'
import { PROXY_CORE } from './process.ts'
import { decimal, renderReport, type Section, writeSection } from './report.ts'
import { SCENARIOS, type Scenario } from './scenario.ts'

interface Group {
  readonly title: string
  /** The first one is what the others are set against. */
  readonly peers: readonly Peer[]
  readonly scenarios: readonly Scenario[]
  readonly core: number | null
  /** What the figures are about, for the report. */
  remarks(compared: Compared): Promise<string>
}

const [small, browser] = SCENARIOS
const matching: Scenario = {
  ...browser,
  name: 'rule',
  title: 'the same, matching the last rule',
  headers: { ...browser.headers, 'X-Internal': '1' },
}

/** Cost of a variant over that of the first one, e.g. `1.03`. */
function ratios(result: ScenarioResult): readonly (readonly [name: string, ratio: number])[] {
  const costs = [...result].map(([name, rounds]) => [name, costOf(rounds)] as const)
  return costs.slice(1).map(([name, cost]) => [name, cost / costs[0][1]] as const)
}

const size = (): Group => ({
  title: 'Many routes, many rules',
  peers: [
    turnoutPeer('1 route, 1 rule', {}),
    turnoutPeer('10,000 routes', { routes: 10_000 }),
    turnoutPeer('1,000 rules', { rules: 1_000 }),
    turnoutPeer('1,000 rules, 100,000 visitors', { rules: 1_000, visitors: 100_000 }),
  ],
  scenarios: [small, browser, matching],
  core: PROXY_CORE,
  remarks: async () =>
    [
      'The routes are exact hosts, wildcard hosts and paths, a third each; requests take the one for any host and path, so the',
      'others are all looked for and not found. The rules are by header, cookie, visitor and network, a quarter each, five',
      'names each with many values; in the first two scenarios none matches, in the third the last one does.',
      'The visitors stand in a file that one more rule names; a request that has a visitor key, as those with our cookie do, is looked up there.',
    ].join('\n'),
})

function log(): Group {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-log-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'access.log')
  const logging = watched(turnoutPeer('access log on', { accessLog: true }, { stdout: file }))
  const files = new Map(
    [nginx, haproxy].map((peer) => [logged(peer, join(folder, peer.name)), join(folder, peer.name)]),
  )
  return {
    title: 'Access log',
    peers: [turnoutPeer('access log off', {}), logging.peer, ...files.keys()],
    scenarios: [small, browser],
    core: PROXY_CORE,
    async remarks({ peers }) {
      const lines = await countLines(file)
      const requests = sum(logging.requests)
      const others = await Promise.all(
        [...files]
          .filter(([peer]) => peers.includes(peer))
          .map(
            async ([peer, own]) =>
              `- ${peer.name}: version ${peer.version()}, ${decimal(await countLines(own), 0)} lines`,
          ),
      )
      return [
        'One JSON line a request, on standard output, into a file: batches go from the worker to the main thread, which writes',
        `them. Lines in the file for the ${decimal(requests, 0)} requests of the whole run: ${decimal(lines, 0)}.`,
        'The others write JSON lines with what they know of the same: nginx in batches of 64 KiB, HAProxy on standard output.',
        '',
        ...others,
      ].join('\n')
    },
  }
}

function workers(): Group {
  const two = watched(turnoutPeer('2 workers', { workers: 2 }))
  return {
    title: 'Two workers',
    peers: [turnoutPeer('1 worker', {}), two.peer],
    scenarios: [small, browser],
    core: null,
    async remarks({ results }) {
      const total = sum(two.requests)
      const shares = two.requests.map((requests) => decimal((100 * requests) / total, 0)).join(' : ')
      return [
        '**Capacity.** The capacity of one worker is the requests that it answers for each second of CPU that the process spends;',
        'that of two is twice the same figure of the process with two. The load and the targets are not counted: on a machine',
        `of two cores they take turns with the workers, so requests/s cannot double here. The two workers shared the requests ${shares}.`,
        '',
        ...results.map(([scenario, result]) => {
          const [, ratio] = ratios(result)[0]
          return `- ${scenario.title}: two workers have ${decimal(2 / ratio, 2)} × the capacity of one`
        }),
      ].join('\n')
    },
  }
}

/** The peer, and the requests that each of its workers has counted when it is stopped. */
function watched(peer: Peer): { peer: Peer; requests: number[] } {
  const requests: number[] = []
  const start: Peer['start'] = async (config) => {
    const running = (await peer.start(config)) as Running & { adminPort: number }
    const stop = async () => {
      const metrics = await (await fetch(`http://127.0.0.1:${running.adminPort}/metrics`)).text()
      requests.push(...[...metrics.matchAll(/^turnout_worker_requests_total\{.*\} (\d+)$/gm)].map(([, n]) => Number(n)))
      await running.stop()
    }
    return { ...running, stop }
  }
  return { peer: { ...peer, start }, requests }
}

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0)

async function countLines(file: string): Promise<number> {
  let lines = 0
  for await (const chunk of createReadStream(file)) for (const byte of chunk as Buffer) if (byte === 10) lines++
  return lines
}

const GROUPS = { size, log, workers } satisfies Partial<Record<Section, () => Group>>
const USAGE = `usage: node bench/variants.ts ${Object.keys(GROUPS).join('|')} [options]`

const [name] = parseArgs({ strict: false, allowPositionals: true }).positionals
const group = GROUPS[name as keyof typeof GROUPS]?.()
if (group === undefined) throw new Error(USAGE)
const options = readOptions(USAGE, { rounds: 7, seconds: 2 })
const comparison: Comparison = { ...group, options, load: bestLoad }
const compared = await compare(comparison)
if (options.json) console.log(JSON.stringify(compared.results.map(([{ name }, result]) => [name, [...result]])))
else {
  const text = renderReport({
    title: group.title,
    date: new Date(),
    versions: [['Turnout', compared.peers[0]?.version() ?? '?']],
    results: compared.results,
    left: compared.left,
    method: methodOf(comparison),
    remarks: await group.remarks(compared),
    yardsticks: [group.peers[0].name],
  })
  if (!options.quick) writeSection(name as Section, text)
  console.log(text)
}
process.exitCode = compared.failed ? 1 : 0
