/**
 * Whether a WebSocket of a version that a rollout tries, or of what that is compared with, lasts: it has failed when its target closes or breaks it soon
 * after it was opened, and is good once it is older, or when somebody else ends it.
 *
 * Who ends it is told by who says Close first, since the target is the one to close the connection either way (RFC 6455 7.1.1). So until then the
 * frames of both sides are walked; after that, and where no rollout judges it, nobody looks.
 */
import { FIELD } from '../../metrics/layout.ts'
import type { Decision } from '../../table/types.ts'
import type { Counters } from '../counters.ts'
import { Frames } from '../websocket/frames.ts'
import type { Judged } from './judged.ts'

export class TunnelTrial {
  /** When it has lasted, by the clock of the exchange. */
  readonly untilMs: number
  readonly #judged: Judged
  readonly #decision: Decision
  readonly #counters: Counters
  readonly #client = new Frames(true)

  constructor(judged: Judged, decision: Decision, counters: Counters, untilMs: number) {
    this.#judged = judged
    this.#decision = decision
    this.#counters = counters
    this.untilMs = untilMs
  }

  /** The client has sent this. */
  walk(buffer: Buffer, at: number, end: number): void {
    this.#client.walk(buffer, at, end, false)
  }

  /** It has lasted, or whoever ends it is not the target. */
  isGood(): void {
    this.#judged.settle(this.#decision, 'good')
  }

  /** The target closes or breaks it, unless the client was first. */
  targetEnds(): void {
    if (this.#client.isClosed) return this.isGood()
    if (this.#judged.isJudged) this.#counters.count(this.#decision.target!.slot, FIELD.tunnelsEarly)
    this.#judged.settle(this.#decision, 'failed')
  }
}
