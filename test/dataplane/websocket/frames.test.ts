/** Where frames and messages of a WebSocket end, however their octets are cut into pieces. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CLOSE_BYTES, Frames, farewell } from '../../../src/dataplane/websocket/frames.ts'
import { bulk } from '../../helpers/bulk.ts'

const CONTINUATION = 0
const TEXT = 1
const BINARY = 2
const CLOSE = 8
const PING = 9

/** A frame as a server sends it; `wide` is how many octets of length it has beyond the first, 0, 2 or 8. */
function frame(opcode: number, isLast: boolean, size: number, wide = size < 126 ? 0 : size < 65_536 ? 2 : 8): Buffer {
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE(BigInt(size))
  const first = wide === 0 ? size : wide === 2 ? 126 : 127
  return Buffer.concat([
    Buffer.from([(isLast ? 0x80 : 0) | opcode, first]),
    length.subarray(8 - wide),
    Buffer.alloc(size, 'x'),
  ])
}

const sizes = fc.oneof(fc.nat(130), fc.constantFrom(125, 126, 127, 65_535, 65_536, 70_000))
const control = fc.nat(125).map((size) => frame(PING, true, size))
/** A message in one frame or in several, with pings between them; and where it may be interrupted: nowhere but at its ends. */
const message = fc
  .record({
    opcode: fc.constantFrom(TEXT, BINARY),
    parts: fc.array(sizes, { minLength: 1, maxLength: 3 }),
    ping: control,
    hasPing: fc.boolean(),
  })
  .map(({ opcode, parts, ping, hasPing }) =>
    Buffer.concat(
      parts.flatMap((size, i) => [
        ...(hasPing && i > 0 ? [ping] : []),
        frame(i === 0 ? opcode : CONTINUATION, i === parts.length - 1, size),
      ]),
    ),
  )
const stream = fc.array(fc.oneof(message, control), { minLength: 1, maxLength: 8 })

/** Cuts a text at these fractions of it. */
function cut(all: Buffer, fractions: readonly number[]): Buffer[] {
  const ends = [...new Set(fractions.map((fraction) => Math.floor(fraction * all.length)))].sort((a, b) => a - b)
  return [...ends, all.length].map((end, i) => all.subarray(i === 0 ? 0 : ends[i - 1], end))
}

test('however the octets are cut, a walk that is to stop stops at the first end of a message from there on', () => {
  const fractions = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })
  fc.assert(
    fc.property(stream, fractions, fc.nat(12), (parts, cuts, from) => {
      const all = Buffer.concat(parts)
      const ends = parts.map((_, i) => Buffer.concat(parts.slice(0, i + 1)).length)
      const frames = new Frames()
      let offset = 0
      let stopped = -1
      let asked = 0
      for (const [index, piece] of cut(all, cuts).entries()) {
        if (index === from) asked = offset
        const until = frames.walk(piece, 0, piece.length, index >= from)
        if (index >= from && frames.isBetween) {
          stopped = offset + until
          break
        }
        expect(until).toBe(piece.length)
        offset += piece.length
      }
      if (stopped >= 0) expect(stopped).toBe([0, ...ends].find((end) => end >= asked))
      else expect(frames.isBetween).toBe(true)
      expect(frames.isLost).toBe(false)
    }),
  )
})

/** What RFC 6455 says of these octets from a target, frame by frame over all of them. */
function naive(all: Buffer) {
  let [at, isOpen, isClosed] = [0, false, false]
  const state = (isLost: boolean, isInFrame: boolean) => {
    const isBetweenFrames = !isLost && !isClosed && !isInFrame
    return { isLost, isClosed, isBetweenFrames, isBetween: isBetweenFrames && !isOpen }
  }
  while (at < all.length) {
    if (at + 1 === all.length) return state(false, true)
    const [isLast, opcode, isMasked, short] = [all[at] >= 0x80, all[at] & 15, all[at + 1] >= 0x80, all[at + 1] & 127]
    if (isMasked) return state(true, true)
    const behind = at + 2 + (short < 126 ? 0 : short === 126 ? 2 : 8)
    if (behind > all.length) return state(false, true)
    const length = short < 126 ? BigInt(short) : BigInt(`0x${all.toString('hex', at + 2, behind)}`)
    const isControl = opcode >= CLOSE
    const isKnown = isControl ? opcode <= 10 && isLast && length < 126n : opcode <= 2 && (opcode === 0) === isOpen
    if (!isKnown || length >= 2n ** 53n) return state(true, true)
    if (opcode === CLOSE) isClosed = true
    if (!isControl) isOpen = !isLast
    if (BigInt(behind) + length > BigInt(all.length)) return state(false, true)
    at = behind + Number(length)
  }
  return state(false, false)
}

const any = fc
  .record({
    first: fc.constantFrom(0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a, 0xc1, 0x09, 0x83, 0x8b),
    size: fc.oneof(fc.nat(3), fc.constantFrom(124, 125, 126, 127, 300)),
    wide: fc.constantFrom(0, 2, 8),
  })
  .map(({ first, size, wide }) => {
    const bytes = frame(0, true, size, Math.max(wide, size < 126 ? 0 : 2))
    bytes[0] = first
    return bytes
  })
