/**
 * Our reading of a stream of bytes beside llhttp's: what each took for a message, where it ended, its fields, body, trailers
 * and whether the connection lives on; also the message that was still being read, since its head has gone to a target by then.
 *
 * Every difference must be one of REASONS or it is a fault. There are three kinds of fault:
 *   accepts   we take a message, or the head of one, that llhttp refuses, or that both should refuse by the table
 *   framing   both take it and understand it differently
 *   refuses   we refuse what llhttp takes, for no reason that is listed
 * and a fourth that needs no llhttp: `cut`, when our own reading depends on how the bytes arrive.
 *
 * Where llhttp refuses or stops by its own rules and we go on (see the reasons of kind `accept`), the message is compared again
 * with what llhttp minds taken out, or the rest anew from there, so that nothing behind such a place goes unseen.
 */
import { answersHead, type Message, type Reading, readRequests, readResponses } from '../dataplane/http1/reading.ts'
import { isDroppedTrailer } from './chunking.ts'
import { LLHTTP_METHODS, type LlhttpReading, llhttpRequests, llhttpResponses } from './llhttp.ts'
import { type Difference, isOddlyChunked, type Reason, reasonOf, refusalOf } from './reasons.ts'

/** Bytes on one connection, and what the requests were that responses answer. */
export interface Case {
  readonly side: 'request' | 'response'
  readonly bytes: string
  /** Bit i is set when final response i answers HEAD. */
  readonly heads: number
}

/** The two codecs; tests put a broken one in the place of ours. */
export interface Codecs {
  ours(side: Case['side'], bytes: string, heads: number, cuts?: readonly number[]): Reading
  theirs(side: Case['side'], bytes: string, heads: number): LlhttpReading
}

/** The codecs that are compared. */
export const CODECS: Codecs = {
  ours: (side, bytes, heads, cuts) =>
    side === 'request' ? readRequests(bytes, cuts) : readResponses(bytes, heads, cuts),
  theirs: (side, bytes, heads) => (side === 'request' ? llhttpRequests(bytes) : llhttpResponses(bytes, heads)),
}

/** What came of a comparison. */
export interface Verdict {
  /** `accepted`: both took all of it; `waiting`: both want more; `refused`: both refuse it; `stricter`: only we do. */
  result: 'accepted' | 'waiting' | 'refused' | 'stricter' | 'fault'
  /** Kind of the fault, a colon and what it is; else empty. */
  fault: string
  /** Listed differences that were met. */
  reasons: Reason[]
  /** Messages that both took and understood the same way. */
  messages: Message[]
}

/** A fault was found: its kind and what it is. */
const at = (kind: string, what: string) => `${kind}: ${what}`
const show = (value: unknown) => JSON.stringify(value)

