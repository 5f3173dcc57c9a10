/** What was observed, in the store: an entry of its own, in wall time, so that a restart begins with what this process knew. */
import { type Clock, wallShiftMs } from '../clock.ts'
import type { Store } from '../store/store.ts'
import { observedMovedBy } from '../table/deadlines.ts'
import type { ServiceObserved } from '../table/status.ts'
import { soundObserved } from './observe.ts'
import type { Content } from './reconcile.ts'
import { mapEntries } from './record.ts'

const KEY = 'observed'

/** What an earlier process has seen; nothing where it cannot be understood. */
export async function loadObserved(store: Store, clock: Clock): Promise<Content['observed']> {
  return movedBy(soundObserved(JSON.parse((await store.get(KEY)) ?? '{}')), -wallShiftMs(clock))
}

/** Keeps what was seen. */
export async function saveObserved(store: Store, clock: Clock, observed: Content['observed']): Promise<void> {
  await store.put(KEY, JSON.stringify(movedBy(observed, wallShiftMs(clock))))
}

const movedBy = (observed: Content['observed'], ms: number): Content['observed'] =>
  mapEntries<ServiceObserved, ServiceObserved>(observed, (service) => observedMovedBy(service, ms))
