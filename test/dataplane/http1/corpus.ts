/**
 * Messages with the verdict that each must get, whatever the cuts: one or more for every row of the table in HTTP.md. They are
 * read at parser level, at every cut, and sent over real sockets (strictness.test.ts, responses.test.ts, segmentation.test.ts).
 */
import type { ErrorCode } from '../../../src/errors.ts'

export interface RequestCase {
  readonly name: string
  readonly bytes: string
  /** Why it is refused; null when it is accepted. */
  readonly error: ErrorCode | null
}

export interface ResponseCase {
  readonly name: string
  readonly bytes: string
  /** Whether it is a valid response to GET. */
  readonly valid: boolean
}

const cases: RequestCase[] = []
const bad = (error: ErrorCode, name: string, bytes: string) => cases.push({ name, bytes, error })
const good = (name: string, bytes: string) => cases.push({ name, bytes, error: null })
const head = (...lines: string[]) => `GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
const post = (framing: string, body: string) => `POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${body}`
const chunked = (body: string) => post('Transfer-Encoding: chunked', body)

// The request line.
const line = (text: string) => `${text}\r\nHost: a\r\n\r\n`
bad('bad_request', 'HTTP/0.9', 'GET /\r\n\r\n')
bad('bad_request', 'HTTP/0.9 with a space', line('GET / '))
bad('version_not_supported', 'HTTP/2.0', line('GET / HTTP/2.0'))
bad('version_not_supported', 'HTTP/1.2', line('GET / HTTP/1.2'))
bad('version_not_supported', 'HTTP/0.9 spelled out', line('GET / HTTP/0.9'))
bad('version_not_supported', 'the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
bad('bad_request', 'a version in lower case', line('GET / http/1.1'))
bad('bad_request', 'a version of two digits', line('GET / HTTP/1.10'))
bad('bad_request', 'a version with a leading zero', line('GET / HTTP/01.1'))
bad('bad_request', 'a version without minor', line('GET / HTTP/1'))
bad('bad_request', 'a version with a comma', line('GET / HTTP/1,1'))
bad('bad_request', 'a space behind the version', line('GET / HTTP/1.1 '))
bad('bad_request', 'a space before the method', line(' GET / HTTP/1.1'))
bad('bad_request', 'two spaces before the target', line('GET  / HTTP/1.1'))
bad('bad_request', 'two spaces before the version', line('GET /  HTTP/1.1'))
bad('bad_request', 'a tab for a space', line('GET\t/ HTTP/1.1'))
bad('bad_request', 'a tab before the version', line('GET /\tHTTP/1.1'))
bad('bad_request', 'a space within the target', line('GET /a b HTTP/1.1'))
bad('bad_request', 'a bad character in the method', line('GE(T / HTTP/1.1'))
bad('bad_request', 'no method', line('/ HTTP/1.1'))
bad('bad_request', 'an empty target', line('GET  HTTP/1.1'))
bad('bad_request', 'NUL in the target', line('GET /\0 HTTP/1.1'))
bad('bad_request', 'a vertical tab in the request line', line('GET\x0b/ HTTP/1.1'))
bad('bad_request', 'bytes above ASCII in the target', line('GET /\xc3\xa9 HTTP/1.1'))
bad('bad_request', 'a fragment in the target', line('GET /#x HTTP/1.1'))
bad('bad_request', 'a bare LF behind the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n')
bad('bad_request', 'a bare CR behind the request line', 'GET / HTTP/1.1\rHost: a\r\n\r\n')
bad('bad_request', 'bare LFs only', 'GET / HTTP/1.1\nHost: a\n\n')
bad('bad_request', 'two empty lines before the request', '\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n')
bad('bad_request', 'a bare LF before the request', '\nGET / HTTP/1.1\r\nHost: a\r\n\r\n')
bad('bad_request', 'a CR and what is no LF', '\rG')
bad('bad_request', 'what begins no method behind an empty line', '\r\n,')
bad('bad_request', 'a TLS hello', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n')
bad('bad_request', 'a target without slash', line('GET a HTTP/1.1'))
bad('bad_request', 'a target of @evil', line('GET @evil HTTP/1.1'))
bad('bad_request', 'a target of :80@evil', line('GET :80@evil HTTP/1.1'))
bad('bad_request', 'a target of two backslashes', line('GET \\\\evil HTTP/1.1'))
bad('bad_request', 'an authority as target of GET', line('GET a:80 HTTP/1.1'))
bad('bad_request', 'an asterisk as target of GET', line('GET * HTTP/1.1'))
bad('bad_request', 'another scheme', line('GET ftp://a/ HTTP/1.1'))
bad('bad_host', 'absolute-form without host', line('GET http:/// HTTP/1.1'))
bad('bad_host', 'absolute-form with user information', line('GET http://a:80@evil/ HTTP/1.1'))
bad('bad_host', 'absolute-form with a bad port', line('GET http://a:b/ HTTP/1.1'))
bad('bad_host', 'absolute-form beside a malformed Host', 'GET http://a/ HTTP/1.1\r\nHost: b@c\r\n\r\n')
bad('method_not_allowed', 'CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n')
bad('method_not_allowed', 'CONNECT of a path', line('CONNECT / HTTP/1.1'))
bad('bad_request', 'a method of 33 letters', line(`${'A'.repeat(33)} / HTTP/1.1`))

// Host.
bad('bad_host', 'no Host', 'GET / HTTP/1.1\r\n\r\n')
bad('bad_host', 'no Host in absolute-form', 'GET http://a/ HTTP/1.1\r\n\r\n')
bad('bad_host', 'an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n')
bad('bad_host', 'two equal Hosts', head('Host: a'))
bad('bad_host', 'two differing Hosts', head('Host: b'))
bad('bad_host', 'two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n')
for (const host of [
  'a b',
  'a/b',
  'a@b',
  'a:b',
  'a:99999',
  ':80',
  'a,b',
  'a%00',
  '[::1',
  '[::1]x',
  '[x]',
  '[1.2.3.4]',
  '[::1::]',
  'a\\b',
  'a?b',
  'a#b',
  '\xe9',
  'a"',
  'a:80:80',
  'a:-1',
]) {
  bad('bad_host', `a Host of ${JSON.stringify(host)}`, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
}

bad('bad_host', 'a Host of 256 characters', `GET / HTTP/1.1\r\nHost: ${'a'.repeat(256)}\r\n\r\n`)
bad('bad_host', 'a Host of 256 characters with a port', `GET / HTTP/1.1\r\nHost: ${'a'.repeat(256)}:80\r\n\r\n`)
bad('bad_host', 'a Host of a thousand characters', `GET / HTTP/1.1\r\nHost: ${'a'.repeat(1_000)}\r\n\r\n`)
bad('bad_host', 'an IP literal of a thousand characters', `GET / HTTP/1.1\r\nHost: [${'0'.repeat(1_000)}::1]\r\n\r\n`)
bad('bad_host', 'absolute-form with a host of 256 characters', line(`GET http://${'a'.repeat(256)}/ HTTP/1.1`))
bad('bad_host', 'absolute-form beside a long Host', `GET http://a/ HTTP/1.1\r\nHost: ${'a'.repeat(256)}\r\n\r\n`)

