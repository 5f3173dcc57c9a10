/**
 * One lookup of SRV records, with the search list of the system.
 *
 * Bounded and total like that of addresses (lookup.ts). Their hosts are looked up by whoever uses the records (names.ts).
 */
import type { Resolver, SrvRecord as Told } from 'node:dns'
import { SRV } from './address.ts'
import { LOOKUP_MS_MAX, type LookupContext } from './lookup.ts'
import { completeNames } from './resolv-conf.ts'
import { type Failed, failureOf, isAbsence, Resolvers } from './resolvers.ts'
import type { SrvLookup, SrvRecord } from './srv.ts'
import type { NameFault } from './state.ts'

/** Looks the records of `SRV name` up once. */
export async function lookUpSrv(key: string, context: LookupContext): Promise<SrvLookup> {
  const resolvers = new Resolvers(context.servers)
  const end = context.clock.after(LOOKUP_MS_MAX, () => resolvers.end())
  try {
    return await search(key.slice(SRV.length), context, resolvers)
  } finally {
    end()
    resolvers.end()
  }
}

/** Asks for each complete name in turn until one has records. A silent server is not asked for more. */
async function search(name: string, { resolvConf, from }: LookupContext, resolvers: Resolvers): Promise<SrvLookup> {
  let told: NameFault | null = null
  for (const complete of completeNames(name, resolvConf)) {
    const outcome = await resolvers.ask((resolver) => query(resolver, complete))
    if (!('fault' in outcome)) return { from: complete, records: outcome.records }
    const { fault } = outcome
    if (told === null || !isAbsence(fault)) told = fault
    if (isAbsence(fault)) continue
    if (fault.reason === 'timeout' || complete === from) break
  }
  return { fault: told ?? { reason: 'not_found', message: 'the name is too long' } }
}

function query(resolver: Resolver, name: string): Promise<{ readonly records: readonly SrvRecord[] } | Failed> {
  return new Promise((resolve) => {
    try {
      resolver.resolveSrv(name, (error, records) => resolve(error === null ? foundIn(records) : noRecords(error)))
    } catch (error) {
      resolve(failureOf(error as NodeJS.ErrnoException))
    }
  })
}

function noRecords(error: NodeJS.ErrnoException): Failed {
  const { fault } = failureOf(error)
  // RFC 2782 forbids it, and some servers do it, such as that of Samba; c-ares takes it from none since 1.34.7, which came with Node 26.6.
  if (error.code === 'EBADRESP') return { fault: { ...fault, message: `${fault.message}, or ${COMPRESSED}` } }
  return fault.reason === 'no_address' ? { fault: { ...fault, message: 'the name has no SRV records' } } : { fault }
}

const COMPRESSED = 'it compresses the hosts of its records, which Node does not take'

/** What a host of a record is made of: it becomes a Host, and the name of a certificate. */
const HOST = /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/

/** A record for the root means that the service is not offered (RFC 2782); one without a port, or with a host that is none, leads nowhere. */
function foundIn(told: readonly Told[]): { readonly records: readonly SrvRecord[] } | Failed {
  const named = told.map(({ priority, weight, port, name }): SrvRecord => {
    return { priority, weight, port, host: name.toLowerCase().replace(/\.$/, '') }
  })
  const records = named.filter(({ host, port }) => HOST.test(host) && port > 0)
  if (records.length > 0) return { records }
  const offered = named.some(({ host }) => host !== '')
  const message = offered
    ? 'its SRV records have no host and port that can be used'
    : 'the service is not offered (its SRV record names the root)'
  return { fault: { reason: 'no_address', message } }
}
