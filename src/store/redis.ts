/**
 * The store that several machines share: one document in one Redis.
 *
 * - A change is one script (redis-scripts.ts) that compares the position first, so of two writers one gets `stale_revision`. It is as
 *   durable as that Redis is: with `appendfsync always` it survives a power cut, and where there are replicas it waits a moment for one.
 * - Nothing waits for Redis but the change that needs it. Away, slow or read-only, it is `store_unavailable` with words for people.
 * - A document that fell (a fail-over loses what the old primary had not passed on; somebody flushed it) is found by its position, and
 *   control writes the newer one again (keeper.ts).
 */
import type { Clock } from '../clock.ts'
import { TurnoutError } from '../errors.ts'
import type { ServiceObserved } from '../table/status.ts'
import {
  type Changes,
  changesBetween,
  changesOf,
  type Part,
  serviceOf,
  servicesOf,
  type Undo,
  undo,
  undoOf,
} from './parts.ts'
import { type Flat, pairs, writtenBys } from './redis-answers.ts'
import type { RedisClient } from './redis-client.ts'
import { RedisCounts } from './redis-counts.ts'
import { RedisFleet } from './redis-fleet.ts'
import { Lead } from './redis-lead.ts'
import { COMMIT, type Keys, LOAD, PART_MARK, PUT_AS_LEADER, REVISION, WHERE } from './redis-scripts.ts'
import type { Remote } from './snapshot-store.ts'
import {
  AUDIT_KEPT,
  type AuditEntry,
  assertPosition,
  type Commit,
  DAMAGED,
  FORMAT,
  LEADERS_KEYS,
  LEADERS_KINDS,
  ofNewer,
  PASSED_ON_KEYS,
  type Position,
  REVISIONS_KEPT,
  type Replacement,
  type StoredDocument,
  type StoredRevision,
  type StoredService,
} from './store.ts'

/** The document in one Redis. */
export class RedisStore implements Remote {
  readonly fleet: RedisFleet
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #lead: Lead

