/** How many files and sockets the process may have open, and what of that clients may take. */
import { readFileSync } from 'node:fs'
import type { LimitsPlan } from '../config/plan.ts'

/** The part of all descriptors that clients may have; the rest is for connections to targets, the admin API and files. */
const CLIENTS_SHARE = 0.75

/** Open files that the system allows this process; Infinity where it does not tell. */
export function descriptorsMax(): number {
  try {
    const [, soft = 'unlimited'] = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === 'unlimited' ? Infinity : Number(soft)
  } catch {
    return Infinity
  }
}

/**
 * The limits with no more client connections than there are descriptors for: once those are spent, targets cannot be reached
 * either, so it is better to refuse some clients than to fail all. The same share of them is left to one address.
 */
export function withinDescriptors(limits: LimitsPlan, descriptors: number): LimitsPlan {
  const connectionsMax = Math.max(1, Math.floor(descriptors * CLIENTS_SHARE))
  if (limits.connectionsMax <= connectionsMax) return limits
  const perAddress = Math.ceil((limits.connectionsPerAddressMax / limits.connectionsMax) * connectionsMax)
  return { ...limits, connectionsMax, connectionsPerAddressMax: perAddress }
}
