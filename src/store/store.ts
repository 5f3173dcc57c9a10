/**
 * What the store keeps and promises; memory, SQLite and Redis each implement it and pass one contract suite.
 *
 * Promise: when a write resolves it survives `kill -9`; `commit` is a compare-and-set on the position, so two writers can
 * never both win; a reader sees whole documents only. Any method rejects with `store_unavailable` when the store is away,
 * and with `StoreBusy` (busy.ts) when another process has it locked just now.
 *
 * - The document is the specs and the intents (table/status.ts), service by service: a commit names the services that it
 *   changes, and writes what is new of these and no other. What it replaced is kept too, so that each of the last
 *   REVISIONS_KEPT revisions can be read as it was.
 * - What comes out of a store is not believed. It may be years old, or of a newer Turnout: control/stored.ts completes and
 *   checks it. `FORMAT` grows when an older Turnout would misread what this one writes; it refuses to start then. A key
 *   that is new and has a default needs no new format.
 * - What was observed is of one process, so it is kept apart from the document and is never compared.
 */
import type { ServiceSpec } from '../config/schema.ts'
import { TurnoutError } from '../errors.ts'
import type { ServiceIntent, ServiceObserved } from '../table/status.ts'

/** Format of the documents that this Turnout writes. 1: specs and statuses as one text each. */
export const FORMAT = 2

/** Says, after the name of a store, why it cannot be used. */
export const ofNewer = (what: string, found: number, known: number): string =>
  `was written by a newer Turnout (${what} ${found}, this one knows ${known}); start that one, or put an older copy back`

/** Where a document stands. Two documents at the same position are the same. */
export interface Position {
  /** 0 before the first commit; only grows, as long as nobody puts an older copy in the place of the store. */
  readonly revision: number
  /** A name for the write, by chance: tells apart what two processes have written as the same revision of two copies. */
  readonly mark: string
  /** A part of the document is gone; absent where it is whole. */
  readonly isDamaged?: true
}

/** Where an empty store stands. */
export const NOWHERE: Position = Object.freeze({ revision: 0, mark: '' })

/** Where a document stands of which a part is gone, as a Redis does that may throw keys away. It is never followed. */
export const DAMAGED: Position = Object.freeze({ revision: 0, mark: 'damaged', isDamaged: true })

/** Throws `stale_revision` when the store does not stand where the writer thinks. */
export function assertPosition(stored: Position, { revision, mark }: Position): void {
  if (stored.revision === revision && stored.mark === mark) return
  throw new TurnoutError('stale_revision', `The stored revision is ${stored.revision}, not ${revision}.`)
}

/** A service as it came out of a store. */
export interface StoredContent {
  readonly spec: unknown
  readonly intent: unknown
}

/** The same in the present document. */
export interface StoredService extends StoredContent {
  /** The revision that changed it last. */
  readonly revision: number
}

/** The document as it came out of a store. */
export interface StoredDocument {
  readonly position: Position
  /** Number of the last release that was given out, over all services that there ever were. */
  readonly releaseLast: number
  readonly services: Readonly<Record<string, StoredService>>
  /** Services that are there too, and were not read since they are as they were. */
  readonly unchanged: readonly string[]
  /** Of a load since a position: the store has another document as that revision, so what was written as that position is lost. */
  readonly hasLost: boolean
}

/** A service as it is written; deadlines by the wall clock. */
export interface WrittenService {
  readonly spec: ServiceSpec
  readonly intent: ServiceIntent
}

/** One line of the audit: who changed what. `change` is the change as data (change.ts). */
export interface AuditEntry {
  readonly revision: number
  readonly atMs: number
  /** Name of the token, `file`, `cli` or `local`. */
  readonly actor: string
  readonly change: { readonly kind: string; readonly service?: string; readonly [key: string]: unknown }
}

/** A change of the document. */
export interface Commit extends Omit<AuditEntry, 'revision'> {
  readonly releaseLast: number
  /** Every service that it changes, as it was in the store and as it is now; null where there is none. */
  readonly services: Readonly<
    Record<string, { readonly before: WrittenService | StoredContent | null; readonly after: WrittenService | null }>
  >
  /** Named values that are written with it, at once. */
  readonly named?: Readonly<Record<string, string>>
}

