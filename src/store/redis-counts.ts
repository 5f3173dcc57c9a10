/**
 * What instances have counted for the verdict of a rollout, and say to each other while one runs: one text of each, in one hash, which Redis
 * forgets soon after the last of them has said anything.
 *
 * A text says all that its instance has counted so far, so one that is lost, late or read twice does no harm. It lives longer than a lead
 * does, so that whoever takes a rollout up finds what the last leader had counted and not kept.
 */
import type { RedisClient } from './redis-client.ts'
import type { Keys } from './redis-scripts.ts'
import type { FleetCounts, Report } from './store.ts'

/** How long a text is there after it was said last; longer than the lease of a lead and the two looks that find it over. */
const LIFE_MS = 15_000
/** Seats of a rollout are known so long after the last was taken. */
const SEATS_MS = 24 * 3_600_000
/** Whoever has a seat says so every second. None is given out until all have, where Redis has lost which there were. */
const SEATS_AGAIN_MS = 3_000

/**
 * KEYS: counts. ARGV: id, what it says, ms, channel, '1' to have the others told. Notes it by the clock of Redis and forgets who has said nothing
 * for so long. Returns how many there are, then of each other its id, how long ago it has spoken in ms, and what it said, where that is wanted.
 */
const REPORT = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[1]) end
  local all, told, count = redis.call('HGETALL', KEYS[1]), {}, 0
  for i = 1, #all, 2 do
    local at, text = string.match(all[i + 1], '^(%d+) (.*)$')
    local age = at and math.abs(now - tonumber(at))
    if not age or age > tonumber(ARGV[3]) then
      redis.call('HDEL', KEYS[1], all[i])
    else
      count = count + 1
      if ARGV[5] == '1' and all[i] ~= ARGV[1] then
        told[#told + 1] = all[i]; told[#told + 1] = string.format('%.0f', age); told[#told + 1] = text
      end
    end
  end
  return {count, told}
`

/**
 * KEYS: seats. ARGV: rollout, the seat that who asks has for it or 0, and ms: how long none is given out once there are seats, and how long they are known.
 * Returns the seat, or 0 where none can be given yet.
 */
const SEAT = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('HSETNX', KEYS[1], 'since', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  local at = redis.call('HMGET', KEYS[1], 'since', ARGV[1])
  local given = tonumber(ARGV[2])
  if given > 0 then
    if tonumber(at[2] or '0') < given then redis.call('HSET', KEYS[1], ARGV[1], given) end
    return given
  end
  if math.abs(now - tonumber(at[1])) < tonumber(ARGV[3]) then return 0 end
  return redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
`

export class RedisCounts implements FleetCounts {
  readonly #client: RedisClient
  readonly #keys: Keys
  /** Whoever listens now; there is one connection for whoever does. */
  #heard: (() => void) | null = null

  constructor(client: RedisClient, keys: Keys) {
    this.#client = client
    this.#keys = keys
  }

  async report(id: string, text: string, isUrgent: boolean, wantsOthers: boolean): Promise<Report> {
    const { counts, counted } = this.#keys
    const values = [id, text, LIFE_MS, isUrgent ? counted : '', wantsOthers ? '1' : '0']
    const [count, told] = (await this.#client.script(REPORT, [counts], values)) as [number, string[]]
    const others: Report['others'][number][] = []
    for (let at = 0; at < told.length; at += 3)
      others.push({ id: told[at], agoMs: Number(told[at + 1]), text: told[at + 2] })
    return { count, others }
  }

  async seat(rollout: string, given: number | null): Promise<number | null> {
    const values = [rollout, given ?? 0, SEATS_AGAIN_MS, SEATS_MS]
    const seat = Number(await this.#client.script(SEAT, [this.#keys.seats], values))
    return seat === 0 ? null : seat
  }

  listen(heard: () => void): void {
    if (this.#heard === null) this.#client.subscribe(this.#keys.counted, () => this.#heard?.())
    this.#heard = heard
  }
}
