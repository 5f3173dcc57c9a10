/**
 * Whether another live process uses the same store. Who is first holds a lock on a file beside the store (`turnout.db-live`) for as long
 * as it lives; the kernel gives it back when the process ends, however it ends. So there is nothing to renew, nothing that a
 * crash leaves behind, and it holds between containers that share a folder, where process ids say nothing. The file stays empty.
 * A process that another one takes over from gives it up while it lives, and then no longer asks for it.
 */
import type { DatabaseSync } from 'node:sqlite'
import { loadSqlite } from './sqlite-driver.ts'

/** The lock of a store file. */
export class LiveLock {
  readonly #path: string
  #database: DatabaseSync | null = null
  #isHeld = false
  #isYielded = false

  constructor(file: string) {
    this.#path = `${file}-live`
  }

  /** Whether we hold it; takes it when it is free. Also true where it cannot be had at all, since then nobody is known. */
  take(): boolean {
    if (this.#isHeld) return true
    if (this.#isYielded) return false
    try {
      this.#database ??= new (loadSqlite().DatabaseSync)(this.#path, { timeout: 0 })
      this.#database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
      this.#isHeld = true
    } catch (error) {
      return ((error as { errcode?: number }).errcode ?? 0) % 256 !== LOCKED
    }
    return true
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
