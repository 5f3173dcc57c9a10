/** Answers as they are written, and what of them is kept. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { AnswerWriter } from '../../../src/dataplane/downstream/answer-writer.ts'
import type { Framing } from '../../../src/dataplane/http1/body.ts'
import type { ResponseHead } from '../../../src/dataplane/http1/response-head.ts'
import type { Outgoing } from '../../../src/dataplane/socket/outgoing.ts'
import { type ReadConnection, ResponseReader } from '../../../src/dataplane/upstream/response-reader.ts'
import { makePlane } from '../make-plane.ts'

const REASON_LENGTH = 30_000
const LINES = { requestId: 'r', cookieLine: '', answerLines: '' }
const makeWorker = () => makePlane({ targets: ['http://192.0.2.7:80'] })

test('nothing is kept of long reasons, whatever the status: a target may say anything', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const plane = makeWorker()
  let length = 0
  const out = {
    text(text: string): void {
      length += text.length
    },
  }
  const writer = new AnswerWriter(plane, out as Outgoing)
  const reason = 'x'.repeat(REASON_LENGTH)
  collect()
  const before = process.memoryUsage().heapUsed
  for (let status = 200; status <= 599; status++) {
    const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Length: 0\r\n\r\n`
    expect(plane.responseHead.parse(head)).toBe(head.length)
    writer.start(1, false, true, false)
    writer.head(plane.responseHead, 'none', LINES, true)
    writer.body(Buffer.alloc(0), 0, 0, '')
  }
  expect(length).toBeGreaterThan(400 * REASON_LENGTH)
  collect()
  // What is kept of each would be twice its reason.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(4 * 2 ** 20)
})

/** Every octet that there is. */
const OCTETS = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet)).toString('latin1')

test.each(['', 'behind', OCTETS])(
  'a small body is what it was, wherever it is cut, and with what comes behind it left out (%#)',
  (behind) => {
    const plane = makeWorker()
    const bytes = `HTTP/1.1 200 OK\r\nContent-Length: ${OCTETS.length}\r\n\r\n${OCTETS}${behind}`
    for (let cut = 0; cut < bytes.length; cut++) {
      let got = ''
      const out = {
        text(text: string): void {
          got += text
        },
        bytes(bytes: Buffer): boolean {
          got += bytes.toString('latin1')
          return false
        },
      }
      const writer = new AnswerWriter(plane, out as Outgoing)
      writer.start(1, false, true, false)
      const connection = {
        rawUser: null,
        requestSent: true,
        user: {
          answer: {
            onHead: (head: ResponseHead, framing: Framing) => writer.head(head, framing, LINES, true),
            onBody: (...piece: Parameters<AnswerWriter['body']>) => writer.body(...piece),
          },
        },
        reuse: { applyKeepAliveHints: () => true },
        heard() {},
        moveBody: () => 0,
      }
      const reader = new ResponseReader(
        connection as unknown as ReadConnection,
        plane.responseHead,
        16_384,
        plane.buffers,
      )
      reader.start(false, '')
      for (const piece of [bytes.slice(0, cut), bytes.slice(cut)]) {
        reader.take(Buffer.from(piece, 'latin1'), piece.length)
        // The head of another connection is read into the same memory.
        plane.responseHead.parse(`HTTP/1.1 200 OK\r\n\r\n${'y'.repeat(OCTETS.length)}`)
        if (reader.complete) break
      }
      expect([cut, got.slice(got.indexOf('\r\n\r\n') + 4), reader.complete]).toEqual([cut, OCTETS, true])
    }
  },
)
