/**
 * What a codec makes of a stream of bytes: the messages that it took, the one that it was reading, and how it ended. Ours is
 * here, llhttp's in test/fuzz/llhttp.ts, both in the same terms, so that tests can compare them message by message.
 *
 * `readRequests` and `readResponses` drive the parsers of src/dataplane as a connection does: a head is parsed again with
 * more text until it is complete or longer than it may be, then the rest goes to the body reader. The parsers are used again for every reading, as a
 * worker does, so that what one message leaves behind in them would show in the next.
 */
import { BodyReader, type Framing } from '../../../src/dataplane/http1/body.ts'
import type { Fields } from '../../../src/dataplane/http1/fields.ts'
import { DECIDED_AT_ONCE, RequestHead } from '../../../src/dataplane/http1/request-head.ts'
import { PREFIX, ResponseHead } from '../../../src/dataplane/http1/response-head.ts'

export interface Message {
  /** `METHOD target` as it came, or the status. */
  readonly start: string
  /** `name: value` of each field, the name in lower case. */
  readonly fields: readonly string[]
  readonly body: string
  readonly trailers: readonly string[]
  /** Offset in the stream behind the message; -1 while it is not complete, and where a codec does not tell. */
  readonly end: number
  readonly keepAlive: boolean
  /** What follows is taken for another protocol. */
  readonly upgrade: boolean
}

export interface Reading {
  readonly messages: readonly Message[]
  /** `whole`: the stream ended between messages; `partial`: within one; else why the rest was refused. */
  readonly verdict: string
  /** The message whose head was taken and whose body was not complete, or was refused. */
  readonly open: Message | null
}

/** Limits of a head, as the readings here have them: less than a proxy's defaults, so that floods need not be as long. */
export const HEAD_BYTES_MAX = 8_192
export const FIELDS_MAX = 64

/** Fields by their index, as the proxy reads them. */
function indexed(fields: Fields): string[] {
  const out: string[] = []
  for (let i = 0; i < fields.count; i++) out.push(`${fields.name(i)}: ${fields.value(i)}`)
  return out
}

/** Trailer lines as they are sent on. */
function lines(text: string): string[] {
  if (text !== '' && !text.endsWith('\r\n')) return [`no whole lines: ${text}`]
  return text
    .split('\r\n')
    .slice(0, -1)
    .map((line) => {
      const colon = line.indexOf(':')
      return `${line.slice(0, colon).toLowerCase()}: ${line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')}`
    })
}

interface Head {
  readonly start: string
  readonly framing: Framing
  readonly length: number
  readonly keepAlive: boolean
  readonly upgrade: boolean
  /** Nothing behind it is a message. */
  readonly isLast: boolean
}

interface Side {
  /** Offset behind the head, 0 for more, -1 when it is refused. `bytes` from `base` on are the octets of the text. */
  parse(text: string, bytes?: Uint8Array, base?: number): number
  error(): string
  /** Called after a head was parsed. */
  head(): Head
  fields: Fields
  body: BodyReader
  /** Bytes of a head from which on nothing can be decided before a line ends, so that it need not be parsed again. */
  readonly undecidedFrom: number
}

const requestHead = new RequestHead(HEAD_BYTES_MAX, FIELDS_MAX)
const responseHead = new ResponseHead(HEAD_BYTES_MAX, FIELDS_MAX)
const requestBody = new BodyReader('request')
const answerBody = new BodyReader('answer')

const requests: Side = {
  fields: requestHead.fields,
  body: requestBody,
  undecidedFrom: DECIDED_AT_ONCE,
  parse: (text, bytes, base) => requestHead.parse(text, bytes, base),
  error: () => requestHead.error ?? 'no error',
  head: () => {
    const { text, method, chunked, contentLength: length, keepAlive, upgrade } = requestHead
    // The parser keeps the target as it will be sent on; what is compared is how it came.
    const from = text.indexOf(' ') + 1
    return {
      start: `${method} ${text.slice(from, text.indexOf(' ', from))}`,
      framing: chunked ? 'chunked' : length > 0 ? 'length' : 'none',
      length,
      keepAlive,
      upgrade: upgrade !== '',
      isLast: !keepAlive || upgrade !== '',
    }
  },
}