// Field lines.
bad('bad_request', 'a space before the colon', head('X-A : b'))
bad('bad_request', 'a tab before the colon', head('X-A\t: b'))
bad('bad_request', 'a space before the colon of a length', post('Content-Length : 3', 'abc'))
bad('bad_request', 'a space in a name', head('X A: b'))
bad('bad_request', 'an empty name', head(': b'))
bad('bad_request', 'a line without colon', head('X-A'))
bad('bad_request', 'a folded line', head('X-A: b', ' c'))
bad('bad_request', 'a folded line with a tab', head('X-A: b', '\tc'))
bad('bad_request', 'a first line that is folded', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n')
bad('bad_request', 'a folded transfer coding', post('Transfer-Encoding:\r\n chunked', '0\r\n\r\n'))
bad('bad_request', 'NUL in a value', head('X-A: b\0c'))
bad('bad_request', 'NUL in a name', head('X\0A: b'))
bad('bad_request', 'a bare CR in a value', head('X-A: b\rc'))
bad('bad_request', 'a bare CR at the end of a value', head('X-A: b\r'))
bad('bad_request', 'a bare LF in a value', head('X-A: b\nc: d'))
bad('bad_request', 'a bare LF behind a value', 'GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n')
bad('bad_request', 'a control byte in a value', head('X-A: b\x01'))
bad('bad_request', 'DEL in a value', head('X-A: b\x7f'))
bad('bad_request', 'a byte above ASCII in a name', head('X-\xe9: b'))
bad('bad_request', 'a quote in a name', head('"X": b'))
bad('bad_request', 'a CR and a byte as the empty line', 'GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n')
bad('bad_request', 'a bare LF as the empty line', 'GET / HTTP/1.1\r\nHost: a\r\n\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n')
bad('head_too_large', 'too many fields', head(...Array.from({ length: 200 }, (_, i) => `X-${i}: y`)))
bad('head_too_large', 'a field that is too long', head(`X-A: ${'b'.repeat(33_000)}`))
bad('head_too_large', 'a Connection list without end', head(`Connection: ${'x,'.repeat(1_000)}`))
bad('uri_too_long', 'a target that is too long', line(`GET /${'a'.repeat(33_000)} HTTP/1.1`))

/** Lists of codings that are one `chunked` by RFC 9110 5.6.1. */
export const GAPS: readonly string[] = [
  '\tchunked  ',
  'chunked\t',
  'Chunked \t ',
  ', chunked',
  ',chunked',
  'chunked ,',
  'chunked,',
  'chunked,,',
  ' ,\t, \tCHUNKED\t , ,',
  ','.repeat(15) + 'chunked',
]

// Framing.
bad(
  'bad_framing',
  'a length and a transfer coding',
  post('Content-Length: 3\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
)
bad(
  'bad_framing',
  'a transfer coding and a length',
  post('Transfer-Encoding: chunked\r\nContent-Length: 3', '0\r\n\r\n'),
)
for (const length of [
  '+3',
  '-3',
  '0x3',
  '3,3',
  '3, 3',
  '3,',
  '',
  '03',
  '000',
  '3_0',
  '3 3',
  '3;',
  '3.0',
  '3e0',
  '18446744073709551619',
  '9007199254740993',
  '99999999999999999999',
  '\xa03',
  '3 x',
]) {
  bad('bad_framing', `a length of ${JSON.stringify(length)}`, post(`Content-Length: ${length}`, 'abc'))
}
bad('bad_framing', 'two equal lengths', post('Content-Length: 3\r\nContent-Length: 3', 'abc'))
bad('bad_framing', 'two differing lengths', post('Content-Length: 3\r\nContent-Length: 4', 'abc'))
for (const coding of [
  '',
  ',',
  ' , ,',
  'chunked, chunked',
  'chunked,,chunked',
  'chunked, gzip',
  'gzip, chunked, chunked',
  'gzip',
  'identity',
  'gzip, identity',
  'xchunked',
  'chunkedx',
  'cow',
  '"chunked"',
  'gzip, "chunked"',
  'chunked;q=1',
  'chunked ; q=1',
  'gzip, chunked;q=1',
  'chunked;',
  'chun ked',
  'gzip chunked',
  'gzip;, chunked',
  'gzip;a, chunked',
  'gzip;a="b, chunked',
  'chunked\xa0',
  '\xa0chunked',
  '\xa0, chunked',
  ','.repeat(16) + 'chunked',
]) {
  bad('bad_framing', `a coding of ${JSON.stringify(coding)}`, post(`Transfer-Encoding: ${coding}`, '0\r\n\r\n'))
}
bad('bad_request', 'a vertical tab before the coding', post('Transfer-Encoding: \x0bchunked', '0\r\n\r\n'))
for (const coding of [
  'gzip, chunked',
  'gzip,chunked',
  'GZip\t,\tCHUNKED\t',
  'identity, chunked',
  'xchunked, chunked',
  'gzip, deflate, chunked',
  ', gzip ,, chunked ,',
  'gzip;q=1, chunked',
  'gzip ; a = "b, \\" c" ;d=e, chunked',
]) {
  bad('not_implemented', `a coding of ${JSON.stringify(coding)}`, post(`Transfer-Encoding: ${coding}`, '0\r\n\r\n'))
}
const twoCodings = (first: string, second: string) =>
  post(`Transfer-Encoding: ${first}\r\nX-A: b\r\ntransfer-encoding: ${second}`, '0\r\n\r\n')
bad('not_implemented', 'gzip and then chunked', twoCodings('gzip', 'chunked'))
bad('bad_framing', 'chunked twice', twoCodings('chunked', 'chunked'))
bad('bad_framing', 'chunked and then identity', twoCodings('chunked', 'identity'))
bad('bad_framing', 'two codings that are empty', twoCodings('', ''))
bad(
  'bad_framing',
  'gzip, chunked beside a length',
  post('Transfer-Encoding: gzip, chunked\r\nContent-Length: 3', 'abc'),
)
bad(
  'bad_framing',
  'a gap and chunked beside a length',
  post('Content-Length: 5\r\nTransfer-Encoding: ,chunked', '0\r\n\r\n'),
)
bad(
  'bad_framing',
  'gzip, chunked in HTTP/1.0',
  'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n',
)
bad('bad_framing', 'a coding in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')

// Chunks.
for (const size of [
  '+3',
  '-3',
  '0x3',
  ' 3',
  '3 ',
  '3\t',
  '',
  'g',
  '3g',
  '00000000000000003',
  'ffffffffffffffff3',
  '3;',
  '3;=b',
  '3; a',
  '3 ;a',
  '3;a=',
  '3;a=b c',
  '3;a="b',
  '3;a="b"c',
  '3;a=\0',
  '3;a="\x01"',
  '3;a\rb',
  '3;a\nb',
  '3;a="\n"',
  '3\n',
  '3\r',
  '3,',
]) {
  bad('bad_body', `a chunk size of ${JSON.stringify(size)}`, chunked(`${size}\r\nabc\r\n0\r\n\r\n`))
}
bad('bad_body', 'a chunk size that ends with a bare LF', chunked('3\nabc\r\n0\r\n\r\n'))
bad('bad_body', 'chunk data that ends with a bare LF', chunked('3\r\nabc\n0\r\n\r\n'))
bad('bad_body', 'chunk data that ends with a bare CR', chunked('3\r\nabc\r0\r\n\r\n'))
bad('bad_body', 'chunk data that is longer than its size', chunked('3\r\nabcd\r\n0\r\n\r\n'))
bad('bad_body', 'chunk data that is shorter than its size', chunked('4\r\nabc\r\n0\r\n\r\n'))
bad('bad_body', 'a last chunk that ends with a bare LF', chunked('0\n\r\n'))
bad('bad_body', 'an empty line between chunks', chunked('3\r\nabc\r\n\r\n0\r\n\r\n'))
bad('bad_body', 'chunk extensions without end', chunked(`3${';a=b'.repeat(4_200)}\r\nabc\r\n0\r\n\r\n`))
bad('bad_body', 'a trailer flood', chunked(`0\r\nX-A: ${'b'.repeat(16_500)}\r\n\r\n`))
bad('bad_body', 'too many trailers', chunked(`0\r\n${'X-A: b\r\n'.repeat(100)}\r\n`))
for (const name of [
  'Content-Length',
  'Transfer-Encoding',
  'Host',
  'Authorization',
  'Cookie',
  'X-Forwarded-For',
  'X-Turnout-Pool',
  'Connection',
  'content-type',
  'X_Forwarded_For',
  'X-Forwarded-Port',
  'X-Forwarded-The-Longest-That-Anybody-Has-Seen',
  'X-Real-IP',
  'X_Real_IP',
  'X-Original-URL',
  'True-Client-IP',
  'X-HTTP-Method-Override',
  'X_HTTP_Method_Override',
  'Max-Forwards',
  'Proxy-Authorization',
  'proxy_authorization',
  'transfer_encoding',
]) {
  bad('bad_body', `a trailer of ${name}`, chunked(`0\r\n${name}: 1\r\n\r\n`))
}
bad('bad_body', 'a trailer with a space before its colon', chunked('0\r\nX-A : b\r\n\r\n'))
bad('bad_body', 'a folded trailer', chunked('0\r\nX-A: b\r\n c\r\n\r\n'))
bad('bad_body', 'a trailer that ends with a bare LF', chunked('0\r\nX-A: b\n\r\n'))
bad('bad_body', 'a trailer without colon', chunked('0\r\nX-A\r\n\r\n'))
bad('bad_body', 'a trailer section that ends with a bare LF', chunked('0\r\n\nGET /x HTTP/1.1\r\n\r\n'))

/** Trailers that mean nothing in a request, or are ours: they are read, and not passed on. */
export const MEANINGLESS_TRAILERS: readonly string[] =
  'Date Expires Age X-Request-Id x_request_id Traceparent Tracestate Set-Cookie Set-Cookie2 Cache-Control Location Vary WWW-Authenticate'.split(
    ' ',
  )
for (const name of MEANINGLESS_TRAILERS) {
  good(`a trailer of ${name}`, chunked(`3\r\nabc\r\n0\r\nX-A: b\r\n${name}: 1\r\n\r\n`))
}

// Upgrades and expectations.
const upgrade = 'Connection: upgrade\r\nUpgrade: websocket'
bad('bad_request', 'an upgrade with a counted body', post(`${upgrade}\r\nContent-Length: 3`, 'abc'))
bad('bad_request', 'an upgrade with a chunked body', post(`${upgrade}\r\nTransfer-Encoding: chunked`, '0\r\n\r\n'))
bad('bad_request', 'an upgrade to what is no protocol', head('Connection: upgrade', 'Upgrade: "websocket"'))
bad('expectation_failed', 'another expectation', head('Expect: 200-ok'))
bad('expectation_failed', 'two expectations', post('Expect: 100-continue, x\r\nContent-Length: 3', 'abc'))

// What is right.
good('GET', head())
good('an empty line before the request', `\r\n${head()}`)
good('HTTP/1.0 without Host', 'GET / HTTP/1.0\r\n\r\n')
good('HTTP/1.0 with keep-alive', 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
good('an unknown method', line('BREW /pot HTTP/1.1'))
good('absolute-form', line('GET http://b:80/x?y HTTP/1.1'))
good('absolute-form without path', line('GET https://b HTTP/1.1'))
good('absolute-form with a query only', line('GET HTTP://b?x HTTP/1.1'))
good('OPTIONS of an asterisk', line('OPTIONS * HTTP/1.1'))
good('a long target', line(`GET /${'a'.repeat(8_000)} HTTP/1.1`))
good('a target with odd characters', line('GET //x;y=z?a[]={"b"}|^`\\%zz HTTP/1.1'))
good('an IPv6 Host', 'GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n')
good('an IPv6 Host of zeros', 'GET / HTTP/1.1\r\nHost: [::]\r\n\r\n')
good('a Host of 255 characters', `GET / HTTP/1.1\r\nHost: ${'a'.repeat(255)}\r\n\r\n`)
good('a Host of 255 characters with a port', `GET / HTTP/1.1\r\nHost: ${'a'.repeat(255)}:65535\r\n\r\n`)
good('absolute-form with a host of 255 characters', line(`GET http://${'a'.repeat(255)}:80/ HTTP/1.1`))
good('a Host with an empty port', 'GET / HTTP/1.1\r\nHost: a:\r\n\r\n')
good('a Host with underscore', 'GET / HTTP/1.1\r\nHost: a_b.c-d:1\r\n\r\n')
good('white space around values', head('X-A: \t b \t ', 'X-B:', 'X-C:c'))
good('names that JavaScript knows', head('__proto__: 1', 'constructor: 2', 'toString: 3', 'hasOwnProperty: 4'))
good('bytes above ASCII in a value', head('X-A: \xe9\x80\xff'))
good('a counted body', post('Content-Length: 3', 'abc'))
good('a counted body of GET', `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc`)
good('an empty counted body', post('Content-Length: 0', ''))
good('white space around a length', post('Content-Length: \t3\t', 'abc'))
good('chunks', chunked('3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n'))
good('a coding in capitals', post('Transfer-Encoding: CHUNKED', '0\r\n\r\n'))
for (const coding of GAPS) {
  good(`a coding of ${JSON.stringify(coding)}`, post(`Transfer-Encoding: ${coding}`, '3\r\nabc\r\n0\r\n\r\n'))
}
good('an empty coding and chunked', twoCodings('', 'chunked'))
good('chunked and an empty coding', twoCodings('chunked', ' , '))
good('chunks with zeros before the size', chunked('0003\r\nabc\r\n00\r\n\r\n'))
good('chunks with extensions', chunked('3;a\r\nabc\r\n1;a=b;c="d;\\"e"\r\nx\r\n0;z\r\n\r\n'))
good('chunks that look like a request', chunked('12\r\nGET / HTTP/1.1\r\n\r\n\r\n0\r\n\r\n'))
good('trailers', chunked('3\r\nabc\r\n0\r\nX-A: b\r\nEtag: "c"\r\n\r\n'))
good('chunks of DELETE', 'DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n')
good('an expectation', post('Expect: 100-Continue\r\nContent-Length: 3', 'abc'))
good('an expectation in HTTP/1.0', 'POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc')
good('a body beside an upgrade to h2c', post('Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3', 'abc'))
good('a body beside an upgrade that Connection does not name', post('Upgrade: websocket\r\nContent-Length: 3', 'abc'))
good('a body beside an upgrade in HTTP/1.0', `POST / HTTP/1.0\r\n${upgrade}\r\nContent-Length: 3\r\n\r\nabc`)
good('Connection lists with gaps', head('Connection: , close ,, x-a', 'X-A: b'))
good('two requests', head() + head())
good('a body and a request', post('Content-Length: 3', 'abc') + head())
good('chunks and a request', chunked('3\r\nabc\r\n0\r\nX-A: b\r\n\r\n') + head())

/** Requests, right and wrong. */
export const REQUESTS: readonly RequestCase[] = cases

const answers: ResponseCase[] = []
const wrong = (name: string, bytes: string) => answers.push({ name, bytes, valid: false })
const right = (name: string, bytes: string) => answers.push({ name, bytes, valid: true })
const ok = (fields: string, body: string) => `HTTP/1.1 200 OK\r\n${fields}\r\n\r\n${body}`

for (const start of [
  'HTTP/2.0 200 OK',
  'HTTP/1.2 200 OK',
  'http/1.1 200 OK',
  'HTTP/1.1  200 OK',
  'HTTP/1.1\t200 OK',
  'HTTP/1.1 200\tOK',
  'HTTP/1.1 20 OK',
  'HTTP/1.1 2000 OK',
  'HTTP/1.1 000 OK',
  'HTTP/1.1 099 OK',
  'HTTP/1.1 600 OK',
  'HTTP/1.1 999 OK',
  'HTTP/1.1 -20 OK',
  'HTTP/1.1 2x0 OK',
  'HTTP/1.1',
  'HTTP/1.1 ',
  '200 OK',
  'ICY 200 OK',
  ' HTTP/1.1 200 OK',
  'HTTP/1.1 200 O\0K',
  'HTTP/1.1 200 O\rK',
  'HTTP/1.1 200OK',
  '\r\nHTTP/1.1 200 OK',
  'HTTP/1.0 100 Continue',
]) {
  wrong(`a status line of ${JSON.stringify(start)}`, `${start}\r\nContent-Length: 2\r\n\r\nok`)
}
wrong('bare LFs', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok')
wrong('a bare LF behind a field', 'HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 2\r\n\r\nok')
wrong('a space before the colon', ok('Content-Length : 2', 'ok'))
wrong('a folded line', ok('X-A: b\r\n c\r\nContent-Length: 2', 'ok'))
wrong('an empty name', ok(': b\r\nContent-Length: 2', 'ok'))
wrong('a line without colon', ok('X-A\r\nContent-Length: 2', 'ok'))
wrong('NUL in a value', ok('X-A: b\0c\r\nContent-Length: 2', 'ok'))
wrong('a bare CR in a value', ok('X-A: b\rX-C: d\r\nContent-Length: 2', 'ok'))
wrong('too many fields', ok('X-A: b\r\n'.repeat(200) + 'Content-Length: 2', 'ok'))
wrong('a head that is too large', ok(`X-A: ${'b'.repeat(33_000)}\r\nContent-Length: 2`, 'ok'))
wrong('a Connection list without end', ok(`Connection: ${'x,'.repeat(1_000)}\r\nContent-Length: 2`, 'ok'))
wrong('a length and a coding', ok('Content-Length: 2\r\nTransfer-Encoding: chunked', '2\r\nok\r\n0\r\n\r\n'))
wrong('two differing lengths', ok('Content-Length: 2\r\nContent-Length: 3', 'ok'))
for (const length of [
  '+2',
  '-2',
  '0x2',
  '2,2',
  '2 2',
  '',
  '0 2',
  '00x2',
  '009007199254740993',
  '18446744073709551618',
  '9007199254740993',
  'two',
]) {
  wrong(`a length of ${JSON.stringify(length)}`, ok(`Content-Length: ${length}`, 'ok'))
}
for (const coding of [
  'gzip',
  'identity',
  'gzip, chunked',
  'chunked, gzip',
  'chunked, chunked',
  ',',
  '',
  '"chunked"',
  'xchunked',
  'chunked;q=1',
]) {
  wrong(`a coding of ${JSON.stringify(coding)}`, ok(`Transfer-Encoding: ${coding}`, '2\r\nok\r\n0\r\n\r\n'))
}
wrong('two codings', ok('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '2\r\nok\r\n0\r\n\r\n'))
wrong('a coding in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n')
for (const size of ['+2', '-2', '0x2', '2 ', ' 2', '', 'x', '2;', '2\n', '00000000000000002']) {
  wrong(`a chunk size of ${JSON.stringify(size)}`, ok('Transfer-Encoding: chunked', `${size}\r\nok\r\n0\r\n\r\n`))
}
wrong('chunk data that is too long', ok('Transfer-Encoding: chunked', '2\r\nokay\r\n0\r\n\r\n'))
for (const name of ['Content-Length', 'Transfer-Encoding', 'content_length', 'Connection', 'Proxy-Connection']) {
  wrong(`a trailer of ${name}`, ok('Transfer-Encoding: chunked', `2\r\nok\r\n0\r\n${name}: 5\r\n\r\n`))
}
wrong(
  'a 101 that nobody asked for',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nok',
)
wrong(
  'a body behind an interim response',
  'HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
)

wrong(
  'an interim response that announces chunks',
  `HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n${ok('Content-Length: 2', 'ok')}`,
)
wrong(
  'an interim response that announces a length',
  `HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n${ok('Content-Length: 2', 'ok')}`,
)

right('a counted body', ok('Content-Length: 2', 'ok'))
right('chunks', ok('Transfer-Encoding: chunked', '1\r\no\r\n1;a="b"\r\nk\r\n0\r\n\r\n'))
right('chunks with trailers', ok('Transfer-Encoding: Chunked', '2\r\nok\r\n0\r\nX-A: b\r\n\r\n'))
for (const coding of GAPS) {
  right(`a coding of ${JSON.stringify(coding)}`, ok(`Transfer-Encoding: ${coding}`, '2\r\nok\r\n0\r\n\r\n'))
}
right('chunked and an empty coding', ok('Transfer-Encoding: chunked\r\nTransfer-Encoding:', '2\r\nok\r\n0\r\n\r\n'))
for (const zeros of [1, 5, 20]) {
  right(`${zeros} zeros before a length`, ok(`Content-Length: ${'0'.repeat(zeros)}2`, 'ok'))
}
/** Trailers that an answer may have, and that end here. */
export const ENDING_TRAILERS: readonly string[] = [
  ...MEANINGLESS_TRAILERS,
  ...'Host Keep-Alive Trailer Upgrade TE Authorization Cookie Content-Type Content-Encoding X-Turnout-Pool Via'.split(
    ' ',
  ),
]
for (const name of ENDING_TRAILERS) {
  right(`a trailer of ${name}`, ok('Transfer-Encoding: chunked', `2\r\nok\r\n0\r\n${name}: 1\r\nX-A: b\r\n\r\n`))
}
right('a body that ends with the connection', 'HTTP/1.1 200 OK\r\n\r\nok')
right('HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nok')
right('HTTP/1.0 with length', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok')
right('no reason', 'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok')
right('no reason and no space', 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok')
right('a reason beyond ASCII', 'HTTP/1.1 200 D\xe9j\xe0 vu\r\nContent-Length: 2\r\n\r\nok')
right('an unknown status', 'HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok')
right(
  'interim responses',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
)
right('names that JavaScript knows', ok('__proto__: 1\r\nconstructor: 2\r\nContent-Length: 2', 'ok'))

/** Responses to GET, right and wrong. */
export const RESPONSES: readonly ResponseCase[] = answers
