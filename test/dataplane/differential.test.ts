/**
 * Our codec beside Node's llhttp, strict, on generated messages: what we accept, llhttp must accept too, and understand the
 * same way. The other direction is free: where we refuse more, a target never sees it. Runs repeat by their seeds.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { requestBytes, responseBytes } from './codec/generated.ts'
import { LLHTTP_METHODS, llhttpRequests, llhttpResponses } from './codec/llhttp.ts'
import { type Message, type Reading, readRequests, readResponses } from './codec/reading.ts'

/** Messages, or pairs of them, per seed. */
const RUNS = 20_000
/** Seeds for each side; TURNOUT_FUZZ_SEEDS asks for more. */
const SEEDS = Number(process.env['TURNOUT_FUZZ_SEEDS'] ?? 2)
const seedsFrom = (first: number) => Array.from({ length: SEEDS }, (_, i) => first + i)

/**
 * Where we accept what llhttp refuses, and why:
 * - a method that llhttp does not know: any token is a method, and a proxy passes on what it does not know (RFC 9110 9.1).
 *   The test reads such messages again with `POST` in its place, so all the rest of them is compared;
 * - what follows a request for an upgrade that is not passed on (h2c): llhttp takes it for the other protocol, we for the next
 *   request, because our target is never asked to switch (RFC 9110 7.8: a server may ignore Upgrade);
 * - what follows an interim response with `Connection: close`: llhttp takes that for the end of the connection, we for a
 *   promise about the end of the final response, and do not use the connection again.
 */
function withKnownMethods(bytes: string): string {
  let text = bytes
  for (let from = 0, i = 0; ; i++) {
    const message = readRequests(text).messages[i]
    if (message === undefined) return text
    const method = message.start.slice(0, message.start.indexOf(' '))
    const at = text.indexOf(method, from)
    if (!LLHTTP_METHODS.has(method)) text = text.slice(0, at) + 'POST' + text.slice(at + method.length)
    from = readRequests(text).messages[i]?.end ?? text.length
  }
}

/** What differs between a message as we took it and llhttp's reading of it; empty when nothing does. */
function difference(ours: Message, theirs: Message | undefined, reading: Reading): string {
  if (theirs === undefined) return `llhttp refuses it: ${reading.verdict}`
  const parts = ['start', 'body', 'fields', 'trailers'] as const
  const part = parts.find((name) => JSON.stringify(ours[name]) !== JSON.stringify(theirs[name]))
  if (part !== undefined) return `${part}: ${JSON.stringify(ours[part])}, llhttp ${JSON.stringify(theirs[part])}`
  return ''
}

function compare(ours: Reading, theirs: Reading): void {
  for (const [i, message] of ours.messages.entries()) {
    expect(difference(message, theirs.messages[i], theirs)).toBe('')
    if (theirs.messages[i].upgrade || (message.start.startsWith('1') && !message.keepAlive)) return
  }
}

describe('what we accept, llhttp accepts and understands the same way', () => {
  test.each(seedsFrom(1))('requests, seed %i', { timeout: 120_000 }, (seed) => {
    let taken = 0
    fc.assert(
      fc.property(requestBytes, (bytes) => {
        const text = withKnownMethods(bytes)
        const ours = readRequests(text)
        const theirs = llhttpRequests(text)
        taken += ours.messages.length
        compare(ours, theirs)
        // Where we would read on, llhttp must not have seen the end of the connection.
        const closed = theirs.messages.findIndex(({ keepAlive, upgrade }) => !keepAlive && !upgrade)
        if (closed >= 0) expect(ours.messages[closed]?.keepAlive ?? false).toBe(false)
      }),
      { numRuns: RUNS, seed },
    )
    expect(taken).toBeGreaterThan(RUNS / 10)
  })

  test.each(seedsFrom(1_001))('responses, seed %i', { timeout: 120_000 }, (seed) => {
    let taken = 0
    fc.assert(
      fc.property(responseBytes, fc.boolean(), (bytes, isHead) => {
        const ours = readResponses(bytes, isHead)
        taken += ours.messages.length
        compare(ours, llhttpResponses(bytes, isHead))
      }),
      { numRuns: RUNS, seed },
    )
    expect(taken).toBeGreaterThan(RUNS / 10)
  })
})

/** What llhttp takes and we refuse, each with its reason. Only these may be refused by nobody but us for want of strictness. */
const STRICTER: readonly (readonly [reason: string, bytes: string])[] = [
  ['several empty lines before a request: one is what old clients sent', `\r\n\r\n${request()}`],
  ['a bare LF before a request', `\n${request()}`],
  ['a space too many before the version: request lines are split in more than one way', request('GET /  HTTP/1.1')],
  ['a fragment in the target: RFC 9112 3.2 has none', request('GET /#x HTTP/1.1')],
  [
    'schemes other than http and https: a proxy must not be talked into another protocol',
    request('GET ftp://a/ HTTP/1.1'),
  ],
  ['user information in the target: RFC 9110 4.2.4', request('GET http://a@b/ HTTP/1.1')],
  ['CONNECT: this is no forward proxy', request('CONNECT a:80 HTTP/1.1')],
  ['no Host: RFC 9112 3.2 (node:http refuses it too, behind llhttp)', 'GET / HTTP/1.1\r\n\r\n'],
  ['a second Host: RFC 9112 3.2', request('GET / HTTP/1.1', 'Host: b')],
  ['a malformed Host: RFC 9112 3.2', 'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n'],
  ['HTTP/0.9 and HTTP/2.0 on an HTTP/1.1 connection: RFC 9110 2.5', request('GET / HTTP/2.0')],
  ['zeros before a length: readers disagree on long ones', request('POST / HTTP/1.1', 'Content-Length: 03') + 'abc'],
  ['a length of 2^53 or more: we count no further', request('POST / HTTP/1.1', 'Content-Length: 9007199254740993')],
  [
    'a coding before chunked: RFC 9112 6.1 lets a server refuse it (501)',
    request('POST / HTTP/1.1', 'Transfer-Encoding: gzip, chunked') + '0\r\n\r\n',
  ],
  [
    'a coding in HTTP/1.0: RFC 9112 6.1, faulty framing',
    'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['an unknown expectation: RFC 9110 10.1.1 (417)', request('GET / HTTP/1.1', 'Expect: x')],
  [
    'more than 13 digits of a chunk size',
    request('POST / HTTP/1.1', 'Transfer-Encoding: chunked') + '00000000000000\r\n\r\n',
  ],
  [
    'framing fields in trailers: RFC 9110 6.5.1',
    request('POST / HTTP/1.1', 'Transfer-Encoding: chunked') + '0\r\nHost: b\r\n\r\n',
  ],
  [
    'a body behind an upgrade: HTTP.md, the way into tunnels',
    request('POST / HTTP/1.1', 'Connection: upgrade', 'Upgrade: websocket', 'Content-Length: 1') + 'x',
  ],
]

function request(line = 'GET / HTTP/1.1', ...fields: string[]): string {
  return `${[line, 'Host: a', ...fields].join('\r\n')}\r\n\r\n`
}

describe('what llhttp accepts and we refuse', () => {
  test.each(STRICTER)('%s', (_reason, bytes) => {
    expect(readRequests(bytes).messages).toEqual([])
    const theirs = llhttpRequests(bytes)
    expect(theirs.messages.length + Number(theirs.unfinished !== '')).toBeGreaterThan(0)
  })
})
