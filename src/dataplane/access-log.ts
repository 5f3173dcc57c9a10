/**
 * The access log of a worker: one JSON line a request, handed to the main thread in batches, which writes them.
 *
 * It never blocks and never grows without bound: lines gather in a string that is sent at 64 KiB or at the next sweep, and
 * while more characters are under way than may wait (the main thread says what it has taken), lines are dropped and counted.
 */
import type { ErrorCode } from '../errors.ts'
import type { Decision, TargetTable } from '../table/types.ts'
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

/** A text as JSON. Most are plain, and then quotation marks are all that it takes. */
function quoted(text: string): string {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < 32 || code === 34 || code === 92 || code > 126) return JSON.stringify(text)
  }
  return '"' + text + '"'
}

function placeText(decision: Decision | null, target: TargetTable | null): string {
  const service = decision?.service?.name ?? null
  const pool = decision?.pool?.name ?? null
  const version = decision?.pool?.version ?? null
  return ',' + JSON.stringify({ service, pool, version, target: target?.authority ?? null }).slice(1, -1)
}

export class AccessLog {
  readonly #sample: number
  readonly #send: (lines: string) => void
  readonly #dropped: () => void
  #lines = ''
  readonly #taken: () => number
  /** Characters sent in all, as a 32-bit number that wraps like the one it is compared with. */
  #sent: number
  #credit = 0
  #second = -1
  #secondText = ''
  readonly #places = new WeakMap<TargetTable, string>()

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
    if (this.#isFull) return this.#dropped()
    const { status, bytesIn, bytesOut, durationMs, ttfbMs, error } = outcome
    this.#add(
      this.#time(wallMs) +
        '"requestId":' +
        quoted(asked.requestId) +
        ',"client":' +
        quoted(address) +
        ',"method":"' +
        asked.method +
        '","host":' +
        quoted(asked.host) +
        ',"path":' +
        quoted(asked.path) +
        ',"status":' +
        status +
        this.#place(decision, target) +
        ',"reason":' +
        (decision?.reason ? '"' + decision.reason + '"' : 'null') +
        ',"epoch":' +
        epoch +
        ',"bytesIn":' +
        bytesIn +
        ',"bytesOut":' +
        bytesOut +
        ',"durationMs":' +
        toMicroseconds(durationMs) +
        ',"ttfbMs":' +
        (ttfbMs < 0 ? 'null' : toMicroseconds(ttfbMs)) +
        ',"retries":' +
        (connects + repeats) +
        (error === null ? ',"error":null}\n' : ',"error":"' + error + '"}\n'),
    )
  }

  /** Adds the line of what could not be read as a request. */
  writeRefusal(wallMs: number, client: string, status: number, error: ErrorCode): void {
    if (!this.wanted()) return
    if (this.#isFull) return this.#dropped()
    this.#add(this.#time(wallMs) + JSON.stringify({ client, status, error }).slice(1) + '\n')
  }

  get #isFull(): boolean {
    return ((this.#sent - this.#taken()) | 0) + this.#lines.length > WAITING_MAX
  }

  #add(line: string): void {
    this.#lines += line
    if (this.#lines.length >= BATCH_CHARACTERS) this.#flush()
  }

  /** The beginning of a line; what is the same within a second is made once. */
  #time(wallMs: number): string {
    const second = Math.floor(wallMs / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#secondText = '{"time":"' + new Date(second * 1000).toISOString().slice(0, 20)
    }
    return this.#secondText + String(Math.floor(wallMs) - second * 1000).padStart(3, '0') + 'Z",'
  }

  /** Where the request went: the same text for all requests that a target of a table gets. */
  #place(decision: Decision | null, target: TargetTable | null): string {
    if (target === null) return placeText(decision, null)
    let text = this.#places.get(target)
    if (text === undefined) {
      text = placeText(decision, target)
      this.#places.set(target, text)
    }
    return text
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
