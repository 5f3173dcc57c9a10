/**
 * The embedded store: one SQLite file through `node:sqlite`.
 *
 * - Durable: write-ahead log with synchronous=FULL, so a commit that has returned is on the disk, not only with the kernel.
 * - Two processes may open one file. Every write is one immediate transaction that compares the revision first, so the
 *   second writer gets `stale_revision` and never overwrites. A lock is waited for at most BUSY_MS.
 * - The calls are synchronous inside: they hold up the control plane for the length of an fsync, and no traffic.
 * - Whatever SQLite reports (damaged, locked, read-only, full) becomes `store_unavailable` with words for people, and the
 *   open transaction is rolled back, so the next call may succeed. A file that was deleted or replaced while open is an
 *   error too: SQLite would go on writing into a file that no restart can find.
 * - The schema moves forward only, by MIGRATIONS; a file of a newer Turnout or of another program is refused untouched.
 * - The file holds the cookie keys, so it is created readable by its owner only.
 */
import { closeSync, existsSync, openSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { isTurnoutError, TurnoutError } from '../errors.ts'
import { AUDIT_KEPT, type AuditEntry, type Document, REVISIONS_KEPT, type RevisionEntry, type Store } from './store.ts'

/** Longest wait in ms for the lock of another process; the control plane stands still meanwhile. */
const BUSY_MS = 1000
/** `TURN` in ASCII: tells our files from those of other programs. */
const APPLICATION_ID = 0x5455524e

/** Entry n brings a file from schema version n to n + 1. Append only. */
const MIGRATIONS = [
  `CREATE TABLE revisions (revision INTEGER PRIMARY KEY, services TEXT NOT NULL, status TEXT NOT NULL) STRICT;
   CREATE TABLE audit (revision INTEGER PRIMARY KEY, at_ms REAL NOT NULL, actor TEXT NOT NULL, change TEXT NOT NULL) STRICT;
   CREATE TABLE present (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, status TEXT NOT NULL) STRICT;
   CREATE TABLE named (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;`,
]

const SQL = {
  present: 'SELECT revision FROM present',
  load: 'SELECT p.revision, r.services, r.status FROM present p LEFT JOIN revisions r USING (revision)',
  addRevision: 'INSERT INTO revisions (revision, services, status) VALUES (?, ?, ?)',
  addAudit: 'INSERT INTO audit (revision, at_ms, actor, change) VALUES (?, ?, ?, ?)',
  setPresent: 'INSERT OR REPLACE INTO present (id, revision, status) VALUES (1, ?, ?)',
  pruneRevisions: 'DELETE FROM revisions WHERE revision <= ?',
  pruneAudit: 'DELETE FROM audit WHERE revision <= ?',
  list: 'SELECT revision, at_ms, actor, change FROM audit WHERE revision < ? ORDER BY revision DESC LIMIT ?',
  one: `SELECT revision, a.at_ms, a.actor, a.change, r.services, r.status
        FROM revisions r JOIN audit a USING (revision) WHERE revision = ?`,
  get: 'SELECT value FROM named WHERE key = ?',
  put: 'INSERT OR REPLACE INTO named (key, value) VALUES (?, ?)',
}
type Statements = Record<keyof typeof SQL, StatementSync>

interface Row {
  readonly revision: number
  readonly at_ms: number
  readonly actor: string
  readonly change: string
  readonly services: string | null
  readonly status: string
  readonly value: string
}

/** Opens or creates the file (its folder must exist). Throws `store_unavailable` when it cannot be read and written. */
export function sqliteStore(path: string): Store {
  return new SqliteStore(resolve(path))
}

class SqliteStore implements Store {
  readonly #file: string
  readonly #inode: number
  readonly #database: DatabaseSync
  readonly #run: Statements

  constructor(file: string) {
    this.#file = file
    this.#database = openDatabase(file)
    this.#run = prepareAll(this.#database, file)
    this.#inode = statSync(file).ino
  }

  async load(): Promise<Document | null> {
    return this.#read(() => {
      const row = first(this.#run.load)
      if (row === undefined) return null
      return { revision: row.revision, services: parse(row.services), intents: parse(row.status) }
    })
  }

  async commit(expectedRevision: number, entry: Omit<RevisionEntry, 'revision'>): Promise<number> {
    const run = this.#run
    const revision = expectedRevision + 1
    const services = JSON.stringify(entry.services)
    const intents = JSON.stringify(entry.intents)
    const change = JSON.stringify(entry.change)
    this.#write(() => {
      this.#expect(expectedRevision)
      run.addRevision.run(revision, services, intents)
      run.addAudit.run(revision, entry.atMs, entry.actor, change)
      run.setPresent.run(revision, '{}')
      run.pruneRevisions.run(revision - REVISIONS_KEPT)
      run.pruneAudit.run(revision - AUDIT_KEPT)
    })
    return revision
  }

  async revisions(limit: number, before = Number.MAX_SAFE_INTEGER): Promise<AuditEntry[]> {
    return this.#read(() => (this.#run.list.all(before, Math.max(0, limit)) as unknown as Row[]).map(auditEntry))
  }

  async revision(revision: number): Promise<RevisionEntry | null> {
    return this.#read(() => {
      const row = first(this.#run.one, revision)
      return row ? { ...auditEntry(row), services: parse(row.services), intents: parse(row.status) } : null
    })
  }

  async get(key: string): Promise<string | null> {
    return this.#read(() => first(this.#run.get, key)?.value ?? null)
  }

  async put(key: string, value: string): Promise<void> {
    this.#write(() => this.#run.put.run(key, value))
  }

  async close(): Promise<void> {
    if (this.#database.isOpen) this.#database.close()
  }

  #read<T>(work: () => T): T {
    return translate(this.#file, () => {
      if (!this.#database.isOpen) throw new TurnoutError('store_unavailable', `The store ${this.#file} is closed.`)
      return work()
    })
  }

  /** Runs `work` in one immediate transaction; nothing of it stays when it throws. */
  #write(work: () => void): void {
    this.#read(() => {
      if (statSync(this.#file, { throwIfNoEntry: false })?.ino !== this.#inode) {
        const message = `The store ${this.#file} was deleted or replaced; start Turnout again.`
        throw new TurnoutError('store_unavailable', message)
      }
      inTransaction(this.#database, work)
    })
  }

  #expect(revision: number): void {
    const stored = first(this.#run.present)?.revision ?? 0
    if (stored !== revision) {
      throw new TurnoutError('stale_revision', `The stored revision is ${stored}, not ${revision}.`)
    }
  }
}

