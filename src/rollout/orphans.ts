/**
 * Services that a rollout has set apart, and of which the store has no record any more, or only an older one: whoever leads was lost together with
 * what it kept, somebody has put an older copy in the place of the store, or what is kept cannot be read.
 *
 * A share of the traffic at a version that nobody judges is the worst. So a rollout goes on where all is known that it has come to, and else goes
 * back to the split before it, which stands in the document itself.
 *
 *   the record ── of this rollout, and not older than its split ──────────────────────────────► goes on
 *      └── else: what this process has seen of it while another one ran it ── the same ───────► goes on
 *                   └── older than its split, or something was changed since ─────────────────► aborted, with all that belongs to it
 *                          └── nothing was seen ── freed: the split goes back, and that is told ┘
 */
import type { Logger } from 'pino'
import type { Control, Snapshot } from '../change.ts'
import type { Clock } from '../clock.ts'
import { equalJson, own } from '../config/record.ts'
import type { ServiceSpec, Weights } from '../config/schema.ts'
import { isTurnoutError } from '../errors.ts'
import type { BegunTrial } from '../table/status.ts'
import type { Archive } from './archive.ts'
import type { Seen } from './elsewhere.ts'
import type { Gates } from './gates/gates.ts'
import { isNewer, type Kept } from './kept.ts'
import type { Publish } from './news.ts'
import { retry } from './retry.ts'
import { isRolling, targetsBegun } from './rolling.ts'
import { isLast } from './rollout.ts'
import { sharesAt } from './shares.ts'

/** A rollout that is taken up. */
export interface Claim {
  readonly kept: Kept
  /** It is as it was seen, since the store has lost it. */
  readonly isSeen: boolean
  /** Not all is known that it has come to, so it goes back. */
  readonly isBehind: boolean
}

/** What is taken up of what the store has, `open`, and of what was seen before. Pure. */
export function claimsOf(
  open: readonly Kept[],
  seen: ReadonlyMap<string, Seen>,
  { services, status }: Pick<Snapshot, 'services' | 'status'>,
): Claim[] {
  const trialOf = (service: string): BegunTrial | undefined => own(status, service)?.trial
  const isOf = ({ rollout }: Kept, trial: BegunTrial | undefined) =>
    trial === undefined || trial.rollout === undefined || trial.rollout === rollout.id
  // Where none is known to run, what is kept of one says how it is to end.
  const stored = open.filter((kept) => isOf(kept, trialOf(kept.service)))
  const names = new Set([...stored.map(({ service }) => service), ...seen.keys()])
  return [...names].flatMap((service): Claim[] => {
    const trial = trialOf(service)
    const split = own(services, service)?.split ?? {}
    const kept = stored.find((its) => its.service === service)
    const last = seen.get(service)
    // Once its last shift is made the document says no more that it runs, forward or back: then it is only to be ended.
    const isEnding = trial === undefined && last?.isLost === true && isLast(last.kept.rollout)
    const isSeen =
      last !== undefined && (isEnding || trial?.rollout === last.kept.rollout.id) && isNewer(last.kept, kept)
    const found = isSeen ? last.kept : kept
    if (found === undefined) return []
    const isBehind = isOlder(found, trial, split) || (isSeen && !isEnding && last.isBehind === true)
    return [{ kept: found, isSeen, isBehind }]
  })
}

/** Whether the split has moved on since a rollout was kept so; the move that it was about to make may have been made. */
function isOlder({ rollout, step }: Kept, trial: BegunTrial | undefined, split: Weights): boolean {
  if (trial === undefined || trial.step <= step || rollout.state === 'rollingBack') return false
  const { before, to, weight, works, phase } = rollout
  if (works > 1 && phase !== 'moving') return true
  if (isRolling(rollout)) return works > 1 && !equalJson(trial.targets ?? [], targetsBegun(rollout))
  const made = works > 1 ? sharesAt(before, to, weight) : before
  return Object.keys({ ...split, ...made }).some((pool) => (split[pool] ?? 0) !== (made[pool] ?? 0))
}

/** Tells that one is gone on with as it was seen. */
export function tellSeen({ kept: { service, rollout }, isSeen, isBehind }: Claim, publish: Publish): void {
  if (!isSeen) return
  const message = `the store has lost rollout ${rollout.id} of ${service}: what was seen of it last is what it goes ${isBehind ? 'back' : 'on'} by`
  publish({ type: 'rollout', service, message, data: { id: rollout.id, seen: true, trouble: true } })
}

export interface OrphansDeps {
  readonly control: Control
  readonly publish: Publish
  readonly log: Pick<Logger, 'error' | 'warn'>
}

