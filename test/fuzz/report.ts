/** What a run of the fuzzer prints: what came of its messages, the listed differences with their reasons, and its fault. */
import { type Case, CODECS, compare } from './comparison.ts'
import type { Reason } from './reasons.ts'
import type { Report } from './run.ts'

const count = (value: number) => value.toLocaleString('en')
const column = (value: number) => count(value).padStart(12)
const percent = (part: number, whole: number) => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`.padStart(7)
const rssMb = () => Math.round(process.resourceUsage().maxRSS / 1024)

const RESULTS = [
  ['accepted', 'both accept, and understand the same'],
  ['waiting', 'both wait for more, and agree so far'],
  ['refused', 'both refuse'],
  ['stricter', 'only llhttp accepts, for a listed reason'],
  ['fault', 'fault'],
] as const

/** Bytes as the text of a JavaScript string, so that they can be pasted into a test. */
export function escaped(bytes: string): string {
  const named: Record<string, string> = { '\r': '\\r', '\n': '\\n', '\t': '\\t', "'": "\\'", '\\': '\\\\' }
  const text = bytes.replace(/[^ -~]|['\\]/g, (letter) => {
    return named[letter] ?? `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
  return `'${text}'`
}

/** One line for now and then. */
export function progressLine({ messages, seconds, results }: Report): string {
  const accepted = results.request.accepted + results.response.accepted
  const rate = Math.round(messages / Math.max(seconds, 0.001))
  return `${column(messages)} messages, ${seconds.toFixed(0)} s, ${count(rate)}/s, both accept ${percent(accepted, messages).trim()}, ${rssMb()} MB at most`
}

function resultLines({ results, messages }: Report): string[] {
  return RESULTS.map(([name, text]) => {
    const { request, response } = results
    const sum = request[name] + response[name]
    const sides = `of clients ${count(request[name])}, of targets ${count(response[name])}`
    return `${column(sum)} ${percent(sum, messages)}  ${text} (${sides})`
  })
}

function reasonLine(reason: Reason, times: number): string {
  const side = reason.side === 'both' ? '' : ` (${reason.side}s)`
  return `${column(times)}  ${reason.what}${side}: ${reason.because} [${reason.source}]`
}

const KINDS = {
  refuse: 'llhttp accepts and we refuse:',
  close: 'both accept, and only we close the connection:',
  accept: 'llhttp refuses or stops, and we accept or read on (no other such case is allowed):',
} as const

const caseLine = ({ side, bytes, heads }: Case) =>
  `  ${side}${heads === 0 ? '' : `, heads ${heads}`}, ${bytes.length} bytes: ${escaped(bytes)}`

function faultLines({ fault }: Report, seed: number): string[] {
  if (fault === null) return ['no fault']
  return [
    `FAULT in message ${fault.index} of seed ${seed}: ${fault.what}`,
    'as short as it gets:',
    caseLine(fault.shortest),
    `  ${compare(CODECS, fault.shortest).fault || 'seen only when it is cut as in the run'}`,
    'as it was found:',
    caseLine(fault.found),
    `again: npm run fuzz -- --seed ${seed} --first ${fault.index} --messages 1`,
  ]
}

/** All that there is to say at the end. */
export function reportLines(report: Report, seed: number): string[] {
  const lines = [`${count(report.messages)} messages in ${report.seconds.toFixed(1)} s, seed ${seed}`, '']
  lines.push(...resultLines(report), '', 'messages that both accept, and what they had in them:')
  for (const [name, times] of report.reached) lines.push(`${column(times)}  ${name}`)
  for (const kind of ['refuse', 'close', 'accept'] as const) {
    lines.push('', KINDS[kind])
    for (const [reason, times] of report.reasons) if (reason.kind === kind) lines.push(reasonLine(reason, times))
  }
  lines.push('', `peak memory ${rssMb()} MB`, ...faultLines(report, seed))
  return lines
}
