/**
 * A second, plain reading of a chunked body, to tell why our codec refuses one that llhttp takes: cut at line ends and matched
 * by the grammar of RFC 9112 7.1, without a state machine and without a line of ours. It is slow, and so used for such cases only.
 */

/** What a chunked body is made of, as far as it can be read. */
export interface Chunking {
  readonly sizes: readonly string[]
  readonly extensions: readonly string[]
  readonly trailers: readonly string[]
}

const SIZE_DIGITS_MAX = 13
const BYTES_MAX = 16_384
const TRAILERS_MAX = 64
const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const QUOTED = '"(?:[\\t !#-\\[\\]-~\\x80-\\xff]|\\\\[\\t -~\\x80-\\xff])*"'
const EXTENSION = new RegExp(`^(?:;${TOKEN}(?:=(?:${TOKEN}|${QUOTED}))?)*$`)

/** Fields that say where a message or its connection ends, refused on either side. */
const FRAMING = /^(?:transfer-encoding|content-length|(?:proxy-)?connection)$/
/** Fields that mean nothing behind the body of a request, or that are ours: RFC 9110 6.5.1 lets a recipient ignore them. */
const NOTHING =
  /^(?:date|expires|age|location|retry-after|vary|warning|cache-control|set-cookie2?|x-request-id|trace(?:parent|state)|(?:proxy|www)-authenticate)$/
/** Fields that say how to read a message, where it goes or who sends it, and what proxies and Turnout set. */
const OTHERS = new RegExp(
  '^(?:host|keep-alive|te|trailer|upgrade|expect|content-(?:encoding|type|range)|' +
    '(?:proxy-)?authorization|cookie|max-forwards|range|if-(?:match|none-match|modified-since|unmodified-since|range)|' +
    'forwarded|via|x-forwarded|x-forwarded-.+|http2-settings|x-turnout-.+|' +
    '(?:true|x|x-cluster|fastly)-client-ip|x-real-ip|cf-connecting-ip|x-(?:original|rewrite)-url|' +
    'x-http-method|x-(?:http-)?method-override)$',
)

export type Direction = 'request' | 'response'

/** Name of a trailer line, with `-` for `_`: a target may not tell the two apart. */
const nameOf = (line: string) =>
  line
    .slice(0, Math.max(0, line.indexOf(':')))
    .toLowerCase()
    .replaceAll('_', '-')

/** Whether a message with this trailer is refused. */
const isRefused = (line: string, side: Direction) =>
  FRAMING.test(nameOf(line)) || (side === 'request' && OTHERS.test(nameOf(line)))

/** Whether this trailer is read and not passed on. */
export const isDroppedTrailer = (line: string, side: Direction) =>
  NOTHING.test(nameOf(line)) || (side === 'response' && OTHERS.test(nameOf(line)))

/** Cuts a chunked body, or what there is of it, into its parts. */
export function chunkingOf(body: string): Chunking {
  const sizes: string[] = []
  const extensions: string[] = []
  let at = 0
  for (;;) {
    const end = body.indexOf('\r\n', at)
    const [, size, extension] = /^([0-9A-Fa-f]*)([\s\S]*)$/.exec(body.slice(at, end < 0 ? body.length : end)) ?? []
    sizes.push(size)
    extensions.push(extension)
    if (end < 0) return { sizes, extensions, trailers: [] }
    const length = Number.parseInt(size, 16)
    if (!(length > 0) || end + 4 + length > body.length) {
      return { sizes, extensions, trailers: length === 0 ? trailersOf(body.slice(end + 2)) : [] }
    }
    at = end + 4 + length
  }
}

function trailersOf(rest: string): string[] {
  const lines = rest.split('\r\n')
  const empty = lines.indexOf('')
  return empty < 0 ? lines : lines.slice(0, empty)
}

/** What is wrong with it, in the order in which it is read; empty when nothing is. */
export function brokenChunking(
  { sizes, extensions, trailers }: Chunking,
  side: Direction,
): '' | 'size' | 'extension' | 'flood' | 'trailer' {
  if (sizes.some((size) => size.length > SIZE_DIGITS_MAX)) return 'size'
  if (extensions.join('').length > BYTES_MAX || trailers.join('\r\n').length > BYTES_MAX - 4) return 'flood'
  if (trailers.length > TRAILERS_MAX) return 'flood'
  if (extensions.some((extension) => !EXTENSION.test(extension))) return 'extension'
  return trailers.some((line) => isRefused(line, side)) ? 'trailer' : ''
}