/** Takes those back of which nothing is known but what the document says, and tells it. `runs` tells of which services a rollout runs. */
export async function freeOrphans(
  deps: OrphansDeps,
  gates: Pick<Gates, 'notify'>,
  runs: (service: string) => boolean,
): Promise<void> {
  const { services, status } = deps.control.snapshot()
  for (const [service, { trial }] of Object.entries(status)) {
    if (trial === undefined || runs(service)) continue
    try {
      await free(deps, gates, service, services[service], trial)
    } catch (err) {
      // What is wrong with one keeps no other from its way back.
      if (!isTurnoutError(err, 'invalid')) throw err
      deps.log.error({ err, service }, `the rollout of ${service}, whose record is lost, cannot be taken back`)
    }
  }
}

async function free(
  { control, publish }: OrphansDeps,
  gates: Pick<Gates, 'notify'>,
  service: string,
  spec: ServiceSpec,
  trial: BegunTrial,
): Promise<void> {
  const { rollout: id = 'of an older Turnout', pool: to } = trial
  const before = splitBefore(trial, spec.split ?? {})
  const out = outOf(trial, spec.pools[to].targets)
  const change = { kind: 'shift', service, weights: before ?? spec.split ?? {}, trial: null, ends: 'back' } as const
  const pool = out.length > 0 && {
    pool: { name: to, states: Object.fromEntries(out.map((url) => [url, 'maint'] as const)) },
  }
  await control.change({ ...change, ...pool, before: before ?? {}, rollout: id }, { actor: 'turnout', force: true })
  const where =
    before === null
      ? `its split stays as it is, since nobody knows what it was before`
      : out.length > 0
        ? `${out.join(', ')} of ${to}, which may have the new version, are in maintenance`
        : 'the split is what it was before it'
  const reason = 'aborted by turnout, since its record is lost'
  const message = `rollout ${id} of ${service} to ${to} is rolled back: ${reason}; ${where}`
  publish({ type: 'rollout', service, message, data: { id, to, state: 'rolledBack', weight: 0, reason } })
  const notice = { text: `${service}: ${message}`, service, rollout: id, state: 'rolledBack' } as const
  for (const whom of spec.rollout?.notify ?? []) void gates.notify(whom, notice).catch(() => {})
}

/** Weights before it; null where neither the document nor the pools that it has left a share say them. */
function splitBefore({ before, pool, targets }: BegunTrial, split: Weights): Weights | null {
  // What it says of pools that are not there leads nowhere.
  const there = before && Object.fromEntries(Object.entries(before).filter(([name]) => Object.hasOwn(split, name)))
  if (there !== undefined && Object.values(there).some((weight) => weight > 0)) return there
  if (targets !== undefined) return split
  const others = Object.entries(split).map(([name, weight]) => [name, name === pool ? 0 : weight] as const)
  return others.some(([, weight]) => weight > 0) ? Object.fromEntries(others) : null
}

/** Targets that have the new version in a pool whose targets are replaced, while others are there to answer. */
function outOf({ targets = [] }: BegunTrial, all: readonly string[]): readonly string[] {
  return targets.length < all.length ? targets.filter((url) => all.includes(url)) : []
}

/** Takes over what may have been written of services that the document does not say are tried. */
export async function takeOverUntried(control: Control, open: readonly Kept[]): Promise<void> {
  for (const { service } of open) {
    if (own(control.snapshot().status, service)?.trial === undefined) await takeOver(control, service)
  }
}

/** Has what was written in the store without our knowledge taken over: what a change would come upon is read before it is tried. */
async function takeOver(control: Control, service: string): Promise<void> {
  const spec = own(control.snapshot().services, service)
  if (spec === undefined) return
  const change = { kind: 'split', service, weights: spec.split ?? {} } as const
  await control.change(change, { actor: 'rollouts', dryRun: true }).catch(() => {})
}

/** One that has failed to begin leaves nothing behind, also where its first shift was reported as failed and had happened; tried until it is so. */
export async function undoBegin(
  { control, clock, log }: { readonly control: Control; readonly clock: Clock; readonly log: Pick<Logger, 'warn'> },
  archive: Pick<Archive, 'forget'>,
  service: string,
  isWanted: () => boolean,
): Promise<void> {
  const undo = async () => {
    await archive.forget(service)
    await takeOver(control, service)
    const { services, status } = control.snapshot()
    const trial = own(status, service)?.trial
    if (trial === undefined) return
    const weights = services[service].split ?? {}
    const change = {
      kind: 'shift',
      service,
      weights,
      trial: null,
      before: weights,
      rollout: trial.rollout ?? '',
    } as const
    await control.change(change, { actor: 'rollouts', force: true })
  }
  const failed = (error: unknown) =>
    log.warn({ err: error, service }, 'a rollout that has not begun cannot be undone yet')
  await retry(clock, undo, failed, isWanted)
}
