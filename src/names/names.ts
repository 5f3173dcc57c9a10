/**
 * The addresses of all names of targets, kept up to date by the main thread, outside of any request.
 *
 * Each name has one entry, however many targets are called by it. It is looked up when it is first heard of, again when its TTL
 * is over, and soon after a failure. Who routes reads what is known at that moment and never waits.
 *
 * Names whose servers are silent take seconds to fail, so their lookups have a limit of their own (limiter.ts): however many there are, they
 * hold up each other but no name that is answered. A new one that nobody answers makes room for the next after half a second, up to
 * a thousand of them. All is bounded: lookups at a time, entries by number, and a lookup by itself. A name that nobody wants any
 * more is forgotten when it would be looked up next.
 *
 * An entry `SRV name` has the records of a name (srv.ts). The hosts of these are entries like any other, which it uses, so that each goes by
 * its own TTL and failures; whatever comes of one is looked at by all who use it.
 */
import type { Clock } from '../clock.ts'
import { Limiter } from '../limiter.ts'
import { type Address, hostOf, isLiteral, SRV } from './address.ts'
import { finderOf } from './find.ts'
import { lookUp } from './lookup.ts'
import { failureOf } from './resolvers.ts'
import { lookedUpFor, NO_RECORDS, onSrvLookup, placesOf, type SrvState } from './srv.ts'
import { lookUpSrv } from './srv-lookup.ts'
import { type FaultReason, type Lookup, type NameState, onLookup, sameAddresses, TTL_MS_MIN, UNASKED } from './state.ts'
import { createSystem, SYSTEM_FILES, type SystemFiles } from './system.ts'
import { messageOf } from './words.ts'

/** Lookups at the same time, each with a socket. Most are answered in half a second; that a new name is silent is known after 3.5 s. */
const LOOKUPS = { quickMax: 256, quickAllMax: 1_024, patienceMs: 500, silentMax: 64 }
/** Names that are kept at the same time, besides those that are wanted. */
const ENTRIES_MAX = 16_384
/** A name whose addresses change all the time is told once in this time. */
const TELL_AGAIN_MS = 60_000

/** How names are looked up; the defaults are those of the system. */
export interface NamesOptions {
  /** `address:port` of the name servers. */
  readonly servers?: () => readonly string[]
  readonly files?: SystemFiles
}

/** What is told of a name, for people. */
export interface NameNews {
  readonly host: string
  readonly state: NameState
  readonly message: string
  /** True when the name has just begun to fail. */
  readonly failing: boolean
}

export interface NamesDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Called when a name has other addresses. */
  readonly moved: (host: string) => void
  readonly tell: (news: NameNews) => void
}

/** Lookups since the start, and the names of now. */
export interface NameCounts {
  readonly lookups: number
  readonly failures: Readonly<Record<FaultReason, number>>
  readonly names: number
  readonly failing: number
  readonly unusedAddresses: number
}

interface Entry {
  readonly host: string
  state: NameState
  isWanted: boolean
  isAsked: boolean
  /** Its turn is waited for, or it is being looked up. */
  isDue: boolean
  lookedMs: number
  told: NameState
  toldMs: number
  cancel: () => void
  readonly waiting: (() => void)[]
  /** Null for a name of addresses. */
  srv: SrvState | null
  /** The entries that it uses as hosts of its records. */
  hosts: ReadonlySet<Entry>
  /** The entries that use this one as the host of a record. */
  readonly users: Set<Entry>
}

const NONE: ReadonlySet<Entry> = new Set()

