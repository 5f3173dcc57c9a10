/**
 * The head of a request: read, checked and understood in one pass, or refused.
 *
 * `parse(text)` looks only at complete lines, so it may be called again with more text and always comes to the same verdict.
 * What RFC 9112 leaves ambiguous is an error here: two lengths, a length beside a transfer coding, any coding but a single
 * `chunked` (transfer-coding.ts), any coding in HTTP/1.0, a second Host. Framing is only read here; whoever sends the request on
 * writes it anew (upstream/request-text.ts). One object per worker is used again and again, so whoever needs a string longer
 * copies it. Sources: RFC 9112 2.2, 3, 6.1, 6.3; RFC 9110 7.2, 7.6.1, 7.8, 10.1.1.
 */
import type { ErrorCode } from '../../errors.ts'
import { Authorities } from './authorities.ts'
import { KIND } from './field-kinds.ts'
import { Fields, Names } from './fields.ts'
import {
  CR,
  equalsIgnoreCase,
  hostEnd,
  isIgnoringCase,
  LF,
  listHas,
  octetsOf,
  PROTOCOLS,
  SP,
  TARGET,
  TOKEN,
  withoutSpace,
} from './syntax.ts'
import { codingOf } from './transfer-coding.ts'

/** First characters that may be refused before a line has ended: an empty line, and what follows it. */
export const DECIDED_AT_ONCE = 3
const METHOD_LENGTH_MAX = 32
/** Methods that get one string each: comparing it is comparing a pointer, where a slice would be hashed and compared. */
const METHODS: readonly string[] = ['GET', 'POST', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT']
/** Characters of all Connection fields together: a set is made of what they list. */
const CONNECTION_LENGTH_MAX = 1_024

export class RequestHead {
  readonly fields: Fields
  readonly #bytesMax: number
  text = ''
  error: ErrorCode | null = null
  method = ''
  /** Origin-form (or `*`) as it will be sent on. */
  target = ''
  /** The target without its query. */
  path = ''
  /** 0 or 1: the minor version. */
  minor = 1
  /** Host with port as it will be sent on; empty only in HTTP/1.0. */
  authority = ''
  /** Host without port, in its one form (table/host.ts). */
  host = ''
  /** -1 when the request has none. */
  contentLength = -1
  chunked = false
  keepAlive = true
  /** Value of Upgrade when the client asks for one that may be passed on; else empty. */
  upgrade = ''
  expectContinue = false
  /** It brings credentials by which a target knows the connection from then on (bound-schemes.ts). */
  bindsConnection = false
  /** What Connection lists, our own concerns left out; null without any. Never changed later, so it may be kept. */
  dropped: Names | null = null
  readonly #authorities = new Authorities()

  constructor(bytesMax: number, fieldsMax: number) {
    this.#bytesMax = bytesMax
    this.fields = new Fields(fieldsMax)
  }

  /**
   * Offset behind the head; 0 when more is needed; -1 when refused, with `error` set. `bytes` from `base` on are the octets of
   * the text, for who has them at hand.
   */
  parse(text: string, bytes: Uint8Array = octetsOf(text), base = 0): number {
    this.text = text
    this.error = null
    let at = 0
    // RFC 9112 2.2: one empty line before the request line is ignored (some old clients send it after a body).
    if (text.charCodeAt(0) === CR) {
      if (text.length === 1) return 0
      if (text.charCodeAt(1) !== LF) return this.#refuse('bad_request')
      at = 2
      if (text.length === 2) return 0
    }
    const lineEnd = this.#requestLine(text, at, bytes, base)
    if (lineEnd <= 0) return lineEnd === 0 && text.length > this.#bytesMax ? this.#tooLong(text, at) : lineEnd
    const end = this.fields.read(text, lineEnd, bytes, base)
    if (end > this.#bytesMax || (end === 0 && text.length > this.#bytesMax)) return this.#refuse('head_too_large')
    if (end === 0) return 0
    if (end < 0) return this.#refuse(this.fields.tooMany ? 'head_too_large' : 'bad_request')
    return this.#understand() ? end : -1
  }

  #tooLong(text: string, at: number): number {
    return this.#refuse(text.indexOf(' ', at) >= 0 ? 'uri_too_long' : 'bad_request')
  }

  #refuse(error: ErrorCode): number {
    this.error = error
    return -1
  }

  /** Refuses a bad request line, but only once it is complete. */
  #badLine(text: string, at: number, error: ErrorCode): number {
    return text.indexOf('\n', at) < 0 ? 0 : this.#refuse(error)
  }

  #requestLine(text: string, start: number, bytes: Uint8Array, base: number): number {
    const end = text.length
    let at = start
    while (at < end && TOKEN[bytes[base + at]] === 1) at++
    if (at === end) return 0
    // What does not begin as a method is refused at its first byte: it will never become one (a TLS hello, say).
    if (at === start) return this.#refuse('bad_request')
    if (at - start > METHOD_LENGTH_MAX || text.charCodeAt(at) !== SP) return this.#badLine(text, start, 'bad_request')
    const methodEnd = at++
    const targetStart = at
    while (at < end && TARGET[bytes[base + at]] === 1) at++
    if (at === end) return 0
    if (at === targetStart || text.charCodeAt(at) !== SP) return this.#badLine(text, start, 'bad_request')
    const targetEnd = at++
    if (at + 10 > end) return text.indexOf('\n', at) < 0 ? 0 : this.#refuse('bad_request')
    if (text.charCodeAt(at + 8) !== CR || text.charCodeAt(at + 9) !== LF || !text.startsWith('HTTP/', at)) {
      return this.#badLine(text, start, 'bad_request')
    }
    const major = text.charCodeAt(at + 5) - 48
    const minor = text.charCodeAt(at + 7) - 48
    if (major < 0 || major > 9 || text.charCodeAt(at + 6) !== 46 || minor < 0 || minor > 9) {
      return this.#refuse('bad_request')
    }
    if (major !== 1 || minor > 1) return this.#refuse('version_not_supported')
    if (targetEnd > this.#bytesMax) return this.#refuse('uri_too_long')
    this.minor = minor
    this.method = methodAt(text, start, methodEnd)
    this.target = text.slice(targetStart, targetEnd)
    return at + 10
  }

  #understand(): boolean {
    this.authority = ''
    this.contentLength = -1
    this.chunked = false
    this.upgrade = ''
    this.expectContinue = false
    this.bindsConnection = false
    this.dropped = null
    let connection = ''
    let coding: string | null = null
    let upgrade = ''
    let hosts = 0
    const fields = this.fields
    for (let i = 0; i < fields.count; i++) {
      switch (fields.kind(i)) {
        case KIND.host:
          hosts++
          this.authority = fields.value(i)
          break
        case KIND.connection:
          connection = connection === '' ? fields.value(i) : connection + ',' + fields.value(i)
          break
        case KIND.contentLength:
          if (!this.#length(i)) return false
          break
        case KIND.transferEncoding:
          coding = coding === null ? fields.value(i) : coding + ',' + fields.value(i)
          break
        case KIND.upgrade:
          upgrade = upgrade === '' ? fields.value(i) : upgrade + ',' + fields.value(i)
          break
        case KIND.expect:
          if (!isIgnoringCase(fields.value(i), '100-continue')) return this.#refuse('expectation_failed') > 0
          this.expectContinue = this.minor === 1
          break
        case KIND.credentials:
          if (fields.hasBoundCredentials(i)) this.bindsConnection = true
          break
      }
    }
    if (coding !== null && !this.#coding(coding)) return false
    if (hosts > 1 || (hosts === 0 && this.minor === 1)) return this.#refuse('bad_host') > 0
    return this.#connection(connection, upgrade) && this.#splitTarget() && this.#hostName(hosts)
  }

  /**
   * Zeros before a length are digits like others by RFC 9110 8.6, but here they are refused: no client is known to send them,
   * and where a request ends must not hang on whether somebody before us takes 010 for ten or, as C may, for eight.
   */
  #length(i: number): boolean {
    const length = this.fields.length(i)
    if (length < 0 || this.contentLength >= 0 || this.fields.isPadded(i)) return this.#refuse('bad_framing') > 0
    this.contentLength = length
    return true
  }

  /** RFC 9112 6.1: a coding in HTTP/1.0, or beside a length, is faulty framing, whatever the coding. */
  #coding(list: string): boolean {
    const coding = isIgnoringCase(list, 'chunked') ? 'chunked' : codingOf(list)
    if (coding === 'faulty' || this.contentLength >= 0 || this.minor === 0) return this.#refuse('bad_framing') > 0
    if (coding === 'unknown') return this.#refuse('not_implemented') > 0
    this.chunked = true
    return true
  }

  /** Persistence, the upgrade and the fields to drop. RFC 9112 9.3, RFC 9110 7.6.1 and 7.8. */
  #connection(list: string, upgrade: string): boolean {
    this.keepAlive = this.minor === 1
    if (list === '' && upgrade === '') return true
    if (list.length > CONNECTION_LENGTH_MAX) return this.#refuse('head_too_large') > 0
    let wantsUpgrade = false
    let named: Names | null = null
    for (const part of list === '' ? [] : list.split(',')) {
      const name = withoutSpace(part).toLowerCase()
      if (name === 'keep-alive') this.keepAlive = true
      else if (name === 'upgrade') wantsUpgrade = true
      else if (name !== '' && name !== 'close') named = (named ?? new Names()).add(name)
    }
    if (listHas(list, 'close')) this.keepAlive = false
    this.dropped = named
    if (!wantsUpgrade || upgrade === '' || this.minor === 0 || namesHttp(upgrade.toLowerCase())) return true
    for (let at = 0; at < upgrade.length; at++) {
      if (PROTOCOLS[upgrade.charCodeAt(at)] !== 1) return this.#refuse('bad_request') > 0
    }
    // A tunnel that begins with a body is how requests are smuggled through it: HTTP.md, "h2c / Upgrade". Where none can begin,
    // as above, a body harms nobody, and `curl --http2` and Java's own client ask for h2c with every POST.
    if (this.chunked || this.contentLength > 0) return this.#refuse('bad_request') > 0
    this.upgrade = upgrade
    return true
  }

  /** RFC 9112 3.2: origin-form, absolute-form (whose authority replaces Host) and asterisk-form. */
  #splitTarget(): boolean {
    const target = this.target
    if (this.method === 'CONNECT') return this.#refuse('method_not_allowed') > 0
    if (target.charCodeAt(0) !== 47) {
      if (target === '*') {
        this.path = '*'
        return this.method === 'OPTIONS' || this.#refuse('bad_request') > 0
      }
      if (!this.#absoluteForm(target)) return false
    }
    const query = this.target.indexOf('?')
    this.path = query < 0 ? this.target : this.target.slice(0, query)
    return true
  }

  #absoluteForm(target: string): boolean {
    const scheme = equalsIgnoreCase(target, 0, 'http://') ? 7 : equalsIgnoreCase(target, 0, 'https://') ? 8 : 0
    if (scheme === 0) return this.#refuse('bad_request') > 0
    let end = scheme
    while (end < target.length && target.charCodeAt(end) !== 47 && target.charCodeAt(end) !== 63) end++
    if (end === scheme) return this.#refuse('bad_host') > 0
    if (this.authority !== '' && hostEnd(this.authority) < 0) return this.#refuse('bad_host') > 0
    this.authority = target.slice(scheme, end)
    const rest = target.slice(end)
    if (rest === '') this.target = this.method === 'OPTIONS' ? '*' : '/'
    else this.target = rest.charCodeAt(0) === 63 ? '/' + rest : rest
    return true
  }

  #hostName(hosts: number): boolean {
    if (this.authority === '') {
      this.host = ''
      return (this.minor === 0 && hosts === 0) || this.#refuse('bad_host') > 0
    }
    const known = this.#authorities.find(this.authority)
    if (known === null) return this.#refuse('bad_host') > 0
    this.authority = known.text
    this.host = known.host
    return true
  }
}

/** Whether an upgrade is to HTTP by any name (h2c, h2, HTTP/2.0): not passed on, for its requests would be out of our sight. */
function namesHttp(upgrade: string): boolean {
  return upgrade.includes('h2') || upgrade.includes('http')
}

function methodAt(text: string, start: number, end: number): string {
  for (const method of METHODS) if (method.length === end - start && text.startsWith(method, start)) return method
  return text.slice(start, end)
}
