/**
 * Messages for the differential tests: put together from parts of which each is mostly right and sometimes one of the tricks
 * that HTTP.md lists, then bent by random edits. Everything is a value of fast-check, so a run repeats by its seed and a
 * failure shrinks.
 */
import fc from 'fast-check'

/** Mostly one of `right`, sometimes one of `wrong`. */
const mostly = (right: readonly string[], wrong: readonly string[], weight = 6) =>
  fc.oneof({ arbitrary: fc.constantFrom(...right), weight }, { arbitrary: fc.constantFrom(...wrong), weight: 1 })

const method = mostly(
  ['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'],
  ['get', 'BREW', 'CONNECT', 'G ET', '', ' GET', 'GET\t', 'PRI', 'SOURCE', 'QUERY', 'GE(T', '\0GET', 'M-SEARCH'],
)
const target = mostly(
  ['/', '/a/b?c=d', '/%20', '*', 'http://a/', 'http://a', 'https://a:80/x?y', '/~!$&()'],
  [
    '',
    'a',
    '//x',
    '/a b',
    '/\x80',
    '/#f',
    'ftp://a/',
    'http:///',
    'http://a@b/',
    'a:80',
    '/\t',
    '/\0',
    '\\x',
    '?',
    '/<"{}|\\^`>',
  ],
)
const version = mostly(
  ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'],
  [
    'HTTP/1.2',
    'HTTP/2.0',
    'HTTP/1',
    'http/1.1',
    'HTTP/01.1',
    'HTTP/1.1 ',
    'HTTP/1.10',
    'HTTP/0.9',
    '',
    'HTTP/1,1',
    'ICE/1.0',
    'RTSP/1.0',
  ],
  10,
)
const eol = mostly(['\r\n'], ['\n', '\r', '\r\r\n', '\n\n', '\r\n ', ' \r\n', '\0\r\n'], 40)
const space = mostly([' '], ['', '  ', '\t', '\x0b', '\xa0', '\r', '\n'], 40)
const lengthValue = mostly(
  ['0', '3', '5', '10'],
  [
    '+5',
    '-1',
    '5,5',
    '5, 5',
    '05',
    '0x5',
    '5 5',
    '',
    '5_0',
    '5;',
    '18446744073709551621',
    '9007199254740993',
    '\t5',
    '5\xa0',
    '5.0',
    '5e1',
  ],
  5,
)
const codingValue = mostly(
  ['chunked', 'Chunked'],
  [
    'xchunked',
    'chunked, chunked',
    'gzip, chunked',
    'chunked, gzip',
    'identity',
    '',
    'chunked;q=1',
    '"chunked"',
    ',chunked',
    'chunked,',
    'chunk ed',
    '\x0bchunked',
    'chunked\xa0',
    'gzip',
    'chunked\x00',
  ],
  5,
)
const fieldName = mostly(
  ['Accept', 'X-A', 'cookie', 'Via', 'x_y', '!#$'],
  ['', 'X A', 'X-A ', ' X-A', 'X\tA', 'X\x80', 'X(', 'X-A\0', '\tX', '"x"', '__proto__', 'constructor', '@'],
  10,
)
const fieldValue = mostly(
  ['1', '', 'a, b', 'x y', '"q"', '\x80\xff', '\ta\t'],
  ['a\0b', 'a\rb', 'a\nb', 'a\r\n b', 'a\x7f', 'a\x01', 'a\r', '\x0b', 'a\r\n\tb', 'a\n b'],
  10,
)
const colon = mostly([': ', ':', ':\t', ':  '], [' : ', '', '\t:', ':\r\n ', ' ', '::', ';'], 20)

const field = (name: fc.Arbitrary<string>, value: fc.Arbitrary<string>) =>
  fc.tuple(name, colon, value, eol).map((parts) => parts.join(''))

const plain = field(fieldName, fieldValue)
const hostField = field(
  mostly(['Host'], ['host', 'HOST', 'Host ', 'H\x6fst'], 10),
  mostly(['a', 'a:80', '[::1]:8'], ['', 'a b', 'a,b', 'a@b', 'a:x', '[::1', 'a/b'], 8),
)
const lengthField = field(
  mostly(['Content-Length', 'content-length'], ['Content_Length', 'Content-Length ', 'Content-\xccength'], 12),
  lengthValue,
)
const codingField = field(
  mostly(['Transfer-Encoding'], ['Transfer_Encoding', 'TRANSFER-ENCODING', 'Transfer-Encoding '], 12),
  codingValue,
)
const connectionField = field(
  fc.constant('Connection'),
  fc.constantFrom(
    'close',
    'keep-alive',
    'Close',
    'upgrade',
    'close, keep-alive',
    'keep-alive, close',
    'x',
    '',
    ',',
    'closed',
    'Upgrade, close',
  ),
)
const upgradeField = field(fc.constant('Upgrade'), fc.constantFrom('websocket', 'h2c', 'h2c, websocket', ''))
const expectField = field(fc.constant('Expect'), fc.constantFrom('100-continue', '100-Continue', 'x', ''))

const fields = (host: boolean) =>
  fc
    .array(
      fc.oneof(
        { arbitrary: plain, weight: 5 },
        { arbitrary: lengthField, weight: 3 },
        { arbitrary: codingField, weight: 3 },
        { arbitrary: connectionField, weight: 2 },
        { arbitrary: upgradeField, weight: 1 },
        { arbitrary: expectField, weight: host ? 1 : 0 },
        { arbitrary: hostField, weight: host ? 1 : 0 },
      ),
      { maxLength: 5 },
    )
    .chain((rest) => (host ? hostField.map((first) => first + rest.join('')) : fc.constant(rest.join(''))))

