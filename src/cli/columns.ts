/** Text for terminals: aligned columns, shares, times. */

export interface Column {
  readonly title: string
  readonly right?: boolean
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

/** Text that cannot move the cursor: names and messages come from others. */
export const plain = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?')

/** `12.5 %`; a dash for none. */
export function percent(share: number | null): string {
  return share === null ? '–' : `${trimmed(share * 100)} %`
}

/** At most one digit after the point; a dash for none. */
export const number = (value: number | null): string => (value === null ? '–' : trimmed(value))

const trimmed = (value: number): string => value.toFixed(1).replace(/\.0$/, '')

/** Wall time in ms as `2026-01-31 12:34:56Z`. */
export const timeOf = (atMs: number): string =>
  new Date(atMs)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z')
