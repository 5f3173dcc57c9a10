/**
 * What the fields Transfer-Encoding of a message come to, read as one list (RFC 9110 5.3, RFC 9112 6.1 and 7).
 *
 * A body that we read is one `chunked`, and nothing else. A list may have gaps and white space around its elements, which
 * RFC 9110 5.6.1 tells every recipient to ignore: it is still one `chunked`, and goes on as just that, written anew. All else
 * is refused, in two ways, since a sender can do something about the one and not about the other: a list that ends in
 * `chunked` behind codings that we do not know is well-formed (501, RFC 9112 6.1); any other says in no sure way where the
 * body ends (400, RFC 9112 6.3).
 */
import { COMMA, equalsIgnoreCase, HTAB, SP, TOKEN, VALUE } from './syntax.ts'

/** `unknown`: well-formed, and not for us to decode; `faulty`: not a list that ends in its one `chunked`. */
export type Coding = 'chunked' | 'unknown' | 'faulty'

/** Elements of a list, empty ones included: RFC 9110 5.6.1 asks for "a reasonable number". */
const ELEMENTS_MAX = 16
const CHUNKED = 'chunked'
const SEMICOLON = 59
const EQUALS = 61
const QUOTE = 34
const BACKSLASH = 92

/** What a list of transfer codings comes to: the values of all the fields, joined by commas. */
export function codingOf(list: string): Coding {
  let isChunked = false
  let isKnown = true
  let at = 0
  for (let elements = 1; elements <= ELEMENTS_MAX; elements++) {
    at = spaceEnd(list, at)
    if (at < list.length && list.charCodeAt(at) !== COMMA) {
      // Nothing may stand behind `chunked`, least of all another one.
      if (isChunked) return 'faulty'
      const start = at
      at = tokenEnd(list, at)
      if (at === start) return 'faulty'
      // It has no parameters (RFC 9112 7.1); those of others are only passed over.
      if (at - start === CHUNKED.length && equalsIgnoreCase(list, start, CHUNKED)) isChunked = true
      else {
        isKnown = false
        at = parametersEnd(list, at)
      }
      at = spaceEnd(list, at)
    }
    if (at === list.length) return isChunked ? (isKnown ? 'chunked' : 'unknown') : 'faulty'
    if (list.charCodeAt(at++) !== COMMA) return 'faulty'
  }
  return 'faulty'
}

function spaceEnd(text: string, at: number): number {
  while (text.charCodeAt(at) === SP || text.charCodeAt(at) === HTAB) at++
  return at
}

function tokenEnd(text: string, at: number): number {
  while (TOKEN[text.charCodeAt(at)] === 1) at++
  return at
}

/** End of what is well-formed of `*( OWS ";" OWS token BWS "=" BWS ( token / quoted-string ) )`. */
function parametersEnd(text: string, end: number): number {
  for (;;) {
    let at = spaceEnd(text, end)
    if (text.charCodeAt(at) !== SEMICOLON) return end
    const nameStart = spaceEnd(text, at + 1)
    at = tokenEnd(text, nameStart)
    if (at === nameStart) return end
    at = spaceEnd(text, at)
    if (text.charCodeAt(at) !== EQUALS) return end
    const valueStart = spaceEnd(text, at + 1)
    at = text.charCodeAt(valueStart) === QUOTE ? quotedEnd(text, valueStart) : tokenEnd(text, valueStart)
    if (at === valueStart) return end
    end = at
  }
}

/** Offset behind the quoted string at `start`; `start` when it has no end. */
function quotedEnd(text: string, start: number): number {
  for (let at = start + 1; VALUE[text.charCodeAt(at)] === 1; at++) {
    if (text.charCodeAt(at) === QUOTE) return at + 1
    if (text.charCodeAt(at) === BACKSLASH) at++
  }
  return start
}
