/** Time zones as plain numbers: the same offsets as those of Intl, before, at and after every change. */
import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { changesOf, isZone, offsetIn, offsetOf } from '../../src/config/zone.ts'
import { bulk } from '../helpers/bulk.ts'

const HOUR_MS = 3_600_000

describe.each([
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe', // half an hour
  'Africa/Casablanca', // a month a year
  'America/Santiago', // at midnight, south of the equator
  'Asia/Kathmandu',
])('%s', (zone) => {
  const byChanges = offsetIn(changesOf(zone))
  const byIntl = offsetOf(zone)

  test('has the offsets of Intl at any moment of its years', () => {
    const someMs = fc.integer({ min: Date.UTC(2024, 0, 1), max: Date.UTC(2063, 11, 31) })
    fc.assert(
      fc.property(someMs, (ms) => void expect(byChanges(ms)).toBe(byIntl(ms))),
      { numRuns: bulk(100, 300) },
    )
  })

  test('changes at the very second', () => {
    const changes = changesOf(zone)
    for (let at = 2; at < changes.length; at += 2) {
      for (const ms of [changes[at] - 1_000, changes[at], changes[at] + 1_000]) expect(byChanges(ms)).toBe(byIntl(ms))
    }
  })
})

test('Berlin changes on the last Sundays of March and October, at 01:00 UTC', () => {
  const changes = changesOf('Europe/Berlin')
  const of2026 = changes.flatMap((ms, at) =>
    at % 2 === 0 && new Date(ms).getUTCFullYear() === 2026 ? [[ms, changes[at + 1]]] : [],
  )
  expect(of2026).toEqual([
    [Date.UTC(2026, 2, 29, 1), 2 * HOUR_MS],
    [Date.UTC(2026, 9, 25, 1), HOUR_MS],
  ])
})

test('only zones that Intl knows are some', () => {
  expect(['Europe/Berlin', 'UTC', 'Europe/Nowhere', ''].map(isZone)).toEqual([true, true, false, false])
})

test('what was found for zones is kept, but not of all that there may be', () => {
  const makes = vi.spyOn(Intl, 'DateTimeFormat')
  onTestFinished(() => makes.mockRestore())
  const asked = (zone: string): number => {
    const before = makes.mock.calls.length
    expect(isZone(zone)).toBe(true)
    return makes.mock.calls.length - before
  }
  asked('+00:07')
  expect(asked('+00:07')).toBe(0)
  for (let hour = 1; hour < 24; hour++) {
    for (let minute = 10; minute < 30; minute++) asked(`+${String(hour).padStart(2, '0')}:${minute}`)
  }
  expect([asked('+00:07'), asked('+00:07')]).toEqual([1, 0])
})
