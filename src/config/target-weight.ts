/** The weight of a target within its pool, as the spec and the plan have it. Pure. */
import { own } from './record.ts'

/** The weight of a target, by its URL; 1 where none is given. */
export const targetWeight = (pool: { readonly weights?: Readonly<Record<string, number>> }, url: string): number =>
  own(pool.weights ?? {}, url) ?? 1