  constructor(client: RedisClient, keys: Keys, clock: Clock) {
    this.#client = client
    this.#keys = keys
    this.#lead = new Lead(client, keys, clock)
    this.fleet = new RedisFleet(client, keys, this.#lead, new RedisCounts(client, keys), clock)
  }

  reached(): Promise<void> {
    return this.#client.reached()
  }

  async load(since: Position = { revision: -1, mark: '' }): Promise<StoredDocument> {
    const { doc, services: servicesKey, parts: partsKey, named, audit } = this.#keys
    const [revision, mark, releaseLast, format, known, texts, there] = (await this.#client.script(
      LOAD,
      [doc, servicesKey, partsKey, named, audit],
      [since.revision, since.mark],
    )) as [number, string, string, string, Flat, Flat, string]
    if (Number(format) > FORMAT) throw this.#client.fault(ofNewer('format', Number(format), FORMAT))
    if (mark === DAMAGED.mark) throw this.#client.gone()
    const parts = this.#parts(texts)
    const [changed, unchanged] = [[] as [string, StoredService][], [] as string[]]
    for (const [name, writtenBy] of writtenBys(known)) {
      if (parts.has(name) || writtenBy > since.revision)
        changed.push([name, { ...serviceOf(this.#partsOf(name, parts))!, revision: writtenBy }])
      else unchanged.push(name)
    }
    const services = Object.fromEntries(changed)
    const hasLost = there !== '' && there !== since.mark
    return { position: { revision, mark }, releaseLast: Number(releaseLast), services, unchanged, hasLost }
  }

  async position(): Promise<Position> {
    const { doc, services, parts, named } = this.#keys
    const [revision, mark] = (await this.#client.script(WHERE, [doc, services, parts, named], [])) as [number, string]
    return mark === DAMAGED.mark ? DAMAGED : { revision, mark }
  }

  async commit(present: Position, { services, ...commit }: Commit): Promise<Position> {
    return this.#write(present, present.revision + 1, changesOf(services), commit, false)
  }

  async replace(present: Position, { services, revision, mark, ...commit }: Replacement): Promise<Position> {
    const stored = present.mark === DAMAGED.mark ? { position: present, services: {} } : await this.load()
    assertPosition(stored.position, present)
    return this.#write(present, revision, changesBetween(stored.services, services), commit, true, mark)
  }

  async revisions(limit: number, before?: number): Promise<AuditEntry[]> {
    if (limit <= 0) return []
    const from = before === undefined || before === Infinity ? '+' : `(${before}-0`
    const lines = await this.#client.run((redis) => redis.xrevrange(this.#keys.audit, from, '-', 'COUNT', limit))
    return lines.map(([, [, line]]) => this.#json<AuditEntry>(line, 'a line of the audit'))
  }

  async revision(revision: number): Promise<StoredRevision | null> {
    if (revision < 1) return null
    const { doc, services, parts: partsKey, named, undo: undoKey, audit } = this.#keys
    const [present, line, known, texts, undos] = (await this.#client.script(
      REVISION,
      [doc, services, partsKey, named, undoKey, audit],
      [revision],
    )) as [number, string, Flat, Flat, Flat]
    if (line === '' || revision <= present - REVISIONS_KEPT) return null
    if (present === DAMAGED.revision) throw this.#client.gone()
    const parts = this.#parts(texts)
    const was = new Map([...writtenBys(known).keys()].map((name) => [name, this.#partsOf(name, parts)]))
    undo(
      was,
      undos.map((text) => this.#json<Undo>(text, 'a revision')),
    )
    return { ...this.#json<AuditEntry>(line, 'a line of the audit'), services: servicesOf(was) }
  }

  async observed(evenOfOthers = false): Promise<Record<string, unknown>> {
    if (!evenOfOthers && !(await this.#lead.take())) return {}
    const seen = await this.#client.run((redis) => redis.hgetall(this.#keys.observed))
    return Object.fromEntries(
      Object.entries(seen).map(([service, text]) => [service, this.#json(text, 'what was observed')]),
    )
  }

  async saveObserved(services: Readonly<Record<string, ServiceObserved | null>>): Promise<void> {
    if (!(await this.#lead.take())) return
    const { observed: key } = this.#keys
    const [kept, gone] = [[] as string[], [] as string[]]
    for (const [name, observed] of Object.entries(services)) {
      if (observed === null) gone.push(name)
      else kept.push(name, JSON.stringify(observed))
    }
    await this.#client.run(async (redis) => {
      if (kept.length > 0) await redis.hset(key, kept)
      if (gone.length > 0) await redis.hdel(key, ...gone)
    })
  }

  get(key: string): Promise<string | null> {
    return this.#client.run((redis) => redis.hget(this.#keys.named, key))
  }

  async put(key: string, value: string | null): Promise<void> {
    const { named, fence } = this.#keys
    if (LEADERS_KEYS.test(key)) {
      const values = [this.#fence(), key, value ?? '']
      if ((await this.#client.script(PUT_AS_LEADER, [named, fence], values)) !== 1) throw notLeading()
      return
    }
    await this.#client.run<unknown>((redis) =>
      value === null ? redis.hdel(named, key) : redis.hset(named, key, value),
    )
  }

  putIfAbsent(key: string, value: string): Promise<string> {
    return this.#client.run(async (redis) => {
      const { named } = this.#keys
      if ((await redis.hsetnx(named, key, value)) === 1) return value
      return (await redis.hget(named, key)) ?? value
    })
  }

  async isShared(): Promise<boolean> {
    return !(await this.#lead.take())
  }

  /** As far as it leads; the others tell of themselves (`fleet`). */
  hasOthers(): Promise<boolean> {
    return this.isShared()
  }

  yield(isYielded: boolean): Promise<void> {
    return this.#lead.yield(isYielded)
  }

  /** It never stands still. */
  mayBlock(): void {}

  async close(): Promise<void> {
    await this.#lead.resign()
    this.#client.close()
  }

  async #write(
    present: Position,
    revision: number,
    changes: Changes,
    { atMs, actor, change, releaseLast, named = {} }: Omit<Commit, 'services'>,
    isWhole: boolean,
    its?: string,
  ): Promise<Position> {
    const mark = its ?? crypto.randomUUID()
    const { doc, services, parts, undo: undoKey, audit, named: namedKey, changes: channel, fence } = this.#keys
    const line = JSON.stringify({ revision, atMs, actor, change } satisfies AuditEntry)
    const values = Object.entries(named).flat()
    const isPassedOn = Object.keys(named).some((key) => PASSED_ON_KEYS.test(key))
    const isLeaders = LEADERS_KINDS.has(change.kind) && !isPassedOn
    const texts = changes.flatMap(([service, changed]) =>
      changed.flatMap(({ part, after }) => [service, part, after === undefined ? '' : JSON.stringify(after)]),
    )
    const [written, stored, there] = (await this.#client.script(
      COMMIT,
      [doc, services, parts, namedKey, undoKey, audit, fence],
      [
        present.revision,
        present.mark,
        channel,
        revision,
        mark,
        FORMAT,
        releaseLast,
        line,
        JSON.stringify(undoOf(changes)),
        Math.max(1, revision - REVISIONS_KEPT + 1),
        Math.max(1, revision - AUDIT_KEPT + 1),
        isWhole ? '1' : '0',
        values.length / 2,
        texts.length / 3,
        isLeaders ? this.#fence() : 0,
        ...values,
        ...texts,
      ],
    )) as [number, number?, string?]
    // Where the answer to it was lost with the connection, the client has sent it once more.
    if (written === 1 || (its === undefined && there === mark)) {
      await this.#client.replicated(doc)
      return { revision, mark }
    }
    if (written === 2) throw notLeading()
    throw new TurnoutError('stale_revision', `The stored revision is ${stored}, not ${present.revision}.`)
  }

  /** The number of the lead; throws `conflict` where this process has none. */
  #fence(): number {
    const { fence } = this.#lead
    if (fence === 0) throw notLeading()
    return fence
  }

  #parts(texts: Flat): Map<string, Map<Part, unknown>> {
    const services = new Map<string, Map<Part, unknown>>()
    for (const [field, text] of pairs(texts)) {
      const mark = field.lastIndexOf(PART_MARK)
      const [name, part] = [field.slice(0, mark), field.slice(mark + 1) as Part]
      const parts = services.get(name) ?? new Map<Part, unknown>()
      services.set(name, parts.set(part, this.#json(text, `part ${part} of service ${name}`)))
    }
    return services
  }

  /** Those of a service that there is; throws `store_unavailable` when its spec is not there. */
  #partsOf(name: string, all: ReadonlyMap<string, Map<Part, unknown>>): Map<Part, unknown> {
    const parts = all.get(name)
    if (parts?.has('spec') !== true) throw this.#client.damaged(`service ${name}`)
    return parts
  }

  #json<T>(text: string, what: string): T {
    try {
      return JSON.parse(text) as T
    } catch {
      throw this.#client.damaged(what)
    }
  }
}

const notLeading = () =>
  new TurnoutError(
    'conflict',
    'Another instance leads by now, and drives the rollouts; what this one has of them is out of date.',
  )
