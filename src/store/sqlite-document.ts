/** The document, its revisions and its audit, in the tables of a store file. */
import { type Changes, type Part, undoOf } from './parts.ts'
import { parsed } from './sqlite-faults.ts'
import { all, type Row, type Statements } from './sqlite-statements.ts'
import { AUDIT_KEPT, type AuditEntry, type Commit, NOWHERE, type Position, REVISIONS_KEPT } from './store.ts'

/** Writes these changes as a revision, with its audit line and what undoes it; in a transaction of the caller. Gives where the document stands then. */
export function writeRevision(
  run: Statements,
  revision: number,
  changes: Changes,
  { atMs, actor, change, releaseLast, named = {} }: Omit<Commit, 'services'>,
  mark: string = crypto.randomUUID(),
): Position {
  for (const [service, parts] of changes) {
    for (const { part, after } of parts) {
      if (after === undefined) run.dropPart.run(service, part)
      else run.setPart.run(service, part, revision, JSON.stringify(after))
    }
  }
  run.addUndo.run(revision, JSON.stringify(undoOf(changes)))
  const position = { revision, mark }
  run.addAudit.run(revision, atMs, actor, JSON.stringify(change), position.mark, releaseLast)
  for (const [key, value] of Object.entries(named)) run.put.run(key, value)
  run.pruneUndos.run(revision - REVISIONS_KEPT)
  run.pruneAudit.run(revision - AUDIT_KEPT)
  return position
}

/** The parts of the services that were written after a revision, and the revision that wrote each service last. */
export function presentParts(
  run: Statements,
  since = -1,
  revisions = new Map<string, number>(),
): Map<string, Map<Part, unknown>> {
  const services = new Map<string, Map<Part, unknown>>()
  for (const { service, part, revision, text } of all(run.parts, since)) {
    const parts = services.get(service) ?? new Map<Part, unknown>()
    services.set(service, parts.set(part, parsed(text, `part ${part} of service ${service}`)))
    revisions.set(service, Math.max(revision, revisions.get(service) ?? 0))
  }
  return services
}

/** Where the document stands, by its row; NOWHERE without one. */
export const positionOf = (row: Row | undefined): Position =>
  row === undefined ? NOWHERE : { revision: row.revision, mark: row.mark }

/** A line of the audit, by its row. */
export function auditEntry(row: Row): AuditEntry {
  return {
    revision: row.revision,
    atMs: row.at_ms,
    actor: row.actor,
    change: parsed(row.change, `the audit of revision ${row.revision}`),
  }
}
