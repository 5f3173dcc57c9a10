/** `If-Match` of a change: whoever sends it wants to be refused when somebody else was faster. Pure. */
import type { Snapshot } from './change.ts'
import { own } from './config/record.ts'
import { TurnoutError } from './errors.ts'

/** Throws `stale_revision` when one of these services has changed after this revision, or any at all for null; or when that is none yet. */
export function expectRevision(
  { revision, revisions }: Pick<Snapshot, 'revision' | 'revisions'>,
  services: readonly string[] | null,
  ifMatch: number | undefined,
): void {
  if (ifMatch === undefined) return
  // Two teams do not stop each other: the change of some services asks for these only.
  const lastOf = (name: string): number => own(revisions, name) ?? revision
  const last = services === null ? revision : Math.max(...services.map(lastOf))
  if (ifMatch >= last && ifMatch <= revision) return
  const name = services?.find((service) => lastOf(service) === last)
  const what = name === undefined ? 'Something' : `Service ${name}`
  throw new TurnoutError('stale_revision', `${what} was changed by revision ${last}; this one is for ${ifMatch}.`)
}
