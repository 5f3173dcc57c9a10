/**
 * What SQLite and the system report of a store file, in words for people: each says what is wrong, and where people can do
 * something about it, what. All of it is `store_unavailable` to whoever called.
 */
import { StoreBusy } from '../busy.ts'
import { isTurnoutError, TurnoutError } from '../errors.ts'

/** Result codes of SQLite (sqlite.org/rescode.html), most of them primary; what is not named here is told in SQLite's own words. */
const REASONS: Readonly<Record<number, string>> = {
  5: 'is locked by another process',
  6: 'is locked by another process',
  8: 'is read-only',
  10: 'cannot be read or written (disk error)',
  11: 'is damaged',
  13: 'cannot grow: the disk is full',
  14: 'cannot be opened: may it be read, and are there open files left (ulimit -n)?',
  26: 'is not a SQLite file, or is damaged',
  // SQLITE_IOERR_SHMSIZE: the first who opens the file makes another beside it, for which a full disk has no room.
  4874: 'cannot be opened: the disk is full',
}

/** SQLITE_BUSY and SQLITE_LOCKED. */
const BUSY: ReadonlySet<number> = new Set([5, 6])

/** Extended codes: a file that was left in the middle of a write, which only a connection that may write can set right. */
const NEEDS_RECOVERY: ReadonlySet<number> = new Set([264, 520, 776])

/** Another connection has the lock. */
export const isLocked = (error: unknown): boolean => BUSY.has(primaryOf(error) ?? 0)

/** Stored text that cannot be read. */
export class Unreadable extends Error {}

/** Runs `work`; whatever it throws that is not ours becomes `store_unavailable`. */
export function translated<T>(file: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (isTurnoutError(error)) throw error
    const fault = storeFault(file, reasonOf(error))
    throw isLocked(error) ? new StoreBusy(fault.message) : fault
  }
}

/** A fault of a store file: `reason` goes on after its name. */
export function storeFault(file: string, reason: string): TurnoutError {
  return new TurnoutError('store_unavailable', `The store ${file} ${reason}.`)
}

/** Whether a read-only connection cannot read this file because it has to be recovered first. */
export function needsRecovery(error: unknown): boolean {
  return NEEDS_RECOVERY.has((error as { errcode?: number }).errcode ?? 0)
}

/** JSON text as it was stored; `what` says whose it is. */
export function parsed<T>(text: string, what: string): T {
  try {
    return JSON.parse(text) as T
  } catch (error) {
    throw new Unreadable(`${what} cannot be read: ${(error as Error).message}`)
  }
}

/** What to do with a file that is no use. */
export const RESTORE = 'put a copy back, or move the file away to begin anew'

function reasonOf(error: unknown): string {
  const { code, message, errcode } = error as { code?: string; message?: string; errcode?: number }
  if (error instanceof Unreadable) return `is damaged (${message}); ${RESTORE}`
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return 'cannot be written: permission denied'
  if (code === 'EISDIR') return 'is a folder'
  if (code === 'ENOSPC') return 'cannot grow: the disk is full'
  const primary = primaryOf(error)
  const reason = REASONS[errcode ?? -1] ?? REASONS[primary ?? -1]
  if (reason === undefined) return `failed (${message ?? String(error)})`
  return `${reason} (${message})${primary === 11 || primary === 26 ? `; ${RESTORE}` : ''}`
}

function primaryOf(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: number }
  return errcode === undefined ? undefined : errcode & 0xff
}
