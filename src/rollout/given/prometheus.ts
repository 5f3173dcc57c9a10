/**
 * Asks a Prometheus, or what speaks like one, for values at a moment: `GET …/api/v1/query`.
 *
 * An answer is bounded in time, bytes and series. Whatever is no answer (out of reach, an error of the query, a matrix) rejects with a
 * sentence; NaN is nothing. Redirects are not followed.
 */
import type { LookupFunction } from 'node:net'
import { isRecord } from '../../config/record.ts'
import { unansweredInWords } from '../../unanswered.ts'
import { Asker, parsedJson } from '../gates/asker.ts'
import { type Sample, Unanswered } from './ask.ts'

const SERIES_MAX = 1_000
const SHOWN_MAX = 200

export class Prometheus {
  readonly #asker: Asker

  constructor(find: LookupFunction) {
    this.#asker = new Asker(find)
  }

  /** Rejects with `Unanswered`, or with what `signal` aborts with. */
  async query(
    base: string,
    query: string,
    atS: number | null,
    withinMs: number,
    signal: AbortSignal,
  ): Promise<Sample[]> {
    const url = new URL(`${base.replace(/\/+$/, '')}/api/v1/query`)
    url.searchParams.set('query', query)
    if (atS !== null) url.searchParams.set('time', String(atS))
    const answer = await this.#asker.get(url, withinMs, signal).catch((error: unknown) => {
      signal.throwIfAborted()
      throw new Unanswered(`Prometheus at ${base}: ${unansweredInWords(error)}`)
    })
    try {
      return samplesOf(answer.status, parsedJson(answer.body))
    } catch (error) {
      if (error instanceof Unanswered) error.message = `Prometheus at ${base}: ${error.message}`
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#asker.close()
  }
}

/** What is in an answer. Throws `Unanswered`. */
function samplesOf(status: number, body: unknown): Sample[] {
  const { status: word, error, data } = isRecord(body) ? body : ({} as Readonly<Record<string, unknown>>)
  if (word === 'error') throw new Unanswered(`says ${shown(error)}`)
  if (status !== 200) throw new Unanswered(`answered ${status}`)
  if (word !== 'success' || !isRecord(data)) throw new Unanswered('what it answers is not JSON of its API')
  const { resultType, result } = data
  if (resultType === 'scalar') return [...valuesOf([{ metric: {}, value: result }])]
  if (resultType !== 'vector' || !Array.isArray(result)) {
    throw new Unanswered(`the query gives a ${shown(resultType)}, not values of one moment`)
  }
  if (result.length > SERIES_MAX) throw new Unanswered(`the query gives more than ${SERIES_MAX} series`)
  return [...valuesOf(result)]
}

function* valuesOf(result: readonly unknown[]): Generator<Sample> {
  for (const entry of result) {
    const { metric, value } = isRecord(entry) ? entry : ({} as Readonly<Record<string, unknown>>)
    if (!isRecord(metric) || !Array.isArray(value) || typeof value[1] !== 'string') {
      throw new Unanswered('the query gives what is not a number')
    }
    const labels = JSON.stringify(Object.entries(metric).sort())
    const target = JSON.stringify([metric['job'], metric['instance']])
    const number = numberOf(value[1])
    if (number === null)
      throw new Unanswered(`the query gives ${shown(JSON.stringify(value[1]))}, which is not a number`)
    if (!Number.isNaN(number)) yield { labels, target, value: number }
  }
}

/** A number as Prometheus writes it; null where it is none. An empty text is none, and not 0. */
function numberOf(text: string): number | null {
  if (text === 'NaN') return Number.NaN
  if (/^[+-]?Inf$/.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  return /^[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : null
}

const shown = (value: unknown): string => {
  const text = String(value)
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text
}
