/** The two outputs: what happened on standard error, and one line a request on standard output. Neither is ever waited for. */
import pino, { type Logger } from 'pino'

/** Bytes that may wait for a slow reader of an output before lines are dropped. */
const WAITING_BYTES_MAX = 16_777_216

/** The log of the process, from this level on. */
export function openLog(level: string): Logger {
  return pino({ level }, pino.destination({ fd: 2, sync: false, maxLength: WAITING_BYTES_MAX }))
}

/** Writes batches of log lines to standard output without waiting for its reader; what does not fit is dropped. */
export function openAccessLog(log: Logger): (lines: string) => void {
  const destination = pino.destination({ fd: 1, sync: false, maxLength: WAITING_BYTES_MAX })
  destination.on('error', (err: Error) => log.warn({ err }, 'the access log cannot be written'))
  return (lines) => destination.write(lines)
}
