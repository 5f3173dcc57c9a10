import { TurnoutError } from '../errors.ts'

const UNIT_MS = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])

/** Whole milliseconds of a duration such as `500ms`, `1.5s`, `5m`, `1h` or `7d`, rounded up; throws `invalid` for anything else. */
export function durationMs(text: string): number {
  const parts = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)$/.exec(text)
  const ms = parts === null ? Number.NaN : Number(parts[1]) * UNIT_MS.get(parts[2])!
  if (!Number.isFinite(ms)) {
    throw new TurnoutError('invalid', `${JSON.stringify(text)} is not a duration such as 500ms, 2s, 5m, 1h or 7d`)
  }
  // 16.1 × 1,000 is a little more than 16,100. And some timers take whole ones only.
  return Math.ceil(Number(ms.toPrecision(15)))
}

/** A time for people: `250 ms`, `8 s`, `2 min 5 s`, `1 h 5 min`. */
export function inWords(ms: number): string {
  if (ms > 0 && ms < 1_000) return `${Math.round(ms)} ms`
  const seconds = Math.round(ms / 1_000)
  if (seconds === 0) return '0 s'
  const parts: [number, string][] = [
    [Math.floor(seconds / 3_600), 'h'],
    [Math.floor((seconds % 3_600) / 60), 'min'],
    [seconds < 3_600 ? seconds % 60 : 0, 's'],
  ]
  return parts.flatMap(([count, unit]) => (count === 0 ? [] : [`${count} ${unit}`])).join(' ')
}
