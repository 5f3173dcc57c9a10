/**
 * The same bytes get the same verdict however they are cut (HTTP.md, gate 1): every corpus message as a whole, byte by byte and
 * in two pieces at every place (of a long one at some), read by the parsers; and over real sockets byte by byte and in small
 * pieces. The floods are cut in segmentation-floods.test.ts.
 */
import { describe, expect, test } from 'vitest'
import { ERRORS } from '../../src/errors.ts'
import { bulk } from '../helpers/bulk.ts'
import { rawRequest } from '../helpers/raw.ts'
import { shareProxy } from '../helpers/shared-proxy.ts'
import { type RawUpstream, startRaw } from '../helpers/upstream.ts'
import { REQUESTS, RESPONSES } from './http1/corpus.ts'
import { expectSameHoweverCut, isShort } from './http1/cuts.ts'
import { readRequests, readResponses } from './http1/reading.ts'

const proxyTo = shareProxy()

/** Of a message that is long every few bytes; its ends are cut at every place. */
const stepIn = (bytes: string): number => (bytes.length > 2_000 ? bulk(7, 1) : 1)

describe('a request gets the same verdict however it is cut', () => {
  test.each(REQUESTS.filter(isShort).map(({ name, bytes, error }) => [name, bytes, error] as const))(
    '%s',
    (_name, bytes, error) => {
      expectSameHoweverCut(bytes.length, (cuts) => readRequests(bytes, cuts), stepIn(bytes))
      const { verdict, messages } = readRequests(bytes)
      if (error !== null) expect(verdict).toBe(error)
      else {
        expect(['whole', 'last']).toContain(verdict)
        expect(messages.length).toBeGreaterThan(0)
        expect(messages.at(-1)?.end).toBe(bytes.length)
      }
    },
  )
})

describe('a response gets the same verdict however it is cut', () => {
  test.each(RESPONSES.filter(isShort).map(({ name, bytes, valid }) => [name, bytes, valid] as const))(
    '%s',
    (_name, bytes, valid) => {
      expectSameHoweverCut(bytes.length, (cuts) => readResponses(bytes, 0, cuts), stepIn(bytes))
      const { messages } = readResponses(bytes)
      const final = messages.find(({ start }) => start === '200' || start === '299')
      expect(final?.body === 'ok').toBe(valid)
    },
  )
})

/** Longer messages take too long byte by byte over a socket; they are cut at every place above. */
const SOCKET_BYTES_MAX = 400
const BEHIND = 'GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

/** A target that answers a request when it has all of it. */
function startPatient(): Promise<RawUpstream> {
  const answered = new Map<number, number>()
  return startRaw((socket, text, index) => {
    const whole = readRequests(text).messages.length
    const before = answered.get(index) ?? 0
    answered.set(index, whole)
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'.repeat(whole - before))
  })
}

/** A text in pieces of these sizes, over and over. */
function piecesOf(text: string, sizes: readonly number[]): string[] {
  const pieces: string[] = []
  for (let at = 0, i = 0; at < text.length; at += sizes[i++ % sizes.length]) {
    pieces.push(text.slice(at, at + sizes[i % sizes.length]))
  }
  return pieces
}

test.each([
  ['single bytes', [1]],
  ['pieces of two and three bytes', [2, 3]],
  ['pieces of thirteen bytes and one', [13, 1]],
] as const)(
  'over a connection, in %s, every request gets the same answer',
  { timeout: 120_000 },
  async (_name, sizes) => {
    const target = await startPatient()
    const proxy = await proxyTo(target)
    const short = REQUESTS.filter(({ bytes }) => bytes.length <= SOCKET_BYTES_MAX)
    const verdict = async ({ name, bytes, error }: (typeof REQUESTS)[number]) => {
      const { text, end } = await rawRequest(proxy.port, piecesOf(bytes + BEHIND, sizes), { limitMs: 30_000 })
      const statuses = [...new Set([...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1])))]
      expect({ name, statuses, end }).toEqual({
        name,
        statuses: [error === null ? 200 : ERRORS[error].status],
        end: 'closed',
      })
    }
    for (let i = 0; i < short.length; i += 16) await Promise.all(short.slice(i, i + 16).map(verdict))
    const arrived = target.received().flatMap((text) => readRequests(text).messages.map(({ start }) => start))
    const expected = short
      .filter(({ error }) => error === null)
      .flatMap(({ bytes }) => readRequests(bytes + BEHIND).messages)
    expect(arrived.length).toBe(expected.length)
  },
)
