/**
 * An output that is never waited for: one write is under way at a time, and what comes meanwhile waits in order.
 *
 * How much may wait is for those to decide who write: each is told when its lines are written. What cannot be written (no
 * space left, a pipe that is full) is tried again a moment later; when the reader has gone, lines are thrown away, and it is told how many.
 * At the end of the process a reader that takes nothing for a second gets no more: it must not keep the process from ending.
 */
import { write, writeSync } from 'node:fs'
import type { Clock } from '../clock.ts'

/** Pause after a write that failed. */
const PAUSE_MS = 100
/** At the end, a reader that takes nothing for this time is not waited for any longer. */
const STALLED_MS = 1_000
/** And one that takes little by little not longer than this. */
const REST_MS_MAX = 10_000
const NEWLINE = 10

/** Called when lines are no longer needed, with how many of them are lost: 0 when all are written. */
export type Written = (lost: number) => void

interface Waiting {
  readonly lines: Uint8Array
  readonly written: Written
}

/** How many lines end in these bytes. */
function countLines(bytes: Uint8Array): number {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count++
  return count
}

export class LineOutput {
  readonly #fd: number
  readonly #clock: Clock
  readonly #failed: (error: Error) => void
  readonly #waiting: Waiting[] = []
  /** Bytes of the first that are written. */
  #at = 0
  /** The system has a write in hand. */
  #isWriting = false
  /** A write has failed, and the next one is not due yet. */
  #isPausing = false
  /** `failed` knows of it. */
  #hasFailed = false
  #isGone = false
  #isStopped = false
  #onStopped: (() => void) | null = null

  /** `failed` hears of an error once, until a write succeeds. */
  constructor(fd: number, clock: Clock, failed: (error: Error) => void) {
    this.#fd = fd
    this.#clock = clock
    this.#failed = failed
  }

  /** Writes whole lines, and calls `written` when they are out or there is nobody to read them. */
  write(lines: Uint8Array, written: Written): void {
    if (this.#isGone) return written(countLines(lines))
    this.#waiting.push({ lines, written })
    if (!this.#isWriting && !this.#isPausing) this.#next()
  }

  /** Begins no other write, and waits for the one that is under way, so that `writeRest` finds the rest in order. */
  stop(): Promise<void> {
    this.#isStopped = true
    if (!this.#isWriting) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onStopped = resolve
      // A descriptor that blocks may keep a write for ever.
      this.#clock.after(STALLED_MS, resolve)
    })
  }

  /** Writes what waits, while the process exits: blocks, within limits. What the system has in hand is left to it. */
  writeRest(): void {
    const rest = this.#waiting.splice(this.#isWriting ? 1 : 0)
    let at = this.#isWriting ? 0 : this.#at
    const endMs = this.#clock.monotonicMs() + REST_MS_MAX
    let stalledMs = this.#clock.monotonicMs() + STALLED_MS
    for (const { lines, written } of rest) {
      while (at < lines.length) {
        const bytes = this.#writeSync(lines.subarray(at))
        const nowMs = this.#clock.monotonicMs()
        if (bytes > 0) stalledMs = nowMs + STALLED_MS
        else if (nowMs >= stalledMs) return
        if (nowMs >= endMs) return
        at += bytes
      }
      at = 0
      // Nobody can ask any more what was lost.
      written(0)
    }
  }

  #writeSync(lines: Uint8Array): number {
    try {
      return writeSync(this.#fd, lines)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return lines.length
      // A pipe that does not block is full, and there is no other turn to wait for.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
      return 0
    }
  }

  #next(): void {
    const first = this.#waiting[0]
    if (first === undefined || this.#isStopped) return
    this.#isWriting = true
    const count = first.lines.length - this.#at
    write(this.#fd, first.lines, this.#at, count, null, (error, written) => this.#wrote(error, written))
  }

  #wrote(error: NodeJS.ErrnoException | null, bytes: number): void {
    this.#isWriting = false
    if (error === null) this.#advance(bytes)
    else this.#onError(error)
    this.#onStopped?.()
  }

  #advance(bytes: number): void {
    this.#hasFailed = false
    this.#at += bytes
    if (this.#at >= this.#waiting[0].lines.length) {
      this.#at = 0
      this.#waiting.shift()?.written(0)
    }
    this.#next()
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (error.code === 'EPIPE') {
      this.#failed(error)
      return this.#lose()
    }
    if (error.code !== 'EAGAIN' && !this.#hasFailed) {
      this.#hasFailed = true
      this.#failed(error)
    }
    this.#isPausing = true
    this.#clock.after(PAUSE_MS, () => {
      this.#isPausing = false
      this.#next()
    })
  }

  #lose(): void {
    this.#isGone = true
    let at = this.#at
    for (const { lines, written } of this.#waiting.splice(0)) {
      written(countLines(lines.subarray(at)))
      at = 0
    }
  }
}
