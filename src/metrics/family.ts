/**
 * What a metric is made of, and what one scrape reads. Types only.
 *
 * A scrape is read once, before any family looks at it, so that all families tell of the same moment. What is null there does not
 * apply to the target, and has no series.
 */
import type { Snapshot } from '../change.ts'
import type { ServiceSpec } from '../config/schema.ts'
import type { InstanceFigures } from '../control/instances.ts'
import type { Counts } from '../control/old-departures.ts'
import type { ToldLookup } from '../lookups/lookup-file.ts'
import type { NameCounts } from '../names/names.ts'
import type { ToldRollout } from '../rollout/told.ts'
import type { PoolStatus, TargetStatus } from '../table/status.ts'
import type { SharedMemory } from './layout.ts'
import type { Tally } from './summary.ts'

/** One line of the exposition; `name` when it is not the name of the family (`…_bucket`). */
export interface Sample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
  /** Labels that many samples have in common. */
  readonly sharedLabels?: Readonly<Record<string, string>>
  readonly metricName?: string
}

/** A pool; the same object in every scrape until something of its service changes, so that its labels are written out once. */
export interface ScrapedPool {
  readonly service: string
  readonly pool: string
  readonly labels: Readonly<Record<'service' | 'pool' | 'version', string>>
  /** Of its service. */
  readonly spec: ServiceSpec
  readonly status: PoolStatus
  /** Share of the new visitors, up to 1. */
  readonly aimed: number
  readonly slots: readonly number[]
  readonly targets: readonly KnownTarget[]
}

/** What is the same of a target in every scrape for as long. */
export interface KnownTarget {
  readonly labels: ScrapedTarget['labels']
  readonly status: TargetStatus
  readonly weight: number | null
}

export interface ScrapedTarget {
  readonly labels: Readonly<Record<'service' | 'pool' | 'version' | 'target', string>>
  readonly tally: Tally
  /** Whether anything was ever counted of it; else it has no series but its states. */
  readonly hasMoved: boolean
  readonly poolAdmin: string
  readonly admin: string
  readonly health: string
  readonly ejected: boolean
  /** It warms up; null where there is no slow start. */
  readonly warming: boolean | null
  /** Within its pool; null where all have the same. */
  readonly weight: number | null
}

/** The rollout of a service that runs, or its last one. */
export interface ScrapedRollout {
  readonly last: ToldRollout
  /** Those that ended while this process runs. */
  readonly ended: Readonly<Record<'done' | 'rolledBack', number>>
  /** How often people have asked for what was done then. */
  readonly asked: Readonly<Record<'begin' | 'pause' | 'resume' | 'promote' | 'abort', number>>
}

/** What other rooms tell of themselves. */
export interface Told {
  /** null where nothing looks names up. */
  readonly names: NameCounts | null
  readonly rollouts: readonly ScrapedRollout[]
  readonly lookups: readonly ToldLookup[]
  readonly instances: InstanceFigures
  /** What a process lets go of a pool that this one has replaced; null for nothing. */
  letGoBefore(service: string, pool: string): Counts | null
}

/** Everything that one scrape reads, read once. */
export interface Scrape extends Told {
  /** Its deadlines are steady time. */
  readonly snapshot: Snapshot
  /** What steady time lacks to be wall time now, in ms. */
  readonly shiftMs: number
  readonly memory: SharedMemory
  readonly pools: readonly ScrapedPool[]
  readonly targets: readonly ScrapedTarget[]
  /** Those that anything was counted of: a thousand idle ones would be a thousand times the same zeros. */
  readonly moved: readonly ScrapedTarget[]
}

export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  read(scrape: Scrape): Sample[]
}
