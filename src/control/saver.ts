/**
 * Saves what was observed in the background: health must take effect at once, and must not wait for a disk or fail with it.
 *
 * At most one save is under way; what is asked for meanwhile, or within SAVE_GAP_MS, becomes one more save of the
 * latest state of those services. A failed one is tried again after SAVE_RETRY_MS, for as long as it takes.
 */
import type { Clock } from '../clock.ts'

/** Least time between two saves. */
export const SAVE_GAP_MS = 100
/** Time until a failed save is tried again. */
export const SAVE_RETRY_MS = 5000

/** Saves when asked to. */
export interface Saver {
  /** Something new was observed of these services. */
  request(services: Iterable<string>): void
  /** Saves now what is unsaved, once, and ends. */
  close(): Promise<void>
}

/** A saver that calls `save` with the services that are to be saved; it rejects when that should be tried again. */
export function createSaver(clock: Clock, save: (services: ReadonlySet<string>) => Promise<void>): Saver {
  let unsaved = new Set<string>()
  let cancel: (() => void) | null = null
  let saving: Promise<void> | null = null

  function arm(delayMs: number): void {
    if (cancel === null && saving === null) cancel = clock.after(delayMs, start)
  }

  function disarm(): void {
    cancel?.()
    cancel = null
  }

  function start(): void {
    cancel = null
    saving = once()
  }

  async function once(): Promise<void> {
    const services = unsaved
    unsaved = new Set()
    let delayMs = SAVE_GAP_MS
    try {
      await save(services)
    } catch {
      for (const service of services) unsaved.add(service)
      delayMs = SAVE_RETRY_MS
    }
    saving = null
    if (unsaved.size > 0) arm(delayMs)
  }

  return {
    request(services) {
      for (const service of services) unsaved.add(service)
      arm(SAVE_GAP_MS)
    },
    async close() {
      disarm()
      await saving
      if (unsaved.size > 0) await once()
      disarm()
    },
  }
}
