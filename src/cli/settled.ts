/**
 * `--wait` of the verbs that set a state: until nobody is let in any more and nothing is under way (`drain`, `standby`, `maint`), or until
 * the probes find it healthy (`ready`). So a script may end a server once its drain is over, and go on once another is there.
 */
import { inWords } from '../config/duration.ts'
import { isMeant } from '../config/target-url.ts'
import type { AdminState, Health } from '../table/types.ts'
import { pathOf } from './admin.ts'
import { plain } from './columns.ts'
import { CliFailure, usageFailure } from './failure.ts'
import { pause } from './pause.ts'
import { type Call, durationGiven } from './verb.ts'

const LOOK_MS = 250
/** Between two lines that say what is waited for. */
const TELL_MS = 5_000

/** The options, of verbs that set a state. */
export const SETTLED = {
  options: { wait: { type: 'boolean' }, timeout: { type: 'string' } },
  help: [
    ['--wait', 'Stay until nothing is under way there and nobody is let in any more; with ready, until it is healthy'],
    ['--timeout DURATION', 'With --wait: give up after so long, with exit code 1; default: never'],
  ],
} as const

/** What is looked at of a target. */
interface TargetView {
  readonly target: string
  readonly url: string
  readonly admin: AdminState
  readonly drainUntilMs: number
  readonly health: Health
  /** Absent where an older Turnout serves. */
  readonly proven?: boolean
  readonly drained: boolean
  /** Other instances for which it waits. Absent where an older Turnout serves. */
  readonly busyElsewhere?: readonly string[]
  readonly inFlight: number
  readonly tunnels: number
}
type PoolView = Omit<TargetView, 'target' | 'url' | 'health' | 'proven' | 'busyElsewhere'> & {
  readonly name: string
  readonly targets: readonly TargetView[]
}

interface StatusView {
  /** A process that was replaced, and still finishes what is under way. */
  readonly predecessor: number | null
  readonly pools: readonly PoolView[]
}

/** How long `--wait` waits in ms: Infinity without `--timeout`, null where it does not wait at all. Fails with bad usage. */
export function waitMsOf({ options: { wait, timeout } }: Pick<Call, 'options'>): number | null {
  if (wait !== true) {
    if (timeout !== undefined) throw usageFailure('--timeout goes with --wait.')
    return null
  }
  return typeof timeout === 'string' ? durationGiven(timeout, '--timeout', '30s') : Infinity
}

/** Waits until what was set is so; `args` are service, pool and perhaps target. Tells what it waits for. */
export async function settle(call: Call, state: AdminState, limitMs: number): Promise<void> {
  const { args, admin, clock, signal } = call
  const [service] = args
  const untilMs = clock.monotonicMs() + limitMs
  const probed = state === 'ready' && (await isProbed(call, service))
  let tellMs = 0
  for (;;) {
    const told = await admin.call<StatusView>('GET', pathOf('services', service, 'status'))
    const waits = state === 'ready' ? healthOf(call, told.pools, probed) : workOf(call, told)
    if (waits === null) return
    if (!call.json && clock.monotonicMs() >= tellMs) {
      call.note(waits)
      tellMs = clock.monotonicMs() + TELL_MS
    }
    if (signal.aborted) throw new CliFailure(1, `only the waiting has ended: ${waits}.`)
    if (clock.monotonicMs() >= untilMs) throw new CliFailure(1, `not after ${inWords(limitMs)}: ${waits}.`)
    await pause(call, Math.min(LOOK_MS, untilMs - clock.monotonicMs()))
  }
}

async function isProbed({ admin }: Call, service: string): Promise<boolean> {
  const { spec } = await admin.call<{ spec: { health?: unknown } }>('GET', pathOf('services', service))
  return spec.health !== undefined
}

/** The pool, and the targets of it that the verb is about. */
function named({ args: [, name, target] }: Call, pools: readonly PoolView[]) {
  const pool = pools.find((candidate) => candidate.name === name)
  if (pool === undefined) throw new CliFailure(1, `pool ${name} is gone.`)
  const targets = pool.targets.filter(({ url }) => target === undefined || isMeant(url, target))
  if (target !== undefined && targets.length === 0) throw new CliFailure(1, `target ${target} is gone.`)
  return { pool, targets }
}

/** What is still to come before it can be ended; null for nothing. */
function workOf(call: Call, { pools, predecessor }: StatusView): string | null {
  const { pool, targets } = named(call, pools)
  if (targets.every(({ drained }) => drained)) return null
  const what = call.args.slice(1).join(' ')
  if (pool.admin === 'ready' && targets.some(({ admin }) => admin === 'ready'))
    throw new CliFailure(1, `${what} was set ready meanwhile.`)
  const sum = (of: (target: TargetView) => number) => targets.reduce((total, target) => total + of(target), 0)
  const [requests, tunnels] = [sum(({ inFlight }) => inFlight), sum((target) => target.tunnels)]
  if (requests + tunnels > 0) return `${what}: ${requests} requests and ${tunnels} tunnels are under way`
  const others = [...new Set(targets.flatMap(({ busyElsewhere = [] }) => busyElsewhere))]
  if (others.length > 0) return `${what}: something may be under way through ${others.map(plain).join(', ')}`
  const untilMs = Math.max(pool.drainUntilMs, ...targets.map(({ drainUntilMs }) => drainUntilMs))
  const leftMs = Math.max(0, untilMs - call.clock.nowMs())
  if (leftMs === 0 && predecessor !== null) {
    return `${what}: process ${predecessor}, which was replaced, still finishes what is under way`
  }
  return `${what}: the visitors that it has are let in for ${inWords(leftMs)} more`
}

/** What is not healthy yet; null for nothing. */
function healthOf(call: Call, pools: readonly PoolView[], probed: boolean): string | null {
  const { pool, targets } = named(call, pools)
  if (!probed) return null
  const isMaint = (place: Pick<TargetView, 'admin'>) => place.admin === 'maint'
  if (isMaint(pool) || (targets.length > 0 && targets.every(isMaint)))
    throw new CliFailure(1, `${call.args.slice(1).join(' ')} is in maintenance, where nobody is probed.`)
  // Nobody probes those of the pool that are in maintenance, which nobody has set ready.
  const sick = targets.filter((target) => !(target.proven ?? target.health === 'healthy') && !isMaint(target))
  if (sick.length === 0) return null
  return sick
    .map(({ target, health }) => `${target} is ${health === 'unhealthy' ? health : 'not probed yet'}`)
    .join(', ')
}