const chunkExtension = mostly(
  ['', '', ';a', ';a=b', ';a="b"', ';a="b;c"', ';a;b=c'],
  [
    ';',
    ';a=',
    ';="b"',
    ' ;a',
    '; a',
    ';a="b',
    ';a=\n',
    ';a\rb',
    ';a="\\',
    ';a="\\""',
    ' ',
    '\t',
    ';a="\n"',
    ';a=b"c',
    ';\0',
    ';a=\x80',
    ';a = b',
  ],
  8,
)
const chunk = fc
  .tuple(
    fc.constantFrom('', 'a', 'abc', 'hello', 'GET / HTTP/1.1\r\n', '0123456789abcdef'),
    mostly([''], ['0', '+', '-', '0x', ' ', 'g', '00000000000000000', '\t', '_'], 12),
    chunkExtension,
    eol,
    eol,
    mostly([''], ['x', '\n', '\r\n'], 20),
  )
  .map(([data, prefix, extension, first, second, junk]) =>
    data === '' ? '' : prefix + data.length.toString(16) + extension + first + data + junk + second,
  )
const trailerName = mostly(
  ['X-T', 'Etag'],
  ['Content-Length', 'Transfer-Encoding', 'Host', 'X T', '', 'Trailer', 'Cookie', 'X-Turnout-Pool'],
  4,
)
const chunkedBody = fc
  .tuple(
    fc.array(chunk, { maxLength: 3 }),
    mostly(['0'], ['00', '-0', '', '0x0', '0 ', '0;a', '000000000000000000'], 12),
    eol,
    fc.array(field(trailerName, fieldValue), { maxLength: 1 }),
    eol,
  )
  .map(([chunks, last, first, trailers, second]) => chunks.join('') + last + first + trailers.join('') + second)
const body = fc.oneof(
  { arbitrary: fc.constantFrom('', 'abc', 'hello', '0123456789', '\r\n'), weight: 3 },
  { arbitrary: chunkedBody, weight: 4 },
)

/** A head with one way of framing a body that suits it: these get past the head, so the tricks in bodies are reached. */
const framed = (startLine: fc.Arbitrary<string>, host: string) =>
  fc.oneof(
    fc
      .tuple(startLine, chunkedBody)
      .map(([line, sent]) => `${line}\r\n${host}Transfer-Encoding: chunked\r\n\r\n${sent}`),
    fc
      .tuple(startLine, fc.constantFrom('', 'abc', '0123456789'))
      .map(([line, sent]) => `${line}\r\n${host}Content-Length: ${sent.length}\r\n\r\n${sent}`),
  )

const bent = (startLine: fc.Arbitrary<string>, host: boolean) =>
  fc.tuple(startLine, eol, fields(host), eol, body).map((parts) => parts.join(''))

const requestLine = fc.tuple(method, space, target, space, version).map((parts) => parts.join(''))
const statusLine = fc
  .tuple(
    mostly(
      ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'],
      ['HTTP/2.0', 'HTTP/1.2', 'http/1.1', 'HTTP/1', '', 'HTTP/0.9', 'ICY'],
      10,
    ),
    space,
    mostly(
      ['200', '200', '204', '304', '404', '100', '103', '502'],
      ['000', '99', '600', '2000', '20', '', '-20', '2 0', '101', '999', '+20'],
      8,
    ),
    fc.constantFrom(' OK', ' ', '', ' A\x80', ' a b', '  x'),
  )
  .map((parts) => parts.join(''))

const edit = fc.record({
  kind: fc.constantFrom('insert', 'delete', 'replace', 'double', 'swap'),
  place: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 1, max: 6 }),
  text: fc.oneof(
    fc.constantFrom(
      '\r',
      '\n',
      '\r\n',
      '\0',
      ' ',
      '\t',
      ':',
      ',',
      ';',
      '"',
      '\\',
      '0',
      '\x7f',
      '\x80',
      '\xff',
      '\x0b',
      '\r\n\r\n',
      'chunked',
      '5',
      'a',
    ),
    fc.constantFrom('Content-Length: 3\r\n', 'Transfer-Encoding: chunked\r\n', 'Host: b\r\n', 'Connection: close\r\n'),
    fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  ),
})

function apply(
  message: string,
  { kind, place, length, text }: { kind: string; place: number; length: number; text: string },
): string {
  const at = Math.floor(place * message.length)
  const end = Math.min(message.length, at + length)
  const piece = message.slice(at, end)
  const before = message.slice(0, at)
  const behind = message.slice(end)
  if (kind === 'insert') return before + text + piece + behind
  if (kind === 'delete') return before + behind
  if (kind === 'replace') return before + text + behind
  if (kind === 'double') return before + piece + piece + behind
  return before + [...piece].reverse().join('') + behind
}

const edited = (message: fc.Arbitrary<string>) =>
  fc.tuple(message, fc.array(edit, { maxLength: 2 })).map(([text, edits]) => edits.reduce(apply, text))

const stream = (startLine: fc.Arbitrary<string>, host: boolean) =>
  fc
    .array(fc.oneof(bent(startLine, host), framed(startLine, host ? 'Host: a\r\n' : '')), {
      minLength: 1,
      maxLength: 2,
    })
    .map((messages) => messages.join(''))

/** What a client might send on a connection: one or two requests, right or wrong. */
export const requestBytes: fc.Arbitrary<string> = edited(stream(requestLine, true))

/** What a target might send on a connection: one or two responses, right or wrong. */
export const responseBytes: fc.Arbitrary<string> = edited(stream(statusLine, false))
