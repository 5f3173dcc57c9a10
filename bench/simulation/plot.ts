/**
 * Plots as SVG, by hand: lines on logarithmic axes, dots by row, and shares as a grid of cells.
 *
 * Every plot is 800 units wide, has its own background, and follows the reader's light or dark scheme by one style sheet. Series are
 * told apart by colour, by mark and by dash, so neither a printer nor the colour-blind lose one. The same data give the same text.
 */

/** How a series is drawn: its place in the list of styles, for which there are as many as judges. */
export interface Series {
  readonly name: string
  readonly points: readonly Point[]
}

export interface Point {
  readonly x: number
  /** Median; null where there is none. */
  readonly y: number | null
  /** Where a thin line from the median ends. */
  readonly to: number
  /** Hollow: few runs have come this far. */
  readonly isHollow: boolean
}

export interface Axis {
  readonly label: string
  readonly ticks: readonly (readonly [value: number, label: string])[]
  readonly min: number
  readonly max: number
}

export interface Words {
  readonly title: string
  /** What was simulated, and how to read it: two lines at most, of some 110 letters. */
  readonly subtitle: readonly [string, string?]
}

const WIDTH = 800
const MARKS = ['circle', 'square', 'triangle', 'diamond', 'wedge'] as const
const DASHES = ['none', '7 3', '2 3', '9 3 2 3', '5 5'] as const
const LIGHT = ['#0060a8', '#c24a00', '#00795a', '#a23b7c', '#5f6368']
const DARK = ['#63b8f5', '#ff9a5c', '#3ed0a0', '#f08fc8', '#b4b9c0']

const STYLE = `
    svg { --back: #ffffff; --ink: #1f2328; --faint: #59636e; --grid: #d8dee4; ${colours(LIGHT)} }
    @media (prefers-color-scheme: dark) {
      svg { --back: #12161c; --ink: #e6edf3; --faint: #a0a9b4; --grid: #333b45; ${colours(DARK)} }
    }
    text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: var(--ink) }
    .title { font-size: 17px; font-weight: 600 }
    .faint { fill: var(--faint) }
    .grid { stroke: var(--grid); stroke-width: 1 }
    .axis { stroke: var(--faint); stroke-width: 1 }
    .cell { font-size: 12px }
    .over { fill: var(--faint); paint-order: stroke; stroke: var(--back); stroke-width: 5px }
${LIGHT.map((_, at) => `    .s${at} { stroke: var(--c${at}); fill: var(--c${at}) }\n    .h${at} { stroke: var(--c${at}); fill: var(--back) }`).join('\n')}
    .line { fill: none; stroke-width: 2 }
    .first { stroke-width: 3.5 }
    .mark { stroke-width: 2 }
    .whisker { stroke-width: 1.5; opacity: 0.55 }
  `

function colours(list: readonly string[]): string {
  return list.map((colour, at) => `--c${at}: ${colour};`).join(' ')
}

const fix = (value: number) => `${Number(value.toFixed(1))}`
const escaped = (text: string) => text.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`)

interface TextPlace {
  readonly x: number
  readonly y: number
  readonly anchor?: 'start' | 'middle' | 'end'
  readonly of?: string
  readonly turn?: number
  readonly fill?: string
}

function text(words: string, { x, y, anchor = 'start', of = '', turn = 0, fill }: TextPlace): string {
  const turned = turn === 0 ? '' : ` transform="rotate(${turn} ${fix(x)} ${fix(y)})"`
  const filled = fill === undefined ? '' : ` style="fill: ${fill}"`
  return `<text x="${fix(x)}" y="${fix(y)}" text-anchor="${anchor}" class="${of}"${turned}${filled}>${escaped(words)}</text>`
}

const line = (x1: number, y1: number, x2: number, y2: number, of: string) =>
  `<line x1="${fix(x1)}" y1="${fix(y1)}" x2="${fix(x2)}" y2="${fix(y2)}" class="${of}"/>`

function mark(series: number, x: number, y: number, isHollow: boolean): string {
  const of = `class="mark ${isHollow ? 'h' : 's'}${series}"`
  const path = (d: string) => `<path d="${d}" ${of}/>`
  const [left, right, up, down] = [fix(x - 5), fix(x + 5), fix(y - 5), fix(y + 5)]
  switch (MARKS[series]) {
    case 'circle':
      return `<circle cx="${fix(x)}" cy="${fix(y)}" r="5" ${of}/>`
    case 'square':
      return `<rect x="${left}" y="${up}" width="10" height="10" ${of}/>`
    case 'triangle':
      return path(`M${left} ${down}L${right} ${down}L${fix(x)} ${up}Z`)
    case 'diamond':
      return path(`M${fix(x)} ${fix(y - 6)}L${fix(x + 6)} ${fix(y)}L${fix(x)} ${fix(y + 6)}L${fix(x - 6)} ${fix(y)}Z`)
    case 'wedge':
      return path(`M${left} ${up}L${right} ${up}L${fix(x)} ${down}Z`)
  }
}

/** Where the legend stands, and where what is below it begins. */
const LEGEND_Y = 102
const BODY_TOP = 126

function sheet({ title, subtitle }: Words, height: number, body: readonly string[]): string {
  const head = [text(title, { x: 24, y: 34, of: 'title' })]
  for (const [at, words] of subtitle.entries()) {
    if (words !== undefined) head.push(text(words, { x: 24, y: 56 + at * 19, of: 'faint' }))
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
  <title>${escaped(title)}</title>
  <style>${STYLE}</style>
  <rect width="${WIDTH}" height="${height}" rx="8" style="fill: var(--back)"/>
  ${[...head, ...body].join('\n  ')}
</svg>
`
}

