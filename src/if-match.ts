/** `If-Match` of a change: whoever sends it wants to be refused when somebody else was faster. Pure. */
import type { Snapshot } from './change.ts'
import { own } from './config/record.ts'
import { TurnoutError } from './errors.ts'

/** Throws `stale_revision` when what the change is about has changed after this revision, or that is none yet. */
export function expectRevision(
  { revision, revisions }: Pick<Snapshot, 'revision' | 'revisions'>,
  change: object & { readonly service?: string },
  ifMatch: number | undefined,
): void {
  if (ifMatch === undefined) return
  // Two teams do not stop each other: the change of one service asks for that service only.
  const last = change.service === undefined ? revision : (own(revisions, change.service) ?? revision)
  if (ifMatch >= last && ifMatch <= revision) return
  const what = change.service === undefined ? 'Something' : `Service ${change.service}`
  throw new TurnoutError('stale_revision', `${what} was changed by revision ${last}; this one is for ${ifMatch}.`)
}
