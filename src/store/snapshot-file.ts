/**
 * The local copy of a document that stands in a store elsewhere: one file, which a start reads when that store is away.
 *
 *   turnout-snapshot 1 <SHA-256 of the rest>
 *   {"format":…,"place":…,"keptAtMs":…,"position":…,"releaseLast":…,"named":…,"services":…}
 *
 * - Written aside, flushed to the disk and renamed, so at any moment there is a whole one, whatever is killed. What was cut off or changed
 *   by somebody else is found by its sum, told, and not used.
 * - It holds the cookie keys, so it is readable by its owner only.
 * - Several processes may have one path: each writes aside under its own name, and whichever is renamed last is whole, too.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isRecord } from '../config/record.ts'
import { TurnoutError } from '../errors.ts'
import { unreadInWords } from '../unread.ts'
import { FORMAT, ofNewer, type Position, type StoredService } from './store.ts'

/** A whole document with what belongs to it. */
export interface Snapshot {
  /** Which store it is of, without secrets. */
  readonly place: string
  /** Wall time at which it was written. */
  readonly keptAtMs: number
  readonly position: Position
  readonly releaseLast: number
  readonly services: Readonly<Record<string, StoredService>>
  /** Named values that a start needs. */
  readonly named: Readonly<Record<string, string>>
}

const HEAD = /^turnout-snapshot 1 ([0-9a-f]{64})\n/
/** Whatever is longer is no snapshot of ours. */
const BYTES_MAX = 1_073_741_824

const sumOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The document of a snapshot, or of a store. */
export type Known = Pick<Snapshot, 'position' | 'releaseLast' | 'services'>

/** That part of a document that was read. */
export const knownOf = ({ position, releaseLast, services }: Known): Known => ({ position, releaseLast, services })

export class SnapshotFile {
  readonly path: string
  /** Why what was read last cannot be used; null where it can, or there is none. */
  fault: string | null = null

  constructor(path: string) {
    this.path = path
  }

  /** The snapshot, or null when there is none. Rejects with `store_unavailable` when it cannot be used. */
  async read(): Promise<Snapshot | null> {
    let text: string
    try {
      text = await textOf(this.path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw this.#fault(`cannot be read: ${unreadInWords(error)}`)
    }
    const [head, sum] = HEAD.exec(text) ?? []
    const body = text.slice(head?.length ?? 0)
    if (sum === undefined || sumOf(body) !== sum) throw this.#fault('is damaged or cut off')
    const { format, ...snapshot } = JSON.parse(body) as Snapshot & { readonly format: number }
    if (format > FORMAT) throw this.#fault(ofNewer('format', format, FORMAT))
    if (!isRecord(snapshot.services) || !isRecord(snapshot.position)) throw this.#fault('is damaged')
    return snapshot
  }

  /** Puts a snapshot in the place of the one before. Rejects with what the system says. */
  async write(snapshot: Snapshot): Promise<void> {
    const body = JSON.stringify({ format: FORMAT, ...snapshot })
    const aside = `${this.path}.${process.pid}.new`
    try {
      const file = await open(aside, 'w', 0o600)
      await written(file, `turnout-snapshot 1 ${sumOf(body)}\n${body}`)
      await rename(aside, this.path)
    } catch (error) {
      await rm(aside, { force: true }).catch(() => {})
      throw error
    }
    // Without it the new name may not outlive a power cut.
    const folder = await open(dirname(this.path), 'r')
    await folder.sync().finally(() => folder.close())
  }

  /** Removes what processes that are gone have left in the middle of writing. */
  async tidy(): Promise<void> {
    const [folder, name] = [dirname(this.path), basename(this.path)]
    for (const entry of await readdir(folder).catch((): string[] => [])) {
      const [, pid] = /^(\d+)\.new$/.exec(entry.startsWith(`${name}.`) ? entry.slice(name.length + 1) : '') ?? []
      if (pid !== undefined && !isAlive(Number(pid))) await rm(join(folder, entry), { force: true }).catch(() => {})
    }
  }

  #fault(reason: string): TurnoutError {
    this.fault = `The local snapshot ${this.path} ${reason}.`
    return new TurnoutError('store_unavailable', this.fault)
  }
}

async function textOf(path: string): Promise<string> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    if (size > BYTES_MAX) throw new Error(`it has ${size} bytes`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

async function written(file: FileHandle, text: string): Promise<void> {
  try {
    await file.chmod(0o600)
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** Throws `store_unavailable`, `why` first, when what was read of a file is no snapshot of the store at `place` to serve by. */
export function assertOf(
  place: string,
  kept: Snapshot | null,
  { path, fault }: Pick<SnapshotFile, 'path' | 'fault'>,
  why: string,
): asserts kept is Snapshot {
  if (kept === null) {
    const none = fault ?? `Nor is there a local snapshot to serve by (${path}).`
    throw new TurnoutError('store_unavailable', `${why} ${none}`)
  }
  if (kept.place !== place)
    throw new TurnoutError('store_unavailable', `${why} The local snapshot ${path} is of another store, ${kept.place}.`)
}
