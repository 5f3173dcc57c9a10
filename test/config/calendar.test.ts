/** When a release may begin and go on, on calendars of several zones: week ends, midnights, and the nights on which clocks are set. */
import { describe, expect, test } from 'vitest'
import { closedInWords, closedToBegin, closedToGoOn, momentOf } from '../../src/config/calendar.ts'
import type { ScheduleSpec } from '../../src/config/schema-schedule.ts'

const BERLIN = 'Europe/Berlin'
const at = (text: string, zone = BERLIN): number => {
  const ms = momentOf(text, zone)
  if (ms === null) throw new Error(text)
  return ms
}
const iso = (ms: number | null | undefined) => (ms == null ? ms : new Date(ms).toISOString())

/** Until when it may not go on; null when it may. */
const until = (schedule: ScheduleSpec, now: string) => iso(closedToGoOn(schedule, at(now))?.untilMs ?? null)
const begins = (schedule: ScheduleSpec, now: string) => iso(closedToBegin(schedule, at(now))?.untilMs ?? null)

describe('a date', () => {
  test.each([
    ['2026-01-15', '2026-01-14T23:00:00.000Z'],
    ['2026-07-15T18:30', '2026-07-15T16:30:00.000Z'],
    ['2026-07-15T18:30:10', '2026-07-15T16:30:10.000Z'],
    ['2026-07-15T18:30:10.250Z', '2026-07-15T18:30:10.250Z'],
    ['2026-07-15T18:30:10.250', '2026-07-15T16:30:10.250Z'],
    ['2026-07-15T18:30Z', '2026-07-15T18:30:00.000Z'],
    ['2026-07-15T18:30:00-03:30', '2026-07-15T22:00:00.000Z'],
    ['2024-02-29', '2024-02-28T23:00:00.000Z'],
    ['1970-01-01T00:00Z', '1970-01-01T00:00:00.000Z'],
    // Not there: clocks go from 02:00 to 03:00. There twice: the first one.
    ['2026-03-29T02:30', '2026-03-29T01:30:00.000Z'],
    ['2026-10-25T02:30', '2026-10-25T00:30:00.000Z'],
  ])('%s is %s', (text, moment) => {
    expect(iso(at(text))).toBe(moment)
  })

  test.each([
    '2026-02-29',
    '2026-13-01',
    '2026-00-10',
    '2026-01-00',
    '2026-01-01T24:30',
    '2026-01-01T10:60',
    '2026-01-01T10:00+99:00',
    '2026-01-01T10:00-01:60',
    'soon',
  ])('%s is none', (text) => {
    expect(momentOf(text, BERLIN)).toBeNull()
  })

  test('agrees with Date over many years, leap ones too', () => {
    for (let ms = Date.UTC(1999, 0, 1); ms < Date.UTC(2104, 0, 1); ms += 86_400_000 * 11) {
      const text = new Date(ms).toISOString().slice(0, 19)
      expect(momentOf(text, 'UTC')).toBe(ms)
    }
  })
})

