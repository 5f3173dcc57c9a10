/**
 * `node bench/switch.ts`: switches between blue and green under full load on 64 keep-alive connections, and what the
 * clients notice of it. Must be: no failed request, and none that was sent after the answer to a switch at the old pool.
 * Fails when either is not so; never because of a time. The load is bench/switch-load.ts.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median, quantile } from './measure.ts'
import { positive, readOptions } from './options.ts'
import { CONNECTIONS } from './peers/peer.ts'
import { startTurnout } from './peers/turnout.ts'
import { runChild } from './process.ts'
import { decimal, occasion, writeSection } from './report.ts'
import type { SwitchOutcome } from './switch-load.ts'
import { startTargets } from './targets.ts'

const WORKERS = 2

async function measureSwitches(switches: number): Promise<SwitchOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const targets = await startTargets(null)
  try {
    const config = { blue: targets.blue, green: targets.green, folder, core: null }
    const proxy = await startTurnout(config, { workers: WORKERS, weights: { blue: 1, green: 0 } })
    const script = new URL('./switch-load.ts', import.meta.url).pathname
    const ports = [proxy.port, proxy.adminPort, switches].map(String)
    try {
      return JSON.parse(await runChild([process.execPath, script, ...ports], { core: null }))
    } finally {
      await proxy.stop()
    }
  } finally {
    await targets.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function render(outcome: SwitchOutcome): string {
  const times = (values: readonly number[]) =>
    [median(values), quantile(values, 0.99), Math.max(...values)].map((value) => decimal(value, 2)).join(' / ')
  return [
    '## Switching under load',
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
    `**How it was measured.** \`node bench/switch.ts\`: ${CONNECTIONS} raw keep-alive connections that ask without pause and`,
    `check every answer, ${WORKERS} workers, nothing pinned, store in memory; switches one after another through the admin`,
    'API, 256 answers apart. Load, targets and proxy share the machine, so the times include waiting for a core.',
  ].join('\n')
}

const { values, ...options } = readOptions(
  'usage: node bench/switch.ts [options]\n  --switches N        how many (default 1,000)',
  null,
  { switches: { type: 'string' } },
)
const outcome = await measureSwitches(positive('--switches', values['switches'] ?? (options.quick ? 20 : 1_000)))
if (options.json) console.log(JSON.stringify(outcome))
else {
  const text = render(outcome)
  if (!options.quick) writeSection('switch', text)
  console.log(text)
}
for (const reason of outcome.reasons) console.error(`failed: ${reason}`)
process.exitCode = outcome.failed === 0 && outcome.late === 0 ? 0 : 1
