/**
 * A terminal, as far as our output uses one: characters, line ends, wrapping at the last column, scrolling, and the codes that move the cursor
 * up and clear. Anything else that is written to it is a fault of the test.
 */

/** One row; `goesOn` when the line that began there goes on in the next row. */
interface Row {
  text: string
  goesOn: boolean
}

export class Terminal {
  readonly isTTY = true
  columns: number
  rows: number
  /** What was written, as it is. */
  written = ''
  /** All rows since the beginning, those that have scrolled away included. */
  #all: Row[] = [{ text: '', goesOn: false }]
  #row = 0
  #column = 0

  constructor(columns: number, rows: number) {
    this.columns = columns
    this.rows = rows
  }

  /** What has scrolled away and what is seen, without the spaces at the ends of rows and the empty rows at the end. */
  get lines(): string[] {
    return this.#all
      .map(({ text }) => text.trimEnd())
      .join('\n')
      .trimEnd()
      .split('\n')
  }

  write = (text: string): void => {
    this.written += text
    for (const [part] of text.matchAll(/\u001b\[[0-9]*[A-Za-z]|[\s\S]/gu)) this.#take(part)
  }

  /** Makes it wider or narrower; what stands there is wrapped anew, as most terminals do. */
  resize(columns: number): void {
    const whole: string[] = []
    let goesOn = false
    for (const row of this.#all) {
      if (goesOn) whole[whole.length - 1] += row.text
      else whole.push(row.text)
      goesOn = row.goesOn
    }
    this.columns = columns
    this.#all = whole.flatMap((line) => {
      const texts = line.trimEnd().match(new RegExp(`.{1,${columns}}`, 'gsu')) ?? ['']
      return texts.map((text, at) => ({ text, goesOn: at < texts.length - 1 }))
    })
    this.#row = this.#all.length - 1
    this.#column = 0
  }

  get #top(): number {
    return Math.max(0, this.#all.length - this.rows)
  }

  #take(part: string): void {
    const code = /^\u001b\[([0-9]*)([A-Za-z])$/.exec(part)
    if (part === '\n') this.#down(false)
    else if (part === '\r') this.#column = 0
    else if (code === null) this.#put(part)
    // The cursor does not leave the screen.
    else if (code[2] === 'A') this.#row = Math.max(this.#top, this.#row - Number(code[1] || 1))
    else if (part === '\u001b[K') this.#cut()
    else if (part === '\u001b[J') {
      this.#cut()
      this.#all.length = this.#row + 1
    } else throw new Error(`this terminal does not know ${JSON.stringify(part)}`)
  }

  #put(character: string): void {
    if (character < ' ') throw new Error(`this terminal does not know ${JSON.stringify(character)}`)
    if (this.#column === this.columns) this.#down(true)
    const row = this.#all[this.#row]
    const before = [...row.text.padEnd(this.#column)]
    before[this.#column++] = character
    row.text = before.join('')
  }

  #down(goesOn: boolean): void {
    this.#all[this.#row].goesOn = goesOn
    this.#row++
    this.#column = 0
    if (this.#row === this.#all.length) this.#all.push({ text: '', goesOn: false })
  }

  #cut(): void {
    const row = this.#all[this.#row]
    row.text = [...row.text].slice(0, this.#column).join('')
    row.goesOn = false
  }
}
