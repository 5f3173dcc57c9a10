/** The instances that use a Redis store: each says where it stands, and hears on a channel when another one has written. */
import type { RedisClient } from './redis-client.ts'
import type { RedisCounts } from './redis-counts.ts'
import type { Lead } from './redis-lead.ts'
import { ANNOUNCE, type Keys } from './redis-scripts.ts'
import type { Fleet, Instance } from './store.ts'

export class RedisFleet implements Omit<Fleet, 'rewrite'> {
  readonly lifeMs = 3_000
  readonly counts: RedisCounts
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #lead: Lead

  constructor(client: RedisClient, keys: Keys, lead: Lead, counts: RedisCounts) {
    this.counts = counts
    this.#client = client
    this.#keys = keys
    this.#lead = lead
  }

  unreplicated(): number {
    return this.#client.unreplicated
  }

  async announce(self: Instance): Promise<readonly Instance[]> {
    const told = { ...self, ...(this.#lead.isHeld && { leads: true }) }
    const values = [self.id, JSON.stringify(told), this.lifeMs]
    const all = (await this.#client.script(ANNOUNCE, [this.#keys.instances], values)) as string[]
    return all.map((text) => JSON.parse(text) as Instance)
  }

  async leave(id: string): Promise<void> {
    await this.#client.run((redis) => redis.hdel(this.#keys.instances, id))
  }

  listen(heard: () => void, deaf: (why: string) => void = () => {}): void {
    const late = (why: string) => deaf(`${why} What others change is followed up to half a second later.`)
    this.#client.subscribe(this.#keys.changes, heard, late)
  }

  onLeadLost(lost: () => void): void {
    this.#lead.onLost(lost)
  }
}
