/** Where a stream of events may be ended, however its octets are cut and whichever ends its lines have. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Departures } from '../../../src/dataplane/departures/departures.ts'
import type { Downstream } from '../../../src/dataplane/exchange/downstream.ts'
import { EventStream } from '../../../src/dataplane/exchange/event-stream.ts'
import { ExchangeRequest } from '../../../src/dataplane/exchange/request.ts'
import { ResponseHead } from '../../../src/dataplane/http1/response-head.ts'
import { makePlane } from '../make-plane.ts'

const newStream = (end: () => void = () => {}) =>
  new EventStream({} as Departures, {} as Downstream, { end, cut: () => {} })

const lines = fc.array(
  fc.constantFrom('data: x', 'id: 1', ': a comment', 'event: e').map((line) => line),
  { minLength: 1, maxLength: 3 },
)
const event = fc
  .tuple(lines, fc.constantFrom('\n', '\r\n', '\r'))
  .map(([texts, lineEnd]) => `${texts.join(lineEnd)}${lineEnd}${lineEnd}`)

test('it ends behind the first event that is whole once it is to leave', () => {
  const events = fc.array(event, { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(events, fc.array(fc.nat(60), { maxLength: 10 }), fc.nat(10), (texts, cuts, from) => {
      const all = Buffer.from(texts.join(''))
      const stops = [...new Set([...cuts.filter((at) => at < all.length), all.length])].sort((a, b) => a - b)
      const ends = [0, ...texts.map((_, i) => texts.slice(0, i + 1).join('').length)]
      let ended = -1
      let at = 0
      const stream = newStream(() => {
        ended = at
      })
      for (const [index, stop] of stops.entries()) {
        if (index === from) stream.leave()
        if (ended >= 0) break
        const until = stream.walk(all, at, stop)
        if (stream.isAsked && stream.isBetween) {
          ended = until
          break
        }
        expect(until).toBe(stop)
        at = stop
      }
      if (ended < 0) return
      // Of an empty line that ends with CR LF, the LF may be left out: there the event has ended already.
      const isEnd = ends.includes(ended) || (ends.includes(ended + 1) && all[ended - 1] === 13 && all[ended] === 10)
      expect(isEnd).toBe(true)
    }),
  )
})

test('between two events it ends at once, within one only behind its end', () => {
  let isEnded = false
  const stream = newStream(() => {
    isEnded = true
  })
  const text = Buffer.from('data: 1\n\ndata: 2\n\ndata: 3\n\n')
  stream.walk(text, 0, 12)
  stream.leave()
  expect([isEnded, stream.isAsked]).toEqual([false, true])
  expect(stream.walk(text, 12, text.length)).toBe(18)
  const other = newStream(() => {
    isEnded = true
  })
  other.walk(text, 0, 9)
  other.leave()
  expect(isEnded).toBe(true)
})

test.each([
  ['Content-Type: text/event-stream', true],
  ['Content-Type: Text/Event-Stream; charset=utf-8', true],
  ['Content-Type: text/event-stream\r\nContent-Encoding: gzip', false],
  ['Content-Type: text/html', false],
  ['X: y', false],
])('an answer with %s is one: %s', (fields, isOne) => {
  const head = new ResponseHead(16_384, 100)
  head.parse(`HTTP/1.1 200 OK\r\n${fields}\r\nTransfer-Encoding: chunked\r\n\r\n`)
  expect(EventStream.isBegunBy(head)).toBe(isOne)
})

test.each([
  ['GET', 'Accept: text/event-stream', true],
  ['GET', 'Accept: text/html, Text/Event-Stream;q=0.9', true],
  ['GET', 'Accept: text/html\r\nAccept: text/event-stream', true],
  ['GET', 'Accept: */*', false],
  ['GET', 'X: y', false],
  ['POST', 'Accept: application/json, text/event-stream', false],
])('a %s with %s asks again: %s', (method, fields, asksAgain) => {
  const plane = makePlane({ targets: [] })
  const text = `${method} / HTTP/1.1\r\nHost: shop\r\n${fields}\r\n\r\n`
  const request = new ExchangeRequest(plane.kept)
  plane.requestHead.parse(text)
  request.read(plane, text, { whole: '', done: true, trailers: '' })
  // Another one has come meanwhile.
  plane.requestHead.parse('PUT / HTTP/1.1\r\nHost: shop\r\n\r\n')
  expect(request.asksAgain(plane)).toBe(asksAgain)
})
