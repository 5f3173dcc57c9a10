/** Days and hours in rules: as the windows of a schedule have them, beside Intl, and right where clocks are set. */
import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { closedToBegin } from '../../src/config/calendar.ts'
import { validateService } from '../../src/config/check.ts'
import { compileCondition, planWhen, type WhenSpec, wordsOf } from '../../src/table/conditions/kinds.ts'
import { bulk } from '../helpers/bulk.ts'
import { makeView } from './make.ts'

type Time = NonNullable<WhenSpec['time']>

function holdsAt(time: Time): (ms: number) => boolean {
  const [condition] = planWhen({ time }, 'r').map(compileCondition)
  return (wallMs) => condition.holds(makeView({ wallMs }), null)
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
const WEEK: NonNullable<Time['days']> = ['mon', 'tue', 'wed', 'thu', 'fri']
const DAY_MS = 86_400_000

const someClock = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.constantFrom('00', '30', '59'))
  .map(([hour, minute]) => `${String(hour).padStart(2, '0')}:${minute}`)
const someZone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'America/Santiago')
const someDays = fc.subarray([...DAYS], { minLength: 1 })
const someMs = fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2028, 0, 1) })
/** Around the moments when clocks are set in these zones. */
const nearChange = fc
  .tuple(
    fc.constantFrom(
      Date.UTC(2026, 2, 29, 1),
      Date.UTC(2026, 9, 25, 1),
      Date.UTC(2026, 2, 8, 7),
      Date.UTC(2026, 10, 1, 6),
      Date.UTC(2026, 3, 4, 15),
      Date.UTC(2026, 3, 5, 3),
      Date.UTC(2026, 8, 6, 4),
    ),
    fc.integer({ min: -300, max: 300 }),
  )
  .map(([ms, minutes]) => ms + minutes * 60_000)

test('days and hours are those of a window of a schedule, whenever and in whichever order it is asked', () => {
  const moments = fc.array(fc.oneof(someMs, nearChange), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(someDays, someClock, someClock, someZone, moments, (days, from, until, timezone, asked) => {
      fc.pre(from !== until)
      const holds = holdsAt({ days, from, until, timezone })
      for (const ms of asked) {
        const isOpen = closedToBegin({ window: [{ days, from, to: until }], timezone }, ms) === null
        expect([ms, holds(ms)]).toEqual([ms, isOpen])
      }
    }),
    { numRuns: bulk(60, 150) },
  )
})

test('where no clock is set, it is what clocks on the wall show', () => {
  const show = (ms: number, timeZone: string) => {
    const format = new Intl.DateTimeFormat('en-GB', { weekday: 'short', hour: '2-digit', minute: '2-digit', timeZone })
    const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]))
    return { day: parts['weekday'].toLowerCase(), clock: `${parts['hour']}:${parts['minute']}` }
  }
  fc.assert(
    fc.property(someDays, someClock, someClock, someZone, someMs, (days, from, until, timezone, ms) => {
      const offsets = new Set([-2, -1, 0, 1, 2].map((day) => show(ms + day * DAY_MS, timezone).clock))
      fc.pre(from !== until && offsets.size === 1)
      const { day, clock } = show(ms, timezone)
      const before = show(ms - DAY_MS, timezone).day
      const has = (name: string) => days.some((each) => each === name)
      const expected =
        from < until
          ? has(day) && from <= clock && clock < until
          : (has(day) && from <= clock) || (has(before) && clock < until)
      expect(holdsAt({ days, from, until, timezone })(ms)).toBe(expected)
    }),
    { numRuns: bulk(100, 300) },
  )
})