/** A whole document, for a store that lost it. */
export interface Replacement extends Omit<Commit, 'services'> {
  /** Above what the store has: that of a change that comes with it, above what was ever answered; or with its mark the very one that was lost. */
  readonly revision: number
  /** Default: a new one. */
  readonly mark?: string
  readonly services: Readonly<Record<string, WrittenService | StoredContent>>
}

/** A revision in full, as it came out of a store. */
export interface StoredRevision extends AuditEntry {
  readonly services: Readonly<Record<string, StoredContent>>
}

/** An instance that uses a store, as it says of itself. */
export interface Instance {
  /** By chance, another one after each start. */
  readonly id: string
  /** For people: the machine and the process. */
  readonly name: string
  readonly version: string
  /** What it routes by. */
  readonly revision: number
  readonly epoch: number
  /** It leads: rollouts are driven there. Absent for no. */
  readonly leads?: boolean
  /** How far its clock is ahead of that of the store; absent while they agree. */
  readonly clockAheadMs?: number
  /** Holds of switches by which nothing of what they hold is under way there any more; absent for none. */
  readonly quiet?: readonly string[]
  /**
   * What is under way there at places that are out (control/busy-places.ts): requests and tunnels by place; 0 where there is none and somebody is let in
   * yet. Absent for none, and from instances of before this was told.
   */
  readonly busy?: Readonly<Record<string, number>>
}

/** What others have counted, as each said it last. */
export interface Report {
  /** How many have said something lately, whoever asks among them. */
  readonly count: number
  readonly others: readonly { readonly id: string; readonly agoMs: number; readonly text: string }[]
}

/** What instances say to each other of a rollout that runs (rollout/reports.ts). */
export interface FleetCounts {
  /** Says what run `id` of an instance has counted, and gives what all others have, where it wants that; others hear at once of what is urgent. */
  report(id: string, text: string, isUrgent: boolean, wantsOthers: boolean): Promise<Report>
  /**
   * A number from 1 on that nobody else has been given for this rollout; null as long as that is not known, since those who have one may have to
   * say so again. With the one that was given here it is that one, and the store has it again where it had lost it.
   */
  seat(rollout: string, given: number | null): Promise<number | null>
  /** Calls `heard` when one of them has said what is urgent. Only a hint. */
  listen(heard: () => void): void
}

/** The instances of a store that several machines use. */
export interface Fleet {
  readonly counts: FleetCounts
  /** An instance that has said nothing for so long, in ms, is gone, or cut off. */
  readonly lifeMs: number
  /** Changes of this process that no replica of the store had in time, though it has some: a fail-over would have lost them right then. */
  unreplicated(): number
  /** Says where an instance stands. Gives all that have said so lately and have not left, this one among them; as was heard of them last where the store has lost it. */
  announce(self: Instance): Promise<readonly Instance[]>
  /** Says that one ends. */
  leave(id: string): Promise<void>
  /** Calls `heard` soon after one of them has written, which is only a hint: some writes are never heard of; and `warn` with what is wrong between them. */
  listen(heard: () => void, warn?: (message: string) => void): void
  /**
   * Calls `lost` when this process has led (`Store.isShared` was false) and, cut off or standing still, has lost the lead; also where it has it again.
   * Until `dropped` is called, when there is nothing any more of what it drove, whatever only a leader writes is refused.
   */
  onLeadLost(lost: (dropped: () => void) => void): void
  /**
   * Whether what this process drives is still its own to drive, at this moment: false once another one leads, or has led since. True at once as long as that
   * is certain, and while the store is away; a process that stood still asks first.
   */
  stillLeads(): boolean | Promise<boolean>
  /**
   * Writes the document that this process had last again, as the position that it was, to a store that stands at `found` and lost it. Who leads
   * does so, and the others when it is overdue. Gives whether it was written here; false too where another one was faster, or `found` is as new.
   */
  rewrite(found: Position, isOverdue: boolean): Promise<boolean>
}

/** What is told of a local copy, for the log and the events. */
export interface LocalNews {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  /** For the event. */
  readonly data: Readonly<Record<string, unknown>>
}

