/** What names a target that is not there any more. Apart from the rest, since the CLI needs it and not the schema. Pure. */
import { identityOf } from './address.ts'

/** The pool without weights of targets that it has no longer: whoever takes a target away need not know of its weight. */
export function withoutGoneWeights<P extends Weighted>(pool: P): P {
  const { weights, ...rest } = pool
  if (weights === undefined) return pool
  const there = new Set(pool.targets.map(identityOf))
  const left = Object.entries(weights).filter(([url]) => there.has(identityOf(url)))
  return (left.length === 0 ? rest : { ...rest, weights: Object.fromEntries(left) }) as P
}

interface Weighted {
  readonly targets: readonly string[]
  readonly weights?: Readonly<Record<string, number>>
}
