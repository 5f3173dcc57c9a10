/**
 * What the schema cannot say about the settings of a rollout: what kind a metric is, and that it is one.
 *
 * A metric is posted when it names no Prometheus; counted when it has `bad` and `all`; a value with a bound when it has `query`. A key of
 * another kind is a fault, since nobody would follow it.
 */

import { calledUrlFault } from './called-url.ts'
import { checkSchedule } from './check-schedule.ts'
import type { Report } from './check-service.ts'
import { durationMs } from './duration.ts'
import { HIDDEN } from './hidden.ts'
import { child } from './pointer.ts'
import type { HookSpec } from './schema-gates.ts'
import type { RolloutSpec } from './schema-rollout.ts'
import type { MetricSpec } from './schema-verdict.ts'
import { isRollingName, nameFault, weightsFault } from './strategy.ts'

/** What a verdict calls its own causes. */
const RESERVED = ['failures', 'harm', 'rate', 'slow']
const HOUR_MS = 3_600_000
const EVERY_MS_MIN = 1_000
const EVERY_MS_MAX = HOUR_MS
const YEAR_MS = 31_536_000_000
/** A day. */
const WARM_UP_MS_MAX = 86_400_000
/** What lives longer does not end at once, and its judgement would come too late for its step. */
const EARLY_CLOSE_MS_MAX = 60_000
/** Time-outs are timers of the system. */
const TIMEOUT_MS_MAX = 2_147_483_647

type Key = keyof MetricSpec

const KINDS = {
  posted: { words: 'is posted, since it names no Prometheus', keys: ['name', 'margin', 'optional'] },
  counted: {
    words: 'is counted',
    keys: ['name', 'margin', 'optional', 'prometheus', 'bad', 'all', 'every'],
  },
  bounded: {
    words: 'has a query, so it is one value',
    keys: ['name', 'optional', 'prometheus', 'query', 'above', 'below', 'for', 'every'],
  },
} as const satisfies Record<string, { words: string; keys: readonly Key[] }>

/** What kind of metric is meant. */
export function kindOf(metric: MetricSpec): keyof typeof KINDS {
  if (metric.query !== undefined) return 'bounded'
  return metric.prometheus === undefined && metric.bad === undefined && metric.all === undefined ? 'posted' : 'counted'
}

/** Adds every fault of the settings of a rollout. */
export function checkRollout(report: Report, at: string, rollout: RolloutSpec): void {
  if (!report.present(at)) return
  checkStrategy(report, at, rollout)
  checkHooks(report, at, rollout.hooks)
  const stepsAt = child(at, 'steps')
  for (const [index, step] of (report.present(stepsAt) ? (rollout.steps ?? []) : []).entries()) {
    const stepAt = child(stepsAt, index)
    if (typeof step === 'object' && report.present(stepAt)) checkHooks(report, stepAt, step.hooks)
  }
  const smokeAt = child(at, 'smoke')
  for (const [index, test] of (report.present(smokeAt) ? (rollout.smoke ?? []) : []).entries()) {
    const testAt = child(smokeAt, index)
    if (report.present(testAt)) checkTime(report, child(testAt, 'within'), test.within, 1, TIMEOUT_MS_MAX)
  }
  const notifyAt = child(at, 'notify')
  for (const [index, entry] of (report.present(notifyAt) ? (rollout.notify ?? []) : []).entries()) {
    if (report.sound(child(notifyAt, index))) checkCalled(report, child(child(notifyAt, index), 'url'), entry.url)
  }
  if (rollout.warmup !== undefined && report.present(child(at, 'warmup'))) {
    checkTime(report, child(child(at, 'warmup'), 'for'), rollout.warmup.for, 0, WARM_UP_MS_MAX)
  }
  if (rollout.standby !== undefined) checkTime(report, child(at, 'standby'), rollout.standby, 1_000, YEAR_MS)
  if (rollout.schedule !== undefined) checkSchedule(report, child(at, 'schedule'), rollout.schedule)
  const verdictAt = child(at, 'verdict')
  if (rollout.verdict?.earlyClose !== undefined && report.present(verdictAt)) {
    checkTime(report, child(verdictAt, 'earlyClose'), rollout.verdict.earlyClose, 0, EARLY_CLOSE_MS_MAX)
  }
  const rateAt = child(verdictAt, 'rate')
  // What is kept already may be shorter, and is judged all the same.
  if (report.refusesVain && rollout.verdict?.rate !== undefined && report.present(rateAt)) {
    checkTime(report, child(rateAt, 'over'), rollout.verdict.rate.over, 1_000, YEAR_MS)
  }
  const metricsAt = child(verdictAt, 'metrics')
  if (!report.present(metricsAt)) return
  const names = new Set<string>()
  for (const [index, metric] of (rollout.verdict?.metrics ?? []).entries()) {
    const metricAt = child(metricsAt, index)
    if (!report.sound(metricAt)) continue
    const nameAt = child(metricAt, 'name')
    if (names.has(metric.name)) report.add(nameAt, `another metric has the name ${JSON.stringify(metric.name)}`)
    if (RESERVED.includes(metric.name)) report.add(nameAt, `${metric.name} is what the verdict calls something else`)
    names.add(metric.name)
    checkMetric(report, metricAt, metric)
  }
}

