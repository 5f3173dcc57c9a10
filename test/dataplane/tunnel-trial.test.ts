/** What a WebSocket says of a version that is judged. */
import { expect, test } from 'vitest'
import { refusesWebSocket } from '../../src/dataplane/exchange/attempt-outcome.ts'
import type { Judged } from '../../src/dataplane/exchange/judged.ts'
import { TunnelTrial } from '../../src/dataplane/exchange/tunnel-trial.ts'
import type { Plane } from '../../src/dataplane/plane.ts'
import { Frames } from '../../src/dataplane/websocket/frames.ts'
import type { Decision } from '../../src/table/types.ts'

/** A frame as a client sends it. */
const masked = (first: number, payload: number) => [first, 0x80 | payload, 1, 2, 3, 4, ...Array(payload).fill(0x88)]
const TEXT = 0x81
const CLOSE = 0x88

function trial() {
  const said: string[] = []
  let early = 0
  const judged = { isJudged: true, settle: (_: Decision, outcome: string) => void said.push(outcome) }
  const plane = { counters: { count: () => void early++ }, time: { nowMs: 1_000 } }
  const decision = { target: { slot: 1 } } as unknown as Decision
  const it = new TunnelTrial(judged as unknown as Judged, decision, plane as unknown as Plane, 5_000)
  const hears = (bytes: readonly number[]) => it.walk(Buffer.from(bytes), 0, bytes.length)
  return { it, hears, said, early: () => early, at: (nowMs: number) => Object.assign(plane.time, { nowMs }) }
}

test('a target that ends it has failed, and not when its client has said Close before, in however small pieces', () => {
  const broken = trial()
  broken.hears(masked(TEXT, 20))
  broken.it.targetEnds()
  expect([broken.said, broken.early()]).toEqual([['failed'], 1])
  const closed = trial()
  for (const octet of [...masked(TEXT, 20), ...masked(CLOSE, 2)]) closed.hears([octet])
  closed.it.targetEnds()
  expect([closed.said, closed.early()]).toEqual([['good'], 0])
})

test('a target that ends it once it has lasted has not failed', () => {
  const old = trial()
  old.at(old.it.untilMs)
  old.it.targetEnds()
  expect([old.it.untilMs, old.said, old.early()]).toEqual([6_000, ['good'], 0])
})

test('frames of a client are masked, and those of a target are not', () => {
  const walked = (isClient: boolean, bytes: readonly number[]) => {
    const frames = new Frames(isClient)
    frames.walk(Uint8Array.from(bytes), 0, bytes.length, false)
    return [frames.isLost, frames.isClosed]
  }
  expect(walked(true, [...masked(TEXT, 125), ...masked(CLOSE, 0)])).toEqual([false, true])
  expect(walked(true, [TEXT, 1, 65])).toEqual([true, false])
  expect(walked(false, masked(TEXT, 1))).toEqual([true, false])
})

test('a handshake fails by every answer that leaves its client without a WebSocket, but for what speaks of the client', () => {
  const fails = (status: number) => refusesWebSocket('WebSocket', status)
  expect([200, 400, 404, 426, 500].map(fails)).toEqual(Array(5).fill(true))
  expect([101, 302, 401, 403, 407, 429].map(fails)).toEqual(Array(6).fill(false))
  expect(refusesWebSocket('h2c', 200)).toBe(false)
})
