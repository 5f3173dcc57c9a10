/**
 * What heads and bodies of both directions are made of: each part is mostly right and, as often as `tricks` says, one of the
 * tricks that HTTP.md lists. Half of all messages are made without any, so that what lies deep (extensions, trailers, the
 * request behind a body) is reached; the mutations then bend those as well.
 */
import type { Random } from './random.ts'

/** Chance, and how often a part is wrong on purpose: once in `tricks` parts; 0 is never. */
export interface Source {
  readonly random: Random
  readonly tricks: number
}

/** One of `right`, or by chance one of `wrong`. */
export function part({ random, tricks }: Source, right: readonly string[], wrong: readonly string[]): string {
  return tricks > 0 && random.oneIn(tricks) ? random.pick(wrong) : random.pick(right)
}

const EOLS = ['\n', '\r', '\r\r\n', '\n\n', '\r\n ', ' \r\n', '\0\r\n', '\r\n\t', '\n\r\n', '\r\n\r']
const CRLF = ['\r\n']

/** The end of a line. */
export const eol = (from: Source) => part(from, CRLF, EOLS)

const TOKEN_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
const VALUE_LETTERS = Array.from({ length: 256 }, (_, code) => code)
  .filter((code) => code === 9 || (code >= 32 && code !== 127))
  .map((code) => String.fromCharCode(code))
  .join('')

/** Letters of an alphabet by chance. */
export function letters(random: Random, alphabet: string, count: number): string {
  let out = ''
  for (let i = 0; i < count; i++) out += alphabet[random.below(alphabet.length)]
  return out
}

const NAMES = [
  'Accept',
  'X-A',
  'cookie',
  'Via',
  'x_y',
  '!#$',
  'User-Agent',
  'Date',
  'Keep-Alive',
  'TE',
  'Trailer',
  'ETag',
]
const WRONG_NAMES = [
  '',
  'X A',
  'X-A ',
  ' X-A',
  'X\tA',
  'X\x80',
  'X(',
  'X-A\0',
  '\tX',
  '"x"',
  '__proto__',
  '@',
  'X\r',
  'X\n',
]
const VALUES = [
  '1',
  '',
  'a, b',
  'x y',
  '"q"',
  '\x80\xff',
  'a\tb',
  'text/html;q=0.9, */*;q=0.1',
  'timeout=5',
  ':',
  ',;=',
]
const WRONG_VALUES = [
  'a\0b',
  'a\rb',
  'a\nb',
  'a\r\n b',
  'a\x7f',
  'a\x01',
  'a\r',
  '\x0b',
  'a\r\n\tb',
  'a\n b',
  '\x1b[',
  '\r\n',
]
const COLONS = [': ', ': ', ': ', ':', ':\t', ':  ', ': \t ']
const WRONG_COLONS = [' : ', '', '\t:', ':\r\n ', ' ', '::', ';', ' :', ':\0', ':\n', '\x0b:']
const TAILS = [...new Array<string>(12).fill(''), ' ', '  ', '\t', ' \t ']

function name(from: Source): string {
  const { random } = from
  if (random.oneIn(8)) return letters(random, TOKEN_LETTERS, random.between(1, 12))
  return part(from, NAMES, WRONG_NAMES)
}

function value(from: Source): string {
  const { random } = from
  if (random.oneIn(8)) return letters(random, VALUE_LETTERS, random.between(0, 24))
  // Rarely more than the read of a socket, or than any head may have.
  if (random.oneIn(256))
    return 'v'.repeat(random.oneIn(16) ? random.pick([8_100, 9_000, 17_000]) : random.between(100, 2_000))
  return part(from, VALUES, WRONG_VALUES)
}

/** A field line of this name and value. */
export function field(from: Source, named: string, valued: string): string {
  return named + part(from, COLONS, WRONG_COLONS) + valued + from.random.pick(TAILS) + eol(from)
}

