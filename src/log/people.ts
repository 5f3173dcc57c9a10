/** A line of the log as people read it on a terminal; what goes elsewhere stays the JSON that it is made of. */
import { isRecord } from '../config/record.ts'

/** What every line has, and is told in another way or is of no use on a terminal. */
const COMMON: ReadonlySet<string> = new Set(['level', 'time', 'pid', 'hostname', 'msg', 'err'])

/** What could move the cursor or change what is there; a new line stays. */
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g

/** Time in UTC, level, message, and what else is told as `key=value`; a line that is no JSON stays as it is. */
export function forPeople(line: string): string {
  let told: unknown
  try {
    told = JSON.parse(line)
  } catch {
    return line
  }
  if (!isRecord(told)) return line
  const { level, time, msg, err } = told
  const at = typeof time === 'number' ? new Date(time).toISOString().slice(11, 19) : ''
  const why = isRecord(err) && typeof err['message'] === 'string' ? `: ${err['message']}` : ''
  const rest = Object.entries(told)
    .filter(([key]) => !COMMON.has(key))
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const text = `${at} ${String(level).toUpperCase().padEnd(5)} ${String(msg ?? '')}${why}${rest.join('')}`
  return `${text.replace(CONTROL, '?')}\n`
}
