/** Rollouts that are judged by what a real Prometheus knows of both versions. */

import { writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { http } from '../helpers/http.ts'
import { program, start } from '../helpers/programs.ts'
import { call, type Proxy as TestProxy, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { current, ROLLOUTS, startAlike, turnout } from '../helpers/rollouts.ts'
import { closedPort } from '../helpers/upstream.ts'

const prometheus = program('prometheus')
const LIMIT_MS = 60_000

/** What the apps of both versions tell of themselves: orders that come in at a steady pace, of which some fail. */
interface Apps {
  readonly address: string
  /** Share of the orders that fail, by pool. */
  readonly failing: { green: number; blue: number }
  /** How long a checkout takes, in seconds. */
  readonly seconds: { green: number; blue: number }
}

async function startApps(): Promise<Apps> {
  const failing = { green: 0.05, blue: 0.05 }
  const seconds = { green: 0.2, blue: 0.2 }
  const orders = { green: { all: 0, failed: 0 }, blue: { all: 0, failed: 0 } }
  const pools = ['green', 'blue'] as const
  const timer = setInterval(() => {
    for (const pool of pools) {
      orders[pool].all += 10
      orders[pool].failed += 10 * failing[pool]
    }
  }, 20)
  const server = http.createServer((_request, response) => {
    const lines = pools.flatMap((pool) => [
      `orders_total{version="${pool}"} ${orders[pool].all}`,
      `orders_failed_total{version="${pool}"} ${Math.floor(orders[pool].failed)}`,
      `checkout_seconds{version="${pool}"} ${seconds[pool]}`,
    ])
    response.setHeader('content-type', 'text/plain; version=0.0.4')
    response.end(`${lines.join('\n')}\n`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    clearInterval(timer)
    server.closeAllConnections()
    server.close()
  })
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, failing, seconds }
}

/** A Prometheus at this port of loopback, which asks the apps every second. */
async function startPrometheus(apps: Apps, port: number): Promise<void> {
  const folder = temporaryFolder()
  const file = join(folder, 'prometheus.yml')
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: [{ job_name: 'apps', static_configs: [{ targets: [apps.address] }] }],
  }
  writeFileSync(file, JSON.stringify(config))
  const options = [`--config.file=${file}`, `--storage.tsdb.path=${folder}`, `--web.listen-address=127.0.0.1:${port}`]
  const running = start(prometheus as string, options, { cwd: folder })
  await until('Prometheus is ready', () => running.output().includes('ready to receive web requests'), LIMIT_MS)
}

const begin = (proxy: TestProxy, metrics: readonly object[]) => {
  const verdict = { margin: 0.2, metrics }
  return call(proxy, 'POST', ROLLOUTS, { to: 'green', steps: [50], keep: 20, bake: '2s', verdict })
}

async function ended(proxy: TestProxy): Promise<ToldRollout> {
  let told = await current(proxy)
  const isOver = async () => {
    told = await current(proxy)
    return told.state === 'done' || told.state === 'rolledBack'
  }
  await until('the rollout is over', isOver, LIMIT_MS)
  return told
}

const orders = (port: number) => ({
  name: 'orders',
  prometheus: `http://127.0.0.1:${port}`,
  bad: 'orders_failed_total{version="{pool}"}',
  all: 'sum(orders_total{version="{pool}"})',
  every: '1s',
})
const checkout = (port: number, more: object = {}) => ({
  name: 'checkout',
  prometheus: `http://127.0.0.1:${port}`,
  query: 'checkout_seconds{version="{pool}"}',
  above: 0.5,
  every: '1s',
  ...more,
})

describe.skipIf(prometheus === null)('by Prometheus', () => {
  test('a version whose orders fail goes back, however well it answers', async () => {
    const [apps, port, proxy] = [await startApps(), await closedPort(), await startAlike()]
    await startPrometheus(apps, port)
    apps.failing.green = 0.2
    await begin(proxy, [orders(port)])
    const told = await ended(proxy)
    expect(told.state).toBe('rolledBack')
    expect(told.reason).toMatch(
      /^[\d,]+ of [\d,]+ of green were bad by orders, [\d,]+ of [\d,]+ of blue: of equal versions/,
    )
    const [{ canary, control, evidence }] = told.verdict!.metrics
    expect([canary!.bad / canary!.all, control!.bad / control!.all, evidence]).toEqual([
      expect.closeTo(0.2, 1),
      expect.closeTo(0.05, 1),
      1,
    ])
  })

  test('a version that is equal goes forward, once Prometheus is there; until then nothing moves', async () => {
    const [apps, port, proxy] = [await startApps(), await closedPort(), await startAlike()]
    await begin(proxy, [orders(port), checkout(port)])
    const hasPassed = async () => (await current(proxy)).verdict?.metric === 'orders'
    await until('all but what Prometheus knows has passed', hasPassed, LIMIT_MS)
    let out = ''
    const shows = async () => {
      out = (await turnout(proxy, 'rollout', 'show', 'shop')).out
      return out.includes('connection refused')
    }
    await until('it is told', shows, LIMIT_MS)
    expect(out).toMatch(/insufficient: nothing comes of orders: Prometheus at http:\S+: connection refused/)
    expect(out).toMatch(
      /^ {2}checkout: no value, not known to be in bounds; Prometheus at http:\S+: connection refused$/m,
    )
    expect(await current(proxy)).toMatchObject({ state: 'shifting', weight: 50 })
    await startPrometheus(apps, port)
    expect(await ended(proxy)).toMatchObject({ state: 'done', reason: null })
  }, 120_000)

  test('a version that has a value out of bounds goes back', async () => {
    const [apps, port, proxy] = [await startApps(), await closedPort(), await startAlike()]
    await startPrometheus(apps, port)
    apps.seconds.green = 0.75
    await begin(proxy, [checkout(port, { for: 2 })])
    const told = await ended(proxy)
    expect(told).toMatchObject({
      state: 'rolledBack',
      reason: 'checkout of green was 0.75, above 0.5, 2 times in a row, which is its bound',
      verdict: { metric: 'checkout', metrics: [{ name: 'checkout', canary: null, value: 0.75, evidence: 1 }] },
    })
  })
})
