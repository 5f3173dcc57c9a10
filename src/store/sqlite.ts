/**
 * The embedded store: one SQLite file through `node:sqlite`.
 *
 * - Durable: write-ahead log with synchronous=FULL, so a commit that has returned is on the disk, not only with the kernel.
 * - Several processes may open one file. Every write is one immediate transaction that compares the position first, so the
 *   second writer gets `stale_revision` and never overwrites. A lock is waited for at most a second, and once traffic is served
 *   not here at all: who finds it taken tries again (busy.ts).
 * - The calls are synchronous inside: they hold up the control plane for the length of an fsync, and no traffic.
 * - Whatever SQLite reports (damaged, locked, read-only, full) becomes `store_unavailable` with words for people, and the
 *   open transaction is rolled back, so the next call may succeed.
 * - When the file is deleted under us, the next write makes it again with all that was in it: we still have it open. When
 *   another one is put in its place, that one is the store from then on; what stands in it is for control to judge. Our
 *   named values go with the document if that has to be written anew, since they belong together.
 * - Files and layout: sqlite-file.ts, sqlite-layout.ts. What is in the tables: sqlite-document.ts. Other processes: sqlite-live.ts.
 */
import type { DatabaseSync } from 'node:sqlite'
import { BUSY_MS } from '../busy.ts'
import type { ServiceObserved } from '../table/status.ts'
import { changesBetween, changesOf, servicesOf, type Undo, undo } from './parts.ts'
import { auditEntry, positionOf, presentParts, writeRevision } from './sqlite-document.ts'
import { parsed, storeFault, translated } from './sqlite-faults.ts'
import {
  type Beside,
  besideOf,
  bytesOf,
  fileAt,
  identityOf,
  inTransaction,
  leave,
  openFile,
  remake,
} from './sqlite-file.ts'
import { LiveLock } from './sqlite-live.ts'
import { all, first, prepareAll, type Row, type Statements } from './sqlite-statements.ts'
import {
  type AuditEntry,
  assertPosition,
  type Commit,
  type Position,
  REVISIONS_KEPT,
  type Replacement,
  type Store,
  type StoredDocument,
  type StoredRevision,
} from './store.ts'

interface Connection {
  readonly database: DatabaseSync
  readonly run: Statements
  readonly identity: number | undefined
  readonly beside: Beside
}

/** Opens or creates the file (its folder must exist). Throws `store_unavailable` when it cannot be read and written. */
export function sqliteStore(path: string): Store {
  return new SqliteStore(fileAt(path))
}

class SqliteStore implements Store {
  readonly fleet = null
  readonly local = null
  readonly #file: string
  readonly #live: LiveLock
  #leadLost = (): void => {}
  #connection: Connection | null
  #isClosed = false
  /** How long this thread may stand still for the lock of another process. */
  #busyMs: number = BUSY_MS
  /** Named values of a file of ours in whose place there is another one, or will be. */
  #carried: readonly Row[] = []

  constructor(file: string) {
    this.#file = file
    this.#connection = open(file, this.#busyMs)
    this.#live = new LiveLock(file, () => this.#leadLost())
  }

