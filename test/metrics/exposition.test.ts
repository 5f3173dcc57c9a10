/** /metrics, parsed strictly and compared with counters that were filled by hand. */
import { readFileSync } from 'node:fs'
import { PerformanceObserver } from 'node:perf_hooks'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { ToldLookup } from '../../src/lookups/lookup-file.ts'
import { REJECT_CODES, rejectField } from '../../src/metrics/counters.ts'
import { createExposition } from '../../src/metrics/exposition.ts'
import type { ScrapedRollout } from '../../src/metrics/family.ts'
import { allocateSharedMemory, WORKER_FIELD, WORKER_FIELDS } from '../../src/metrics/layout.ts'
import { noteVisitor } from '../../src/metrics/visitors.ts'
import { STATES } from '../../src/rollout/rollout.ts'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { movableClock } from '../admin/stand-in.ts'
import { add, observe, snapshotOf, stageOf } from './stand-in.ts'

interface Line {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Parsed {
  readonly types: ReadonlyMap<string, string>
  readonly lines: readonly Line[]
}

/** Text format 0.0.4, with everything that it leaves open forbidden: HELP, TYPE, then only samples of that family. */
function parse(text: string): Parsed {
  expect(text.endsWith('\n')).toBe(true)
  const types = new Map<string, string>()
  const lines: Line[] = []
  const seen = new Set<string>()
  let helped = ''
  let family = ''
  for (const line of text.split('\n')) {
    if (line === '') continue
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) [^\n]+$/.exec(line)
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary)$/.exec(line)
    if (help !== null) {
      helped = help[1]
      continue
    }
    if (type !== null) {
      expect(type[1]).toBe(helped)
      expect(types.has(type[1])).toBe(false)
      family = type[1]
      types.set(family, type[2])
      continue
    }
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.]+(?:e[-+]?[0-9]+)?|\+Inf|NaN)$/.exec(line)
    expect(sample, line).not.toBeNull()
    const [, name, labelText = '', value] = sample!
    const suffixes = types.get(family) === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
    expect(suffixes.map((suffix) => family + suffix)).toContain(name)
    const labels: Record<string, string> = {}
    const rest = labelText.replace(
      /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?!$)|$)/g,
      (_, label, quoted) => {
        expect(Object.hasOwn(labels, label)).toBe(false)
        labels[label] = quoted.replace(/\\(.)/g, (_match: string, char: string) => (char === 'n' ? '\n' : char))
        return ''
      },
    )
    expect(rest, line).toBe('')
    const key = name + JSON.stringify(Object.entries(labels).sort())
    expect(seen.has(key), `twice: ${line}`).toBe(false)
    seen.add(key)
    lines.push({ name, labels, value: value === '+Inf' ? Infinity : Number(value) })
  }
  return { types, lines }
}

const BLUE = 'http://127.0.0.1:3001'
const GREEN = 'https://green.example'
const BLUE_LABELS = { service: 'shop', pool: 'blue', version: '1.0', target: '127.0.0.1:3001' }

const ASKED = { begin: 4, pause: 2, resume: 0, promote: 0, abort: 1 }

function rolloutOf(service: string, state: ToldRollout['state'], more: Partial<ToldRollout> = {}): ScrapedRollout {
  const steps = [5, 50, 100].map((weight) => ({ weight, forMs: 0, requests: 0 }))
  const harm = { failed: 2, budget: 50 }
  const instances = [0, 0, 4_000].map((silentMs) => ({ silentMs }))
  const last = { service, state, step: 1, steps, weight: 50, harm, verdict: { evidence: 0.25, instances }, ...more }
  return { last: last as unknown as ToldRollout, ended: { done: 3, rolledBack: 1 }, asked: ASKED }
}

