/**
 * Statuses as layout 1 stored them: admin states, health, ejection and releases in one. Only what each owner needs is taken
 * out; whether it makes sense is looked at where all that was stored is (control/stored.ts). Pure.
 */
import { isRecord } from '../config/record.ts'
import type { AddressObserved, ServiceObserved } from '../table/status.ts'

const mapped = (value: unknown, each: (entry: unknown) => unknown): unknown =>
  isRecord(value) ? Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, each(entry)])) : value

/** The intent of a service: everything but what was seen, where it counted, and the number that is now the document's. */
export function intentOfStatus(status: unknown): unknown {
  if (!isRecord(status)) return null
  const { slot: _slot, releaseLast: _releaseLast, pools, ...rest } = status
  return {
    ...rest,
    pools: mapped(pools, (pool) =>
      isRecord(pool) ? { ...pool, targets: mapped(pool['targets'], intentOfTarget) } : pool,
    ),
  }
}

function intentOfTarget(target: unknown): unknown {
  if (!isRecord(target)) return target
  const { slot: _slot, health: _health, ejectedUntilMs: _ejected, ...rest } = target
  return rest
}

/** What was seen of a service, or null when nothing was. It was seen of targets then; one without a name has one address. */
export function observedOfStatus(status: unknown): ServiceObserved | null {
  const pools = isRecord(status) && isRecord(status['pools']) ? Object.entries(status['pools']) : []
  const seen = pools.flatMap(([pool, its]) => {
    const targets = isRecord(its) && isRecord(its['targets']) ? Object.entries(its['targets']) : []
    const known = targets.flatMap(([url, target]) => {
      const { health, ejectedUntilMs } = Object(target) as AddressObserved
      const isSeen = health !== 'unknown' || ejectedUntilMs !== 0
      return isSeen ? [[url, { [hostOf(url)]: { health, ejectedUntilMs } }] as const] : []
    })
    return known.length === 0 ? [] : [[pool, Object.fromEntries(known)] as const]
  })
  return seen.length === 0 ? null : Object.fromEntries(seen)
}

const hostOf = (url: string): string => URL.parse(url)?.hostname.replace(/^\[|\]$/g, '') ?? ''
