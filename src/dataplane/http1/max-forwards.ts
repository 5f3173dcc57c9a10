/**
 * How many more servers an OPTIONS or TRACE may pass (RFC 9110 7.6.2): whoever looks for a loop, or for the place where a chain
 * of proxies changes a request, lets it end at each of them in turn. With other methods the field means nothing and is passed
 * on as it is, unread.
 *
 * At 0 the answer is ours: an empty 200 with the methods that are served here, or 405, since to reflect a TRACE would show
 * clients what proxies before us have added. What is not one whole number is refused: two maxForwards would read it in two ways.
 */
import type { Fields } from './fields.ts'

/** Nothing is said about how far the request may go. */
export const UNLIMITED = 2 ** 30
/** The field is there and is not one whole number. */
export const MALFORMED = -1
/** Larger values are lowered to this: RFC 9110 lets a proxy say the most that it supports. */
const HOPS_MAX = 1_000
const NAME = 'max-forwards'

/** How many servers behind this one a request may reach; `UNLIMITED` without the field, `MALFORMED` when it is. */
export function hopsLeft(method: string, fields: Fields): number {
  if (method !== 'OPTIONS' && method !== 'TRACE') return UNLIMITED
  const first = fields.find(NAME)
  if (first < 0) return UNLIMITED
  for (let i = first + 1; i < fields.count; i++) if (fields.isNamed(i, NAME)) return MALFORMED
  const value = fields.value(first)
  return /^\d+$/.test(value) ? Math.min(Number(value), HOPS_MAX) : MALFORMED
}

/** The field for the next server as a line, or nothing. */
export function hopsLine(maxForwards: number): string {
  return maxForwards === UNLIMITED ? '' : 'Max-Forwards: ' + (maxForwards - 1) + '\r\n'
}