function first(statement: StatementSync, ...values: SQLInputValue[]): Row | undefined {
  return statement.get(...values) as Row | undefined
}

function auditEntry(row: Row): AuditEntry {
  return { revision: row.revision, atMs: row.at_ms, actor: row.actor, change: parse(row.change) }
}

function parse<T>(text: string | null): T {
  if (text === null) throw new SyntaxError('a row is missing')
  return JSON.parse(text) as T
}

function openDatabase(file: string): DatabaseSync {
  if (!existsSync(dirname(file))) {
    throw new TurnoutError('store_unavailable', `The folder ${dirname(file)} of the store does not exist.`)
  }
  return translate(file, () => {
    closeSync(openSync(file, 'a', 0o600))
    const { DatabaseSync } = loadSqlite()
    return new DatabaseSync(file, { timeout: BUSY_MS })
  })
}

/** Checks, migrates and prepares; the immediate transaction also proves that the file can be written. */
function prepareAll(database: DatabaseSync, file: string): Statements {
  try {
    return translate(file, () => {
      const pragma = (name: string) => Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0])
      const tables = database.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number }
      if (pragma('application_id') !== APPLICATION_ID && tables.n > 0) {
        throw new TurnoutError('store_unavailable', `The file ${file} belongs to another program.`)
      }
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF')
      inTransaction(database, () => migrate(database, file, pragma('user_version')))
      const prepared = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)])
      return Object.fromEntries(prepared) as Statements
    })
  } catch (error) {
    database.close()
    throw error
  }
}

function migrate(database: DatabaseSync, file: string, version: number): void {
  if (version > MIGRATIONS.length) {
    const versions = `schema ${version}, this one knows ${MIGRATIONS.length}`
    throw new TurnoutError('store_unavailable', `The store ${file} was written by a newer Turnout (${versions}).`)
  }
  for (const migration of MIGRATIONS.slice(version)) database.exec(migration)
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${MIGRATIONS.length}`)
}

function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** Primary result codes of SQLite (sqlite.org/rescode.html) in words; what is not named here is told in SQLite's own. */
const REASONS: Readonly<Record<number, string>> = {
  5: 'is locked by another process',
  6: 'is locked by another process',
  8: 'is read-only',
  10: 'cannot be read or written (disk error)',
  11: 'is damaged',
  13: 'cannot grow: the disk is full',
  14: 'cannot be opened',
  26: 'is not a SQLite file, or is damaged',
}

function translate<T>(file: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (isTurnoutError(error)) throw error
    throw new TurnoutError('store_unavailable', `The store ${file} ${reasonOf(error)}.`)
  }
}

function reasonOf(error: unknown): string {
  const { code, errcode, message } = error as { code?: string; errcode?: number; message?: string }
  if (error instanceof SyntaxError) return `is damaged (${message})`
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return 'cannot be written: permission denied'
  if (code === 'EISDIR') return 'is a folder'
  if (code === 'ENOSPC') return 'cannot grow: the disk is full'
  const reason = errcode === undefined ? undefined : REASONS[errcode & 0xff]
  return reason === undefined ? `failed (${message ?? String(error)})` : `${reason} (${message})`
}

/**
 * Node 22 and 24 announce node:sqlite as experimental at its first use. That would be the first line that a user sees,
 * and nothing that they can act on; so this one warning, and only during this call, is kept back.
 */
function loadSqlite(): typeof import('node:sqlite') {
  const emitWarning = process.emitWarning
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    if (!String(warning).startsWith('SQLite is an experimental'))
      Reflect.apply(emitWarning, process, [warning, ...rest])
  }
  try {
    return process.getBuiltinModule('node:sqlite')
  } finally {
    process.emitWarning = emitWarning
  }
}
