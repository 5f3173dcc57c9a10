/**
 * Every change that anyone can make, as data, and the one writer as the other rooms see it. Types only: what comes of a
 * change is in control/apply.ts, who makes it happen is control.ts.
 */
import type { Difference } from './config/difference.ts'
import type { EventType } from './config/event-types.ts'
import type { PoolSpec, RuleSpec, ServiceSpec, Services, Weights } from './config/schema.ts'
import type { Hold } from './table/hold.ts'
import type { ServiceIntent, ServiceStatus } from './table/status.ts'
import type { AdminState, Health, Trial } from './table/types.ts'

export type Change =
  | { readonly kind: 'service.put'; readonly service: string; readonly spec: ServiceSpec }
  /** RFC 7386 merge patch over the service spec. */
  | { readonly kind: 'service.patch'; readonly service: string; readonly patch: Readonly<Record<string, unknown>> }
  | { readonly kind: 'service.delete'; readonly service: string }
  | { readonly kind: 'split'; readonly service: string; readonly weights: Weights }
  /** Service → pool, all in one commit; each service takes a new release, so that its pins end. */
  | {
      readonly kind: 'switch'
      readonly to: Readonly<Record<string, string>>
      /** Made under this hold, and not without it: the same commit releases it. */
      readonly hold?: string
      /** What was called under the hold, without secrets. */
      readonly hook?: string
    }
  /** Requests of these services wait from now on. */
  | {
      readonly kind: 'hold'
      readonly services: readonly string[]
      readonly hold: AskedHold
      /** Held for a switch to these, service → pool: what would refuse that refuses this. */
      readonly to?: Readonly<Record<string, string>>
    }
  /** They go on; with `hold` only if it is that one by which they are held. `why`: of one who has not been asked. */
  | { readonly kind: 'release'; readonly services: readonly string[]; readonly hold?: string; readonly why?: string }
  /** Visitors of the service are answered by its maintenance page, or no longer. */
  | { readonly kind: 'maintenance'; readonly service: string; readonly on: boolean }
  | { readonly kind: 'back'; readonly service: string }
  | { readonly kind: 'rules'; readonly service: string; readonly rules: readonly RuleSpec[] }
  | { readonly kind: 'pool.put'; readonly service: string; readonly pool: string; readonly spec: PoolSpec }
  | { readonly kind: 'pool.delete'; readonly service: string; readonly pool: string }
  | { readonly kind: 'pool.state'; readonly service: string; readonly pool: string; readonly state: AdminState }
  | {
      readonly kind: 'target.state'
      readonly service: string
      readonly pool: string
      /** `host:port` or the whole URL. */
      readonly target: string
      readonly state: AdminState
    }
  | { readonly kind: 'restore'; readonly from: number }
  /**
   * What a rollout does: weights, and what is tried from now on. Its end, `done` or `back`, ends every pin as a switch does, unless targets of
   * one pool were replaced, or nothing has moved before it went back; after `done` going back leads to `before`.
   */
  | {
      readonly kind: 'shift'
      readonly service: string
      readonly weights: Weights
      readonly trial: Trial | null
      readonly ends?: 'done' | 'back'
      /** Weights when it began. */
      readonly before: Weights
      /** Its id. */
      readonly rollout: string
      /** Who has asked for it; absent where the rollout goes on by itself. */
      readonly askedBy?: string
      /** Who has let it go on whatever its schedule and its capacity say. */
      readonly hurriedBy?: string
      /** How long what had the traffic before is kept, once it is done. */
      readonly standbyMs?: number
      /** Of the pool `to` itself, where its targets are replaced one by one. */
      readonly pool?: PoolShift
      /** By this one it begins. */
      readonly verb?: 'begin'
    }
  | RolloutLine
  /** The services of a config file: what changed in it since it was last applied is applied over the live ones. */
  | {
      readonly kind: 'file'
      readonly services: Services
      /** The file wins wherever it differs from what runs. */
      readonly wins?: boolean
      /** Where it wins, also services that it never had go. */
      readonly prune?: boolean
      /** Nobody can be refused: services that it no longer has are kept, and what it says of one with a rollout waits. */
      readonly atStart?: boolean
      /** A name for the file, by what it says; absent where one process has the store. */
      readonly name?: string
      /** Nothing of it is applied where another file was applied since this one was last: a start has an old copy. */
      readonly unlessEarlier?: boolean
    }

/** What a rollout has come to: a revision and a line of the audit, by which nothing changes that is served. */
export type RolloutLine = {
  readonly kind: 'rollout'
  readonly service: string
  /** Its id. */
  readonly rollout: string
  readonly to: string
  /** What a person has asked for, and who; absent where the rollout has come to it by itself. */
  readonly verb?: 'pause' | 'resume' | 'promote' | 'abort'
  readonly askedBy?: string
  /** Who has let it go on whatever schedule and capacity say. */
  readonly hurriedBy?: string
  readonly state: string
  /** Per cent of the traffic. */
  readonly weight: number
  readonly reason: string | null
  /** When that was, in wall time: with a store that was away, before it could be written. */
  readonly sinceMs: number
}

/** The clock of the machine was set, by so many ms, and deadlines are stored by it anew: nothing changes that is served. */
export type ClockLine = {
  readonly kind: 'clock'
  readonly movedMs: number
}