function open(
  snapshot = snapshotOf({ shop: { blue: [BLUE], green: [GREEN] } }, { split: { blue: 95 } as object }),
  rollouts: readonly ScrapedRollout[] = [rolloutOf('shop', 'shifting')],
  lookups: readonly ToldLookup[] = [],
) {
  const memory = allocateSharedMemory(2)
  // Something was counted of each target, so that it has its series, but nothing that is told.
  for (let slot = 0; slot < 8; slot++) add(memory, 0, slot, 'connectErrorsInRow', 1)
  const clock = movableClock()
  const stage = stageOf(snapshot)
  const exposition = createExposition(stage.control, memory, clock, '9.8.7', () => ({
    names: null,
    rollouts,
    lookups,
    instances: {
      count: 3,
      staleMs: 1_500,
      local: { serves: true, keptAtMs: 5, revision: 7, fault: 'ENOSPC', failures: 2 },
      unreplicated: 4,
      isAway: true,
      failures: 6,
      bytes: 8_192,
    },
    letGoBefore: () => null,
  }))
  onTestFinished(() => exposition.close())
  const scrape = async () => {
    const parsed = parse(await exposition.text())
    const value = (name: string, labels: Record<string, string> = {}) => {
      const wanted = Object.entries(labels)
      const found = parsed.lines.filter(
        (line) => line.name === name && wanted.every(([label, text]) => line.labels[label] === text),
      )
      expect(found.length, name).toBe(1)
      return found[0].value
    }
    return { ...parsed, value }
  }
  return { memory, clock, stage, exposition, scrape }
}

test('counters and gauges of a target are the sums over the workers, with its labels', async () => {
  const { memory, scrape } = open()
  add(memory, 0, 0, 'status2xx', 3)
  add(memory, 1, 0, 'status2xx', 4)
  add(memory, 1, 0, 'status5xx', 1)
  add(memory, 0, 0, 'inFlight', 2)
  add(memory, 0, 0, 'connectErrors', 5)
  add(memory, 0, 0, 'retriesConnect', 6)
  add(memory, 0, 0, 'retriesStale', 7)
  add(memory, 0, 0, 'rescued', 8)
  add(memory, 0, 0, 'retriesOverBudget', 11)
  add(memory, 0, 0, 'tunnels', 9)
  add(memory, 0, 0, 'attemptsFailed', 10)
  add(memory, 0, 0, 'bytesIn', 2 ** 40)
  const { value, types } = await scrape()
  expect(value('turnout_requests_total', { ...BLUE_LABELS, code_class: '2xx' })).toBe(7)
  expect(value('turnout_requests_total', { ...BLUE_LABELS, code_class: '5xx' })).toBe(1)
  expect(value('turnout_requests_total', { target: 'green.example:443', code_class: '2xx' })).toBe(0)
  expect(value('turnout_in_flight', BLUE_LABELS)).toBe(2)
  expect(value('turnout_upstream_connect_errors_total', BLUE_LABELS)).toBe(5)
  expect(value('turnout_retries_total', { ...BLUE_LABELS, reason: 'connect' })).toBe(6)
  expect(value('turnout_retries_total', { ...BLUE_LABELS, reason: 'stale' })).toBe(7)
  expect(value('turnout_rescued_total', BLUE_LABELS)).toBe(8)
  expect(value('turnout_retries_over_budget_total', BLUE_LABELS)).toBe(11)
  expect(value('turnout_tunnels', BLUE_LABELS)).toBe(9)
  expect(value('turnout_upstream_failures_total', BLUE_LABELS)).toBe(10)
  expect(value('turnout_received_bytes_total', BLUE_LABELS)).toBe(2 ** 40)
  expect([types.get('turnout_requests_total'), types.get('turnout_in_flight')]).toEqual(['counter', 'gauge'])
})

test('every counter ends with _total and nothing else does', async () => {
  const { types } = await open().scrape()
  for (const [name, type] of types) {
    if (name.startsWith('turnout_')) expect(name.endsWith('_total'), name).toBe(type === 'counter')
  }
})