describe('a freeze', () => {
  const friday: ScheduleSpec = { timezone: BERLIN, freeze: [{ days: ['fri'], from: '16:00', to: '24:00' }] }

  test('of a day of the week holds on that day and hours only, its begin included and its end not', () => {
    expect(until(friday, '2026-11-27T15:59')).toBeNull()
    expect(until(friday, '2026-11-27T16:00')).toBe(iso(at('2026-11-28')))
    expect(until(friday, '2026-11-27T23:59:59')).toBe(iso(at('2026-11-28')))
    expect(until(friday, '2026-11-28T00:00')).toBeNull()
    expect(until(friday, '2026-11-26T17:00')).toBeNull()
  })

  test('over a week end is one, though it is written as several', () => {
    const { freeze = [] } = friday
    const weekEnd: ScheduleSpec = {
      ...friday,
      freeze: [...freeze, { days: ['sat', 'sun'], from: '00:00', to: '24:00' }],
    }
    expect(until(weekEnd, '2026-11-27T17:00')).toBe(iso(at('2026-11-30')))
    const closed = closedToGoOn(weekEnd, at('2026-11-28T12:00'))
    expect(closed && closedInWords(closed, weekEnd)).toBe('a freeze, until mon 2026-11-30 00:00 Europe/Berlin')
  })

  test('over midnight belongs to the day on which it begins', () => {
    const night: ScheduleSpec = { timezone: BERLIN, freeze: [{ days: ['fri'], from: '22:00', to: '06:00' }] }
    expect(until(night, '2026-11-28T05:59')).toBe(iso(at('2026-11-28T06:00')))
    expect(until(night, '2026-11-27T05:00')).toBeNull()
    expect(until(night, '2026-11-28T22:30')).toBeNull()
  })

  test('of dates holds between them, in the zone of the schedule or their own', () => {
    const feast: ScheduleSpec = { timezone: BERLIN, freeze: [{ from: '2026-12-24', to: '2026-12-27T00:00:00Z' }] }
    expect(until(feast, '2026-12-23T23:59')).toBeNull()
    expect(until(feast, '2026-12-24')).toBe('2026-12-27T00:00:00.000Z')
    expect(until(feast, '2026-12-27T01:00')).toBeNull()
  })

  test('in the night on which clocks are set back lasts until the last time that they show its end', () => {
    const early: ScheduleSpec = { timezone: BERLIN, freeze: [{ from: '01:00', to: '02:30' }] }
    // 02:30 is at 00:30 and at 01:30 UTC.
    expect(until(early, '2026-10-25T01:15')).toBe('2026-10-25T01:30:00.000Z')
    expect(until(early, '2026-10-25T01:15:00Z')).toBe('2026-10-25T01:30:00.000Z')
    expect(until(early, '2026-10-25T01:30:00Z')).toBeNull()
  })

  test('in the night on which clocks are set forward is as long as its clock times say', () => {
    const early: ScheduleSpec = { timezone: BERLIN, freeze: [{ from: '01:00', to: '04:00' }] }
    expect(until(early, '2026-03-29T00:30:00Z')).toBe('2026-03-29T02:00:00.000Z')
    const gap: ScheduleSpec = { timezone: BERLIN, freeze: [{ from: '01:30', to: '02:30' }] }
    expect(until(gap, '2026-03-29T00:45:00Z')).toBe('2026-03-29T01:30:00.000Z')
  })

  test('is on the day of its own zone', () => {
    const tokyo: ScheduleSpec = { timezone: 'Asia/Tokyo', freeze: [{ days: ['sat'], from: '00:00', to: '24:00' }] }
    expect(until(tokyo, '2026-11-27T15:00:00Z')).toBe('2026-11-28T15:00:00.000Z')
    expect(until(tokyo, '2026-11-27T14:59:59Z')).toBeNull()
    const kathmandu: ScheduleSpec = { timezone: 'Asia/Kathmandu', freeze: [{ from: '10:00', to: '11:00' }] }
    expect(until(kathmandu, '2026-11-27T04:15:00Z')).toBe('2026-11-27T05:15:00.000Z')
  })

  test('that never ends is said to have no end in sight', () => {
    const always: ScheduleSpec = { freeze: [{ from: '00:00', to: '24:00' }] }
    const closed = closedToBegin(always, at('2026-11-27', 'UTC'))
    expect(closed).toEqual({ why: 'a freeze', untilMs: null })
    expect(closed && closedInWords(closed, always)).toMatch(/no end of it is in sight/)
  })
})

describe('to begin', () => {
  test('there must be its time, a window, and no freeze', () => {
    const schedule: ScheduleSpec = {
      timezone: BERLIN,
      notBefore: '2026-11-27T12:00',
      window: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '22:00', to: '04:00' }],
      freeze: [{ days: ['fri'], from: '16:00', to: '24:00' }],
    }
    // On Friday the window opens within the freeze, which ends at midnight.
    expect(begins(schedule, '2026-11-20T23:00')).toBe(iso(at('2026-11-28T00:00')))
    expect(closedToBegin(schedule, at('2026-11-20T23:00'))?.why).toBe('not before its time')
    expect(begins(schedule, '2026-11-28T00:00')).toBeNull()
    expect(begins(schedule, '2026-11-28T03:59')).toBeNull()
    expect(begins(schedule, '2026-11-28T04:00')).toBe(iso(at('2026-11-30T22:00')))
    expect(closedToBegin(schedule, at('2026-11-28T04:00'))?.why).toBe('outside its window')
  })

  test('what has begun goes on outside of its window', () => {
    const schedule: ScheduleSpec = { window: [{ from: '02:00', to: '04:00' }], notBefore: '2027-01-01' }
    expect(closedToGoOn(schedule, at('2026-11-27T12:00', 'UTC'))).toBeNull()
  })

  test('a window that is over for good never comes', () => {
    const schedule: ScheduleSpec = { window: [{ from: '2026-01-01', to: '2026-01-02' }] }
    expect(closedToBegin(schedule, at('2026-11-27', 'UTC'))).toEqual({ why: 'outside its window', untilMs: null })
  })

  test('nothing is asked where nothing is said', () => {
    expect(closedToBegin({}, at('2026-11-27', 'UTC'))).toBeNull()
  })
})
