/**
 * Who leads: one of the processes that use a Redis store, by a lease that it renews. Only that one drives rollouts, and stores what it observes.
 *
 * The lease ends by itself `LEASE_MS` after it was renewed last. Whoever holds it counts from before it asked, so it stops to believe in
 * its lead before anybody else can have it, whatever the network does and however long the process stands still. What it has sent before that
 * and arrives later is refused by the number of its lead, which only grows (`fence`).
 *
 * A Redis that is flushed, or was away, may have lost who leads. Whoever has seen another one lead leaves that one the time of a lease to come
 * back: it alone knows what its rollouts have come to since, and writes them there again.
 */
import type { Clock } from '../clock.ts'
import type { RedisClient } from './redis-client.ts'
import { type Keys, LEAD, RESIGN } from './redis-scripts.ts'

/** Life of the lead, and how often it is renewed. */
const LEASE_MS = 5_000
const RENEW_MS = 1_000

export class Lead {
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #clock: Clock
  /** Who we are, by chance. */
  readonly #id = crypto.randomUUID()
  readonly #end: () => void
  /** Monotonic time until which it is ours. */
  #untilMs = -Infinity
  #asked: Promise<boolean> | null = null
  #isYielded = false
  /** The number of our lead, also when it may be over: nobody else leads with it. 0 when we do not lead. */
  #fence = 0
  /** The number of the last lead that another one was seen to have; 0 for none since ours. */
  #other = 0
  /** Monotonic time at which the store was found to have lost that one; null where it has not. */
  #missedAtMs: number | null = null
  /** The store could not be asked since it was last known who leads. */
  #wasAway = false
  #lost = () => {}

  constructor(client: RedisClient, keys: Keys, clock: Clock) {
    this.#client = client
    this.#keys = keys
    this.#clock = clock
    this.#end = clock.every(RENEW_MS, () => {
      if (this.#fence > 0) this.#ask().catch(() => {})
    })
  }

  /** What may not be exceeded in the store for what only a leader writes; 0 for one that does not lead. */
  get fence(): number {
    return this.#fence
  }

  /** Calls `lost` when our lead has ended without us: another one has it, or may have had it before it is ours again. */
  onLost(lost: () => void): void {
    this.#lost = lost
  }

  /** It is ours now, without asking. */
  get isHeld(): boolean {
    return this.#clock.monotonicMs() < this.#untilMs
  }

  /** Whether it is ours; takes it when nobody has it. */
  take(): Promise<boolean> {
    if (this.#isYielded) return Promise.resolve(false)
    return this.isHeld ? Promise.resolve(true) : this.#ask()
  }

  #ask(): Promise<boolean> {
    this.#asked ??= this.#askOnce().finally(() => {
      this.#asked = null
    })
    return this.#asked
  }

  async #askOnce(): Promise<boolean> {
    const fromMs = this.#clock.monotonicMs()
    const { leader, fence } = this.#keys
    const before = this.#fence
    const isOver = this.#missedAtMs !== null && fromMs - this.#missedAtMs > LEASE_MS
    // What was away may be an older copy now, in which that other one has led already.
    const other = this.#wasAway && this.#other > 0 ? Number.MAX_SAFE_INTEGER : this.#other
    const values = [this.#id, LEASE_MS, before, isOver ? 0 : other]
    const found = await this.#client.script(LEAD, [leader, fence], values).then(Number, (error: unknown) => {
      this.#wasAway = true
      throw error
    })
    if (found !== 0) this.#wasAway = false
    this.#missedAtMs = found === 0 ? (this.#missedAtMs ?? fromMs) : null
    if (found !== 0) this.#other = Math.max(0, -found)
    const number = Math.max(0, found)
    this.#fence = number
    this.#untilMs = number > 0 ? fromMs + LEASE_MS : -Infinity
    // With another number than before somebody else may have led in between.
    if (before > 0 && number !== before) this.#lost()
    return this.isHeld
  }

  /** Gives it back, and takes it no more until it is told otherwise. */
  async yield(isYielded: boolean): Promise<void> {
    this.#isYielded = isYielded
    if (!isYielded) return
    await this.#asked?.catch(() => {})
    await this.#giveBack()
  }

  /** Gives it back, so that another one need not wait for its end. */
  resign(): Promise<void> {
    this.#end()
    return this.#giveBack()
  }

  async #giveBack(): Promise<void> {
    this.#fence = 0
    if (!this.isHeld) return
    this.#untilMs = -Infinity
    await this.#client.script(RESIGN, [this.#keys.leader], [this.#id]).catch(() => {})
  }
}
