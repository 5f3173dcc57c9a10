/**
 * How Turnout itself finds whoever it asks that is no target: hooks, who is told, a Prometheus, a JWKS. By the lookups that targets go by,
 * since `dns.lookup`, which node:net goes by otherwise, waits for name servers in two threads of the whole process: two names that
 * nobody answers for would keep the hooks of all other services from being called.
 *
 * Nothing is kept: those who ask keep their connections.
 */
import type { LookupFunction } from 'node:net'
import { type LookupContext, lookUp } from './lookup.ts'
import { failureOf } from './resolvers.ts'
import type { FaultReason } from './state.ts'

/** The codes of the system for it (unanswered.ts). */
const CODES: Readonly<Partial<Record<FaultReason, string>>> = { not_found: 'ENOTFOUND', no_address: 'ENOTFOUND' }
const UNANSWERED = 'EAI_AGAIN'

/** For `lookup` of node:net. */
export function finderOf(context: () => Omit<LookupContext, 'from'>): LookupFunction {
  return (host, { all }, told) => {
    const ask = async () => lookUp(host, { ...context(), from: null })
    void ask()
      .catch(failureOf)
      .then((found) => {
        const v4 = 'v4' in found ? (found.v4?.addresses ?? []) : []
        const v6 = 'v6' in found ? (found.v6?.addresses ?? []) : []
        const places = [
          ...v4.map((address) => ({ address, family: 4 })),
          ...v6.map((address) => ({ address, family: 6 })),
        ]
        if (places.length === 0) told(errorOf(host, found), '', 0)
        else if (all === true) told(null, places)
        else told(null, places[0].address, places[0].family)
      })
  }
}

function errorOf(host: string, found: Awaited<ReturnType<typeof lookUp>>): Error {
  const { reason, message } = 'fault' in found ? found.fault : { reason: 'no_address' as const, message: 'no address' }
  return Object.assign(new Error(`${host} cannot be resolved: ${message}`), { code: CODES[reason] ?? UNANSWERED })
}
