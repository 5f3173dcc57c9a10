/**
 * What the store keeps and promises; memory, SQLite and Redis each implement it and pass one contract suite.
 *
 * Promise: when a write resolves it survives `kill -9`; `commit` is a compare-and-set on the revision, so two writers can
 * never both win; a reader sees whole documents only. Any method rejects with `store_unavailable` when the store is away.
 */
import type { Services } from '../config/schema.ts'
import type { ServiceIntent } from '../table/status.ts'

/** Everything that a restart must find again. */
export interface Document {
  /** 0 before the first commit; grows by one with every commit. */
  readonly revision: number
  readonly services: Services
  readonly intents: Record<string, ServiceIntent>
}

/** One line of the audit: who changed what. `change` is the change as data (change.ts). */
export interface AuditEntry {
  readonly revision: number
  readonly atMs: number
  /** Name of the token, `file`, `cli` or `local`. */
  readonly actor: string
  readonly change: { readonly kind: string; readonly service?: string; readonly [key: string]: unknown }
}

export interface RevisionEntry extends AuditEntry {
  readonly services: Services
  readonly intents: Record<string, ServiceIntent>
}

export interface Store {
  /** The last committed document, or null when nothing was ever committed. */
  load(): Promise<Document | null>
  /**
   * Writes revision `expectedRevision + 1` and its audit line at once.
   * Rejects with `stale_revision` when the stored revision is another.
   */
  commit(expectedRevision: number, entry: Omit<RevisionEntry, 'revision'>): Promise<number>
  /** Newest first. `before` is exclusive; at most `limit`. */
  revisions(limit: number, before?: number): Promise<AuditEntry[]>
  /** One revision in full, or null when it is unknown or was pruned. */
  revision(revision: number): Promise<RevisionEntry | null>
  /** A small named value: the cookie keys, the config file as last loaded, what was observed. null when absent. */
  get(key: string): Promise<string | null>
  put(key: string, value: string): Promise<void>
  close(): Promise<void>
}

/** Revisions kept in full; older ones are pruned, their audit lines stay. */
export const REVISIONS_KEPT = 1000

/** Audit lines kept; older ones are pruned. */
export const AUDIT_KEPT = 100_000
