/**
 * What control is given by main, and control as main has it. Types only.
 *
 * The other rooms know `Control` (change.ts), which is a part of the latter.
 */
import type { Logger } from 'pino'
import type { Change, Control, ControlEvent } from '../change.ts'
import type { Clock } from '../clock.ts'
import type { Services } from '../config/schema.ts'
import type { Fault } from '../errors.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import type { ServiceTraffic } from '../metrics/window.ts'
import type { Names } from '../names/names.ts'
import type { Store } from '../store/store.ts'
import type { TableDelta } from '../table/types.ts'
import type { Events, NewEvent } from './events.ts'
import type { Followed } from './follower.ts'
import type { Base } from './reconcile.ts'

export interface ControlDeps {
  readonly store: Store
  readonly clock: Clock
  readonly memory: SharedMemory
  /** The addresses of hosts of targets, and how to ask for new ones. */
  readonly names: Pick<Names, 'addressesOf' | 'learn'>
  /** It takes the place of a process that still lives. Default: no. */
  readonly isHeir?: boolean
  /** Events of before, oldest first. Default: none. */
  readonly pastEvents?: readonly ControlEvent[]
  /** Mark of this run in the names of releases, by chance; none for tests. */
  readonly run?: string
  /** What happened at a service lately; null, or absent, when nobody knows. */
  traffic?(service: string): ServiceTraffic | null
  /** Builds the table that the delta leads to, as every worker will; throws what would end a worker. */
  build(delta: TableDelta): void
  /** Faults of changed services that name files which are not read (src/lookups/); absent: none are checked. */
  lookupFaults?(before: Services, after: Services, names: readonly string[]): readonly Fault[]
  /** Brings a delta into every worker and stores the epoch. Never rejects: a worker that does not answer is replaced. */
  commitTables(delta: TableDelta): Promise<void>
  /** Every worker routes by this change before the store has it; `revision` is that of the store. For a process that this one has replaced. */
  routed?(change: Change, revision: number): void
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
}

/** Control as main has it. */
export interface RunningControl extends Control {
  /** Tells an event of another room, such as a worker that was replaced. */
  publish(event: NewEvent): void
  /** What the process before this one has told until this one took over. */
  readonly takeIn: Events['takeIn']
  /** Brings the new addresses of a host into the tables. */
  addressesMoved(host: string): void
  /**
   * Brings a change into every worker that the process after this one has made at this revision of the store and may not be able to store.
   * One that the store has by now was followed, and is left.
   */
  follow(change: Change, revision: number): Promise<void>
  /** Another instance drives the rollouts from now on: what they moved here and could not store is served as it is stored. Rejects while that cannot be read. */
  disown(): Promise<void>
  /**
   * True: another process is to write. Whatever would change something is refused with `not_ready` from then on, and so is what waits for a pool or for
   * addresses; what has its turn or stands in line is not. False: it is as before.
   */
  readonly yield: (isYielded: boolean) => void
  /** Services that are served otherwise than they are stored, since that could not be stored. */
  readonly unstored: () => readonly string[]
  /** How far what others write to the store was followed. */
  readonly followed: () => Followed
  /** The config file as it was last applied. */
  readonly fileBase: () => Base
  /** Waits for what is under way, saves what was observed and stops the timers. The store is left open. */
  close(): Promise<void>
}
