/**
 * `status`: every pool and target of one service or of all, as one table each; `--watch` redraws it each second.
 *
 * A watch outlives the admin API being away for a while (a restart of Turnout is just when people watch), so only its first
 * look may fail.
 */

import { hostOf } from '../names/address.ts'
import type { AdminState, Health } from '../table/types.ts'
import { pathOf } from './admin.ts'
import { type Column, countsByWhy, fitted, number, percent, plain, secondsLeft } from './columns.ts'
import { CliFailure } from './failure.ts'
import { type HeldView, type HoldView, holdLine } from './hold-words.ts'
import { type InstanceView, instanceLines, type StoreView, storeLines } from './instances.ts'
import { type MaintenanceView, maintenanceLine } from './maintenance.ts'
import { pause } from './pause.ts'
import { Redraw, wrapped } from './redraw.ts'
import { type RunningView, runningInWords } from './rollout-words.ts'
import type { Call, Verb } from './verb.ts'

interface Traffic {
  readonly inFlight: number
  readonly tunnels: number
  readonly rate: number
  readonly attempts: { readonly rate: number }
  readonly failureShare: number | null
  readonly p50Ms: number | null
  readonly p90Ms: number | null
  readonly p99Ms: number | null
}

interface TargetView extends Traffic {
  readonly target: string
  readonly url: string
  /** An older Turnout tells nothing of it. */
  readonly weight?: number
  readonly warmUntilMs?: number
  readonly admin: AdminState
  readonly drainUntilMs: number
  readonly health: Health
  readonly ejectedUntilMs: number
  /** Why its name has no address, or old ones, or more than are used. */
  readonly reason: string | null
  readonly addresses: readonly AddressView[]
}

interface AddressView {
  readonly address: string
  readonly alternate: string | null
  readonly health: Health
  readonly ejectedUntilMs: number
  readonly inFlight: number
  readonly tunnels: number
}

interface QueueView {
  readonly depth: number
  readonly served: number
  readonly meanMs: number | null
  readonly shed: Readonly<Record<string, number>>
}

interface LetGoView {
  readonly before: number
  readonly closed: number
  readonly cut: number
  readonly moved: number
  readonly left: number
  readonly pace: string
}

interface PoolView extends Traffic {
  readonly name: string
  readonly version: string
  readonly weight: number
  readonly admin: AdminState
  readonly drainUntilMs: number
  readonly share: {
    readonly aimed: number
    readonly seen: number | null
    /** An older Turnout tells nothing of it. */
    readonly visitors?: number | null
  }
  /** null where nothing is limited; an older Turnout tells nothing of it. */
  readonly queue?: QueueView | null
  /** An older Turnout tells nothing of it. */
  readonly rampUntilMs?: number
  /** null where nothing was let go; an older Turnout tells nothing of it. */
  readonly letGo?: LetGoView | null
  readonly targets: readonly TargetView[]
}

/** What the API answers, as far as it is shown (admin/status.ts). */
interface StatusView {
  readonly revision: number
  readonly epoch: number
  readonly service: string
  readonly release: string
  /** Whether its targets are asked for their health; an older Turnout tells nothing of it. */
  readonly probed?: boolean
  /** An older Turnout tells nothing of it. */
  readonly rollout?: RunningView | null
  /** null while it is not held; an older Turnout tells nothing of it. */
  readonly hold?: HoldView | null
  readonly maintenance?: MaintenanceView
  readonly held?: HeldView
  readonly pools: readonly PoolView[]
}

interface ProcessView extends StoreView {
  readonly revision: number
  readonly services: readonly StatusView[]
  /** An older Turnout tells nothing of them. */
  readonly lookups?: readonly { readonly name: string; readonly fault: string | null }[]
  readonly instances?: readonly InstanceView[]
}

const REDRAW_MS = 1000

