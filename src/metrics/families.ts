/**
 * Every metric of ours as data: its name, help, type, and how its samples are read from one scrape.
 *
 * Invariants: labels come from the spec (names, versions, target addresses), from fixed lists in the code, or are the index
 * of a worker; nothing that a client sends is ever a label, so the number of series is bounded by the spec. Only what is
 * really counted (layout.ts) is listed. Adding a metric is adding an entry here, or in worker-families.ts.
 *
 * A target has its series from the first thing that is counted of it on, all at once, so that each begins with a scrape at which it
 * was still small; before that only its states are told, and of those no usual one of its pool and of ejection. So an idle fleet costs a
 * quarter of a KiB for each target and scrape.
 *
 * The log-linear bins are merged to the powers of two between 0.25 ms and 65.5 s: 20 lines for each histogram. A
 * duration of exactly a bound counts above it, which no clock can tell.
 */
import type { Snapshot } from '../change.ts'
import { type Clock, wallShiftMs } from '../clock.ts'
import { durationMs } from '../config/duration.ts'
import { own } from '../config/record.ts'
import { targetWarmUntilMs } from '../table/warmth.ts'
import { BINS, binEndMs } from './bins.ts'
import { DEPARTURE_FAMILIES } from './departure-families.ts'
import type { Family, Sample, Scrape, ScrapedPool, ScrapedTarget, Told } from './family.ts'
import { HOLD_FAMILIES } from './hold-families.ts'
import { INSTANCE_FAMILIES } from './instance-families.ts'
import { FIELD, type SharedMemory } from './layout.ts'
import { LOOKUP_FAMILIES } from './lookup-families.ts'
import { MAINTENANCE_FAMILIES } from './maintenance-families.ts'
import { MIRROR_FAMILIES } from './mirror-families.ts'
import { NAME_FAMILIES } from './name-families.ts'
import { perPool } from './per-pool.ts'
import { familiesOf } from './per-target.ts'
import { QUEUE_FAMILIES } from './queue-families.ts'
import { ROLLOUT_FAMILIES } from './rollout-families.ts'
import { type HistogramField, isCounted, readTally, UNCOUNTED } from './summary.ts'
import { visitorsAt } from './visitors.ts'
import { WORKER_FAMILIES } from './worker-families.ts'

/** Reads the counters and states of every target of these pools. */
export function readScrape(
  snapshot: Snapshot,
  pools: readonly ScrapedPool[],
  memory: SharedMemory,
  clock: Pick<Clock, 'nowMs' | 'steadyMs'>,
): Omit<Scrape, keyof Told> {
  const nowMs = clock.steadyMs()
  const targets: ScrapedTarget[] = []
  for (const { spec, status, targets: known } of pools) {
    const slowStartMs = spec.slowStart === undefined ? 0 : durationMs(spec.slowStart)
    for (const { labels, status: target, weight } of known) {
      const tally = readTally(memory, target.slots)
      targets.push({
        labels,
        tally,
        hasMoved: tally !== UNCOUNTED,
        poolAdmin: status.admin,
        admin: target.admin,
        health: target.health,
        ejected: target.ejectedUntilMs > nowMs,
        warming: slowStartMs === 0 ? null : targetWarmUntilMs(target.addresses, slowStartMs, nowMs) > 0,
        weight,
      })
    }
  }
  const moved = targets.filter(({ hasMoved }) => hasMoved)
  return { snapshot, shiftMs: wallShiftMs(clock), memory, pools, targets, moved }
}

const { perTarget, perTargetAnd } = familiesOf(({ moved }) => moved)

/** Bins whose end is a power of two of ms within the range that is worth a line. */
const BOUNDS: readonly { readonly bin: number; readonly le: string }[] = Array.from({ length: BINS - 1 })
  .map((_, bin) => ({ bin, endMs: binEndMs(bin) }))
  .filter(({ endMs }) => Number.isInteger(Math.log2(endMs)) && endMs >= 0.25 && endMs <= 65_536)
  .map(({ bin, endMs }) => ({ bin, le: String(endMs / 1_000) }))

