/**
 * bench/RESULTS.md, written by the benches themselves and never by hand.
 *
 * Each bench owns one section between two marker comments and replaces only that, so results of several commands stand in
 * one file, each with its own date and machine.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { costOf, median, type ScenarioResult } from './measure.ts'
import type { Scenario } from './scenario.ts'
import { machine } from './versions.ts'

const RESULTS = new URL('./RESULTS.md', import.meta.url)
/** Sections in the order in which they stand in the file. */
const SECTIONS = [
  'peers',
  'own',
  'before',
  'profile',
  'latency',
  'cold',
  'switch',
  'fleet',
  'redis',
  'change',
  'rollout',
  'rollout-fleet',
  'kills',
  'kills-fleet',
  'upgrade',
  'judged',
  'steering',
  'steering-many',
  'steering-felt',
  'steering-alone',
  'tunnels',
  'hold',
  'size',
  'log',
  'workers',
  'idle',
  'soak',
  'attacks',
] as const
export type Section = (typeof SECTIONS)[number]

const PREAMBLE = `# Results

Written by the benches themselves, all of them by \`npm run bench:all\`; each replaces its own section. Figures of another
machine, or of another run, are not comparable: read ratios within a table.
`

/** A file of sections: their order, and what stands before them. */
export interface Sections<Name extends string> {
  readonly order: readonly Name[]
  readonly preamble: string
}

/** Those of bench/RESULTS.md. */
export const OF_RESULTS: Sections<Section> = { order: SECTIONS, preamble: PREAMBLE }

/** The text with one section replaced, or added where it belongs. */
export function replaceSection<Name extends string>(
  text: string,
  section: Name,
  body: string,
  { order, preamble }: Sections<Name>,
): string {
  const found = new Map<Name, string>()
  for (const name of order) {
    const match = text.match(new RegExp(`<!-- ${name} -->\\n([\\s\\S]*?)<!-- /${name} -->`))
    if (match !== null) found.set(name, match[1])
  }
  found.set(section, `${body.trim()}\n`)
  const parts = order
    .filter((name) => found.has(name))
    .map((name) => `<!-- ${name} -->\n${found.get(name)}<!-- /${name} -->\n`)
  return [preamble, ...parts].join('\n')
}

/** Replaces one section of bench/RESULTS.md. */
export const writeSection = (section: Section, body: string): void => writeInto(RESULTS, section, body, OF_RESULTS)

/** Replaces one section of a file that may not be there yet. */
export function writeInto<Name extends string>(file: URL, section: Name, body: string, all: Sections<Name>): void {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  writeFileSync(file, replaceSection(text, section, body, all))
}

/** Where and when, for the head of a section. */
export function occasion(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC · ${machine()} · Node ${process.version}`
}

export interface Report {
  readonly title: string
  readonly date: Date
  readonly versions: readonly (readonly [name: string, version: string])[]
  readonly results: readonly (readonly [scenario: Scenario, result: ScenarioResult])[]
  /** Peers that are not in the tables, and why. */
  readonly left: readonly string[]
  /** Sentences on how it was measured. */
  readonly method: string
  /** Paragraphs below the tables, before how it was measured. Default: none. */
  readonly remarks?: string
  /** Peers whose CPU per request the others are set against. */
  readonly yardsticks: readonly string[]
}

/** The whole section as Markdown. */
export function renderReport(report: Report): string {
  return [
    `## ${report.title}`,
    '',
    occasion(report.date),
    '',
    // Some are named by their version already.
    report.versions.map(([name, version]) => (name.endsWith(version) ? name : `${name} ${version}`)).join(' · '),
    '',
    ...report.left.map((line) => `- ${line}`),
    ...(report.left.length === 0 ? [] : ['']),
    ...report.results.flatMap(([scenario, result]) => [
      `### ${scenario.title}`,
      '',
      renderTable(result, report.yardsticks),
      '',
    ]),
    '**How to read it.** CPU µs per request is what one request costs the proxy, all of its processes and threads, kernel',
    'included; it is the figure to compare, less is better. Each figure is the median of the rounds, the least and the',
    'greatest in brackets. `×` is CPU per request divided by that of the named peer in the same run: below 1 is cheaper.',
    '`busy` is how much of its core the proxy used: near 100 % requests/s is its limit, below it is the limit of the load.',
    '',
    ...(report.remarks === undefined ? [] : [report.remarks, '']),
    `**How it was measured.** ${report.method}`,
  ].join('\n')
}

/** One scenario as a Markdown table, cheapest first. */
export function renderTable(result: ScenarioResult, yardsticks: readonly string[]): string {
  const present = yardsticks.filter((name) => result.has(name))
  const head = [
    '',
    'CPU µs/request',
    ...present.map((name) => `× ${name}`),
    'requests/s',
    'busy',
    'p50 ms',
    'p99 ms',
    'errors',
  ]
  const rows = [...result]
    .sort((a, b) => (costOf(a[1]) || 0) - (costOf(b[1]) || 0))
    .map(([name, rounds]) => [
      name,
      spread(
        rounds.map((round) => round.cpuMicros),
        costOf(rounds) < 100 ? 1 : 0,
      ),
      ...present.map((other) => decimal(costOf(rounds) / costOf(result.get(other)!), 2)),
      spread(
        rounds.map((round) => round.requestsPerSecond),
        0,
      ),
      decimal(100 * median(rounds.map((round) => round.busy ?? Number.NaN)), 0) + ' %',
      decimal(median(rounds.map((round) => round.p50Ms)), 2),
      decimal(median(rounds.map((round) => round.p99Ms)), 2),
      String(rounds.reduce((sum, round) => sum + round.errors, 0)),
    ])
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, column) => (column === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}

/** Median, and the least and greatest in brackets; a dash when nothing is known. */
export function spread(values: readonly (number | null)[], digits: number): string {
  const known = values.filter((value) => value !== null)
  if (known.length === 0) return '–'
  return `${decimal(median(known), digits)} (${decimal(Math.min(...known), digits)}–${decimal(Math.max(...known), digits)})`
}

/** A number for people: grouped thousands, fixed digits, a dash where there is none. */
export function decimal(value: number, digits: number): string {
  if (!Number.isFinite(value)) return '–'
  return value.toLocaleString('en-GB', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
