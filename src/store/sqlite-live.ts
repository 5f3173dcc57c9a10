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
import { isLocked } from './sqlite-faults.ts'
import { identityOf } from './sqlite-file.ts'
import { OthersLock } from './sqlite-others.ts'

/** The lock of a store file. */
export class LiveLock {
  readonly #path: string
  readonly #lost: () => void
  readonly #others: OthersLock
  #database: DatabaseSync | null = null
  /** The file that is open. */
  #identity: number | undefined
  #isHeld = false
  /** The last answer; null where there is none that still counts. */
  #isOurs: boolean | null = null
  #isYielded = false

  /** Calls `lost` when another process has it that was ours. */
  constructor(file: string, lost: () => void) {
    this.#path = `${file}-live`
    this.#others = new OthersLock(file)
    this.#lost = lost
  }

  /**
   * Whether it is ours; takes it when it is free. Where it cannot be had at all, as while its folder is away, it is whose it was; ours as long as
   * nobody else was ever seen to have it.
   */
  take(): boolean {
    if (this.#isYielded) return false
    const wasOurs = this.#isOurs
    if (this.#database !== null && this.#found() !== this.#identity) this.#leave()
    const isOurs = this.#isHeld || this.#lock(wasOurs ?? true)
    this.#isOurs = isOurs
    if (isOurs) this.#others.release()
    if (wasOurs === true && !isOurs) this.#lost()
    return isOurs
  }

  /** Whether what was ours at the last answer still is; takes it anew if its file has gone. */
  keep(): boolean {
    return this.#isOurs === true && this.take()
  }

  /**
   * Whether another process is there, and was first. From then on that one knows of this one. Not before: a process that starts to take the place of
   * the first one, and serves nobody yet, has not asked.
   */
  isShared(): boolean {
    const isOurs = this.take()
    if (!isOurs && !this.#isYielded) this.#others.hold()
    return !isOurs
  }

  /** Whether any other process is there, whichever was first. */
  hasOthers(): boolean {
    return !this.take() || this.#others.isHeld()
  }

  #lock(otherwise: boolean): boolean {
    try {
      this.#database ??= this.#open()
      this.#database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
      this.#isHeld = true
    } catch (error) {
      return !isLocked(error) && otherwise
    }
    return true
  }

  #open(): DatabaseSync {
    const database = new (loadSqlite().DatabaseSync)(this.#path, { timeout: 0 })
    this.#identity = this.#found()
    return database
  }

  /** The file that has the name; undefined also where nobody can tell. */
  #found(): number | undefined {
    try {
      return identityOf(this.#path)
    } catch {
      return undefined
    }
  }

  #leave(): void {
    this.#database?.close()
    this.#database = null
    this.#isHeld = false
  }

  /** Gives it up, and takes it no more until it is told otherwise. */
  yield(isYielded: boolean): void {
    this.#isYielded = isYielded
    if (isYielded) this.release()
  }

  release(): void {
    this.#leave()
    this.#others.release()
    this.#isOurs = null
  }
}
