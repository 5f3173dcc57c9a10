import { once } from 'node:events'
import { mkdtempSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { checkPeer } from '../../bench/check.ts'
import { median, quantile, type Round } from '../../bench/measure.ts'
import { caddy } from '../../bench/peers/caddy.ts'
import { CADDY, goProgramPath } from '../../bench/peers/go-program.ts'
import { kamalProxy } from '../../bench/peers/kamal-proxy.ts'
import { nodeHttp } from '../../bench/peers/node-http.ts'
import { findSourceProgram, NGINX, sourceProgramPath } from '../../bench/peers/source-program.ts'
import { startTurnout, turnoutConfiguration } from '../../bench/peers/turnout.ts'
import { cpuMicros, runChild, startChild } from '../../bench/process.ts'
import { OF_RESULTS, renderReport, renderTable, replaceSection } from '../../bench/report.ts'
import { startTargets, type Targets } from '../../bench/targets.ts'
import { toldVersion } from '../../bench/versions.ts'
import { parseSpec, printFault } from '../../src/config/load.ts'

describe('the correctness checks', () => {
  let targets: Targets
  const folder = mkdtempSync(join(tmpdir(), 'turnout-test-'))
  beforeAll(async () => {
    targets = await startTargets(null)
  })
  afterAll(async () => {
    await targets.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  test.skipIf(process.platform !== 'linux')(
    'Turnout runs in its own folder, where it leaves what it keeps by itself',
    async () => {
      const { blue, green } = targets
      const running = await startTurnout({ blue, green, folder, core: null }, {})
      try {
        expect(readlinkSync(`/proc/${running.pid}/cwd`)).toBe(realpathSync(folder))
      } finally {
        await running.stop()
      }
    },
  )

  test('a proxy that does its job passes all of them', async () => {
    const { blue, green } = targets
    const running = await nodeHttp.start({ blue, green, folder, core: null })
    try {
      expect(await checkPeer(running.port, [blue, green])).toEqual([])
    } finally {
      await running.stop()
    }
  })

  test('what only passes bytes on fails those about pools, ids and forwarded fields', async () => {
    const faults = await checkPeer(targets.blue, [targets.blue, targets.green])
    expect(faults).toEqual([
      expect.stringContaining('the forwarded fields'),
      expect.stringContaining('gets one of its own'),
      expect.stringContaining('header rule'),
      expect.stringContaining('split'),
    ])
  })

  test('what a peer cannot do by its nature is left out, the rest is not', async () => {
    const faults = await checkPeer(targets.blue, [targets.blue, targets.green], kamalProxy.cannot)
    expect(faults).toEqual([
      expect.stringContaining('the forwarded fields'),
      expect.stringContaining('gets one of its own'),
    ])
  })
})

describe('the load for latency', () => {
  let targets: Targets
  beforeAll(async () => {
    targets = await startTargets(null)
  })
  afterAll(() => targets.stop())
  const script = fileURLToPath(new URL('../../bench/latency-load.ts', import.meta.url))
  const load = async (port: number) =>
    JSON.parse(await runChild([process.execPath, script, String(port), '300', '0.4'], { core: null }))

  test('every request that was due is answered and timed', async () => {
    const round = await load(targets.blue)
    expect(round).toMatchObject({ requests: 120, failed: 0 })
    expect(round.p99Ms).toBeGreaterThanOrEqual(round.p50Ms)
    expect(round.p50Ms).toBeGreaterThan(0)
  })

  test('answers that are not what was asked for, and those that never come, are failed requests', async () => {
    const silent = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const wrong = Buffer.from(`HTTP/1.1 503 No\r\nContent-Length: 100\r\n\r\n${'blue'.padEnd(100, '.')}`)
    const refusing = createServer((socket) => socket.on('data', () => socket.write(wrong))).listen(0, '127.0.0.1')
    await once(refusing, 'listening')
    try {
      for (const server of [silent, refusing]) {
        expect(await load((server.address() as AddressInfo).port)).toMatchObject({ requests: 0, failed: 120 })
      }
    } finally {
      silent.close()
      refusing.close()
    }
  })
})

describe('the proxies that are measured', () => {
  const config = { blue: 1, green: 2, folder: '', core: null }

  test('Turnout with many routes and rules has a valid config, all of whose names differ', () => {
    const text = turnoutConfiguration(config, { routes: 500, rules: 300, workers: 2, accessLog: true }, 3, 4)
    const loaded = parseSpec(text, { env: {}, source: 'bench' })
    if ('faults' in loaded) throw new Error(loaded.faults.map(printFault).join('\n'))
    const { routes, rules } = loaded.spec.services['shop']
    expect(routes).toHaveLength(500)
    expect(rules).toHaveLength(300)
    expect(rules.at(-1)?.name).toBe('staff')
    expect(loaded.spec).toMatchObject({ workers: 2, log: { access: true } })
  })

  test('a peer in Go is there only once it was built into the cache', () => {
    const cache = mkdtempSync(join(tmpdir(), 'turnout-test-'))
    vi.stubEnv('TURNOUT_BENCH_CACHE', cache)
    try {
      expect(caddy.version()).toBeNull()
      writeFileSync(goProgramPath(CADDY), '')
      expect(caddy.version()).toBe(CADDY.version.slice(1))
    } finally {
      vi.unstubAllEnvs()
      rmSync(cache, { recursive: true, force: true })
    }
  })

  test('a peer built from source is there only once it was built, and its version is the one that it tells', () => {
    const cache = mkdtempSync(join(tmpdir(), 'turnout-test-'))
    const version = () => toldVersion(findSourceProgram(NGINX), '-v', /nginx\/(\S+)/)
    vi.stubEnv('TURNOUT_BENCH_CACHE', cache)
    try {
      expect(version()).toBeNull()
      writeFileSync(sourceProgramPath(NGINX), '#!/bin/sh\necho "nginx version: nginx/1.2.$#" >&2\n', { mode: 0o755 })
      expect(version()).toBe('1.2.1')
      // Of another kind of machine, for instance.
      writeFileSync(sourceProgramPath(NGINX), '#!/no/such/loader\n')
      expect(version()).toBeNull()
    } finally {
      vi.unstubAllEnvs()
      rmSync(cache, { recursive: true, force: true })
    }
  })
})

describe('the figures', () => {
  test('median and quantile stand on sorted values', () => {
    expect(median([10, 9, 100])).toBe(10)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(quantile([3, 1, 2, 4], 0.99)).toBe(4)
    expect(quantile([3, 1, 2, 4], 0.5)).toBe(3)
  })

  test.skipIf(process.platform !== 'linux')('the CPU time of a process includes that of its children', async () => {
    const work = 'while (process.cpuUsage().user < 300000);process.stdin.resume()'
    const child = startChild(['sh', '-c', `"${process.execPath}" -e '${work}'; true`], { core: null })
    try {
      await expect.poll(() => cpuMicros(child.pid)).toBeGreaterThan(200_000)
    } finally {
      // The grandchild ends with its standard input.
      child.process.stdin?.end()
      await child.stop()
    }
  })
})

describe('the report', () => {
  test('a bench replaces its own section and leaves the others as they were', () => {
    const first = replaceSection('', 'switch', 'old switches', OF_RESULTS)
    const both = replaceSection(first, 'peers', 'figures', OF_RESULTS)
    const again = replaceSection(both, 'switch', 'new switches', OF_RESULTS)
    expect(both).toContain('old switches')
    expect(again).toContain('figures')
    expect(again).toContain('new switches')
    expect(again).not.toContain('old switches')
    expect(again.indexOf('figures')).toBeLessThan(again.indexOf('new switches'))
    expect(replaceSection(again, 'switch', 'new switches', OF_RESULTS)).toBe(again)
  })

  test('versions are named, and not twice for a peer that is named by its version', () => {
    const versions = [['nginx', '1.22.1'] as const, ['nginx 1.28.3', '1.28.3'] as const]
    const head = { title: 'Title', date: new Date(0), left: [], method: 'By hand.', yardsticks: [], results: [] }
    expect(renderReport({ ...head, versions })).toContain('\nnginx 1.22.1 · nginx 1.28.3\n')
  })

  test('a table gives medians, spread and the ratio to the yardstick, cheapest first', () => {
    const round = (cpuMicros: number, requestsPerSecond: number): Round => {
      return { requests: 1000, errors: 1, requestsPerSecond, cpuMicros, busy: 0.5, p50Ms: 1, p99Ms: 2 }
    }
    const rows = renderTable(
      new Map([
        ['nginx', [round(20, 1000), round(24, 1200), round(22, 1100)]],
        ['Turnout', [round(11, 2000)]],
      ]),
      ['nginx', 'HAProxy'],
    ).split('\n')
    expect(rows[0]).toContain('× nginx')
    expect(rows[0]).not.toContain('HAProxy')
    expect(rows[2]).toBe('| Turnout | 11.0 (11.0–11.0) | 0.50 | 2,000 (2,000–2,000) | 50 % | 1.00 | 2.00 | 1 |')
    expect(rows[3]).toBe('| nginx | 22.0 (20.0–24.0) | 1.00 | 1,100 (1,000–1,200) | 50 % | 1.00 | 2.00 | 3 |')
  })
})
