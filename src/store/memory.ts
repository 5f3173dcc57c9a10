/**
 * The store without a disk: for trials and tests, and the plain model that the other stores are compared with.
 *
 * It keeps the promises of store.ts but the one about `kill -9`. What goes in and what comes out are copies (JSON texts), so
 * nobody can change a revision afterwards.
 */
import type { ServiceObserved } from '../table/status.ts'
import { type Changes, changesBetween, changesOf, type Part, servicesOf, type Undo, undo, undoOf } from './parts.ts'
import {
  AUDIT_KEPT,
  type AuditEntry,
  assertPosition,
  type Commit,
  NOWHERE,
  type Position,
  REVISIONS_KEPT,
  type Replacement,
  type Store,
  type StoredDocument,
  type StoredRevision,
  type StoredService,
} from './store.ts'

/** A part as JSON text, with the revision that wrote it. */
interface Kept {
  readonly text: string
  readonly revision: number
}

/** An empty store in memory; it is gone with the process. */
export function memoryStore(): Store {
  return new MemoryStore()
}

class MemoryStore implements Store {
  readonly fleet = null
  readonly local = null
  #position = NOWHERE
  #releaseLast = 0
  readonly #services = new Map<string, Map<Part, Kept>>()
  /** By revision, oldest first; JSON texts. */
  readonly #audit = new Map<number, string>()
  readonly #marks = new Map<number, string>()
  readonly #undos = new Map<number, string>()
  readonly #observed = new Map<string, string>()
  readonly #named = new Map<string, string>()

  async load(since = NOWHERE): Promise<StoredDocument> {
    const there = this.#marks.get(since.revision)
    const known = there === since.mark ? since.revision : -1
    const revisionOf = (name: string) =>
      Math.max(...[...this.#services.get(name)!.values()].map(({ revision }) => revision))
    const [changed, unchanged] = [[] as [string, StoredService][], [] as string[]]
    for (const [name, service] of Object.entries(servicesOf(this.#parts()))) {
      const revision = revisionOf(name)
      if (revision > known) changed.push([name, { ...service, revision }])
      else unchanged.push(name)
    }
    const services = Object.fromEntries(changed)
    const hasLost = there !== undefined && there !== since.mark
    return { position: this.#position, releaseLast: this.#releaseLast, services, unchanged, hasLost }
  }

  async position(): Promise<Position> {
    return this.#position
  }

  async commit(present: Position, { services, ...commit }: Commit): Promise<Position> {
    assertPosition(this.#position, present)
    return this.#write(present.revision + 1, changesOf(services), commit)
  }

  async replace(present: Position, { services, revision, mark, ...commit }: Replacement): Promise<Position> {
    assertPosition(this.#position, present)
    const changes = changesBetween(servicesOf(this.#parts()), services)
    const position = this.#write(revision, changes, commit, mark)
    for (const parts of this.#services.values()) {
      for (const [part, { text }] of parts) parts.set(part, { text, revision })
    }
    return position
  }

  async revisions(limit: number, before = Number.POSITIVE_INFINITY): Promise<AuditEntry[]> {
    const older = [...this.#audit].filter(([revision]) => revision < before).reverse()
    return older.slice(0, Math.max(0, limit)).map(([, text]) => JSON.parse(text) as AuditEntry)
  }

  async revision(revision: number): Promise<StoredRevision | null> {
    const audit = this.#audit.get(revision)
    if (audit === undefined || revision <= this.#position.revision - REVISIONS_KEPT) return null
    const parts = this.#parts()
    const later = [...this.#undos].filter(([of]) => of > revision).reverse()
    undo(
      parts,
      later.map(([, text]) => JSON.parse(text) as Undo),
    )
    return { ...(JSON.parse(audit) as AuditEntry), services: servicesOf(parts) }
  }

  async observed(): Promise<Record<string, unknown>> {
    return Object.fromEntries([...this.#observed].map(([name, text]) => [name, JSON.parse(text)]))
  }

  async saveObserved(services: Readonly<Record<string, ServiceObserved | null>>): Promise<void> {
    for (const [name, observed] of Object.entries(services)) {
      if (observed === null) this.#observed.delete(name)
      else this.#observed.set(name, JSON.stringify(observed))
    }
  }

  get = async (key: string): Promise<string | null> => this.#named.get(key) ?? null
  put = async (key: string, value: string | null): Promise<void> => {
    if (value === null) this.#named.delete(key)
    else this.#named.set(key, value)
  }
  putIfAbsent = async (key: string, value: string): Promise<string> => {
    const kept = this.#named.get(key) ?? value
    this.#named.set(key, kept)
    return kept
  }
  isShared = async (): Promise<boolean> => false
  hasOthers = this.isShared
  yield = async (): Promise<void> => {}
  mayBlock = (): void => {}
  close = async (): Promise<void> => {}

  #write(
    revision: number,
    changes: Changes,
    { atMs, actor, change, releaseLast, named = {} }: Omit<Commit, 'services'>,
    mark: string = crypto.randomUUID(),
  ): Position {
    for (const [name, parts] of changes) {
      const kept = this.#services.get(name) ?? new Map<Part, Kept>()
      this.#services.set(name, kept)
      for (const { part, after } of parts) {
        if (after === undefined) kept.delete(part)
        else kept.set(part, { text: JSON.stringify(after), revision })
      }
      if (kept.size === 0) this.#services.delete(name)
    }
    this.#undos.set(revision, JSON.stringify(undoOf(changes)))
    this.#audit.set(revision, JSON.stringify({ revision, atMs, actor, change } satisfies AuditEntry))
    for (const [key, value] of Object.entries(named)) this.#named.set(key, value)
    this.#releaseLast = releaseLast
    this.#position = { revision, mark }
    this.#marks.set(revision, this.#position.mark)
    prune(this.#marks, revision - REVISIONS_KEPT)
    prune(this.#undos, revision - REVISIONS_KEPT)
    prune(this.#audit, revision - AUDIT_KEPT)
    return this.#position
  }

  #parts(): Map<string, Map<Part, unknown>> {
    const parsed = (parts: ReadonlyMap<Part, Kept>) =>
      new Map([...parts].map(([part, { text }]): [Part, unknown] => [part, JSON.parse(text)]))
    return new Map([...this.#services].map(([name, parts]) => [name, parsed(parts)]))
  }
}

/** Forgets entries up to a revision; they stand oldest first. */
function prune(entries: Map<number, string>, until: number): void {
  for (const revision of entries.keys()) {
    if (revision > until) return
    entries.delete(revision)
  }
}
