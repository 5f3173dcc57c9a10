/**
 * The account of one exchange: when it began and was answered, what went wrong, and the counters and log line at its end.
 *
 * Everything is counted at the target that the request ended at, or, when there is none, by the code of the error; what it
 * cost other targets before was counted when it left them (dispatch.ts).
 */
import { ERRORS, type ErrorCode } from '../../errors.ts'
import { FIELD } from '../../metrics/layout.ts'
import type { Plane } from '../plane.ts'
import type { Attempts } from './attempts.ts'
import type { ExchangeRequest } from './request.ts'
import type { Response } from './response.ts'

/** Stands for a status in the access log where the client went away before there was one. */
export const CLIENT_CLOSED = 499

export class Outcome {
  inBytes = 0
  outBytes = 0
  #startMs = 0
  #ttfbMs = -1
  #logged = false
  #error: ErrorCode | null = null
  readonly #plane: Plane

  constructor(plane: Plane) {
    this.#plane = plane
  }

  open(): void {
    this.inBytes = 0
    this.outBytes = 0
    this.#startMs = this.#plane.nowMs
    this.#ttfbMs = -1
    this.#logged = this.#plane.log.wanted()
    this.#error = null
  }

  /** The head of the answer has come. */
  answered(dispatch: Attempts, status: number): void {
    this.#ttfbMs = this.#plane.nowMs - this.#startMs
    if (dispatch.repeats > 0) dispatch.repeated(status)
  }

  /** Something went wrong: counted at the target when it is the target's doing, else by its code. */
  failed(code: ErrorCode, dispatch: Attempts): void {
    this.#error = code
    if (dispatch.target !== null && ERRORS[code].source === 'upstream') dispatch.count(FIELD.failures)
    else this.#plane.countRejected(code)
  }

  /**
   * Counts and logs the end, beside what a tunnel has counted. The status of `response` is what the client got; `CLIENT_CLOSED`
   * counts as no answer, so as no success of the target.
   */
  close(
    asked: ExchangeRequest,
    dispatch: Attempts,
    bodyBytes: number,
    response: Pick<Response, 'status' | 'bytes'>,
  ): void {
    const plane = this.#plane
    const { status } = response
    this.inBytes += bodyBytes
    this.outBytes += response.bytes
    const durationMs = plane.nowMs - this.#startMs
    const { inBytes: bytesIn, outBytes: bytesOut } = this
    if (dispatch.target !== null) {
      // The client never saw that another target had failed it.
      const counted = status === CLIENT_CLOSED ? 0 : status
      if (dispatch.connects + dispatch.repeats > 0 && counted > 0 && counted < 500) dispatch.count(FIELD.rescued)
      plane.countFinished(dispatch.target.slot, counted, durationMs, this.#ttfbMs, bytesIn, bytesOut)
    }
    if (this.#logged) {
      const outcome = { status, bytesIn, bytesOut, durationMs, ttfbMs: this.#ttfbMs, error: this.#error }
      plane.log.write(plane.wallMs(), asked, dispatch, outcome)
    }
    dispatch.end()
  }
}
