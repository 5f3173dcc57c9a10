/**
 * The instances that use a Redis store: each says where it stands, and hears on a channel when another one has written.
 *
 * What they say is dated by the clock of Redis, so clocks that differ make nobody old. But ends of drains and holds are stored as wall time, and
 * each instance goes by its own clock: one that is far from that of Redis is told, and says so of itself.
 *
 * Whoever was heard of is there until it has left or its time is over, also where Redis has lost what it said: a change waits for it. That time does not
 * run while Redis cannot be reached from here: mostly nobody could say anything then, and whoever is connected again first would wait for nobody.
 */
import type { Clock } from '../clock.ts'
import { inWords } from '../config/duration.ts'
import type { LostNamed } from './lost-named.ts'
import type { RedisClient } from './redis-client.ts'
import type { RedisCounts } from './redis-counts.ts'
import type { Lead } from './redis-lead.ts'
import { ANNOUNCE, type Keys, LEAVE, WITHOUT_NAMED } from './redis-scripts.ts'
import type { Fleet, Instance } from './store.ts'

/** Clocks that are further apart are told: ends of drains and holds are stored as wall time. */
const APART_MS = 2_000

type Named = LostNamed['fleet']

export class RedisFleet implements Omit<Fleet, 'rewrite'>, Named {
  readonly lifeMs = 3_000
  readonly counts: RedisCounts
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #lead: Lead
  readonly #clock: Pick<Clock, 'nowMs'>
  #warn: (message: string) => void = () => {}
  /** How far the clock of this machine is ahead of that of Redis; 0 while they agree. */
  #aheadMs = 0
  /** Who was heard of, and when by the clock of Redis. */
  readonly #heard = new Map<string, { readonly atMs: number; readonly instance: Instance }>()
  /** When it was heard of anybody last, by the clock of Redis. */
  #heardAtMs = 0

  constructor(client: RedisClient, keys: Keys, lead: Lead, counts: RedisCounts, clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock
    this.counts = counts
    this.#client = client
    this.#keys = keys
    this.#lead = lead
  }

  unreplicated(): number {
    return this.#client.unreplicated
  }

  async announce(self: Instance): Promise<readonly Instance[]> {
    const ahead = this.#aheadMs !== 0 && { clockAheadMs: this.#aheadMs }
    const told = { ...self, ...(this.#lead.isHeld && { leads: true }), ...ahead }
    const values = [self.id, JSON.stringify(told), this.lifeMs]
    const fromMs = this.#clock.nowMs()
    const { instances, seats } = this.#keys
    const answer = await this.#client.script(ANNOUNCE, [instances, seats], values)
    const [now, all, left] = answer as [string, string[], string[]]
    const nowMs = Number(now)
    this.#compare(nowMs, fromMs, this.#clock.nowMs())
    const wasAway = Math.abs(nowMs - this.#heardAtMs) > this.lifeMs
    this.#heardAtMs = nowMs
    if (wasAway) for (const [id, heard] of this.#heard) this.#heard.set(id, { ...heard, atMs: nowMs })
    for (const text of all) {
      const mark = text.indexOf(' ')
      const instance = JSON.parse(text.slice(mark + 1)) as Instance
      this.#heard.set(instance.id, { atMs: Number(text.slice(0, mark)), instance })
    }
    for (const id of left) this.#heard.delete(id)
    for (const [id, { atMs }] of this.#heard) if (Math.abs(nowMs - atMs) > this.lifeMs) this.#heard.delete(id)
    return [...this.#heard.values()].map(({ instance }) => instance)
  }

  async leave(id: string): Promise<void> {
    await this.#client.script(LEAVE, [this.#keys.instances], [id])
  }

  withoutNamed(): Promise<'taken' | 'damaged' | 'others'> {
    return this.#withoutNamed(true)
  }

  /** Whether a start finds more gone than named values; changes nothing. */
  async isDamaged(): Promise<boolean> {
    return (await this.#withoutNamed(false)) === 'damaged'
  }

  async #withoutNamed(writes: boolean): Promise<'taken' | 'damaged' | 'others'> {
    const { doc, services, parts, named, instances } = this.#keys
    const keys = [doc, services, parts, named, instances]
    const found = Number(await this.#client.script(WITHOUT_NAMED, keys, [this.lifeMs, writes ? 1 : 0]))
    return found === 1 ? 'taken' : found === 2 ? 'others' : 'damaged'
  }

  /** Redis showed this while it was between those two times here. */
  #compare(redisMs: number, fromMs: number, untilMs: number): void {
    const aheadMs = redisMs < fromMs ? fromMs - redisMs : Math.min(0, untilMs - redisMs)
    const isApart = Math.abs(aheadMs) > APART_MS
    const wasApart = this.#aheadMs !== 0
    this.#aheadMs = isApart ? Math.round(aheadMs) : 0
    if (isApart === wasApart) return
    const how = `${inWords(Math.round(Math.abs(aheadMs) / 1_000) * 1_000)} ${aheadMs > 0 ? 'ahead of' : 'behind'}`
    this.#warn(
      isApart
        ? `The clock of this machine is ${how} that of Redis: drains and holds that one instance begins end early or late at another. Set the clocks right.`
        : 'The clock of this machine agrees with that of Redis again.',
    )
  }

  listen(heard: () => void, warn: (message: string) => void = () => {}): void {
    this.#warn = warn
    const late = (why: string) => warn(`${why} What others change is followed up to half a second later.`)
    this.#client.subscribe(this.#keys.changes, heard, late)
  }

  onLeadLost(lost: (dropped: () => void) => void): void {
    this.#lead.onLost(lost)
  }

  stillLeads(): boolean | Promise<boolean> {
    return this.#lead.stillLeads()
  }
}
