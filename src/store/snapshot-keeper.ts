/**
 * When a local snapshot is written: soon after something has changed, and not more often than that is worth. One write at a time; what
 * changes meanwhile goes with the next. A disk that is full, or a folder where nothing may be written, is told once, and once when it is
 * right again; nobody waits for it, and nothing fails by it.
 */
import type { Clock } from '../clock.ts'
import { unwrittenInWords } from '../unread.ts'
import type { Snapshot, SnapshotFile } from './snapshot-file.ts'

/** From a change to the write of it: what comes in the same moment goes with it. */
const GATHER_MS = 100
/** Least and longest time from the end of a write to the next; between them ten times as long as it took, so that large ones take little of the disk. */
const GAP_MS = 1_000
const GAP_MS_MAX = 5_000
const GAP_SHARE = 10
/** After one that has failed. */
const RETRY_MS = 10_000

export interface SnapshotKeeperDeps {
  readonly file: Pick<SnapshotFile, 'path' | 'write'>
  readonly clock: Clock
  /** What is to be written now; null when there is nothing to keep. */
  present(): Omit<Snapshot, 'keptAtMs'> | null
  tell(level: 'info' | 'warn', message: string): void
}

export class SnapshotKeeper {
  readonly #deps: SnapshotKeeperDeps
  #fault: string | null = null
  #failures = 0
  /** What tells apart what was written last from what is to be. */
  #written = ''
  #writtenRevision = 0
  #writing: Promise<void> | null = null
  #cancel: (() => void) | null = null
  /** Monotonic time before which nothing is written. */
  #notBeforeMs = -Infinity
  #isClosed = false

  constructor(deps: SnapshotKeeperDeps) {
    this.#deps = deps
  }

  /** For status and metrics. */
  get told(): { readonly revision: number; readonly fault: string | null; readonly failures: number } {
    return { revision: this.#writtenRevision, fault: this.#fault, failures: this.#failures }
  }

  /** This one stands in the file already. */
  know(snapshot: Omit<Snapshot, 'keptAtMs'>): void {
    this.#written = identityOf(snapshot)
    this.#writtenRevision = snapshot.position.revision
  }

  /** Something may have changed. */
  request(): void {
    if (this.#cancel !== null || this.#writing !== null || this.#isClosed) return
    const { clock } = this.#deps
    const delayMs = Math.max(GATHER_MS, this.#notBeforeMs - clock.monotonicMs())
    this.#cancel = clock.after(delayMs, () => {
      this.#cancel = null
      this.#begin()
    })
  }

  /** Writes what is not written, once, and ends. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancel?.()
    await this.#writing
    await this.#write()
  }

  #begin(): void {
    this.#writing = this.#write().finally(() => {
      this.#writing = null
      if (this.#isDue) this.request()
    })
  }

  get #isDue(): boolean {
    const present = this.#deps.present()
    return present !== null && identityOf(present) !== this.#written
  }

  async #write(): Promise<void> {
    const { clock, file, present, tell } = this.#deps
    const snapshot = present()
    if (snapshot === null || identityOf(snapshot) === this.#written) return
    const fromMs = clock.monotonicMs()
    try {
      await file.write({ ...snapshot, keptAtMs: clock.nowMs() })
      this.know(snapshot)
      const tookMs = clock.monotonicMs() - fromMs
      this.#notBeforeMs = clock.monotonicMs() + Math.min(GAP_MS_MAX, Math.max(GAP_MS, GAP_SHARE * tookMs))
      if (this.#fault !== null) tell('info', `the local snapshot ${file.path} can be written again`)
      this.#fault = null
    } catch (error) {
      this.#failures++
      this.#notBeforeMs = clock.monotonicMs() + RETRY_MS
      const why = unwrittenInWords(error)
      if (this.#fault === null)
        tell(
          'warn',
          `the local snapshot ${file.path} cannot be written: ${why}; a start while the store is away has an old one, or none`,
        )
      this.#fault = why
    }
  }
}

const identityOf = ({ place, position, named }: Omit<Snapshot, 'keptAtMs'>): string =>
  JSON.stringify([place, position.revision, position.mark, named])
