/**
 * Bends a message: single bytes, pieces, whole lines, numbers, two messages cut and joined. What comes out is mostly one step
 * from a right message, which is where parsers differ; nobody disagrees on noise.
 */
import type { Random } from './random.ts'

const PIECES = (
  '\r|\n|\r\n|\0| |\t|:|,|;|"|\\|0|\x7f|\x80|\xff|\x0b|\x0c|\r\n\r\n|chunked|5|a|\r\n |\r\n\t|\n\n|=|/|*|#|%00|\x85|\xa0|\r\r\n|' +
  '0\r\n\r\n|close|HTTP/1.1|\x01|-|+|_|0x|ffffffffffffffff|, chunked|;a="|\r\n0\r\n\r\n|?|@|\x1f'
).split('|')
const LINES = (
  'Content-Length: 3|Transfer-Encoding: chunked|Host: b|Connection: close|Connection: keep-alive|Connection: upgrade|' +
  'Upgrade: websocket|Expect: 100-continue|Content-Length: 0|Transfer-Encoding: identity|X: y| folded|\tfolded|X : y|: y|X|' +
  'Content-Length : 5|Transfer-Encoding:|Transfer-Encoding: gzip, chunked|TE: trailers|GET /smuggled HTTP/1.1|HTTP/1.1 200 OK|' +
  'Connection: content-length|Content-Length: 03|transfer-encoding:\tchunked|HTTP2-Settings: x|Keep-Alive: timeout=1|0|'
).split('|')

type Mutation = (text: string, random: Random, other: () => string) => string

const splice = (text: string, at: number, end: number, put: string) => text.slice(0, at) + put + text.slice(end)

/** Where a line begins, by chance; the end counts as one. */
function lineStart(text: string, random: Random): number {
  const at = text.indexOf('\n', random.below(text.length + 1))
  return at < 0 ? (random.oneIn(2) ? 0 : text.length) : at + 1
}

function lineEnd(text: string, start: number): number {
  const at = text.indexOf('\n', start)
  return at < 0 ? text.length : at + 1
}

/** Where there is a digit, at or behind a place by chance; -1 when there is none. */
function digitAt(text: string, random: Random): number {
  for (let at = random.below(text.length); at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code >= 48 && code <= 57) return at
  }
  return -1
}

const MUTATIONS: readonly Mutation[] = [
  // A bit of a byte.
  (text, random) => {
    const at = random.below(text.length)
    return splice(text, at, at + 1, String.fromCharCode(text.charCodeAt(at) ^ (1 << random.below(8))))
  },
  // Any byte for another.
  (text, random) => {
    const at = random.below(text.length)
    return splice(text, at, at + 1, String.fromCharCode(random.below(256)))
  },
  // Something telling put in, or put in the place of a byte.
  (text, random) => {
    const at = random.below(text.length + 1)
    return splice(text, at, at + (random.oneIn(3) ? 1 : 0), random.pick(PIECES))
  },
  // Something telling at the end of a line, where most rules are.
  (text, random) => {
    const at = Math.max(0, lineStart(text, random) - random.between(0, 2))
    return splice(text, at, at + (random.oneIn(3) ? 1 : 0), random.pick(PIECES))
  },
  // Some bytes less.
  (text, random) => {
    const at = random.below(text.length)
    return splice(text, at, at + random.between(1, 6), '')
  },
  // Some bytes twice.
  (text, random) => {
    const at = random.below(text.length)
    const end = at + random.between(1, 12)
    return splice(text, at, at, text.slice(at, end))
  },
  // A line less, twice, elsewhere, or new.
  (text, random) => {
    const at = lineStart(text, random)
    return splice(text, at, lineEnd(text, at), '')
  },
  (text, random) => {
    const at = lineStart(text, random)
    return splice(text, at, at, text.slice(at, lineEnd(text, at)))
  },
  (text, random) => {
    const at = lineStart(text, random)
    const line = text.slice(at, lineEnd(text, at))
    const rest = splice(text, at, at + line.length, '')
    const to = lineStart(rest, random)
    return splice(rest, to, to, line)
  },
  (text, random) => {
    const at = lineStart(text, random)
    return splice(text, at, at, `${random.pick(LINES)}\r\n`)
  },
  // Another line end.
  (text, random) => {
    const at = text.indexOf('\r\n', random.below(text.length))
    return at < 0
      ? text
      : splice(text, at, at + 2, random.pick(['\n', '\r', '\r\r\n', '\n\r', '\r\n\r\n', '', ' \r\n']))
  },
  // Another number.
  (text, random) => {
    const at = digitAt(text, random)
    if (at < 0) return text
    const digit = text.charCodeAt(at) - 48
    return splice(
      text,
      at,
      at + 1,
      random.pick([
        String((digit + 1) % 10),
        String((digit + 9) % 10),
        `0${digit}`,
        `${digit}0`,
        '',
        'a',
        ` ${digit}`,
        `+${digit}`,
      ]),
    )
  },
  // Letters in the other case.
  (text, random) => {
    const at = random.below(text.length)
    const piece = text.slice(at, at + random.between(1, 10))
    return splice(
      text,
      at,
      at + piece.length,
      random.oneIn(2) ? piece.toUpperCase().slice(0, piece.length) : piece.toLowerCase(),
    )
  },
  // The end missing.
  (text, random) => text.slice(0, random.below(text.length)),
  // Its head and the tail of another, cut anywhere or between lines.
  (text, random, other) => {
    const tail = other()
    return text.slice(0, random.below(text.length)) + tail.slice(random.below(tail.length))
  },
  (text, random, other) => {
    const tail = other()
    return text.slice(0, lineStart(text, random)) + tail.slice(lineStart(tail, random))
  },
  // Another behind it, or within it.
  (text, _random, other) => text + other(),
  (text, random, other) => {
    const at = lineStart(text, random)
    return splice(text, at, at, other())
  },
]

/** Letters beyond latin1 (`ÿ` has its capital there) are none that a byte can be. */
const bytesOnly = (text: string) => text.replace(/[^\0-\xff]/g, '\xff')

/** The text bent `count` times; `other` makes what it may be joined with. */
export function mutate(text: string, random: Random, other: () => string, count: number): string {
  let out = text
  for (let left = count; left > 0; left--) {
    // Nothing grows without end.
    if (out.length > 60_000) return out
    out = out === '' ? other() : random.pick(MUTATIONS)(out, random, other)
  }
  return bytesOnly(out)
}