describe('in Berlin', () => {
  const timezone = 'Europe/Berlin'
  const at = (text: string) => Date.parse(text)

  test('working hours begin and end by the clock on the wall, summer and winter', () => {
    const holds = holdsAt({ days: WEEK, from: '08:00', until: '18:00', timezone })
    expect(
      ['2026-07-01T05:59:59Z', '2026-07-01T06:00:00Z', '2026-07-01T15:59:59Z', '2026-07-01T16:00:00Z']
        .map(at)
        .map(holds),
    ).toEqual([false, true, true, false])
    expect(['2026-12-01T06:59:59Z', '2026-12-01T07:00:00Z'].map(at).map(holds)).toEqual([false, true])
    expect(['2026-07-04T10:00:00Z', '2026-07-05T10:00:00Z', '2026-07-06T10:00:00Z'].map(at).map(holds)).toEqual([
      false,
      false,
      true,
    ])
  })

  test('a span over an hour that comes twice lasts through both, and over one that does not come is shorter', () => {
    const back = holdsAt({ from: '02:15', until: '02:45', timezone })
    // From the first 02:15 to the last 02:45 of 25 October.
    expect(
      ['00:14', '00:15', '00:50', '01:10', '01:44', '01:45'].map((clock) => back(at(`2026-10-25T${clock}:00Z`))),
    ).toEqual([false, true, true, true, true, false])
    const forward = holdsAt({ from: '01:30', until: '03:30', timezone })
    expect(['00:29', '00:30', '01:29', '01:30'].map((clock) => forward(at(`2026-03-29T${clock}:00Z`)))).toEqual([
      false,
      true,
      true,
      false,
    ])
  })

  test('days alone are whole days, hours alone are of every day, and dates are in the zone, too', () => {
    const days = holdsAt({ days: ['sat', 'sun'], timezone })
    expect(
      ['2026-07-03T21:59Z', '2026-07-03T22:00Z', '2026-07-05T21:59Z', '2026-07-05T22:00Z'].map(at).map(days),
    ).toEqual([false, true, true, false])
    const night = holdsAt({ from: '22:00', timezone })
    expect(['2026-07-01T19:59Z', '2026-07-01T20:00Z', '2026-07-01T22:00Z'].map(at).map(night)).toEqual([
      false,
      true,
      false,
    ])
    const dates = holdsAt({ from: '2026-07-01', until: '2026-07-02', timezone })
    expect(['2026-06-30T21:59Z', '2026-06-30T22:00Z', '2026-07-01T22:00Z'].map(at).map(dates)).toEqual([
      false,
      true,
      false,
    ])
  })

  test('it is told in words', () => {
    const [plan] = planWhen({ time: { days: ['mon', 'fri'], from: '08:00', until: '18:00', timezone } }, 'r')
    expect(wordsOf(plan)).toBe('time on mon, fri from 08:00 until 18:00 Europe/Berlin')
  })
})

test('the time zones of a service are few', () => {
  const zones = Intl.supportedValuesOf('timeZone').slice(0, 33)
  const rules = zones.map((timezone, n) => ({ name: `r${n}`, when: { time: { days: ['mon'], timezone } }, to: 'blue' }))
  const faultsOf = (some: object[]) => {
    const checked = validateService({ routes: [{}], pools: { blue: { targets: ['http://a'] } }, rules: some })
    return 'faults' in checked ? checked.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []
  }
  expect(faultsOf(rules)).toEqual(['/rules/32/when/time/timezone the rules of a service have at most 32 time zones'])
  expect(faultsOf(rules.slice(1))).toEqual([])
  // And no more are asked for.
  const makes = vi.spyOn(Intl, 'DateTimeFormat')
  onTestFinished(() => makes.mockRestore())
  const many = Array.from({ length: 50 }, (_, n) => ({
    ...rules[0],
    when: { time: { days: ['mon'], timezone: `-03:${n + 10}` } },
  }))
  expect(faultsOf(many).length).toBeGreaterThan(0)
  expect(makes.mock.calls.length).toBeLessThanOrEqual(33)
})

test('what makes no sense is a fault with its place', () => {
  const faults = (time: object) => {
    const rules = [{ name: 'a', when: { time }, to: 'blue' }]
    const checked = validateService({ routes: [{}], pools: { blue: { targets: ['http://a'] } }, rules })
    return 'faults' in checked ? checked.faults.map(({ pointer, message }) => `${pointer.slice(14)} ${message}`) : []
  }
  expect(faults({ from: '08:00', until: '18:00', timezone: 'Europe/Nowhere' })).toEqual([
    'time/timezone "Europe/Nowhere" is no time zone such as Europe/Berlin',
  ])
  expect(faults({ from: '08:00', until: '2030-01-01' })).toEqual([
    'time/until from and until must both be times of a day, or both be dates',
  ])
  expect(faults({ from: '08:00', until: '08:00' })).toEqual(['time/until the whole day is from "00:00" to "24:00"'])
  expect(faults({ days: ['mon'], from: '2030-01-01', until: '2030-01-02' })).toEqual([
    'time/days dates need no days of the week',
  ])
  expect(faults({ timezone: 'UTC' })).toEqual(['time this asks for no time'])
  expect(faults({ from: '25:00' })).toHaveLength(1)
  expect(faults({ days: ['monday'] })).toHaveLength(1)
  expect(faults({ days: WEEK, from: '22:00', until: '06:00', timezone: 'Europe/Berlin' })).toEqual([])
})
