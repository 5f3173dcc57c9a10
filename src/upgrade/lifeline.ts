/**
 * The process that others take for ours, once another one serves in its place.
 *
 * Whoever started Turnout (a shell, npm, a container, a supervisor) waits for that process and signals it. So where nobody can be told
 * of another one, the first process stays: it passes signals on, and ends when the one that serves ends, with its exit code. However many
 * upgrades follow, there is only one such process: each new process is given the same pipe to it, and says by it who serves and how it ended.
 * The system closes the pipe with the last of them, however that ends.
 *
 *   first ◄──pipe── second ──the same pipe──► third …        lines: `pid N` when it serves, `exit N` before it ends in order
 */
import { writeSync } from 'node:fs'
import type { Readable } from 'node:stream'

/** Exit code where the one that served could not say how it ended: it was killed, or has crashed. */
const UNTOLD = 1
/** A line is far shorter; what is longer is not ours. */
const LINE_LENGTH_MAX = 100

/** The end of the first process. */
export class Lifeline {
  /** Resolves with the exit code of the one that served last, once nobody serves any more. */
  readonly whenOver: Promise<number>
  /** The one that serves. */
  #pid: number
  #code = UNTOLD
  #rest = ''

  constructor(pipe: Readable, pid: number) {
    this.#pid = pid
    this.whenOver = new Promise((resolve) => {
      pipe.on('error', () => {})
      pipe.once('close', () => resolve(this.#code))
    })
    pipe.on('data', (bytes: Buffer) => this.#read(bytes.toString('latin1')))
  }

  /** Passes a signal on to the one that serves; nothing when it has just ended. */
  passOn(signal: NodeJS.Signals): void {
    try {
      process.kill(this.#pid, signal)
    } catch {
      // The pipe says the same.
    }
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!.slice(0, LINE_LENGTH_MAX)
    for (const line of lines) {
      const [, word, number] = /^(pid|exit) ([0-9]{1,10})$/.exec(line) ?? []
      if (word === 'pid') this.#pid = Number(number)
      else if (word === 'exit') this.#code = Number(number)
    }
  }
}

/** Says by its descriptor that this process serves, or that it ends with this code; nobody may be there to hear it. */
export function tellLifeline(descriptor: number | null, word: 'pid' | 'exit', number: number): void {
  if (descriptor === null) return
  try {
    writeSync(descriptor, `${word} ${number}\n`)
  } catch {
    // The first process was killed.
  }
}
