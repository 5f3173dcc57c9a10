/**
 * The two outputs: what happened on standard error, and one line a request on standard output. Neither is ever waited for,
 * and nothing that becomes of them (a full disk, a reader that is slow or gone) stops the process. Either is JSON, and for people where it is
 * a terminal.
 */
import pino, { type Logger } from 'pino'
import { type Clock, systemClock } from '../clock.ts'
import { unwrittenInWords } from '../unread.ts'
import { LineOutput, type Written } from './line-output.ts'
import { accessForPeople, forPeople, mayColour } from './people.ts'

/** Bytes of the log that may wait for a slow reader before lines are dropped. */
const WAITING_BYTES_MAX = 8_388_608

/** Lines of the log on their way to standard error. Those that find no room are dropped, and it is told how many. */
class LogLines {
  readonly #output = new LineOutput(2, systemClock, () => {})
  #waitingBytes = 0
  #dropped = 0
  /** People read it; else programs do. */
  readonly #isTerminal = process.stderr.isTTY === true
  readonly #inColour = mayColour(process.env)

  constructor() {
    neverBlock(process.stderr)
    process.on('exit', () => this.#output.writeRest())
  }

  write(line: string): void {
    if (this.#waitingBytes > WAITING_BYTES_MAX) {
      this.#dropped++
      return
    }
    if (this.#dropped > 0)
      this.#put(`{"level":"warn","time":${systemClock.nowMs()},"msg":"${this.#dropped} log lines were dropped"}\n`)
    this.#dropped = 0
    this.#put(line)
  }

  #put(line: string): void {
    const bytes = Buffer.from(this.#isTerminal ? forPeople(line, this.#inColour) : line)
    this.#waitingBytes += bytes.length
    this.#output.write(bytes, () => {
      this.#waitingBytes -= bytes.length
    })
  }
}

/**
 * Lets writes to a terminal fail while it takes nothing (Ctrl-S, or a window that hangs), as writes to a full pipe do. Node has them
 * block, and a thread in such a write keeps the process from ending. The descriptor is ours alone: Node has opened the terminal anew.
 */
function neverBlock(stream: NodeJS.WriteStream): void {
  if (!stream.isTTY) return
  const { _handle: handle } = stream as unknown as { readonly _handle?: { setBlocking?(blocks: boolean): void } | null }
  handle?.setBlocking?.(false)
}

/** One for the process: lines of two would be mixed up. */
let logLines: LogLines | null = null

/** The log of the process, from this level on. */
export function openLog(level: string): Logger {
  logLines ??= new LogLines()
  return pino({ level, formatters: { level: (label) => ({ level: label }) } }, logLines)
}

/** Where access log lines go. */
export interface AccessLogOutput {
  write(lines: Uint8Array, written: Written): void
  /** Writes what waits, as long as its reader takes some of it. */
  close(): Promise<void>
}

/** Opens standard output for access log lines; what waits for its reader is in the hands of those who write. */
export function openAccessLog(log: Pick<Logger, 'warn'>, clock: Clock): AccessLogOutput {
  const output = new LineOutput(1, clock, (error) => {
    const isGone = (error as NodeJS.ErrnoException).code === 'EPIPE'
    const next = isGone ? 'lines are dropped' : 'lines wait, and are dropped then'
    log.warn(`the access log cannot be written to standard output: ${unwrittenInWords(error)}; ${next}`)
  })
  const isTerminal = process.stdout.isTTY === true
  neverBlock(process.stdout)
  // For an end that is not in order.
  const atExit = () => output.writeRest()
  process.on('exit', atExit)
  return {
    write: (lines, written) => output.write(isTerminal ? accessForPeople(lines) : lines, written),
    async close() {
      await output.stop()
      output.writeRest()
      process.off('exit', atExit)
    },
  }
}