/** Shows what each pool and target is doing. */
export const status: Verb = {
  name: 'status',
  args: '[SERVICE]',
  summary: 'Show what each pool and target is doing',
  argsCount: [0, 1],
  options: { watch: { type: 'boolean', short: 'w' } },
  optionsHelp: [['-w, --watch', 'Redraw each second until Ctrl-C; with --json a line each second']],
  examples: ['status', 'status shop --watch', 'status shop --json'],
  async run(call) {
    let shown = await look(call)
    if (call.options['watch'] !== true) return call.print(shown)
    const screen = call.isTerminal && !call.json ? new Redraw(call) : null
    while (!call.signal.aborted) {
      if (screen === null) call.print(shown)
      else screen.draw(shown.trimEnd().split('\n'))
      await pause(call, REDRAW_MS)
      shown = await look(call).catch((error: unknown) => {
        if (!(error instanceof CliFailure) || error.exitCode !== 3) throw error
        const text = `${error.message} Trying again.`
        if (screen !== null) return wrapped(text, call.size().columns - 1).join('\n')
        // Whoever reads the other lines reads nothing else there.
        call.note(text)
        return ''
      })
    }
  },
}

async function look(call: Call): Promise<string> {
  const { admin, args, json, clock, isTerminal, size } = call
  const [service] = args
  // The last column of a terminal stays free; what is no terminal has room for all.
  const width = isTerminal ? size().columns - 1 : Infinity
  if (service !== undefined) {
    const view = await admin.call<StatusView>('GET', pathOf('services', service, 'status'))
    return json ? JSON.stringify(view) + '\n' : inColumns(view, clock.nowMs(), width)
  }
  // One call for all: a call for each of thousands would fail, and show thousands of different moments.
  const all = await admin.call<ProcessView>('GET', pathOf('status'))
  if (json) return JSON.stringify(all) + '\n'
  const { services: views, lookups = [] } = all
  const others = `${storeLines(all, width)}${instanceLines(all, width)}`
  if (views.length === 0) return `${others}There are no services yet.\n`
  const faults = lookups.flatMap(({ name, fault }) =>
    fault === null ? [] : [`\n${plain(name === '' ? fault : `${name}: ${fault}`)}\n`],
  )
  const tables = views.map((view) => inColumns(view, clock.nowMs(), width))
  return [others, tables.join('\n'), ...faults].join('')
}

/** In a narrow terminal state, health and failures stay to the last. */
const TITLES: readonly Column[] = [
  { title: 'POOL' },
  { title: 'VERSION', leaves: 6 },
  { title: 'WEIGHT', right: true, leaves: 10 },
  { title: 'SHARE', right: true, leaves: 5 },
  { title: 'SEEN', right: true, leaves: 4 },
  { title: 'VISITORS', right: true, leaves: 0 },
  { title: 'STATE' },
  { title: 'HEALTH' },
  { title: 'IN FLIGHT', right: true, leaves: 8 },
  { title: 'TUNNELS', right: true, leaves: 3 },
  { title: 'REQ/S', right: true, leaves: 11 },
  { title: 'TRIES/S', right: true, leaves: 2 },
  { title: 'FAILED', right: true },
  { title: 'P50 MS', right: true, leaves: 7 },
  { title: 'P90 MS', right: true, leaves: 1 },
  { title: 'P99 MS', right: true, leaves: 9 },
]

function inColumns(view: StatusView, nowMs: number, width: number): string {
  const rows = view.pools.flatMap((pool) => [poolRow(pool, nowMs), ...targetRows(pool, nowMs, view.probed)])
  const targets = view.pools.flatMap((pool) => pool.targets)
  const reasons = targets.flatMap(({ target, reason }) => (reason === null ? [] : [`${target}: ${reason}`]))
  const { table, missing } = fitted(TITLES, rows, width)
  const head = [
    `${view.service}: release ${view.release}, revision ${view.revision}, epoch ${view.epoch}`,
    ...(view.rollout ? [`rollout ${runningInWords(view.rollout)}`] : []),
    ...holdLine(view, nowMs),
    ...maintenanceLine(view),
    ...view.pools.flatMap(queueLine),
    ...view.pools.flatMap(letGoLine),
  ]
  const foot = [...new Set(reasons), ...(missing.length === 0 ? [] : [`no room for ${missing.join(', ')}`])]
  const lines = (texts: readonly string[]): string =>
    texts
      .flatMap((text) => wrapped(plain(text), width))
      .map((line) => `${line}\n`)
      .join('')
  return `${lines(head)}${table}${lines(foot)}`
}

