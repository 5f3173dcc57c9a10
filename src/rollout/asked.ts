/**
 * What a rollout is begun with, and what comes of it for the service as it is now. Pure.
 *
 * Whatever makes no sense is refused before anything is done: a pool that has all the traffic, targets that somebody has set apart, programs
 * from elsewhere than their folders.
 */
import { own } from '../config/record.ts'
import type { ServiceSpec } from '../config/schema.ts'
import type { RolloutSpec } from '../config/schema-rollout.ts'
import { TurnoutError } from '../errors.ts'
import type { ServiceStatus } from '../table/status.ts'
import type { Kept } from './kept.ts'
import { isRolling } from './rolling.ts'
import { begin } from './state.ts'
import { type Wish, wishOf } from './wish.ts'

/** What a rollout is begun with. */
export type Asked = RolloutSpec & {
  /** The pool with the new version. */
  readonly to: string
  /** The version that it has, or that a rolling release brings. */
  readonly version?: string
  /** Whatever its schedule says. */
  readonly now?: boolean
  /** Metrics of the settings that it is not judged by. */
  readonly without?: readonly string[]
}

interface Beginning {
  readonly service: string
  readonly id: string
  readonly by: string
  readonly nowMs: number
  readonly steadyMs: number
  readonly commandFolders: readonly string[]
}

/** One that begins now, before anything is done about it; its pool is one of the service. Throws `conflict` and `invalid`. */
export function keptOf(
  { to, version, now = false, without, ...sent }: Asked,
  spec: ServiceSpec,
  status: ServiceStatus | undefined,
  { service, id, by, nowMs, steadyMs, commandFolders }: Beginning,
): Kept {
  const wish: Wish = {
    ...wishOf(spec.rollout, now ? { ...sent, schedule: {} } : sent, spec.pools[to].targets, without),
    ...(version !== undefined && { version }),
  }
  assertCommands(wish, commandFolders)
  const from = fromOf(spec, to, wish)
  assertTargets(wish, spec, to)
  if (isRolling(wish)) assertRollable(spec, status, to)
  const { rollout } = begin({ id, to, plan: wish.plan, policy: wish.policy, before: spec.split ?? {}, by }, steadyMs)
  const isHurried = now && (sent.schedule ?? spec.rollout?.schedule) !== undefined
  return {
    service,
    from,
    wish,
    rollout,
    askedBy: by,
    ...(isHurried && { isHurried }),
    startedAtMs: nowMs,
    updatedAtMs: nowMs,
    endedAtMs: null,
    history: [],
    tests: null,
    verdict: null,
    harm: 0,
    step: 0,
  }
}

/** Programs are run only from the folders that the config file of this process names. Throws `invalid`. */
function assertCommands({ spec: { hooks = [] } }: Wish, folders: readonly string[]): void {
  for (const [at, { command, step }] of hooks.entries()) {
    if (command === undefined || folders.some((folder) => command[0].startsWith(`${folder.replace(/\/+$/, '')}/`)))
      continue
    const where = folders.length === 0 ? 'names none' : `names ${folders.join(', ')}`
    const message = `${command[0]} is in no folder of rolloutCommands in the config file, which ${where}`
    throw new TurnoutError('invalid', message, [
      { pointer: step === undefined ? `/hooks/${at}/command` : `/steps/${step}/hooks`, message },
    ])
  }
}

/** There is something to try, now or once a hook has put it there or its time has come. Throws `conflict`. */
function assertTargets({ spec: { hooks = [], schedule } }: Wish, { pools }: ServiceSpec, to: string): void {
  if (pools[to].targets.length > 0 || schedule !== undefined || hooks.some(({ at }) => at === 'BeforeInstall')) return
  throw new TurnoutError(
    'conflict',
    `Pool ${to} has no targets, and no hook BeforeInstall that could bring some: give it targets first.`,
  )
}

/** A rolling release sets the states of its targets, so none may be set by a person; and it has two versions in one pool. Throws `conflict`. */
function assertRollable({ health }: ServiceSpec, status: ServiceStatus | undefined, pool: string): void {
  if (health?.expectVersion !== undefined) {
    throw new TurnoutError(
      'conflict',
      'health.expectVersion wants one version of all targets, and a rolling release mixes two.',
    )
  }
  const set = Object.entries(status?.pools[pool]?.targets ?? {}).filter(([, { admin }]) => admin !== 'ready')
  if (set.length === 0) return
  const [[url, { admin }]] = set
  throw new TurnoutError(
    'conflict',
    `${url} is not ready but ${admin}: a rolling release needs all targets of ${pool}.`,
  )
}

/** The pool that traffic comes from; the pool itself where its targets are replaced. Throws `conflict` where there is none. */
function fromOf({ split = {} }: ServiceSpec, to: string, wish: Wish): string {
  if (isRolling(wish)) {
    if (own(split, to) ?? 0) return to
    throw new TurnoutError('conflict', `Pool ${to} has no traffic: what a rolling release brings could not be judged.`)
  }
  const others = Object.entries(split).filter(([pool, weight]) => pool !== to && weight > 0)
  if (others.length === 0) throw new TurnoutError('conflict', `Pool ${to} has all the traffic already.`)
  return others.sort(([, a], [, b]) => b - a)[0][0]
}
