/** The two processes of an upgrade, as the one that is replaced has them: itself, and the new one. */
import type { Change } from '../change.ts'
import type { NewEvent } from '../control/events.ts'
import type { HandedDepartures } from '../control/old-departures.ts'
import type { HeldOver, Identity, Offer, Told, ToSuccessor } from './messages.ts'

/** What an upgrade does with the process that serves. */
export interface Present {
  readonly self: Identity
  /** Its sockets, and what else the new process must know. Throws `conflict` where nothing can be handed over. */
  offer(): Omit<Offer, 'protocol' | 'from' | 'lifeline'>
  /** Stops writing to the store; resolves when nothing of it is under way. */
  yield(): Promise<void>
  /** Writes again. */
  takeBack(): Promise<void>
  /** Stops accepting and ends in order, and what there is to tell of that; `taken` tells of each listener whether the new process has it. */
  drain(taken: readonly boolean[]): Promise<Told>
  /** What is held here longer than this process may last. */
  held(): HeldOver | null
  /** Whose tunnels are closed here, since the last call. */
  handOver(): HandedDepartures
  /** Routes by what the new process routes by already (control/deps.ts). */
  follow(change: Change, revision: number): Promise<void>
  publish(event: NewEvent): void
  readonly log: { info(data: object, message: string): void; error(data: object, message: string): void }
}

/** A new process, as it was started. */
export interface Successor {
  readonly pid: number
  send(message: ToSuccessor): void
  /** It has not read yet what it was sent. */
  readonly isBehind: boolean
  /** Ends it at once; resolves when it is gone. */
  kill(): Promise<void>
}

/** Hears of a new process. */
export interface SuccessorNews {
  message(sent: unknown): void
  /** It is gone; `why` is the rest of a sentence about it. */
  gone(why: string): void
}
