/**
 * All processes before this one that are not over: where upgrades follow each other, there may be several that still finish what they have.
 *
 * Each tells the process that has replaced it, and waits itself for the one that it has replaced. But one in the middle may be killed, and
 * would take along what it knows of those before it. So from each there is a pipe to all that come after it, which the kernel closes when that process is
 * over, however it ends. It is handed on from process to process, as the sockets are.
 *
 * A process that has nobody left to tell by its channel writes to it instead, in lines: whose tunnels it closes, and its last words. It is read by the one
 * that serves. While the next one begins to, more than one may read it, for a moment; whoever has the last words passes them on.
 */
import { Socket } from 'node:net'
import type { HandedDepartures } from '../control/old-departures.ts'
import { type EarlierProcess, readHanded, sealed, type Told, type ToSuccessor, toldIn } from './messages.ts'

/** Whatever is longer is not what such a process says: all whom it can have let go are less (metrics/layout.ts). */
const LINE_LENGTH_MAX = 4_194_304

/** What a process writes that has nobody left to tell. */
export const lineOf = (message: ToSuccessor): string => `${JSON.stringify(sealed(message))}\n`

/** Hears what they write, and that they are over. */
export interface EarlierNews {
  letGo(handed: HandedDepartures, pid: number): void
  /** With its last words, if it left any here. */
  ended(told: Told | null): void
}

export class EarlierProcesses {
  /** Of those that are looked at, with their sockets. */
  readonly #processes = new Map<EarlierProcess, Socket | null>()
  readonly #news: EarlierNews

  constructor(processes: readonly EarlierProcess[], news: EarlierNews) {
    for (const process of processes) this.#processes.set(process, null)
    this.#news = news
  }

  /** Reads from now on: before, what they write is for the process that serves. */
  read(): void {
    for (const process of this.#processes.keys()) this.#processes.set(process, this.#open(process))
  }

  /** Those that are not over. */
  get all(): readonly EarlierProcess[] {
    return [...this.#processes.keys()]
  }

  /** Looks at none of them any more. */
  close(): void {
    const sockets = [...this.#processes.values()]
    this.#processes.clear()
    for (const socket of sockets) socket?.destroy()
  }

  #open(process: EarlierProcess): Socket {
    const socket = new Socket({ fd: process.descriptor, readable: true, writable: false })
    let told: Told | null = null
    let rest = ''
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!.slice(0, LINE_LENGTH_MAX)
      for (const line of lines) {
        const sent = parsed(line)
        const handed = readHanded(sent)
        if (handed !== null) this.#news.letGo(handed, process.pid)
        told = toldIn(sent) ?? told
      }
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      if (this.#processes.delete(process)) this.#news.ended(told)
    })
    return socket.unref()
  }
}

/** Nothing where another one has read a part of the line. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}
