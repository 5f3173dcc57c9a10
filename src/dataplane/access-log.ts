/**
 * The access log of a worker: one JSON line a request, written into pages that the main thread writes out (log/page.ts).
 *
 * It never blocks and never grows without bound: a page is sent when it is full or at the next sweep, and while as many bytes
 * are away as may wait for a slow reader, lines are dropped and counted.
 */
import type { ErrorCode } from '../errors.ts'
import { bytesOf, LogPage, QUOTED_BYTES_MAX } from '../log/page.ts'
import type { Decision, TargetTable } from '../table/types.ts'
import type { AttemptOutcome } from './exchange/attempt-outcome.ts'

const PAGE_BYTES = 131_072
/** Bytes that may wait for the reader of the log. */
const WAITING_MAX = 8_388_608
/** While so many pages are away, a sweep does not send one that is not full: a slow reader would get many small ones. */
const AWAY_MAX = 2
/** Pages that are kept although nothing is in them. */
const FREE_MAX = 4
/** Room for the names and numbers of a line. */
const FRAME_BYTES = 1024

/** What a line says of a request. */
export interface LoggedRequest {
  readonly requestId: string
  readonly method: string
  readonly host: string
  readonly path: string
}

/** Where it went: its last attempt. */
export interface LoggedAttempts {
  readonly decision: Decision | null
  readonly target: TargetTable | null
  readonly placement: {
    readonly epoch: number
    /** Address of the client, after trusted proxies. */
    readonly address: string
  }
  /** Attempts beside the last one. */
  readonly retries: { readonly count: number }
}

/** How a request ended. */
export interface Outcome {
  /** Status that the client got; 499 when it went away before. */
  readonly status: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly durationMs: number
  /** Time to the head of the answer; below 0 when none came. */
  readonly ttfbMs: number
  /** How long it has waited for room at its pool, of these; 0 when it did not. */
  readonly waitedMs: number
  /** How long it was held. */
  readonly heldMs: number
  /** What its last attempt says of the target; null when there was none. */
  readonly attempt: AttemptOutcome | null
  readonly error: ErrorCode | null
}

const toMicroseconds = (ms: number): number => Math.round(ms * 1000)

/** Bytes that texts take as JSON. */
const quotedBytes = (texts: readonly string[]): number =>
  texts.reduce((sum, text) => sum + Buffer.byteLength(JSON.stringify(text)), 0)

/** What most requests to a target of a table have in common, as it is in their lines. */
interface Place {
  readonly epoch: number
  readonly text: string
}

function placeText(decision: Decision | null, target: TargetTable | null, epoch: number): string {
  const service = decision?.service?.name ?? null
  const pool = decision?.pool?.name ?? null
  const version = decision?.pool?.version ?? null
  const reason = decision?.reason ?? null
  const place = JSON.stringify({ service, pool, version, target: target?.authority ?? null, reason, epoch })
  return bytesOf(',' + place.slice(1, -1) + ',"bytesIn":')
}

const endText = (retries: number, attempt: AttemptOutcome | null, error: ErrorCode | null): string =>
  bytesOf(',' + JSON.stringify({ retries, attempt, error }).slice(1) + '\n')

const ORDINARY_END = endText(0, 'good', null)

export class AccessLog {
  readonly #sample: number
  readonly #send: (memory: SharedArrayBuffer, length: number) => void
  readonly #dropped: () => void
  /** All pages: the one that is being filled, those that are away, and some that are free. */
  #pages: LogPage[] = []
  #page: LogPage | null = null
  #credit = 0
  #second = -1
  #secondText = ''
  /** By the reason of the decision, of which there are a few. */
  readonly #places = new WeakMap<TargetTable, Map<Decision['reason'], Place>>()

