/**
 * The load: wrk where it is installed and asked for, autocannon otherwise, both as a process of their own on the load core.
 *
 * wrk costs a fraction of what autocannon does, so only with wrk is the proxy's core the one that is full; with autocannon
 * requests/s is the limit of the load, and CPU per request is the figure to read.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CONNECTIONS } from './peers/peer.ts'
import { findProgram, LOAD_CORE, runChild } from './process.ts'
import type { Scenario } from './scenario.ts'

export interface LoadResult {
  readonly requests: number
  /** Broken connections, time-outs and answers other than 2xx. */
  readonly errors: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export type Load = (port: number, scenario: Scenario, seconds: number) => Promise<LoadResult>

const AUTOCANNON = fileURLToPath(new URL('../node_modules/autocannon/autocannon.js', import.meta.url))

/** Load by autocannon; needs no system package. Latencies are in whole milliseconds. */
export const autocannon: Load = async (port, scenario, seconds) => {
  const headers = Object.entries(scenario.headers).flatMap(([name, value]) => ['-H', `${name}=${value}`])
  const folder = mkdtempSync(join(tmpdir(), 'turnout-load-'))
  try {
    const body = join(folder, 'body')
    writeFileSync(body, 'u'.repeat(scenario.bodyBytes))
    const upload = scenario.bodyBytes > 0 ? ['-i', body] : []
    const command = [process.execPath, AUTOCANNON, '-j', '-n', '-c', String(CONNECTIONS), '-d', String(seconds)]
    const url = `http://127.0.0.1:${port}${scenario.path}`
    const text = await runChild([...command, '-m', scenario.method, ...upload, ...headers, url], { core: LOAD_CORE })
    const result = JSON.parse(text.slice(text.indexOf('{')))
    return {
      requests: result['2xx'] + result.non2xx,
      errors: result.errors + result.timeouts + result.non2xx,
      seconds: result.duration,
      p50Ms: result.latency.p50,
      p99Ms: result.latency.p99,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

// wrk prints for people; this script has it print one line of JSON instead. Its times are in microseconds.
const wrkScript = (scenario: Scenario) => `
wrk.method = "${scenario.method}"
${Object.entries(scenario.headers)
  .map(([name, value]) => `wrk.headers["${name}"] = "${value}"`)
  .join('\n')}
${scenario.bodyBytes > 0 ? `wrk.body = string.rep("u", ${scenario.bodyBytes})` : ''}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%d,"errors":%d,"micros":%d,"p50":%f,"p99":%f}\\n', summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
`

/** Load by wrk, one thread. */
export const wrk: Load = async (port, scenario, seconds) => {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-load-'))
  try {
    const script = join(folder, 'load.lua')
    writeFileSync(script, wrkScript(scenario))
    const url = `http://127.0.0.1:${port}${scenario.path}`
    // Its own limit of 2 s would count slow answers as errors.
    const command = [
      'wrk',
      '-t',
      '1',
      '-c',
      String(CONNECTIONS),
      '-d',
      `${seconds}s`,
      '--timeout',
      '15s',
      '-s',
      script,
      url,
    ]
    const text = await runChild(command, { core: LOAD_CORE })
    const line = text.split('\n').find((candidate) => candidate.startsWith('{"requests"'))
    if (line === undefined) throw new Error(`wrk said nothing of use: ${text}`)
    const { requests, errors, micros, p50, p99 } = JSON.parse(line)
    return { requests, errors, seconds: micros / 1e6, p50Ms: p50 / 1000, p99Ms: p99 / 1000 }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Whether wrk can be used here. */
export const wrkInstalled = () => findProgram('wrk') !== null