  bytes(): number {
    return bytesOf(this.#file)
  }

  async load(since?: Position): Promise<StoredDocument> {
    return this.#read((run) => {
      const there = since && first(run.mark, since.revision)?.mark
      const known = since !== undefined && there === since.mark ? since.revision : -1
      const revisions = new Map<string, number>()
      const parts = presentParts(run, known, revisions)
      const services = Object.entries(servicesOf(parts)).map(([name, service]) => {
        return [name, { ...service, revision: revisions.get(name)! }]
      })
      const document = first(run.document)
      return {
        position: positionOf(document),
        releaseLast: document?.release_last ?? 0,
        services: Object.fromEntries(services),
        unchanged: all(run.names).flatMap(({ service }) => (parts.has(service) ? [] : [service])),
        hasLost: there !== undefined && there !== since?.mark,
      }
    })
  }

  async position(): Promise<Position> {
    // Control asks for it all the time, so nobody else finds the lock free for long.
    this.#live.keep()
    return this.#read((run) => {
      if (identityOf(this.#file) === undefined) throw storeFault(this.#file, DELETED)
      return positionOf(first(run.document))
    })
  }

  async commit(present: Position, { services, ...commit }: Commit): Promise<Position> {
    const changes = changesOf(services)
    const position = this.#write((run) => {
      assertPosition(positionOf(first(run.document)), present)
      return writeRevision(run, present.revision + 1, changes, commit)
    })
    // The file has our document, so nobody writes that anew any more.
    this.#carried = []
    return position
  }

  async replace(present: Position, { services, revision, mark, ...commit }: Replacement): Promise<Position> {
    const position = this.#write((run) => {
      assertPosition(positionOf(first(run.document)), present)
      const changes = changesBetween(servicesOf(presentParts(run)), services)
      for (const { key, value } of this.#carried) run.put.run(key, value)
      const position = writeRevision(run, revision, changes, commit, mark)
      run.touchParts.run(revision)
      return position
    })
    this.#carried = []
    return position
  }

  async revisions(limit: number, before = Number.MAX_SAFE_INTEGER): Promise<AuditEntry[]> {
    return this.#read((run) => all(run.audit, before, Math.max(0, limit)).map(auditEntry))
  }

  async revision(revision: number): Promise<StoredRevision | null> {
    return this.#read((run) => {
      const row = first(run.oneAudit, revision)
      if (row === undefined || revision <= positionOf(first(run.document)).revision - REVISIONS_KEPT) return null
      const parts = presentParts(run)
      undo(
        parts,
        all(run.undos, revision).map(({ text }) => parsed<Undo>(text, 'a revision')),
      )
      return { ...auditEntry(row), services: servicesOf(parts) }
    })
  }

  async observed(evenOfOthers = false): Promise<Record<string, unknown>> {
    if (!evenOfOthers && !this.#live.take()) return {}
    return this.#read((run) => {
      return Object.fromEntries(
        all(run.observed).map(({ service, text }) => [service, parsed(text, 'what was observed')]),
      )
    })
  }

  async saveObserved(services: Readonly<Record<string, ServiceObserved | null>>): Promise<void> {
    if (!this.#live.take()) return
    this.#write((run) => {
      for (const [name, observed] of Object.entries(services)) {
        if (observed === null) run.dropObserved.run(name)
        else run.setObserved.run(name, JSON.stringify(observed))
      }
    })
  }

  async get(key: string): Promise<string | null> {
    return this.#read((run) => first(run.get, key)?.value ?? null)
  }

  async put(key: string, value: string | null): Promise<void> {
    this.#write((run) => void (value === null ? run.dropNamed.run(key) : run.put.run(key, value)))
  }

  async putIfAbsent(key: string, value: string): Promise<string> {
    return this.#write((run) => {
      const kept = first(run.get, key)?.value
      if (kept === undefined) run.put.run(key, value)
      return kept ?? value
    })
  }

  async isShared(): Promise<boolean> {
    return this.#live.isShared()
  }

  async hasOthers(): Promise<boolean> {
    return this.#live.hasOthers()
  }

  onLeadLost(lost: (dropped: () => void) => void): void {
    this.#leadLost = () => lost(() => {})
  }

  stillLeads(): boolean {
    return this.#live.keep()
  }

  async yield(isYielded: boolean): Promise<void> {
    this.#live.yield(isYielded)
  }

  mayBlock(isAllowed: boolean): void {
    this.#busyMs = isAllowed ? BUSY_MS : 0
    this.#connection?.database.exec(`PRAGMA busy_timeout = ${this.#busyMs}`)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#live.release()
    const present = this.#connection
    this.#connection = null
    if (present === null) return
    try {
      // One that came in its place a moment ago would be opened next with what SQLite then leaves beside it: its contents undone.
      if (identityOf(this.#file) !== present.identity) {
        leave(present.database, this.#file, present.beside, this.#busyMs)
      }
    } catch {
      // Nothing may be taken away, or nobody can tell.
    } finally {
      if (present.database.isOpen) present.database.close()
    }
  }

  #read<T>(work: (run: Statements) => T): T {
    return translated(this.#file, () => work(this.#connected().run))
  }

  #write<T>(work: (run: Statements) => T): T {
    return translated(this.#file, () => {
      const present = this.#connection
      if (!this.#isClosed && identityOf(this.#file) === undefined) {
        if (present !== null) this.#remake(present)
        this.#connection = open(this.#file, this.#busyMs)
      }
      const { database, run } = this.#connected()
      return inTransaction(database, () => work(run))
    })
  }

  /** Writes the deleted file again; where it cannot, or another one was faster, the named values are still to be written. */
  #remake({ database, run }: Connection): void {
    const named = all(run.named)
    let isRemade = false
    try {
      isRemade = remake(database, this.#file)
    } finally {
      // Whatever fails from here on, there is no way back to one that is closed.
      if (!database.isOpen) {
        this.#connection = null
        if (!isRemade) this.#carried = named
      }
    }
  }

  /** The connection to the file that has our name now; when there is none, to the one that had it. */
  #connected(): Connection {
    if (this.#isClosed) throw storeFault(this.#file, 'is closed')
    const identity = identityOf(this.#file)
    const present = this.#connection
    if (present !== null && (identity === undefined || present.identity === identity)) return present
    if (identity === undefined) throw storeFault(this.#file, DELETED)
    if (present !== null) {
      const named = all(present.run.named)
      leave(present.database, this.#file, present.beside, this.#busyMs)
      this.#connection = null
      this.#carried = named
    }
    this.#connection = open(this.#file, this.#busyMs)
    return this.#connection
  }
}

const DELETED = 'was deleted; the next change writes it anew'

function open(file: string, busyMs: number): Connection {
  const before = identityOf(file)
  const database = openFile(file, busyMs)
  const identity = identityOf(file)
  if (before === undefined || before === identity)
    return { database, run: prepareAll(database), identity, beside: besideOf(file) }
  // Another one has come in its place meanwhile: of which of them this connection is, nobody can tell.
  database.close()
  return open(file, busyMs)
}
