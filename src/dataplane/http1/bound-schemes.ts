/**
 * Schemes that authenticate a connection instead of a request: whoever logs in by one is known to the target by the connection
 * from then on, also where nothing in a request says so (RFC 4559, and NTLM, which no RFC describes). RFC 9110 11.7 forbids it,
 * and intranets are full of it.
 *
 * A connection to a target on which such a scheme was spoken, by either side, must never carry a request of somebody else. So
 * too much is taken for one of them rather than too little: a name within a quoted realm counts like the name of a scheme.
 */
import { COMMA, equalsIgnoreCase, HTAB, SP, TOKEN } from './syntax.ts'

/** Lower-case; the last two are those of WinRM. */
const SCHEMES: readonly string[] = ['ntlm', 'negotiate', 'kerberos', 'credssp']

/** Whether the credentials in `text[start, end)` are of such a scheme. */
export function areBound(text: string, start: number, end: number): boolean {
  let at = start
  while (at < end && TOKEN[text.charCodeAt(at)] === 1) at++
  const length = at - start
  for (const scheme of SCHEMES) if (scheme.length === length && equalsIgnoreCase(text, start, scheme)) return true
  return false
}

/** Whether one of the challenges in `text[start, end)` is of such a scheme. */
export function asksForBound(text: string, start: number, end: number): boolean {
  let at = start
  for (;;) {
    while (at < end && isBetween(text.charCodeAt(at))) at++
    if (at === end) return false
    if (areBound(text, at, end)) return true
    while (at < end && text.charCodeAt(at) !== COMMA) at++
  }
}

const isBetween = (code: number) => code === COMMA || code === SP || code === HTAB
