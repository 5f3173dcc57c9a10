/** Short looks at the admin API for tests: the status of a target, and single samples of /metrics. */
import { expect } from 'vitest'
import { askAdmin, call, type Proxy as TestProxy } from './proxy.ts'
import { until } from './raw.ts'

export interface TargetStatusAnswer {
  readonly url: string
  readonly admin: string
  readonly drainUntilMs: number
  readonly health: string
  readonly proven: boolean
  readonly ejectedUntilMs: number
  readonly reason: string | null
  readonly addresses: readonly {
    readonly address: string
    readonly alternate: string | null
    readonly health: string
    readonly ejectedUntilMs: number
    readonly inFlight: number
  }[]
  readonly inFlight: number
  readonly tunnels: number
  readonly requests: number
  readonly failures: number
}

interface StatusAnswer {
  readonly pools: readonly { readonly name: string; readonly targets: readonly TargetStatusAnswer[] }[]
}

/** What the admin API tells of a target, found by its URL in any pool of the service. */
export async function targetStatus(proxy: TestProxy, service: string, url: string): Promise<TargetStatusAnswer> {
  const { pools } = await call<StatusAnswer>(proxy, 'GET', `/v1/services/${service}/status`)
  const found = pools.flatMap((pool) => pool.targets).find((target) => target.url === url)
  if (found === undefined) throw new Error(`no target ${url} in ${service}`)
  return found
}

/** The same once nothing is under way at it: a client has its answer a moment before that is counted. */
export async function targetAtRest(proxy: TestProxy, service: string, url: string): Promise<TargetStatusAnswer> {
  let status = await targetStatus(proxy, service, url)
  await until('nothing is under way at the target', async () => {
    status = await targetStatus(proxy, service, url)
    return status.inFlight === 0
  })
  return status
}

/** The sum of all samples of a metric whose label text contains `labels`; 0 when there is none. */
export async function metric(proxy: TestProxy, name: string, labels = ''): Promise<number> {
  const { text } = await askAdmin(proxy, 'GET', '/metrics')
  let sum = 0
  for (const line of text.split('\n')) {
    const [, sampleName, sampleLabels = '', value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (sampleName === name && sampleLabels.includes(labels)) sum += Number(value)
  }
  return sum
}

/** Waits until `metric` is `value`: a worker may count what it has answered a moment after its client has read that. */
export async function metricIs(value: number, proxy: TestProxy, name: string, labels = ''): Promise<void> {
  let seen = Number.NaN
  const is = async () => {
    seen = await metric(proxy, name, labels)
    return seen === value
  }
  await until(`${name} is ${value}`, is).catch(() => expect(seen).toBe(value))
}
