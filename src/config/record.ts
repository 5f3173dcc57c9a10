/**
 * Records by names that come from outside, read and changed without ever meeting what JavaScript objects inherit: a pool
 * may be called `constructor`, and a key `__proto__` is an entry like any other. Pure; every change makes a new record.
 */
type Entries<T> = Readonly<Record<string, T>>

/** Whether a JSON value is a record: neither a scalar nor a list. */
export const isRecord = (value: unknown): value is Entries<unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The entry of this very record, or undefined. */
export function own<T>(record: Entries<T>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined
}

/**
 * A copy. A record of all services has thousands of entries, and each change copies some of these: without a prototype V8 takes it
 * for the dictionary that it is, which is filled three times as fast as one by spreading (0.2 instead of 0.6 ms for 2,000), and an
 * assignment to `__proto__` makes an entry.
 */
function copied<T>(record: Entries<T>): Record<string, T> {
  const copy: Record<string, T> = Object.create(null)
  for (const key in record) copy[key] = record[key]
  return copy
}

/** The record with this entry; an existing one keeps its place in the order. */
export function withEntry<T>(record: Entries<T>, key: string, value: T): Record<string, T> {
  const next = copied(record)
  next[key] = value
  return next
}

/** The record with all of these entries at once; an undefined value takes an entry away. */
export function withEntries<T>(
  record: Entries<T>,
  entries: readonly (readonly [string, T | undefined])[],
): Record<string, T> {
  const next = copied(record)
  for (const [key, value] of entries) {
    if (value === undefined) delete next[key]
    else next[key] = value
  }
  return next
}

/** The record without this entry. */
export function withoutEntry<T>(record: Entries<T>, key: string): Record<string, T> {
  const next = copied(record)
  delete next[key]
  return next
}

/** The same keys with other values; the very same record when every value stayed the same. */
export function mapEntries<T>(record: Record<string, T>, each: (value: T, key: string) => T): Record<string, T>
export function mapEntries<T, U>(record: Entries<T>, each: (value: T, key: string) => U): Record<string, U>
export function mapEntries<T, U>(record: Entries<T>, each: (value: T, key: string) => U): Record<string, U> {
  const mapped = Object.fromEntries(Object.entries(record).map(([key, value]) => [key, each(value, key)]))
  return sameEntries<unknown>(record, mapped) ? (record as unknown as Record<string, U>) : mapped
}

/** As `mapEntries` for the named entries alone, if they are there; null is all of them. */
export function mapNamed<T>(
  record: Record<string, T>,
  names: readonly string[] | null,
  each: (value: T, key: string) => T,
): Record<string, T> {
  if (names === null) return mapEntries<T>(record, each)
  const mapped = [...new Set(names)].flatMap((name): [string, T][] => {
    const value = own(record, name)
    if (value === undefined) return []
    const next = each(value, name)
    return next === value ? [] : [[name, next]]
  })
  return mapped.length === 0 ? record : withEntries(record, mapped)
}

/** Whether both have the same keys with the very same values, in any order. */
export function sameEntries<T>(a: Entries<T>, b: Entries<T>): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
}

/** Whether two plain JSON values mean the same; the order of keys does not count, and an undefined entry is none. */
export function equalJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, n) => equalJson(item, b[n]))
  }
  const [one, other] = [a as Entries<unknown>, b as Entries<unknown>]
  const keys = new Set([...Object.keys(one), ...Object.keys(other)])
  return [...keys].every((key) => equalJson(own(one, key), own(other, key)))
}

/** The value at a dotted path (`db.ok`, `checks.0.name`); own fields only, so `constructor` finds nothing. */
export function fieldAt(value: unknown, path: string): unknown {
  let found: unknown = value
  for (const key of path.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined
    found = (found as Record<string, unknown>)[key]
  }
  return found
}