/** What becomes of a pool whose targets are replaced. */
export interface PoolShift {
  readonly name: string
  /** Its version from now on. */
  readonly version?: string
  /** Targets that are set so, by URL. */
  readonly states?: Readonly<Record<string, AdminState>>
}

/** A hold as it is asked for; when it begins, control says. */
export interface AskedHold extends Omit<Hold, 'sinceMs' | 'untilMs'> {
  readonly forMs: number
}

export interface ChangeOptions {
  /** Name for the audit: of the token, `file`, or `local` where no tokens are configured. */
  readonly actor: string
  /** Refuse with `stale_revision` unless this is the present revision. */
  readonly ifMatch?: number
  /** Of a service or pool that is put: refuse with `stale_revision` unless it is there (true), or is not (false). */
  readonly existing?: boolean | undefined
  /** Make it even where it sends traffic to nobody, or to a pool that is not proven (control/leaves-nobody.ts). */
  readonly force?: boolean
  /** Let a config file remove services. */
  readonly prune?: boolean
  /** Only tell what would come of it (`ChangeResult.dryRun`). */
  readonly dryRun?: boolean
  /** How long to wait for a pool that is not proven yet; 0, the default, not at all. Other changes go on meanwhile. */
  readonly waitMs?: number
  /** A way back, which nobody takes back: it goes before all that wait, and every worker routes by it before the store has it. */
  readonly atOnce?: boolean
  /** False: answered once it is stored, whether or not every other instance routes by it. Default: true, by whoever answers people. */
  readonly everywhere?: boolean
  /** Once this has aborted the change is not made any more, if it was not: what it aborts with is what the change is rejected with. */
  readonly unless?: AbortSignal
  /** Called with the services before and after, each time that the change is judged; the last time is what came of it. */
  readonly onJudged?: (before: Services, after: Services) => void
  /** Called when nothing can refuse the change any more, just before the workers are given it; a change that is tried again calls it again. */
  readonly onWay?: () => void
  /** Named values of the store that are written with a line of a rollout, at once or not at all. */
  readonly named?: Readonly<Record<string, string>>
  /** Ends the wait; what it aborts with is what the change is rejected with. */
  readonly signal?: AbortSignal
}

export interface ChangeResult {
  readonly revision: number
  readonly epoch: number
  /** Milliseconds from the validated change to the commit in every worker. */
  readonly appliedInMs: number
  /** False when everything was so already; then there is no new revision. */
  readonly changed: boolean
  /** Instances that do not route by it yet, where several share a store; absent when all do. */
  readonly waitingFor?: readonly string[]
  /** Of a dry run: the services as they would be, what would be known of them, and why it would be refused. Then nothing has changed. */
  readonly dryRun?: {
    readonly services: Services
    readonly intents: Readonly<Record<string, ServiceIntent>>
    readonly refused: string | null
  }
}

/** What came of a config file, or of a dry run would come. */
export interface FileResult extends ChangeResult {
  /** Where the file changes what runs. */
  readonly changes: readonly Difference[]
  /** Where the file differs from what runs and was not applied: others have changed that since, and the file has not. */
  readonly kept: readonly Difference[]
  /** Services that run and that the file does not have. */
  readonly others: readonly string[]
}

/** What probes and outlier detection report of a target; only the given axes change. */
export interface Observation {
  readonly service: string
  readonly pool: string
  /** Target URL as in the spec. */
  readonly target: string
  /** Which of its addresses; default: the only one of a target that is an address itself. */
  readonly address?: string
  readonly health?: Health
  /** What was asked to find that health (config/question.ts); default: what is asked now. */
  readonly question?: string
  readonly ejectedUntilMs?: number
  /** For people: why, e.g. `GET /health answered 500`. */
  readonly detail?: string
}

export interface Snapshot {
  readonly revision: number
  readonly epoch: number
  readonly services: Services
  readonly status: Readonly<Record<string, ServiceStatus>>
  /** The revision that changed each service last. */
  readonly revisions: Readonly<Record<string, number>>
}

/** An earlier state of the services. */
export interface Revision {
  readonly revision: number
  readonly atMs: number
  readonly actor: string
  readonly change: Readonly<Record<string, unknown>>
  /** Specs by service; one that cannot be served any more is as it was stored. */
  readonly services: Readonly<Record<string, unknown>>
}

/** What happened, for people and for SSE. `id` grows by one; `data` is plain JSON. */
export interface ControlEvent {
  readonly id: number
  readonly atMs: number
  readonly type: EventType
  readonly service: string | null
  readonly message: string
  readonly data: Readonly<Record<string, unknown>>
}

/** The one writer, as admin, health and the file loader see it. */
export interface Control {
  snapshot(): Snapshot
  /** Resolves after every worker routes by the change. Rejects with a TurnoutError; then nothing has changed. */
  change(change: Change, options: ChangeOptions): Promise<ChangeResult>
  /** Resolves once the observations are in the tables; no new revision. */
  observe(observations: readonly Observation[]): Promise<void>
  /** An earlier revision, or null when it is unknown or no longer kept. */
  revision(revision: number): Promise<Revision | null>
  /** The last events, oldest first, at most 1,000; `after` is an event id. */
  events(after?: number): readonly ControlEvent[]
  /** Calls the listener at every event; the returned function ends it. */
  subscribe(listener: (event: ControlEvent) => void): () => void
}
