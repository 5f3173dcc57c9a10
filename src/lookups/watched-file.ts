/**
 * A file that is read at the start and again whenever it changes, beside the traffic.
 *
 * It is looked at once a second, since only that works on every file system, and for a file that is replaced, or that a link leads
 * to (Kubernetes mounts are such links). One that has changed is read when it was the same at two looks, and what was read counts only
 * when it is the same still afterwards: so a file that somebody still writes is left alone. What cannot be read or taken changes
 * nothing: what was there before stays in use, and the fault is told once.
 */
import { constants, type Stats } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import { unreadInWords } from '../unread.ts'

/** Between two looks. */
export const LOOK_MS = 1_000

/** Why a file is not in use: goes on from its name. */
export class FileFault extends Error {}

/** The system does not give it now, and may the next time. */
class Unreadable extends FileFault {}

/** Something that is read, and again when it changes. */
export interface Watched {
  /** Why what is there now is not in use; null when it is. */
  readonly fault: string | null
  /** When what is in use was read, in wall time; 0 for never. */
  readonly readAtMs: number
  /** Reads it for the first time and watches it from then on; rejects with a `FileFault` when it cannot be used. */
  open(): Promise<void>
  close(): void
}

export interface WatchedOptions {
  /** Absolute, or a URL. */
  readonly path: string
  readonly bytesMax: number
  /** Makes use of what is in it, in memory of its own that threads may share; rejects with a `FileFault` when it cannot. */
  take(bytes: Uint8Array<SharedArrayBuffer>): Promise<void>
  /** Called when it was read again, with null, and when it cannot be used any more, once for each reason. */
  tell(fault: string | null): void
}

interface WatchedFileOptions extends WatchedOptions {
  readonly clock: Pick<Clock, 'every' | 'nowMs'>
}

export class WatchedFile implements Watched {
  readonly #options: WatchedFileOptions
  /** How the file was that is in use, when it was looked at last, and when it was refused. */
  #used: string | null = null
  #seen: string | null = null
  #refused: string | null = null
  #fault: string | null = null
  #readAtMs = 0
  #isLooking = false
  #isClosed = false
  #end = () => {}

  constructor(options: WatchedFileOptions) {
    this.#options = options
  }

  /** Why what is in it now is not in use; null when it is. */
  get fault(): string | null {
    return this.#fault
  }

  /** When what is in use was read, in wall time. */
  get readAtMs(): number {
    return this.#readAtMs
  }

  /** Reads it for the first time and watches it from then on. Rejects with a `FileFault`. */
  async open(): Promise<void> {
    await this.#read()
    this.#end = this.#options.clock.every(LOOK_MS, () => void this.look())
  }

  close(): void {
    this.#isClosed = true
    this.#end()
  }

  /** Looks once whether it has changed. */
  async look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      const seen = await this.#state()
      const isSettled = seen === this.#seen
      this.#seen = seen
      if (isSettled && seen !== this.#refused && (seen !== this.#used || this.#fault !== null)) await this.#reread(seen)
    } catch (error) {
      this.#seen = this.#refused = null
      this.#failed(error)
    } finally {
      this.#isLooking = false
    }
  }

  async #reread(seen: string): Promise<void> {
    try {
      if (!(await this.#read())) return
      this.#refused = null
      this.#fault = null
      this.#told(null)
    } catch (error) {
      if (!(error instanceof Unreadable)) this.#refused = seen
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    const fault = faultOf(error)
    const isNew = fault !== this.#fault
    this.#fault = fault
    if (isNew) this.#told(fault)
  }

  #told(fault: string | null): void {
    if (!this.#isClosed) this.#options.tell(fault)
  }

  async #state(): Promise<string> {
    try {
      return stateOf(await stat(this.#options.path))
    } catch (error) {
      throw new Unreadable(whyUnreadable(error))
    }
  }

  /** Reads and takes it; false when it was written meanwhile. */
  async #read(): Promise<boolean> {
    const { path, bytesMax, clock, take } = this.#options
    let bytes: Uint8Array<SharedArrayBuffer>
    let before: string
    try {
      // Whatever is no regular file is not waited for.
      const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
      try {
        const stats = await file.stat()
        assertUsable(stats, bytesMax)
        before = stateOf(stats)
        bytes = new Uint8Array(new SharedArrayBuffer(stats.size))
        const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
        if (bytesRead < bytes.length || stateOf(await file.stat()) !== before) {
          if (this.#used !== null) return false
          throw new Unreadable('was written while it was read')
        }
      } finally {
        await file.close()
      }
    } catch (error) {
      if (error instanceof FileFault) throw error
      throw new Unreadable(whyUnreadable(error))
    }
    await take(bytes)
    this.#used = before
    this.#readAtMs = clock.nowMs()
    return true
  }
}

function assertUsable(stats: Stats, bytesMax: number): void {
  if (!stats.isFile()) throw new FileFault('is no regular file')
  // An editor or a disk that is full leaves such a file.
  if (stats.size === 0) throw new FileFault('is empty')
  if (stats.size > bytesMax) throw new FileFault(`has more than ${bytesMax} bytes`)
}

const stateOf = ({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string => [dev, ino, size, mtimeMs, ctimeMs].join(' ')

function faultOf(error: unknown): string {
  if (error instanceof FileFault) return error.message
  throw error
}

/** What the system says of a file that it does not let us read, as the rest of a sentence that begins with its name. */
export function whyUnreadable(error: unknown): string {
  return `cannot be read: ${unreadInWords(error)}`
}
