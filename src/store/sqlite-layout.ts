/**
 * The tables of a store file, and how a file of an earlier layout becomes one of this. The layout moves forward only:
 * `LAYOUT` is what `PRAGMA user_version` says, entry n of STEPS brings a file from layout n to n + 1, and each runs inside one
 * transaction with all the others, so a file is of one layout or of the next.
 *
 *   document   one row: the format of the document
 *   parts      the document itself: a service is up to four JSON texts (parts.ts), each with the revision that wrote it
 *   undo       for each of the last revisions, what it replaced: enough to read the one before it
 *   audit      a line for each revision; the last one says where the document stands
 *   observed   what the process that uses the store has seen, by service
 *   named      small values by name: cookie keys, the config file as last loaded
 *
 * A change writes one row of `undo` and of `audit`, and of `parts` those that it touches. Tables have row ids, since a
 * row of up to a page then stays in one page; pages are small, since each page that a change touches is written whole.
 */
import type { DatabaseSync } from 'node:sqlite'
import { intentOfStatus, observedOfStatus } from './old-status.ts'
import { type Part, partsOf, type Undo, undoOf } from './parts.ts'
import { parsed } from './sqlite-faults.ts'
import { FORMAT, REVISIONS_KEPT, type StoredContent } from './store.ts'

/** `TURN` in ASCII: tells our files from those of other programs. */
export const APPLICATION_ID = 0x5455524e

/** Bytes of a page of a new file. */
export const PAGE_BYTES = 1024

const TABLES = `
  CREATE TABLE audit (revision INTEGER PRIMARY KEY, at_ms REAL NOT NULL, actor TEXT NOT NULL, change TEXT NOT NULL) STRICT;
  CREATE TABLE named (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;`

const TABLES_OF_PARTS = `
  CREATE TABLE document (id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL) STRICT;
  INSERT INTO document (id, format) VALUES (1, ${FORMAT});
  ALTER TABLE audit ADD COLUMN mark TEXT NOT NULL DEFAULT '';
  ALTER TABLE audit ADD COLUMN release_last INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE parts (service TEXT NOT NULL, part TEXT NOT NULL, revision INTEGER NOT NULL, text TEXT NOT NULL,
    UNIQUE (service, part)) STRICT;
  CREATE TABLE undo (revision INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
  CREATE TABLE observed (service TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;`

const STEPS: readonly ((database: DatabaseSync) => void)[] = [(database) => database.exec(TABLES), intoParts]

/** The layout that this Turnout knows. */
export const LAYOUT = STEPS.length

/** Brings a file from its layout to ours. The caller holds the transaction. */
export function migrate(database: DatabaseSync, layout: number): void {
  for (const step of STEPS.slice(layout)) step(database)
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${LAYOUT}`)
}

type Contents = Map<string, StoredContent>

interface OldRevision {
  readonly revision: number
  readonly services: string
  readonly status: string
}

/**
 * From layout 1, which kept every revision whole: specs and statuses as one JSON text each. Only what changed from one revision
 * to the next becomes an undo. What was seen of the targets stood in the statuses; the latest of it was in `present`.
 */
function intoParts(database: DatabaseSync): void {
  database.exec(TABLES_OF_PARTS)
  if (database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'revisions'").get() === undefined) return
  const present = database.prepare('SELECT revision, status FROM present').get() as unknown as OldRevision | undefined
  if (present !== undefined) {
    const { services, writtenAt, releaseLast } = readRevisions(database, present.revision)
    const addPart = database.prepare('INSERT INTO parts (service, part, revision, text) VALUES (?, ?, ?, ?)')
    for (const [name, service] of services) {
      for (const [part, value] of partsOf(service)) {
        addPart.run(name, part, writtenAt.get(`${name}\n${part}`) ?? present.revision, JSON.stringify(value))
      }
    }
    const addObserved = database.prepare('INSERT INTO observed (service, text) VALUES (?, ?)')
    for (const [name, status] of entriesOf(parsed(present.status, 'the present status'))) {
      const observed = observedOfStatus(status)
      if (observed !== null) addObserved.run(name, JSON.stringify(observed))
    }
    database.prepare('UPDATE audit SET release_last = ? WHERE revision = ?').run(releaseLast, present.revision)
  }
  database.exec('DROP TABLE revisions; DROP TABLE present')
}

/** Reads every kept revision in order, and writes an undo for each but the first. */
function readRevisions(database: DatabaseSync, last: number) {
  const addUndo = database.prepare('INSERT INTO undo (revision, text) VALUES (?, ?)')
  const rows = database.prepare('SELECT revision, services, status FROM revisions WHERE revision > ? ORDER BY revision')
  const writtenAt = new Map<string, number>()
  let services: Contents | null = null
  let texts: ReadonlyMap<string, string> = new Map()
  let releaseLast = 0
  for (const row of rows.iterate(last - REVISIONS_KEPT) as unknown as Iterable<OldRevision>) {
    const next = contentsOf(row)
    const nextTexts = textsOf(next)
    const changed = [...new Set([...texts.keys(), ...nextTexts.keys()])].filter(
      (key) => texts.get(key) !== nextTexts.get(key),
    )
    for (const key of changed) writtenAt.set(key, row.revision)
    if (services !== null) addUndo.run(row.revision, JSON.stringify(undoBetween(services, changed)))
    releaseLast = Math.max(
      releaseLast,
      ...entriesOf(parsed(row.status, 'a status')).map(([, status]) => lastOf(status)),
    )
    services = next
    texts = nextTexts
  }
  return { services: services ?? new Map(), writtenAt, releaseLast }
}

function contentsOf({ revision, services, status }: OldRevision): Contents {
  const statuses = new Map(entriesOf(parsed(status, `the status of revision ${revision}`)))
  const specs = entriesOf(parsed(services, `revision ${revision}`))
  return new Map(specs.map(([name, spec]) => [name, { spec, intent: intentOfStatus(statuses.get(name)) }]))
}

/** The JSON text of each part, by service and part. */
function textsOf(contents: Contents): Map<string, string> {
  const texts = new Map<string, string>()
  for (const [name, content] of contents) {
    for (const [part, value] of partsOf(content)) texts.set(`${name}\n${part}`, JSON.stringify(value))
  }
  return texts
}

function undoBetween(before: Contents, changed: readonly string[]): Undo {
  const parts = Map.groupBy(changed, (key) => key.slice(0, key.lastIndexOf('\n')))
  const changes = [...parts].map(([name, keys]) => {
    const touched = new Set(keys.map((key) => key.slice(name.length + 1) as Part))
    const was = partsOf(before.get(name) ?? null)
    return [name, [...touched].map((part) => ({ part, before: was.get(part), after: undefined }))] as const
  })
  return undoOf(changes)
}

const entriesOf = (record: unknown): [string, unknown][] => Object.entries(Object(record) as Record<string, unknown>)

function lastOf(status: unknown): number {
  const { releaseLast } = Object(status) as { releaseLast?: unknown }
  return typeof releaseLast === 'number' && Number.isSafeInteger(releaseLast) ? releaseLast : 0
}
