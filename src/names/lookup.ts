/**
 * One lookup of a name, as the system would do it: its own hosts file, then the name servers, with the search list.
 *
 * By `Resolver` of node:dns, never by `dns.lookup`: that one blocks one of four threads that the whole process shares, so a
 * dead name server of one service would stop all others. Each lookup has a Resolver of its own, since one that lives on goes by
 * the name servers that resolv.conf had when it was made, and a port of its own is harder to guess for who forges answers.
 *
 * Everything is bounded: a query by its time-outs and tries, a lookup by its deadline, the search list and the servers by
 * number. A lookup never rejects.
 */
import type { RecordWithTtl, Resolver } from 'node:dns'
import type { Clock } from '../clock.ts'
import { isLocalhost, isUsable, LOOPBACK, plainAddress } from './address.ts'
import type { Hosts } from './hosts-file.ts'
import { completeNames, type ResolvConf } from './resolv-conf.ts'
import { type Failed, failureOf, isAbsence, Resolvers, UNANSWERED } from './resolvers.ts'
import type { FamilyAnswer, FaultReason, Lookup, NameFault } from './state.ts'

/** Longest time that a lookup takes. */
export const LOOKUP_MS_MAX = 4_000
/** How long the one family waits for the other: some name servers never answer for IPv6. */
const OTHER_FAMILY_MS = 300
/** A hosts file has no TTL, and is quickly read. */
const HOSTS_TTL_S = 5

/** What a lookup goes by, besides the name. */
export interface LookupContext {
  readonly clock: Clock
  readonly hosts: Hosts
  readonly resolvConf: ResolvConf
  /** `address:port` of the name servers; null for those of the system. */
  readonly servers: readonly string[] | null
  /** The complete name that what is known comes from: while it cannot be asked, none behind it is taken in its place. */
  readonly from: string | null
}

type Outcome = FamilyAnswer | Failed

/** Looks a name up once. */
export async function lookUp(name: string, context: LookupContext): Promise<Lookup> {
  const fixed = isLocalhost(name) ? LOOPBACK : context.hosts.get(name.replace(/\.$/, ''))
  if (fixed !== undefined) {
    const family = (addresses: readonly string[]): FamilyAnswer => ({ addresses, ttlS: HOSTS_TTL_S })
    return { from: 'hosts', v4: family(fixed.v4), v6: family(fixed.v6) }
  }
  const session = new Session(context)
  const end = context.clock.after(LOOKUP_MS_MAX, () => session.end())
  try {
    return await search(name, context, session)
  } finally {
    end()
    session.end()
  }
}

/** Asks for each complete name in turn until one has an address. A silent server is not asked for more. */
async function search(name: string, context: LookupContext, session: Session): Promise<Lookup> {
  let told: NameFault | null = null
  for (const complete of completeNames(name, context.resolvConf)) {
    const [v4, v6] = await session.ask(complete)
    if (hasAddresses(v4) || hasAddresses(v6)) return { from: complete, v4: answerOf(v4), v6: answerOf(v6) }
    const fault = faultOf(v4, v6)
    // What a name server could not say tells more than names that do not exist, which are most of a search list.
    if (told === null || !isAbsence(fault)) told = fault
    if (isAbsence(fault)) continue
    if (fault.reason === 'timeout' || complete === context.from) break
  }
  return { fault: told ?? { reason: 'not_found', message: 'the name is too long' } }
}

const hasAddresses = (outcome: Outcome): boolean => 'addresses' in outcome && outcome.addresses.length > 0
const saysThat = (outcome: Outcome, reason: FaultReason): boolean =>
  'fault' in outcome && outcome.fault.reason === reason

const NONE: FamilyAnswer = Object.freeze({ addresses: Object.freeze([]), ttlS: 0 })
const UNUSABLE: NameFault = { reason: 'no_address', message: 'the name has no usable address' }

/** What is known of a family; null when it could not be asked. */
function answerOf(outcome: Outcome): FamilyAnswer | null {
  if ('addresses' in outcome) return outcome
  return isAbsence(outcome.fault) ? NONE : null
}

/** The fault of a name of which neither family has an address. No such name is the last word on both. */
function faultOf(v4: Outcome, v6: Outcome): NameFault {
  const faults = [v4, v6].map((outcome) => ('fault' in outcome ? outcome.fault : UNUSABLE))
  return faults.find(({ reason }) => reason === 'not_found') ?? faults.find((fault) => !isAbsence(fault)) ?? faults[0]
}

/** The queries of one lookup, and what ends them together. */
class Session {
  readonly #clock: Clock
  readonly #resolvers: Resolvers

  constructor({ clock, servers }: LookupContext) {
    this.#clock = clock
    this.#resolvers = new Resolvers(servers)
  }

  /** Ends all queries that are under way. */
  end(): void {
    this.#resolvers.end()
  }

  /** Asks for both families of a complete name. */
  async ask(name: string): Promise<[Outcome, Outcome]> {
    const outcomes: [Outcome, Outcome] = [UNANSWERED, UNANSWERED]
    const { promise, resolve } = Promise.withResolvers<void>()
    let cancel = () => {}
    const note = (family: 0 | 1) => (outcome: Outcome) => {
      outcomes[family] = outcome
      if (hasAddresses(outcome) || saysThat(outcome, 'not_found')) {
        cancel = this.#clock.after(OTHER_FAMILY_MS, resolve)
      }
    }
    void Promise.all([this.#family(name, 4).then(note(0)), this.#family(name, 6).then(note(1))]).then(() => resolve())
    await promise
    cancel()
    return outcomes
  }

  #family(name: string, family: 4 | 6): Promise<Outcome> {
    return this.#resolvers.ask((resolver) => query(resolver, name, family))
  }
}

/** One query; node:dns tells by callback or, for a name that is none, by throwing. */
function query(resolver: Resolver, name: string, family: 4 | 6): Promise<Outcome> {
  return new Promise((resolve) => {
    const told = (error: NodeJS.ErrnoException | null, records: readonly RecordWithTtl[]) =>
      resolve(error === null ? foundIn(records) : failureOf(error))
    try {
      if (family === 4) resolver.resolve4(name, { ttl: true }, told)
      else resolver.resolve6(name, { ttl: true }, told)
    } catch (error) {
      resolve(failureOf(error as NodeJS.ErrnoException))
    }
  })
}

function foundIn(records: readonly RecordWithTtl[]): FamilyAnswer {
  const addresses = new Set<string>()
  let ttlS = Infinity
  for (const record of records) {
    const address = plainAddress(record.address)
    if (address === null || !isUsable(address)) continue
    addresses.add(address)
    ttlS = Math.min(ttlS, record.ttl)
  }
  return { addresses: [...addresses], ttlS: addresses.size === 0 ? 0 : ttlS }
}