function legend(names: readonly string[], isLined: boolean): string[] {
  let x = 24
  const y = LEGEND_Y
  return names.flatMap((name, at) => {
    const begin = x
    x += 44 + name.length * 7.4 + 14
    const drawn = isLined
      ? [`<path d="M${begin} ${y}h30" class="line s${at}" style="fill: none" stroke-dasharray="${DASHES[at]}"/>`]
      : []
    return [...drawn, mark(at, begin + 15, y, false), text(name, { x: begin + 38, y: y + 4.5 })]
  })
}

/** Place on a logarithmic axis, between two ends of the plot. */
const logPlace =
  ({ min, max }: Axis, from: number, to: number) =>
  (value: number) =>
    from +
    ((Math.log(Math.min(max, Math.max(min, value))) - Math.log(min)) / (Math.log(max) - Math.log(min))) * (to - from)

/** Lines over a logarithmic x axis, on a logarithmic y axis; a thin line leads from each median to its 95th percentile. */
export function linePlot(words: Words, x: Axis, y: Axis, series: readonly Series[]): string {
  const [left, right, top, bottom, height] = [104, 768, BODY_TOP, 446, 506]
  const placeX = logPlace(x, left + 16, right - 16)
  const placeY = logPlace(y, bottom, top)
  const names = series.map(({ name }) => name)
  const body = legend(names, true)
  for (const [value, label] of y.ticks) {
    body.push(line(left, placeY(value), right, placeY(value), 'grid'))
    body.push(text(label, { x: left - 8, y: placeY(value) + 4.5, anchor: 'end', of: 'faint' }))
  }
  for (const [value, label] of x.ticks) {
    body.push(line(placeX(value), bottom, placeX(value), bottom + 5, 'axis'))
    body.push(text(label, { x: placeX(value), y: bottom + 21, anchor: 'middle', of: 'faint' }))
  }
  body.push(line(left, bottom, right, bottom, 'axis'))
  body.push(text(x.label, { x: (left + right) / 2, y: bottom + 46, anchor: 'middle' }))
  body.push(text(y.label, { x: 22, y: (top + bottom) / 2, anchor: 'middle', turn: -90 }))
  // The first is drawn last, so that it lies on top.
  for (const [at, { points }] of [...series.entries()].reverse()) {
    const shown = points.flatMap(({ x: px, y: py, to, isHollow }, nth) =>
      py === null ? [] : [{ x: placeX(px) + (at - 2) * 2, y: placeY(py), to: placeY(to), isHollow, nth }],
    )
    for (const point of shown) body.push(line(point.x, point.y, point.x, point.to, `whisker s${at}`))
    // A line leads over neighbours only, and stops where hardly any run has come.
    const solid = shown.filter(({ isHollow }) => !isHollow)
    const path = solid.map(
      (point, i) => `${i > 0 && solid[i - 1].nth === point.nth - 1 ? 'L' : 'M'}${fix(point.x)} ${fix(point.y)}`,
    )
    const of = `line s${at}${at === 0 ? ' first' : ''}`
    body.push(
      `<path d="${path.join('') || 'M0 0'}" class="${of}" style="fill: none" stroke-dasharray="${DASHES[at]}"/>`,
    )
    for (const point of shown) body.push(mark(at, point.x, point.y, point.isHollow))
  }
  return sheet(words, height, body)
}

