/**
 * A block of lines on a terminal that is drawn again and again in place.
 *
 * The cursor stands below the block between two drawings, and goes up by the rows that the block takes. So that these are known, no line
 * may wrap and the block may not scroll: lines are cut at the width of the terminal and the block at its height. When the terminal
 * has become narrower since, what was drawn has wrapped, and is counted as it stands now. All of a drawing is one write.
 */
import { plain } from './columns.ts'
import type { Call } from './verb.ts'

const ESC = '\u001b['
/** To the end of the line, and to the end of the screen. */
const CLEAR_LINE = `${ESC}K`
const CLEAR_BELOW = `${ESC}J`
const CUT = '…'

export class Redraw {
  readonly #call: Pick<Call, 'print' | 'size'>
  /** Widths of the lines that stand there. */
  #drawn: readonly number[] = []

  constructor(call: Pick<Call, 'print' | 'size'>) {
    this.#call = call
  }

  /** Draws these lines over the last ones. */
  draw(lines: readonly string[]): void {
    const { columns, rows } = this.#call.size()
    // The last column stays free: where a line that fills it ends, terminals differ. The last row is the cursor's.
    const shown = withinRows(lines, rows - 1).map((line) => withinColumns(plain(line), columns - 1))
    const text = shown.map((line) => `${line}${CLEAR_LINE}\n`).join('')
    this.#call.print(`${this.#toTop(columns)}${text}${CLEAR_BELOW}`)
    this.#drawn = shown.map(widthOf)
  }

  /** Leaves the block, and wipes what a key has left below it. */
  leave(): void {
    this.#call.print(`\r${CLEAR_BELOW}`)
    this.#drawn = []
  }

  #toTop(columns: number): string {
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0)
    return rows === 0 ? '' : `\r${ESC}${rows}A`
  }
}

function withinRows(lines: readonly string[], rowsMax: number): readonly string[] {
  if (lines.length <= rowsMax) return lines
  const shown = Math.max(0, rowsMax - 1)
  return [...lines.slice(0, shown), `${CUT} ${lines.length - shown} more lines than this terminal has`]
}

const graphemes = new Intl.Segmenter()
/** What takes two columns: the scripts of East Asia in their full width, and emoji. */
const WIDE =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}])/u
const NARROW = /^[\u0020-\u007e]*$/

/** Columns that a text takes. */
export function widthOf(text: string): number {
  if (NARROW.test(text)) return text.length
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += WIDE.test(segment) ? 2 : 1
  return width
}

/** The text, or as much of it as has room, with a mark where it was cut. */
function withinColumns(text: string, columnsMax: number): string {
  if (widthOf(text) <= columnsMax) return text
  let shown = ''
  let width = 0
  for (const { segment } of graphemes.segment(text)) {
    width += WIDE.test(segment) ? 2 : 1
    if (width > columnsMax - 1) break
    shown += segment
  }
  return columnsMax < 1 ? '' : shown + CUT
}

/**
 * A text in lines of so many columns at most, broken between words, and within a word that is longer than a line. Indented, and the
 * later lines more.
 */
export function wrapped(text: string, columnsMax: number, indent = ''): string[] {
  const [first, ...words] = text.split(' ')
  const lines = broken(indent + first, columnsMax, indent)
  for (const word of words) {
    const longer = `${lines[lines.length - 1]} ${word}`
    if (widthOf(longer) <= columnsMax) lines[lines.length - 1] = longer
    else lines.push(...broken(`${indent}  ${word}`, columnsMax, indent))
  }
  return lines
}

function broken(line: string, columnsMax: number, indent: string): string[] {
  const lines: string[] = []
  let rest = line
  while (widthOf(rest) > columnsMax) {
    let shown = ''
    for (const { segment } of graphemes.segment(rest)) {
      if (widthOf(shown + segment) > columnsMax) break
      shown += segment
    }
    // Not even the indent has room.
    if (shown.trim() === '') break
    lines.push(shown)
    rest = `${indent}  ${rest.slice(shown.length)}`
  }
  return [...lines, rest]
}
