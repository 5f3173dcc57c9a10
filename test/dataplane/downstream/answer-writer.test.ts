/** Answers as they are written, and what of them is kept. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { AnswerWriter } from '../../../src/dataplane/downstream/answer-writer.ts'
import type { Outgoing } from '../../../src/dataplane/socket/outgoing.ts'
import { makePlane } from '../make-plane.ts'

const REASON_LENGTH = 30_000

test('nothing is kept of long reasons, whatever the status: a target may say anything', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const plane = makePlane({ targets: ['http://192.0.2.7:80'] })
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
    writer.head(plane.responseHead, 'none', { requestId: 'r', cookieLine: '', answerLines: '' }, true)
    writer.body(Buffer.alloc(0), 0, 0, '')
  }
  expect(length).toBeGreaterThan(400 * REASON_LENGTH)
  collect()
  // What is kept of each would be twice its reason.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(4 * 2 ** 20)
})