/** A row of dots for each thing, in panels side by side. What has no value stands at the right, under `none`. */
export interface DotPanel {
  readonly axis: Axis
  /** Values of a row, by series; null for none. */
  readonly rows: readonly (readonly (number | null)[])[]
}

export function dotPlot(
  words: Words,
  names: readonly string[],
  rows: readonly string[],
  panels: readonly DotPanel[],
  none: string,
): string {
  const [top, rowHeight] = [BODY_TOP, 46]
  const bottom = top + rows.length * rowHeight
  const width = (WIDTH - 48 - 28) / panels.length
  const body = legend(names, false)
  for (const [nth, { axis, rows: values }] of panels.entries()) {
    const left = 24 + nth * (width + 28)
    const right = left + width
    const place = logPlace(axis, left + 12, right - 92)
    body.push(text(axis.label, { x: left + 12, y: bottom + 46 }))
    body.push(text(none, { x: right - 24, y: bottom + 21, anchor: 'middle', of: 'faint' }))
    for (const [value, label] of axis.ticks) {
      body.push(line(place(value), top + 22, place(value), bottom + 4, 'grid'))
      body.push(text(label, { x: place(value), y: bottom + 21, anchor: 'middle', of: 'faint' }))
    }
    for (const [at, row] of values.entries()) {
      const y = top + at * rowHeight + 33
      body.push(line(left, y, right, y, 'grid'))
      const marks = row.map((value, series) => {
        const x = value === null ? right - 48 + series * 12 : place(value)
        return mark(series, x, y, value === null)
      })
      body.push(...marks.reverse())
    }
  }
  for (const [at, row] of rows.entries()) body.push(text(row, { x: 24, y: top + at * rowHeight + 16, of: 'over' }))
  return sheet(words, bottom + 64, body)
}

/** In whole per cent, but a few is not none, and most is not all. */
function roughly(share: number): string {
  const rounded = Math.round(share * 100)
  if (share > 0 && rounded === 0) return '< 1 %'
  return share < 1 && rounded === 100 ? '> 99 %' : `${rounded} %`
}

/** Shares as cells with their figure in them, darker the greater they are; a panel for each of several settings. */
export interface GridPanel {
  readonly title: string
  /** Share by row and column, 0 to 1. */
  readonly shares: readonly (readonly number[])[]
}

export function gridPlot(
  words: Words,
  rows: readonly string[],
  columns: readonly string[],
  panels: readonly GridPanel[],
  label: string,
): string {
  const [left, cellHeight] = [128, 26]
  const cellWidth = (776 - left) / columns.length
  const panelHeight = 34 + rows.length * cellHeight
  let top = 94
  const body: string[] = []
  for (const { title, shares } of panels) {
    body.push(text(title, { x: left, y: top + 16 }))
    for (const [at, row] of shares.entries()) {
      const y = top + 26 + at * cellHeight
      body.push(text(rows[at], { x: left - 10, y: y + 17, anchor: 'end' }))
      for (const [column, share] of row.entries()) {
        const x = left + column * cellWidth
        const inside =
          share === 0 ? 'fill: none; stroke: var(--grid)' : `fill: var(--c1); fill-opacity: ${fix(0.15 + 0.85 * share)}`
        body.push(
          `<rect x="${fix(x + 1)}" y="${fix(y + 1)}" width="${fix(cellWidth - 2)}" height="${cellHeight - 2}" rx="3" style="${inside}"/>`,
        )
        const ink = share > 0.5 ? 'var(--back)' : share === 0 ? 'var(--faint)' : 'var(--ink)'
        body.push(text(roughly(share), { x: x + cellWidth / 2, y: y + 17, anchor: 'middle', of: 'cell', fill: ink }))
      }
    }
    top += panelHeight + 6
  }
  for (const [column, name] of columns.entries()) {
    body.push(text(name, { x: left + (column + 0.5) * cellWidth, y: top + 12, anchor: 'middle', of: 'faint' }))
  }
  body.push(text(label, { x: (left + 776) / 2, y: top + 36, anchor: 'middle' }))
  return sheet(words, top + 54, body)
}
