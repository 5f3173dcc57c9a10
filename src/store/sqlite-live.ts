/**
 * Whether another live process uses the same store. Who is first holds a lock on a file beside the store (`turnout.db-live`) for as long
 * as it lives; the kernel gives it back when the process ends, however it ends. So there is nothing to renew, nothing that a
 * crash leaves behind, and it holds between containers that share a folder, where process ids say nothing. The file stays empty.
 * A process that another one takes over from gives it up while it lives, and then no longer asks for it.
 *
 * The lock is that of a file, and people take files away, such as with all of `turnout.db*` to put a copy back. So whoever holds it looks
 * whether its file still has the name, and takes it anew if not; when another process was faster, that one is first from then on.
 */
import type { DatabaseSync } from 'node:sqlite'
import { loadSqlite } from './sqlite-driver.ts'
import { identityOf } from './sqlite-file.ts'

/** The lock of a store file. */
export class LiveLock {
  readonly #path: string
  readonly #lost: () => void
  #database: DatabaseSync | null = null
  /** The file that is open. */
  #identity: number | undefined
  #isHeld = false
  #isYielded = false

  /** Calls `lost` when another process has it that was ours. */
  constructor(file: string, lost: () => void) {
    this.#path = `${file}-live`
    this.#lost = lost
  }

  /** Whether we hold it; takes it when it is free. Also true where it cannot be had at all, since then nobody is known. */
  take(): boolean {
    const wasHeld = this.#isHeld
    if (this.#database !== null && identityOf(this.#path) !== this.#identity) this.release()
    const isOurs = this.#isHeld || (!this.#isYielded && this.#lock())
    if (wasHeld && !isOurs) this.#lost()
    return isOurs
  }

  /** Takes it anew if it is held and its file has gone. */
  keep(): void {
    if (this.#isHeld) this.take()
  }

  #lock(): boolean {
    try {
      this.#database ??= this.#open()
      this.#database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
      this.#isHeld = true
    } catch (error) {
      return ((error as { errcode?: number }).errcode ?? 0) % 256 !== LOCKED
    }
    return true
  }

  #open(): DatabaseSync {
    const database = new (loadSqlite().DatabaseSync)(this.#path, { timeout: 0 })
    this.#identity = identityOf(this.#path)
    return database
  }

  /** Gives it up, and takes it no more until it is told otherwise. */
  yield(isYielded: boolean): void {
    this.#isYielded = isYielded
    if (isYielded) this.release()
  }

  release(): void {
    this.#database?.close()
    this.#database = null
    this.#isHeld = false
  }
}

/** SQLITE_BUSY. */
const LOCKED = 5
