/**
 * The store without a disk: for trials and tests, and the plain model that the other stores are compared with.
 *
 * It keeps the promises of store.ts but the one about `kill -9`. What goes in and what comes out are copies, so nobody
 * can change a revision afterwards. Each service is held as its JSON text and an unchanged one shares the text of the
 * revision before: a thousand revisions of a large fleet then cost little more than what has really changed.
 */
import type { Services } from '../config/schema.ts'
import { TurnoutError } from '../errors.ts'
import type { ServiceIntent } from '../table/status.ts'
import { AUDIT_KEPT, type AuditEntry, type Document, REVISIONS_KEPT, type RevisionEntry, type Store } from './store.ts'

/** A record as JSON text by name. */
type Packed = ReadonlyMap<string, string>

interface Kept {
  readonly audit: string
  /** null once the revision was pruned. */
  content: { readonly services: Packed; readonly intents: Packed } | null
}

/** An empty store in memory; it is gone with the process. */
export function memoryStore(): Store {
  /** Revision n stands at index n - 1 - `dropped`. */
  const kept: Kept[] = []
  const named = new Map<string, string>()
  let dropped = 0

  const last = () => dropped + kept.length
  const at = (revision: number): Kept | undefined => kept[revision - 1 - dropped]

  function expect(revision: number): void {
    if (revision !== last())
      throw new TurnoutError('stale_revision', `The stored revision is ${last()}, not ${revision}.`)
  }

  function prune(): void {
    const old = at(last() - REVISIONS_KEPT)
    if (old !== undefined) old.content = null
    if (kept.length > AUDIT_KEPT) {
      kept.shift()
      dropped++
    }
  }

  return {
    async load(): Promise<Document | null> {
      const content = at(last())?.content
      if (!content) return null
      return { revision: last(), services: unpack(content.services), intents: unpack(content.intents) }
    },

    async commit(expectedRevision: number, entry: Omit<RevisionEntry, 'revision'>): Promise<number> {
      expect(expectedRevision)
      const { atMs, actor, change } = entry
      const audit = JSON.stringify({ revision: expectedRevision + 1, atMs, actor, change } satisfies AuditEntry)
      const before = at(last())?.content
      const content = {
        services: pack(entry.services, before?.services),
        intents: pack(entry.intents, before?.intents),
      }
      kept.push({ audit, content })
      prune()
      return last()
    },

    async revisions(limit: number, before = last() + 1): Promise<AuditEntry[]> {
      const entries: AuditEntry[] = []
      for (let revision = Math.min(before - 1, last()); revision > dropped && entries.length < limit; revision--) {
        entries.push(JSON.parse(kept[revision - 1 - dropped].audit))
      }
      return entries
    },

    async revision(revision: number): Promise<RevisionEntry | null> {
      const entry = at(revision)
      if (!entry?.content) return null
      const { services, intents } = entry.content
      return { ...(JSON.parse(entry.audit) as AuditEntry), services: unpack(services), intents: unpack(intents) }
    },

    get: async (key) => named.get(key) ?? null,
    put: async (key, value) => void named.set(key, value),
    close: async () => {},
  }
}

function pack(record: Services | Record<string, ServiceIntent>, previous: Packed = new Map()): Packed {
  const packed = new Map<string, string>()
  for (const [name, value] of Object.entries(record)) {
    const text = JSON.stringify(value)
    const before = previous.get(name)
    packed.set(name, before === text ? before : text)
  }
  return packed
}

function unpack<T>(packed: Packed): Record<string, T> {
  return Object.fromEntries([...packed].map(([name, text]) => [name, JSON.parse(text) as T]))
}
