/**
 * `node bench/switch.ts`: switches between blue and green under full load on 64 keep-alive connections, and what the
 * clients notice of it. Must be: no failed request, and none that was sent after the answer to a switch at the old pool.
 * Fails when either is not so; never because of a time. The load is bench/switch-load.ts.
 *
 * With `--instances N` the same of so many instances on one Redis (its program must be installed): connections to all of them, and each
 * switch sent to one by chance.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median, quantile } from './measure.ts'
import { positive, readOptions } from './options.ts'
import { CONNECTIONS } from './peers/peer.ts'
import { startTurnout } from './peers/turnout.ts'
import { freePort } from './ports.ts'
import { findProgram, runChild, startChild, waitForPort } from './process.ts'
import { decimal, occasion, writeSection } from './report.ts'
import type { SwitchOutcome } from './switch-load.ts'
import { startTargets } from './targets.ts'

const WORKERS = 2

async function measureSwitches(switches: number, instances: number): Promise<SwitchOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const targets = await startTargets(null)
  const running: { stop(): Promise<void> }[] = [targets]
  try {
    const store = instances === 1 ? 'memory:' : await startRedis(folder, running)
    const proxies: { readonly port: number; readonly adminPort: number }[] = []
    for (let n = 0; n < instances; n++) {
      const own = join(folder, `instance-${n}`)
      mkdirSync(own)
      const config = { blue: targets.blue, green: targets.green, folder: own, core: null }
      const workers = instances === 1 ? WORKERS : 1
      const proxy = await startTurnout(config, { workers, weights: { blue: 1, green: 0 }, process: { store } })
      running.push(proxy)
      proxies.push(proxy)
    }
    const script = new URL('./switch-load.ts', import.meta.url).pathname
    const ports = [proxies.map(({ port }) => port), proxies.map(({ adminPort }) => adminPort), [switches]].map(String)
    return JSON.parse(await runChild([process.execPath, script, ...ports], { core: null }))
  } finally {
    for (const one of running.reverse()) await one.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Its URL; added to what runs. */
async function startRedis(folder: string, running: { stop(): Promise<void> }[]): Promise<string> {
  const program = findProgram('redis-server')
  if (program === null) throw new Error('redis-server is not installed')
  const port = await freePort()
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'yes']
  const child = startChild([program, ...options], { core: null })
  running.push(child)
  await waitForPort(port, child)
  return `redis://127.0.0.1:${port}`
}

function render(outcome: SwitchOutcome, instances: number): string {
  const times = (values: readonly number[]) =>
    [median(values), quantile(values, 0.99), Math.max(...values)].map((value) => decimal(value, 2)).join(' / ')
  return [
    instances === 1 ? '## Switching under load' : `## Switching ${instances} instances on one Redis under load`,
    '',
    occasion(new Date()),
    '',
    '| | |',
    '| --- | ---: |',
    `| switches | ${decimal(outcome.switches, 0)} in ${decimal(outcome.seconds, 1)} s |`,
    `| requests | ${decimal(outcome.requests, 0)} |`,
    `| failed requests | **${outcome.failed}** |`,
    `| sent after the answer to a switch and answered before the next | ${decimal(outcome.judged, 0)} |`,
    `| of these, at the old pool | **${outcome.late}** |`,
    `| \`appliedInMs\`, median / p99 / max | ${times(outcome.appliedInMs)} |`,
    `| the whole admin call in ms, median / p99 / max | ${times(outcome.answeredInMs)} |`,
    '',
    `**How it was measured.** \`node bench/switch.ts${instances === 1 ? '' : ` --instances ${instances}`}\`: ${CONNECTIONS} raw keep-alive connections`,
    instances === 1
      ? `that ask without pause and check every answer, ${WORKERS} workers, nothing pinned, store in memory; switches one after another`
      : 'to all instances, of one worker each, that ask without pause and check every answer; switches one after another, each at an instance by chance,',
    'through the admin API, 256 answers apart. Load, targets and proxy share the machine, so the times include waiting for a core.',
  ].join('\n')
}

const { values, ...options } = readOptions(
  'usage: node bench/switch.ts [options]\n  --switches N        how many (default 1,000; of several instances 200)\n  --instances N       instances on one Redis (default 1, without Redis)',
  null,
  { switches: { type: 'string' }, instances: { type: 'string' } },
)
const instances = positive('--instances', values['instances'] ?? 1)
const usual = options.quick ? 20 : instances === 1 ? 1_000 : 200
const outcome = await measureSwitches(positive('--switches', values['switches'] ?? usual), instances)
if (options.json) console.log(JSON.stringify(outcome))
else {
  const text = render(outcome, instances)
  if (!options.quick) writeSection(instances === 1 ? 'switch' : 'fleet', text)
  console.log(text)
}
for (const reason of outcome.reasons) console.error(`failed: ${reason}`)
process.exitCode = outcome.failed === 0 && outcome.late === 0 ? 0 : 1
