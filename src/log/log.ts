/** The two outputs: what happened on standard error, and one line a request on standard output. Neither is ever waited for. */
import pino, { type Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { LineOutput } from './line-output.ts'

/** Bytes that may wait for a slow reader of an output before lines are dropped. */
const WAITING_BYTES_MAX = 16_777_216

/** The log of the process, from this level on. */
export function openLog(level: string): Logger {
  return pino({ level }, pino.destination({ fd: 2, sync: false, maxLength: WAITING_BYTES_MAX }))
}

/** Where access log lines go. */
export interface AccessLogOutput {
  write(lines: Uint8Array, written: () => void): void
  /** Writes what waits, however slow the reader is. */
  close(): Promise<void>
}

/** Opens standard output for access log lines; what waits for its reader is in the hands of those who write. */
export function openAccessLog(log: Logger, clock: Clock): AccessLogOutput {
  const output = new LineOutput(1, clock, (err) => log.warn({ err }, 'the access log cannot be written'))
  // For an end that is not in order.
  const atExit = () => output.writeRest()
  process.on('exit', atExit)
  return {
    write: (lines, written) => output.write(lines, written),
    async close() {
      await output.stop()
      output.writeRest()
      process.off('exit', atExit)
    },
  }
}