test.each(['duration', 'ttfb'] as const)(
  'the %s histogram has cumulative buckets in seconds, a sum and a count',
  async (of) => {
    const { memory, scrape } = open()
    const all = [0.01, 0.3, 0.9, 3, 3, 30, 300, 3_000, 100_000, 200_000]
    for (const [n, ms] of all.entries()) observe(memory, n % 2, 0, of, ms)
    const { lines, value, types } = await scrape()
    const name = of === 'duration' ? 'turnout_request_duration_seconds' : 'turnout_upstream_ttfb_seconds'
    expect(types.get(name)).toBe('histogram')
    const buckets = lines.filter((line) => line.name === `${name}_bucket` && line.labels['pool'] === 'blue')
    expect(buckets.length).toBe(20)
    expect(buckets.at(-1)!.labels['le']).toBe('+Inf')
    for (const { labels, value: count } of buckets) {
      const bound = labels['le'] === '+Inf' ? Infinity : Number(labels['le'])
      expect(bound).not.toBeNaN()
      expect(count).toBe(all.filter((ms) => ms / 1_000 <= bound).length)
    }
    const bounds = buckets.slice(0, -1).map(({ labels }) => Number(labels['le']))
    expect(bounds).toEqual(bounds.toSorted((a, b) => a - b))
    expect([bounds[0], bounds.at(-1)]).toEqual([0.00025, 65.536])
    expect(value(`${name}_count`, BLUE_LABELS)).toBe(all.length)
    expect(value(`${name}_sum`, BLUE_LABELS)).toBeCloseTo(all.reduce((sum, ms) => sum + ms, 0) / 1_000, 9)
    expect(value(`${name}_count`, { pool: 'green' })).toBe(0)
  },
)

test('the visitors of each pool are told once somebody with a key was there', async () => {
  const { stage, memory, scrape } = open()
  const none = await scrape()
  expect(none.lines.filter(({ name }) => name === 'turnout_visitors')).toEqual([])
  const [{ slots }] = Object.values(stage.snapshot.status['shop'].pools['green'].targets)
  for (const hash of [1, 2, 3, 3]) noteVisitor(memory, slots[0], hash)
  const { value } = await scrape()
  expect(value('turnout_visitors', { service: 'shop', pool: 'green' })).toBe(3)
})

test('weights, epoch and revision are those of the snapshot', async () => {
  const { stage, scrape } = open()
  stage.snapshot = { ...stage.snapshot, epoch: 12, revision: 11 }
  const { value } = await scrape()
  expect(value('turnout_split_weight', { service: 'shop', pool: 'blue', version: '1.0' })).toBe(95)
  expect(value('turnout_split_weight', { service: 'shop', pool: 'green' })).toBe(0)
  expect(value('turnout_split_share', { service: 'shop', pool: 'blue' })).toBe(1)
  expect([value('turnout_epoch'), value('turnout_revision')]).toEqual([12, 11])
  expect(value('turnout_info', { version: '9.8.7' })).toBe(1)
})

test('a pool that takes no new visitors has no share of them, whatever its weight', async () => {
  const { stage, scrape } = open()
  const { services, status } = stage.snapshot
  const { blue } = status['shop'].pools
  const [split, pools] = [
    { blue: 1, green: 1 },
    { ...status['shop'].pools, blue: { ...blue, admin: 'drain' as const } },
  ]
  stage.snapshot = {
    ...stage.snapshot,
    services: { ...services, shop: { ...services['shop'], split } },
    status: { ...status, shop: { ...status['shop'], pools } },
  }
  const { value } = await scrape()
  expect(['blue', 'green'].map((pool) => value('turnout_split_share', { service: 'shop', pool }))).toEqual([0, 1])
})

test('weights of targets are told where a pool has any, and warmth where there is a slow start', async () => {
  const { stage, clock, scrape } = open()
  const told = async () => {
    const { lines } = await scrape()
    return lines.flatMap(({ name, labels, value }) => {
      if (name === 'turnout_target_weight') return [String(value)]
      return name === 'turnout_target_state' && labels['axis'] === 'warmth' ? [labels['state']] : []
    })
  }
  expect(await told()).toEqual([])
  const { services } = stage.snapshot
  const pools = { ...services['shop'].pools, blue: { ...services['shop'].pools['blue'], weights: { [BLUE]: 3 } } }
  stage.snapshot = { ...stage.snapshot, services: { shop: { ...services['shop'], pools, slowStart: '10s' } } }
  const target = stage.snapshot.status['shop'].pools['blue'].targets[BLUE]
  const began = { address: '127.0.0.1', alternate: null, slot: 0, health: 'healthy', ejectedUntilMs: 0 } as const
  Object.assign(target, { addresses: [{ ...began, warmFromMs: clock.nowMs() - 5_000 }] })
  // The other target of the service has begun when nobody looked.
  expect((await told()).toSorted()).toEqual(['3', 'warm', 'warming'])
  Object.assign(target, { addresses: [{ ...began, warmFromMs: clock.nowMs() - 10_000 }] })
  expect((await told()).toSorted()).toEqual(['3', 'warm', 'warm'])
})

