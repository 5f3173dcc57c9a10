/** Shares: of a whole, and of the traffic by weights. Pure. */
import { own } from './record.ts'

/** A part over its whole; null where there is nothing to share. */
export const shareOf = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole)

/** What the weight of a pool is of all weights, where all is `whole`: 1, or 100 for per cent. 0 where there is no weight at all. */
export function weightShare(weights: Readonly<Record<string, number>>, pool: string, whole = 1): number {
  const sum = Object.values(weights).reduce((total, weight) => total + weight, 0)
  return sum === 0 ? 0 : (whole * (own(weights, pool) ?? 0)) / sum
}

/** The part of the new visitors, up to 1, that is aimed at a pool: what is not `ready` takes none, and the others by their weights. */
export function aimedShare(
  weights: Readonly<Record<string, number>>,
  pools: Readonly<Record<string, { readonly admin: string }>>,
  pool: string,
): number {
  const isReady = (name: string): boolean => own(pools, name)?.admin === 'ready'
  const ready = Object.entries(weights).filter(([name]) => isReady(name))
  return weightShare(Object.fromEntries(ready), pool)
}