const cased = (random: Random, text: string) =>
  random.oneIn(4) ? text.toLowerCase() : random.oneIn(6) ? text.toUpperCase() : text

/** A field that has nothing to do with framing. */
export const plainField = (from: Source) => field(from, name(from), value(from))

const CONNECTIONS = ['keep-alive', 'keep-alive', 'x-a', 'Keep-Alive, te', '', 'TE', ',,', 'host, x-a', '"x"']
const CLOSES = [
  'close',
  'Close',
  'close, keep-alive',
  'keep-alive, close',
  'close,',
  ' ,close',
  'x-a , CLOSE',
  '\tclose\t',
]
const ODD_CONNECTIONS = [
  'closed',
  'close;',
  'clo se',
  'upgrade',
  'close\0',
  'keep-alive\x80',
  'closeclose',
  '\x0bclose',
  'close x',
]

/** What ends the connection, or leaves it open. */
export function connectionField(from: Source): string {
  const value = part(from, from.random.oneIn(3) ? CLOSES : CONNECTIONS, ODD_CONNECTIONS)
  return field(from, cased(from.random, 'Connection'), value)
}

const UPGRADES = ['websocket', 'h2c', 'h2c, websocket', 'HTTP/2.0', 'websocket, foo/1.0']
const ODD_UPGRADES = ['', '"x"', 'H2C', 'web socket', 'a\x80', ',', '@']

/** Asks for another protocol, or seems to. */
export function upgradeFields(from: Source): string {
  const { random } = from
  const upgrade = field(from, 'Upgrade', part(from, UPGRADES, ODD_UPGRADES))
  const connection = field(
    from,
    'Connection',
    random.pick(['upgrade', 'Upgrade', 'keep-alive, Upgrade', 'upgrade, close']),
  )
  if (random.oneIn(4)) return upgrade
  return random.oneIn(2) ? upgrade + connection : connection + upgrade
}

const WRONG_LENGTHS = (
  '+5|-1|5,5|5, 5|05|00|0x5|5 5||5_0|5;|18446744073709551621|9007199254740993|9007199254740991|\t5|5\xa0|5.0|5e1|\x005|' +
  '5\x0b|a|99999999999999999999999|18446744073709551615|5,|,5|"5"|5\r|000000000000000000000'
).split('|')

/** A Content-Length. */
export function lengthField(from: Source, length: number): string {
  const named = part(
    from,
    ['Content-Length'],
    ['Content_Length', 'Content-Length ', 'Content-\xccength', 'Content-Length\0', 'Content-Lengt'],
  )
  return field(from, cased(from.random, named), part(from, [String(length)], WRONG_LENGTHS))
}

const ODD_CODINGS = [
  ', chunked',
  ',chunked',
  'chunked,',
  'chunked ,',
  'chunked\t',
  ' ,\tchunked\t,, ',
  ',,chunked',
  'chunked , ,',
]
const WRONG_CODINGS = (
  'xchunked|chunked, chunked|gzip, chunked|chunked, gzip|identity||chunked;q=1|"chunked"|,|chunked,;|chunk ed|' +
  '\x0bchunked|chunked\xa0|gzip|chunked\x00|chunkedx|chunked chunked|gzip,chunked|chunke|identity, chunked|, ,|chunked\t,x|' +
  'gzip;q=1, chunked|gzip;q="a,b", chunked|chunked,,chunked|,gzip,,chunked,'
).split('|')

const codings = ({ random }: Source) => (random.oneIn(12) ? ODD_CODINGS : ['chunked', 'chunked', 'Chunked', 'CHUNKED'])

/** A Transfer-Encoding, now and then with an empty one beside it. */
export function codingField(from: Source): string {
  const named = part(
    from,
    ['Transfer-Encoding'],
    ['Transfer_Encoding', 'Transfer-Encoding ', 'Transfer-Encodin', 'Transfer-Encoding\t'],
  )
  const lines = field(from, cased(from.random, named), part(from, codings(from), WRONG_CODINGS))
  if (!from.random.oneIn(40)) return lines
  const empty = field(from, named, from.random.pick(['', ',', '\t, ']))
  return from.random.oneIn(2) ? lines + empty : empty + lines
}

