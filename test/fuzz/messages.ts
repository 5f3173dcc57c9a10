/**
 * Streams of messages, as a client or a target might send them on one connection: requests one behind the other, or interim
 * and final responses, each with a body framed in the way that its head says, and now and then with one that it does not say.
 */
import {
  chunkedBody,
  codingField,
  connectionField,
  eol,
  field,
  lengthField,
  letters,
  part,
  payload,
  plainField,
  type Source,
  upgradeFields,
} from './parts.ts'

const METHODS = ['GET', 'GET', 'POST', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'M-SEARCH', 'BREW', 'TRACE']
const WRONG_METHODS = [
  'get',
  'CONNECT',
  'G ET',
  '',
  ' GET',
  'GET\t',
  'PRI',
  'SOURCE',
  'QUERY',
  'GE(T',
  '\0GET',
  '\nGET',
  '\r\n\r\nGET',
  'GET\x80',
  '\r\nGET',
]
const TARGETS = [
  '/',
  '/a/b?c=d',
  '/%20',
  'http://a/',
  'http://a',
  'https://a:80/x?y',
  '/~!$&()',
  '/<"{}|\\^`>',
  'HTTP://[::1]:8/?',
  '//x',
  '/?',
  '/a;b=c',
]
const WRONG_TARGETS = (
  '|a|*|/a b|/\x80|/#f|ftp://a/|http:///|http://a@b/|a:80|/\t|/\0|\\x|?|/\x7f|http:a|http//a|http://a:b/|http://a b/|' +
  '/\r|/\n|http://[::1/|http://a,b/|http://a#/|@a|:80|http:/a|https://|/\x0b|/\xa0|**|1://a/'
).split('|')
const WRONG_VERSIONS = (
  'HTTP/1.2|HTTP/2.0|HTTP/1|http/1.1|HTTP/01.1|HTTP/1.1 |HTTP/1.10|HTTP/0.9||HTTP/1,1|ICE/1.0|RTSP/1.0|HTTP/1.|HTTP/.1|' +
  'HTTP 1.1|HTTP/1.1\t|HTTP/1.1\0|HTTQ/1.1|HTTP/11|HTTP/1.1a|\tHTTP/1.1| HTTP/1.1|HTTP/3.0|HTTP/-1.1'
).split('|')
const SPACES = ['', '  ', '\t', '\x0b', '\xa0', '\r', '\n', ' \t', '\0', '\x0c']

const HOSTS = ['a', 'a:80', '[::1]:8', 'a.b-c_d', 'a:', '127.0.0.1', 'EXAMPLE.com']
const WRONG_HOSTS = [
  '',
  'a b',
  'a,b',
  'a@b',
  'a:x',
  '[::1',
  'a/b',
  'a:99999',
  '[::g]',
  ':80',
  'a%20',
  '\x80',
  'a:80:80',
  'a\0',
  '[1.2.3.4]',
  'a#',
]
const EXPECTS = ['100-continue', '100-Continue']

/** `right`, or by chance right but for its letters' case, or wrong. */
const target = (from: Source, method: string) =>
  method === 'OPTIONS' && from.random.oneIn(3)
    ? '*'
    : from.random.oneIn(300)
      ? `/${'a'.repeat(from.random.oneIn(8) ? from.random.between(8_000, 8_300) : 3_000)}`
      : part(from, TARGETS, WRONG_TARGETS)

/** Fields that must be there, in any order among others. */
function shuffled({ random }: Source, lines: string[]): string {
  for (let i = lines.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const line = lines[i]
    lines[i] = lines[j]
    lines[j] = line
  }
  return lines.join('')
}

/** Adds what frames a body, and now and then a second opinion on it; returns the body. */
function framed(from: Source, lines: string[], mayChunk: boolean): string {
  const { random, tricks } = from
  let body = ''
  if (mayChunk && random.oneIn(2)) {
    lines.push(codingField(from))
    body = chunkedBody(from)
  } else {
    body = random.oneIn(4) ? '' : payload(random)
    lines.push(lengthField(from, body.length))
  }
  if (tricks > 0 && random.oneIn(tricks))
    lines.push(random.oneIn(2) ? lengthField(from, body.length) : codingField(from))
  return body
}

function others(from: Source, lines: string[]): void {
  const { random } = from
  for (let left = random.below(4); left > 0; left--) lines.push(plainField(from))
  if (random.oneIn(6)) lines.push(connectionField(from))
  if (random.oneIn(500)) for (let left = random.between(20, 80); left > 0; left--) lines.push(plainField(from))
}

