/**
 * A change as it stands in the audit: who reads a thousand of them needs the gist, not whole documents.
 *
 * Bounded, whatever was sent; who has insisted on what would have been refused is told too.
 */
import type { Change, ChangeOptions, ClockLine, RolloutLine } from '../change.ts'
import { equalJson } from '../config/record.ts'
import type { AuditEntry, Store } from '../store/store.ts'
import { type Moved, whatChanged } from './what-changed.ts'

const CHANGE_BYTES_MAX = 65_536
/** Among so many a line is looked for that may have been written: what others do until it is tried again. */
const LAST_LINES = 20

/** What a revision may be of. */
export type Audited = Change | ClockLine

type Insistence = Pick<ChangeOptions, 'force' | 'prune'>

/** The change as data for the audit; names are of the services that really changed. Bounded to 64 KiB. */
export function auditOf(change: Audited, moved: Moved, options: Insistence = {}): AuditEntry['change'] {
  const what = whatChanged(change, moved, true)
  return { ...gistOf(change, moved.names), ...(what !== '' && { what }), ...insistenceOf(change, options) }
}

function gistOf(change: Audited, services: readonly string[]): AuditEntry['change'] {
  if (change.kind === 'restore') return { kind: change.kind, from: change.from, services }
  if (change.kind === 'file') return { kind: change.kind, services }
  // Some may be of several services; that of one is found by its name like every other change.
  if (isOfSeveral(change) && services.length === 1) return { ...change, service: services[0] }
  if (JSON.stringify(change).length <= CHANGE_BYTES_MAX) return change
  return { kind: change.kind, ...('service' in change ? { service: change.service } : {}), shortened: true }
}

const isOfSeveral = ({ kind }: Audited): boolean => kind === 'switch' || kind === 'hold' || kind === 'release'

/** What somebody has insisted on; a rollout that goes back and a file at the start always do, which says nothing. */
export function insistenceOf(change: Audited, { force, prune }: Insistence): { force?: true; prune?: true } {
  if (change.kind === 'shift' || (change.kind === 'file' && change.atStart === true)) return {}
  return { ...(force === true && { force }), ...(prune === true && { prune }) }
}

/** Whether the line stands there already: the commit that was reported as failed had happened after all, and others may have come after it. */
export async function isWritten(store: Pick<Store, 'revisions'>, line: RolloutLine): Promise<boolean> {
  const last = await store.revisions(LAST_LINES)
  return last.some(({ change }) => equalJson(change, line))
}
