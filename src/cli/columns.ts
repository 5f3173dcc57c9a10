/**
 * Text for terminals: aligned columns, shares, times.
 *
 * A table that is wider than a terminal first loses the columns that say so, the least important first, and then the middle of its
 * longest names: the begin of a name and its port tell targets apart. Nothing is cut at the edge, where the last columns would be lost
 * whatever they say. Whoever prints it names what is missing.
 */

export interface Column {
  readonly title: string
  readonly right?: boolean
  /** Where there is no room for all, the one with the least leaves first; absent: it stays. */
  readonly leaves?: number
}

/** Rows under their titles, each column as wide as its widest cell; lines end without spaces. */
export function columns(titles: readonly Column[], rows: readonly (readonly string[])[]): string {
  const all = [titles.map(({ title }) => title), ...rows].map((row) => row.map(plain))
  const widths = titles.map((_, index) => Math.max(...all.map((row) => row[index].length)))
  const lines = all.map((row) =>
    row
      .map((cell, index) => (titles[index].right ? cell.padStart(widths[index]) : cell.padEnd(widths[index])))
      .join('  ')
      .trimEnd(),
  )
  return lines.join('\n') + '\n'
}

/** What has room in so many columns of a terminal, and the titles of what has not. */
export function fitted(
  titles: readonly Column[],
  rows: readonly (readonly string[])[],
  columnsMax: number,
): { readonly table: string; readonly missing: readonly string[] } {
  if (columnsMax === Infinity) return { table: columns(titles, rows), missing: [] }
  let kept = [...titles.keys()]
  const leaving = kept
    .filter((at) => titles[at].leaves !== undefined)
    .sort((a, b) => (titles[a].leaves ?? 0) - (titles[b].leaves ?? 0))
  const table = (all = rows) =>
    columns(
      kept.map((at) => titles[at]),
      all.map((row) => kept.map((at) => row[at])),
    )
  const excess = () =>
    Math.max(
      ...table()
        .split('\n')
        .map((line) => line.length),
    ) - columnsMax
  const missing: string[] = []
  while (leaving.length > 0 && excess() > 0) {
    const next = leaving.shift()
    kept = kept.filter((at) => at !== next)
    missing.push(titles[next!].title)
  }
  const over = excess()
  if (over <= 0) return { table: table(), missing }
  // Names come first, and are the longest.
  const room = Math.max(NAME_MIN, Math.max(...rows.map(([name]) => name.length)) - over)
  const shortened = rows.map(([name, ...row]) => [withinMiddle(name, room), ...row])
  return { table: table(shortened), missing }
}

/** A name is not made shorter than this. */
const NAME_MIN = 12

/** The begin of a text and its end, which tells names and ports apart. */
function withinMiddle(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text
  const end = Math.floor((lengthMax - 1) / 2)
  return `${text.slice(0, lengthMax - 1 - end)}…${text.slice(text.length - end)}`
}

/** Text that cannot move the cursor: names and messages come from others. */
export const plain = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?')

/** `12.5 %`; a dash for none. What is little is not told as nothing, nor what is almost all as all. */
export function percent(share: number | null): string {
  if (share === null) return '–'
  if (share > 0 && share < 0.0005) return '<0.1 %'
  if (share < 1 && share >= 0.9995) return '>99.9 %'
  return `${trimmed(share * 100)} %`
}

/** At most one digit after the point; a dash for none. */
export const number = (value: number | null): string => (value === null ? '–' : trimmed(value))

const trimmed = (value: number): string => value.toFixed(1).replace(/\.0$/, '')

/** Wall time in ms as `2026-01-31 12:34:56Z`; a dash for what is none, such as a store may have that was edited by hand. */
export function timeOf(atMs: number): string {
  const date = new Date(atMs)
  if (Number.isNaN(date.getTime())) return '–'
  return date
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z')
}

/** How long it is until then, in whole seconds. */
export const secondsLeft = (untilMs: number, nowMs: number): string => `${Math.ceil((untilMs - nowMs) / 1000)} s`

/** Counts by their reasons, such as `3 (full), 1 (time)`; without those that are 0. */
export const countsByWhy = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([why, count]) => `${count} (${why})`)
    .join(', ')