/** Of the queue of a pool, if anybody was ever in it. */
function queueLine({ name, queue }: PoolView): string[] {
  if (!queue) return []
  const shed = countsByWhy(queue.shed)
  if (queue.depth === 0 && queue.served === 0 && shed === '') return []
  const waited = queue.meanMs === null ? '' : `, ${queue.served} had waited ${number(queue.meanMs)} ms on average`
  const none = shed === '' ? '' : `, got none: ${shed}`
  return [`queue of ${name}: ${queue.depth} wait for room${waited}${none}`]
}

/** Of the tunnels that a pool lets go, or has let go last. */
function letGoLine({ name, letGo }: PoolView): string[] {
  if (!letGo) return []
  const { before, closed, cut, moved, left, pace } = letGo
  const state = left === 0 ? '' : `, ${left} left${pace === 'steady' ? '' : ` (${pace})`}`
  const share = closed === 0 ? '' : ` (${percent(moved / closed)})`
  return [
    `tunnels of ${name}: ${closed} of ${before} closed, ${cut} of them cut, ${moved}${share} have come to another place${state}`,
  ]
}

function poolRow(pool: PoolView, nowMs: number): string[] {
  const { name, version, weight, share } = pool
  const shares = [String(weight), percent(share.aimed), percent(share.seen), percent(share.visitors ?? null)]
  return [name, version, ...shares, stateOf(pool, nowMs), warming(pool.rampUntilMs, nowMs), ...figures(pool)]
}

/** Targets, each with its addresses below it when it has several; with their weights when one has another than the rest. */
function targetRows({ targets }: PoolView, nowMs: number, probed: boolean | undefined): string[][] {
  const isWeighed = targets.some(({ weight }) => weight !== targets[0].weight)
  return targets.flatMap((target) => {
    const { addresses, weight } = target
    const [first] = addresses
    const isNamed = addresses.length === 1 && hostOf(target.url) !== first.address
    const name = isNamed ? `${target.target} at ${first.address}` : target.target
    const health = [healthOf(target, nowMs, probed), warming(target.warmUntilMs, nowMs)]
      .filter((word) => word !== '')
      .join(', ')
    const states = [stateOf(target, nowMs), health]
    const row = [`  ${name}`, '', isWeighed ? String(weight) : '', '', '', '', ...states, ...figures(target)]
    return addresses.length < 2 ? [row] : [row, ...addresses.map((address) => addressRow(address, nowMs, probed))]
  })
}

function addressRow(it: AddressView, nowMs: number, probed: boolean | undefined): string[] {
  const row = [
    `    ${it.address}`,
    '',
    '',
    '',
    '',
    '',
    '',
    healthOf(it, nowMs, probed),
    String(it.inFlight),
    String(it.tunnels),
  ]
  return TITLES.map((_, index) => row[index] ?? '')
}

function healthOf(
  { health, ejectedUntilMs }: { health: Health; ejectedUntilMs: number },
  nowMs: number,
  probed = true,
): string {
  const known = probed || health !== 'unknown' ? health : 'no probes'
  return ejectedUntilMs > nowMs ? `${known}, ejected for ${secondsLeft(ejectedUntilMs, nowMs)}` : known
}

const warming = (untilMs = 0, nowMs: number): string =>
  untilMs > nowMs ? `warming for ${secondsLeft(untilMs, nowMs)}` : ''

function stateOf({ admin, drainUntilMs }: { admin: AdminState; drainUntilMs: number }, nowMs: number): string {
  return admin === 'drain' && drainUntilMs > nowMs ? `drain, ${secondsLeft(drainUntilMs, nowMs)} left` : admin
}

function figures({ inFlight, tunnels, rate, attempts, failureShare, p50Ms, p90Ms, p99Ms }: Traffic): string[] {
  const counts = [String(inFlight), String(tunnels), number(rate), number(attempts.rate), percent(failureShare)]
  return [...counts, number(p50Ms), number(p90Ms), number(p99Ms)]
}