function request(from: Source, isLast: boolean): string {
  const { random } = from
  const method = random.oneIn(40)
    ? letters(random, 'ABCXYZ-', random.between(1, 34))
    : part(from, METHODS, WRONG_METHODS)
  const version = part(from, ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'], WRONG_VERSIONS)
  const space = () => part(from, [' '], SPACES)
  const isOld = version === 'HTTP/1.0'
  const lines: string[] = []
  if (!isOld || random.oneIn(2))
    lines.push(
      field(from, part(from, ['Host', 'host', 'HOST'], ['Host ', 'Hos', 'Host\t']), part(from, HOSTS, WRONG_HOSTS)),
    )
  if (from.tricks > 0 && random.oneIn(from.tricks * 2)) lines.push(field(from, 'Host', random.pick(HOSTS)))
  others(from, lines)
  // What stays open has more to come behind it.
  if (isOld && !isLast) lines.push('Connection: keep-alive\r\n')
  if (random.oneIn(20)) lines.push(field(from, 'Expect', part(from, EXPECTS, ['x', '', '100-continue, x', '200-ok'])))
  const upgrades = random.oneIn(12)
  if (upgrades) lines.push(upgradeFields(from))
  const body = random.oneIn(upgrades ? 8 : 2) ? framed(from, lines, !isOld) : ''
  const empty = random.oneIn(30) ? '\r\n' : ''
  return (
    empty +
    method +
    space() +
    target(from, method) +
    space() +
    version +
    eol(from) +
    shuffled(from, lines) +
    eol(from) +
    body
  )
}

const STATUSES = ['200', '200', '200', '201', '206', '301', '404', '500', '503', '599', '299']
const WRONG_STATUSES = ['000', '99', '099', '600', '2000', '20', '', '-20', '2 0', '101', '999', '+20', '2x0', '20\x80']
const REASONS = [' OK', ' OK', ' ', '', ' D\xe9j\xe0 vu', ' a  b\tc', '  x']
const WRONG_REASONS = [' a\0', ' a\rb', '\tOK', ' a\x7f', ' \n', ' a\x01', 'OK', '\r']
const RESPONSE_VERSIONS = (
  'HTTP/2.0|HTTP/1.2|http/1.1|HTTP/1||HTTP/0.9|ICY|HTTP/1.1 |HTTP/1.10| HTTP/1.1|\r\nHTTP/1.1|\nHTTP/1.1|HTTP/ 1.1|RTSP/1.0|' +
  'HTTP/1.1\t|\0HTTP/1.1|HTTP/3.0'
).split('|')

function statusLine(from: Source, status: string, isOld: boolean): string {
  const version = part(from, [isOld ? 'HTTP/1.0' : 'HTTP/1.1'], RESPONSE_VERSIONS)
  return (
    version +
    part(from, [' '], SPACES) +
    part(from, [status], WRONG_STATUSES) +
    part(from, REASONS, WRONG_REASONS) +
    eol(from)
  )
}

function interims(from: Source): string {
  const { random } = from
  let out = ''
  while (random.oneIn(8)) {
    const lines: string[] = []
    if (random.oneIn(2)) lines.push(plainField(from))
    if (random.oneIn(12))
      lines.push(random.pick(['Connection: close\r\n', 'Content-Length: 0\r\n', 'Content-Length: 2\r\n']))
    if (random.oneIn(40)) lines.push(codingField(from))
    out += statusLine(from, random.pick(['100', '102', '103', '150', '199']), false) + lines.join('') + eol(from)
  }
  return out
}

function response(from: Source, isLast: boolean, isHead: boolean): string {
  const { random } = from
  const isOld = random.oneIn(5)
  const isEmpty = !isHead && random.oneIn(6)
  const status = isEmpty ? random.pick(['204', '304']) : random.pick(STATUSES)
  const lines: string[] = []
  others(from, lines)
  if (isOld && !isLast) lines.push('Connection: keep-alive\r\n')
  if (random.oneIn(20)) lines.push(upgradeFields(from))
  let body = ''
  if (isEmpty || isHead) {
    // Some announce what they would have sent, and some send it.
    if (random.oneIn(2)) body = framed(from, lines, !isOld)
    if (!random.oneIn(12)) body = ''
  } else if (isLast && random.oneIn(4)) body = payload(random)
  else body = framed(from, lines, !isOld)
  return statusLine(from, status, isOld) + shuffled(from, lines) + eol(from) + body
}

/** How many messages come on a connection: mostly one, seldom more than two. */
const howMany = ({ random }: Source) => (random.oneIn(2) ? 1 : random.oneIn(4) ? random.between(3, 5) : 2)

/** Bytes of a client. */
export function requestStream(from: Source): string {
  let out = ''
  for (let left = howMany(from); left > 0; left--) out += request(from, left === 1)
  return out
}

/** Bytes of a target. `heads`: bit i is set when final response i answers HEAD. */
export function responseStream(from: Source, heads: number): string {
  let out = ''
  const count = howMany(from)
  for (let i = 0; i < count; i++) out += interims(from) + response(from, i === count - 1, (heads & (1 << i)) !== 0)
  return out
}