const EXTENSIONS = [
  '',
  '',
  '',
  '',
  ';a',
  ';a=b',
  ';a="b"',
  ';a="b;c"',
  ';a;b=c',
  ';a="\\"\\\\"',
  ';a=""',
  ';a="\t \x80"',
  ';!#=~',
]
const WRONG_EXTENSIONS = (
  ';|;a=|;="b"| ;a|; a|;a="b|;a=\n|;a\rb|;a="\\|;a="\\""| |\t|;a="\n"|;a=b"c|;\0|;a=\x80|;a = b|;a="b"c|;a="\r\n"|;a="\x01"|' +
  ';;|;a;|;a="b";|,a|=a|\r|\n|;a\r\n |\x00|;a=b=c|;a\x7f|\x80'
).split('|')
const DATA = [
  'a',
  'abc',
  'hello',
  'GET / HTTP/1.1\r\n\r\n',
  '0123456789abcdef',
  '\r\n',
  '0\r\n\r\n',
  '\0',
  '\x80\xff',
  'HTTP/1.1 200 OK\r\n\r\n',
]

function extension(from: Source): string {
  const { random } = from
  if (random.oneIn(40))
    return `;${letters(random, TOKEN_LETTERS, random.between(1, 9))}=${letters(random, TOKEN_LETTERS, 3)}`
  if (random.oneIn(4_000)) return `;a=${'e'.repeat(random.between(15_000, 17_500))}`
  return part(from, EXTENSIONS, WRONG_EXTENSIONS)
}

function chunkSize(from: Source, length: number): string {
  const digits = length.toString(16)
  const written = from.random.oneIn(4) ? digits.toUpperCase().padStart(from.random.between(1, 6), '0') : digits
  const before = part(
    from,
    [''],
    ['+', '-', '0x', ' ', 'g', '00000000000000000', '\t', '_', 'ffffffff', '1', '\r\n', '0000000000000'],
  )
  return before + written + part(from, [''], [' ', '\t', 'x', 'h', 'L', '.', '\0', '\x80'])
}

function chunk(from: Source, data: string): string {
  const junk = part(from, [''], ['x', '\n', '\r\n', '\r', '\0'])
  return chunkSize(from, data.length) + extension(from) + eol(from) + data + junk + eol(from)
}

const TRAILERS = ['X-T', 'ETag', 'x-checksum', 'Server-Timing', 'x_t', 'Date', 'expires', 'X_Request_Id', 'Set-Cookie']
const WRONG_TRAILERS = [
  'X-Real-IP',
  'X_Forwarded_Port',
  'traceparent',
  'Set-Cookie2',
  'Content-Length',
  'Transfer-Encoding',
  'Host',
  'X T',
  '',
  'Trailer',
  'Cookie',
  'X-Turnout-Pool',
  'Connection',
  'Upgrade',
]

/** Chunks with their extensions and trailers. */
export function chunkedBody(from: Source): string {
  const { random } = from
  let out = ''
  for (let left = random.below(4); left > 0; left--)
    out += chunk(from, random.oneIn(20) ? letters(random, VALUE_LETTERS, random.between(1, 300)) : random.pick(DATA))
  out +=
    part(from, ['0', '0', '0', '00', '0000'], ['-0', '', '0x0', '0 ', '000000000000000000', '+0', '0\0']) +
    extension(from) +
    eol(from)
  for (let left = random.below(3); left > 0; left--)
    out += field(from, part(from, TRAILERS, WRONG_TRAILERS), value(from))
  return out + eol(from)
}

/** Bytes of a counted body. */
export function payload(random: Random): string {
  return random.oneIn(6) ? letters(random, VALUE_LETTERS, random.between(1, 200)) : random.pick(DATA)
}
