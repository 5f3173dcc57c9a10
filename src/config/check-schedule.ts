/** What the schema cannot say about a schedule: that its dates are some, its time zone is known, and its spans have a length. */
import { isClock, momentOf } from './calendar.ts'
import type { Report } from './check-service.ts'
import { child } from './pointer.ts'
import type { ScheduleSpec, SpanSpec } from './schema-schedule.ts'
import { isZone } from './zone.ts'

const UTC = 'UTC'

/** Adds every fault of a schedule. */
export function checkSchedule(report: Report, at: string, schedule: ScheduleSpec): void {
  if (!report.present(at)) return
  const zone = checkZone(report, child(at, 'timezone'), schedule.timezone)
  const { notBefore } = schedule
  if (notBefore !== undefined) checkDate(report, child(at, 'notBefore'), notBefore, zone)
  for (const key of ['freeze', 'window'] as const) {
    const listAt = child(at, key)
    if (!report.present(listAt)) continue
    for (const [index, span] of (schedule[key] ?? []).entries()) checkSpan(report, child(listAt, index), span, zone)
  }
}

/** Adds a fault when there is no such zone; returns one that there is. */
export function checkZone(report: Report, at: string, zone = UTC): string {
  if (zone === UTC || !report.sound(at)) return UTC
  if (isZone(zone)) return zone
  report.add(at, `${JSON.stringify(zone)} is no time zone such as Europe/Berlin`)
  return UTC
}

function checkDate(report: Report, at: string, text: string, zone: string): boolean {
  if (!report.sound(at)) return false
  if (momentOf(text, zone) !== null) return true
  report.add(at, `${text} is no date`)
  return false
}

/** Adds every fault of a span; `end` is the key that its `to` stands at. */
export function checkSpan(report: Report, at: string, span: SpanSpec, zone: string, end = 'to'): void {
  if (!report.sound(at)) return
  const { from, to, days } = span
  const toAt = child(at, end)
  if (isClock(from) !== isClock(to)) {
    report.add(toAt, `from and ${end} must both be times of a day, or both be dates`)
  } else if (isClock(from)) {
    if (from === '24:00') report.add(child(at, 'from'), 'write "00:00" of the day after')
    else if (from === to) report.add(toAt, 'the whole day is from "00:00" to "24:00"')
  } else {
    if (days !== undefined) report.add(child(at, 'days'), 'dates need no days of the week', { about: 'key' })
    const isSound = [checkDate(report, child(at, 'from'), from, zone), checkDate(report, toAt, to, zone)].every(Boolean)
    if (isSound && momentOf(from, zone)! >= momentOf(to, zone)!) report.add(toAt, `${to} is not after ${from}`)
  }
}
