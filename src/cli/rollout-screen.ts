/**
 * A rollout as it is drawn on a terminal while it is watched: where it stands, what both pools do, what the verdict says.
 */
import { inDigits } from '../config/digits.ts'
import { inWords } from '../config/duration.ts'
import { stateInWords } from '../rollout/rollout.ts'
import { fitted, number, percent } from './columns.ts'
import { widthOf, wrapped } from './redraw.ts'
import { gateLine, metricLine, pooledInWords, type RolloutView, waitInWords, wayOf } from './rollout-words.ts'

/** What the status of the service tells of its pools, as far as it is drawn. */
export interface PoolsView {
  readonly windowMs: number
  readonly pools: readonly {
    readonly name: string
    readonly version: string
    readonly weight: number
    readonly rate: number
    readonly failureShare: number | null
    readonly p50Ms: number | null
    readonly p99Ms: number | null
  }[]
}

const BAR_MAX = 60
const INDENT = '  '

/** The lines of it, none longer than the terminal is wide. */
export function screenOf(rollout: RolloutView, status: PoolsView | null, columnsMax: number, nowMs: number): string[] {
  const { service, from, to, strategy, id, startedAtMs, endedAtMs, verdict, reason } = rollout
  const width = Math.max(20, columnsMax - 1)
  const versionOf = (pool: string): string => {
    const version = status?.pools.find(({ name }) => name === pool)?.version ?? ''
    return version === '' ? pool : `${pool} ${version}`
  }
  const paragraph = (text: string): string[] => wrapped(text, width, INDENT)
  const tookS = Math.max(0, Math.round(((endedAtMs ?? nowMs) - startedAtMs) / 1_000))
  return [
    ...wrapped(
      `${service}: ${wayOf(versionOf(from), versionOf(to))}, ${strategy}, ${id}, ${inWords(tookS * 1_000)}`,
      width,
    ),
    ...barOf(rollout, width),
    ...paragraph(standOf(rollout)),
    ...(reason === null ? [] : paragraph(reason)),
    ...toGoOn(rollout).flatMap(paragraph),
    // Before the first step there is no traffic to tell of.
    ...(rollout.step >= 0 ? [] : (rollout.gates ?? []).flatMap((gate) => paragraph(gateLine(gate)))),
    ...(status === null ? [] : poolLines(rollout, status, width)),
    ...(verdict === null ? [] : paragraph(`${verdict.outcome}: ${verdict.sentence}`)),
    ...(verdict === null
      ? []
      : paragraph(`evidence against ${to}: ${percent(verdict.evidence)} of what takes it back`)),
    ...pooledInWords(verdict?.instances).flatMap(paragraph),
    ...(verdict?.metrics ?? []).flatMap((metric) => paragraph(metricLine(metric, to, from))),
    ...paragraph(harmOf(rollout)),
  ]
}

/** How full it is, and below it a tick at the end of each step: those that are done, the present one, those to come. */
function barOf({ weight, steps, step, state }: RolloutView, width: number): string[] {
  const share = `  ${percent(weight / 100)}`
  const cells = Math.max(10, Math.min(BAR_MAX, width - INDENT.length - '  100 %'.length))
  const full = Math.round((weight / 100) * cells)
  let ticks = ''
  for (const [at, { weight: end }] of steps.entries()) {
    const column = Math.max(0, Math.round((end / 100) * cells) - 1)
    const mark = state === 'done' || at < step ? '✓' : at === step ? '▲' : '╵'
    // Steps that end in the same cell share a tick, that of the last of them that was begun.
    if (column < widthOf(ticks)) ticks = at <= step ? ticks.slice(0, column) + mark : ticks
    else ticks = ticks.padEnd(column) + mark
    const after = steps[at + 1]?.weight
    const room = after === undefined ? Infinity : Math.round((after / 100) * cells) - 1 - widthOf(ticks)
    if (String(end).length < room) ticks += String(end)
  }
  return [`${INDENT}${'█'.repeat(full)}${'░'.repeat(cells - full)}${share}`, INDENT + ticks]
}

function standOf({ state, step, steps, next }: RolloutView): string {
  const at = step < 0 ? '' : `, step ${step + 1} of ${steps.length}`
  return `${stateInWords(state)}${at}${next === null ? '' : `; ${waitInWords(next)}`}`
}

/** What a person has to do, where one is waited for. */
function toGoOn({ service, state, next }: RolloutView): string[] {
  if (next?.waitsFor === 'promotion') return [`to go on: turnout rollout promote ${service}`]
  return state === 'paused' ? [`to go on: turnout rollout resume ${service}`] : []
}

function poolLines({ from, to }: RolloutView, { windowMs, pools }: PoolsView, width: number): string[] {
  const shown = pools.filter(({ name, weight }) => name === from || name === to || weight > 0)
  const rows = shown.map(({ name, rate, failureShare, p50Ms, p99Ms }) => [
    INDENT + name,
    number(rate),
    percent(failureShare),
    number(p50Ms),
    number(p99Ms),
  ])
  const title = `${INDENT}LAST ${Math.max(1, Math.round(windowMs / 1_000))} S`
  const right = [
    { title: 'REQ/S', right: true, leaves: 3 },
    { title: 'FAILED', right: true },
    { title: 'P50 MS', right: true, leaves: 1 },
    { title: 'P99 MS', right: true, leaves: 2 },
  ]
  return fitted([{ title }, ...right], rows, width)
    .table.trimEnd()
    .split('\n')
}

function harmOf({ harm: { failed, budget }, to }: RolloutView): string {
  const told = `${inDigits(failed)} failed ${failed === 1 ? 'answer' : 'answers'} of ${to} reached clients`
  return budget === null ? told : `${told}, of ${inDigits(budget)} that may (${percent(failed / Math.max(1, budget))})`
}
