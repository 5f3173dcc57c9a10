/**
 * A store file from its name to a connection that may be used: made when there is none, looked at before anything is written to
 * it, and brought to our layout.
 *
 * - A file is made under another name and given its own when it is whole, so there is never an empty or half-made one. An empty
 *   file is what a full disk or an editor leaves; taken for a new store, it would silently forget everything.
 * - A file of another program, of a newer Turnout, that is damaged or cut off is refused before there is a connection that could
 *   write to it: its bytes stay as they are for whoever repairs it. Only a file that was left in the middle of a write must be
 *   opened for writing first, for SQLite to set it right.
 * - It holds the cookie keys, so it is readable by its owner only.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  openSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { BUSY_MS } from '../busy.ts'
import { loadSqlite } from './sqlite-driver.ts'
import { needsRecovery, RESTORE, storeFault, translated } from './sqlite-faults.ts'
import { APPLICATION_ID, LAYOUT, migrate, PAGE_BYTES } from './sqlite-layout.ts'
import { FORMAT, ofNewer } from './store.ts'

const LINKS_MAX = 40
/** What SQLite keeps beside a file; without that file it means nothing. */
const BESIDE = ['-wal', '-shm', '-journal'] as const
/** What tells each of them from another one of the same name. */
export type Beside = readonly (number | undefined)[]

