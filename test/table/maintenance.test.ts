/** Who is answered by the maintenance page, by the very function that decides. */
import { expect, test } from 'vitest'
import { decide } from '../../src/table/decide.ts'
import { explainDecision } from '../../src/table/explain.ts'
import { MAINTENANCE_DEFAULT } from '../../src/table/maintenance.ts'
import { decideOne, makeDraw, makePlan, makeRoute, makeTable, makeView, NOW_MS, noLoad } from './make.ts'

const STAFF = { kind: 'visitor', asks: ['u-1'] }
const allow = { ...MAINTENANCE_DEFAULT, allow: [STAFF] }
const on = { maintenance: { sinceMs: 1 } }

test('off it is as if nothing were said of it; on, everybody is told, and nothing is drawn', () => {
  expect(decideOne(makeTable(makePlan({ maintenance: allow }))).error).toBeNull()
  let drawn = 0
  const draw = { next: () => drawn++, turn: () => drawn++, random: () => drawn++, visitorId: () => String(drawn++) }
  const decision = decideOne(makeTable(makePlan(), on), {}, draw)
  expect([decision.error, decision.service?.name, drawn]).toEqual(['maintenance', 'shop', 0])
  expect(explainDecision(decision)).toBe('shop is in maintenance; its page answers the request')
})

test('whom a condition of rules lets pass goes on as usual, and explain says by what', () => {
  const table = makeTable(makePlan({ maintenance: allow }), on)
  const errorOf = (visitor: string) => decideOne(table, { headers: { 'x-user-id': visitor } }).error
  expect([errorOf('u-1'), errorOf('u-2')]).toEqual([null, 'maintenance'])
  expect(explainDecision(decideOne(table, { headers: { 'x-user-id': 'u-1' } }))).toContain(
    'shop is in maintenance, which lets this one pass (1 named visitors); visitor u-1 has bucket',
  )
})

test('a preview host is not closed, a hold is not waited for, and what was let in before is tried again', () => {
  const routes = [makeRoute(), makeRoute({ host: 'green.test', preview: { pool: 'green', from: null } })]
  const hold = { id: 'h', sinceMs: 0, untilMs: NOW_MS * 2, only: 'all', queueMax: 1, bytesMax: 1 } as const
  expect(decideOne(makeTable(makePlan({ routes }), on), { host: 'green.test' }).pool?.name).toBe('green')
  expect(decideOne(makeTable(makePlan(), { ...on, hold })).error).toBe('maintenance')
  const table = makeTable(makePlan({}, 2), on)
  const again = (isLetIn: boolean) => {
    const earlier = { exclude: [], avoid: null, missing: [], isLetIn }
    return decide(makeView(), table, noLoad, makeDraw(), NOW_MS, earlier)
  }
  expect([again(true).target, again(false).error]).toEqual([expect.anything(), 'maintenance'])
})
