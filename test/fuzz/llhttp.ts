/**
 * llhttp's reading of a stream of bytes, in the terms of reading.ts: Node's own parser, strict (no leniency flag), as node:http
 * uses it, but without sockets between, so that a message is read in microseconds.
 *
 * node:http's JavaScript side checks a few things more (Host, header size); what is compared here is the grammar alone. One
 * parser of each kind is used over and over, as node:http does, so a run of many millions needs no more memory than a short one.
 */
import { createRequire } from 'node:module'
import { answersHead, type Message, type Reading } from '../dataplane/http1/reading.ts'

interface Parser {
  initialize(kind: number, resource: object, headerBytesMax: number, lenient: number): void
  execute(bytes: Buffer): number | (Error & { code: string; bytesParsed: number })
  finish(): undefined | (Error & { code: string })
  [callback: number]: unknown
}

interface ParserClass {
  new (): Parser
  readonly REQUEST: number
  readonly RESPONSE: number
  readonly kOnHeaders: number
  readonly kOnHeadersComplete: number
  readonly kOnBody: number
  readonly kOnMessageComplete: number
  readonly kLenientNone: number
}

const { HTTPParser, methods } = createRequire(import.meta.url)('node:_http_common') as {
  HTTPParser: ParserClass
  methods: readonly string[]
}

/** More than any head that we take, so that llhttp never refuses one for its size. */
const HEAD_BYTES_MAX = 65_536

/** Methods that llhttp knows; it refuses all others. */
export const LLHTTP_METHODS: ReadonlySet<string> = new Set(methods)
/** The one whose number is not its place in the list. */
const QUERY = 'QUERY'

/** llhttp's reading; an `end` of a message is told only where llhttp stopped behind it. */
export interface LlhttpReading extends Reading {
  /** Offset at which it stopped for another protocol, or because the connection was over; -1 when it did not. */
  readonly stoppedAt: number
}

class Reader {
  readonly #parser = new HTTPParser()
  readonly #kind: number
  #messages: Message[] = []
  #heads = 0
  #finals = 0
  #start = ''
  #fields: string[] = []
  /** Once it had to, the parser gives fields and target piece by piece, before it says that the head is complete. */
  #early: string[] = []
  #earlyUrl = ''
  #trailers: string[] = []
  #body = ''
  #keepAlive = true
  #upgrade = false
  #inMessage = false

  constructor(kind: number) {
    this.#kind = kind
    const parser = this.#parser
    parser[HTTPParser.kOnHeaders] = (flat: string[], url: string) => this.#onHeaders(flat, url)
    parser[HTTPParser.kOnBody] = (piece: Buffer) => {
      this.#body += piece.latin1Slice(0, piece.length)
    }
    parser[HTTPParser.kOnMessageComplete] = () => {
      this.#messages.push(this.#message())
      this.#inMessage = false
    }
    parser[HTTPParser.kOnHeadersComplete] = (
      _major: number,
      _minor: number,
      flat: string[] | undefined,
      method: number,
      url: string | undefined,
      status: number,
      _reason: string,
      upgrade: boolean,
      keepAlive: boolean,
    ) => {
      this.#start =
        kind === HTTPParser.REQUEST ? `${methods[method] ?? QUERY} ${url ?? this.#earlyUrl}` : String(status)
      this.#keepAlive = keepAlive
      this.#upgrade = upgrade
      return this.#onHeadersComplete(flat ?? [], status)
    }
  }

  read(bytes: string, heads: number): LlhttpReading {
    this.#messages = []
    this.#heads = heads
    this.#finals = 0
    this.#early = []
    this.#earlyUrl = ''
    this.#inMessage = false
    this.#parser.initialize(this.#kind, {}, HEAD_BYTES_MAX, HTTPParser.kLenientNone)
    const result = this.#parser.execute(Buffer.from(bytes, 'latin1'))
    const stoppedEarly = typeof result === 'number' && result < bytes.length
    let verdict = 'whole'
    let stoppedAt = stoppedEarly ? result : -1
    if (typeof result !== 'number') {
      verdict = result.code
      // It counts the byte that came too late.
      if (verdict === 'HPE_CLOSED_CONNECTION') stoppedAt = result.bytesParsed - 1
    } else if (!stoppedEarly) {
      const ended = this.#parser.finish()
      if (typeof ended === 'object') verdict = ended.code === 'HPE_INVALID_EOF_STATE' ? 'partial' : ended.code
      // It does not mind the end of the stream within the body of a request that asks for an upgrade.
      else if (this.#inMessage) verdict = 'partial'
    }
    return { messages: this.#messages, verdict, open: this.#inMessage ? this.#message() : null, stoppedAt }
  }

  #onHeaders(flat: readonly string[], url: string): void {
    if (this.#inMessage) this.#trailers.push(...pairs(flat))
    else {
      this.#early.push(...pairs(flat))
      this.#earlyUrl += url
    }
  }

  #onHeadersComplete(flat: readonly string[], status: number): number {
    this.#fields = this.#early.length === 0 ? pairs(flat) : [...this.#early, ...pairs(flat)]
    this.#early = []
    this.#earlyUrl = ''
    this.#trailers = []
    this.#body = ''
    this.#inMessage = true
    if (this.#kind === HTTPParser.REQUEST || status < 200) return 0
    return answersHead(this.#heads, this.#finals++) ? 1 : 0
  }

  #message(): Message {
    return {
      start: this.#start,
      fields: this.#fields,
      body: this.#body,
      trailers: this.#trailers,
      end: -1,
      keepAlive: this.#keepAlive,
      upgrade: this.#upgrade,
    }
  }
}

function pairs(flat: readonly string[]): string[] {
  const out: string[] = []
  for (let i = 0; i < flat.length; i += 2) out.push(`${flat[i].toLowerCase()}: ${flat[i + 1]}`)
  return out
}

const requestReader = new Reader(HTTPParser.REQUEST)
const responseReader = new Reader(HTTPParser.RESPONSE)

/** How llhttp reads a client's bytes (latin1) that end with its FIN. */
export function llhttpRequests(bytes: string): LlhttpReading {
  return requestReader.read(bytes, 0)
}

/** How llhttp reads a target's bytes that end with its FIN. `heads`: bit i is set when final response i answers HEAD. */
export function llhttpResponses(bytes: string, heads = 0): LlhttpReading {
  return responseReader.read(bytes, heads)
}
