/** Worker threads without the rest of the control plane: a test commits tables itself, and hears of every loss. */
import { onTestFinished } from 'vitest'
import { type Clock, systemClock } from '../../src/clock.ts'
import { parseSpec } from '../../src/config/load.ts'
import { planLimits, planService, planTimeouts } from '../../src/config/plan.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { LOSS_REASONS, lossField } from '../../src/metrics/counters.ts'
import { allocateSharedMemory, type SharedMemory, WORKER_FIELDS } from '../../src/metrics/layout.ts'
import type { ServicePlan } from '../../src/table/plan.ts'
import type { TableDelta } from '../../src/table/types.ts'
import { type Loss, Workers, type WorkersOptions } from '../../src/workers/workers.ts'
import { literalAddresses } from '../helpers/literal-names.ts'
import { openLine } from '../helpers/load.ts'
import { service } from '../helpers/proxy.ts'

export interface TestWorkers {
  readonly workers: Workers
  readonly memory: SharedMemory
  readonly losses: (Loss & { readonly index: number })[]
  /** Indexes that were replaced. */
  readonly replaced: number[]
  /** Routes everything to this target, as the next epoch; `more` is what else the service says. */
  route(url: string, more?: Partial<ServiceSpec>): Promise<void>
  /** Commits a table that no worker can build. */
  spoil(): Promise<void>
  /** The body of an answer to a request on a new connection; null when there was none. */
  served(): Promise<string | null>
}

/** Starts workers with one service; they are ended with the test. */
export async function startWorkers(
  options: { readonly count?: number; readonly clock?: Clock } & Partial<Pick<WorkersOptions, 'heapMb' | 'sockets'>> & {
      readonly tls?: WorkersOptions['listeners'][number]['tls']
    } = {},
): Promise<TestWorkers> {
  const { count = 1, clock = systemClock, heapMb = 128, tls = null, sockets } = options
  const url = 'http://127.0.0.1:1'
  const loaded = parseSpec(JSON.stringify({ services: { shop: service({ blue: [url] }) } }), {
    env: {},
    source: 'test',
  })
  if ('faults' in loaded) throw new Error(JSON.stringify(loaded.faults))
  const { spec } = loaded
  const memory = allocateSharedMemory(count)
  const losses: TestWorkers['losses'] = []
  const replaced: number[] = []
  const workers = new Workers({
    count,
    memory,
    clock,
    heapMb,
    listeners: [{ host: '127.0.0.1', port: 0, tls }],
    ...(sockets && { sockets }),
    start: {
      reusePort: process.platform === 'linux',
      limits: planLimits(spec.limits),
      timeouts: planTimeouts(spec.timeouts),
      trustedProxies: [],
      countryHeader: null,
      tokens: null,
      cookieKeys: ['0'.repeat(64)],
      cookieLayer: 'abc123',
      accessSample: 0,
      sharedReads: true,
      splices: true,
    },
    onLog: () => {},
    onDifference: () => {},
    onLost: (index, loss) => losses.push({ index, ...loss }),
    onReplaced: (index) => replaced.push(index),
  })
  let epoch = 0
  const commit = (plan: ServicePlan, target: string): Promise<void> => {
    epoch++
    return workers.commit(deltaOf(epoch, plan, target))
  }
  await workers.start()
  onTestFinished(async () => void (await workers.drain(0)))
  const good = (target: string, more: Partial<ServiceSpec> = {}) =>
    planService('shop', { ...spec.services['shop'], ...poolsOf(target), ...more })
  return {
    workers,
    memory,
    losses,
    replaced,
    route: (target, more) => commit(good(target, more), target),
    spoil: () => commit({ ...good(url), pools: null } as unknown as ServicePlan, url),
    async served() {
      const line = await openLine(workers.ports[0])
      const answer = await line?.ask({ method: 'GET' })
      line?.close()
      return typeof answer === 'object' && answer !== null ? answer.body : null
    },
  }
}

const poolsOf = (target: string) => ({ pools: { blue: { version: 'blue-version', targets: [target] } } })

function deltaOf(epoch: number, plan: ServicePlan, url: string): TableDelta {
  const seen = { health: 'unknown', ejectedUntilMs: 0 } as const
  const addresses = literalAddresses(url).map((address) => ({ ...address, ...seen, slot: 0 }))
  const target = { admin: 'ready', drainUntilMs: 0, ...seen, addresses, slots: [0] } as const
  const pools = { blue: { admin: 'ready', drainUntilMs: 0, targets: { [url]: target } } } as const
  const status = { release: 'r1', previous: null, slot: 0, pools } as const
  return { epoch, revision: epoch, services: { shop: { plan, status } } }
}

/** Losses by reason, as the counters of the workers have them. */
export function counted({ memory }: TestWorkers): Record<string, number> {
  const found: Record<string, number> = {}
  for (const reason of LOSS_REASONS) {
    for (let worker = 0; worker < memory.workers; worker++) {
      const count = memory.lanes[worker * WORKER_FIELDS + lossField(reason)]
      if (count > 0) found[reason] = (found[reason] ?? 0) + count
    }
  }
  return found
}