test('a target is in exactly one state on each axis, and an ejection ends by the clock', async () => {
  const { stage, clock, scrape } = open()
  const pool = stage.snapshot.status['shop'].pools['blue']
  pool.admin = 'drain'
  Object.assign(pool.targets[BLUE], { admin: 'standby', health: 'unhealthy', ejectedUntilMs: clock.nowMs() + 1_000 })
  const on = async () => {
    const { lines } = await scrape()
    return lines
      .filter(({ name, labels, value }) => name === 'turnout_target_state' && labels['pool'] === 'blue' && value === 1)
      .map(({ labels }) => `${labels['axis']}=${labels['state']}`)
  }
  expect(await on()).toEqual(['admin=standby', 'pool=drain', 'health=unhealthy', 'ejection=ejected'])
  clock.move(1_000)
  expect(await on()).toContain('ejection=none')
})

test('the end of a hold is told by the clock on the wall, also once somebody has set that', async () => {
  const { clock, stage, scrape } = open()
  const { shop } = stage.snapshot.status
  const sinceMs = clock.steadyMs()
  const times = { sinceMs, untilMs: sinceMs + 60_000 }
  const hold = { id: 'h-1', ...times, only: 'all', queueMax: 10, bytesMax: 1_000 } as const
  stage.snapshot = { ...stage.snapshot, status: { shop: { ...shop, hold } } }
  const endS = async () => (await scrape()).value('turnout_hold_end_timestamp_seconds', { service: 'shop' })
  expect(await endS()).toBe(1_700_000_060)
  vi.spyOn(clock, 'nowMs').mockImplementation(() => clock.steadyMs() + 3_600_000)
  expect(await endS()).toBe(1_700_003_660)
})

test('what workers count of themselves is shown by worker, and rejections by code', async () => {
  const { memory, scrape } = open()
  memory.lanes[WORKER_FIELD.clientConnections] = 3
  memory.lanes[WORKER_FIELDS + WORKER_FIELD.clientConnections] = 4
  memory.lanes[WORKER_FIELDS + WORKER_FIELD.loopBusyMs] = 1_500
  memory.lanes[rejectField('no_route')] = 5
  memory.lanes[WORKER_FIELDS + rejectField('no_route')] = 6
  memory.lanes[rejectField('internal')] = 1
  const { value, lines } = await scrape()
  expect(value('turnout_client_connections', { worker: '0' })).toBe(3)
  expect(value('turnout_client_connections', { worker: '1' })).toBe(4)
  expect(value('turnout_worker_busy_seconds_total', { worker: '1' })).toBeCloseTo(1.5)
  expect(value('turnout_rejected_total', { code: 'no_route' })).toBe(11)
  expect(value('turnout_rejected_total', { code: 'internal' })).toBe(1)
  const codes = lines.filter(({ name }) => name === 'turnout_rejected_total').map(({ labels }) => labels['code'])
  expect(codes).toEqual(REJECT_CODES)
})

test('every code of the data plane has a field of its own within the lane', () => {
  const fields = REJECT_CODES.map(rejectField)
  expect(new Set(fields).size).toBe(REJECT_CODES.length)
  expect(Math.min(...fields)).toBe(WORKER_FIELD.rejected)
  expect(Math.max(...fields)).toBeLessThan(WORKER_FIELDS)
  expect(rejectField('stale_revision')).toBe(rejectField('internal'))
})

test('the time of a switch is observed from the changes that control tells of', async () => {
  const { stage, scrape, exposition } = open()
  stage.publish({ type: 'change', data: { appliedInMs: 3 } })
  stage.publish({ type: 'change', data: { appliedInMs: 40 } })
  stage.publish({ type: 'health', data: { appliedInMs: 1 } })
  stage.publish({ type: 'change', data: {} })
  const { value } = await scrape()
  expect(value('turnout_switch_duration_seconds_count')).toBe(2)
  expect(value('turnout_switch_duration_seconds_sum')).toBeCloseTo(0.043)
  expect(value('turnout_switch_duration_seconds_bucket', { le: '0.005' })).toBe(1)
  exposition.close()
  expect(stage.listeners.size).toBe(0)
})

