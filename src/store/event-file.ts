/**
 * The last events in a file, one JSON line each, so that they can be read after a restart: beside the SQLite store, or in the folder of the
 * state where the store is elsewhere.
 *
 * - Written in the background, what comes within GATHER_MS at once: no request and no change waits for it, and `kill -9` loses no more than that.
 * - Only appended to; once it has twice as many lines as are kept, or is too long, the last ones are written aside and renamed.
 * - A disk that is full, or a folder where nothing may be written, is told once, and once when it is right again. What waits meanwhile is bounded.
 * - What cannot be read, such as a line that was cut off, is left out. During an upgrade two processes append to it, so each line says its id.
 * - A write that fails may have written a part, so it begins a new line when it is done again, and a line that stands there twice is read once.
 */
import { appendFile, open, rename, rm, writeFile } from 'node:fs/promises'
import type { ControlEvent } from '../change.ts'
import type { Clock } from '../clock.ts'
import { EVENT_TYPES, EVENTS_KEPT } from '../config/event-types.ts'
import { isRecord } from '../config/record.ts'
import { unwrittenInWords } from '../unread.ts'

/** What comes within this time is written at once. */
const GATHER_MS = 200
/** After a write that has failed. */
const RETRY_MS = 10_000
/** A longer file is cut to its last events, and no more of it is ever read. */
const BYTES_MAX = 4_194_304

export interface EventFileDeps {
  readonly path: string
  readonly clock: Pick<Clock, 'after'>
  /** That it cannot be written, and that it can again. */
  tell(level: 'info' | 'warn', message: string): void
}

export class EventFile {
  readonly #deps: EventFileDeps
  #waiting: string[] = []
  /** Lines and bytes of the file. */
  #lines = 0
  #bytes = 0
  /** The last line may have no end, and the next one must not be taken for it. */
  #isCut = false
  #fault: string | null = null
  #cancel: (() => void) | null = null
  #writing: Promise<void> | null = null
  #isClosed = false

  constructor(deps: EventFileDeps) {
    this.#deps = deps
  }

  /** The last events, oldest first; none where there is no file. Rejects with what the system says when it cannot be read. */
  async read(): Promise<readonly ControlEvent[]> {
    const text = await endOf(this.#deps.path)
    const lines = text.split('\n').filter((line) => line !== '')
    this.#lines = lines.length
    this.#bytes = text.length
    this.#isCut = text !== '' && !text.endsWith('\n')
    const events = [...new Set(lines)].map(eventIn).filter((event) => event !== null)
    return events.sort((a, b) => a.id - b.id).slice(-EVENTS_KEPT)
  }

  /** Keeps an event, soon. */
  add(event: ControlEvent): void {
    this.#waiting.push(JSON.stringify(event))
    // Older ones would not be kept either.
    if (this.#waiting.length > 2 * EVENTS_KEPT) this.#waiting = this.#waiting.slice(-EVENTS_KEPT)
    this.#arm(GATHER_MS)
  }

  /** Writes what waits, now; what cannot be written waits on. */
  async flush(): Promise<void> {
    await this.#writing
    if (this.#waiting.length === 0) return
    this.#cancel?.()
    await this.#begin()
  }

  /** Writes what waits, once, and ends. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancel?.()
    await this.#writing
    if (this.#waiting.length > 0) await this.#write()
  }

  #arm(delayMs: number): void {
    if (this.#cancel !== null || this.#writing !== null || this.#isClosed) return
    this.#cancel = this.#deps.clock.after(delayMs, () => void this.#begin())
  }

  #begin(): Promise<void> {
    this.#cancel = null
    this.#writing = this.#write().finally(() => {
      this.#writing = null
      if (this.#waiting.length > 0) this.#arm(this.#fault === null ? GATHER_MS : RETRY_MS)
    })
    return this.#writing
  }

  async #write(): Promise<void> {
    const { path, tell } = this.#deps
    const lines = this.#waiting
    this.#waiting = []
    const text = `${this.#isCut ? '\n' : ''}${lines.map((line) => `${line}\n`).join('')}`
    try {
      await appendFile(path, text, { mode: 0o600 })
      this.#isCut = false
      this.#lines += lines.length
      this.#bytes += text.length
      if (this.#lines > 2 * EVENTS_KEPT || this.#bytes > BYTES_MAX) await this.#shorten()
      if (this.#fault !== null) tell('info', `events can be written to ${path} again`)
      this.#fault = null
    } catch (error) {
      this.#isCut = true
      this.#waiting = [...lines, ...this.#waiting].slice(-EVENTS_KEPT)
      const why = unwrittenInWords(error)
      const isNew = this.#fault === null
      this.#fault = why
      if (isNew) tell('warn', `events cannot be written to ${path}, so a restart would lose them: ${why}`)
    }
  }

  async #shorten(): Promise<void> {
    const { path } = this.#deps
    const aside = `${path}.${process.pid}.new`
    const kept = (await this.read()).map((event) => `${JSON.stringify(event)}\n`)
    let bytes = kept.reduce((sum, line) => sum + line.length, 0)
    while (bytes > BYTES_MAX / 2) bytes -= kept.shift()!.length
    try {
      await writeFile(aside, kept.join(''), { mode: 0o600 })
      await rename(aside, path)
      this.#isCut = false
      this.#lines = kept.length
      this.#bytes = bytes
    } catch {
      // It is tried again with the next events; those of now are written.
      await rm(aside, { force: true }).catch(() => {})
    }
  }
}

async function endOf(path: string): Promise<string> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (file === null) return ''
  try {
    const { size } = await file.stat()
    const length = Math.min(size, 2 * BYTES_MAX)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

function eventIn(line: string): ControlEvent | null {
  try {
    const event: unknown = JSON.parse(line)
    if (!isRecord(event)) return null
    const { id, atMs, type, service, message, data } = event
    const isSound =
      Number.isSafeInteger(id) &&
      (id as number) > 0 &&
      Number.isFinite(atMs) &&
      (EVENT_TYPES as readonly unknown[]).includes(type) &&
      (service === null || typeof service === 'string') &&
      typeof message === 'string' &&
      isRecord(data)
    return isSound ? (event as unknown as ControlEvent) : null
  } catch {
    return null
  }
}
