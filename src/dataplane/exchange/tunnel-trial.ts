/**
 * Whether a WebSocket of a version that a rollout tries, or of what that is compared with, lasts: it has failed when its target closes or breaks it soon
 * after it was opened, and is good once it is older, or when somebody else ends it.
 *
 * Who ends it is told by who says Close first, since the target is the one to close the connection either way (RFC 6455 7.1.1). So until then the
 * frames of both sides are walked; after that, and where no rollout judges it, nobody looks.
 */
import { FIELD } from '../../metrics/layout.ts'
import type { Decision } from '../../table/types.ts'
import type { Plane } from '../plane.ts'
import { Frames } from '../websocket/frames.ts'
import type { Attempts } from './attempts.ts'
import type { Judged } from './judged.ts'

export class TunnelTrial {
  /** When it has lasted, by the clock of the exchange. */
  readonly untilMs: number
  readonly #judged: Judged
  readonly #decision: Decision
  readonly #plane: Plane
  readonly #client = new Frames(true)

  constructor(judged: Judged, decision: Decision, plane: Plane, lastsMs: number) {
    this.#judged = judged
    this.#decision = decision
    this.#plane = plane
    this.untilMs = plane.time.nowMs + lastsMs
  }

  /** That of a tunnel which is open now. Null where nobody judges it, and of what else is tunnelled: how long that should last nobody knows, so it is good. */
  static begin({ judged, decision, service }: Attempts, isWebSocket: boolean, plane: Plane): TunnelTrial | null {
    const lastsMs = judged.lastsMs(service)
    if (isWebSocket && lastsMs > 0) return new TunnelTrial(judged, decision!, plane, lastsMs)
    judged.settle(decision!, 'good')
    return null
  }

  /** The client has sent this. */
  walk(buffer: Buffer, at: number, end: number): void {
    this.#client.walk(buffer, at, end, false)
  }

  /** It has lasted, or whoever ends it is not the target. */
  isGood(): void {
    this.#judged.settle(this.#decision, 'good')
  }

  /** The target closes or breaks it, unless it has lasted or the client was first. */
  targetEnds(): void {
    const { counters, time } = this.#plane
    if (this.#client.isClosed || time.nowMs >= this.untilMs) return this.isGood()
    if (this.#judged.isJudged) counters.count(this.#decision.target!.slot, FIELD.tunnelsEarly)
    this.#judged.settle(this.#decision, 'failed')
  }
}