/** The local copy of a document that stands in a store elsewhere (snapshot-store.ts). */
export interface Local {
  told(): {
    /** It is what is served, since the store was not there at the start and has not been since. */
    readonly serves: boolean
    /** Wall time at which it was written, if it serves. */
    readonly keptAtMs: number
    /** The revision that it has; 0 for none. */
    readonly revision: number
    /** Why it could not be written last. */
    readonly fault: string | null
    /** How often it could not. */
    readonly failures: number
  }
  /** Calls `heard` with what is to be told, from the start of the process on. */
  listen(heard: (news: LocalNews) => void): void
}

/**
 * Changes and named values that only the process that leads writes: what another one sends, or one of before, is refused with `conflict`. A line by which
 * an abort is passed on to the one that leads is anybody's.
 */
export const LEADERS_KINDS: ReadonlySet<string> = new Set(['shift', 'rollout'])
export const LEADERS_KEYS = /^rollout/
export const PASSED_ON_KEYS = /^rollout-abort:/

export interface Store {
  /** Null where there is one machine only. */
  readonly fleet: Fleet | null
  /** Null where the store is on this machine. */
  readonly local: Local | null
  /** What it takes on the disk of this machine; absent where it is elsewhere, or nowhere. */
  bytes?(): number
  /**
   * The last committed document; an empty one when nothing was ever committed. With a position that it has come from, only the
   * services that were written since; with any other, all of them.
   */
  load(since?: Position): Promise<StoredDocument>
  /** Where the stored document stands now; one cheap read. */
  position(): Promise<Position>
  /** Writes the next revision and its audit line at once. Rejects with `stale_revision` when the store stands elsewhere. */
  commit(present: Position, commit: Commit): Promise<Position>
  /**
   * Puts a whole document in the place of the stored one, which can still be read as the revision that it was; every service
   * counts as changed by it. Rejects with `stale_revision` like `commit`.
   */
  replace(present: Position, replacement: Replacement): Promise<Position>
  /** Newest first. `before` is exclusive; at most `limit`. */
  revisions(limit: number, before?: number): Promise<AuditEntry[]>
  /** One revision in full, or null when it is unknown or was pruned. */
  revision(revision: number): Promise<StoredRevision | null>
  /** What the process before this one has observed, by service; nothing when another live process uses the store, unless that one is meant. */
  observed(evenOfOthers?: boolean): Promise<Readonly<Record<string, unknown>>>
  /** Keeps what was observed of these services; null forgets. Does nothing while another live process does so. */
  saveObserved(services: Readonly<Record<string, ServiceObserved | null>>): Promise<void>
  /** A small named value: the cookie keys, the config file as last loaded. null when absent. */
  get(key: string): Promise<string | null>
  /** Keeps a named value; null forgets it. */
  put(key: string, value: string | null): Promise<void>
  /** Keeps a named value where there is none; gives the one that is kept. */
  putIfAbsent(key: string, value: string): Promise<string>
  /** True when another live process uses the same store, and was first: what one process does for all is done there. */
  isShared(): Promise<boolean>
  /** True when any other live process uses the same store. */
  hasOthers(): Promise<boolean>
  /**
   * Calls `lost` when this process was the first of those that have opened a store on this machine, and another one is by now. Unlike with
   * `Fleet.onLeadLost` nothing is refused meanwhile: it is noticed whenever the store is asked for its position or who leads, and what was under way
   * by then is still written.
   */
  onLeadLost?(lost: (dropped: () => void) => void): void
  /** As `Fleet.stillLeads`, where the store is on this machine and others may open it; asks each time. */
  stillLeads?(): boolean
  /**
   * True: another process takes this one's place. From then on this one counts as the other: `isShared` is true, and nothing is kept of what
   * it observes. False: it is as before, unless another one has taken the place.
   */
  yield(isYielded: boolean): Promise<void>
  /** Whether the thread may stand still, a second at most, while another process has the store locked; at first it may. Else `StoreBusy` is what any method rejects with. */
  mayBlock(isAllowed: boolean): void
  close(): Promise<void>
}

/** Revisions kept in full; older ones are pruned, their audit lines stay. */
export const REVISIONS_KEPT = 1000

/** Audit lines kept; older ones are pruned. */
export const AUDIT_KEPT = 100_000
