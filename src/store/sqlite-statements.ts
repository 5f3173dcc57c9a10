/**
 * What is asked of a store file, in SQL; the tables are in sqlite-layout.ts.
 *
 * Prepared once for a connection: whoever opens another file has others.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { Part } from './parts.ts'

const SQL = {
  document: 'SELECT revision, mark, release_last FROM audit ORDER BY revision DESC LIMIT 1',
  mark: 'SELECT mark FROM audit WHERE revision = ?',
  names: "SELECT service FROM parts WHERE part = 'spec' ORDER BY rowid",
  parts: `SELECT service, part, revision, text FROM parts
          WHERE service IN (SELECT service FROM parts WHERE revision > ?) ORDER BY rowid`,
  touchParts: 'UPDATE parts SET revision = ?',
  setPart: `INSERT INTO parts (service, part, revision, text) VALUES (?, ?, ?, ?)
            ON CONFLICT (service, part) DO UPDATE SET revision = excluded.revision, text = excluded.text`,
  dropPart: 'DELETE FROM parts WHERE service = ? AND part = ?',
  undos: 'SELECT text FROM undo WHERE revision > ? ORDER BY revision DESC',
  addUndo: 'INSERT INTO undo (revision, text) VALUES (?, ?)',
  pruneUndos: 'DELETE FROM undo WHERE revision <= ?',
  addAudit: `INSERT INTO audit (revision, at_ms, actor, change, mark, release_last) VALUES (?, ?, ?, ?, ?, ?)`,
  pruneAudit: 'DELETE FROM audit WHERE revision <= ?',
  audit: 'SELECT revision, at_ms, actor, change FROM audit WHERE revision < ? ORDER BY revision DESC LIMIT ?',
  oneAudit: 'SELECT revision, at_ms, actor, change FROM audit WHERE revision = ?',
  observed: 'SELECT service, text FROM observed',
  setObserved:
    'INSERT INTO observed (service, text) VALUES (?, ?) ON CONFLICT (service) DO UPDATE SET text = excluded.text',
  dropObserved: 'DELETE FROM observed WHERE service = ?',
  named: 'SELECT key, value FROM named',
  get: 'SELECT value FROM named WHERE key = ?',
  dropNamed: 'DELETE FROM named WHERE key = ?',
  put: 'INSERT INTO named (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
}
/** The statements of one connection. */
export type Statements = Record<keyof typeof SQL, StatementSync>

/** A row of any of them: each has the columns that it asks for. */
export interface Row {
  readonly revision: number
  readonly mark: string
  readonly release_last: number
  readonly service: string
  readonly part: Part
  readonly text: string
  readonly at_ms: number
  readonly actor: string
  readonly change: string
  readonly key: string
  readonly value: string
}

/** The statements on a connection. */
export function prepareAll(database: DatabaseSync): Statements {
  const prepared = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)])
  return Object.fromEntries(prepared) as Statements
}

/** The first row, or undefined. */
export const first = (statement: StatementSync, ...values: SQLInputValue[]): Row | undefined =>
  statement.get(...values) as Row | undefined

/** All rows. */
export const all = (statement: StatementSync, ...values: SQLInputValue[]): Row[] =>
  statement.all(...values) as unknown as Row[]