/** The file that a path leads to, also through symbolic links to what is not there yet. */
export function fileAt(path: string): string {
  let file = resolve(path)
  for (let links = 0; links < LINKS_MAX; links++) {
    if (lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return file
    file = resolve(dirname(file), readlinkSync(file))
  }
  throw storeFault(path, 'cannot be opened: too many symbolic links')
}

/** What tells a file from another one of the same name; undefined when there is none. */
export const identityOf = (file: string): number | undefined => statSync(file, { throwIfNoEntry: false })?.ino

/** Bytes of a store on the disk, with what SQLite has written beside it and not taken into it yet. */
export const bytesOf = (file: string): number =>
  [file, `${file}-wal`].reduce((sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0)

/**
 * Opens the file, or makes it; its folder must exist. Throws `store_unavailable`. The thread stands still for `busyMs` at most, now and
 * later, when another process has it locked.
 */
export function openFile(file: string, busyMs = BUSY_MS): DatabaseSync {
  return translated(file, () => {
    expectFolder(file)
    if (!existsSync(file)) makeNew(file)
    lookAt(file, busyMs)
    const database = connect(file, busyMs)
    try {
      prepare(database, file)
    } catch (error) {
      database.close()
      throw error
    }
    return database
  })
}

/** Throws when the file could not be opened, or made; opens it for reading only, and makes nothing. */
export function checkFile(file: string): void {
  translated(file, () => {
    expectFolder(file)
    if (existsSync(file)) lookAt(file, BUSY_MS)
    else accessSync(dirname(file), constants.R_OK | constants.W_OK)
  })
}

function expectFolder(file: string): void {
  if (!existsSync(dirname(file))) throw storeFault(file, `cannot be opened: the folder ${dirname(file)} does not exist`)
}

/** Throws unless the file is one that can be written, and a store that we know; writes nothing. */
function lookAt(file: string, busyMs: number): void {
  expectBytes(file)
  examineBefore(file, busyMs)
}

function expectBytes(file: string): void {
  const stats = statSync(file)
  if (stats.isDirectory()) throw storeFault(file, 'is a folder')
  if (stats.size === 0) throw storeFault(file, `is empty, which no store is; ${RESTORE}`)
  accessSync(file, constants.R_OK | constants.W_OK)
}

/**
 * Writes all that a connection has to its name again, after the file was deleted; the connection is closed. False when somebody else
 * has made one meanwhile, which stays.
 */
export function remake(database: DatabaseSync, file: string): boolean {
  return translated(file, () => {
    return makeAt(file, (temporary) => {
      database.exec(`VACUUM INTO '${temporary.replaceAll("'", "''")}'`)
      // Now, and not later: closing removes by their names what SQLite keeps beside the file.
      database.close()
    })
  })
}

/** Which files SQLite keeps beside this one just now. */
export const besideOf = (file: string): Beside => BESIDE.map((suffix) => identityOf(file + suffix))

/**
 * Closes the connection to a file that no longer has its name, since another one has it. What SQLite keeps beside a file goes by
 * the name alone; left there, it would be taken for a part of the new one.
 *
 * - Only what was there when the connection was opened (`beside`) goes. Whatever else has the names is that of a process that was here
 *   before us: it writes to the new file through it, and has perhaps answered for what stands in nothing else.
 * - It goes only while nobody has the new file open. One who opened it before ours was gone writes to it through ours, and
 *   taking that into our file, or away, would lose it. Then this throws that it is locked, and the connection stays as it is.
 *   That somebody did so and has ended since cannot be told: so nobody should, which README says.
 */
export function leave(database: DatabaseSync, file: string, beside: Beside, busyMs: number): void {
  const ours = () =>
    BESIDE.filter((suffix, n) => beside[n] !== undefined && identityOf(file + suffix) === beside[n]).map(
      (suffix) => file + suffix,
    )
  if (ours().length > 0 && existsSync(file)) {
    expectBytes(file)
    alone(file, busyMs, () => {
      empty(database)
      for (const path of ours()) rmSync(path, { force: true })
    })
  } else empty(database)
  database.close()
}

/** Takes what is beside the file into it, for the case that somebody gives it back its name. */
function empty(database: DatabaseSync): void {
  try {
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } catch {
    // It may be for this that another one was put in its place.
  }
}

/**
 * Runs `work` while no other connection has the file open, and none can come to read it; throws that it is locked when one has. It is reached
 * by a name of its own, since SQLite would take up what lies beside the real one.
 */
function alone(file: string, busyMs: number, work: () => void): void {
  const name = `${file}-alone-${process.pid}`
  // Its own log, too, of a process that was killed here and had the same number.
  for (const path of [name, ...BESIDE.map((suffix) => name + suffix)]) rmSync(path, { force: true })
  linkSync(file, name)
  let database: DatabaseSync | null = null
  try {
    database = connect(name, busyMs)
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    work()
  } finally {
    database?.close()
    rmSync(name, { force: true })
  }
}

/** Runs `work` in one immediate transaction; nothing of it stays when it throws. */
export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
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

const connect = (file: string, busyMs: number, readOnly = false): DatabaseSync =>
  new (loadSqlite().DatabaseSync)(file, { timeout: busyMs, readOnly })

function makeNew(file: string): void {
  makeAt(file, (temporary) => {
    const database = connect(temporary, 0)
    try {
      database.exec(`PRAGMA page_size = ${PAGE_BYTES}`)
      inTransaction(database, () => migrate(database, 0))
    } finally {
      database.close()
    }
  })
}

/** Gives the file its name once `fill` has filled it. False when somebody else has made one meanwhile: that one stays. */
function makeAt(file: string, fill: (temporary: string) => void): boolean {
  const temporary = `${file}-new-${process.pid}`
  rmSync(temporary, { force: true })
  closeSync(openSync(temporary, 'wx', 0o600))
  try {
    fill(temporary)
    // Known before nothing was found: what comes beside it from then on is that of whoever has made it.
    const left = BESIDE.map((suffix) => birthOf(file + suffix))
    if (existsSync(file)) return false
    BESIDE.forEach((suffix, n) => {
      if (left[n] !== undefined && birthOf(file + suffix) === left[n]) rmSync(file + suffix, { force: true })
    })
    linkSync(temporary, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** As `identityOf`, for one that nobody has open: a new one may get the number of one that was deleted. */
function birthOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats && `${stats.ino} ${stats.birthtimeMs}`
}

/** Looks at a file through a connection that cannot write. */
function examineBefore(file: string, busyMs: number): void {
  let database: DatabaseSync | null = null
  try {
    database = connect(file, busyMs, true)
    examine(database, file)
  } catch (error) {
    if (!needsRecovery(error)) throw error
  } finally {
    database?.close()
  }
}

/** Throws unless this is a whole store of a layout and a format that we know. */
function examine(database: DatabaseSync, file: string): void {
  const tables = database.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number }
  if (pragma(database, 'application_id') !== APPLICATION_ID) {
    throw storeFault(file, tables.n > 0 ? 'belongs to another program' : `has no store in it; ${RESTORE}`)
  }
  const layout = pragma(database, 'user_version')
  if (layout > LAYOUT) throw storeFault(file, ofNewer('layout', layout, LAYOUT))
  const [check] = database.prepare('PRAGMA quick_check(1)').all()
  const found = String(Object.values(check ?? {})[0])
  if (found !== 'ok') throw storeFault(file, `is damaged (${found}); ${RESTORE}`)
  if (layout < LAYOUT) return
  const document = database.prepare('SELECT format FROM document').get() as { format: number } | undefined
  if (document !== undefined && document.format > FORMAT)
    throw storeFault(file, ofNewer('format', document.format, FORMAT))
}

const pragma = (database: DatabaseSync, name: string): number =>
  Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0])

/** Brings it to our layout; the immediate transaction also proves that it can be written. */
function prepare(database: DatabaseSync, file: string): void {
  examine(database, file)
  const migrated = inTransaction(database, () => {
    // Read again under the lock: another process may have been first.
    const layout = pragma(database, 'user_version')
    if (layout < LAYOUT) migrate(database, layout)
    return layout < LAYOUT
  })
  if (migrated) shrink(database)
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF')
  // What is kept beside it is there from the first look on, and has to be known (`besideOf`).
  database.exec('SELECT count(*) FROM sqlite_schema')
}

/** An earlier layout was a hundred times as large. While another process uses the file this cannot be done, and need not. */
function shrink(database: DatabaseSync): void {
  try {
    database.exec(`PRAGMA journal_mode = DELETE; PRAGMA page_size = ${PAGE_BYTES}; VACUUM`)
  } catch {
    // It stays large.
  }
}