  /** `send` hands a page over, `dropped` hears of a lost line. */
  constructor(sample: number, send: (memory: SharedArrayBuffer, length: number) => void, dropped: () => void) {
    this.#sample = sample
    this.#send = send
    this.#dropped = dropped
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
    request: LoggedRequest,
    { decision, target, placement: { epoch, address }, retries }: LoggedAttempts,
    outcome: Outcome,
  ): void {
    const { status, bytesIn, bytesOut, durationMs, ttfbMs, waitedMs, heldMs, attempt, error } = outcome
    const { requestId, method, host, path } = request
    const place = this.#placeOf(decision, target, epoch)
    const frame = FRAME_BYTES + place.length
    const quoted = requestId.length + address.length + method.length + host.length + path.length
    let page = this.#pageWith(frame + quoted * QUOTED_BYTES_MAX)
    // Most take a sixth of that.
    page ??= this.#pageFor(frame + quotedBytes([requestId, address, method, host, path]))
    if (page === null) return this.#dropped()
    this.#putTime(page, wallMs)
    page.put('"requestId":')
    page.putQuoted(requestId)
    page.put(',"client":')
    page.putQuoted(address)
    page.put(',"method":')
    page.putQuoted(method)
    page.put(',"host":')
    page.putQuoted(host)
    page.put(',"path":')
    page.putQuoted(path)
    page.put(',"status":')
    page.putNumber(status)
    page.putLong(place)
    page.putNumber(bytesIn)
    page.put(',"bytesOut":')
    page.putNumber(bytesOut)
    page.put(',"durationMs":')
    page.putThousandths(toMicroseconds(durationMs))
    page.put(',"ttfbMs":')
    if (ttfbMs < 0) page.put('null')
    else page.putThousandths(toMicroseconds(ttfbMs))
    if (waitedMs > 0) {
      page.put(',"waitedMs":')
      page.putThousandths(toMicroseconds(waitedMs))
    }
    if (heldMs > 0) {
      page.put(',"heldMs":')
      page.putThousandths(toMicroseconds(heldMs))
    }
    const isOrdinary = retries.count === 0 && attempt === 'good' && error === null
    page.putLong(isOrdinary ? ORDINARY_END : endText(retries.count, attempt, error))
  }

  /** Adds the line of what could not be read as a request. */
  writeRefusal(wallMs: number, client: string, status: number, error: ErrorCode): void {
    if (!this.wanted()) return
    const page = this.#pageFor(FRAME_BYTES + quotedBytes([client]))
    if (page === null) return this.#dropped()
    this.#putTime(page, wallMs)
    page.putWide(JSON.stringify({ client, status, error }).slice(1) + '\n')
  }

  /** Puts the beginning of a line; what is the same within a second is made once. */
  #putTime(page: LogPage, wallMs: number): void {
    const second = Math.floor(wallMs / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#secondText = bytesOf('{"time":"' + new Date(second * 1000).toISOString().slice(0, 20))
    }
    page.putLong(this.#secondText)
    page.putThree(Math.floor(wallMs) - second * 1000)
    page.put('Z",')
  }

  /** Where the request went, and why: the text of the last one that the target got for the same reason does for most. */
  #placeOf(decision: Decision | null, target: TargetTable | null, epoch: number): string {
    if (decision === null || target === null) return placeText(decision, target, epoch)
    let places = this.#places.get(target)
    if (places === undefined) {
      places = new Map()
      this.#places.set(target, places)
    }
    const last = places.get(decision.reason)
    if (last?.epoch === epoch) return last.text
    const text = placeText(decision, target, epoch)
    places.set(decision.reason, { epoch, text })
    return text
  }

  /** The page that is being filled, if it has room for so many bytes. */
  #pageWith(bytes: number): LogPage | null {
    const page = this.#page
    return page !== null && page.size - page.length >= bytes ? page : null
  }

  /** A page with room for so many bytes; null when too much is away. */
  #pageFor(bytes: number): LogPage | null {
    const page = this.#pageWith(bytes)
    if (page !== null) return page
    this.flush()
    this.#page = this.#freePage(bytes)
    return this.#page
  }

  #freePage(bytes: number): LogPage | null {
    const free = this.#pages.find((page) => !page.isAway && page.size >= bytes)
    if (free !== undefined) return free
    // Those that are free are too small, and must not stand in the way.
    this.#pages = this.#pages.filter((page) => page.isAway)
    const size = Math.max(bytes, PAGE_BYTES)
    if (this.#pages.reduce((sum, page) => sum + page.size, size) > WAITING_MAX) return null
    const page = new LogPage(size)
    this.#pages.push(page)
    return page
  }

  /** Sends what has gathered, unless much is away already, and lets go of pages that a slow reader had made necessary. */
  sweep(): void {
    if (this.#pages.filter((page) => page.isAway).length < AWAY_MAX) this.flush()
    let free = 0
    const isKept = (page: LogPage) =>
      page.isAway || page === this.#page || (page.size === PAGE_BYTES && ++free < FREE_MAX)
    this.#pages = this.#pages.filter(isKept)
  }

  /** Sends what has gathered; called at the end, too. */
  flush(): void {
    const page = this.#page
    if (page === null || page.length === 0) return
    this.#page = null
    page.send(this.#send)
  }
}
