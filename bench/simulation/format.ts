/** Figures of the report as Markdown. */
import { quantile } from '../measure.ts'

type Cell = string | number

const row = (cells: readonly Cell[]) => `| ${cells.join(' | ')} |`

/** A table whose first column is words and whose others are figures. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [row(head), row(head.map((_, at) => (at === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n')
}

/** A share in per cent, with at most two decimals. */
export const percent = (share: number) => `${Number((share * 100).toFixed(2))} %`

/** Median and 95th percentile of sorted figures. */
export function spread(sorted: readonly number[]): string {
  return sorted.length === 0 ? '–' : `${figure(quantile(sorted, 0.5))} / ${figure(quantile(sorted, 0.95))}`
}

/** With commas between the thousands. */
export const plainly = (value: number) => value.toLocaleString('en-US')

/** Three digits are enough of seconds, and of anything else. */
export function figure(value: number): string {
  return value >= 100 ? plainly(Math.round(value)) : `${Number(value.toPrecision(3))}`
}