/** What one target in a few sends: all of it as it should be, then something that may not be so, then more of it, up to any place. */
const anything = fc
  .tuple(
    fc.array(fc.oneof(message, control), { maxLength: 4 }),
    fc.array(any, { maxLength: 4 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
  )
  .map(([good, rest, part]) => {
    const all = Buffer.concat([...good, ...rest])
    return all.subarray(0, Math.ceil(all.length * part))
  })

test('whatever a target sends, and however it is cut, all is seen of it that is seen frame by frame', () => {
  const fractions = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 })
  fc.assert(
    fc.property(anything, fractions, (all, cuts) => {
      const frames = new Frames()
      for (const piece of cut(all, cuts)) {
        if (frames.isLost) break
        // Behind a Close nothing is asked any more.
        if (!frames.isClosed) frames.walk(piece, 0, piece.length, false)
      }
      const { isLost, isClosed, isBetween, isBetweenFrames } = frames
      const right = naive(all)
      if (right.isClosed) expect([isClosed, isBetween, isBetweenFrames]).toEqual([true, false, false])
      else expect({ isLost, isClosed, isBetweenFrames, isBetween }).toEqual(right)
    }),
    { numRuns: bulk(150, 500) },
  )
})

test('a head that is cut at any place is read in two pieces, whatever stands in the buffer behind the first', () => {
  const all = Buffer.concat([
    frame(TEXT, true, 3),
    frame(TEXT, false, 300),
    frame(PING, true, 1),
    frame(CONTINUATION, true, 5, 8),
  ])
  for (let at = 0; at <= all.length; at++) {
    const frames = new Frames()
    const first = Buffer.concat([all.subarray(0, at), Buffer.from([0x88, 0x7f, 0xff, 0xff, 0xff])])
    frames.walk(first, 0, at, false)
    frames.walk(all, at, all.length, false)
    expect([at, frames.isBetween, frames.isLost, frames.isClosed]).toEqual([at, true, false, false])
  }
})

test('it is between two frames within a message, and not between two messages', () => {
  const frames = new Frames()
  const all = Buffer.concat([frame(TEXT, false, 5), frame(PING, true, 2), frame(CONTINUATION, true, 3)])
  const seen = []
  for (let at = 0; at < all.length; at++) {
    frames.walk(all, at, at + 1, false)
    seen.push(frames.isBetween ? '|' : frames.isBetweenFrames ? ':' : '.')
  }
  expect(seen.join('')).toBe('......:...:....|')
})

test.each<[what: string, bytes: Buffer]>([
  ['a masked frame', Buffer.from([0x81, 0x80, 1, 2, 3, 4])],
  ['an unknown opcode', frame(3, true, 1)],
  ['an unknown control opcode', frame(11, true, 1)],
  ['a continuation of nothing', frame(CONTINUATION, true, 1)],
  ['a message within another', Buffer.concat([frame(TEXT, false, 1), frame(TEXT, true, 1)])],
  ['a ping in parts', frame(PING, false, 1)],
  ['a ping that is too long', frame(PING, true, 126)],
  ['a length beyond what can be counted', Buffer.from([0x82, 127, 0x00, 0x20, 0, 0, 0, 0, 0, 0])],
  ['a text of another protocol', Buffer.from('HTTP/1.1 200 OK\r\n\r\n')],
])('after %s nothing is known any more, and nothing may be put in', (_what, bytes) => {
  const frames = new Frames()
  expect(frames.walk(bytes, 0, bytes.length, false)).toBe(bytes.length)
  expect(frames.isLost).toBe(true)
  expect(frames.walk(frame(TEXT, true, 3), 0, 5, true)).toBe(5)
  expect([frames.isBetween, frames.isBetweenFrames]).toEqual([false, false])
})

test('behind the Close of the target nothing may stand', () => {
  const frames = new Frames()
  const close = frame(CLOSE, true, 2)
  frames.walk(close, 0, close.length, false)
  expect([frames.isClosed, frames.isBetween, frames.isBetweenFrames]).toEqual([true, false, false])
})

test('lengths in more octets than they need are lengths all the same', () => {
  const frames = new Frames()
  const all = Buffer.concat([frame(TEXT, true, 7, 8), frame(BINARY, true, 9, 2)])
  frames.walk(all, 0, all.length, false)
  expect(frames.isBetween).toBe(true)
})

test('the last words are a text message, if there is one, and Close with the code', () => {
  expect([...farewell(null, 1012)]).toEqual([0x88, 2, 0x03, 0xf4])
  expect([...farewell('née', 4001)]).toEqual([0x81, 4, ...Buffer.from('née'), 0x88, 2, 0x0f, 0xa1])
  const long = Buffer.from(farewell('x'.repeat(126), 1001))
  expect([...long.subarray(0, 4)]).toEqual([0x81, 126, 0, 126])
  expect([...long.subarray(-CLOSE_BYTES)]).toEqual([0x88, 2, 0x03, 0xe9])
  const frames = new Frames()
  frames.walk(long, 0, long.length, false)
  expect([frames.isClosed, frames.isLost]).toEqual([true, false])
})
