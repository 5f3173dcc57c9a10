/**
 * The head of a response from a target, read as strictly as a request's: a target may be hostile or broken, and then it
 * harms its own exchange only. Whatever is malformed or ambiguous is refused (a 502), never repaired and never sent on.
 *
 * `parse(text)` looks only at complete lines and may be called again with more. Sources: RFC 9112 4, 6.3, 9.3; RFC 9110 15.
 */
import { KIND } from './field-kinds.ts'
import { Fields, Names } from './fields.ts'
import { CR, flat, isIgnoringCase, LF, listHas, octetsOf, PROTOCOLS, SP, VALUE, withoutSpace } from './syntax.ts'
import { codingOf } from './transfer-coding.ts'

/** What begins otherwise is no response, and is refused before its line has ended. */
export const PREFIX = 'HTTP/1.'
/** Characters of all Connection fields together: a set is made of what they list. */
const CONNECTION_LENGTH_MAX = 1_024
const STATUS_MAX = 599
/** Characters. Longer reasons are not kept: a target may say anything. */
export const REASON_KEPT_MAX = 64
/** Hints of a Keep-Alive field; nine digits of a number are more than enough. */
const TIMEOUT_HINT = /(?:^|[,; \t])timeout[ \t]*=[ \t]*"?(\d{1,9})/i
const MAX_HINT = /(?:^|[,; \t])max[ \t]*=[ \t]*"?(\d{1,9})/i

export class ResponseHead {
  readonly fields: Fields
  readonly #bytesMax: number
  /** What was read: the head, and behind it at `end` what of the body has come with it. */
  text = ''
  end = 0
  status = 0
  /** Reason phrase as it came; may be empty. */
  reason = ''
  minor = 1
  contentLength = -1
  chunked = false
  keepAlive = true
  /** Seconds of `Keep-Alive: timeout=`, the smallest if there are many; Infinity without. */
  keepAliveTimeoutS = Infinity
  /** Requests of `Keep-Alive: max=`, the smallest if there are many; Infinity without. */
  keepAliveMax = Infinity
  upgrade = ''
  hasDate = false
  /** It asks for a login that is one of the connection (bound-schemes.ts). */
  bindsConnection = false
  /** What Connection lists, our own concerns left out; null without any. Never changed later, so it may be kept. */
  dropped: Names | null = null
  /** The last hints that were read: a target says the same over and over. */
  #hint = ''
  /** By status, the last reason that was kept. */
  readonly #reasons: string[] = new Array(STATUS_MAX + 1).fill('')
  #hintTimeoutS = Infinity
  #hintMax = Infinity

  constructor(bytesMax: number, fieldsMax: number) {
    this.#bytesMax = bytesMax
    this.fields = new Fields(fieldsMax)
  }

  /** Offset behind the head; 0 when more is needed; -1 when refused. `bytes` from `base` on are the octets of the text. */
  parse(text: string, bytes: Uint8Array = octetsOf(text), base = 0): number {
    this.text = text
    const lineEnd = this.#statusLine(text)
    if (lineEnd < 0) return -1
    const end = lineEnd === 0 ? 0 : this.fields.read(text, lineEnd, bytes, base)
    if (end > this.#bytesMax || (end === 0 && text.length > this.#bytesMax)) return -1
    this.end = end
    if (end <= 0) return end
    return this.#understand() ? end : -1
  }

  #statusLine(text: string): number {
    if (!text.startsWith(text.length < PREFIX.length ? PREFIX.slice(0, text.length) : PREFIX)) return -1
    const lf = text.indexOf('\n')
    if (lf < 0) return 0
    if (lf < 13 || text.charCodeAt(lf - 1) !== CR) return -1
    const minor = text.charCodeAt(7) - 48
    if ((minor !== 0 && minor !== 1) || text.charCodeAt(8) !== SP) return -1
    let status = 0
    for (let at = 9; at < 12; at++) {
      const digit = text.charCodeAt(at) - 48
      if (digit < 0 || digit > 9) return -1
      status = status * 10 + digit
    }
    // HTTP/1.0 has no interim answers, so nobody can tell what follows one.
    if (status < (minor === 0 ? 200 : 100) || status > STATUS_MAX) return -1
    // RFC 9112 4: the space belongs there even without a reason; leaving it out is harmless and common.
    if (lf > 13 && text.charCodeAt(12) !== SP) return -1
    this.minor = minor
    this.status = status
    if (!this.#reasonAt(text, 13, lf - 1)) return -1
    return text.charCodeAt(lf) === LF ? lf + 1 : -1
  }

  /** Few targets say anything but the usual words: those are checked once, and are one string each. */
  #reasonAt(text: string, start: number, end: number): boolean {
    const last = this.#reasons[this.status]
    if (last.length === end - start && text.startsWith(last, start)) {
      this.reason = last
      return true
    }
    for (let at = start; at < end; at++) if (VALUE[text.charCodeAt(at)] !== 1) return false
    this.reason = end > start ? flat(text.slice(start, end)) : ''
    if (this.reason.length <= REASON_KEPT_MAX) this.#reasons[this.status] = this.reason
    return true
  }

