/**
 * The name servers of one lookup: asked after one another when they fail, and ended together.
 *
 * By `Resolver` of node:dns, a new one each time (lookup.ts says why). A truncated answer is asked for again by TCP, by c-ares itself.
 */
import { Resolver } from 'node:dns'
import type { FaultReason, NameFault } from './state.ts'

/** A first server that is dead costs half a second, a slow answer is waited for. c-ares doubles the time with each try. */
const QUERY = { timeout: 500, tries: 3, maxTimeout: 2_000 } as const
/** Name servers that are asked after one another when they fail; resolvers have this limit too. */
const SERVERS_MAX = 3

/** A question without an answer. */
export interface Failed {
  readonly fault: NameFault
}

export class Resolvers {
  readonly #resolvers: Resolver[]
  #ended = false

  /** `address:port` of the name servers; null for those of the system. */
  constructor(servers: readonly string[] | null) {
    const all = new Resolver(QUERY)
    if (servers !== null) all.setServers(servers)
    this.#resolvers = [all]
    // c-ares goes on to the next server when one is silent, but takes a refusal for the last word; resolvers do not.
    for (const server of all.getServers().slice(1, SERVERS_MAX)) {
      const next = new Resolver(QUERY)
      next.setServers([server])
      this.#resolvers.push(next)
    }
  }

  /** Ends all queries that are under way. */
  end(): void {
    this.#ended = true
    for (const resolver of this.#resolvers) resolver.cancel()
  }

  /** Asks one question of one server after the other, until one has the last word. */
  async ask<T extends object>(query: (resolver: Resolver) => Promise<T | Failed>): Promise<T | Failed> {
    let outcome: T | Failed = UNANSWERED
    for (const resolver of this.#resolvers) {
      if (this.#ended) return UNANSWERED
      outcome = await query(resolver)
      if (!('fault' in outcome) || !AT_THE_NEXT.has((outcome as Failed).fault.reason)) return outcome
    }
    return outcome
  }
}

/** Faults that another server need not have. */
const AT_THE_NEXT: ReadonlySet<FaultReason> = new Set(['refused', 'server_failure'])

/** Whether the servers say that there is none, rather than nothing. */
export const isAbsence = ({ reason }: NameFault): boolean => reason === 'not_found' || reason === 'no_address'

/** Nobody has answered. */
export const UNANSWERED: Failed = {
  fault: { reason: 'timeout', message: 'no name server answered in time' },
}

const FAULTS: Readonly<Record<string, readonly [FaultReason, string]>> = {
  ENOTFOUND: ['not_found', 'there is no such name'],
  ENODATA: ['no_address', 'the name has no address'],
  ETIMEOUT: ['timeout', UNANSWERED.fault.message],
  ECANCELLED: ['timeout', UNANSWERED.fault.message],
  ECONNREFUSED: ['refused', 'no name server is listening'],
  EREFUSED: ['refused', 'the name server refused the question'],
  ESERVFAIL: ['server_failure', 'the name server failed (SERVFAIL)'],
  ENOTIMP: ['server_failure', 'the name server does not answer such questions'],
  EFORMERR: ['server_failure', 'the name server did not understand the question'],
  EBADRESP: ['server_failure', 'the answer of the name server is malformed'],
  EBADNAME: ['not_found', 'this cannot be a name'],
}

/** What an error of node:dns says. */
export function failureOf(error: NodeJS.ErrnoException): Failed {
  const known = FAULTS[error.code ?? '']
  const [reason, message] = known ?? ['other', `the lookup failed: ${error.code ?? error.message}`]
  return { fault: { reason, message } }
}
