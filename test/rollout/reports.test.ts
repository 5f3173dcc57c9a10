/** What an instance says of what it has counted, and when: a store of counts that a test holds in its hand, and a clock that moves when told. */
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { STRETCH_MS, stretchEndMs } from '../../src/rollout/ledger.ts'
import { Reports } from '../../src/rollout/reports.ts'
import type { FleetCounts, Report } from '../../src/store/store.ts'
import { movableClock } from '../admin/stand-in.ts'

const COUNTED = [{ canary: 1, canaryBad: 1, control: 9, controlBad: 0 }]

function stand(isThere = true) {
  const clock = movableClock()
  const said: { text: string; isUrgent: boolean; wantsOthers: boolean }[] = []
  const store = { isAway: false, report: { count: 1, others: [] } as Report, hear: () => {} }
  let heardSome = 0
  const counts: FleetCounts = {
    async report(_id, text, isUrgent, wantsOthers) {
      if (store.isAway) throw new Error('away')
      said.push({ text, isUrgent, wantsOthers })
      return store.report
    },
    seat: async () => 1,
    listen(heard) {
      store.hear = heard
    },
  }
  const fleet = isThere ? ({ counts } as never) : null
  const reports = new Reports({ store: { fleet }, name: 'here:1', clock }, () => void heardSome++)
  onTestFinished(() => reports.close())
  /** So many ms, one after the other, with what is said in each. */
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += STRETCH_MS) {
      clock.move(STRETCH_MS)
      await setImmediate()
    }
  }
  return { clock, said, store, reports, pass, heard: () => heardSome }
}

test('where there is one instance only, and where no rollout runs, nothing is said', async () => {
  const alone = stand(false)
  expect(alone.reports.open('shop', 'r-1', 1)).toBeNull()
  const fleet = stand()
  fleet.reports.hurry()
  await fleet.pass(500)
  fleet.reports.open('shop', 'r-1', 1)
  await fleet.pass(100)
  fleet.reports.end('shop')
  const before = fleet.said.length
  await fleet.pass(2_000)
  expect([before, fleet.said.length]).toEqual([1, 1])
})

test('what has changed is said every tenth of a second, and what has not every second', async () => {
  const { reports, said, pass, clock } = stand()
  const ledger = reports.open('shop', 'r-1', 1)!
  expect(reports.open('shop', 'r-1', 1)).toBe(ledger)
  await pass(900)
  expect(said).toHaveLength(1)
  await pass(1_000)
  expect(said).toHaveLength(2)
  ledger.add({ atMs: clock.steadyMs(), came: COUNTED, harm: 1 })
  await pass(200)
  expect(said).toHaveLength(3)
  expect(said.map(({ isUrgent }) => isUrgent)).toEqual([false, false, false])
})

test('a failure is said as soon as its stretch of time is over, and others hear of it; whoever judges asks for what they say', async () => {
  const { reports, said, pass, store, heard, clock } = stand()
  const ledger = reports.open('shop', 'r-1', 1)!
  await pass(100)
  ledger.add({ atMs: clock.steadyMs(), came: COUNTED, harm: 1 })
  reports.hurry()
  reports.hurry()
  clock.move(stretchEndMs(clock.steadyMs()) - clock.steadyMs())
  await setImmediate()
  expect(said).toHaveLength(1)
  clock.move(1)
  await setImmediate()
  expect(JSON.parse(said[1].text).trials.shop.readings).toHaveLength(2)
  expect(said.map(({ isUrgent, wantsOthers }) => [isUrgent, wantsOthers])).toEqual([
    [false, false],
    [true, false],
  ])
  reports.isJudge = true
  const text = JSON.stringify({ name: 'there:2', trials: { shop: ledger.said(clock.steadyMs()), api: {} } })
  const others = [
    { id: 'two', agoMs: 40, text },
    { id: 'three', agoMs: 1, text: '{' },
  ]
  store.report = { count: 3, others }
  // A hint that somebody else has said what is urgent.
  store.hear()
  await setImmediate()
  expect(said.at(-1)).toMatchObject({ isUrgent: false, wantsOthers: true })
  expect([reports.count, heard()]).toEqual([3, 1])
  expect(reports.heard('shop')).toMatchObject([{ run: 'two', name: 'there:2', atMs: clock.steadyMs() - 40 }])
  expect(reports.heard('api')).toEqual([])
})

test('a store that is away delays nothing, and all is said once it is back; the last word says that it ends', async () => {
  const { reports, said, pass, store, clock } = stand()
  const ledger = reports.open('shop', 'r-1', 1)!
  store.isAway = true
  ledger.add({ atMs: clock.steadyMs(), came: COUNTED, harm: 1 })
  await pass(500)
  expect(said).toEqual([])
  store.isAway = false
  await pass(100)
  expect(said).toHaveLength(1)
  expect(JSON.parse(said[0].text).trials.shop.readings.at(-1).slice(0, 2)).toEqual([2, 1])
  await reports.close()
  expect(JSON.parse(said.at(-1)!.text).trials.shop.ends).toBe(true)
  expect(reports.open('shop', 'r-2', 1)).toBeNull()
})