/** `heads`: bit i is set when the final response i answers HEAD. */
function responses(heads: number): Side {
  let finals = 0
  return {
    fields: responseHead.fields,
    body: answerBody,
    undecidedFrom: PREFIX.length,
    parse: (text, bytes, base) => responseHead.parse(text, bytes, base),
    error: () => 'bad_response',
    head: () => {
      const { status, chunked, contentLength: length, keepAlive } = responseHead
      const isHead = status >= 200 && answersHead(heads, finals++)
      const none = isHead || status < 200 || status === 204 || status === 304
      const framing = none ? 'none' : chunked ? 'chunked' : length < 0 ? 'close' : length > 0 ? 'length' : 'none'
      const stays = keepAlive && framing !== 'close'
      const upgrade = status === 101
      // An interim response does not end the connection, whatever it says of the end of the final one.
      const isLast = upgrade || (status >= 200 && !stays)
      return { start: String(status), framing, length, keepAlive: stays, upgrade, isLast }
    },
  }
}

/** Whether final response `i` answers HEAD. */
export function answersHead(heads: number, i: number): boolean {
  return i < 31 && (heads & (1 << i)) !== 0
}

class Reader {
  readonly #side: Side
  readonly #messages: Message[] = []
  #text = ''
  #head: Head | null = null
  #fields: string[] = []
  #payload = ''
  #verdict = ''
  #taken = 0

  constructor(side: Side) {
    this.#side = side
  }

  feed(piece: Buffer): void {
    let at = 0
    while (at < piece.length && this.#verdict === '') {
      at = this.#head === null ? this.#feedHead(piece, at) : this.#feedBody(piece, at)
    }
    this.#taken += piece.length
  }

  /** The stream has ended. */
  end(): Reading {
    if (this.#head?.framing === 'close') this.#complete(this.#taken)
    const verdict = this.#verdict || (this.#head === null && this.#text === '' ? 'whole' : 'partial')
    return { messages: this.#messages, verdict, open: this.#head === null ? null : this.#message(-1, []) }
  }

  #feedHead(piece: Buffer, at: number): number {
    const before = this.#text.length
    const until = Math.min(piece.length, at + HEAD_BYTES_MAX + 1 - before)
    const added = piece.latin1Slice(at, until)
    const text = this.#text + added
    if (before >= this.#side.undecidedFrom && text.length <= HEAD_BYTES_MAX && !added.includes('\n')) {
      this.#text = text
      return until
    }
    const behind = before > 0 ? this.#side.parse(text) : this.#side.parse(text, piece, at)
    this.#text = behind === 0 ? text : ''
    if (behind < 0) this.#verdict = this.#side.error()
    if (behind <= 0) return until
    const head = this.#side.head()
    this.#head = head
    this.#fields = indexed(this.#side.fields)
    this.#payload = ''
    this.#side.body.start(head.framing, head.length)
    const next = at + behind - before
    if (this.#side.body.done) this.#complete(this.#taken + next)
    return next
  }

  #feedBody(piece: Buffer, at: number): number {
    const sink = Buffer.allocUnsafe(piece.length - at)
    const until = this.#side.body.decode(piece, at, piece.length, sink, 0)
    this.#payload += sink.latin1Slice(0, until)
    if (this.#side.body.malformed) this.#verdict = 'bad_body'
    else if (this.#side.body.done) this.#complete(this.#taken + this.#side.body.consumed)
    return this.#side.body.malformed ? piece.length : this.#side.body.consumed
  }

  #complete(end: number): void {
    this.#messages.push(this.#message(end, lines(this.#side.body.trailers)))
    if (this.#head!.isLast) this.#verdict = 'last'
    this.#head = null
  }

  #message(end: number, trailers: string[]): Message {
    const { start, keepAlive, upgrade } = this.#head!
    return { start, fields: this.#fields, body: this.#payload, trailers, end, keepAlive, upgrade }
  }
}

function read(side: Side, bytes: string, cuts: readonly number[]): Reading {
  const reader = new Reader(side)
  // From the beginning of its memory, like the buffer of a worker; what is cut begins anywhere.
  const all = Buffer.allocUnsafeSlow(bytes.length)
  all.latin1Write(bytes, 0)
  let from = 0
  for (const cut of [...cuts, all.length]) {
    if (cut > from) reader.feed(all.subarray(from, cut))
    from = Math.max(from, cut)
  }
  return reader.end()
}

/** Our reading of a client's bytes (latin1), delivered in pieces that end at `cuts` (ascending), then its FIN. */
export function readRequests(bytes: string, cuts: readonly number[] = []): Reading {
  return read(requests, bytes, cuts)
}

/** Our reading of a target's bytes, which end with its FIN. `heads`: bit i is set when final response i answers HEAD. */
export function readResponses(bytes: string, heads = 0, cuts: readonly number[] = []): Reading {
  return read(responses(heads), bytes, cuts)
}