test('a target that left the table is no longer shown', async () => {
  const { stage, scrape } = open()
  stage.snapshot = snapshotOf({ shop: { blue: [BLUE] } })
  const { lines } = await scrape()
  expect(lines.some(({ labels }) => labels['pool'] === 'green')).toBe(false)
})

test('label values are escaped, and names like those of JavaScript are names', async () => {
  const version = 'a"b\\c\nd{}, e="f"'
  const { scrape } = open(snapshotOf({ constructor: { toString: [BLUE] } }, { version }))
  const { value } = await scrape()
  expect(value('turnout_in_flight', { service: 'constructor', pool: 'toString', version })).toBe(0)
  expect(value('turnout_split_weight', { service: 'constructor', pool: 'toString', version })).toBe(0)
})

test('of a rollout each state has a series, and figures that there are not have none', async () => {
  const rollouts = [
    rolloutOf('shop', 'shifting'),
    rolloutOf('api', 'rolledBack', { step: -1, weight: 0, verdict: null, harm: { failed: 0, budget: null } }),
    rolloutOf('removed', 'done'),
  ]
  const { lines, value, types } = await open(
    snapshotOf({ shop: { blue: [BLUE] }, api: { live: [GREEN] }, quiet: { live: [] } }),
    rollouts,
  ).scrape()
  const ofState = (service: string) =>
    lines.filter(({ name, labels }) => name === 'turnout_rollout_state' && labels['service'] === service)
  for (const [service, state] of [
    ['shop', 'shifting'],
    ['api', 'rolledBack'],
  ]) {
    expect(ofState(service).map(({ labels }) => labels['state'])).toEqual(STATES)
    expect(ofState(service).flatMap(({ labels, value }) => (value === 1 ? [labels['state']] : []))).toEqual([state])
  }
  for (const service of ['removed', 'quiet']) expect(ofState(service)).toEqual([])
  expect(value('turnout_rollout_weight', { service: 'shop' })).toBe(50)
  expect(value('turnout_rollout_step', { service: 'shop' })).toBe(2)
  expect(value('turnout_rollout_steps', { service: 'shop' })).toBe(3)
  expect(value('turnout_rollout_evidence', { service: 'shop' })).toBe(0.25)
  expect(value('turnout_rollout_instances', { service: 'shop' })).toBe(2)
  expect(value('turnout_rollout_harm', { service: 'shop' })).toBe(2)
  expect(value('turnout_rollout_harm_budget')).toBe(50)
  expect(value('turnout_rollout_step', { service: 'api' })).toBe(0)
  expect(value('turnout_rollouts_total', { service: 'shop', outcome: 'done' })).toBe(3)
  expect(value('turnout_rollouts_total', { service: 'api', outcome: 'rolledBack' })).toBe(1)
  expect(types.get('turnout_rollouts_total')).toBe('counter')
  expect(value('turnout_rollout_verbs_total', { service: 'shop', verb: 'pause' })).toBe(2)
})

