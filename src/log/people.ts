/**
 * Lines of the log and of the access log as people read them on a terminal; what goes elsewhere stays the JSON that they are
 * made of.
 */
import { isRecord } from '../config/record.ts'

/** What every line has, and is told in another way or is of no use on a terminal. */
const COMMON: ReadonlySet<string> = new Set(['level', 'time', 'pid', 'hostname', 'msg', 'err'])

/** What could move the cursor or change what is there; a new line stays. */
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g

/** Of an event everything but these is in its message (control/event-lines.ts). */
const OF_EVENTS: ReadonlySet<string> = new Set(['revision'])

/** How a level stands out, where the terminal may show colours. */
const COLOURS: Readonly<Record<string, string>> = { warn: '33', error: '31', fatal: '31' }

/** Whether a terminal may be written to in colours (no-color.org); programs that take one for dumb say so in `TERM`. */
export const mayColour = ({ NO_COLOR = '', TERM = '' }: Readonly<Record<string, string | undefined>>): boolean =>
  NO_COLOR === '' && TERM !== '' && TERM !== 'dumb'

/**
 * Time in UTC, level, message, and what else is told as `key=value` unless it is an empty list or map; a line that is no JSON stays as it is.
 * With `inColour` a level that is bad is coloured, and nothing else.
 */
export function forPeople(line: string, inColour = false): string {
  const told = recordIn(line)
  if (told === null) return line
  const { level, time, msg, err } = told
  const at = typeof time === 'number' ? new Date(time).toISOString().slice(11, 19) : ''
  const why = isRecord(err) && typeof err['message'] === 'string' ? `: ${err['message']}` : ''
  const rest = Object.entries(told)
    .filter(
      ([key, value]) => !COMMON.has(key) && !isEmpty(value) && (told['event'] === undefined || OF_EVENTS.has(key)),
    )
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const text = `${String(msg ?? '')}${why}${rest.join('')}`.replace(CONTROL, '?')
  return `${at} ${levelInWords(String(level), inColour)} ${text}\n`
}

function levelInWords(level: string, inColour: boolean): string {
  const words = level.toUpperCase().padEnd(5).replace(CONTROL, '?')
  return inColour && Object.hasOwn(COLOURS, level) ? `\u001b[${COLOURS[level]}m${words}\u001b[0m` : words
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0

/** Whole lines of the access log: when, what was answered to what, who has answered in how long and why, and what went wrong. */
export function accessForPeople(lines: Uint8Array): Uint8Array {
  const texts = Buffer.from(lines).toString('utf8').split('\n').slice(0, -1)
  return Buffer.from(texts.map((text) => `${requestForPeople(text).replace(CONTROL, '?')}\n`).join(''))
}

function requestForPeople(line: string): string {
  const told = recordIn(line)
  if (told === null) return line
  const { time, status, method, host, path, service, pool, target, durationMs, reason, error, requestId } = told
  const { retries, waitedMs, heldMs } = told
  const isOver = typeof status === 'number' && status < 500 && error === null
  const place = [pool ? `${service}/${pool}` : service, target].filter((name) => name).join(' ')
  // What could not be read as a request has nothing but its client.
  const asked = method === undefined ? told['client'] : `${method} ${host}${path}`
  const took = durationMs === undefined ? [] : [`${Number(durationMs).toFixed(1)} ms`]
  const more = { reason, retries, waitedMs, heldMs, error, ...(!isOver && { requestId }) }
  const words = Object.entries(more).filter(([, value]) => value !== null && value !== undefined && value !== 0)
  return [
    `${String(time).slice(11, 19)} ${status} ${asked}`,
    ...(place === '' ? [] : [place]),
    ...took,
    ...words.map(([key, value]) => `${key}=${value}`),
  ].join('  ')
}

function recordIn(line: string): Record<string, unknown> | null {
  try {
    const told: unknown = JSON.parse(line)
    return isRecord(told) ? told : null
  } catch {
    return null
  }
}
