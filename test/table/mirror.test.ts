/** Which requests are copied, and to whom. */
import { expect, test } from 'vitest'
import { isDrawn, mirrorTarget } from '../../src/table/mirror.ts'
import type { Load } from '../../src/table/types.ts'
import { decideOne, makeDraw, makePlan, makeTable, makeView, NOW_MS, noLoad, type StatusOptions } from './make.ts'

const mirror = { pool: 'green', share: 100, compares: false, writes: false }
const GREEN = 'http://green-0.test:3000'
const GET = { method: 'GET', hasBody: false }

interface Asked {
  readonly mirror?: Partial<typeof mirror>
  readonly request?: Partial<typeof GET>
  readonly load?: Load
  readonly capacity?: { requestsPerTarget: number; requestsPerPool: number; queueMax: number; queueMs: number }
}

function copied(status: StatusOptions = {}, { mirror: more, request, load = noLoad, capacity }: Asked = {}) {
  const table = makeTable(makePlan({ mirror: { ...mirror, ...more }, capacity: capacity ?? null }), status)
  const decision = decideOne(table)
  expect(decision.pool?.name).toBe('blue')
  return mirrorTarget(decision, { ...GET, ...request }, makeView(), load, makeDraw(), NOW_MS)?.url ?? null
}

test('a pool of which nobody can take requests gets no copy', () => {
  expect(copied()).toBe(GREEN)
  for (const admin of ['drain', 'standby', 'maint'] as const) {
    expect([admin, copied({ pools: { green: { admin } } })]).toEqual([admin, null])
    expect([admin, copied({ targets: { [GREEN]: { admin } } })]).toEqual([admin, null])
  }
  expect(copied({ targets: { [GREEN]: { health: 'unhealthy' } } })).toBeNull()
  expect(copied({ targets: { [GREEN]: { ejectedUntilMs: NOW_MS + 1 } } })).toBeNull()
})

test('a copy takes no room that is not there, and nobody waits for some', () => {
  const capacity = { requestsPerTarget: 2, requestsPerPool: 0, queueMax: 10, queueMs: 1_000 }
  const holding = (held: number): Asked => ({ capacity, load: Object.assign(() => 0, { permits: () => held }) })
  expect([copied({}, holding(1)), copied({}, holding(2))]).toEqual([GREEN, null])
})

test('a share is drawn, and what is not safe, or has a body, is copied only where that is said', () => {
  const quarter = makeTable(makePlan({ mirror: { ...mirror, share: 25 } })).services.get('shop')!.mirror!
  const draw = makeDraw(5)
  let count = 0
  for (let n = 0; n < 10_000; n++) if (isDrawn(quarter, draw)) count++
  expect(Math.abs(count / 10_000 - 0.25)).toBeLessThan(0.02)
  for (const request of [{ method: 'POST' }, { method: 'PUT', hasBody: true }, { hasBody: true }]) {
    expect([copied({}, { request }), copied({}, { request, mirror: { writes: true } })]).toEqual([null, GREEN])
  }
})