  #understand(): boolean {
    this.contentLength = -1
    this.chunked = false
    this.keepAliveTimeoutS = Infinity
    this.keepAliveMax = Infinity
    this.upgrade = ''
    this.hasDate = false
    this.bindsConnection = false
    let connection = ''
    let coding: string | null = null
    const fields = this.fields
    for (let i = 0; i < fields.count; i++) {
      switch (fields.kind(i)) {
        case KIND.connection:
          connection = connection === '' ? fields.value(i) : connection + ',' + fields.value(i)
          break
        case KIND.contentLength: {
          const length = fields.length(i)
          if (length < 0 || this.contentLength >= 0) return false
          this.contentLength = length
          break
        }
        case KIND.transferEncoding:
          coding = coding === null ? fields.value(i) : coding + ',' + fields.value(i)
          break
        case KIND.keepAlive:
          this.#keepAliveHint(fields.value(i))
          break
        case KIND.upgrade:
          this.upgrade = this.upgrade === '' ? fields.value(i) : this.upgrade + ',' + fields.value(i)
          break
        case KIND.date:
          this.hasDate = true
          break
        case KIND.challenge:
          if (fields.hasBoundChallenge(i)) this.bindsConnection = true
          break
      }
    }
    if (connection.length > CONNECTION_LENGTH_MAX) return false
    if (coding !== null && !this.#coding(coding)) return false
    // RFC 9110 8.6: an interim response has no content; one that announces some is read in two ways.
    if (this.status < 200 && (this.chunked || this.contentLength > 0)) return false
    // RFC 9110 7.8: what Connection does not name is for nobody, least of all a switch that half the readers do not see.
    if (this.status === 101 && !listHas(connection, 'upgrade')) return false
    this.#connection(connection)
    return true
  }

  /** RFC 9112 6.1: a coding in HTTP/1.0, or beside a length, is faulty framing, and no other was asked for. */
  #coding(list: string): boolean {
    this.chunked = isIgnoringCase(list, 'chunked') || codingOf(list) === 'chunked'
    return this.chunked && this.contentLength < 0 && this.minor === 1
  }

  /**
   * The protocols that an answer of 426 demands, else empty: it must name them (RFC 9110 15.5.22), also those that would not be passed
   * on if a client asked for them. What other answers advertise is for us, who do not want it.
   */
  get demandedUpgrade(): string {
    if (this.status !== 426 || this.upgrade === '') return ''
    for (let at = 0; at < this.upgrade.length; at++) if (PROTOCOLS[this.upgrade.charCodeAt(at)] !== 1) return ''
    return this.upgrade
  }

  #keepAliveHint(value: string): void {
    if (value !== this.#hint) {
      this.#hint = flat(value)
      this.#hintTimeoutS = Number(TIMEOUT_HINT.exec(value)?.[1] ?? Infinity)
      this.#hintMax = Number(MAX_HINT.exec(value)?.[1] ?? Infinity)
    }
    this.keepAliveTimeoutS = Math.min(this.keepAliveTimeoutS, this.#hintTimeoutS)
    this.keepAliveMax = Math.min(this.keepAliveMax, this.#hintMax)
  }

  #connection(list: string): void {
    this.keepAlive = this.minor === 1
    this.dropped = null
    if (list === '') return
    let named: Names | null = null
    for (const part of list.split(',')) {
      const name = withoutSpace(part).toLowerCase()
      if (name === 'keep-alive') this.keepAlive = true
      else if (name !== '' && name !== 'close' && name !== 'upgrade') named = (named ?? new Names()).add(name)
    }
    if (listHas(list, 'close')) this.keepAlive = false
    if (this.hasDate && listHas(list, 'date')) this.hasDate = false
    this.dropped = named
  }
}
