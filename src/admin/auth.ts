/**
 * Who may call the admin API.
 *
 * With tokens: a bearer token whose role suffices, from anywhere. Digests are compared in constant time and every token is
 * looked at, so neither the length of the work nor its order tells anything about a secret.
 * Without tokens: loopback peers only. A web page in a browser on the same machine also comes from loopback, so three more
 * things must hold: Host is a loopback name (else DNS rebinding), Origin if sent is our own, and Sec-Fetch-Site if sent
 * does not say that another site asks. Together with JSON-only bodies no page can change anything.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isLoopback } from '../config/address.ts'
import type { AdminSpec } from '../config/schema-process.ts'
import { TurnoutError } from '../errors.ts'
import { octetsOfText } from '../table/octets.ts'

export type Role = 'viewer' | 'operator'

/** What the guard looks at. */
export interface Approach {
  readonly headers: IncomingHttpHeaders
  readonly remoteAddress: string | undefined
  /** The role that the call needs. */
  readonly needs: Role
}

/** Who calls: the name is for the audit. */
export interface Caller {
  readonly name: string
  readonly role: Role
}

/** Returns the caller, or throws `unauthorized` or `forbidden`. */
export type Guard = (approach: Approach) => Caller

/** The actor in the audit where no tokens are configured. */
export const LOCAL_ACTOR = 'local'

const digest = (octets: string): Buffer => createHash('sha256').update(octets, 'latin1').digest()

/** A guard for these tokens; without any it serves loopback only. */
export function createGuard(tokens: AdminSpec['tokens']): Guard {
  if (tokens.length === 0) return guardLoopback
  const known = tokens.map(({ name, token, role }) => ({ name, role, digest: digest(octetsOfText(token)) }))
  return ({ headers, needs }) => {
    const sent = /^bearer +([^ \t]+) *$/i.exec(headers.authorization ?? '')
    if (sent === null) throw new TurnoutError('unauthorized')
    const presented = digest(sent[1])
    let caller: (typeof known)[number] | null = null
    for (const token of known) if (timingSafeEqual(token.digest, presented)) caller = token
    if (caller === null) throw new TurnoutError('unauthorized', 'This token is not known.')
    if (needs === 'operator' && caller.role !== 'operator') {
      throw new TurnoutError('forbidden', `The token ${caller.name} may only read.`)
    }
    return { name: caller.name, role: caller.role }
  }
}

function guardLoopback({ headers, remoteAddress }: Approach): Caller {
  if (remoteAddress === undefined || !isLoopback(remoteAddress)) {
    throw new TurnoutError('forbidden', 'Without tokens the admin API serves loopback only.')
  }
  const host = headers.host ?? ''
  if (!isLoopback(hostnameOf(host))) {
    throw new TurnoutError('forbidden', 'Without tokens the Host header must be a loopback address.')
  }
  const { origin } = headers
  if (origin !== undefined && URL.parse(origin)?.host !== URL.parse(`http://${host}`)?.host) {
    throw new TurnoutError('forbidden', 'Requests of other origins are refused.')
  }
  const site = headers['sec-fetch-site']
  if (site === 'cross-site' || site === 'same-site') {
    throw new TurnoutError('forbidden', 'Requests of other sites are refused.')
  }
  return { name: LOCAL_ACTOR, role: 'operator' }
}

/** The host of a Host header without its port; empty when it is malformed. */
function hostnameOf(host: string): string {
  const parts = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::[0-9]{1,5})?$/i.exec(host)
  return parts === null ? '' : parts[1]
}
