/** A tunnel or a stream, as whoever lets it go knows it (departures.ts). Types only. */
import type { DrainPlan } from '../../table/plan.ts'
import type { ServiceTable } from '../../table/types.ts'
import type { Asker, Place } from './destination.ts'

/** What can be asked to leave. */
export interface Member {
  /** It is known where it can end and nothing breaks. */
  readonly isWalked: boolean
  /** Ends it at the next such place, with these words; at once where none is known. */
  leave(farewell: Buffer): void
  /** Breaks it off, where that is not its own to do when it has had its time. */
  cut?(): void
  readonly downstream: Asker['downstream']
}

/** What somebody has asked for, who has the address of a client after trusted proxies. */
export interface Opened {
  readonly address: string
  readonly headText: string
  readonly path: string
}

/** What is known of it here. */
export interface Departure extends Asker {
  readonly place: OpenPlace
  readonly member: Member
  readonly key: number
  /** Its place among those that wait for their turn, or below 0. */
  at: number
  /** From when on it may be cut, also when it was told and has not gone; below 0 when it is not to. */
  lateMs: number
  /** It is to leave, and was not told yet. */
  isLeaving: boolean
  isTold: boolean
  isToBeLookedAt: boolean
  isSurplus: boolean
}

/** A place with what is open there. */
export interface OpenPlace extends Place {
  readonly members: Set<Departure>
  drain: DrainPlan
  /** What was seen of it last; a service that is gone is `null`. */
  seen: ServiceTable | null
  /** When it is to be looked at again, though nothing has changed: the deadline of a drain. Steady ms. */
  lookMs: number
  isOpen: boolean
  isTargetOpen: boolean
  /** What was given to new visitors when it was looked at last (rebalance.ts); empty before. */
  shares: string
}
