/**
 * What a metric is made of, and what one scrape reads. Types only.
 *
 * A scrape is read once, before any family looks at it, so that all families tell of the same moment. What is null there does not
 * apply to the target, and has no series.
 */
import type { Snapshot } from '../change.ts'
import type { InstanceFigures } from '../control/instances.ts'
import type { ToldLookup } from '../lookups/lookups.ts'
import type { NameCounts } from '../names/names.ts'
import type { ToldRollout } from '../rollout/told.ts'
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
}

/** Everything that one scrape reads, read once. */
export interface Scrape extends Told {
  readonly snapshot: Snapshot
  readonly memory: SharedMemory
  readonly targets: readonly ScrapedTarget[]
}

export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  read(scrape: Scrape): Sample[]
}
