/**
 * Whether a request belongs to a trace that can be passed on: W3C Trace Context, `version-traceid-parentid-flags` in lower-case
 * hexadecimal. One that is malformed, comes twice or is of version ff is no trace: a new one begins, without the `tracestate`
 * of the old (4.3). Later versions may have more behind the flags, and are passed on as they came.
 */
import { KIND } from './field-kinds.ts'
import type { Fields, Names } from './fields.ts'

const DASH = 45
const LENGTH = 55

/** Whether exactly one traceparent came, is valid, and is not for this connection only. */
export function isTraced(fields: Fields, dropped: Names | null): boolean {
  const only = fields.next(KIND.traceparent)
  if (only < 0 || fields.next(KIND.traceparent, only + 1) >= 0 || !isTraceparent(fields.value(only))) return false
  return dropped === null || !dropped.has('traceparent')
}

function isTraceparent(text: string): boolean {
  if (text.length < LENGTH || !isHex(text, 0, 2) || text.startsWith('ff')) return false
  if (text.length > LENGTH && (text.startsWith('00') || text.charCodeAt(LENGTH) !== DASH)) return false
  return isId(text, 3, 32) && isId(text, 36, 16) && text.charCodeAt(52) === DASH && isHex(text, 53, 2)
}

/** An id behind a dash: hexadecimal digits that are not all 0. */
function isId(text: string, at: number, length: number): boolean {
  if (text.charCodeAt(at - 1) !== DASH || !isHex(text, at, length)) return false
  for (let i = at; i < at + length; i++) if (text.charCodeAt(i) !== 48) return true
  return false
}

function isHex(text: string, at: number, length: number): boolean {
  for (let i = at; i < at + length; i++) {
    const code = text.charCodeAt(i)
    if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102))) return false
  }
  return true
}
