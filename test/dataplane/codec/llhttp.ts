/**
 * llhttp's reading of the same bytes, in the terms of reading.ts: Node's own parser, strict (no leniency flag), as node:http
 * uses it, but without sockets between, so that a test compares some hundred thousand messages in seconds.
 *
 * node:http's JavaScript side checks a few things more (Host, header size); what is compared here is the grammar alone.
 */
import { createRequire } from 'node:module'
import type { Message, Reading } from './reading.ts'

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

/** Methods that llhttp knows and whose names we know by its numbers; it refuses all others. QUERY has a number of its own. */
export const LLHTTP_METHODS: ReadonlySet<string> = new Set(methods.filter((name) => name !== 'QUERY'))

function pairs(flat: readonly string[]): string[] {
  const out: string[] = []
  for (let i = 0; i < flat.length; i += 2) out.push(`${flat[i].toLowerCase()}: ${flat[i + 1]}`)
  return out
}

function read(kind: number, bytes: string, isHead: boolean): Reading {
  const parser = new HTTPParser()
  const messages: Message[] = []
  let start = ''
  let fields: string[] = []
  // Once it had to, the parser gives fields and target piece by piece, before it says that the head is complete.
  let early: string[] = []
  let earlyUrl = ''
  let trailers: string[] = []
  let body = ''
  let keepAlive = true
  let upgrade = false
  let inMessage = false
  parser.initialize(kind, {}, 65_536, HTTPParser.kLenientNone)
  parser[HTTPParser.kOnHeaders] = (flat: string[], url: string) => {
    if (inMessage) trailers.push(...pairs(flat))
    else {
      early.push(...pairs(flat))
      earlyUrl += url
    }
  }
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    _minor: number,
    flat: string[] | undefined,
    method: number,
    url: string | undefined,
    status: number,
    _reason: string,
    switches: boolean,
    persistent: boolean,
  ) => {
    start = kind === HTTPParser.REQUEST ? `${methods[method]} ${url ?? earlyUrl}` : String(status)
    fields = [...early, ...pairs(flat ?? [])]
    early = []
    earlyUrl = ''
    trailers = []
    body = ''
    keepAlive = persistent
    upgrade = switches
    inMessage = true
    return isHead ? 1 : 0
  }
  parser[HTTPParser.kOnBody] = (piece: Buffer) => {
    body += piece.toString('latin1')
  }
  parser[HTTPParser.kOnMessageComplete] = () => {
    messages.push({ start, fields, body, trailers, end: -1, keepAlive, upgrade })
    inMessage = false
  }
  const result = parser.execute(Buffer.from(bytes, 'latin1'))
  let verdict = 'whole'
  if (typeof result === 'object') verdict = result.code
  else {
    const ended = parser.finish()
    if (typeof ended === 'object') verdict = ended.code === 'HPE_INVALID_EOF_STATE' ? 'partial' : ended.code
  }
  return { messages, verdict, unfinished: inMessage ? start : '' }
}

/** How llhttp reads a client's bytes (latin1) that end with its FIN. */
export function llhttpRequests(bytes: string): Reading {
  return read(HTTPParser.REQUEST, bytes, false)
}

/** How llhttp reads a target's bytes that end with its FIN. */
export function llhttpResponses(bytes: string, isHead = false): Reading {
  return read(HTTPParser.RESPONSE, bytes, isHead)
}
