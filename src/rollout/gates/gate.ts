/**
 * What every gate of a rollout is given, and how it says no.
 *
 * A gate ends well, throws `GateClosed` with a sentence for people, or rejects with what its signal aborts with.
 */
import type { LookupFunction } from 'node:net'
import type { RolloutSpec } from '../../config/schema-rollout.ts'
import type { ServiceTraffic } from '../../metrics/window.ts'
import type { ServiceStatus } from '../../table/status.ts'
import type { PoolTargets } from '../pool-targets.ts'
import type { Rollout } from '../rollout.ts'
import type { Asker } from './asker.ts'
import type { Commands } from './commands.ts'
import type { GateLog } from './gate-log.ts'

/** A gate that does not let a rollout pass; the message says why. */
export class GateClosed extends Error {}

/** What the rollout is about. */
export interface About {
  readonly service: string
  readonly rollout: Rollout
  readonly spec: RolloutSpec
  /** The version that a rolling release brings; null where nobody has said it. */
  readonly version: string | null
  /** Weights and targets as they are now. */
  status(): ServiceStatus | undefined
  /** Those of the pool with the new version. */
  readonly targets: PoolTargets
  /** What came of it. */
  readonly log: GateLog
  /** A way back ends what waits; a hook that was called is cut off by this alone. */
  readonly untilEnd: AbortSignal
  /** Who has let it go on whatever schedule and capacity say; null for nobody. */
  hurriedBy(): string | null
  /** Notes what goes on even when its work has failed: nobody begins with the same targets before that has ended. */
  goesOn(done: Promise<unknown>): void
  /** Tells people that it waits for what cannot be done now. */
  tellWait(what: string, error: Error): void
  /** Tells those whom its settings name that it waits for long, and why. */
  notifyWait(why: string): void
}

/** What gates work with. */
export interface Means {
  readonly asker: Asker
  readonly commands: Commands
  /** Before anybody outside is told or asked to do something. Rejects where the rollouts are run by another process by now. */
  assertLeads(): Promise<void>
  /** Steady time in ms. */
  steadyMs(): number
  /** Wall time in ms, for what stands on a calendar. */
  nowMs(): number
  /** Waits; rejects with the reason of `signal`. */
  pause(ms: number, signal: AbortSignal): Promise<void>
  /** What happened at a service lately. */
  traffic(service: string): ServiceTraffic | null
  /** What the name of a target stands for may have changed just now. */
  lookAgain(url: string): void
  /** For `lookup` of node:net: where a host is that is no target. */
  readonly find: LookupFunction
  /** The process that this one has replaced, while it still has requests under way, which nobody counts here; else null. */
  busyPredecessor(): number | null
  /** Names of other instances that may have something under way at a target of this pool, which is out: until they say otherwise. */
  busyElsewhere(service: string, pool: string, url: string): readonly string[]
}

/** What of them comes from the other rooms. */
export type MeansGiven = Pick<Means, 'busyElsewhere' | 'busyPredecessor' | 'find' | 'lookAgain'>

/** URLs of the targets of a pool that are ready. */
export const targetsOf = (about: About, pool: string): string[] =>
  Object.entries(about.status()?.pools[pool]?.targets ?? {}).flatMap(([url, { admin }]) =>
    admin === 'ready' ? [url] : [],
  )

/** URLs of the targets of the new version, of which there is one at least. Throws `GateClosed` while none is ready. */
export function readyOf(about: About): string[] {
  const { to } = about.rollout
  const urls = targetsOf(about, to)
  if (urls.length === 0) throw new GateClosed(`pool ${to} has no target that is ready`)
  return urls
}
