/**
 * Whether a connection may carry another request, and until when: what its target has said of it, and what is to be feared.
 *
 * A target that says nothing may still close: as idle, which it tells by hints or not at all; behind an answer to a large body
 * that it never read, within milliseconds; or it may send a body that its head did not announce.
 */
import type { ResponseHead } from '../http1/response-head.ts'

/** A connection is given up so long before the target would close it: the way there, and a clock that is checked now and then. */
const HINT_MARGIN_MS = 1_000
/** Bodies from this size on are not always read by who answers them; then the connection is closed behind the answer. */
const LARGE_BODY_BYTES = 16_384
/** Time within which such a close comes. */
const SETTLE_MS = 25

export class Reuse {
  /** How long it may be idle; shortened by the target's own hint. */
  keepAliveMs: number
  /** Until then it may turn out that the target has closed it behind its last answer. */
  settlesMs = 0
  /** There is a reason to look whether more has come before it carries another request. */
  isSuspect = false
  /** It has carried one request at most. What was taken for the answer may have been said before that, to nobody. */
  #isNew = true
  /** The shortest hint so far. */
  #hintMs = Infinity
  /** Requests that it may still carry, by what the target said. */
  #usesLeft = Infinity

  constructor(keepAliveMs: number) {
    this.keepAliveMs = keepAliveMs
  }

  /**
   * Follows the hints of a final head: whether it may carry another request at all. Some targets count `max` down to what is left,
   * some always tell the whole: the smallest reading is safe with both.
   */
  applyKeepAliveHints({ keepAliveTimeoutS, keepAliveMax }: ResponseHead): boolean {
    this.#hintMs = Math.min(this.#hintMs, keepAliveTimeoutS * 1_000 - HINT_MARGIN_MS)
    this.keepAliveMs = Math.min(this.keepAliveMs, this.#hintMs)
    this.#usesLeft = Math.min(this.#usesLeft, keepAliveMax) - 1
    return this.keepAliveMs > 0 && this.#usesLeft > 0
  }

  /** It may be idle for so long, but for the hints. */
  keepFor(ms: number): void {
    this.keepAliveMs = Math.min(ms, this.#hintMs)
  }

  /** Notes an answer that is over: whether a body may come that it did not announce, and how much its request sent. */
  note(mayHaveBody: boolean, bodyBytes: number, nowMs: number): void {
    if (mayHaveBody) this.isSuspect = true
    if (bodyBytes < LARGE_BODY_BYTES) return
    this.isSuspect = true
    this.settlesMs = nowMs + SETTLE_MS
  }

  /** Whether it is worth a call of the kernel to look for what has come; asked once before each use. */
  takeDoubt(): boolean {
    const doubts = this.isSuspect || this.#isNew
    this.isSuspect = false
    this.#isNew = false
    return doubts
  }
}
