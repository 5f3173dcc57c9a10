/** Hashes as the scripts of a Redis store answer them (redis-scripts.ts). Pure. */

/** Fields and values of a hash, one after the other. */
export type Flat = readonly string[]

/** Each field with its value. */
export function* pairs(flat: Flat): Generator<[string, string]> {
  for (let at = 0; at < flat.length; at += 2) yield [flat[at], flat[at + 1]]
}

/** Services in the order in which they were added, and the revision that wrote each last. */
export function writtenBys(flat: Flat): Map<string, number> {
  const known = [...pairs(flat)].map(([name, value]) => [name, ...value.split(' ').map(Number)] as const)
  return new Map(known.sort(([, a], [, b]) => a - b).map(([name, , revision]) => [name, revision]))
}