/** What is served already may have another, which is told when a rollout begins. */
function checkStrategy(report: Report, at: string, { strategy, steps }: RolloutSpec): void {
  if (!report.refusesVain) return
  const [strategyAt, stepsAt] = [child(at, 'strategy'), child(at, 'steps')]
  const unknown = strategy !== undefined && report.sound(strategyAt) ? nameFault(strategy) : null
  if (unknown !== null) report.add(strategyAt, unknown)
  if (steps === undefined || !report.sound(stepsAt)) return
  const isRolling = unknown === null && strategy !== undefined && report.sound(strategyAt) && isRollingName(strategy)
  const weights = steps.map((step) => (typeof step === 'number' ? step : step.weight))
  const fault = isRolling ? 'a rolling release has no steps of weight' : weightsFault(weights)
  if (fault !== null) report.add(stepsAt, fault)
}

type Called = Omit<HookSpec, 'at'>

function checkHooks(report: Report, at: string, hooks: readonly Called[] = []): void {
  const listAt = child(at, 'hooks')
  if (!report.present(listAt)) return
  for (const [index, hook] of hooks.entries()) {
    const hookAt = child(listAt, index)
    if (!report.present(hookAt)) continue
    checkTime(report, child(hookAt, 'timeout'), hook.timeout, 1, TIMEOUT_MS_MAX)
    checkHook(report, hookAt, hook)
  }
}

function checkHook(report: Report, at: string, { url, command, secret }: Called): void {
  const [urlAt, commandAt, secretAt] = [child(at, 'url'), child(at, 'command'), child(at, 'secret')]
  if (url === undefined && command === undefined && !report.misspelt(at, ['url', 'command'])) {
    report.add(urlAt, 'missing key "url" (or "command"): who is called', { about: 'key' })
  }
  if (url !== undefined && command !== undefined)
    report.add(commandAt, 'a hook has either a url or a command, not both')
  if (url !== undefined && report.sound(urlAt)) checkCalled(report, urlAt, url)
  if (secret !== undefined && report.sound(secretAt)) checkShown(report, secretAt, secret)
  if (command === undefined || !report.sound(commandAt)) return
  if (secret !== undefined) report.add(secretAt, 'a command gets no signature', { about: 'key' })
  const [program, ...args] = command
  if (!program.startsWith('/') || program.split('/').includes('..')) {
    report.add(
      child(commandAt, 0),
      `${JSON.stringify(program)} is no whole path of a program, such as /opt/hooks/migrate`,
    )
  }
  if (command.some((part) => part.includes('\0'))) report.add(commandAt, 'no argument can have a zero byte in it')
  if (args.includes(HIDDEN)) report.add(commandAt, NOT_SHOWN)
}

const NOT_SHOWN = `has "${HIDDEN}" in the place of what a viewer is not shown: write it out`

function checkShown(report: Report, at: string, text: string): void {
  if (text === HIDDEN || text.endsWith(`/${HIDDEN}`) || text.endsWith(`?${HIDDEN}`)) report.add(at, NOT_SHOWN)
}

/** Somebody who is called by this URL. */
function checkCalled(report: Report, at: string, text: string): void {
  checkShown(report, at, text)
  askedUrl(report, at, text)
}

/** A URL that we ask; null when it is none that can be asked. */
function askedUrl(report: Report, at: string, text: string): URL | null {
  const fault = calledUrlFault(text)
  if (fault === null) return URL.parse(text)
  report.add(at, fault)
  return null
}

function checkMetric(report: Report, at: string, metric: MetricSpec): void {
  const { words, keys } = KINDS[kindOf(metric)]
  for (const key of Object.keys(metric) as Key[]) {
    if ((keys as readonly Key[]).includes(key)) continue
    report.add(child(at, key), `${metric.name} ${words}: ${key} says nothing of it`, { about: 'key' })
  }
  const need = (key: Key, why: string) => {
    if (metric[key] === undefined) report.add(child(at, key), `missing key "${key}": ${why}`, { about: 'key' })
  }
  if (metric.prometheus !== undefined) checkUrl(report, child(at, 'prometheus'), metric.prometheus)
  if (metric.every !== undefined) checkTime(report, child(at, 'every'), metric.every, EVERY_MS_MIN, EVERY_MS_MAX)
  if (kindOf(metric) === 'posted') return
  need('prometheus', 'where Prometheus is')
  if (kindOf(metric) === 'bounded') {
    if ((metric.above === undefined) === (metric.below === undefined)) {
      report.add(at, `${metric.name} needs either above or below: what value is out of bounds`)
    }
    return
  }
  need('bad', 'counters of what went bad, by PromQL; or one value by query')
  need('all', 'counters of all there was, by PromQL')
  for (const key of ['bad', 'all'] as const) {
    if (metric[key]?.includes('{pool}') === false) {
      report.add(child(at, key), 'does not say {pool}, so both versions would be counted alike')
    }
  }
}

function checkUrl(report: Report, at: string, text: string): void {
  const url = askedUrl(report, at, text)
  if (url !== null && url.search !== '') report.add(at, 'must not have a query: /api/v1/query is added to it')
}

function checkTime(report: Report, at: string, text: string, msMin: number, msMax: number): void {
  if (!report.sound(at)) return
  const ms = durationMs(text)
  if (ms < msMin) report.add(at, `${text} is too short: at least ${msMin}ms`)
  if (ms <= msMax) return
  const most = msMax < HOUR_MS ? `${msMax / 60_000}m` : `${Math.floor(msMax / HOUR_MS)}h`
  report.add(at, `${text} is too long: at most ${most}`)
}
