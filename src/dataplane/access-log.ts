/**
 * The access log of a worker: one JSON line a request, handed to the main thread in batches, which writes them.
 *
 * It never blocks and never grows without bound: lines gather in a string that is sent at 64 KiB or at the next sweep, and
 * while more characters are under way than may wait (the main thread says what it has taken), lines are dropped and counted.
 */
import type { ErrorCode } from '../errors.ts'
import type { Asked } from './asked.ts'
import type { Dispatch } from './dispatch.ts'

const BATCH_CHARACTERS = 65_536
/** Characters that may be under way to the main thread. */
const WAITING_MAX = 8_388_608

/** How a request ended. */
export interface Outcome {
  /** Status that the client got; 499 when it went away before. */
  readonly status: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly durationMs: number
  /** Time to the head of the answer; below 0 when none came. */
  readonly ttfbMs: number
  readonly error: ErrorCode | null
}

const toMicroseconds = (ms: number): number => Math.round(ms * 1000) / 1000

export class AccessLog {
  readonly #sample: number
  readonly #send: (lines: string) => void
  readonly #dropped: () => void
  #lines = ''
  readonly #taken: () => number
  /** Characters sent in all, as a 32-bit number that wraps like the one it is compared with. */
  #sent: number
  #credit = 0

  /** `send` hands a batch over, `taken` tells how many characters have arrived in all, `dropped` hears of a lost line. */
  constructor(sample: number, send: (lines: string) => void, taken: () => number, dropped: () => void) {
    this.#sample = sample
    this.#send = send
    this.#taken = taken
    this.#dropped = dropped
    this.#sent = taken()
  }

  /** Whether the next request is to be logged: every n-th by the sample share, so the log is even, not random. */
  wanted(): boolean {
    if (this.#sample === 0) return false
    this.#credit += this.#sample
    // Ten times 0.1 is a little less than 1 in floating point.
    if (this.#credit < 0.999_999_999) return false
    this.#credit -= 1
    return true
  }

  /** Adds the line of a request that has ended at `wallMs`. */
  write(
    wallMs: number,
    asked: Asked,
    { decision, target, epoch, address, connects, repeats }: Dispatch,
    outcome: Outcome,
  ): void {
    this.#add(wallMs, {
      requestId: asked.requestId,
      client: address,
      method: asked.method,
      host: asked.host,
      path: asked.path,
      status: outcome.status,
      service: decision?.service?.name ?? null,
      pool: decision?.pool?.name ?? null,
      version: decision?.pool?.version ?? null,
      target: target?.authority ?? null,
      reason: decision?.reason ?? null,
      epoch,
      bytesIn: outcome.bytesIn,
      bytesOut: outcome.bytesOut,
      durationMs: toMicroseconds(outcome.durationMs),
      ttfbMs: outcome.ttfbMs < 0 ? null : toMicroseconds(outcome.ttfbMs),
      retries: connects + repeats,
      error: outcome.error,
    })
  }

  /** Adds the line of what could not be read as a request. */
  writeRefusal(wallMs: number, client: string, status: number, error: ErrorCode): void {
    if (this.wanted()) this.#add(wallMs, { client, status, error })
  }

  #add(wallMs: number, entry: object): void {
    if (((this.#sent - this.#taken()) | 0) + this.#lines.length > WAITING_MAX) return this.#dropped()
    this.#lines += '{"time":"' + new Date(wallMs).toISOString() + '",' + JSON.stringify(entry).slice(1) + '\n'
    if (this.#lines.length >= BATCH_CHARACTERS) this.#flush()
  }

  /** Sends what has gathered; called at every sweep and at the end. */
  sweep(): void {
    this.#flush()
  }

  #flush(): void {
    if (this.#lines === '') return
    this.#sent = (this.#sent + this.#lines.length) | 0
    this.#send(this.#lines)
    this.#lines = ''
  }
}
