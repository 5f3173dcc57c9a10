/**
 * Every difference between our codec and llhttp that is meant, each with its reason and its source. Three kinds:
 *   refuse   llhttp takes it and we refuse it: a target never sees it
 *   close    both take it, and we end the connection behind it where llhttp would read on
 *   accept   we take it, or read on, where llhttp refuses or stops; there is no other such case
 *
 * A reason looks at the bytes and at llhttp's reading, never at how our codec came to its verdict (but for the error code,
 * which must be the right one): so a codec that refuses too much finds no excuse here. And the other way round: what a row
 * says that we refuse must never be among what both took. The table is printed by `npm run fuzz`, and reasons.test.ts proves
 * each row by its example.
 */
import { isIPv6 } from 'node:net'
import { FIELDS_MAX, HEAD_BYTES_MAX, type Message } from '../dataplane/http1/reading.ts'
import { brokenChunking, chunkingOf } from './chunking.ts'
import { LLHTTP_METHODS } from './llhttp.ts'

/** A difference to be explained. */
export interface Difference {
  readonly kind: 'refuse' | 'close' | 'accept'
  readonly side: 'request' | 'response'
  /** Our error code; empty when we did not refuse. */
  readonly error: string
  /** The bytes from the beginning of the message. */
  readonly text: string
  readonly ours: Message | null
  /** llhttp's reading of it, once it had the head. */
  readonly theirs: Message | null
}

/** A row of the table. */
export interface Reason {
  readonly kind: Difference['kind']
  readonly side: Difference['side'] | 'both'
  /** What it is about, in a few words. */
  readonly what: string
  /** Where it is written. */
  readonly source: string
  readonly because: string
  /** Our error codes for it. */
  readonly errors: readonly string[]
  /** It is a limit, which `applies` knows only about. */
  readonly isLimit?: true
  /** Bytes that show it. */
  readonly example: string
  applies(difference: Difference): boolean
}

const values = (message: Message | null, name: string): string[] =>
  (message?.fields ?? []).filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2))

/** First line of a message, behind an empty one. */
const lineOf = (text: string) => /^(?:\r\n)?([^\r\n]*)/.exec(text)?.[1] ?? ''
const targetOf = (text: string) => /^[^ ]+ +([^ ]*)/.exec(lineOf(text))?.[1] ?? ''
const versionOf = (text: string) => / ([^ ]*)$/.exec(lineOf(text))?.[1] ?? ''
const headOf = (text: string) =>
  text.slice(0, text.indexOf('\r\n\r\n') < 0 ? text.length : text.indexOf('\r\n\r\n') + 4)
const fieldCount = (text: string) =>
  headOf(text)
    .split('\r\n')
    .filter((line) => line !== '').length - 1
const connection = (message: Message | null) => values(message, 'connection').join(',')
/** Whether a list has this token, with nothing but SP and HTAB around it (`trim` would also take U+00A0). */
const lists = (list: string, token: string) => new RegExp(`(?:^|,)[ \\t]*${token}[ \\t]*(?:,|$)`, 'i').test(list)

