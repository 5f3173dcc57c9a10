/** What those who ask a Prometheus know of it. Pure. */

/** A value of a moment. */
export interface Sample {
  /** All that tells it from others, as JSON; nothing of a scalar. */
  readonly labels: string
  /** Whom Prometheus has it from; the same for all that is no single target's. */
  readonly target: string
  /** Not NaN. */
  readonly value: number
}

/** A query that was not answered; the message says why. */
export class Unanswered extends Error {}

/** Asks one Prometheus, at `atS` by its own clock; null for now. */
export type Ask = (query: string, atS: number | null) => Promise<readonly Sample[]>
