/**
 * What the tests of this room put in the place of the others: a control that applies observations to a snapshot, a clock
 * that only moves when told, and targets on loopback that answer as a test wants.
 */
import type { RequestListener } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Control, ControlEvent, Observation, Snapshot } from '../../src/change.ts'
import type { Clock } from '../../src/clock.ts'
import type { HealthPlan } from '../../src/config/plan.ts'
import type { HealthSpec, ServiceSpec } from '../../src/config/schema.ts'
import type { Address } from '../../src/names/address.ts'
import type { AddressObserved, ServiceStatus, TargetStatus } from '../../src/table/status.ts'
import type { AdminState, Health } from '../../src/table/types.ts'
import { http } from '../helpers/http.ts'
import { literalAddresses } from '../helpers/literal-names.ts'

/** A plan as the config room would resolve it, quick enough for tests. */
export function healthPlan(changes: Partial<HealthPlan> = {}): HealthPlan {
  return {
    path: '/health',
    intervalMs: 40,
    timeoutMs: 1000,
    healthyAfter: 2,
    unhealthyAfter: 3,
    statuses: [[200, 299]],
    host: null,
    json: [],
    expectVersion: null,
    ...changes,
  }
}

interface ServiceSketch {
  readonly health: HealthPlan | null
  readonly version?: string
  readonly targets: readonly string[]
}

/** The health block that is planned so. */
const healthSpec = (plan: HealthPlan): HealthSpec => ({
  path: plan.path,
  interval: `${plan.intervalMs}ms`,
  timeout: `${plan.timeoutMs}ms`,
  healthyAfter: plan.healthyAfter,
  unhealthyAfter: plan.unhealthyAfter,
  status: plan.statuses.map((range) => range.join('-')).join(),
  ...(plan.host !== null && { host: plan.host }),
  json: Object.fromEntries(plan.json),
  ...(plan.expectVersion !== null && { expectVersion: plan.expectVersion }),
})