function sameList(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** How the heads of two readings of a message differ; empty when they do not. */
function headDifference(ours: Message, theirs: Message): string {
  if (ours.start !== theirs.start) return at('framing', `start ${show(ours.start)}, llhttp ${show(theirs.start)}`)
  if (sameList(ours.fields, theirs.fields)) return ''
  return at('framing', `fields ${show(ours.fields)}, llhttp ${show(theirs.fields)}`)
}

function difference(ours: Message, theirs: Message, side: Case['side']): string {
  const head = headDifference(ours, theirs)
  if (head !== '') return head
  if (ours.body !== theirs.body) return at('framing', `body ${show(ours.body)}, llhttp ${show(theirs.body)}`)
  // Some are read and not passed on.
  const kept = theirs.trailers.filter((line) => !isDroppedTrailer(line, side))
  if (sameList(ours.trailers, kept)) return ''
  return at('framing', `trailers ${show(ours.trailers)}, llhttp ${show(theirs.trailers)}`)
}

/** Whether two readings by our codec are the same. */
function sameReading(a: Reading, b: Reading): boolean {
  const isSame = (one: Message, other: Message) =>
    headDifference(one, other) === '' && one.body === other.body && sameList(one.trailers, other.trailers)
  return (
    a.verdict === b.verdict &&
    (a.open === null) === (b.open === null) &&
    (a.open === null || isSame(a.open, b.open!)) &&
    a.messages.length === b.messages.length &&
    a.messages.every((message, i) => message.end === b.messages[i].end && isSame(message, b.messages[i]))
  )
}

/** Compares a stream delivered in these pieces with itself as a whole. */
export function compareCuts(codecs: Codecs, { side, bytes, heads }: Case, cuts: readonly number[]): string {
  const whole = codecs.ours(side, bytes, heads)
  const cut = codecs.ours(side, bytes, heads, cuts)
  if (sameReading(whole, cut)) return ''
  return at('cut', `${whole.verdict} as a whole, ${cut.verdict} in pieces, or another message`)
}

/** Compares the readings of both codecs. */
export function compare(codecs: Codecs, { side, bytes, heads }: Case): Verdict {
  const verdict: Verdict = { result: 'accepted', fault: '', reasons: [], messages: [] }
  const comparison = new Comparison(codecs, side, verdict)
  let rest = bytes
  for (;;) {
    const finals = verdict.messages.filter((message) => !isInterim(side, message)).length
    const next = comparison.compare(rest, heads >>> finals)
    if (next === 0) break
    rest = comparison.bytes.slice(next)
  }
  if (verdict.fault !== '') verdict.result = 'fault'
  return verdict
}

const isInterim = (side: Case['side'], message: Message) => side === 'response' && message.start < '200'

class Comparison {
  readonly #codecs: Codecs
  readonly #side: Case['side']
  readonly #verdict: Verdict
  /** What is compared: as it came, but for unknown methods. */
  bytes = ''
  #heads = 0
  #ours!: Reading
  #theirs!: LlhttpReading

  constructor(codecs: Codecs, side: Case['side'], verdict: Verdict) {
    this.#codecs = codecs
    this.#side = side
    this.#verdict = verdict
  }

  /** Compares `bytes`; returns the offset to begin anew at, 0 when it is over. */
  compare(bytes: string, heads: number): number {
    this.bytes = bytes
    this.#heads = heads
    this.#ours = this.#codecs.ours(this.#side, bytes, heads)
    this.#theirs = this.#codecs.theirs(this.#side, bytes, heads)
    const messages = this.#ours.messages
    for (let i = 0; i < messages.length; i++) {
      if (isOddlyChunked(this.bytes.slice(this.#endOf(i)))) return this.#withPlainCoding(i)
      const theirs = this.#theirs.messages[i]
      if (theirs === undefined) return this.#onlyOurs(i)
      if (theirs.upgrade && !messages[i].upgrade && this.#side === 'request') return this.#withoutUpgrade(i)
      const fault = difference(messages[i], theirs, this.#side)
      if (fault !== '') return this.#fault(fault)
      const refusal = refusalOf(this.#differenceAt(i, 'refuse'))
      if (refusal !== null) return this.#fault(at('accepts', `what is to be refused: ${refusal.what}`))
      this.#verdict.messages.push(messages[i])
      const next = this.#afterMessage(i, theirs)
      if (next >= 0) return next
    }
    return this.#tail(messages.length)
  }

  #fault(fault: string): 0 {
    this.#verdict.fault = fault
    return 0
  }

  #end(result: Verdict['result']): 0 {
    this.#verdict.result = result
    return 0
  }

  #differenceAt(i: number, kind: Reason['kind']): Difference {
    const { messages, open } = this.#theirs
    const ours = this.#ours.messages[i]
    return {
      kind,
      side: this.#side,
      error: kind === 'refuse' ? this.#ours.verdict : '',
      text: this.bytes.slice(this.#endOf(i), ours?.end),
      ours: ours ?? this.#ours.open,
      theirs: messages[i] ?? open,
    }
  }

  /** Notes a listed difference; without one it is a fault. */
  #explain(kind: Reason['kind'], i: number, fault: string): boolean {
    const reason = reasonOf(this.#differenceAt(i, kind))
    if (reason === null) this.#fault(fault)
    else this.#verdict.reasons.push(reason)
    return reason !== null
  }

  /** We took message `i` and llhttp did not. */
  #onlyOurs(i: number): number {
    const message = this.#ours.messages[i] ?? this.#ours.open
    const kind = this.#theirs.verdict === 'partial' ? 'framing' : 'accepts'
    return this.#withKnownMethod(i, at(kind, `${show(message.start)}: llhttp says ${this.#theirs.verdict}`))
  }

  /** llhttp refused message `i`; when that may be for its method, compares again with one that it knows. */
  #withKnownMethod(i: number, fault: string): number {
    const from = this.#endOf(i)
    const [, before, method] = /^((?:\r\n)?)([^ ]*) /.exec(this.bytes.slice(from)) ?? ['', '', '']
    if (this.#side === 'response' || LLHTTP_METHODS.has(method)) return this.#fault(fault)
    if (!this.#explain('accept', i, fault)) return 0
    const at = from + before.length
    this.#verdict.messages.length -= i
    return this.compare(this.bytes.slice(0, at) + 'POST' + this.bytes.slice(at + method.length), this.#heads)
  }

  /** llhttp takes message `i` for an upgrade, and we do not: compares again with fields of another name in its head. */
  #withoutUpgrade(i: number): number {
    if (!this.#explain('accept', i, at('framing', 'llhttp takes what follows for another protocol'))) return 0
    const from = this.#endOf(i)
    const to = this.bytes.indexOf('\r\n\r\n', from)
    const head = this.bytes.slice(from, to).replace(/\nupgrade:/gi, '\nxpgrade:')
    if (to < 0 || head === this.bytes.slice(from, to))
      return this.#fault(at('framing', 'an upgrade that none asks for'))
    this.#verdict.messages.length -= i
    return this.compare(this.bytes.slice(0, from) + head + this.bytes.slice(to), this.#heads)
  }

  /**
   * We take the coding of message `i` for `chunked`, as it is not plainly written: compares again with it written plainly, for
   * which llhttp must say the same as we do, and we the same as before.
   */
  #withPlainCoding(i: number): number {
    if (!this.#explain('accept', i, at('framing', 'a coding that is not plainly chunked'))) return 0
    const from = this.#endOf(i)
    const end = this.bytes.indexOf('\r\n\r\n', from)
    const to = end < 0 ? this.bytes.length : end + 2
    let line = '\nTransfer-Encoding: chunked\r'
    const head = this.bytes.slice(from, to).replace(/\ntransfer-encoding:[^\n]*/gi, () => {
      const plain = line
      line = ''
      return plain
    })
    const bytes = this.bytes.slice(0, from) + head + this.bytes.slice(to)
    const before = this.#ours.messages[i] ?? this.#ours.open
    const { messages, verdict, open } = this.#codecs.ours(this.#side, bytes, this.#heads)
    const plain = messages[i] ?? open
    if (verdict !== this.#ours.verdict || plain?.body !== before?.body || plain?.keepAlive !== before?.keepAlive) {
      return this.#fault(at('framing', `another reading of it when it is plainly chunked (${verdict})`))
    }
    this.#verdict.messages.length -= i
    return this.compare(bytes, this.#heads)
  }

  /** Whether both go on behind message `i`: -1 when they do, else what `compare` returns. */
  #afterMessage(i: number, theirs: Message): number {
    const ours = this.#ours.messages[i]
    if (isInterim(this.#side, ours)) return this.#afterInterim(i, theirs)
    if (ours.upgrade) {
      if (theirs.upgrade) return this.#stopped(ours.end)
      return this.#fault(at('framing', 'we take what follows for another protocol, llhttp does not'))
    }
    if (ours.keepAlive) {
      // Before llhttp knows that there is no body, it may say that the end of one is that of the connection.
      return theirs.keepAlive || this.#answersHead(i) ? -1 : this.#fault(at('framing', 'llhttp closes here'))
    }
    if (!this.#goesOn(i, theirs)) return this.#stopped(ours.end)
    this.#explain('close', i, at('framing', 'we close a connection that llhttp keeps'))
    return this.#end('accepted')
  }

  #afterInterim(i: number, theirs: Message): number {
    const ours = this.#ours.messages[i]
    if (ours.start === '101') return this.#stopped(ours.end)
    if (ours.keepAlive !== theirs.keepAlive) return this.#fault(at('framing', 'another reading of keep-alive'))
    return ours.keepAlive ? -1 : this.#goOn(i, 'we read on behind what llhttp takes for the last response')
  }

  /** Whether the response `i` answers HEAD. */
  #answersHead(i: number): boolean {
    if (this.#side === 'request') return false
    const finals = this.#ours.messages.slice(0, i).filter((message) => !isInterim(this.#side, message)).length
    return answersHead(this.#heads, finals)
  }

  /** Whether llhttp reads on behind message `i`. */
  #goesOn(i: number, theirs: Message): boolean {
    if (!this.#answersHead(i)) return theirs.keepAlive
    const { messages, stoppedAt } = this.#theirs
    return messages.length > i + 1 || (stoppedAt < 0 && /[^\r\n]/.test(this.bytes.slice(this.#ours.messages[i].end)))
  }

  /** Both stop: they must do so at the same place, but for empty lines, which llhttp looks past. */
  #stopped(end: number): 0 {
    const { stoppedAt, verdict } = this.#theirs
    const between = this.bytes.slice(end, Math.max(end, stoppedAt))
    if (stoppedAt >= 0 && (stoppedAt < end || /[^\r\n]/.test(between))) {
      return this.#fault(at('framing', `it ends at ${end}, llhttp ${stoppedAt} (${verdict})`))
    }
    if (stoppedAt < 0 && /[^\r\n]/.test(this.bytes.slice(end))) {
      return this.#fault(at('framing', `it ends at ${end}, and llhttp reads on (${verdict})`))
    }
    return this.#end('accepted')
  }

  /** We read on where llhttp stops. */
  #goOn(i: number, what: string): number {
    const { end } = this.#ours.messages[i]
    if (!this.#explain('accept', i, at('accepts', what))) return 0
    if (end >= this.bytes.length) return this.#end('accepted')
    return end
  }

  /** All complete messages are compared; the rest is what each codec makes of the bytes behind them. */
  #tail(count: number): number {
    const { verdict, open } = this.#ours
    const theirs = this.#theirs
    if (open !== null) {
      if (isOddlyChunked(this.bytes.slice(this.#endOf(count)))) return this.#withPlainCoding(count)
      const head = theirs.messages[count] ?? theirs.open
      if (head === null) return this.#onlyOurs(count)
      if (head.upgrade && !open.upgrade) return this.#withoutUpgrade(count)
      const fault = headDifference(open, head) || bodyDifference(open, head)
      if (fault !== '') return this.#fault(fault)
    }
    if (verdict === 'whole' || verdict === 'last') return this.#wholeTail(count)
    if (verdict === 'partial') return this.#partialTail(count)
    const refusedToo = theirs.messages.length === count && !['whole', 'partial'].includes(theirs.verdict)
    if (refusedToo) return this.#end('refused')
    this.#explain('refuse', count, at('refuses', `${verdict}; llhttp says ${theirs.verdict}`))
    return this.#end('stricter')
  }

  #wholeTail(count: number): 0 {
    const { messages, open, verdict } = this.#theirs
    if (verdict === 'whole' && open === null && messages.length === count) return this.#end('accepted')
    return this.#fault(at('framing', `we are at the end of a message, llhttp says ${verdict}`))
  }

  /** We wait for more. When llhttp has refused already, we must do so as soon as a line ends. */
  #partialTail(count: number): number {
    const { messages, open, verdict } = this.#theirs
    if (messages.length > count) return this.#fault(at('framing', 'we wait for more of what llhttp took as complete'))
    if (verdict === 'partial') {
      if (open?.body === this.#ours.open?.body) return this.#end('waiting')
      return this.#fault(at('framing', 'what is read of the message that is not complete differs'))
    }
    // llhttp looks past empty lines, and we wait for what comes behind the one that we allow.
    if (verdict === 'whole') {
      const isEmpty = this.#ours.open === null && /^\r?\n?$/.test(this.bytes.slice(this.#endOf(count)))
      return isEmpty ? this.#end('accepted') : this.#fault(at('framing', 'we wait for more, llhttp does not'))
    }
    if (isOddlyChunked(this.bytes.slice(this.#endOf(count)))) return this.#withPlainCoding(count)
    const later = this.#codecs.ours(this.#side, `${this.bytes}\r\n\r\n`, this.#heads)
    const refused = !['whole', 'partial', 'last'].includes(later.verdict) && later.messages.length === count
    return refused ? this.#end('refused') : this.#withKnownMethod(count, at('accepts', `llhttp says ${verdict}`))
  }

  #endOf(count: number): number {
    return count === 0 ? 0 : this.#ours.messages[count - 1].end
  }
}

/** Bodies that are not complete may end at different places, but one must be the beginning of the other. */
function bodyDifference(ours: Message, theirs: Message): string {
  if (theirs.body.startsWith(ours.body) || ours.body.startsWith(theirs.body)) return ''
  return at('framing', `body ${show(ours.body)}, llhttp ${show(theirs.body)}`)
}