function histogramSamples(name: string, target: ScrapedTarget, field: HistogramField, sumField: number): Sample[] {
  const { tally, labels: sharedLabels } = target
  const samples: Sample[] = []
  let count = 0
  let bin = 0
  for (const bound of BOUNDS) {
    while (bin <= bound.bin) count += tally[field + bin++]
    samples.push({ metricName: `${name}_bucket`, value: count, labels: { le: bound.le }, sharedLabels })
  }
  while (bin < BINS) count += tally[field + bin++]
  samples.push({ metricName: `${name}_bucket`, value: count, labels: { le: '+Inf' }, sharedLabels })
  samples.push({ metricName: `${name}_sum`, value: tally[sumField] / 1_000, sharedLabels })
  samples.push({ metricName: `${name}_count`, value: count, sharedLabels })
  return samples
}

function histogram(name: string, help: string, field: HistogramField, sumField: number): Family {
  const read = (scrape: Scrape): Sample[] =>
    scrape.moved.flatMap((target) => histogramSamples(name, target, field, sumField))
  return { name, type: 'histogram', help, read }
}

/** null: it has no such axis. The usual state is not told of targets of which nothing was counted. */
const AXES: readonly [axis: string, of: (target: ScrapedTarget) => string | null, usual?: string][] = [
  ['admin', (target) => target.admin],
  ['pool', (target) => target.poolAdmin, 'ready'],
  ['health', (target) => target.health],
  ['ejection', (target) => (target.ejected ? 'ejected' : 'none'), 'none'],
  ['warmth', ({ warming }) => (warming === null ? null : warming ? 'warming' : 'warm')],
]

const targetState: Family = {
  name: 'turnout_target_state',
  type: 'gauge',
  help: '1 for the state that a target is in, on each axis; others are not told. The axis "pool" is the admin state of its pool; that and "ejection" are told of a target without traffic only where they are not ready and none; "warmth" is told where there is a slow start.',
  read({ targets }) {
    const samples: Sample[] = []
    for (const target of targets) {
      for (const [axis, of, usual] of AXES) {
        const state = of(target)
        if (state === null || (state === usual && !target.hasMoved)) continue
        samples.push({ value: 1, labels: { axis, state }, sharedLabels: target.labels })
      }
    }
    return samples
  },
}

const NO_SPLIT: Readonly<Record<string, number>> = {}

const splitWeight: Family = {
  name: 'turnout_split_weight',
  type: 'gauge',
  help: 'Weight of a pool; its share is this over the sum of the pools of its service that take new visitors.',
  read: perPool((_, { spec, pool }) => [{ value: own(spec.split ?? NO_SPLIT, pool) ?? 0 }]),
}

const splitShare: Family = {
  name: 'turnout_split_share',
  type: 'gauge',
  help: 'Share of the new visitors that is aimed at a pool by its weight, 0 to 1, and 0 for one that takes none; what was seen is in turnout_decided_total and turnout_visitors.',
  read: perPool((_, { aimed }) => [{ value: aimed }]),
}

/** Of pools that somebody with a key has come to. */
const visitors: Family = {
  name: 'turnout_visitors',
  type: 'gauge',
  help: 'Different visitors of the last 5 to 10 minutes, by the key that they bring: an estimate with a standard error of 4.6 %.',
  read: perPool(({ memory }, { slots }) => {
    const value = isCounted(memory, slots) ? visitorsAt(memory, slots) : 0
    return value === 0 ? [] : [{ value }]
  }),
}

const CODE_CLASSES = {
  '2xx': FIELD.status2xx,
  '3xx': FIELD.status3xx,
  '4xx': FIELD.status4xx,
  '5xx': FIELD.status5xx,
}
const OUTCOMES = { good: FIELD.attemptsGood, failed: FIELD.attemptsFailed, void: FIELD.attemptsVoid }
const RETRY_REASONS = {
  skew: FIELD.retriesSkew,
  connect: FIELD.retriesConnect,
  stale: FIELD.retriesStale,
  rescue: FIELD.retriesRescue,
}

const targetWeights: Family = {
  name: 'turnout_target_weight',
  type: 'gauge',
  help: 'Weight of a target within its pool, in pools where one has another than 1.',
  read: ({ targets }) =>
    targets.flatMap(({ weight, labels }) => (weight === null ? [] : [{ value: weight, sharedLabels: labels }])),
}

