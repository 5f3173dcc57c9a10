/**
 * What becomes of the fields behind a chunked body. RFC 9110 6.5.1 lets a recipient ignore any of them, and forbids to merge those
 * that are needed before a body or by which somebody is trusted; RFC 9112 7.1.2 lets it refuse these.
 *
 *   refused   what frames a message or ends its connection, whoever says it: some readers heed it here too (llhttp does)
 *             in a request also what says where it goes, who sends it, how its body or the connection is read
 *   dropped   what means nothing there, is ours to say, or belongs to the connection; in an answer all but framing: to cut a
 *             download for its last line helps nobody
 *   kept      everything else, apart from the head, but for what Connection names there
 *
 * Names are compared with `-` for `_`: a target may not tell the two apart.
 */
import { KIND, kindOf } from './field-kinds.ts'
import type { Fields, Names } from './fields.ts'
import { octetsOf } from './syntax.ts'

/** Names without a kind that are not kept. These are refused in a request … */
const REFUSED = new Set(
  (
    'content-encoding content-type content-range range if-match if-none-match if-modified-since if-unmodified-since if-range ' +
    'x-http-method-override x-http-method x-method-override'
  ).split(' '),
)
/** … and these are not. */
const DROPPED = new Set('set-cookie set-cookie2 cache-control age expires location retry-after vary warning'.split(' '))

/** The lines of trailer fields that are passed on; null when one is refused. `dropped` is what Connection names. */
export function keptTrailers(fields: Fields, dropped: Names | null, inAnswer: boolean): string | null {
  let lines = ''
  for (let i = 0; i < fields.count; i++) {
    const name = fields.name(i)
    const fate = fateOf(name.replaceAll('_', '-'), inAnswer)
    if (fate === 'refused') return null
    if (fate === 'kept' && dropped?.has(name) !== true) lines += fields.line(i)
  }
  return lines
}

function fateOf(name: string, inAnswer: boolean): 'refused' | 'dropped' | 'kept' {
  switch (kindOf(octetsOf(name), 0, name.length)) {
    case KIND.contentLength:
    case KIND.transferEncoding:
    case KIND.connection:
    case KIND.proxyConnection:
      return 'refused'
    case KIND.plain:
      if (DROPPED.has(name)) return 'dropped'
      if (!REFUSED.has(name)) return 'kept'
      break
    case KIND.challenge:
    case KIND.date:
    case KIND.requestId:
    case KIND.traceparent:
    case KIND.tracestate:
      return 'dropped'
  }
  return inAnswer ? 'dropped' : 'refused'
}
