/** What is told of the state: the snapshot as it is, but with deadlines by the wall clock of now, which people read. */
import type { Snapshot } from '../change.ts'
import { wallShiftMs } from '../clock.ts'
import { movedBy } from '../table/deadlines.ts'
import type { AdminDeps } from './deps.ts'

/** The present snapshot for people. */
export function toldSnapshot({ control, clock }: Pick<AdminDeps, 'control' | 'clock'>): Snapshot {
  const snapshot = control.snapshot()
  return { ...snapshot, status: movedBy(snapshot.status, wallShiftMs(clock)) }
}