test('the metrics of rollouts are those that the README lists', async () => {
  const { types } = await open().scrape()
  const listed = readFileSync(new URL('../../README.md', import.meta.url), 'utf8').matchAll(/^\| (`turnout_[^|]*)/gm)
  const told = [...listed].flatMap(([, cell]) => [...cell.matchAll(/`(turnout_\w+)`/g)].map(([, name]) => name))
  expect(told).toEqual([...types.keys()].filter((name) => name.startsWith('turnout_rollout')))
})

test('process figures are there', async () => {
  const { types } = await open().scrape()
  expect([...types.keys()]).toEqual(
    expect.arrayContaining(['process_cpu_seconds_total', 'nodejs_eventloop_lag_seconds']),
  )
})

test('labels are of a fixed set, and their values come from the spec or the code', async () => {
  const { lines } = await open().scrape()
  const ours = lines.filter(({ name }) => name.startsWith('turnout_'))
  const labels = new Set(ours.flatMap((line) => Object.keys(line.labels)))
  expect([...labels].sort()).toEqual(
    [
      'axis',
      'code',
      'code_class',
      'le',
      'outcome',
      'pool',
      'reason',
      'service',
      'state',
      'target',
      'verb',
      'version',
      'worker',
    ].sort(),
  )
})

test('2,000 idle services are told in less than 4 MB, and a target has all its series from the first attempt on', async () => {
  const names = Array.from({ length: 2_000 }, (_, index) => `service-${index}`)
  const targets = (net: number) => [1, 2, 3].map((host) => `http://10.10.1${net}.1${host}:3001`)
  const pools = { blue: targets(0), green: targets(1) }
  const memory = allocateSharedMemory(2)
  const stage = stageOf(snapshotOf(Object.fromEntries(names.map((name) => [name, pools]))))
  const exposition = createExposition(stage.control, memory, movableClock(), '9.8.7')
  onTestFinished(() => exposition.close())
  const idle = await exposition.text()
  expect(idle.length).toBeLessThan(4_000_000)
  expect(idle.match(/^turnout_target_state\{/gm)).toHaveLength(2_000 * 6 * 2)
  expect(idle).not.toMatch(/axis="(pool|ejection)"/)
  expect(idle).not.toMatch(/^turnout_requests_total\{/m)
  add(memory, 0, 0, 'attemptsStarted', 1)
  const all = (await exposition.text()).split('\n')
  const { lines } = parse(all.filter((line) => !line.includes('service=') || line.includes('"service-0"')).join('\n'))
  const first = lines.filter(({ labels }) => labels['service'] === names[0] && labels['pool'] === 'blue')
  const axes = first.flatMap(({ name, labels }) => (name === 'turnout_target_state' ? [labels['axis']] : []))
  // Two of the three targets are idle still.
  expect(axes.toSorted()).toEqual(['admin', 'admin', 'admin', 'ejection', 'health', 'health', 'health', 'pool'])
  expect(first.filter(({ name }) => name === 'turnout_requests_total').length).toBeGreaterThan(3)
  expect(first.filter(({ name }) => name === 'turnout_request_duration_seconds_bucket').length).toBeGreaterThan(15)
})

test('the files that requests are looked up in are told by the names that the config gives them', async () => {
  const lookups: ToldLookup[] = [
    { kind: 'visitors', name: './testers.txt', entries: 17, content: '17 visitors', readAtMs: 1, fault: null },
    { kind: 'countries', name: 'b"2', entries: 0, content: '', readAtMs: 0, fault: 'is empty' },
  ]
  const { value } = await open(undefined, [], lookups).scrape()
  expect(value('turnout_lookup_entries', { file: './testers.txt' })).toBe(17)
  expect(value('turnout_lookup_failing', { file: './testers.txt' })).toBe(0)
  expect((await open(undefined, [], lookups).exposition.text()).match(/^turnout_lookup_failing.* 1$/m)?.[0]).toBe(
    'turnout_lookup_failing{kind="countries",file="b\\"2"} 1',
  )
})

test('what is told of the other instances and of the store that they share', async () => {
  const { value } = await open().scrape()
  expect(value('turnout_instances')).toBe(3)
  expect(value('turnout_store_stale_seconds')).toBe(1.5)
  expect(value('turnout_store_unreplicated_total')).toBe(4)
  expect([value('turnout_store_away'), value('turnout_store_failures_total')]).toEqual([1, 6])
  expect(value('turnout_store_bytes')).toBe(8_192)
  expect([value('turnout_snapshot_serves'), value('turnout_snapshot_revision')]).toEqual([1, 7])
  expect(value('turnout_snapshot_failures_total')).toBe(2)
})

test('what watches the process for figures stands once, however many there were: prom-client lets go of none', () => {
  const watch = vi.spyOn(PerformanceObserver.prototype, 'observe')
  onTestFinished(() => watch.mockRestore())
  for (let n = 0; n < 3; n++) open()
  expect(watch.mock.calls.length).toBeLessThanOrEqual(1)
})
