/**
 * What a codec makes of a stream of bytes: the messages that it took, and how it ended. Ours is here, llhttp's in llhttp.ts,
 * both in the same terms, so that tests can compare them message by message.
 *
 * `readRequests` and `readResponses` drive the parsers of src/dataplane as a connection does: a head is parsed again with
 * more text until it is complete, then the rest goes to the body reader.
 */
import { BodyReader, type Framing } from '../../../src/dataplane/body.ts'
import { RequestHead } from '../../../src/dataplane/request-head.ts'
import { ResponseHead } from '../../../src/dataplane/response-head.ts'

export interface Message {
  /** `METHOD target` as it came, or the status. */
  readonly start: string
  /** `name: value` of each field, the name in lower case. */
  readonly fields: readonly string[]
  readonly body: string
  readonly trailers: readonly string[]
  /** Offset in the stream behind the message. */
  readonly end: number
  readonly keepAlive: boolean
  /** Set by llhttp when it takes what follows for another protocol. */
  readonly upgrade?: boolean
}

export interface Reading {
  readonly messages: readonly Message[]
  /** `whole`: the stream ended between messages; `partial`: within one; else why the rest was refused. */
  readonly verdict: string
  /** What is known of the message that was not completed. */
  readonly unfinished: string
}

const HEAD_BYTES_MAX = 16_384
const FIELDS_MAX = 64

/** The field lines of a validated text as the readings have them. */
function lines(text: string): string[] {
  return text
    .split('\r\n')
    .filter((line) => line !== '')
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
  /** Nothing behind it is a message. */
  readonly isLast: boolean
}

interface Side {
  /** Offset behind the head, 0 for more, -1 when it is refused. */
  parse(text: string): number
  error(): string
  /** Called after a head was parsed. */
  head(): Head
}

function requests(): Side {
  const head = new RequestHead(HEAD_BYTES_MAX, FIELDS_MAX)
  return {
    parse: (text) => head.parse(text),
    error: () => head.error ?? 'no error',
    head: () => ({
      start: head.text.trimStart().split(' ', 2).join(' '),
      framing: head.chunked ? 'chunked' : head.contentLength > 0 ? 'length' : 'none',
      length: head.contentLength,
      keepAlive: head.keepAlive,
      isLast: !head.keepAlive || head.upgrade !== '',
    }),
  }
}

function responses(isHead: boolean): Side {
  const head = new ResponseHead(HEAD_BYTES_MAX, FIELDS_MAX)
  return {
    parse: (text) => head.parse(text),
    error: () => 'bad_response',
    head: () => {
      const { status, chunked, contentLength: length } = head
      const none = isHead || status < 200 || status === 204 || status === 304
      const framing = none ? 'none' : chunked ? 'chunked' : length < 0 ? 'close' : length > 0 ? 'length' : 'none'
      const isLast = status >= 200 && (!head.keepAlive || framing === 'close')
      return { start: String(status), framing, length, keepAlive: head.keepAlive, isLast: isLast || status === 101 }
    },
  }
}

class Reader {
  readonly #side: Side
  readonly #body = new BodyReader()
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
    const unfinished =
      this.#head === null ? '' : `${this.#head.start} ${this.#fields.join('|')} ${JSON.stringify(this.#payload)}`
    const verdict = this.#verdict || (this.#head === null && this.#text === '' ? 'whole' : 'partial')
    return { messages: this.#messages, verdict, unfinished }
  }

  #feedHead(piece: Buffer, at: number): number {
    const before = this.#text.length
    const text = this.#text + piece.latin1Slice(at, piece.length)
    const behind = this.#side.parse(text)
    this.#text = behind === 0 ? text : ''
    if (behind < 0) this.#verdict = this.#side.error()
    if (behind <= 0) return piece.length
    const head = this.#side.head()
    this.#head = head
    const first = text.startsWith('\r\n') ? 2 : 0
    this.#fields = lines(text.slice(text.indexOf('\r\n', first) + 2, behind))
    this.#payload = ''
    this.#body.start(head.framing, head.length)
    const next = at + behind - before
    if (this.#body.done) this.#complete(this.#taken + next)
    return next
  }

  #feedBody(piece: Buffer, at: number): number {
    const sink = Buffer.alloc(piece.length - at)
    const until = this.#body.decode(piece, at, piece.length, sink, 0)
    this.#payload += sink.latin1Slice(0, until)
    if (this.#body.malformed) this.#verdict = 'bad_body'
    else if (this.#body.done) this.#complete(this.#taken + this.#body.consumed)
    return this.#body.malformed ? piece.length : this.#body.consumed
  }

  #complete(end: number): void {
    const { start, keepAlive, isLast } = this.#head!
    const trailers = lines(this.#body.trailers)
    this.#messages.push({ start, keepAlive, end, fields: this.#fields, body: this.#payload, trailers })
    this.#head = null
    if (isLast) this.#verdict = 'last'
  }
}

function read(side: Side, bytes: string, cuts: readonly number[]): Reading {
  const reader = new Reader(side)
  const all = Buffer.from(bytes, 'latin1')
  let from = 0
  for (const cut of [...cuts, all.length]) {
    if (cut > from) reader.feed(all.subarray(from, cut))
    from = Math.max(from, cut)
  }
  return reader.end()
}

/** Our reading of a client's bytes (latin1), delivered in pieces that end at `cuts` (ascending). */
export function readRequests(bytes: string, cuts: readonly number[] = []): Reading {
  return read(requests(), bytes, cuts)
}

/** Our reading of a target's bytes, which end with its FIN. `isHead`: they answer HEAD. */
export function readResponses(bytes: string, isHead = false, cuts: readonly number[] = []): Reading {
  return read(responses(isHead), bytes, cuts)
}

/** Every place to cut a text. */
export function everyCut(bytes: string): number[] {
  return Array.from({ length: Math.max(0, bytes.length - 1) }, (_, i) => i + 1)
}
