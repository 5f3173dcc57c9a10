/**
 * Max-Forwards (RFC 9110 7.6.2): how many more servers an OPTIONS or TRACE may pass. With other methods the field means nothing and
 * is passed on unread.
 *
 * At 0 we answer: OPTIONS with an empty 200 and the methods served here, TRACE with 405, since to reflect it would show clients
 * what the proxies before us have added. A value that is not one whole number is refused: two servers could read it in two ways.
 */
import { KIND } from './field-kinds.ts'
import type { Fields } from './fields.ts'

/** Nothing is said about how far the request may go. */
export const UNLIMITED = 2 ** 30
/** The field is there and is not one whole number. */
export const MALFORMED = -1
/** Larger values are lowered to this: RFC 9110 lets a proxy say the most that it supports. */
const HOPS_MAX = 1_000

/** How many servers behind this one a request may reach; `UNLIMITED` without the field, `MALFORMED` when it is. */
export function hopsLeft(method: string, fields: Fields): number {
  if (method !== 'OPTIONS' && method !== 'TRACE') return UNLIMITED
  const first = fields.next(KIND.maxForwards)
  if (first < 0) return UNLIMITED
  if (fields.next(KIND.maxForwards, first + 1) >= 0) return MALFORMED
  const value = fields.value(first)
  return /^\d+$/.test(value) ? Math.min(Number(value), HOPS_MAX) : MALFORMED
}

/** The field for the next server as a line, or nothing. */
export function hopsLine(maxForwards: number): string {
  return maxForwards === UNLIMITED ? '' : 'Max-Forwards: ' + (maxForwards - 1) + '\r\n'
}
