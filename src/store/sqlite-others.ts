/**
 * Who uses a store file beside the first: each holds a shared lock on a file of its own name (`turnout.db-others`) for as long as it lives, and the
 * first (sqlite-live.ts) asks whether anybody has it. Like that lock it is gone with its process, however that ends, and the file stays empty.
 */
import type { DatabaseSync } from 'node:sqlite'
import { loadSqlite } from './sqlite-driver.ts'
import { isLocked } from './sqlite-faults.ts'
import { identityOf } from './sqlite-file.ts'

/** The first has it for the moment in which it asks. */
const ASKED_MS = 100

export class OthersLock {
  readonly #path: string
  #held: { readonly database: DatabaseSync; readonly identity: number | undefined } | null = null

  constructor(file: string) {
    this.#path = `${file}-others`
  }

  /** Holds it from now on. Where that cannot be, as while its folder is away, the next call tries again. */
  hold(): void {
    try {
      if (this.#held !== null && this.#held.identity === identityOf(this.#path)) return
      this.release()
      const database = this.#open(ASKED_MS)
      this.#held = { database, identity: identityOf(this.#path) }
      database.exec('BEGIN; SELECT count(*) FROM sqlite_schema')
    } catch {
      this.release()
    }
  }

  /** Whether anybody holds it, this one aside; no where it cannot be had at all. */
  isHeld(): boolean {
    this.release()
    try {
      const database = this.#open(0)
      try {
        database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
        return false
      } catch (error) {
        return isLocked(error)
      } finally {
        database.close()
      }
    } catch {
      return false
    }
  }

  release(): void {
    this.#held?.database.close()
    this.#held = null
  }

  #open(waitMs: number): DatabaseSync {
    return new (loadSqlite().DatabaseSync)(this.#path, { timeout: waitMs })
  }
}