export class Names {
  readonly #deps: NamesDeps
  readonly #servers: () => readonly string[] | null
  readonly #system: ReturnType<typeof createSystem>
  readonly #entries = new Map<string, Entry>()
  readonly #limiter: Limiter
  readonly #failures: Record<FaultReason, number> = {
    not_found: 0,
    no_address: 0,
    timeout: 0,
    refused: 0,
    server_failure: 0,
    other: 0,
  }
  #lookups = 0
  #closed = false
  /** For whoever asks others than targets. */
  readonly find = finderOf(() => ({ ...this.#system(), clock: this.#deps.clock, servers: this.#servers() }))

  constructor(deps: NamesDeps, { servers, files = SYSTEM_FILES }: NamesOptions = {}) {
    this.#deps = deps
    this.#limiter = new Limiter(deps.clock, LOOKUPS)
    this.#servers = servers ?? (() => null)
    this.#system = createSystem(deps.clock, files)
  }

  /** What is known of the host of a target at this moment. */
  of(host: string): NameState {
    return isLiteral(host) ? fixed(host) : (this.#entries.get(host)?.state ?? UNASKED)
  }

  /** The addresses of a target, by its URL. */
  readonly addressesOf = (url: string): readonly Address[] => this.of(hostOf(url)).addresses

  /** Resolves when each of these hosts was looked up at least once, or when the time is over. */
  async learn(hosts: Iterable<string>, withinMs: number): Promise<void> {
    const asked: Promise<void>[] = []
    for (const host of hosts) {
      if (isLiteral(host) || (this.#entries.size >= ENTRIES_MAX && !this.#entries.has(host))) continue
      const entry = this.#entryOf(host)
      if (!entry.isAsked) asked.push(new Promise((resolve) => entry.waiting.push(resolve)))
    }
    if (asked.length === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#deps.clock.after(withinMs, resolve)
    void Promise.all(asked).then(() => resolve())
    await promise
    cancel()
  }

  /** Says which hosts the targets have now. */
  want(hosts: ReadonlySet<string>): void {
    for (const entry of this.#entries.values()) entry.isWanted = hosts.has(entry.host)
    for (const host of hosts) if (!isLiteral(host)) this.#entryOf(host).isWanted = true
  }

  /** Looks up again what a target is called by, however long that may be kept, but where it was looked up just now. */
  readonly again = (url: string): void => {
    const entry = this.#entries.get(hostOf(url))
    const nowMs = this.#deps.clock.monotonicMs()
    for (const one of entry === undefined ? [] : [entry, ...entry.hosts])
      if (!one.isDue && nowMs - one.lookedMs >= TTL_MS_MIN) this.#queue(one)
  }

  counts(): NameCounts {
    const entries = [...this.#entries.values()]
    return {
      lookups: this.#lookups,
      failures: this.#failures,
      names: entries.length,
      failing: entries.filter(({ state }) => state.failures > 0).length,
      // Those of the hosts of SRV records are counted with these.
      unusedAddresses: entries.reduce((sum, { isWanted, state }) => sum + (isWanted ? state.unused : 0), 0),
    }
  }

  /** Ends all lookups to come; what is under way is not heard. */
  close(): void {
    this.#closed = true
    for (const { cancel, waiting } of this.#entries.values()) {
      cancel()
      for (const resolve of waiting.splice(0)) resolve()
    }
    this.#entries.clear()
  }

  #entryOf(host: string): Entry {
    const known = this.#entries.get(host)
    if (known !== undefined) return known
    const entry: Entry = {
      host,
      state: UNASKED,
      isWanted: false,
      isAsked: false,
      isDue: false,
      lookedMs: -Infinity,
      told: UNASKED,
      toldMs: -Infinity,
      cancel: () => {},
      waiting: [],
      srv: host.startsWith(SRV) ? NO_RECORDS : null,
      hosts: NONE,
      users: new Set(),
    }
    this.#entries.set(host, entry)
    this.#queue(entry)
    return entry
  }

  #queue(entry: Entry): void {
    entry.cancel()
    entry.isDue = true
    this.#limiter.add(entry.state.fault?.reason === 'timeout', () => this.#look(entry))
  }

  async #look(entry: Entry): Promise<void> {
    if (this.#closed) return
    const { clock } = this.#deps
    const { prefersV6, ...system } = this.#system()
    const about = () => ({ ...system, clock, servers: this.#servers(), from: entry.state.from })
    const ask = async () => (entry.srv === null ? lookUp(entry.host, about()) : lookUpSrv(entry.host, about()))
    // What cannot even be asked, for want of descriptors mostly, has failed like any other, and is tried again.
    const lookup = await ask().catch(failureOf)
    if (this.#closed) return
    this.#lookups++
    if ('fault' in lookup) this.#failures[lookup.fault.reason]++
    if ('v4' in lookup || entry.srv === null) {
      this.#take(entry, onLookup(entry.state, lookup as Lookup, prefersV6))
      this.#asked(entry)
    } else {
      entry.srv = onSrvLookup(entry.srv, lookup)
      this.#use(entry, entry.srv)
      this.#place(entry, entry.srv)
    }
    for (const user of entry.users) if (user.srv !== null) this.#place(user, user.srv)
    this.#schedule(entry)
  }

  /** Has the hosts of the records looked up from now on, and no others for it. */
  #use(entry: Entry, { records }: SrvState): void {
    const names = records.map(lookedUpFor).filter((host) => !isLiteral(host))
    const hosts = new Set(names.map((host) => this.#entryOf(host)))
    for (const { users } of entry.hosts.difference(hosts)) users.delete(entry)
    for (const { users } of hosts) users.add(entry)
    entry.hosts = hosts
  }

  /** Looks at the places of its records again. */
  #place(entry: Entry, srv: SrvState): void {
    const isAsked = (host: string) => isLiteral(host) || this.#entries.get(host)?.isAsked === true
    const isWhole = srv.records.every((record) => isAsked(lookedUpFor(record)))
    this.#take(
      entry,
      placesOf(entry.state, srv, (host) => this.of(host), isAsked),
      isWhole,
    )
    if (srv !== NO_RECORDS && isWhole) this.#asked(entry)
  }

  /** What is half known yet is used, and told once it is whole. */
  #take(entry: Entry, state: NameState, isWhole = true): void {
    const before = entry.state
    entry.state = state
    if (isWhole) this.#tell(entry)
    if (!sameAddresses(before, state)) this.#deps.moved(entry.host)
  }

  #asked(entry: Entry): void {
    entry.isAsked = true
    for (const resolve of entry.waiting.splice(0)) resolve()
  }

  /** Names that are due at the same moment would be so for ever; a tenth of the time spreads them. */
  #schedule(entry: Entry): void {
    const { clock, random } = this.#deps
    entry.isDue = false
    entry.lookedMs = clock.monotonicMs()
    entry.cancel = clock.after(entry.state.nextMs * (1 - random() / 10), () => {
      if (entry.isWanted || entry.users.size > 0) this.#queue(entry)
      else this.#forget(entry)
    })
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry.host)
    if (entry.srv !== null) this.#use(entry, NO_RECORDS)
  }

  #tell(entry: Entry): void {
    const { host, state, told } = entry
    const nowMs = this.#deps.clock.monotonicMs()
    const isFirst = told === UNASKED && state.fault === null
    const failing = state.fault !== null && (told.fault === null || told === UNASKED)
    const isBack = state.fault === null && told.fault !== null && !isFirst
    const isOther = !sameAddresses(told, state) || told.unused > 0 !== state.unused > 0
    const moved = state.fault === null && isOther && nowMs - entry.toldMs >= TELL_AGAIN_MS
    if (isFirst || failing || isBack || moved) {
      // That it is found is no news; that not all of it is used is.
      const isQuiet = isFirst && state.unused === 0
      entry.told = state
      entry.toldMs = isQuiet ? entry.toldMs : nowMs
      if (!isQuiet) this.#deps.tell({ host, state, failing, message: messageOf(host, state) })
    }
  }
}

/** An address stands for itself, and never fails. */
function fixed(address: string): NameState {
  return { ...UNASKED, addresses: [{ address, alternate: null }], fault: null }
}
