/**
 * Who leads: one of the processes that use a Redis store, by a lease that it renews. Only that one drives rollouts, and stores what it observes.
 *
 * The lease ends by itself `LEASE_MS` after it was renewed last. Whoever holds it counts from before it asked, so it stops to believe in
 * its lead before anybody else can have it, whatever the network does and however long the process stands still. What it has sent before that
 * and arrives later is refused by the number of its lead, which only grows (`fence`). What it drove bears that number until it is dropped: what is
 * still under way when the end of the lead is known is refused, too. And before it acts on what nobody refuses, such as a call to a hook, it asks
 * whether it still leads (`stillLeads`).
 *
 * A Redis that is flushed, or was away, may have lost who leads. Whoever has seen another one lead leaves that one the time of a lease to come
 * back: it alone knows what its rollouts have come to since, and writes them there again.
 */
import { type Clock, sleep } from '../clock.ts'
import type { RedisClient } from './redis-client.ts'
import { type Keys, LEAD, RESIGN } from './redis-scripts.ts'

/** Life of the lead, and how often it is renewed. */
const LEASE_MS = 5_000
const RENEW_MS = 1_000
/** Between two renewals nothing takes so long but that the process stood still. */
const STOOD_MS = 3_000
/** So long whoever stood still tries to learn whether it still leads; one that has run all the while knows that the store is away. */
const LEARN_MS = 2_000
const AGAIN_MS = 100

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
  #number = 0
  /** The number of a lead that is over, as long as there is what was driven by it; null for none. */
  #over: number | null = null
  #losses = 0
  /** The number of the last lead that another one was seen to have; 0 for none since ours. */
  #other = 0
  /** Monotonic time at which the store was found to have lost that one; null where it has not. */
  #missedAtMs: number | null = null
  /** The store could not be asked since it was last known who leads. */
  #wasAway = false
  /** Since when the store cannot be asked, in monotonic time; Infinity while it can. */
  #awaySinceMs = Infinity
  /** When the process was seen to run last, and when it has done so again after it stood still. */
  #seenMs = -Infinity
  #wokeMs = -Infinity
  #lost: (dropped: () => void) => void = (dropped) => dropped()

  constructor(client: RedisClient, keys: Keys, clock: Clock) {
    this.#client = client
    this.#keys = keys
    this.#clock = clock
    this.#end = clock.every(RENEW_MS, () => {
      this.#note()
      if (this.#number > 0) this.#ask().catch(() => {})
    })
  }

  /** What may not be exceeded in the store for what only a leader writes; 0 for one that does not lead. */
  get fence(): number {
    return this.#over ?? this.#number
  }

  /**
   * Calls `lost` when our lead has ended without us: another one has it, or may have had it before it is ours again. What is driven by it is refused
   * until `dropped` is called.
   */
  onLost(lost: (dropped: () => void) => void): void {
    this.#lost = lost
  }

  /**
   * Whether what is driven here is still ours to drive: false once another one leads, or has since. Asks where the lease is over; true too while the
   * store is known to be away, since whoever drives takes traffic back without it.
   */
  stillLeads(): boolean | Promise<boolean> {
    return this.#known ?? this.#learn()
  }

  async #learn(): Promise<boolean> {
    for (;;) {
      await this.#ask().catch(() => sleep(this.#clock, AGAIN_MS))
      const known = this.#known
      if (known !== null) return known
    }
  }

  /** Whether we still lead, as far as that is known without asking; else null. */
  get #known(): boolean | null {
    this.#note()
    if (this.#over !== null || this.#number === 0) return false
    const awayMs = this.#clock.monotonicMs() - Math.max(this.#awaySinceMs, this.#wokeMs)
    return this.isHeld || awayMs >= LEARN_MS || null
  }

  /** The process runs. */
  #note(): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#seenMs > STOOD_MS) this.#wokeMs = nowMs
    this.#seenMs = nowMs
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
    const before = this.#number
    const isOver = this.#missedAtMs !== null && fromMs - this.#missedAtMs > LEASE_MS
    // What was away may be an older copy now, in which that other one has led already.
    const other = this.#wasAway && this.#other > 0 ? Number.MAX_SAFE_INTEGER : this.#other
    const values = [this.#id, LEASE_MS, before, isOver ? 0 : other, this.#other]
    const found = await this.#client.script(LEAD, [leader, fence], values).then(Number, (error: unknown) => {
      this.#wasAway = true
      this.#awaySinceMs = Math.min(this.#awaySinceMs, fromMs)
      throw error
    })
    this.#awaySinceMs = Infinity
    if (found !== 0) this.#wasAway = false
    this.#missedAtMs = found === 0 ? (this.#missedAtMs ?? fromMs) : null
    if (found !== 0) this.#other = Math.max(0, -found)
    const number = Math.max(0, found)
    this.#number = number
    this.#untilMs = number > 0 ? fromMs + LEASE_MS : -Infinity
    // With another number than before somebody else may have led in between.
    if (before > 0 && number !== before) this.#lose(before)
    return this.isHeld
  }

  #lose(number: number): void {
    this.#over ??= number
    const losses = ++this.#losses
    this.#lost(() => {
      if (losses === this.#losses) this.#over = null
    })
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
    this.#number = 0
    this.#over = null
    if (!this.isHeld) return
    this.#untilMs = -Infinity
    await this.#client.script(RESIGN, [this.#keys.leader], [this.#id]).catch(() => {})
  }
}
