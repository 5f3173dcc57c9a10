/**
 * Where a fault is: JSON pointers (RFC 6901) for programs, and paths such as `services.shop.rules[0].to` for people.
 */
import type { Fault } from '../errors.ts'

/**
 * A fault on its way to the reader. About a `key` (unknown, missing, repeated) the pointer names that key, and people are
 * shown the path of the map around it.
 */
export interface Finding extends Fault {
  readonly about?: 'key'
  /** The word that was probably meant. */
  readonly meant?: string
}

/** Pointer of a member: `child('/pools', 'a/b')` is `/pools/a~1b`. */
export const child = (pointer: string, key: string | number): string =>
  typeof key === 'string' && /[~/]/.test(key)
    ? `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
    : `${pointer}/${key}`

/** Keys and indexes of a pointer, unescaped. */
export const pointerKeys = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))

/** Pointer of the map or list around; the root is its own parent. */
export const parentOf = (pointer: string): string => pointer.slice(0, Math.max(0, pointer.lastIndexOf('/')))

/** `services.shop.rules[0].to`; empty for the root. */
export function pathOf(pointer: string): string {
  let path = ''
  for (const key of pointerKeys(pointer)) {
    if (/^[0-9]+$/.test(key)) path += `[${key}]`
    else if (/^[A-Za-z0-9_$-]+$/.test(key)) path += path === '' ? key : `.${key}`
    else path += `[${JSON.stringify(key)}]`
  }
  return path
}

/** Keys that every JavaScript object inherits; as names they would confuse lookups, so they are refused everywhere. */
export const isReservedKey = (key: string): boolean => key in Object.prototype

/** The finding for a reserved key at `pointer`. */
export const reservedKey = (pointer: string, key: string): Finding => ({
  pointer,
  message: `the key ${JSON.stringify(key)} is reserved and cannot be used`,
  about: 'key',
})
