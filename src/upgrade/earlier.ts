/**
 * All processes before this one that are not over: where upgrades follow each other, there may be several that still finish what they have.
 *
 * Each tells the process that has replaced it, and waits itself for the one that it has replaced. But one in the middle may be killed, and
 * would take along what it knows of those before it. So from each there is a pipe to all that come after it, which the kernel closes when that process is
 * over, however it ends. It is handed on from process to process, as the sockets are.
 *
 * Nothing is written to it but the last words of a process that has nobody left to tell them to: one line. More than one process may read
 * it, for a moment; whoever has the line passes it on.
 */
import { Socket } from 'node:net'
import { type EarlierProcess, sealed, type Told, toldIn } from './messages.ts'

/** Whatever is longer is not what such a process says. */
const LINE_LENGTH_MAX = 65_536

/** What a process writes at its end. */
export const lastWords = (told: Told | undefined): string => `${JSON.stringify(sealed({ ...(told && { told }) }))}\n`

export class EarlierProcesses {
  readonly #sockets = new Map<EarlierProcess, Socket>()

  /** Calls `onEnd` whenever one is over, with its last words, if it left any here. */
  constructor(processes: readonly EarlierProcess[], onEnd: (told: Told | null) => void) {
    for (const process of processes) {
      const socket = new Socket({ fd: process.descriptor, readable: true, writable: false })
      this.#sockets.set(process, socket)
      let text = ''
      socket.on('data', (bytes: Buffer) => {
        text = (text + bytes.toString()).slice(0, LINE_LENGTH_MAX)
      })
      socket.on('error', () => {})
      socket.once('close', () => {
        if (this.#sockets.delete(process)) onEnd(read(text))
      })
      socket.unref()
    }
  }

  /** Those that are not over. */
  get all(): readonly EarlierProcess[] {
    return [...this.#sockets.keys()]
  }

  /** Looks at none of them any more. */
  close(): void {
    const sockets = [...this.#sockets.values()]
    this.#sockets.clear()
    for (const socket of sockets) socket.destroy()
  }
}

function read(line: string): Told | null {
  try {
    return toldIn(JSON.parse(line))
  } catch {
    return null
  }
}