/** A control that holds one pool `blue` per service and applies what it is told; every batch is recorded. */
export function fakeControl(initial: Readonly<Record<string, ServiceSketch>> = {}) {
  const batches: (readonly Observation[])[] = []
  const listeners = new Set<(event: ControlEvent) => void>()
  let services: Record<string, ServiceSpec> = {}
  let status: Record<string, ServiceStatus> = {}
  let refuses = false

  function set(sketches: Readonly<Record<string, ServiceSketch>>): void {
    const before = status
    services = {}
    status = {}
    for (const [name, { health, version = '1.0', targets }] of Object.entries(sketches)) {
      services[name] = {
        ...(health && { health: healthSpec(health) }),
        pools: { blue: { version, targets } },
      } as unknown as ServiceSpec
      const known = before[name]?.pools.blue.targets ?? {}
      const entries = targets.map((url, slot) => [url, known[url] ?? freshTarget(url, slot)])
      const blue = { admin: 'ready' as AdminState, drainUntilMs: 0, targets: Object.fromEntries(entries) }
      status[name] = { release: '1', pools: { blue }, previous: null, slot: 0 }
    }
    tell()
  }

  function tell(): void {
    const event: ControlEvent = { id: 0, atMs: 0, type: 'change', service: null, message: '', data: {} }
    for (const listener of listeners) listener(event)
  }

  const target = (service: string, url: string) => status[service].pools.blue.targets[url]
  /** What is seen of one address of a target, or of all. */
  function see(service: string, url: string, seen: Partial<AddressObserved>, address?: string): void {
    const held = target(service, url)
    held.addresses = held.addresses.map((one) =>
      address === undefined || one.address === address ? { ...one, ...seen } : one,
    )
    const [first] = held.addresses
    held.health = first.health
    held.ejectedUntilMs = first.ejectedUntilMs
  }

  const control: Control = {
    snapshot: (): Snapshot => ({ revision: 1, epoch: 1, services, status, revisions: {} }),
    change: () => Promise.reject(new Error('not here')),
    async observe(observations) {
      batches.push(observations)
      if (refuses) throw new Error('refused')
      for (const { service, target: url, address, health, question, ejectedUntilMs } of observations) {
        see(
          service,
          url,
          {
            ...(health && { health }),
            ...(question !== undefined && { question }),
            ...(ejectedUntilMs !== undefined && { ejectedUntilMs }),
          },
          address,
        )
      }
    },
    revision: async () => null,
    events: () => [],
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  set(initial)
  return {
    control,
    batches,
    listeners,
    set,
    target,
    setHealth: (service: string, url: string, health: Health) => see(service, url, { health }),
    /** Gives a target these addresses, as its name would: without an event, and in a new status. */
    setAddresses: (service: string, url: string, addresses: readonly Address[]) => {
      const held = target(service, url)
      const fresh = { health: 'unknown' as Health, ejectedUntilMs: 0 }
      held.addresses = addresses.map((address, slot) => ({
        ...(held.addresses.find((one) => one.address === address.address) ?? { ...fresh, slot }),
        ...address,
      }))
      status = { ...status, [service]: { ...status[service] } }
    },
    refuse: (on: boolean) => {
      refuses = on
    },
    setAdmin: (service: string, url: string, admin: AdminState) => {
      target(service, url).admin = admin
      tell()
    },
    setPoolAdmin: (service: string, admin: AdminState) => {
      status[service].pools.blue.admin = admin
      tell()
    },
  }
}

/** A target of which nothing was seen; its host is taken for its only address. */
function freshTarget(url: string, slot: number): TargetStatus {
  const seen = { health: 'unknown' as Health, ejectedUntilMs: 0 }
  const addresses = literalAddresses(url).map((address) => ({ ...address, ...seen, slot }))
  return { admin: 'ready' as AdminState, drainUntilMs: 0, ...seen, addresses, slots: [slot] }
}

/** A clock that stands still until `advance`; timers run in order of their time. */
export function standingClock() {
  let nowMs = 1_000_000
  const timers = new Set<{ atMs: number; run: () => void; everyMs: number }>()
  function add(delayMs: number, run: () => void, everyMs: number) {
    const timer = { atMs: nowMs + delayMs, run, everyMs }
    timers.add(timer)
    return () => void timers.delete(timer)
  }
  const clock: Clock = {
    nowMs: () => nowMs,
    steadyMs: () => nowMs,
    monotonicMs: () => nowMs,
    after: (delayMs, run) => add(delayMs, run, 0),
    every: (intervalMs, run) => add(intervalMs, run, intervalMs),
  }
  function advance(byMs: number): void {
    const untilMs = nowMs + byMs
    for (;;) {
      const due = [...timers].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      nowMs = Math.max(nowMs, due.atMs)
      if (due.everyMs > 0) due.atMs += due.everyMs
      else timers.delete(due)
      due.run()
    }
    nowMs = untilMs
  }
  return { clock, advance, timers: () => timers.size }
}

/** A real HTTP target that answers with the listener; `requests` counts, `connections` are the open ones. */
export async function startTarget(listener: RequestListener) {
  const sockets = new Set<Socket>()
  const seen = { requests: 0, connections: 0, url: '' }
  let answer = listener
  const server = http.createServer((request, response) => {
    seen.requests++
    answer(request, response)
  })
  server.on('connection', (socket: Socket) => {
    seen.connections++
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const url = await listen(server)
  onTestFinished(() => stop())
  const stop = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
  return {
    url,
    seen,
    sockets,
    stop,
    answerWith: (next: RequestListener) => {
      answer = next
    },
  }
}

/** A URL on loopback where nothing listens. */
export async function refusingUrl(): Promise<string> {
  const server = createTcpServer()
  const url = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return url
}

async function listen(server: import('node:net').Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An answer with a JSON body. */
export const json =
  (body: unknown, status = 200): RequestListener =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
