/**
 * Time zones: what clocks in a zone show, at any moment. Pure; zones are those of Intl.
 *
 * To ask Intl costs microseconds and allocates, which is nothing for people and too much for a request. So whoever has to tell for
 * requests is given the changes of a zone as plain numbers (`changesOf`), found once, and looks the offset up in them. They reach to the
 * end of `YEAR_LAST`; later the last offset stays.
 */

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const YEAR_FIRST = 2_024
const YEAR_LAST = 2_063
/** No zone changes twice within it (Morocco does within a month). */
const STEP_MS = 14 * DAY_MS

/** Zones for which what was found is kept. Intl takes each in any case, and offsets such as `+01:07` beside those with a name. */
const KEPT_MAX = 256

/** By how much clocks in a zone are ahead of UTC at a moment, in ms. */
export type Offset = (ms: number) => number

/** Whether Intl knows a time zone. */
export function isZone(zone: string): boolean {
  try {
    formatOf(zone)
    return true
  } catch {
    return false
  }
}

/** The offset of a zone, by Intl. */
export const offsetOf =
  (zone: string): Offset =>
  (ms) =>
    localOf(ms, zone) - ms

/** Days since 1970 of a date. */
export function dayOf(year: number, month: number, day: number): number {
  // Years begin in March, so that the leap day is the last one.
  const y = month <= 2 ? year - 1 : year
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return 365 * y + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) + dayOfYear - 719_468
}

/** The date of a day since 1970, such as `2026-12-24`. */
export function dateOf(day: number): string {
  const parts = formatOf('UTC').formatToParts(day * DAY_MS)
  return ['year', 'month', 'day'].map((part) => parts.find(({ type }) => type === part)?.value).join('-')
}

const formats = new Map<string, Intl.DateTimeFormat>()

/** Throws where there is no such zone. */
function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  const digits = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit' } as const
  const format = new Intl.DateTimeFormat('en-US', {
    ...digits,
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    calendar: 'gregory',
    timeZone: zone,
  })
  return keep(formats, zone, format)
}

/** Keeps what was found for a zone; where there is too much of that, only this. */
function keep<T>(kept: Map<string, T>, zone: string, found: T): T {
  if (kept.size >= KEPT_MAX) kept.clear()
  kept.set(zone, found)
  return found
}

/** What clocks in the zone show, as if that were UTC. */
function localOf(ms: number, zone: string): number {
  // `12/24/2026, 18:00:00`: to take it apart is a fraction of what formatToParts takes.
  const [month, day, year, hour, minute, second] = formatOf(zone).format(ms).split(/\D+/).map(Number)
  // Parts go down to seconds.
  const restMs = ((ms % SECOND_MS) + SECOND_MS) % SECOND_MS
  return dayOf(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * SECOND_MS + restMs
}

const UTC_CHANGES: readonly number[] = Object.freeze([0, 0])
const known = new Map<string, readonly number[]>()

/** The offsets of a zone and from when on each is: moment and offset in turn, in ms. */
export function changesOf(zone: string): readonly number[] {
  if (zone === 'UTC') return UTC_CHANGES
  const before = known.get(zone)
  if (before !== undefined) return before
  const offset = offsetOf(zone)
  const endMs = dayOf(YEAR_LAST + 1, 1, 1) * DAY_MS
  let fromMs = dayOf(YEAR_FIRST, 1, 1) * DAY_MS
  let now = offset(fromMs)
  const changes = [fromMs, now]
  for (; fromMs < endMs; fromMs += STEP_MS) {
    const next = offset(fromMs + STEP_MS)
    if (next === now) continue
    let [low, high] = [fromMs, fromMs + STEP_MS]
    // All zones change at whole minutes, and have for long.
    while (high - low > MINUTE_MS) {
      const middle = Math.floor((low + high) / 2 / MINUTE_MS) * MINUTE_MS
      if (offset(middle) === now) low = middle
      else high = middle
    }
    changes.push(high, next)
    now = next
  }
  return keep(known, zone, changes)
}

/** The offset by changes, without Intl. */
export const offsetIn =
  (changes: readonly number[]): Offset =>
  (ms) => {
    let low = 0
    let high = changes.length / 2
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (changes[2 * middle] <= ms) low = middle
      else high = middle
    }
    return changes[2 * low + 1]
  }
