/** A worker's plane in this thread, for tests that look inside: one service `shop`, with one pool `blue`. */
import { parseSpec } from '../../src/config/load.ts'
import { planLimits, planTimeouts } from '../../src/config/plan.ts'
import { Plane } from '../../src/dataplane/plane.ts'
import { allocateSharedMemory, type SharedMemory } from '../../src/metrics/layout.ts'
import type { ServicePlan } from '../../src/table/plan.ts'
import type { ServiceStatus } from '../../src/table/status.ts'
import type { TableDelta } from '../../src/table/types.ts'
import { makePlan, makeStatus } from '../table/make.ts'

export interface PlaneSetting {
  readonly targets: readonly string[]
  readonly plan?: Partial<ServicePlan>
  readonly memory?: SharedMemory
  readonly splices?: boolean
  readonly trial?: ServiceStatus['trial']
}

/** What every worker of a test is started with, but what differs between them; limits and time-outs are the defaults. */
export function workerStart(memory: SharedMemory, services: TableDelta['services'], splices = true) {
  const loaded = parseSpec('services: {}', { env: {}, source: 'test' })
  if ('faults' in loaded) throw new Error(JSON.stringify(loaded.faults))
  return {
    memory,
    lookups: [],
    countryHeader: null,
    tokens: null,
    delta: { epoch: 1, revision: 1, services },
    listeners: [],
    reusePort: true,
    limits: planLimits(loaded.spec.limits),
    timeouts: planTimeouts(loaded.spec.timeouts),
    trustedProxies: [],
    cookieKeys: ['a key of the test'],
    cookieLayer: 'abc123',
    accessSample: 0,
    sharedReads: true,
    splices,
  }
}

/** Default: memory of its own, bodies spliced where the system can. */
export function makePlane({ targets, plan: more, memory, splices, trial }: PlaneSetting): Plane {
  const pools = [{ name: 'blue', version: '1', targets: [...targets] }]
  const plan = makePlan({ pools, weights: { blue: 1 }, ...more })
  const services = { shop: { plan, status: makeStatus(plan, { trial }) } }
  const start = workerStart(memory ?? allocateSharedMemory(1), services, splices)
  return new Plane(
    { ...start, index: 0 },
    () => {},
    () => {},
  )
}