/** All families that are read from shared memory and from the table. */
export const FAMILIES: readonly Family[] = [
  perTargetAnd(
    'turnout_requests_total',
    'Requests that were answered, at the target that was tried last, by class of the status; tunnels are not among them.',
    'code_class',
    CODE_CLASSES,
  ),
  histogram(
    'turnout_request_duration_seconds',
    'From the request head to the end of the response.',
    FIELD.duration,
    FIELD.durationSumMs,
  ),
  histogram(
    'turnout_upstream_ttfb_seconds',
    'From the beginning of the attempt to the head of the response.',
    FIELD.ttfb,
    FIELD.ttfbSumMs,
  ),
  perTarget(
    'turnout_decided_total',
    'counter',
    'Requests that were decided for the target at first, whatever became of them, those that became tunnels included.',
    FIELD.decided,
  ),
  perTarget(
    'turnout_attempts_started_total',
    'counter',
    'Attempts: tries of a request at one target, so two for a request that was tried again.',
    FIELD.attemptsStarted,
  ),
  perTargetAnd(
    'turnout_attempts_total',
    'Attempts that ended: good, failed (no connection, no answer, a broken one, or a 5xx but 501), or void (nothing to be seen of the target).',
    'outcome',
    OUTCOMES,
  ),
  perTarget('turnout_in_flight', 'gauge', 'Requests under way, without tunnels.', FIELD.inFlight),
  perTarget('turnout_tunnels', 'gauge', 'Tunnels: open upgraded connections (WebSocket).', FIELD.tunnels),
  perTarget('turnout_upstream_connections', 'gauge', 'Open connections to the target.', FIELD.connections),
  perTarget('turnout_upstream_connects_total', 'counter', 'Connections opened to the target.', FIELD.connectsOpened),
  perTarget(
    'turnout_upstream_connect_errors_total',
    'counter',
    'Connections that the target did not accept.',
    FIELD.connectErrors,
  ),
  perTarget(
    'turnout_upstream_timeouts_total',
    'counter',
    'Attempts that ended by a time-out: no connection, no answer or no more of it in time.',
    FIELD.timeouts,
  ),
  perTarget(
    'turnout_upstream_failures_total',
    'counter',
    'Attempts that the target failed: the same as turnout_attempts_total{outcome="failed"}.',
    FIELD.attemptsFailed,
  ),
  perTarget(
    'turnout_aborted_total',
    'counter',
    'Requests whose client went away before the end of the answer.',
    FIELD.aborted,
  ),
  perTarget('turnout_tunnels_opened_total', 'counter', 'Tunnels that were opened.', FIELD.tunnelsOpened),
  perTarget('turnout_tunnels_closed_total', 'counter', 'Tunnels that were closed.', FIELD.tunnelsClosed),
  perTarget(
    'turnout_tunnels_early_closed_total',
    'counter',
    'WebSockets that the target ended soon after they were opened, of those that a rollout judged.',
    FIELD.tunnelsEarly,
  ),
  perTarget(
    'turnout_tunnel_seconds_total',
    'counter',
    'How long the tunnels that were closed had been open, summed.',
    FIELD.tunnelSumMs,
    0.001,
  ),
  perTargetAnd(
    'turnout_retries_total',
    'Requests tried again: without a connection (connect), closed before any answer (stale), failed by a new version (rescue), or not found in one version and asked of another (skew).',
    'reason',
    RETRY_REASONS,
  ),
  perTarget(
    'turnout_retries_over_budget_total',
    'counter',
    'Requests that were not tried again because the retry budget of the service was spent.',
    FIELD.retriesOverBudget,
  ),
  perTarget('turnout_rescued_total', 'counter', 'Requests that a later attempt has answered well.', FIELD.rescued),
  perTarget('turnout_received_bytes_total', 'counter', 'Bytes from clients for the target.', FIELD.bytesIn),
  perTarget('turnout_sent_bytes_total', 'counter', 'Bytes to clients from the target.', FIELD.bytesOut),
  targetState,
  targetWeights,
  splitWeight,
  splitShare,
  visitors,
  {
    name: 'turnout_epoch',
    type: 'gauge',
    help: 'Number of the table that every worker routes by.',
    read: ({ snapshot }) => [{ value: snapshot.epoch }],
  },
  {
    name: 'turnout_revision',
    type: 'gauge',
    help: 'Revision of the spec in the store.',
    read: ({ snapshot }) => [{ value: snapshot.revision }],
  },
  ...DEPARTURE_FAMILIES,
  ...QUEUE_FAMILIES,
  ...HOLD_FAMILIES,
  ...MAINTENANCE_FAMILIES,
  ...MIRROR_FAMILIES,
  ...WORKER_FAMILIES,
  ...NAME_FAMILIES,
  ...LOOKUP_FAMILIES,
  ...INSTANCE_FAMILIES,
  ...ROLLOUT_FAMILIES,
]
