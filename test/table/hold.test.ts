/** Which requests are held, by the very function that decides. */
import { expect, test } from 'vitest'
import { explainDecision } from '../../src/table/explain.ts'
import type { Hold } from '../../src/table/hold.ts'
import { decideOne, makePlan, makeTable, type ViewOptions } from './make.ts'

const HOLD: Hold = {
  id: 'h-1',
  sinceMs: 500,
  untilMs: 2_000,
  only: 'all',
  queueMax: 10,
  bytesMax: 1_000,
}

const errorOf = (view: ViewOptions, hold: Partial<Hold> = {}, nowMs = 1_000) =>
  decideOne(makeTable(makePlan({}), { hold: { ...HOLD, ...hold } }), view, undefined, nowMs).error

test('a held service takes nobody until the hold ends by itself', () => {
  expect([errorOf({}), errorOf({}, {}, 1_999), errorOf({}, {}, 2_000)]).toEqual(['held', 'held', null])
})

test('of writes what is safe by its method goes on, and an upgrade does not', () => {
  const writes = (view: ViewOptions) => errorOf(view, { only: 'writes' })
  expect(['GET', 'HEAD', 'OPTIONS', 'TRACE'].map((method) => writes({ method }))).toEqual([null, null, null, null])
  expect(['POST', 'PUT', 'PATCH', 'DELETE', 'BREW'].map((method) => writes({ method }))).toEqual(Array(5).fill('held'))
  expect(writes({ headers: { upgrade: 'websocket' } })).toBe('held')
})

test('nothing is drawn for a request that is held, and explain says what is held', () => {
  let drawn = 0
  const draw = { next: () => drawn++, turn: () => drawn++, random: () => drawn++, visitorId: () => String(drawn++) }
  const table = makeTable(makePlan({}), { hold: { ...HOLD, only: 'writes' } })
  const decision = decideOne(table, { method: 'POST' }, draw, 1_000)
  expect(drawn).toBe(0)
  expect(explainDecision(decision)).toBe('writes to shop are held; the request waits until that is released')
})
