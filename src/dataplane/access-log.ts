/**
 * The access log of a worker: one JSON line a request, handed to the main thread in batches, which writes them.
 *
 * It never blocks and never grows without bound: lines gather in a string that is sent at 64 KiB or at the next sweep, and
 * when a batch would exceed what may wait, lines are dropped and counted.
 */

const BATCH_CHARACTERS = 65_536
/** Characters that may gather between two sweeps before lines are dropped. */
const GATHERED_MAX = 8_388_608

/** What a line says; written by exchange.ts when a request has ended. */
export interface AccessEntry {
  readonly requestId: string
  readonly client: string
  readonly method: string
  readonly host: string
  readonly path: string
  readonly status: number
  readonly service: string | null
  readonly pool: string | null
  readonly version: string | null
  readonly target: string | null
  readonly reason: string | null
  readonly epoch: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly durationMs: number
  readonly ttfbMs: number | null
  readonly retries: number
  readonly error: string | null
}

export class AccessLog {
  readonly #sample: number
  readonly #send: (lines: string) => void
  readonly #dropped: () => void
  #lines = ''
  #sentSinceSweep = 0
  #credit = 0

  constructor(sample: number, send: (lines: string) => void, dropped: () => void) {
    this.#sample = sample
    this.#send = send
    this.#dropped = dropped
  }

  /** Whether the next request is to be logged: every n-th by the sample share, so the log is even, not random. */
  wanted(): boolean {
    if (this.#sample === 0) return false
    this.#credit += this.#sample
    if (this.#credit < 1) return false
    this.#credit -= 1
    return true
  }

  /** Adds a line. `wallMs` is when the request ended. */
  write(wallMs: number, entry: AccessEntry): void {
    if (this.#sentSinceSweep > GATHERED_MAX) return this.#dropped()
    this.#lines += '{"time":"' + new Date(wallMs).toISOString() + '",' + JSON.stringify(entry).slice(1) + '\n'
    if (this.#lines.length >= BATCH_CHARACTERS) this.#flush()
  }

  /** Sends what has gathered; called at every sweep and at the end. */
  sweep(): void {
    this.#flush()
    this.#sentSinceSweep = 0
  }

  #flush(): void {
    if (this.#lines === '') return
    this.#sentSinceSweep += this.#lines.length
    this.#send(this.#lines)
    this.#lines = ''
  }
}