/** RFC 3986 3.2.2 without `%` and `,`, which no host name has: readers disagree on them. */
function isAuthority(text: string): boolean {
  const [, literal, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|[\w.~!$&'()*+;=-]+)(?::(\d{0,5}))?$/.exec(text) ?? []
  if (port === undefined && !/^(?:\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+;=-]+)$/.test(text)) return false
  const host = text.replace(/:\d*$/, '')
  return (literal === undefined || isIPv6(literal)) && Number(port ?? 0) <= 65_535 && host.length <= 255
}

const authorityOf = (target: string) => /^https?:\/\/([^/?]*)/i.exec(target)?.[1] ?? null
/** What is wrong with the chunks of a message that has such. */
const chunkFault = ({ text, theirs, side }: Difference) =>
  codings(theirs).length === 0 ? '' : brokenChunking(chunkingOf(text.slice(headOf(text).length)), side)
const codings = (message: Message | null) => values(message, 'transfer-encoding')
/** The lists of codings in a head, one a line. A bare CR begins no line, as it would for `^` of a multi-line pattern. */
const codingLines = (text: string) =>
  // The last line may have no end yet.
  [
    ...headOf(text)
      .replace(/\r?\n?$/, '\r\n')
      .matchAll(/(?<=\n)transfer-encoding:([^\r\n]*)(?=\r\n)/gi),
  ].map(([, list]) => list)
/** The codings of a head, gaps and white space taken out (RFC 9110 5.6.1). */
const codingList = (text: string) =>
  codingLines(text)
    // A quoted string, whatever is in it, is one letter that no token has.
    .flatMap((list) => list.replace(/"(?:[^"\\]|\\.)*"/g, '\0').split(','))
    .map((coding) => coding.replace(/^[ \t]+|[ \t]+$/g, '').toLowerCase())
    .filter((coding) => coding !== '')
const hasCoding = (text: string) => /(?<=\n)transfer-encoding:/i.test(headOf(text))
const isOld = (text: string) => /(^HTTP\/1\.0 | HTTP\/1\.0$)/.test(lineOf(text))

/** Whether the codings are well-formed, and end in one `chunked` behind others: to be refused by 501 and not by 400. */
function isUnknown(text: string): boolean {
  const list = codingList(text)
  const token = "[\\w!#$%&'*+.^`|~-]+"
  const form = new RegExp(`^${token}(?:[ \\t]*;[ \\t]*${token}[ \\t]*=[ \\t]*(?:${token}|\0))*$`)
  const first = list.findIndex((coding) => /^chunked(?![^ \t;])/.test(coding))
  return (
    first > 0 && first === list.length - 1 && list[first] === 'chunked' && list.every((coding) => form.test(coding))
  )
}

const isLoneChunked = (text: string) => codingList(text).join(',') === 'chunked'

/** Whether the codings of a head are one `chunked`, and not written as just that: many readers know no other way. */
export const isOddlyChunked = (text: string) =>
  isLoneChunked(text) && !/^[ \t]*chunked *$/i.test(codingLines(text).join())

const lengths = (message: Message | null) => values(message, 'content-length')

const get = (line: string, ...fields: string[]) => `${[line, 'Host: a', ...fields].join('\r\n')}\r\n\r\n`
const chunked = (body: string) => get('POST / HTTP/1.1', 'Transfer-Encoding: chunked') + body
const ok = (...fields: string[]) => `${['HTTP/1.1 200 OK', ...fields].join('\r\n')}\r\n\r\n`

const REQUEST_LINES: readonly Reason[] = [
  {
    kind: 'refuse',
    side: 'request',
    what: 'line ends before a request, other than one CRLF',
    source: 'RFC 9112 2.2',
    because: 'one empty line is what old clients send behind a body; anything more hides where a request begins',
    errors: ['bad_request'],
    example: `\r\n\r\n${get('GET / HTTP/1.1')}`,
    applies: ({ text }) => /^[\r\n]/.test(text) && !/^\r\n(?![\r\n])/.test(text),
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'more spaces than one in the request line',
    source: 'RFC 9112 3',
    because: 'such lines are split in more than one way',
    errors: ['bad_request'],
    example: get('GET /  HTTP/1.1'),
    applies: ({ text }) => / {2}/.test(lineOf(text)),
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'a fragment in the target',
    source: 'RFC 9112 3.2',
    because: 'no form of a target has one; targets cut it off or take it for a part of the path',
    errors: ['bad_request', 'bad_host'],
    example: get('GET /#x HTTP/1.1'),
    applies: ({ text }) => targetOf(text).includes('#'),
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'a target in none of the forms: another scheme, an asterisk without OPTIONS',
    source: 'RFC 9112 3.2',
    because: 'a proxy must not be talked into another protocol or address',
    errors: ['bad_request'],
    example: get('GET ftp://a/ HTTP/1.1'),
    applies: ({ text }) => {
      const target = targetOf(text)
      return !/^\/|^https?:\/\//i.test(target) && !(target === '*' && /^(\r\n)?OPTIONS /.test(text))
    },
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'absolute-form with an authority that is none: empty, user information, a bad port',
    source: 'RFC 9110 4.2.1, 4.2.4',
    because: 'who is asked would depend on who reads it',
    errors: ['bad_host'],
    example: get('GET http://a@b/ HTTP/1.1'),
    applies: ({ text }) => {
      const authority = authorityOf(targetOf(text))
      return authority !== null && !isAuthority(authority)
    },
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'CONNECT',
    source: 'RFC 9110 9.3.6',
    because: 'this is no forward proxy (405)',
    errors: ['method_not_allowed'],
    example: get('CONNECT a:80 HTTP/1.1'),
    applies: ({ text }) => /^(\r\n)?CONNECT /.test(text),
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'HTTP/0.9 and HTTP/2.0 on a connection of HTTP/1',
    source: 'RFC 9110 2.5, 15.6.6',
    because: 'it is not what follows (505)',
    errors: ['version_not_supported'],
    example: get('GET / HTTP/2.0'),
    applies: ({ text }) => /^HTTP\/(0\.9|2\.0)$/.test(versionOf(text)),
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'a request line without version',
    source: 'RFC 9112 2.3, 3',
    because: 'HTTP/0.9 has no fields and no framing, and its line may end in a bare LF in llhttp',
    errors: ['bad_request'],
    example: 'GET /\r\n\r\n',
    applies: ({ text }) => /^(\r\n)?[^ \r\n]+ +[^ \r\n]*\r?\n/.test(text),
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'RTSP and ICE',
    source: 'RFC 9112 2.3',
    because: 'llhttp reads these protocols too, we read HTTP',
    errors: ['bad_request'],
    example: get('GET / RTSP/1.0'),
    applies: ({ text }) => /^(RTSP|ICE)\//.test(versionOf(text)),
  },
]

const HEADS: readonly Reason[] = [
  {
    kind: 'refuse',
    side: 'request',
    what: 'a target longer than all of a head may be',
    source: 'RFC 9112 3',
    because: 'a limit (414)',
    errors: ['uri_too_long'],
    isLimit: true,
    example: get(`GET /${'a'.repeat(HEAD_BYTES_MAX)} HTTP/1.1`),
    applies: ({ text }) => lineOf(text).length > HEAD_BYTES_MAX - 16,
  },
  {
    kind: 'refuse',
    side: 'both',
    what: 'a head of too many bytes or fields, or a Connection list of more than 1,024',
    source: 'RFC 9110 5.4',
    because: 'limits (431, 502)',
    errors: ['head_too_large', 'bad_response'],
    isLimit: true,
    example: get('GET / HTTP/1.1', `X-A: ${'b'.repeat(HEAD_BYTES_MAX)}`),
    applies: ({ text, theirs }) =>
      headOf(text).length > HEAD_BYTES_MAX || fieldCount(text) > FIELDS_MAX || connection(theirs).length > 1_024,
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'no Host, more than one, or one that is malformed or longer than 255 characters',
    source: 'RFC 9112 3.2',
    because: 'who is asked must be beyond doubt (node:http refuses most of these too, behind llhttp)',
    errors: ['bad_host'],
    example: 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    applies: ({ text, theirs }) => {
      const hosts = values(theirs, 'host')
      if (hosts.length === 0) return versionOf(text) === 'HTTP/1.1'
      // An empty one is well-formed, and absolute-form takes its place.
      const isReplaced = hosts[0] === '' && authorityOf(targetOf(text)) !== null
      return hosts.length > 1 || (!isReplaced && !isAuthority(hosts[0]))
    },
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'an expectation other than 100-continue',
    source: 'RFC 9110 10.1.1',
    because: 'it cannot be met (417)',
    errors: ['expectation_failed'],
    example: get('GET / HTTP/1.1', 'Expect: x'),
    applies: ({ theirs }) => values(theirs, 'expect').some((value) => value.toLowerCase() !== '100-continue'),
  },
  {
    kind: 'refuse',
    side: 'request',
    what: 'an upgrade with a body, or to what is no protocol',
    source: 'RFC 9110 7.8',
    because: 'a tunnel that begins with a body is how requests are smuggled through it',
    errors: ['bad_request'],
    example: `${get('POST / HTTP/1.1', 'Connection: upgrade', 'Upgrade: websocket', 'Content-Length: 1')}x`,
    applies: ({ text, theirs }) => {
      const upgrade = values(theirs, 'upgrade').join(',')
      const isAsked = upgrade !== '' && versionOf(text) === 'HTTP/1.1' && lists(connection(theirs), 'upgrade')
      const hasBody = codings(theirs).length > 0 || lengths(theirs).some((length) => Number(length) > 0)
      return isAsked && !/h2|http/i.test(upgrade) && (hasBody || /[^\w!#$%&'*+.^`|~,/ \t-]/.test(upgrade))
    },
  },
]

const FRAMING: readonly Reason[] = [
  {
    kind: 'refuse',
    side: 'request',
    what: 'zeros before a length',
    source: 'RFC 9112 6.3',
    because:
      'who reads them as octal would end the request elsewhere, and no client needs them; an answer we write anew',
    errors: ['bad_framing'],
    example: `${get('POST / HTTP/1.1', 'Content-Length: 03')}abc`,
    applies: ({ theirs }) => lengths(theirs).some((length) => /^0\d/.test(length)),
  },
  {
    kind: 'refuse',
    side: 'both',
    what: 'a length of 2^53 or more',
    source: 'RFC 9110 8.6',
    because: 'we count no further, and must not round',
    errors: ['bad_framing', 'bad_response'],
    example: get('POST / HTTP/1.1', 'Content-Length: 9007199254740993'),
    applies: ({ theirs }) => lengths(theirs).some((length) => /^\d+$/.test(length) && BigInt(length) >= 2n ** 53n),
  },
  {
    kind: 'refuse',
    side: 'both',
    what: 'transfer codings other than a lone chunked',
    source: 'RFC 9112 6.1, 7',
    because:
      'what a target does not know it reads in its own way (501 behind others that we do not know, 400 where it is not the last)',
    errors: ['bad_framing', 'not_implemented', 'bad_response'],
    example: `${get('POST / HTTP/1.1', 'Transfer-Encoding: gzip, chunked')}0\r\n\r\n`,
    applies: ({ text, error }) =>
      hasCoding(text) &&
      !isLoneChunked(text) &&
      (error === 'not_implemented') === (error !== 'bad_response' && isUnknown(text)),
  },
  {
    kind: 'refuse',
    side: 'both',
    what: 'more than 16 elements in the lists of transfer codings, empty ones included',
    source: 'RFC 9110 5.6.1',
    because: 'a limit: a recipient ignores "a reasonable number" of empty ones',
    errors: ['bad_framing', 'bad_response'],
    isLimit: true,
    example: `${get('POST / HTTP/1.1', `Transfer-Encoding: ${','.repeat(16)}chunked`)}0\r\n\r\n`,
    applies: ({ text }) => codingLines(text).join().split(',').length > 16,
  },
  {
    kind: 'refuse',
    side: 'both',
    what: 'a transfer coding in HTTP/1.0',
    source: 'RFC 9112 6.1',
    because: 'faulty framing, by the RFC',
    errors: ['bad_framing', 'bad_response'],
    example: 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    applies: ({ text }) => hasCoding(text) && isOld(text),
  },
]

const BODIES: readonly Reason[] = [
  {
    kind: 'refuse',
    side: 'both',
    what: 'more than 13 digits of a chunk size',
    source: 'RFC 9112 7.1',
    because: 'we count to 2^53',
    errors: ['bad_body'],
    example: chunked('00000000000000\r\n\r\n'),
    applies: (difference) => chunkFault(difference) === 'size',
  },
  {
    kind: 'refuse',
    side: 'both',
    what: 'a chunk extension that is not ;name[=token|"quoted"]',
    source: 'RFC 9112 7.1.1',
    because: 'extensions are where chunked readers disagree most',
    errors: ['bad_body'],
    example: chunked('1;a=\r\nx\r\n0\r\n\r\n'),
    applies: (difference) => chunkFault(difference) === 'extension',
  },
  {
    kind: 'refuse',
    side: 'both',
    what: 'chunk extensions, or trailers, of more than 16,384 bytes, or more than 64 trailers',
    source: 'RFC 9112 7.1.1, 7.1.2',
    because: 'limits against floods',
    errors: ['bad_body'],
    isLimit: true,
    example: chunked(`0\r\nX-A: ${'b'.repeat(16_384)}\r\n\r\n`),
    applies: (difference) => chunkFault(difference) === 'flood',
  },
  {
    kind: 'refuse',
    side: 'both',
    what: 'framing or Connection in trailers; in those of a request also routing, credentials and what says how it is to be read',
    source: 'RFC 9110 6.5.1',
    because: 'whoever merges them into the head would be deceived; others that mean nothing there are dropped',
    errors: ['bad_body'],
    example: chunked('0\r\nHost: b\r\n\r\n'),
    applies: (difference) => chunkFault(difference) === 'trailer',
  },
]

const RESPONSES: readonly Reason[] = [
  {
    kind: 'refuse',
    side: 'response',
    what: 'line ends before a response',
    source: 'RFC 9112 2.2',
    because: 'they may be ignored before requests only: here they are what is left of another answer',
    errors: ['bad_response'],
    example: `\r\n${ok('Content-Length: 0')}`,
    applies: ({ text }) => /^[\r\n]/.test(text),
  },
  {
    kind: 'refuse',
    side: 'response',
    what: 'HTTP/0.9 and HTTP/2.0 on a connection of HTTP/1, RTSP and ICE',
    source: 'RFC 9112 2.3',
    because: 'it is not what was asked in',
    errors: ['bad_response'],
    example: 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n',
    applies: ({ text }) => /^(HTTP\/[^1]|R|I)/.test(text),
  },
  {
    kind: 'refuse',
    side: 'response',
    what: 'a status below 100 or above 599',
    source: 'RFC 9110 15',
    because: 'nobody knows how such a response is framed',
    errors: ['bad_response'],
    example: 'HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n',
    applies: ({ text }) => /^HTTP\/\d\.\d +(0\d\d|[6-9]\d\d)(?!\d)/.test(text),
  },
  {
    kind: 'refuse',
    side: 'response',
    what: 'a control byte in the reason',
    source: 'RFC 9112 4',
    because: 'it holds none, and what is sent on must not confuse whoever reads or logs it',
    errors: ['bad_response'],
    example: 'HTTP/1.1 200 \x01\r\nContent-Length: 0\r\n\r\n',
    applies: ({ text }) => /^HTTP\/1\.[01] \d{3} [^\r\n]*[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(text),
  },
  {
    kind: 'refuse',
    side: 'response',
    what: 'an interim response in HTTP/1.0',
    source: 'RFC 9110 15.2',
    because: 'HTTP/1.0 has none, so nobody can tell what follows',
    errors: ['bad_response'],
    example: 'HTTP/1.0 100 Continue\r\n\r\n',
    applies: ({ text }) => /^HTTP\/1\.0 1/.test(text),
  },
  {
    kind: 'refuse',
    side: 'response',
    what: 'an interim response that announces a body',
    source: 'RFC 9112 6.3, RFC 9110 15.2',
    because: 'it has none; some would read one all the same',
    errors: ['bad_response'],
    example: 'HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n',
    applies: ({ text, theirs }) =>
      /^HTTP\/1\.1 1/.test(text) &&
      (codings(theirs).length > 0 || lengths(theirs).some((length) => !/^0+$/.test(length))),
  },
  {
    kind: 'refuse',
    side: 'response',
    what: 'a 101 whose Connection does not name Upgrade',
    source: 'RFC 9110 7.8',
    because: 'whoever drops what Connection does not name sees no switch',
    errors: ['bad_response'],
    example: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n',
    applies: ({ text, theirs }) => /^HTTP\/1\.1 101(?!\d)/.test(text) && !lists(connection(theirs), 'upgrade'),
  },
]

const CLOSES: readonly Reason[] = [
  {
    kind: 'close',
    side: 'both',
    what: 'close beside keep-alive in HTTP/1.0',
    source: 'RFC 9112 9.3',
    because: 'close comes first there; llhttp looks for keep-alive only',
    errors: [],
    example: 'GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n',
    applies: ({ text, theirs }) => lists(connection(theirs), 'close') && isOld(text),
  },
]

const ACCEPTS: readonly Reason[] = [
  {
    kind: 'accept',
    side: 'request',
    what: 'a method that llhttp does not know',
    source: 'RFC 9110 9.1',
    because:
      'any token is a method, and a proxy passes on what it does not know; all the rest is compared with POST for it',
    errors: [],
    example: get('BREW / HTTP/1.1'),
    applies: ({ text, theirs }) => {
      const [, method] = /^(?:\r\n)?([\w!#$%&'*+.^`|~-]{1,32}) /.exec(text) ?? []
      return theirs === null && method !== undefined && !LLHTTP_METHODS.has(method)
    },
  },
  {
    kind: 'accept',
    side: 'request',
    what: 'the request behind an upgrade that is not passed on (to HTTP/2, in HTTP/1.0)',
    source: 'RFC 9110 7.8',
    because:
      'a server may ignore Upgrade: our target is never asked to switch, so what follows is HTTP; all is compared with another name for Upgrade',
    errors: [],
    example: get('GET / HTTP/1.1', 'Connection: upgrade', 'Upgrade: h2c') + get('GET / HTTP/1.1'),
    applies: ({ text, theirs }) =>
      theirs?.upgrade === true &&
      (versionOf(text) === 'HTTP/1.0' || /h2|http/i.test(values(theirs, 'upgrade').join(','))),
  },
  {
    kind: 'accept',
    side: 'both',
    what: 'one chunked in a list with gaps, tabs or lines that are empty',
    source: 'RFC 9110 5.6.1, 5.6.3',
    because:
      'a recipient must ignore them, llhttp does so before chunked and not behind it; we send on a plain chunked, and all is compared with that',
    errors: [],
    example: `${get('POST / HTTP/1.1', 'Transfer-Encoding: chunked\t,')}0\r\n\r\n`,
    applies: ({ text }) => isOddlyChunked(text),
  },
  {
    kind: 'accept',
    side: 'response',
    what: 'the response behind an interim one that says close',
    source: 'RFC 9110 15.2, RFC 9112 9.6',
    because: 'it cannot be the last; we do not use the connection again, and what follows is compared anew',
    errors: [],
    example: `HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n${ok('Content-Length: 0')}`,
    applies: ({ text, theirs }) => /^HTTP\/1\.1 1/.test(text) && lists(connection(theirs), 'close'),
  },
]

/** The table. */
export const REASONS: readonly Reason[] = [
  ...ACCEPTS,
  ...CLOSES,
  ...REQUEST_LINES,
  ...RESPONSES,
  ...HEADS,
  ...FRAMING,
  ...BODIES,
]

/** The row by which a message that both took should have been refused, or null: then both are too lax. */
export function refusalOf(taken: Difference): Reason | null {
  for (const reason of REASONS) {
    if (reason.kind !== 'refuse' || (reason.side !== 'both' && reason.side !== taken.side)) continue
    if (reason.isLimit !== true && reason.applies(taken)) return reason
  }
  return null
}

/** The row that explains a difference, or null. */
export function reasonOf(difference: Difference): Reason | null {
  const { kind, side, error } = difference
  for (const reason of REASONS) {
    if (reason.kind !== kind || (reason.side !== 'both' && reason.side !== side)) continue
    if (kind === 'refuse' && !reason.errors.includes(error)) continue
    if (reason.applies(difference)) return reason
  }
  return null
}
