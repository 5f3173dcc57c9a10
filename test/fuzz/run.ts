/**
 * A run of the fuzzer: makes messages by number, compares our codec with llhttp on each, counts what came of it, and stops at
 * the first fault, which it makes as short as it can. Nothing is kept of a message once it is counted, so the length of a run
 * does not show in its memory.
 */
import type { Message } from '../dataplane/http1/reading.ts'
import { type FuzzCase, fuzzCase } from './case.ts'
import { type Case, CODECS, type Codecs, compare, compareCuts, type Verdict } from './comparison.ts'
import { REASONS, type Reason } from './reasons.ts'
import { shrink } from './shrink.ts'

export interface RunOptions {
  readonly seed: number
  /** Number of the first message. */
  readonly first: number
  /** How many messages; less when the time is over before. */
  readonly messages: number
  /** Seconds after which it ends; 0 for no limit. */
  readonly seconds: number
}

/** The first fault of a run. */
export interface Fault {
  /** Number of the message. */
  readonly index: number
  readonly what: string
  /** The message as it was found. */
  readonly found: Case
  /** The shortest with a fault of the same kind. */
  readonly shortest: Case
}

export interface Report {
  messages: number
  seconds: number
  /** Messages by side and result. */
  readonly results: Record<Case['side'], Record<Verdict['result'], number>>
  /** Listed differences that were met. */
  readonly reasons: Map<Reason, number>
  /** What the messages that both took had in them. */
  readonly reached: Map<string, number>
  fault: Fault | null
}

/** What shows that the generator reaches deep: each is counted in messages that both codecs took. */
const REACHED: Readonly<Record<string, (message: Message, side: Case['side'], at: number, bytes: string) => boolean>> =
  {
    'behind another message': (_message, _side, at) => at > 0,
    'with a counted body': ({ fields, body }) => body !== '' && has(fields, 'content-length: '),
    'with chunks': ({ fields, body }) => body !== '' && has(fields, 'transfer-encoding: '),
    'with chunks in a stream with extensions': ({ fields }, _side, _at, bytes) =>
      has(fields, 'transfer-encoding: ') && /\n[0-9A-Fa-f]+;/.test(bytes),
    'with trailers': ({ trailers }) => trailers.length > 0,
    'with a body until the end': ({ body, fields }, side) =>
      side === 'response' && body !== '' && !has(fields, 'transfer-encoding: ') && !has(fields, 'content-length: '),
    'with bytes above ASCII in a field': ({ fields }) => fields.some((line) => /[\x80-\xff]/.test(line)),
    'with more than 20 fields': ({ fields }) => fields.length > 20,
    'with a field of more than 1,000 bytes': ({ fields }) => fields.some((line) => line.length > 1_000),
    'with an expectation': ({ fields }, side) => side === 'request' && has(fields, 'expect: '),
    'for an upgrade': ({ fields }) => has(fields, 'upgrade: '),
    'that close the connection': ({ keepAlive, start }) => !keepAlive && start >= '200',
    'in absolute-form': ({ start }, side) => side === 'request' && start.includes(' http'),
    interim: ({ start }, side) => side === 'response' && start < '200',
    'with status 204 or 304': ({ start }) => start === '204' || start === '304',
    'that announce a body and have none': ({ fields, start, body }, side) =>
      side === 'response' &&
      start >= '200' &&
      body === '' &&
      fields.some((line) => /^content-length: [1-9]/.test(line)),
  }

const has = (fields: readonly string[], beginning: string) => {
  for (const line of fields) if (line.startsWith(beginning)) return true
  return false
}

const noResults = () => ({ accepted: 0, waiting: 0, refused: 0, stricter: 0, fault: 0 })

function newReport(): Report {
  return {
    messages: 0,
    seconds: 0,
    results: { request: noResults(), response: noResults() },
    reasons: new Map(REASONS.map((reason) => [reason, 0])),
    reached: new Map(Object.keys(REACHED).map((name) => [name, 0])),
    fault: null,
  }
}

function countReached(reached: Map<string, number>, { side, bytes }: Case, messages: readonly Message[]): void {
  for (const [name, is] of Object.entries(REACHED)) {
    let count = 0
    for (let at = 0; at < messages.length; at++) if (is(messages[at], side, at, bytes)) count++
    if (count > 0) reached.set(name, reached.get(name)! + count)
  }
}

/** What is wrong with the reading of a message, in pieces or as a whole; empty when nothing is. */
function faultOf(codecs: Codecs, tried: Case, cuts: readonly number[]): string {
  return compare(codecs, tried).fault || (cuts.length > 0 ? compareCuts(codecs, tried, cuts) : '')
}

/** Pieces of a text whose fault is that it depends on them. */
const CUTS_MAX = 500

const kindOf = (fault: string) => fault.slice(0, fault.indexOf(':'))

/** Cuts a text into single bytes, or a long one into many pieces. */
function manyCuts(text: string): number[] {
  const step = Math.ceil(text.length / CUTS_MAX)
  return Array.from({ length: Math.max(0, Math.ceil(text.length / step) - 1) }, (_, i) => (i + 1) * step)
}

function shortened(codecs: Codecs, { side, bytes, heads }: FuzzCase, fault: string): Case {
  const kind = kindOf(fault)
  const fails = (text: string) => {
    return kindOf(faultOf(codecs, { side, bytes: text, heads }, kind === 'cut' ? manyCuts(text) : [])) === kind
  }
  // What only some cuts show is left as it is.
  return { side, heads, bytes: fails(bytes) ? shrink(bytes, fails) : bytes }
}

/** Messages between two looks at the clock. */
const CLOCK_EVERY = 1_024

/** Runs; `progress` is called now and then with what was counted so far. */
export function run(options: RunOptions, progress: (report: Report) => void = () => {}, codecs = CODECS): Report {
  const { seed, first, messages, seconds } = options
  const report = newReport()
  const startMs = performance.now()
  for (let i = 0; i < messages; i++) {
    const tried = fuzzCase(seed, first + i)
    const verdict = compare(codecs, tried)
    const fault = verdict.fault || (tried.cuts.length > 0 ? compareCuts(codecs, tried, tried.cuts) : '')
    report.messages++
    report.results[tried.side][fault === '' ? verdict.result : 'fault']++
    for (const reason of verdict.reasons) report.reasons.set(reason, report.reasons.get(reason)! + 1)
    if (fault !== '') {
      report.fault = { index: first + i, what: fault, found: tried, shortest: shortened(codecs, tried, fault) }
      break
    }
    countReached(report.reached, tried, verdict.messages)
    if (report.messages % CLOCK_EVERY > 0) continue
    report.seconds = (performance.now() - startMs) / 1000
    progress(report)
    if (seconds > 0 && report.seconds >= seconds) break
  }
  report.seconds = (performance.now() - startMs) / 1000
  return report
}
